//! The list of key slots: what may stand in it together, and adding to it. No record is touched by any of it.
//!
//! Knows no prompt, no keyring of the system and no plugin: whoever makes a slot has asked them already.

use thiserror::Error;

use crate::{
    Vault,
    crypto::{ScryptCost, SlotDraft, SlotError, SlotKind, SlotRecipient, SlotRecord},
    model::{Action, Secret, SlotId},
    store::{KeyMaterial, Saved, StoreError, Tampering},
    vault::blocking,
};

/// A key slot to be made.
pub enum NewSlot {
    /// Unlocked by a passphrase, at this cost.
    Passphrase {
        /// What the slot is called.
        label: String,
        /// The passphrase.
        passphrase: Secret,
        /// scrypt's work factor.
        cost: ScryptCost,
    },
    /// Unlocked by an age identity that somebody else keeps.
    Identity {
        /// What the slot is called.
        label: String,
        /// Identity file, systemd credential, recovery or keyring.
        kind: SlotKind,
        /// The public half.
        recipient: SlotRecipient,
    },
    /// Of any kind, prepared before.
    Draft(SlotDraft),
}

/// Why slots cannot stand in one list.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotListError {
    /// Nobody could ever open the vault.
    #[error("a vault needs at least one key slot")]
    None,
    /// Unlocking tries so many at most.
    #[error("a vault has at most {SLOTS_MAX} key slots")]
    TooMany,
    /// Nobody could tell which of them to remove.
    #[error("there is a key slot with this label already")]
    SameLabel,
    /// Whoever holds that key opens the vault already.
    #[error("there is a key slot for this public key already")]
    SameRecipient,
    /// A keyring of the system is lost with its machine.
    #[error(
        "a slot of passphrase and keyring together stands beside a recovery slot only: without one, the vault would be \
         lost with the keyring"
    )]
    NoRecovery,
}

/// Why no slot was added. Nothing is changed, but after [`StoreError::Unknown`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddSlotError {
    /// It cannot be made.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// It does not go with those that are there.
    #[error(transparent)]
    List(#[from] SlotListError),
    /// Others change the slots without a pause.
    #[error("the key slots were changed by others {ATTEMPTS} times in a row")]
    Busy,
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NewSlot {
    /// Makes its identity and protects it; a passphrase takes its cost.
    pub(crate) fn draft(self) -> Result<SlotDraft, SlotError> {
        match self {
            Self::Passphrase { label, passphrase, cost } => SlotDraft::passphrase(&label, &passphrase, cost),
            Self::Identity { label, kind, recipient } => SlotDraft::identity(kind, &label, &recipient),
            Self::Draft(draft) => Ok(draft),
        }
    }
}

impl Vault {
    /// Adds a slot under the next generation of the list, audited in the same commit; every open vault goes on.
    ///
    /// # Errors
    /// [`AddSlotError`]; a list that was tampered with is never extended.
    pub async fn add_slot(&self, new: NewSlot) -> Result<SlotId, AddSlotError> {
        let draft = blocking(move || new.draft()).await?;
        let added = draft.seal(&self.keys(), self.now_ms())?;
        let mut stale = None;
        for _ in 0..ATTEMPTS {
            let material = self.store.key_material().await?;
            if stale == Some(material.generation) {
                // The header has gone on and the list beside it has not: somebody put an older one back.
                return Err(StoreError::tampered(Tampering::Header, None).into());
            }
            let mut slots = self.checked_slots(&material)?;
            slots.push(added.clone());
            check_list(&slots)?;
            let generation = material.generation + 1;
            let next = KeyMaterial {
                generation,
                slots_mac: self.keys().slots_mac(generation, &slots),
                slots: slots.iter().map(SlotRecord::to_bytes).collect(),
                data_keys: material.data_keys,
            };
            let kind = SlotKind::from_u8(added.kind).map_or("", SlotKind::word);
            let event = self.event(Action::Keys, None, format!("added slot {} ({kind})", added.id))?;
            match self.store.install_keys(next, vec![event]).await? {
                Saved::Done => return Ok(added.id),
                // Another process was faster: its list is read, checked, and added to.
                _ => stale = Some(material.generation),
            }
        }
        Err(AddSlotError::Busy)
    }
}

/// Checks that these slots may be a vault's.
///
/// # Errors
/// [`SlotListError`], the first that applies.
pub(crate) fn check_list(slots: &[SlotRecord]) -> Result<(), SlotListError> {
    let has = |kind: SlotKind| slots.iter().any(|slot| slot.kind == kind as u8);
    let pairs = || slots.iter().enumerate().flat_map(|(no, one)| slots[..no].iter().map(move |other| (one, other)));
    if slots.is_empty() {
        Err(SlotListError::None)
    } else if slots.len() > SLOTS_MAX {
        Err(SlotListError::TooMany)
    } else if pairs().any(|(one, other)| one.recipient == other.recipient) {
        Err(SlotListError::SameRecipient)
    } else if pairs().any(|(one, other)| one.label == other.label) {
        Err(SlotListError::SameLabel)
    } else if has(SlotKind::Combined) && !has(SlotKind::Recovery) {
        Err(SlotListError::NoRecovery)
    } else {
        Ok(())
    }
}

/// Slots that a vault may have, and that are tried for one unlock: each passphrase slot costs a key derivation, so an
/// attacker's list must not stall us, and none of ours may be out of reach.
pub(crate) const SLOTS_MAX: usize = 16;
/// How often a list is read again that others have changed meanwhile: people change slots, seconds apart.
const ATTEMPTS: usize = 8;
