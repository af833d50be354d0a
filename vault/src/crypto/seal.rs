//! The sealed blob of format 1: one padded plaintext under a key of its own, bound to its place. Knows no root key, no
//! slot and no table.
//!
//! ```text
//! version u8 = 1 | algorithm u8 = 1 | epoch u32 BE | incarnation u32 BE | salt 32 | commitment 32 | ciphertext | tag 16
//! ```
//!
//! Each write draws a salt of 256 random bits and derives from it 64 bytes: the AES-256-GCM key of this one blob, and a
//! commitment to it. Since a key seals once, its nonce is constant: two blobs share (key, nonce) only where two salts
//! collide within one context, which for 2^64 writes has a chance below 2^-128 (NIST SP 800-38D section 8 asks for
//! 2^-32). The commitment makes a ciphertext that opens under two keys useless: GCM alone is not key-committing
//! (Dodis et al., "Fast Message Franking", CRYPTO 2018; Albertini et al., USENIX Security 2022).

use std::fmt;

use ring::{
    hkdf::Prk,
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    aead::{self, TAG_BYTES},
    derive::{expand, label, vault_prk},
    padding,
    place::{PLACE_BYTES, Place},
};
use crate::{limits::RECORD_MAX_BYTES, model::VaultId};

/// The format that is written, and the only one that is opened.
pub const FORMAT_VERSION: u8 = 1;

/// A sealed blob: ciphertext that is valid at one [`Place`] of one vault.
///
/// Nothing is checked until it is opened. Its `Debug` form shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Takes stored bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The incarnation that the head names, to be believed once the blob has been opened; none where it is too short.
    #[must_use]
    pub fn incarnation(&self) -> Option<u32> {
        let bytes = self.0.get(6..10)?;
        Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to store, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Why nothing was sealed.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The plaintext is longer than a record may be.
    #[error("a record of {bytes} bytes is longer than {RECORD_MAX_BYTES}")]
    TooLong {
        /// Length of the plaintext.
        bytes: usize,
    },
    /// The operating system gave no randomness.
    #[error("the operating system's random source failed")]
    NoRandomness,
    /// The cipher refused; no input within the bounds above makes it do so.
    #[error("the cipher refused to seal")]
    Cipher,
}

/// Why a blob was not opened. Nothing of its plaintext was released.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than the shortest blob.
    #[error("a sealed blob of {bytes} bytes is too short")]
    TooShort {
        /// Length of the blob.
        bytes: usize,
    },
    /// Longer than the longest blob.
    #[error("a sealed blob of {bytes} bytes is too long")]
    TooLong {
        /// Length of the blob.
        bytes: usize,
    },
    /// Not the format that this program reads.
    #[error("sealed format {version} is not known")]
    UnknownVersion {
        /// The first byte.
        version: u8,
    },
    /// Not an algorithm of this format.
    #[error("sealing algorithm {algorithm} is not known")]
    UnknownAlgorithm {
        /// The second byte.
        algorithm: u8,
    },
    /// There is no data key of this epoch: it is from another vault, was retired, or never was.
    #[error("there is no data key of epoch {epoch}")]
    UnknownEpoch {
        /// The epoch asked for.
        epoch: u32,
    },
    /// Not sealed under this key for this place: another vault, kind, id, revision, epoch, incarnation or salt.
    #[error("the key commitment does not match: sealed under another key or for another place")]
    Commitment,
    /// The ciphertext or its tag was changed.
    #[error("the ciphertext is not authentic")]
    Authentication,
    /// Authentic, but not padded as this format pads.
    #[error("the padding is malformed")]
    Padding,
    /// The list of data keys is empty, too long or names an epoch twice, or one of them is no key.
    #[error("the list of data keys is malformed")]
    DataKeys,
}

/// The clear head of a blob: which keys and which life of the vault it was sealed in. Authenticated when opened.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) epoch: u32,
    pub(super) incarnation: u32,
}

impl Head {
    /// Reads the head, without authenticating it.
    pub(super) fn read(sealed: &[u8]) -> Result<Self, OpenError> {
        let short = OpenError::TooShort { bytes: sealed.len() };
        match sealed {
            [FORMAT_VERSION, ALGORITHM_AES_256_GCM, ..] => {}
            [FORMAT_VERSION, algorithm, ..] => return Err(OpenError::UnknownAlgorithm { algorithm: *algorithm }),
            [FORMAT_VERSION] | [] => return Err(short),
            [version, ..] => return Err(OpenError::UnknownVersion { version: *version }),
        }
        let Some(([_, _, epoch @ .., i0, i1, i2, i3], _)) = sealed.split_first_chunk::<HEAD_BYTES>() else {
            return Err(short);
        };
        Ok(Self { epoch: u32::from_be_bytes(*epoch), incarnation: u32::from_be_bytes([*i0, *i1, *i2, *i3]) })
    }

    fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [FORMAT_VERSION, ALGORITHM_AES_256_GCM, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[2..6].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[6..].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes
    }
}

/// What seals and opens under one root or data key. Holds HKDF's pseudorandom key, never a blob's.
pub(super) struct Sealer {
    vault: VaultId,
    prk: Prk,
}

impl Sealer {
    /// A sealer for the pseudorandom key of `key` under `label`.
    pub(super) fn new(label: &[u8], vault: VaultId, key: &[u8; 32]) -> Self {
        Self { vault, prk: vault_prk(label, vault, key) }
    }

