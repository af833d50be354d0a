//! A new entry of the system's keyring with a slot's key; gone again unless it is kept. Knows no vault.

use latchkey_vault::Secret;
use latchkey_worker::{keyring::Keyring, unlock::KEYRING_SERVICE};

use crate::{context::Context, failure::Failure};

/// An entry that this process made, removed when it is dropped and not kept.
#[derive(Debug)]
pub(super) struct NewEntry {
    keyring: Keyring,
    user: String,
    kept: bool,
}

impl NewEntry {
    /// Adds an entry for the slot with this public key.
    ///
    /// # Errors
    /// Where the keyring refuses, or has such an entry, which is left as it is.
    pub(super) fn add(cx: &Context, public: &str, key: &Secret) -> Result<Self, Failure> {
        let keyring = cx.settings.keyring.unwrap_or_default();
        keyring.add(KEYRING_SERVICE, public, key)?;
        Ok(Self { keyring, user: public.to_owned(), kept: false })
    }

    /// Leaves the entry where it is.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewEntry {
    fn drop(&mut self) {
        if !self.kept {
            // A key that opens nothing is only in the way.
            let _ = self.keyring.remove(KEYRING_SERVICE, &self.user);
        }
    }
}
