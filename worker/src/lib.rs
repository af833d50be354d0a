//! Skeleton.

pub mod drivers;
pub mod sources;
