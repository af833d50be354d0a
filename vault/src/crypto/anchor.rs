//! The bytes of the anchor: what is remembered of a vault outside its folder. Knows no file.
//!
//! The file has two slots of 512 bytes, written in turn, so that a torn write leaves the other one whole. A slot is:
//!
//! ```text
//! magic 8 | version u8 = 1 | zeros 7 | vault id 16 | sequence u64 BE | commitment 32 | counter u64 BE | header hash 32
//! | mac 32 | next commitment 32, its mac 32, or zeros | zeros | SHA-256 of the 480 bytes before it
//! ```

use ring::digest;
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::keyring::{Commitment, Keyring};
use crate::model::VaultId;

/// Length of one slot: a sector of every disk still in use, so that a slot is written whole or not at all.
pub const ANCHOR_SLOT_BYTES: usize = 512;
/// Length of the whole file.
pub const ANCHOR_FILE_BYTES: usize = 2 * ANCHOR_SLOT_BYTES;

/// What is remembered of a vault: which root key it has, and which header it had at least.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// Which vault.
    pub vault: VaultId,
    /// Which writing of the anchor this is; the highest valid one counts.
    pub sequence: u64,
    /// The commitment to the root key.
    pub commitment: Commitment,
    /// The counter of the header.
    pub counter: u64,
    /// The SHA-256 of that sealed header.
    pub header_hash: [u8; 32],
    /// The root key that may be the vault's by now: announced before the commit that installs it.
    pub next: Option<Announcement>,
}

/// A root key that is about to be installed.
#[derive(Clone, Copy, Debug)]
pub struct Announcement {
    commitment: Commitment,
    mac: [u8; 32],
}

/// Why an anchor was not accepted.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnchorError {
    /// Not of an anchor file's length.
    #[error("the anchor has {bytes} bytes instead of {ANCHOR_FILE_BYTES}")]
    Length {
        /// Length of the file.
        bytes: usize,
    },
    /// Neither slot is whole.
    #[error("neither slot of the anchor is whole")]
    NoSlot,
    /// A newer program wrote it.
    #[error("anchor format {version} is not known")]
    UnknownVersion {
        /// The version of the newer slot.
        version: u8,
    },
    /// Both slots are whole and claim to be the same writing, with different contents.
    #[error("both slots of the anchor claim sequence {sequence}")]
    Conflict {
        /// The sequence that both claim.
        sequence: u64,
    },
    /// Not written with this vault's root key.
    #[error("the anchor is not authentic")]
    Authentication,
}

impl Anchor {
    /// The bytes of one slot, authenticated under the root key.
    #[must_use]
    pub fn encode_slot(&self, keyring: &Keyring) -> [u8; ANCHOR_SLOT_BYTES] {
        let mut slot = [0; ANCHOR_SLOT_BYTES];
        let body = self.body();
        slot[..BODY_BYTES].copy_from_slice(&body);
        slot[BODY_BYTES..NEXT_AT].copy_from_slice(&keyring.anchor_mac(&body));
        if let Some(next) = &self.next {
            slot[NEXT_AT..NEXT_AT + 32].copy_from_slice(next.commitment.as_bytes());
            slot[NEXT_AT + 32..NEXT_END].copy_from_slice(&next.mac);
        }
        let checksum = checksum(&slot);
        slot[CHECKSUM_AT..].copy_from_slice(&checksum);
        slot
    }

    /// The whole slot of the highest sequence: its index (0 or 1), what it says, and its MAC, which is not checked yet.
    ///
    /// # Errors
    /// [`AnchorError`], all but its `Authentication`.
    pub fn decode(file: &[u8]) -> Result<(usize, Self, [u8; 32]), AnchorError> {
        let slots = match file.as_chunks::<ANCHOR_SLOT_BYTES>() {
            ([first, second], []) => [first, second],
            _ => return Err(AnchorError::Length { bytes: file.len() }),
        };
        match slots.map(read_slot) {
            [None, None] => Err(AnchorError::NoSlot),
            [Some(first), None] => first.map(|(anchor, mac)| (0, anchor, mac)),
            [None, Some(second)] => second.map(|(anchor, mac)| (1, anchor, mac)),
            [Some(first), Some(second)] => {
                let (first, second) = (first?, second?);
                if first.0.sequence == second.0.sequence && slots[0] != slots[1] {
                    return Err(AnchorError::Conflict { sequence: first.0.sequence });
                }
                let index = usize::from(second.0.sequence > first.0.sequence);
                let (anchor, mac) = if index == 0 { first } else { second };
                Ok((index, anchor, mac))
            }
        }
    }

    /// What one slot says by itself, and its MAC, which is not checked yet.
    ///
    /// # Errors
    /// [`AnchorError::NoSlot`], [`AnchorError::UnknownVersion`].
    pub fn decode_slot(slot: &[u8; ANCHOR_SLOT_BYTES]) -> Result<(Self, [u8; 32]), AnchorError> {
        read_slot(slot).unwrap_or(Err(AnchorError::NoSlot))
    }

    /// Checks that the anchor was written with this keyring's root key.
    ///
    /// # Errors
    /// [`AnchorError::Authentication`] where it was not.
    pub fn check_mac(&self, keyring: &Keyring, mac: &[u8; 32]) -> Result<(), AnchorError> {
        let right: bool = keyring.anchor_mac(&self.body()).ct_eq(mac).into();
        right.then_some(()).ok_or(AnchorError::Authentication)
    }

