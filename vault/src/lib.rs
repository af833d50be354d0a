//! Latchkey's vault: seals credentials and sessions, lends them under leases, logs in again once.
//!
//! Layers, each using only those before it: [`model`] (plain data and pure transitions), [`crypto`], [`cookies`] and
//! [`totp`] (pure), [`store`] (rows, never keys), and on top the one place where keys and rows meet.
//! Nothing here knows a task source, a driver of posts, or a terminal.

pub mod account_api;
mod accounts;
mod anchor_file;
mod audit;
mod checkout;
pub mod cookies;
pub mod crypto;
mod items;
mod keys;
pub mod limits;
pub mod login;
pub mod manager_http;
pub mod model;
mod outbox;
mod record;
mod refresh;
pub mod retry_after;
pub mod site_http;
pub mod sites;
pub mod store;
pub mod text;
pub mod tls;
pub mod totp;
mod vault;
mod views;

pub use accounts::{AccountError, Edit, NewAccount, Pulled};
pub use anchor_file::AnchorFileError;
pub use audit::AuditEntry;
pub use checkout::{CheckIn, CheckInError, CheckOutAsk, CheckOutError, Checkout, LeaseHandle, Receipt};
pub use items::{Item, ItemChange, ItemKind};
pub use outbox::{AccountRound, Delivery, DueReport, LaneHold, NewReport, Owing, backoff};
pub use refresh::{RefreshAsk, RefreshError, Refreshed, RefreshedBy, standing_of};
pub use vault::{InitError, NewSlot, Opener, UnlockError, UnlockWith, Vault, VaultPaths};
pub use views::{CookieView, OwedMessage, SessionView};
pub use model::{AccountId, BootStamp, Clock, HolderId, ManualClock, MessageId, Secret, SystemClock, VaultId};
