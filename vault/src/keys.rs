//! The keys behind the store's [`Binder`]: one keyring, shared, exchanged when the vault's keys change, never handed out.
//!
//! What a row is bound by again under newer keys is worked out in `rebind`.

mod rebind;

use std::sync::{Arc, PoisonError, RwLock};

use crate::{
    crypto::{Header, Keyring, Kind, Place, Sealed, Sum},
    store::{AccountNames, AccountRow, Binder, BlindIndex, ItemRow, KeyMaterial, NotAuthentic, OutboxRow, Reloaded},
    vault::checked_slots,
};

/// Binds rows under a vault's keyring, and follows it when another process changes the keys.
pub struct KeyBinder(RwLock<Held>);

struct Held {
    keys: Arc<Keyring>,
    /// The slot generation that the keys are of; none for keys that are not to change.
    generation: Option<u64>,
}

impl KeyBinder {
    /// Binds under these keys, whatever becomes of the vault's.
    #[must_use]
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self(RwLock::new(Held { keys, generation: None }))
    }

    /// Binds under these keys, which are of this slot generation, and under those that follow them.
    #[must_use]
    pub fn following(keys: Arc<Keyring>, generation: u64) -> Self {
        Self(RwLock::new(Held { keys, generation: Some(generation) }))
    }

    /// The keys as they are now. A caller that needs several uses of one epoch keeps what it got.
    #[must_use]
    pub fn keys(&self) -> Arc<Keyring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).keys)
    }

    /// Takes these keys in place of those of an earlier generation; older ones never come back.
    pub(crate) fn install(&self, keys: Arc<Keyring>, generation: u64) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if held.generation.is_some_and(|held| held < generation) {
            *held = Held { keys, generation: Some(generation) };
        }
    }

    /// The keys, where something may be stored in this epoch: what lingers authenticates no row.
    fn stored(&self, epoch: u32) -> Result<Arc<Keyring>, NotAuthentic> {
        Some(self.keys()).filter(|keys| keys.is_stored(epoch)).ok_or(NotAuthentic)
    }
}

impl Binder for KeyBinder {
    fn epoch(&self) -> u32 {
        self.keys().epoch()
    }

    fn older_epoch(&self) -> Option<u32> {
        self.keys().older_epoch()
    }

    fn is_stored(&self, epoch: u32) -> bool {
        self.keys().is_stored(epoch)
    }

    fn incarnation(&self) -> u32 {
        self.keys().incarnation()
    }

    fn generation(&self) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    fn reload(&self, material: &KeyMaterial, counter: u64, header: &[u8]) -> Result<Reloaded, NotAuthentic> {
        let keys = self.keys();
        match self.generation() {
            Some(held) if material.generation > held => {}
            Some(held) if material.generation < held => return Err(NotAuthentic),
            _ => return Ok(Reloaded::Nothing),
        }
        // Under another root key nothing opens; whether it is the vault's is for the next unlocking to tell.
        let Ok(mut next) = keys.reloaded(&material.data_keys) else { return Ok(Reloaded::OtherRoot) };
        checked_slots(&next, material).map_err(|_| NotAuthentic)?;
        let header = Header::open(&next, counter, header).map_err(|_| NotAuthentic)?;
        if (header.slots_generation, header.slots_mac) != (material.generation, material.slots_mac)
            || !agrees(&header, &next)
        {
            return Err(NotAuthentic);
        }
        next.set_incarnation(header.incarnation);
        self.install(Arc::new(next), material.generation);
        Ok(Reloaded::TakenUp)
    }

    fn row_mac(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<[u8; 32], NotAuthentic> {
        self.stored(epoch)?.row_mac(epoch, place, row_hash).map_err(|_| NotAuthentic)
    }

    fn element(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<Sum, NotAuthentic> {
        self.stored(epoch)?.element(epoch, place, row_hash).map_err(|_| NotAuthentic)
    }

    fn digest_root(&self, epoch: u32, groups: &[u8]) -> Result<[u8; 32], NotAuthentic> {
        self.stored(epoch)?.digest_root(epoch, groups).map_err(|_| NotAuthentic)
    }

    fn audit_link(
        &self,
        epoch: u32,
        previous: &[u8; 32],
        writer: u64,
        first: u64,
        last: u64,
        entries_hash: &[u8; 32],
    ) -> Result<[u8; 32], NotAuthentic> {
        self.stored(epoch)?.audit_link(epoch, previous, writer, first, last, entries_hash).map_err(|_| NotAuthentic)
    }

    fn log_element(&self, epoch: u32, counter: u64, header_hash: &[u8; 32]) -> Result<Sum, NotAuthentic> {
        let place = Place { kind: Kind::Header, id: *self.keys().vault().as_bytes(), rev: counter };
        self.element(epoch, place, header_hash)
    }

    fn seal_group(&self, group: u8, counter: u64, sums: &[u8]) -> Result<Sealed, NotAuthentic> {
        self.keys().seal(group_place(group, counter), sums).map_err(|_| NotAuthentic)
    }

    fn open_group(&self, group: u8, counter: u64, sealed: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
        let sums = self.keys().open(group_place(group, counter), sealed).map_err(|_| NotAuthentic)?;
        Ok(sums.to_vec())
    }

    fn seal_header(&self, header: &Header) -> Result<Sealed, NotAuthentic> {
        header.seal(&self.keys()).map_err(|_| NotAuthentic)
    }

    fn open_header(&self, counter: u64, sealed: &[u8]) -> Result<Header, NotAuthentic> {
        Header::open(&self.keys(), counter, sealed).map_err(|_| NotAuthentic)
    }

    fn reseal(&self, place: Place, sealed: &Sealed) -> Result<Option<Sealed>, NotAuthentic> {
        rebind::reseal(&self.keys(), place, sealed)
    }

    fn rebind_account(&self, row: &AccountRow) -> Result<(AccountRow, AccountNames), NotAuthentic> {
        rebind::account(&self.keys(), row)
    }

    fn rebind_item(&self, row: &ItemRow) -> Result<ItemRow, NotAuthentic> {
        rebind::item(&self.keys(), row)
    }

    fn rebind_message(&self, row: &OutboxRow) -> Result<OutboxRow, NotAuthentic> {
        rebind::message(&self.keys(), row)
    }

    fn former_indexes(&self, row: &AccountRow) -> Result<[Option<BlindIndex>; 2], NotAuthentic> {
        rebind::former_indexes(&self.keys(), row)
    }
}

/// Whether the header and the data keys beside it tell of the same moment: the newest epoch is the header's, and an older
/// key is there as long as something may be sealed under it, and no longer.
pub(crate) fn agrees(header: &Header, keys: &Keyring) -> bool {
    let needs_the_old_key = header.rekey.as_ref().is_some_and(crate::crypto::Rekey::needs_the_old_key);
    let older = keys.epochs().count() - 1;
    header.data_epoch == keys.epoch() && older == usize::from(needs_the_old_key)
}

/// A group has no id of its own: its number stands in the last byte of one.
fn group_place(group: u8, counter: u64) -> Place {
    let mut id = [0; 16];
    id[15] = group;
    Place { kind: Kind::Digest, id, rev: counter }
}
