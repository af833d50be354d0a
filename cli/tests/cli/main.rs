//! The real binary in a home of its own: one integration binary, a module per concern.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod audit;
mod backup;
mod bad_input;
mod home;
mod init;
mod keys;
mod lease;
mod life;
mod pin;
mod servers;
mod session_files;
mod tampering;
mod tools;
