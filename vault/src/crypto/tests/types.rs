//! What the types must not be able to do, checked while they are compiled; and that no way through the keyring leads to a key.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    borrow::Borrow,
    fmt::{Debug, Display},
    hash::Hash,
    ops::Deref,
};

use minicbor::Encode;
use serde::Serialize;
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::{
    crypto::{
        Keyring, Kind, Place, RootKey, Sealed, SlotDraft, SlotRecipient,
        keyring::{EpochKeys, data_key_place},
        seal::Sealer,
    },
    model::{Secret, VaultId},
};

/// A secret or a key: nothing copies, shows, compares, hashes, writes or lends it by accident.
macro_rules! keeps_to_itself {
    ($($kept:ty),* $(,)?) => {$(
        assert_not_impl_any!($kept: Clone, Copy, Display, Serialize, Encode<()>, PartialEq, Hash, Default);
        assert_not_impl_any!($kept: Deref, AsRef<str>, AsRef<[u8]>, Borrow<str>, Into<String>, Into<Vec<u8>>);
    )*};
}

keeps_to_itself!(Secret, RootKey, Keyring, EpochKeys, Sealer, SlotDraft);
// What has no Debug cannot be logged; what has one says nothing (`keys_are_absent_from_debug_texts`).
assert_not_impl_any!(EpochKeys: Debug);
assert_not_impl_any!(Sealer: Debug);
assert_impl_all!(Keyring: Send, Sync);
assert_impl_all!(RootKey: Send, Sync);
assert_impl_all!(Sealed: Clone, Send, Sync);
assert_impl_all!(SlotRecipient: Send, Sync);

#[test]
fn the_keyring_does_not_open_its_own_data_keys() {
    let vault = VaultId::from_bytes([3; 16]);
    let keys = Keyring::generate(vault).unwrap();
    for (epoch, sealed) in keys.sealed_data_keys().unwrap() {
        assert!(keys.open(data_key_place(vault, epoch), sealed.as_bytes()).is_err());
        assert!(keys.reseal(data_key_place(vault, epoch), sealed.as_bytes()).is_err());
    }
    let place = Place { kind: Kind::Item, id: [1; 16], rev: 1 };
    let sealed = keys.seal(place, b"what is no key").unwrap();
    assert_eq!(keys.open(place, sealed.as_bytes()).unwrap().as_slice(), b"what is no key");
}
