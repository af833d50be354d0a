//! Latchkey's vault: seals credentials and sessions, lends them under leases, logs in again once.
//!
//! Layers, each using only those before it: [`model`] (plain data and pure transitions), [`crypto`], [`cookies`] and
//! [`totp`] (pure), [`store`] (rows, never keys), and on top the one place where keys and rows meet.
//! Nothing here knows a task source, a driver of posts, or a terminal.

pub mod account_api;
pub mod cookies;
pub mod crypto;
pub mod limits;
pub mod login;
pub mod manager_http;
pub mod model;
pub mod retry_after;
pub mod site_http;
pub mod sites;
pub mod text;
pub mod tls;
pub mod totp;

pub use model::{AccountId, BootStamp, Clock, HolderId, ManualClock, MessageId, Secret, SystemClock, VaultId};
