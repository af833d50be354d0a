//! demo only
#[cfg(feature = "demo")]
pub mod demo;
