//! The vault on real files: one integration binary, a module per concern.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod common;
mod conformance;
mod documents;
mod life;
mod sqlite;
mod views;
