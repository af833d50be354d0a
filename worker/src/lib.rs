//! The worker: pulls tasks from the manager, works on them with sessions lent by the vault, reports.
//!
//! The path of a task goes one way: [`sources`] → dispatch ([`run()`]) → one task's work (`work`) → [`drivers`] →
//! check-in → outbox → `report`. A driver sees a borrowed session, its input and a deadline; no vault, no manager.
//!
//! What every program of the workspace shares lives here too: [`settings`], what unlocks without a person ([`unlock`]),
//! and the hygiene of a process ([`process`], [`logging`]). Nothing here prompts or prints results.

pub mod api_key;
mod attempt;
pub mod drivers;
mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod keyring;
pub mod logging;
pub mod pin;
pub mod process;
mod report;
mod run;
pub mod secret_file;
pub mod service;
pub mod settings;
mod site_desk;
pub mod sources;
pub mod unlock;
mod work;

pub use event::{Ending, Event};
pub use run::{RunConfig, RunError, Summary, run};
