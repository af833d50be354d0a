//! The keys behind the store's [`Binder`]: one keyring, shared, never handed out. Knows no row's meaning.

use std::sync::Arc;

use crate::{
    crypto::{Header, Keyring, Kind, Place, Sealed, Sum},
    store::{Binder, NotAuthentic},
};

/// Binds rows under a vault's keyring.
pub struct KeyBinder(Arc<Keyring>);

impl KeyBinder {
    /// Binds under these keys.
    #[must_use]
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self(keys)
    }
}

impl Binder for KeyBinder {
    fn epoch(&self) -> u32 {
        self.0.epoch()
    }

    fn incarnation(&self) -> u32 {
        self.0.incarnation()
    }

    fn row_mac(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<[u8; 32], NotAuthentic> {
        self.0.row_mac(epoch, place, row_hash).map_err(|_| NotAuthentic)
    }

    fn element(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<Sum, NotAuthentic> {
        self.0.element(epoch, place, row_hash).map_err(|_| NotAuthentic)
    }

    fn digest_root(&self, epoch: u32, groups: &[u8]) -> Result<[u8; 32], NotAuthentic> {
        self.0.digest_root(epoch, groups).map_err(|_| NotAuthentic)
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
        self.0.audit_link(epoch, previous, writer, first, last, entries_hash).map_err(|_| NotAuthentic)
    }

    fn log_element(&self, epoch: u32, counter: u64, header_hash: &[u8; 32]) -> Result<Sum, NotAuthentic> {
        let place = Place { kind: Kind::Header, id: *self.0.vault().as_bytes(), rev: counter };
        self.element(epoch, place, header_hash)
    }

    fn seal_group(&self, group: u8, counter: u64, sums: &[u8]) -> Result<Sealed, NotAuthentic> {
        self.0.seal(group_place(group, counter), sums).map_err(|_| NotAuthentic)
    }

    fn open_group(&self, group: u8, counter: u64, sealed: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
        let sums = self.0.open(group_place(group, counter), sealed).map_err(|_| NotAuthentic)?;
        Ok(sums.to_vec())
    }

    fn seal_header(&self, header: &Header) -> Result<Sealed, NotAuthentic> {
        header.seal(&self.0).map_err(|_| NotAuthentic)
    }

    fn open_header(&self, counter: u64, sealed: &[u8]) -> Result<Header, NotAuthentic> {
        Header::open(&self.0, counter, sealed).map_err(|_| NotAuthentic)
    }
}

/// A group has no id of its own: its number stands in the last byte of one.
fn group_place(group: u8, counter: u64) -> Place {
    let mut id = [0; 16];
    id[15] = group;
    Place { kind: Kind::Digest, id, rev: counter }
}
