//! The end-to-end tests: real programs, real servers, one binary.
//!
//! What the parts promise by themselves is tested beside them, not here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod accounts;
mod blocked;
mod canaries;
mod check;
mod figures;
mod images;
mod killed;
mod manager_faults;
mod redirects;
mod restored;
mod sessions;
mod single_flight;
mod site_faults;
mod stop;
mod tampered;
mod tasks;
mod unlocking;
mod wordpress_fixture;
mod wordpress_job;
