//! Plain data and pure transitions: no I/O, no keys, no rows.

mod clock;
mod id;
mod secret;

pub use clock::{BootStamp, Clock, ManualClock, SystemClock};
pub use id::{AccountId, HolderId, IdError, MessageId, SlotId, VaultId};
pub use secret::Secret;
