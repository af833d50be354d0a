//! Key slots: the ways to unlock a root key, each an age file. Knows no table, prompt, file or keyring of the system.
//!
//! Every slot has an X25519 identity, and the root key is wrapped to its public key, so that a new root key needs nobody's
//! passphrase. Where that identity lives is the slot's kind. The slot list is kept in clear and authenticated by
//! [`Keyring::slots_mac`], since whoever knows a recipient can wrap something to it.

use std::{fmt, str::FromStr};

use age::{
    secrecy::{ExposeSecret, SecretString},
    x25519,
};
use minicbor::{Decode, Encode};
use thiserror::Error;

use super::{
    age_file::{IDENTITY_MAX_BYTES, decrypt, find_identity, identities, work_factor},
    cbor,
    cost::ScryptCost,
    keyring::{Keyring, ROOT_PAYLOAD_BYTES, RootKey},
    slot_draft::SlotDraft,
};
use crate::model::{Secret, SlotId, VaultId};

/// Longest label of a slot, in bytes: a line of a table.
pub const SLOT_LABEL_MAX_BYTES: usize = 256;
/// Longest recipient, in bytes: X25519 has 62; post-quantum ones stay below 2 KiB.
pub const SLOT_RECIPIENT_MAX_BYTES: usize = 4 * 1024;
/// Longest age file within a slot, in bytes: ours stay below 600; plugins and post-quantum stanzas need a few KiB.
pub const SLOT_AGE_FILE_MAX_BYTES: usize = 8 * 1024;
/// Longest encoded slot, in bytes: all of the above and the map's own bytes.
pub const SLOT_MAX_BYTES: usize = SLOT_LABEL_MAX_BYTES + SLOT_RECIPIENT_MAX_BYTES + 2 * SLOT_AGE_FILE_MAX_BYTES + 128;

/// Where a slot's identity lives. Numbers above these belong to later programs: kept, listed, not unlocked.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// In the slot itself, encrypted by a passphrase.
    Passphrase = 1,
    /// In a file of its holder.
    Identity = 2,
    /// In a systemd credential.
    SystemdCredential = 3,
    /// On paper, for the day when nothing else is left.
    Recovery = 4,
    /// In the slot itself, encrypted to the recipient of an age plugin: a token, a TPM.
    Plugin = 5,
    /// In a keyring of the system.
    Keyring = 6,
    /// In the slot itself, encrypted by a passphrase, and that again to a key in a keyring of the system.
    Combined = 7,
}

impl SlotKind {
    /// The kind of this number, where this program knows it.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Passphrase,
            2 => Self::Identity,
            3 => Self::SystemdCredential,
            4 => Self::Recovery,
            5 => Self::Plugin,
            6 => Self::Keyring,
            7 => Self::Combined,
            _ => return None,
        })
    }

    /// The word it is shown by.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Identity => "identity",
            Self::SystemdCredential => "systemd_credential",
            Self::Recovery => "recovery",
            Self::Plugin => "plugin",
            Self::Keyring => "keyring",
            Self::Combined => "combined",
        }
    }

    /// Whether the slot itself holds its identity, encrypted; else its holder keeps it.
    #[must_use]
    pub const fn holds_identity(self) -> bool {
        matches!(self, Self::Passphrase | Self::Plugin | Self::Combined)
    }
}

/// One way to unlock the vault, as it is stored: in clear, its secrets encrypted by age.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SlotRecord {
    /// Which slot.
    #[cbor(n(1), encode_with = "encode_id", decode_with = "decode_id")]
    pub id: SlotId,
    /// The number of its [`SlotKind`], or of one that this program does not know.
    #[n(2)]
    pub kind: u8,
    /// What its holder calls it; at most [`SLOT_LABEL_MAX_BYTES`].
    #[n(3)]
    pub label: String,
    /// When it was made, in Unix milliseconds.
    #[n(4)]
    pub created_ms: i64,
    /// The public key that the root key is wrapped to, as age writes it: `age1…`.
    #[n(5)]
    pub recipient: String,
    /// The age file that holds the identity, where the kind [holds it](SlotKind::holds_identity). Else empty.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub protected_identity: Vec<u8>,
    /// The age file that holds vault id, root epoch and root key.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub wrapped_root: Vec<u8>,
}

impl fmt::Debug for SlotRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotRecord").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A public key that the root key can be wrapped to.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotRecipient(x25519::Recipient);

/// How a slot is unlocked.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// By its passphrase: the UTF-8 bytes as they were entered.
    Passphrase(&'a Secret),
    /// By an age identity file: comments, and lines of `AGE-SECRET-KEY-1…`.
    Identity(&'a Secret),
    /// By its passphrase and the identity file that a keyring holds.
    Both(&'a Secret, &'a Secret),
    /// By whatever an age plugin's program asks for.
    Plugin(&'a dyn age::Identity),
}

impl fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase([redacted])",
            Self::Identity(_) => "Identity([redacted])",
            Self::Both(..) => "Both([redacted])",
            Self::Plugin(_) => "Plugin",
        })
    }
}

