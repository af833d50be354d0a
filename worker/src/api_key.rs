//! Where the manager's API key is read from: a private file, the environment, or the keyring of the system.
//!
//! Never a command line, which every user of the machine can read. Knows no manager.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use keyring_core::{Entry, api::CredentialStoreApi};
use latchkey_vault::Secret;
use thiserror::Error;

use crate::secret_file::{self, SecretFileError};

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file that holds the key and nothing else.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// The Secret Service of the desktop, or else the kernel's keyring of this user.
    Keyring {
        /// The entry's service.
        service: String,
        /// The entry's user.
        user: String,
    },
}

/// Why there is no key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The variable is not set, empty, or not text.
    #[error("the environment variable {0} holds no key")]
    Env(String),
    /// No keyring has it.
    #[error("no keyring has it: Secret Service: {secret_service}; kernel keyring: {kernel}")]
    Keyring {
        /// What the Secret Service said.
        secret_service: String,
        /// What the kernel said.
        kernel: String,
    },
    /// The keyring waits for somebody to unlock it.
    #[error("the keyring did not answer within {} s; unlock it and try again", KEYRING_WITHIN.as_secs())]
    TooLong,
}

impl KeySource {
    /// Reads the key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn read(&self) -> Result<Secret, KeyError> {
        match self {
            Self::File(path) => Ok(secret_file::read_private(path)?),
            Self::Env(name) => {
                let value = std::env::var(name).ok().filter(|value| !value.is_empty());
                value.map(Secret::new).ok_or_else(|| KeyError::Env(name.clone()))
            }
            Self::Keyring { service, user } => {
                let (service, user) = (service.clone(), user.clone());
                // The Secret Service's client blocks, and refuses to from within a runtime's thread.
                let reading = tokio::task::spawn_blocking(move || from_keyrings(&service, &user));
                match tokio::time::timeout(KEYRING_WITHIN, reading).await {
                    Err(_) => Err(KeyError::TooLong),
                    Ok(Ok(read)) => read,
                    Ok(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
                }
            }
        }
    }
}

fn from_keyrings(service: &str, user: &str) -> Result<Secret, KeyError> {
    let password = |entry: keyring_core::Result<Entry>| entry.and_then(|entry| entry.get_password());
    let no_modifiers: Option<&HashMap<&str, &str>> = None;
    let desktop = zbus_secret_service_keyring_store::Store::new();
    let secret_service = match password(desktop.and_then(|store| store.build(service, user, no_modifiers))) {
        Ok(key) => return Ok(Secret::new(key)),
        Err(error) => said(&error),
    };
    let kernel = linux_keyutils_keyring_store::Store::new();
    match password(kernel.and_then(|store| store.build(service, user, no_modifiers))) {
        Ok(key) => Ok(Secret::new(key)),
        Err(error) => Err(KeyError::Keyring { secret_service, kernel: said(&error) }),
    }
}

/// What a keyring says, without what it may have read: its errors can carry the bytes of the secret.
fn said(error: &keyring_core::Error) -> String {
    use keyring_core::Error;
    match error {
        Error::PlatformFailure(_) => "it is not running or refuses to answer",
        Error::NoStorageAccess(_) => "it is locked or may not be used",
        Error::NoEntry => "it has no such entry",
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "the entry is not text",
        Error::Ambiguous(_) => "it has several such entries",
        _ => "the entry cannot be read",
    }
    .to_owned()
}

/// A person may have to unlock the keyring first.
const KEYRING_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{KeyError, KeySource, said};

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named_in_the_error() {
        let name = "LATCHKEY_TEST_NO_SUCH_VARIABLE";
        let error = KeySource::Env(name.to_owned()).read().await.unwrap_err();
        assert!(matches!(&error, KeyError::Env(own) if own == name), "{error}");
        assert!(KeySource::Env("PATH".to_owned()).read().await.is_ok());
    }

    #[test]
    fn what_a_keyring_read_is_not_part_of_its_error() {
        let error = keyring_core::Error::BadEncoding(b"canary".to_vec());
        assert!(!said(&error).contains("canary"));
    }
}
