//! The reference manager: the social contract, strict, with faults on demand and a ledger of effects.
//!
//! [`Manager::start`] listens on two sockets: the API that workers and vaults speak, and a control
//! plane for the people and processes that test them. The control plane has a socket of its own, so
//! that an outage of the API can be ended over it.
//!
//! A call goes one way: `api` reads it, `fault` may spoil it, `book` does the work, `ledger`
//! keeps what was asked and what became of it, and `answer` puts it on the wire.
//!
//! It deliberately knows nothing of vaults, workers or the command line: it is the other side of the
//! contract, written from the contract alone. It is a tool for tests and practice: it holds
//! credentials in clear, in memory only, and is not to be given real ones.

mod account;
mod answer;
mod api;
mod book;
mod config;
mod control;
mod fault;
mod gate;
mod ledger;
mod limits;
mod manager;
mod refusal;
mod seed;
mod task;
mod words;

pub use account::AccountState;
pub use book::AddError;
pub use config::{Clock, ManagerConfig, RepeatRule, StartError};
pub use fault::{Fault, FaultError, FaultKind, Injected, When};
pub use ledger::{Ledger, LedgerEntry, Sent};
pub use limits::{LIST_DEFAULT, LIST_MAX, MAX_BODY_BYTES, MAX_ERROR_MESSAGE_CHARS};
pub use manager::Manager;
pub use seed::{NewAccount, NewTask, Seed};
pub use task::{TaskState, TaskStatus};
pub use words::{PLACEHOLDERS, Route, wire_time};
