//! The keys of one vault: made, loaded, rotated, and used to seal and open. Knows no slot's way of unlocking and no table.

use std::{collections::BTreeMap, fmt};

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    derive::{expand, label, mac_key, vault_prk},
    place::{Kind, Place},
    seal::{Head, OpenError, SealError, Sealed, Sealer},
};
use crate::model::VaultId;

/// Most data keys that one keyring holds: each is a removal of a slot whose re-seal has not ended.
pub const EPOCHS_MAX: usize = 64;

/// The operating system gave no randomness, so no key was made.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the operating system's random source failed")]
pub struct NoRandomness;

/// Why no new keys were made.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotateError {
    /// The operating system gave no randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Too many epochs still wait for their re-seal, or the epochs' numbers are used up.
    #[error("epoch {epoch} cannot be followed: {held} of at most {EPOCHS_MAX} data keys are held")]
    TooManyEpochs {
        /// The current epoch.
        epoch: u32,
        /// How many data keys are held.
        held: usize,
    },
}

/// Why a blob was not sealed again.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResealError {
    /// It does not open at its place.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The root key of a vault: 32 random bytes, wiped on drop, and the number of its epoch.
///
/// It comes out of a key slot and goes into [`Keyring::load`]; its bytes have no way out of this module. Anyone can wrap a
/// key of theirs for a slot, since age does not authenticate who wrote a file: so its [`RootKey::commitment`] is
/// compared with the one that is known before anything is trusted to it.
pub struct RootKey {
    epoch: u32,
    bytes: KeyBytes,
}

impl RootKey {
    /// The commitment to this key within `vault`.
    #[must_use]
    pub fn commitment(&self, vault: VaultId) -> Commitment {
        let prk = vault_prk(label::ROOT, vault, &self.bytes);
        Commitment(*expand(&prk, &[label::COMMITMENT, &self.epoch.to_be_bytes()]))
    }

    /// Vault id, root epoch and key, as a key slot wraps them.
    pub(super) fn to_payload(&self, vault: VaultId) -> Zeroizing<[u8; ROOT_PAYLOAD_BYTES]> {
        let mut payload = Zeroizing::new([0; ROOT_PAYLOAD_BYTES]);
        payload[..16].copy_from_slice(vault.as_bytes());
        payload[16..20].copy_from_slice(&self.epoch.to_be_bytes());
        payload[20..].copy_from_slice(self.bytes.as_slice());
        payload
    }

    /// The key of an unwrapped payload; `None` where it is malformed or another vault's.
    pub(super) fn from_payload(vault: VaultId, payload: &[u8]) -> Option<Self> {
        let (owner, rest) = payload.split_first_chunk::<16>()?;
        let (epoch, key) = rest.split_first_chunk::<4>()?;
        if owner != vault.as_bytes() || key.len() != 32 {
            return None;
        }
        let mut bytes = KeyBytes::default();
        bytes.copy_from_slice(key);
        Some(Self { epoch: u32::from_be_bytes(*epoch), bytes })
    }

    fn generate(epoch: u32) -> Result<Self, NoRandomness> {
        Ok(Self { epoch, bytes: generate_key()? })
    }

    /// The same key for the keyring that follows.
    fn duplicate(&self) -> Self {
        Self { epoch: self.epoch, bytes: self.bytes.clone() }
    }

    #[cfg(test)]
    pub(super) fn from_parts(epoch: u32, bytes: [u8; 32]) -> Self {
        Self { epoch, bytes: Box::new(Zeroizing::new(bytes)) }
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey([redacted])")
    }
}

