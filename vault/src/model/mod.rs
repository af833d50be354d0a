//! Plain data and pure transitions: no I/O, no keys, no rows.

mod clock;
mod id;
mod merge;
mod secret;

pub use clock::{BootStamp, Clock, ManualClock, SystemClock};
pub use id::{AccountId, HolderId, IdError, MessageId, SlotId, VaultId};
pub use merge::{Field, Fields, Merged, Winner, merge};
pub use secret::Secret;
