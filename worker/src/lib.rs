//! Skeleton.

pub mod sources;