    /// The pseudorandom key, from which the other keys of this root or data key are expanded.
    pub(super) fn prk(&self) -> &Prk {
        &self.prk
    }

    /// Seals under a fresh random salt.
    pub(super) fn seal(&self, head: Head, place: Place, plaintext: &[u8]) -> Result<Sealed, SealError> {
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(|_| SealError::NoRandomness)?;
        self.seal_with_salt(head, place, plaintext, &salt)
    }

    /// Seals under this salt, which no two writes may share.
    pub(super) fn seal_with_salt(
        &self,
        head: Head,
        place: Place,
        plaintext: &[u8],
        salt: &[u8; SALT_BYTES],
    ) -> Result<Sealed, SealError> {
        let too_long = SealError::TooLong { bytes: plaintext.len() };
        if plaintext.len() > RECORD_MAX_BYTES {
            return Err(too_long);
        }
        let context = self.context(head, place);
        let keys = self.blob_keys(salt, &context);
        // Holds plaintext until it is encrypted in place: one buffer of the final size, wiped if that fails.
        let total = BODY_AT + padding::padded_bytes(plaintext.len()) + TAG_BYTES;
        let mut out = Zeroizing::new(Vec::with_capacity(total));
        out.extend_from_slice(&head.to_bytes());
        out.extend_from_slice(salt);
        out.extend_from_slice(keys.commitment());
        padding::pad_into(&mut out, plaintext).ok_or(too_long)?;
        let tag =
            aead::seal_in_place(keys.cipher(), NONCE, &context, &mut out[BODY_AT..]).map_err(|_| SealError::Cipher)?;
        out.extend_from_slice(&tag);
        Ok(Sealed(std::mem::take(&mut *out)))
    }

    /// Opens what was sealed at `place` under this key.
    pub(super) fn open(&self, place: Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let head = Head::read(sealed)?;
        let bytes = sealed.len();
        if bytes > SEALED_MAX_BYTES {
            return Err(OpenError::TooLong { bytes });
        }
        let (_, rest) = sealed.split_at(HEAD_BYTES);
        let parts = rest.split_first_chunk::<SALT_BYTES>().and_then(|(salt, rest)| {
            let (commitment, body) = rest.split_first_chunk::<COMMITMENT_BYTES>()?;
            (body.len() >= BODY_MIN_BYTES).then_some((salt, commitment, body))
        });
        let (salt, commitment, body) = parts.ok_or(OpenError::TooShort { bytes })?;

        let context = self.context(head, place);
        let keys = self.blob_keys(salt, &context);
        if !bool::from(keys.commitment().ct_eq(commitment)) {
            return Err(OpenError::Commitment);
        }
        let mut text = Zeroizing::new(body.to_vec());
        let length =
            aead::open_in_place(keys.cipher(), NONCE, &context, &mut text).map_err(|_| OpenError::Authentication)?;
        text.truncate(length);
        padding::unpad(&mut text).ok_or(OpenError::Padding)?;
        Ok(text)
    }

    /// What a blob is bound to, as associated data and within the derivation: head, vault id, place.
    pub(super) fn context(&self, head: Head, place: Place) -> [u8; CONTEXT_BYTES] {
        let mut context = [0; CONTEXT_BYTES];
        context[..10].copy_from_slice(&head.to_bytes());
        context[10..26].copy_from_slice(self.vault.as_bytes());
        context[26..].copy_from_slice(&place.to_bytes());
        context
    }

    /// The AES key of one blob, to show what GCM alone would accept under it.
    #[cfg(test)]
    pub(super) fn blob_cipher(&self, head: Head, place: Place, salt: &[u8; SALT_BYTES]) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.blob_keys(salt, &self.context(head, place)).cipher());
        key
    }

    fn blob_keys(&self, salt: &[u8; SALT_BYTES], context: &[u8; CONTEXT_BYTES]) -> BlobKeys {
        BlobKeys(expand(&self.prk, &[label::SEAL, salt, context]))
    }
}

/// The 64 bytes derived for one blob: its AES key, then the commitment to it.
struct BlobKeys(Zeroizing<[u8; 64]>);

impl BlobKeys {
    fn cipher(&self) -> &[u8] {
        &self.0[..32]
    }

    fn commitment(&self) -> &[u8] {
        &self.0[32..]
    }
}

/// AES-256-GCM with HKDF-SHA256, the one algorithm of format 1.
const ALGORITHM_AES_256_GCM: u8 = 1;
/// Every key seals once, so that its nonce need not vary (see the head of this file).
const NONCE: [u8; 12] = [0; 12];
/// Version, algorithm, epoch, incarnation.
const HEAD_BYTES: usize = 1 + 1 + 4 + 4;
/// 256 bits: collisions are out of reach for any number of writes.
const SALT_BYTES: usize = 32;
/// 256 bits: finding two keys with one commitment costs 2^128.
const COMMITMENT_BYTES: usize = 32;
/// Where the ciphertext starts.
const BODY_AT: usize = HEAD_BYTES + SALT_BYTES + COMMITMENT_BYTES;
/// The smallest size class and its tag.
const BODY_MIN_BYTES: usize = padding::padded_bytes(0) + TAG_BYTES;
/// The longest blob: the longest record in its size class.
const SEALED_MAX_BYTES: usize = BODY_AT + padding::padded_bytes(RECORD_MAX_BYTES) + TAG_BYTES;
/// Head, vault id, place: fixed lengths, so that no two contexts share their bytes.
const CONTEXT_BYTES: usize = HEAD_BYTES + 16 + PLACE_BYTES;
