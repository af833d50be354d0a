//! A key slot before a root key is in it: its identity made and protected, which may take a second and an entry in a
//! keyring. Sealing it takes neither, so that it can be repeated. Knows no slot list.

use std::fmt;

use age::{scrypt, secrecy::ExposeSecret, x25519};

use super::{
    cost::ScryptCost,
    keyring::Keyring,
    slots::{
        SLOT_AGE_FILE_MAX_BYTES, SLOT_LABEL_MAX_BYTES, SlotError, SlotKind, SlotRecipient, SlotRecord, at_most,
        secret_string,
    },
};
use crate::model::{IdError, Secret, SlotId};

/// A key slot that no root key is wrapped in yet.
pub struct SlotDraft {
    kind: SlotKind,
    label: String,
    recipient: SlotRecipient,
    /// The age file that holds the identity; empty where its holder keeps it.
    protected_identity: Vec<u8>,
}

impl SlotDraft {
    /// A slot that a passphrase unlocks, with a fresh identity that is encrypted by it.
    ///
    /// # Errors
    /// [`SlotError::EmptyPassphrase`], [`SlotError::TooLong`] for the label.
    pub fn passphrase(label: &str, passphrase: &Secret, cost: ScryptCost) -> Result<Self, SlotError> {
        if passphrase.is_empty() {
            return Err(SlotError::EmptyPassphrase);
        }
        Self::protected(SlotKind::Passphrase, label, &lock(passphrase, cost))
    }

    /// A slot that a passphrase unlocks together with a key that a keyring of the system holds, and that key.
    ///
    /// The passphrase's file lies within one to the keyring's key: whoever has no such key cannot even try a passphrase.
    ///
    /// # Errors
    /// As [`SlotDraft::passphrase`].
    pub fn combined(label: &str, passphrase: &Secret, cost: ScryptCost) -> Result<(Self, Secret), SlotError> {
        let mut draft = Self::passphrase(label, passphrase, cost)?;
        let half = x25519::Identity::generate();
        let outer = age::encrypt(&half.to_public(), &draft.protected_identity);
        draft.kind = SlotKind::Combined;
        draft.protected_identity = outer.map_err(|_| SlotError::Encrypt)?;
        // EXPOSE: the text moves from age's secret type into ours.
        Ok((draft, Secret::copy_of(half.to_string().expose_secret())))
    }

    /// A slot with a fresh identity that is encrypted to an age plugin's recipient.
    ///
    /// The plugin's program is asked here and when the slot is unlocked, never when a root key is wrapped.
    ///
    /// # Errors
    /// [`SlotError::Encrypt`] where the plugin refuses, [`SlotError::TooLong`] for the label or for what it made.
    pub fn plugin(label: &str, plugin: &impl age::Recipient) -> Result<Self, SlotError> {
        Self::protected(SlotKind::Plugin, label, plugin)
    }

    /// A slot whose identity its holder keeps; only the public key is needed.
    ///
    /// # Errors
    /// [`SlotError::Kind`] for a kind that protects an identity of its own, [`SlotError::TooLong`] for the label.
    pub fn identity(kind: SlotKind, label: &str, recipient: &SlotRecipient) -> Result<Self, SlotError> {
        if kind.holds_identity() {
            return Err(SlotError::Kind);
        }
        Self::new(kind, label, recipient.clone(), Vec::new())
    }

    /// The public key that the root key will be wrapped to.
    #[must_use]
    pub const fn recipient(&self) -> &SlotRecipient {
        &self.recipient
    }

    /// The slot with this keyring's root key in it, under a fresh id.
    ///
    /// # Errors
    /// [`SlotError::NoRandomness`].
    pub fn seal(&self, keyring: &Keyring, created_ms: i64) -> Result<SlotRecord, SlotError> {
        Ok(SlotRecord {
            id: SlotId::generate().map_err(|_: IdError| SlotError::NoRandomness)?,
            kind: self.kind as u8,
            label: self.label.clone(),
            created_ms,
            recipient: self.recipient.to_string(),
            protected_identity: self.protected_identity.clone(),
            wrapped_root: keyring.wrap_root(&self.recipient)?,
        })
    }

    fn protected(kind: SlotKind, label: &str, to: &impl age::Recipient) -> Result<Self, SlotError> {
        let identity = x25519::Identity::generate();
        // EXPOSE: the identity is encrypted here, and kept nowhere else.
        let protected = age::encrypt(to, identity.to_string().expose_secret().as_bytes());
        let protected = protected.map_err(|_| SlotError::Encrypt)?;
        Self::new(kind, label, identity.to_public().into(), protected)
    }

    fn new(kind: SlotKind, label: &str, recipient: SlotRecipient, protected: Vec<u8>) -> Result<Self, SlotError> {
        at_most(label.len(), SLOT_LABEL_MAX_BYTES)?;
        at_most(protected.len(), SLOT_AGE_FILE_MAX_BYTES)?;
        Ok(Self { kind, label: label.to_owned(), recipient, protected_identity: protected })
    }
}

impl fmt::Debug for SlotDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotDraft").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn lock(passphrase: &Secret, cost: ScryptCost) -> scrypt::Recipient {
    let mut lock = scrypt::Recipient::new(secret_string(passphrase));
    lock.set_work_factor(cost.log2_n());
    lock
}
