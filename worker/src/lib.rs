//! The worker: pulls tasks from the manager, works on them with sessions lent by the vault, reports.
//!
//! The path of a task goes one way: [`sources`] → dispatch ([`run()`]) → one task's work (`work`) → [`drivers`] →
//! check-in → outbox → `report`. A driver sees a borrowed session, its input and a deadline; no vault, no manager.

mod attempt;
pub mod drivers;
mod event;
mod report;
mod run;
mod site_desk;
pub mod sources;
mod work;

pub use event::{Ending, Event};
pub use run::{RunConfig, RunError, Summary, run};
