//! Where tasks come from: one module for each area of the manager's contract.
//!
//! A source turns the manager's JSON into tasks and outcomes into reports. It knows no vault, no site and no schedule.

pub mod social;
