//! What a store needs of the keys, without seeing one: MACs, digest elements, links and the sealed header.
//!
//! A store calls these inside its transaction, since tokens, places in the chain and the counter are known only there.

use thiserror::Error;

use super::{AccountRow, BlindIndex, ItemRow, KeyMaterial, Name, OutboxRow};
use crate::crypto::{Header, Place, Sealed, Sum};

/// The keys refused: the bytes are not what this vault wrote, or were written under a key that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not authentic under this vault's keys")]
pub struct NotAuthentic;

/// What came of looking at the key material of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is what is held already, or what is held is not to change.
    Nothing,
    /// Newer data keys under the same root key are held from now on.
    TakenUp,
    /// Another root key was installed, which only unlocking can give.
    OtherRoot,
}

/// What is named after an account's credential.
#[derive(Clone, Copy, Debug)]
pub struct AccountNames {
    /// The lease of its login.
    pub lease: Name,
    /// The row of its spent TOTP steps, where it has a TOTP secret.
    pub totp: Option<Name>,
}

/// Keyed and opaque: binds rows, the digest, the audit chain and the header to the vault's keys.
pub trait Binder: Send + Sync + 'static {
    /// The epoch that new rows are bound under.
    fn epoch(&self) -> u32;

    /// The epoch before it, while rows of it may still be there.
    fn older_epoch(&self) -> Option<u32>;

    /// Whether rows of this epoch may be stored now.
    fn is_stored(&self, epoch: u32) -> bool;

    /// The slot generation that the keys are of; none for keys that are not to change.
    fn generation(&self) -> Option<u64>;

    /// Takes up what another process has made of the keys, where that can be done without unlocking.
    ///
    /// # Errors
    /// [`NotAuthentic`] when the material is older than what is held, or is not what the header vouches for.
    fn reload(&self, material: &KeyMaterial, counter: u64, header: &[u8]) -> Result<Reloaded, NotAuthentic>;

    /// The vault's incarnation; fencing tokens carry it.
    fn incarnation(&self) -> u32;

    /// The MAC that a row carries.
    ///
    /// # Errors
    /// [`NotAuthentic`] when the epoch's key is not there.
    fn row_mac(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<[u8; 32], NotAuthentic>;

    /// What a row adds to the digest of its bucket.
    ///
    /// # Errors
    /// [`NotAuthentic`] when the epoch's key is not there.
    fn element(&self, epoch: u32, place: Place, row_hash: &[u8; 32]) -> Result<Sum, NotAuthentic>;

    /// The keyed root over the concatenated hashes of the 64 groups.
    ///
    /// # Errors
    /// [`NotAuthentic`] when the epoch's key is not there.
    fn digest_root(&self, epoch: u32, groups: &[u8]) -> Result<[u8; 32], NotAuthentic>;

    /// The next link of an audit chain over the entries `first..=last`.
    ///
    /// # Errors
    /// [`NotAuthentic`] when the epoch's key is not there.
    fn audit_link(
        &self,
        epoch: u32,
        previous: &[u8; 32],
        writer: u64,
        first: u64,
        last: u64,
        entries_hash: &[u8; 32],
    ) -> Result<[u8; 32], NotAuthentic>;

    /// What a past header adds to the sum of the header log.
    ///
    /// # Errors
    /// [`NotAuthentic`] when the epoch's key is not there.
    fn log_element(&self, epoch: u32, counter: u64, header_hash: &[u8; 32]) -> Result<Sum, NotAuthentic>;

    /// Seals the sums of a digest group for the commit that writes them.
    ///
    /// Bare sums would show elements as differences between copies of the file, and with enough of them stale rows
    /// whose sum is right could be searched for.
    ///
    /// # Errors
    /// [`NotAuthentic`] when they cannot be sealed (no randomness, no key).
    fn seal_group(&self, group: u8, counter: u64, sums: &[u8]) -> Result<Sealed, NotAuthentic>;

    /// Opens the sums of a digest group that claim to be of this commit.
    ///
    /// # Errors
    /// [`NotAuthentic`] when they are not.
    fn open_group(&self, group: u8, counter: u64, sealed: &[u8]) -> Result<Vec<u8>, NotAuthentic>;

    /// Seals the header of a commit.
    ///
    /// # Errors
    /// [`NotAuthentic`] when it cannot be sealed (no randomness, no key).
    fn seal_header(&self, header: &Header) -> Result<Sealed, NotAuthentic>;

    /// Opens the header that claims to be of this commit.
    ///
    /// # Errors
    /// [`NotAuthentic`] when it is not.
    fn open_header(&self, counter: u64, sealed: &[u8]) -> Result<Header, NotAuthentic>;

    /// Seals a blob of an older epoch again for its place; none where it is of the current one.
    ///
    /// # Errors
    /// [`NotAuthentic`] when it does not open there, or cannot be sealed.
    fn reseal(&self, place: Place, sealed: &Sealed) -> Result<Option<Sealed>, NotAuthentic>;

    /// An account's row of an older epoch under the current one, and what else is named after the account.
    ///
    /// # Errors
    /// [`NotAuthentic`] when its record does not open, or cannot be sealed.
    fn rebind_account(&self, row: &AccountRow) -> Result<(AccountRow, AccountNames), NotAuthentic>;

    /// An item's row of an older epoch under the current one.
    ///
    /// # Errors
    /// As [`Binder::rebind_account`].
    fn rebind_item(&self, row: &ItemRow) -> Result<ItemRow, NotAuthentic>;

    /// A message's row of an older epoch under the current one.
    ///
    /// # Errors
    /// As [`Binder::rebind_account`].
    fn rebind_message(&self, row: &OutboxRow) -> Result<OutboxRow, NotAuthentic>;

    /// The indexes of login and manager's id that an account's row would have in the older epoch.
    ///
    /// # Errors
    /// [`NotAuthentic`] when its record does not open.
    fn former_indexes(&self, row: &AccountRow) -> Result<[Option<BlindIndex>; 2], NotAuthentic>;
}

/// Compares two MACs in constant time.
#[must_use]
pub fn same_mac(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    a.ct_eq(b).into()
}