    /// This anchor, announcing the root key of `next`.
    #[must_use]
    pub fn announcing(self, next: &Keyring) -> Self {
        let commitment = next.commitment();
        let mac = next.anchor_mac(&self.announced(&commitment));
        Self { next: Some(Announcement { commitment, mac }), ..self }
    }

    /// Whether it announces the root key of this keyring.
    ///
    /// The MAC is that of the announced key, since whoever opens the vault after the commit has no other. An anchor is
    /// believed for where it lies; the MAC ties the announcement to this vault and to the key before.
    #[must_use]
    pub fn announces(&self, keyring: &Keyring) -> bool {
        self.next.is_some_and(|next| {
            let mac = keyring.anchor_mac(&self.announced(&next.commitment));
            next.commitment.check(&keyring.commitment()) && bool::from(mac.ct_eq(&next.mac))
        })
    }

    /// Whether a root key of this commitment may be the vault's: it is the one that is remembered, or was announced.
    #[must_use]
    pub fn may_be(&self, commitment: &Commitment) -> bool {
        self.commitment.check(commitment) || self.next.is_some_and(|next| next.commitment.check(commitment))
    }

    /// Checks that the anchor is this keyring's: written with its root key, or announcing it.
    ///
    /// # Errors
    /// [`AnchorError::Authentication`] where it is neither.
    pub fn check(&self, keyring: &Keyring, mac: &[u8; 32]) -> Result<(), AnchorError> {
        if !self.commitment.check(&keyring.commitment()) && self.announces(keyring) {
            return Ok(());
        }
        self.check_mac(keyring, mac)
    }

    /// What the MAC of an announcement is over.
    fn announced(&self, next: &Commitment) -> [u8; 80] {
        let mut body = [0; 80];
        body[..16].copy_from_slice(self.vault.as_bytes());
        body[16..48].copy_from_slice(self.commitment.as_bytes());
        body[48..].copy_from_slice(next.as_bytes());
        body
    }

    /// What the MAC is over: everything before it.
    fn body(&self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        body[..8].copy_from_slice(MAGIC);
        body[8] = ANCHOR_VERSION;
        body[16..32].copy_from_slice(self.vault.as_bytes());
        body[32..40].copy_from_slice(&self.sequence.to_be_bytes());
        body[40..72].copy_from_slice(self.commitment.as_bytes());
        body[72..80].copy_from_slice(&self.counter.to_be_bytes());
        body[80..].copy_from_slice(&self.header_hash);
        body
    }
}

/// The anchor of a slot and its MAC; `None` where the slot is torn or was never written.
fn read_slot(slot: &[u8; ANCHOR_SLOT_BYTES]) -> Option<Result<(Anchor, [u8; 32]), AnchorError>> {
    if slot[CHECKSUM_AT..] != checksum(slot) || !slot.starts_with(MAGIC) {
        return None;
    }
    let version = slot[8];
    if version != ANCHOR_VERSION {
        return Some(Err(AnchorError::UnknownVersion { version }));
    }
    let anchor = Anchor {
        vault: VaultId::from_bytes(chunk(slot, 16)?),
        sequence: u64::from_be_bytes(chunk(slot, 32)?),
        commitment: Commitment::from_bytes(chunk(slot, 40)?),
        counter: u64::from_be_bytes(chunk(slot, 72)?),
        header_hash: chunk(slot, 80)?,
        next: (slot[NEXT_AT..NEXT_END] != [0; 64]).then_some(Announcement {
            commitment: Commitment::from_bytes(chunk(slot, NEXT_AT)?),
            mac: chunk(slot, NEXT_AT + 32)?,
        }),
    };
    // What has no meaning yet is zero, so that a slot has one spelling.
    let zeros = slot[NEXT_END..CHECKSUM_AT].iter().all(|byte| *byte == 0);
    (zeros && slot.starts_with(&anchor.body())).then_some(Ok((anchor, chunk(slot, BODY_BYTES)?)))
}

/// The `N` bytes of a slot that start at `at`.
fn chunk<const N: usize>(slot: &[u8; ANCHOR_SLOT_BYTES], at: usize) -> Option<[u8; N]> {
    slot.get(at..)?.first_chunk().copied()
}

/// The SHA-256 of a slot, its checksum aside. Finds torn writes; the MAC finds everything else.
fn checksum(slot: &[u8; ANCHOR_SLOT_BYTES]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, &slot[..CHECKSUM_AT]).as_ref());
    sum
}

/// What every slot starts with.
const MAGIC: &[u8; 8] = b"LATCHANC";
/// The version of this layout.
const ANCHOR_VERSION: u8 = 1;
/// Length of what the MAC is over.
const BODY_BYTES: usize = 112;
/// Where the next commitment starts, behind the MAC.
const NEXT_AT: usize = BODY_BYTES + 32;
/// Behind the next commitment and its MAC.
const NEXT_END: usize = NEXT_AT + 64;
/// Where the checksum starts.
const CHECKSUM_AT: usize = ANCHOR_SLOT_BYTES - 32;
