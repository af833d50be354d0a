//! Keys, sealing, key slots, and the authenticated bytes of header and anchor: pure functions over memory.
//!
//! The way in: a [`SlotRecord`] unlocks a [`RootKey`], whose [`Commitment`] is compared with the anchor's; with the
//! sealed data keys it loads a [`Keyring`], which seals, opens and authenticates and never hands a key out.
//! `FORMAT.md` beside this crate states every byte, so that somebody else can write a reader.
//!
//! No file, table, clock or terminal is known here. `ring`, `age` and the operating system's random source are all
//! that it stands on. `ring` and `age` do not wipe their own key schedules and buffers: what they hold of a key stays in
//! freed memory until it is overwritten, which only locking memory and forbidding core dumps (done by the process)
//! makes harmless.

mod aead;
mod age_file;
mod age_writer;
mod anchor;
mod authenticate;
mod cbor;
mod cost;
mod derive;
mod header;
mod keyring;
mod padding;
mod place;
mod seal;
mod slot_draft;
mod slots;
mod sum;
#[cfg(test)]
mod tests;

pub use age_writer::{AgeWriter, NoRecipient, SealTo};
pub use anchor::{ANCHOR_FILE_BYTES, ANCHOR_SLOT_BYTES, Anchor, AnchorError, Announcement};
pub use cost::ScryptCost;
pub use header::{AUDIT_HEADS_MAX, AuditHead, Header, HeaderError, Rekey, RekeyStage};
pub use keyring::{Commitment, EPOCHS_MAX, Keyring, NoRandomness, ResealError, RootKey, RotateError};
pub use place::{Kind, Place};
pub use seal::{FORMAT_VERSION, OpenError, SealError, Sealed};
pub use slot_draft::SlotDraft;
pub use slots::{
    SLOT_AGE_FILE_MAX_BYTES, SLOT_LABEL_MAX_BYTES, SLOT_MAX_BYTES, SLOT_RECIPIENT_MAX_BYTES, SlotError, SlotKind,
    SlotRecipient, SlotRecord, Unlock, generate_identity,
};
pub use sum::Sum;
