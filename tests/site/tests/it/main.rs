//! The practice site over real sockets: each unpleasantness, refused and accepted.
//!
//! It knows the site by its pages and its handle alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod binary;
mod browser;
mod control;
mod faults;
mod login;
mod posts;
mod sessions;
mod unpleasant;
