//! The reference manager over real sockets: the contract's rows, its traps, and every fault.
//!
//! Deliberately goes through HTTP for all that a worker can do, and through the handle for the rest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod accounts;
mod binary;
mod calls;
mod control;
mod faults;
mod support;
mod tasks;
mod traps;