/// Why a slot was not made, read or unlocked. Of a failed unlock the text says only that it failed.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotError {
    /// The passphrase, the identity, the vault or the slot is not the right one, or the slot was changed.
    #[error("cannot be unlocked")]
    CannotUnlock,
    /// The slot asks for less work than the floor or more than the ceiling; none was done.
    #[error("cannot be unlocked")]
    WorkFactor {
        /// log2 of N.
        log2_n: u8,
    },
    /// A slot has no passphrase.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Not an X25519 public key or identity of age.
    #[error("not an X25519 recipient or identity of age")]
    Recipient,
    /// Slots that hold their identity make it themselves; the other kinds are given one.
    #[error("a slot of this kind is not made from an identity")]
    Kind,
    /// A part of a slot is longer than it may be.
    #[error("a slot's part of {bytes} bytes is longer than {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// The bytes are not what a slot is encoded as.
    #[error("the slot is malformed")]
    Malformed,
    /// The operating system gave no randomness.
    #[error("the operating system's random source failed")]
    NoRandomness,
    /// age refused to encrypt; nothing that a slot asks of it makes it do so.
    #[error("age refused to encrypt")]
    Encrypt,
}

impl SlotRecord {
    /// A slot that a passphrase unlocks, with a fresh identity that is encrypted by it.
    ///
    /// # Errors
    /// [`SlotError::EmptyPassphrase`], [`SlotError::TooLong`] for the label, [`SlotError::NoRandomness`].
    pub fn with_passphrase(
        keyring: &Keyring,
        label: &str,
        created_ms: i64,
        passphrase: &Secret,
        cost: ScryptCost,
    ) -> Result<Self, SlotError> {
        SlotDraft::passphrase(label, passphrase, cost)?.seal(keyring, created_ms)
    }

    /// A slot whose identity its holder keeps; only the public key is needed.
    ///
    /// # Errors
    /// As [`SlotDraft::identity`]; [`SlotError::NoRandomness`].
    pub fn with_identity(
        kind: SlotKind,
        keyring: &Keyring,
        label: &str,
        created_ms: i64,
        recipient: &SlotRecipient,
    ) -> Result<Self, SlotError> {
        SlotDraft::identity(kind, label, recipient)?.seal(keyring, created_ms)
    }

    /// The same slot with this keyring's root key in it. The slot list has to be authenticated before.
    ///
    /// # Errors
    /// [`SlotError::Recipient`] for a slot of a later program, whose recipient this one does not know.
    pub fn rewrapped(&self, keyring: &Keyring) -> Result<Self, SlotError> {
        let wrapped_root = keyring.wrap_root(&self.recipient.parse()?)?;
        Ok(Self { wrapped_root, ..self.clone() })
    }

    /// Unwraps the root key of `vault`.
    ///
    /// Whoever knows the slot's recipient can have wrapped a key of theirs: compare [`RootKey::commitment`].
    ///
    /// # Errors
    /// [`SlotError::WorkFactor`] where the slot asks for less or more work than is allowed, before any is done; for
    /// everything else [`SlotError::CannotUnlock`].
    pub fn unlock(&self, vault: VaultId, how: &Unlock<'_>) -> Result<RootKey, SlotError> {
        let locked = SlotError::CannotUnlock;
        let file = self.protected_identity.as_slice();
        let identity = match (SlotKind::from_u8(self.kind), *how) {
            (Some(SlotKind::Passphrase), Unlock::Passphrase(passphrase)) => self.stretch(passphrase, file)?,
            (Some(SlotKind::Combined), Unlock::Both(passphrase, half)) => {
                // EXPOSE: the identities are parsed out of what the keyring holds.
                let mut halves = identities(half.expose());
                // Without its key the file within, which tells a passphrase from another, is not even seen.
                let inner = halves.find_map(|half| decrypt(&half, file, SLOT_AGE_FILE_MAX_BYTES)).ok_or(locked)?;
                self.stretch(passphrase, &inner)?
            }
            (Some(SlotKind::Plugin), Unlock::Plugin(plugin)) => self.own_identity(plugin, file)?,
            (Some(kind), Unlock::Identity(text)) if !kind.holds_identity() => {
                // EXPOSE: the identity is parsed out of its file.
                find_identity(text.expose(), &self.recipient).ok_or(locked)?
            }
            _ => return Err(locked),
        };
        let payload = decrypt(&identity, &self.wrapped_root, ROOT_PAYLOAD_BYTES).ok_or(SlotError::CannotUnlock)?;
        RootKey::from_payload(vault, &payload).ok_or(SlotError::CannotUnlock)
    }

    /// What a passphrase slot asks of whoever tries a passphrase; `None` for other kinds, and for a combined slot, whose
    /// cost is seen with the keyring's key only.
    #[must_use]
    pub fn cost(&self) -> Option<ScryptCost> {
        work_factor(&self.protected_identity).and_then(ScryptCost::new)
    }

