//! What the end-to-end, fault and attack tests share: real processes, real servers; and the bench.
//!
//! It deliberately does not know what a test asserts, and nothing that ships depends on it.

pub mod attacks;
pub mod bench;
pub mod install;
pub mod process_group;
pub mod processes;
pub mod servers;
pub mod tap;
pub mod world;
