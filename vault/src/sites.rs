//! Placeholder head, replaced when the module lands.
