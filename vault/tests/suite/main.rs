//! The vault on real files: one integration binary, a module per concern.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod anchor;
mod attacks;
mod child;
mod common;
mod conformance;
mod crash;
mod discipline;
mod documents;
mod edits;
mod full;
mod kept;
mod kills;
mod life;
mod line_order;
mod lines;
mod memory;
mod outage;
mod pin;
mod processes;
mod refresh;
mod rekey;
mod restore;
mod session_files;
mod slots;
mod sqlite;
mod tracer;
mod views;