    /// The canonical encoding, which is stored and which [`Keyring::slots_mac`] covers.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_bytes(self)
    }

    /// The slot of these stored bytes.
    ///
    /// # Errors
    /// [`SlotError::TooLong`] where they or a part of them are longer than allowed; [`SlotError::Malformed`] where they
    /// are not the canonical encoding of a slot.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SlotError> {
        at_most(bytes.len(), SLOT_MAX_BYTES)?;
        let record: Self = cbor::from_bytes(bytes).ok_or(SlotError::Malformed)?;
        at_most(record.label.len(), SLOT_LABEL_MAX_BYTES)?;
        at_most(record.recipient.len(), SLOT_RECIPIENT_MAX_BYTES)?;
        at_most(record.protected_identity.len(), SLOT_AGE_FILE_MAX_BYTES)?;
        at_most(record.wrapped_root.len(), SLOT_AGE_FILE_MAX_BYTES)?;
        Ok(record)
    }

    /// The identity that the passphrase protects in `file`, a scrypt age file whose cost is read before any work is done.
    fn stretch(&self, passphrase: &Secret, file: &[u8]) -> Result<x25519::Identity, SlotError> {
        let log2_n = work_factor(file).ok_or(SlotError::CannotUnlock)?;
        let cost = ScryptCost::new(log2_n).ok_or(SlotError::WorkFactor { log2_n })?;
        let mut key = age::scrypt::Identity::new(secret_string(passphrase));
        // A second guard, should age ever read another work factor than we did.
        key.set_max_work_factor(cost.log2_n());
        self.own_identity(&key, file)
    }

    /// The identity that `key` opens in `file`. It has to be the one of the slot's recipient.
    fn own_identity(&self, key: &dyn age::Identity, file: &[u8]) -> Result<x25519::Identity, SlotError> {
        let text = decrypt(key, file, IDENTITY_MAX_BYTES).ok_or(SlotError::CannotUnlock)?;
        let text = std::str::from_utf8(&text).map_err(|_| SlotError::CannotUnlock)?;
        find_identity(text, &self.recipient).ok_or(SlotError::CannotUnlock)
    }
}

impl Keyring {
    /// The root key, with vault id and epoch, as an age file for `recipient`.
    ///
    /// age's writer keeps the 52 bytes in a buffer that it does not wipe; see the head of this module.
    ///
    /// # Errors
    /// [`SlotError::Encrypt`], which no recipient of this type causes.
    ///
    /// # Panics
    /// Where the operating system gives no randomness: age knows no error for that.
    pub fn wrap_root(&self, recipient: &SlotRecipient) -> Result<Vec<u8>, SlotError> {
        let payload = self.root().to_payload(self.vault());
        age::encrypt(&recipient.0, payload.as_slice()).map_err(|_| SlotError::Encrypt)
    }
}

impl SlotRecipient {
    /// The public key of the one identity in an age identity file.
    ///
    /// # Errors
    /// [`SlotError::Recipient`] where there is none, or more than one.
    pub fn of_identity(text: &Secret) -> Result<Self, SlotError> {
        // EXPOSE: the public key is computed from the identity.
        let mut found = identities(text.expose());
        match (found.next(), found.next()) {
            (Some(identity), None) => Ok(Self(identity.to_public())),
            _ => Err(SlotError::Recipient),
        }
    }
}

impl From<x25519::Recipient> for SlotRecipient {
    fn from(recipient: x25519::Recipient) -> Self {
        Self(recipient)
    }
}

impl FromStr for SlotRecipient {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        at_most(text.len(), SLOT_RECIPIENT_MAX_BYTES)?;
        text.parse().map(Self).map_err(|_| SlotError::Recipient)
    }
}

impl fmt::Display for SlotRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SlotRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotRecipient({self})")
    }
}

/// A fresh identity for an identity file or a recovery sheet (`AGE-SECRET-KEY-1…`), and its public key (`age1…`).
///
/// # Panics
/// Where the operating system gives no randomness: age knows no error for that.
#[must_use]
pub fn generate_identity() -> (Secret, String) {
    let identity = x25519::Identity::generate();
    // EXPOSE: the text moves from age's secret type into ours.
    (Secret::copy_of(identity.to_string().expose_secret()), identity.to_public().to_string())
}

pub(super) fn secret_string(secret: &Secret) -> SecretString {
    // EXPOSE: age takes a passphrase in its own wiping type.
    SecretString::from(secret.expose().to_owned())
}

pub(super) fn at_most(bytes: usize, max: usize) -> Result<(), SlotError> {
    if bytes > max { Err(SlotError::TooLong { bytes, max }) } else { Ok(()) }
}

fn encode_id<C, W: minicbor::encode::Write>(
    id: &SlotId,
    encoder: &mut minicbor::Encoder<W>,
    _: &mut C,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    encoder.bytes(id.as_bytes())?.ok()
}

fn decode_id<C>(decoder: &mut minicbor::Decoder<'_>, _: &mut C) -> Result<SlotId, minicbor::decode::Error> {
    let bytes = decoder.bytes()?.try_into();
    bytes.map(SlotId::from_bytes).map_err(|_| minicbor::decode::Error::message("a slot id has 16 bytes"))
}
