//! What a keyring authenticates without hiding it: rows, the digest, audit chains, slot lists, anchors, blind indexes.
//! Knows no table: rows come as hashes, groups as bytes.

use ring::hmac;

use super::{derive::mac, keyring::Keyring, place::Place, seal::OpenError, slots::SlotRecord, sum::Sum};

impl Keyring {
    /// The blind index of `parts` under `label`: equal inputs of one epoch and vault give equal 16 bytes, and without the
    /// key nothing can be guessed from them.
    ///
    /// Label and parts are framed by their lengths, so that no two inputs share an encoding. 128 bits keep chance
    /// collisions out of reach; a hit is compared with the opened record all the same.
    ///
    /// # Errors
    /// [`OpenError::UnknownEpoch`] where no key of `epoch` is held.
    pub fn blind_index(&self, epoch: u32, label: &str, parts: &[&[u8]]) -> Result<[u8; 16], OpenError> {
        let mut context = hmac::Context::with_key(&self.epoch_keys(epoch)?.blind);
        for part in std::iter::once(&label.as_bytes()).chain(parts) {
            context.update(&length(part));
            context.update(part);
        }
        let mut index = [0; 16];
        index.copy_from_slice(&context.sign().as_ref()[..16]);
        Ok(index)
    }

    /// The MAC that a row carries: over its place and the hash of its canonical encoding.
    ///
    /// # Errors
    /// [`OpenError::UnknownEpoch`] where no key of `epoch` is held.
    pub fn row_mac(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<[u8; 32], OpenError> {
        Ok(mac(&self.epoch_keys(epoch)?.row, &[&place.to_bytes(), row_hash]))
    }

    /// What a row adds to the digest. Its key is not that of [`Keyring::row_mac`]: the row shows its MAC, never this.
    ///
    /// # Errors
    /// [`OpenError::UnknownEpoch`] where no key of `epoch` is held.
    pub fn element(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<Sum, OpenError> {
        Ok(Sum::from_bytes(mac(&self.epoch_keys(epoch)?.element, &[&place.to_bytes(), row_hash])))
    }

    /// The root of the digest over the concatenated hashes of the sealed groups.
    ///
    /// # Errors
    /// [`OpenError::UnknownEpoch`] where no key of `epoch` is held.
    pub fn digest_root(&self, epoch: u32, groups: &[u8]) -> Result<[u8; 32], OpenError> {
        Ok(mac(&self.epoch_keys(epoch)?.digest, &[groups]))
    }

    /// The next link of `writer`'s audit chain: over the link before it, the numbers of the first and last entry, and the
    /// hash of the entries.
    ///
    /// # Errors
    /// [`OpenError::UnknownEpoch`] where no key of `epoch` is held.
    pub fn audit_link(
        &self,
        epoch: u32,
        previous: &[u8; 32],
        writer: u64,
        first: u64,
        last: u64,
        entries_hash: &[u8; 32],
    ) -> Result<[u8; 32], OpenError> {
        let [writer, first, last] = [writer, first, last].map(u64::to_be_bytes);
        Ok(mac(&self.epoch_keys(epoch)?.audit, &[previous, &writer, &first, &last, entries_hash]))
    }

    /// The MAC of the list of key slots, under the root key: over vault id, generation and every slot's bytes, in order.
    #[must_use]
    pub fn slots_mac(&self, generation: u64, slots: &[SlotRecord]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.slots_key);
        context.update(self.vault().as_bytes());
        context.update(&generation.to_be_bytes());
        for slot in slots {
            let bytes = slot.to_bytes();
            context.update(&length(&bytes));
            context.update(&bytes);
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }

    /// The MAC of an anchor's body, under the root key.
    #[must_use]
    pub fn anchor_mac(&self, body: &[u8]) -> [u8; 32] {
        mac(&self.anchor_key, &[body])
    }
}

/// The length of a part, as 8 bytes big-endian.
fn length(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}
