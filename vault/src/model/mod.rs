//! Plain data and pure transitions: no I/O, no keys, no rows.

mod account;
mod audit;
mod clock;
mod id;
mod merge;
mod secret;
mod view;

pub use account::{Account, AccountRecord, AccountState, Standing};
pub use audit::{Action, Actor, AuditEvent, Outcome};

pub use clock::{BootStamp, Clock, ManualClock, SystemClock};
pub use id::{AccountId, HolderId, IdError, MessageId, SlotId, VaultId};
pub use merge::{Field, Fields, Merged, Winner, merge};
pub use secret::Secret;
pub use view::{AccountSecret, AccountView, Revealed};