/// What is known of a root key without having it: 32 bytes, derived from the key, its epoch and the vault id.
#[derive(Clone, Copy, Debug)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// The commitment of these stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether both commit to the same key, in constant time.
    #[must_use]
    pub fn check(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Root key and data keys of one vault: seals, opens and authenticates, and never hands a key out.
///
/// Blobs are sealed in the current epoch and incarnation, and opened in those that they name. Kept are the keys and what
/// HKDF extracts from them once, never the key of a blob.
pub struct Keyring {
    vault: VaultId,
    incarnation: u32,
    root: RootKey,
    root_sealer: Sealer,
    pub(super) slots_key: hmac::Key,
    pub(super) anchor_key: hmac::Key,
    /// The highest epoch: what is written, is written in it.
    current: EpochKeys,
    /// The epochs before it that something may still be sealed in.
    older: BTreeMap<u32, EpochKeys>,
    /// Epochs that ended while this process ran: they open what it has in hand, seal nothing and are stored nowhere.
    lingering: BTreeMap<u32, EpochKeys>,
}

impl Keyring {
    /// New keys for a new vault: root epoch 1, data epoch 1, incarnation 1.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives none.
    pub fn generate(vault: VaultId) -> Result<Self, NoRandomness> {
        let current = EpochKeys::new(vault, 1, generate_key()?);
        Ok(Self::assemble(vault, 1, RootKey::generate(1)?, current, BTreeMap::new()))
    }

    /// The keyring of an unlocked root key and the stored data keys; the highest epoch is the current one.
    ///
    /// Whoever can write the vault can leave out its newest data key, and whoever made `root` can make data keys for it.
    /// So the caller compares [`Keyring::commitment`] with the anchor's and [`Keyring::epoch`] with the header's.
    ///
    /// # Errors
    /// [`OpenError::DataKeys`] for an empty list, one beyond [`EPOCHS_MAX`], a repeated epoch, or one that holds no key;
    /// else why a data key does not open under this root key.
    pub fn load(
        root: RootKey,
        vault: VaultId,
        incarnation: u32,
        data_keys: &[(u32, Sealed)],
    ) -> Result<Self, OpenError> {
        if data_keys.len() > EPOCHS_MAX {
            return Err(OpenError::DataKeys);
        }
        let sealer = Sealer::new(label::ROOT, vault, &root.bytes);
        let mut epochs = BTreeMap::new();
        for (epoch, sealed) in data_keys {
            let plain = sealer.open(data_key_place(vault, *epoch), sealed.as_bytes())?;
            if plain.len() != 32 {
                return Err(OpenError::DataKeys);
            }
            let mut key = KeyBytes::default();
            key.copy_from_slice(&plain);
            if epochs.insert(*epoch, EpochKeys::new(vault, *epoch, key)).is_some() {
                return Err(OpenError::DataKeys);
            }
        }
        let (_, current) = epochs.pop_last().ok_or(OpenError::DataKeys)?;
        Ok(Self::assemble(vault, incarnation, root, current, epochs))
    }

    /// The keyring that follows this one when a slot is removed: a new root key and a new data key, each one epoch on.
    ///
    /// It keeps the older data keys, so that it opens what is not yet sealed again. Incarnation and vault stay.
    ///
    /// # Errors
    /// [`RotateError::TooManyEpochs`] where earlier re-seals have to end first; [`RotateError::NoRandomness`].
    pub fn rotated(&self) -> Result<Self, RotateError> {
        let root_epoch = self.root.epoch.checked_add(1).ok_or_else(|| self.too_many())?;
        self.followed_by(RootKey::generate(root_epoch)?)
    }

    /// The keyring that follows this one when the data key is replaced: the same root key, the next epoch.
    ///
    /// # Errors
    /// As [`Keyring::rotated`].
    pub fn with_new_data_key(&self) -> Result<Self, RotateError> {
        self.followed_by(self.root.duplicate())
    }

    /// This keyring without the data keys before the current one, which linger: nothing is stored under them any more.
    #[must_use]
    pub fn without_older(&self) -> Self {
        let (current, lingering) = (self.current.duplicate(self.vault), self.copies());
        let mut next = Self::assemble(self.vault, self.incarnation, self.root.duplicate(), current, BTreeMap::new());
        next.lingering = lingering.into_iter().filter(|(epoch, _)| *epoch != next.current.epoch).collect();
        next
    }

    /// The keyring of the data keys that are stored by now, under the root key of this one; what was retired lingers.
    ///
    /// # Errors
    /// As [`Keyring::load`]: above all, where another root key was installed.
    pub fn reloaded(&self, data_keys: &[(u32, Sealed)]) -> Result<Self, OpenError> {
        let mut next = Self::load(self.root.duplicate(), self.vault, self.incarnation, data_keys)?;
        next.lingering = self.copies();
        next.lingering.retain(|epoch, _| *epoch != next.current.epoch && !next.older.contains_key(epoch));
        Ok(next)
    }

    /// Forgets the data key of an epoch that nothing uses any more; false for the current epoch and for unknown ones.
    pub fn retire(&mut self, epoch: u32) -> bool {
        self.older.remove(&epoch).is_some()
    }

    /// Which vault these keys belong to.
    #[must_use]
    pub const fn vault(&self) -> VaultId {
        self.vault
    }

    /// The current data epoch, in which everything is sealed.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.current.epoch
    }

    /// The epoch of the root key; it grows whenever the root key is replaced.
    #[must_use]
    pub const fn root_epoch(&self) -> u32 {
        self.root.epoch
    }

    /// The lowest epoch before the current one that something may still be sealed in.
    #[must_use]
    pub fn older_epoch(&self) -> Option<u32> {
        self.older.keys().next().copied()
    }

    /// Whether something may be stored in this epoch.
    #[must_use]
    pub fn is_stored(&self, epoch: u32) -> bool {
        epoch == self.current.epoch || self.older.contains_key(&epoch)
    }

    /// The data epochs whose keys are held, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = u32> {
        self.every_epoch().map(|keys| keys.epoch)
    }

    /// The current incarnation, in which everything is sealed; it grows when a backup is restored.
    #[must_use]
    pub const fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Seals in this incarnation from now on.
    pub const fn set_incarnation(&mut self, incarnation: u32) {
        self.incarnation = incarnation;
    }

    /// The data keys, each sealed afresh under the root key and bound to its epoch, ascending.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`] when the operating system gives none.
    pub fn sealed_data_keys(&self) -> Result<Vec<(u32, Sealed)>, SealError> {
        let seal = |keys: &EpochKeys| {
            let head = Head { epoch: keys.epoch, incarnation: self.incarnation };
            let place = data_key_place(self.vault, keys.epoch);
            Ok((keys.epoch, self.root_sealer.seal(head, place, keys.key.as_slice())?))
        };
        self.every_epoch().map(seal).collect()
    }

    /// The commitment to the root key, for the anchor.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        self.root.commitment(self.vault)
    }

    /// Seals `plaintext` for `place`, in the current epoch and incarnation, under a key of its own.
    ///
    /// The blob's length depends on the plaintext's size class only: 90 bytes more than the padded plaintext.
    ///
    /// # Errors
    /// [`SealError::TooLong`] beyond [`crate::limits::RECORD_MAX_BYTES`]; [`SealError::NoRandomness`].
    pub fn seal(&self, place: Place, plaintext: &[u8]) -> Result<Sealed, SealError> {
        let head = Head { epoch: self.current.epoch, incarnation: self.incarnation };
        self.current.sealer.seal(head, place, plaintext)
    }

    /// Opens what was sealed for `place`, in whatever epoch and incarnation it names.
    ///
    /// # Errors
    /// The first of the checks that failed, in this order: version, algorithm, length, epoch, commitment, authenticity,
    /// padding. No plaintext is released by any of them.
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.epoch_keys(Head::read(sealed)?.epoch)?.sealer.open(place, sealed)
    }

    /// Seals a blob again in the current epoch, at its place; it keeps the incarnation that it was written in.
    ///
    /// # Errors
    /// [`ResealError`]: it does not open, or cannot be sealed.
    pub fn reseal(&self, place: Place, sealed: &[u8]) -> Result<Sealed, ResealError> {
        let plain = self.open(place, sealed)?;
        self.reseal_as(place, sealed, &plain)
    }

    /// Seals `plaintext` in place of a blob that was opened, in the incarnation that the blob names.
    ///
    /// # Errors
    /// As [`Keyring::reseal`].
    pub fn reseal_as(&self, place: Place, opened: &[u8], plaintext: &[u8]) -> Result<Sealed, ResealError> {
        let head = Head { epoch: self.current.epoch, incarnation: Head::read(opened)?.incarnation };
        Ok(self.current.sealer.seal(head, place, plaintext)?)
    }

    /// The epoch that the head of a blob names, not authenticated; `None` where there is no head of a known format.
    #[must_use]
    pub fn epoch_of(sealed: &[u8]) -> Option<u32> {
        Head::read(sealed).ok().map(|head| head.epoch)
    }

    /// The keys of an epoch.
    pub(super) fn epoch_keys(&self, epoch: u32) -> Result<&EpochKeys, OpenError> {
        if epoch == self.current.epoch {
            return Ok(&self.current);
        }
        self.older.get(&epoch).or_else(|| self.lingering.get(&epoch)).ok_or(OpenError::UnknownEpoch { epoch })
    }

    /// The root key, for the slots that wrap it.
    pub(super) const fn root(&self) -> &RootKey {
        &self.root
    }

    /// The keys of every epoch, ascending.
    fn every_epoch(&self) -> impl Iterator<Item = &EpochKeys> {
        self.older.values().chain(std::iter::once(&self.current))
    }

    /// The keyring with this root key and a new data key, which holds all that this one stores.
    fn followed_by(&self, root: RootKey) -> Result<Self, RotateError> {
        let held = self.epochs().count();
        let Some(epoch) = self.epoch().checked_add(1).filter(|_| held < EPOCHS_MAX) else {
            return Err(self.too_many());
        };
        let current = EpochKeys::new(self.vault, epoch, generate_key()?);
        Ok(Self::assemble(self.vault, self.incarnation, root, current, self.copies()))
    }

    fn too_many(&self) -> RotateError {
        RotateError::TooManyEpochs { epoch: self.epoch(), held: self.epochs().count() }
    }

    /// Copies of the keys of every stored epoch.
    fn copies(&self) -> BTreeMap<u32, EpochKeys> {
        self.every_epoch().map(|keys| (keys.epoch, keys.duplicate(self.vault))).collect()
    }

    fn assemble(
        vault: VaultId,
        incarnation: u32,
        root: RootKey,
        current: EpochKeys,
        older: BTreeMap<u32, EpochKeys>,
    ) -> Self {
        let root_sealer = Sealer::new(label::ROOT, vault, &root.bytes);
        let slots_key = mac_key(root_sealer.prk(), label::SLOTS);
        let anchor_key = mac_key(root_sealer.prk(), label::ANCHOR);
        let lingering = BTreeMap::new();
        Self { vault, incarnation, root, root_sealer, slots_key, anchor_key, current, older, lingering }
    }

    /// A keyring of known keys, for golden vectors.
    #[cfg(test)]
    #[expect(clippy::unwrap_used, reason = "tests")]
    pub(super) fn from_parts(vault: VaultId, incarnation: u32, root: RootKey, data_keys: &[(u32, [u8; 32])]) -> Self {
        let keys =
            |(epoch, key): &(u32, [u8; 32])| (*epoch, EpochKeys::new(vault, *epoch, Box::new(Zeroizing::new(*key))));
        let mut older: BTreeMap<_, _> = data_keys.iter().map(keys).collect();
        let (_, current) = older.pop_last().unwrap();
        Self::assemble(vault, incarnation, root, current, older)
    }

    /// What seals data keys, for golden vectors.
    #[cfg(test)]
    pub(super) const fn root_sealer(&self) -> &Sealer {
        &self.root_sealer
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("vault", &self.vault)
            .field("epoch", &self.current.epoch)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

/// One data key, and what is derived from it once: the sealer and the MAC keys, each for one use.
pub(super) struct EpochKeys {
    epoch: u32,
    key: KeyBytes,
    pub(super) sealer: Sealer,
    pub(super) row: hmac::Key,
    pub(super) element: hmac::Key,
    pub(super) digest: hmac::Key,
    pub(super) audit: hmac::Key,
    pub(super) blind: hmac::Key,
}

impl EpochKeys {
    fn new(vault: VaultId, epoch: u32, key: KeyBytes) -> Self {
        let sealer = Sealer::new(label::DATA, vault, &key);
        let of = |label| mac_key(sealer.prk(), label);
        Self {
            row: of(label::ROW),
            element: of(label::ELEMENT),
            digest: of(label::DIGEST),
            audit: of(label::AUDIT),
            blind: of(label::BLIND),
            epoch,
            key,
            sealer,
        }
    }

    fn duplicate(&self, vault: VaultId) -> Self {
        Self::new(vault, self.epoch, self.key.clone())
    }
}

/// Key material on the heap, so that moving its owner leaves no copy behind.
type KeyBytes = Box<Zeroizing<[u8; 32]>>;

fn generate_key() -> Result<KeyBytes, NoRandomness> {
    let mut key = KeyBytes::default();
    SystemRandom::new().fill(key.as_mut_slice()).map_err(|_| NoRandomness)?;
    Ok(key)
}

/// Where the data key of an epoch belongs.
pub(super) fn data_key_place(vault: VaultId, epoch: u32) -> Place {
    Place { kind: Kind::DataKey, id: *vault.as_bytes(), rev: u64::from(epoch) }
}

/// Vault id, root epoch (big-endian), root key.
pub(super) const ROOT_PAYLOAD_BYTES: usize = 16 + 4 + 32;
