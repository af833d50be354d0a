//! What the types must not be able to do, checked while they are compiled.

use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::{
    crypto::{Keyring, RootKey, Sealed, SlotRecipient},
    model::Secret,
};

assert_not_impl_any!(Keyring: Clone, Copy, PartialEq, std::fmt::Display, serde::Serialize, minicbor::Encode<()>);
assert_not_impl_any!(RootKey: Clone, Copy, PartialEq, AsRef<[u8]>, std::fmt::Display, serde::Serialize, minicbor::Encode<()>);
assert_not_impl_any!(Secret: Clone, Copy, PartialEq, AsRef<str>, std::fmt::Display, serde::Serialize, minicbor::Encode<()>);
assert_impl_all!(Keyring: Send, Sync);
assert_impl_all!(RootKey: Send, Sync);
assert_impl_all!(Sealed: Clone, Send, Sync);
assert_impl_all!(SlotRecipient: Send, Sync);
