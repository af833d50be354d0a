//! The worker: pulls tasks from the manager, works on them with sessions lent by the vault, reports.
//!
//! What every program of the workspace shares lives here too: [`settings`], what unlocks without a person ([`unlock`]),
//! and the hygiene of a process ([`process`], [`logging`]). Nothing here prompts or prints results.

pub mod api_key;
mod event;
pub mod logging;
pub mod process;
mod run;
pub mod secret_file;
pub mod service;
pub mod settings;
pub mod sources;
pub mod unlock;

pub use event::{Ending, Event};
pub use run::{RunConfig, RunError, Summary, run};
