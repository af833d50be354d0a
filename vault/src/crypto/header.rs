//! The sealed header: one per group commit, the root of everything that the vault holds. Knows no table and no file.

use minicbor::{Decode, Encode};
use ring::digest;
use thiserror::Error;

use super::{
    cbor,
    keyring::Keyring,
    place::{Kind, Place},
    seal::{FORMAT_VERSION, OpenError, SealError, Sealed},
};
use crate::model::VaultId;

/// Most writers whose audit chains are open at once: the processes on one vault, with room.
pub const AUDIT_HEADS_MAX: usize = 64;

/// What the whole vault is held together by.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Header {
    /// Which header this is: one more at every group commit.
    #[n(1)]
    pub counter: u64,
    /// The root of the digest over all rows.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub digest_top: [u8; 32],
    /// Which list of key slots is valid: one more at every change.
    #[n(3)]
    pub slots_generation: u64,
    /// The MAC of that list.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub slots_mac: [u8; 32],
    /// The version of the tables.
    #[n(5)]
    pub schema_version: u32,
    /// The lowest sealed format that may still occur.
    #[n(6)]
    pub format_floor: u8,
    /// Which life of the vault this is: one more at every restored backup.
    #[n(7)]
    pub incarnation: u32,
    /// The current data epoch.
    #[n(8)]
    pub data_epoch: u32,
    /// Where each writer's audit chain ends; at most [`AUDIT_HEADS_MAX`].
    #[n(9)]
    pub audit: Vec<AuditHead>,
    /// When the vault was made, in Unix milliseconds.
    #[n(10)]
    pub created_ms: i64,
    /// The digest of the header log: the sum over the headers since the anchored one, this one excluded.
    #[cbor(n(11), with = "minicbor::bytes")]
    pub log_sum: [u8; 32],
    /// How far a change of keys has come; none where none runs.
    #[n(12)]
    pub rekey: Option<Rekey>,
    /// TOTP steps that begin at or before this time, by this machine's clock in Unix milliseconds, count as spent,
    /// whichever secret they are of; 0 where none do. It stands for a ledger of steps that was lost.
    #[cbor(n(13), skip_if = "is_zero")]
    pub steps_spent_until_ms: i64,
    /// When this incarnation began, in Unix milliseconds; 0 in the first.
    #[cbor(n(14), skip_if = "is_zero")]
    pub incarnation_since_ms: i64,
}

/// How far a change of the data key has come: everything is sealed again, part by part.
///
/// It is sealed with the header, so that nobody can make a vault believe that one runs, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rekey {
    /// What is being done.
    #[n(1)]
    pub stage: RekeyStage,
    /// The bucket of the digest that comes next in this stage.
    #[n(2)]
    pub bucket: u16,
    /// Links of the audit chain that are made again.
    #[n(3)]
    pub links: u64,
    /// The number of the last entry under them.
    #[n(4)]
    pub entries: u64,
    /// The last of the links made again: zeros before the first.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub new_link: [u8; 32],
    /// What stood in its place, which the next link follows: zeros before the first.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub old_link: [u8; 32],
}

/// The parts of a change of keys, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum RekeyStage {
    /// Rows are bound and sealed again.
    #[n(1)]
    Rows,
    /// What no account leads to any more is taken away.
    #[n(2)]
    Leftovers,
    /// The audit is sealed and linked again.
    #[n(3)]
    Audit,
    /// The old key is gone; its bytes are still to be taken out of the file's free space.
    #[n(4)]
    Scrub,
}

impl Rekey {
    /// Nothing is done yet.
    #[must_use]
    pub const fn begun() -> Self {
        Self { stage: RekeyStage::Rows, bucket: 0, links: 0, entries: 0, new_link: [0; 32], old_link: [0; 32] }
    }

    /// Whether something may still be sealed under the old key.
    #[must_use]
    pub fn needs_the_old_key(&self) -> bool {
        self.stage != RekeyStage::Scrub
    }
}

/// Where one writer's audit chain ends.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AuditHead {
    /// Which writer.
    #[n(1)]
    pub writer: u64,
    /// How many links its chain has.
    #[n(2)]
    pub links: u64,
    /// The number of its last entry.
    #[n(3)]
    pub last_seq: u64,
    /// Its last link.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub link: [u8; 32],
}

/// Why a header was not opened.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// It is not a header of this vault with this counter.
    #[error("the header {counter} does not open: {source}")]
    Open {
        /// The counter asked for.
        counter: u64,
        /// Why the blob does not open.
        source: OpenError,
    },
    /// Authentic, but not what this program writes.
    #[error("the header {counter} is malformed")]
    Malformed {
        /// The counter asked for.
        counter: u64,
    },
    /// Written by a newer program, which has left this one's format behind.
    #[error("the header {counter} asks for format {format_floor} or newer")]
    Newer {
        /// The counter asked for.
        counter: u64,
        /// The lowest format that may occur.
        format_floor: u8,
    },
}

impl Header {
    /// The header of a new vault, before its first commit: slot generation, data epoch and incarnation 1, and no rows.
    #[must_use]
    pub const fn first(schema_version: u32, slots_mac: [u8; 32], created_ms: i64) -> Self {
        Self {
            counter: 0,
            digest_top: [0; 32],
            slots_generation: 1,
            slots_mac,
            schema_version,
            format_floor: FORMAT_VERSION,
            incarnation: 1,
            data_epoch: 1,
            audit: Vec::new(),
            created_ms,
            log_sum: [0; 32],
            rekey: None,
            steps_spent_until_ms: 0,
            incarnation_since_ms: 0,
        }
    }

    /// Seals the header for its counter.
    ///
    /// # Errors
    /// [`SealError::TooLong`] with more than [`AUDIT_HEADS_MAX`] audit heads; [`SealError::NoRandomness`].
    pub fn seal(&self, keyring: &Keyring) -> Result<Sealed, SealError> {
        let plain = cbor::to_bytes(self);
        if self.audit.len() > AUDIT_HEADS_MAX {
            return Err(SealError::TooLong { bytes: plain.len() });
        }
        keyring.seal(place(keyring.vault(), self.counter), &plain)
    }

    /// Opens the header of this vault with this counter.
    ///
    /// # Errors
    /// [`HeaderError::Open`] where it is another vault's, another counter's, or changed; [`HeaderError::Malformed`] and
    /// [`HeaderError::Newer`] for authentic headers that this program cannot read.
    pub fn open(keyring: &Keyring, counter: u64, sealed: &[u8]) -> Result<Self, HeaderError> {
        let plain = keyring
            .open(place(keyring.vault(), counter), sealed)
            .map_err(|source| HeaderError::Open { counter, source })?;
        let header: Self = cbor::from_bytes(&plain).ok_or(HeaderError::Malformed { counter })?;
        if header.format_floor > FORMAT_VERSION {
            return Err(HeaderError::Newer { counter, format_floor: header.format_floor });
        }
        if header.counter != counter || header.audit.len() > AUDIT_HEADS_MAX {
            return Err(HeaderError::Malformed { counter });
        }
        Ok(header)
    }

    /// What an anchor remembers of a sealed header: its SHA-256.
    #[must_use]
    pub fn hash(sealed: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, sealed).as_ref());
        hash
    }
}

fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

fn place(vault: VaultId, counter: u64) -> Place {
    Place { kind: Kind::Header, id: *vault.as_bytes(), rev: counter }
}
