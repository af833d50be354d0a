//! The pin of a vault as an entry of a system's keyring. Knows no key, and of the vault its id.

use latchkey_vault::{PinPlace, PinPlaceError, Secret, VaultId};

use crate::keyring::{Keyring, KeyringError};

/// A keyring that keeps pins.
#[derive(Clone, Copy, Debug)]
pub struct KeyringPin(pub Keyring);

impl KeyringPin {
    /// Removes the pin of a vault; says whether there was one. Blocks, at most [`crate::keyring::WITHIN`].
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn remove(self, vault: VaultId) -> Result<bool, KeyringError> {
        self.0.remove(PIN_SERVICE, &vault.to_string())
    }
}

impl PinPlace for KeyringPin {
    fn read(&self, vault: VaultId) -> Result<Option<String>, PinPlaceError> {
        match self.0.read(PIN_SERVICE, &vault.to_string()) {
            // EXPOSE: hashes and a counter; a keyring hands out everything as a secret.
            Ok(text) => Ok(Some(text.expose().to_owned())),
            Err(KeyringError::NoEntry(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&self, vault: VaultId, text: &str) -> Result<(), PinPlaceError> {
        Ok(self.0.put(PIN_SERVICE, &vault.to_string(), &Secret::copy_of(text))?)
    }
}

/// The service that pins stand under; the user is the vault's id.
pub const PIN_SERVICE: &str = "latchkey-pin";
