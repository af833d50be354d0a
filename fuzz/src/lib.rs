//! What the targets share: input taken apart by hand, and the keys of the golden vectors.
//!
//! Inputs are plain bytes and texts wherever that is possible, so that seeds and dictionaries are what a person writes.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use latchkey_vault::{
    Secret, VaultId,
    crypto::{Keyring, Sealed, SlotRecord, Unlock},
};
use serde_json::Value;

/// The bytes of one input, taken from the front; what is not there is zero or empty.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Three bytes, big-endian.
    pub fn number(&mut self) -> usize {
        (usize::from(self.byte()) << 16) | (usize::from(self.byte()) << 8) | usize::from(self.byte())
    }

    /// At most `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    /// One of `choices`, by the next byte.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

/// The golden vectors of the vault's format.
pub static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../vault/tests/vectors/v1.json")).unwrap());

/// The identity of the vectors' second slot.
pub static IDENTITY: LazyLock<Secret> =
    LazyLock::new(|| Secret::copy_of(VECTORS["slots"][1]["unlock"].as_str().unwrap()));

/// The keyring of the vectors: the same in every run, so that inputs stay what they are.
pub static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let slot = SlotRecord::from_bytes(&hex(&VECTORS["slots"][1]["cbor"])).unwrap();
    let root = slot.unlock(vault_id(), &Unlock::Identity(&IDENTITY)).unwrap();
    let data_key = |key: &Value| (key["epoch"].as_u64().unwrap() as u32, Sealed::from_bytes(hex(&key["sealed"])));
    let data_keys: Vec<_> = VECTORS["data_keys"].as_array().unwrap().iter().map(data_key).collect();
    Keyring::load(root, vault_id(), VECTORS["incarnation"].as_u64().unwrap() as u32, &data_keys).unwrap()
});

pub fn vault_id() -> VaultId {
    VaultId::from_bytes(hex(&VECTORS["vault"]).try_into().unwrap())
}

pub fn hex(text: &Value) -> Vec<u8> {
    HEXLOWER.decode(text.as_str().unwrap().as_bytes()).unwrap()
}
