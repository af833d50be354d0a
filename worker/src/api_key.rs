//! Where the manager's API key is read from: a private file, the environment, or the keyring of the system.
//!
//! Never a command line, which every user of the machine can read. Knows no manager.

use std::path::PathBuf;

use latchkey_vault::Secret;
use thiserror::Error;

use crate::{
    keyring::{Keyring, KeyringError},
    secret_file::{self, SecretFileError},
};

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file that holds the key and nothing else.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// A keyring of the system: the one that is set, or else the first that has it.
    Keyring {
        /// Which one is set.
        keyring: Option<Keyring>,
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
    #[error("no keyring has it: {}", .0.iter().map(KeyringError::to_string).collect::<Vec<_>>().join("; "))]
    Keyring(Vec<KeyringError>),
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
            Self::Keyring { keyring, service, user } => {
                let (keyring, service, user) = (*keyring, service.clone(), user.clone());
                match tokio::task::spawn_blocking(move || from_keyrings(keyring, &service, &user)).await {
                    Ok(read) => read,
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                }
            }
        }
    }
}

fn from_keyrings(set: Option<Keyring>, service: &str, user: &str) -> Result<Secret, KeyError> {
    let mut said = Vec::new();
    for keyring in Keyring::ALL.into_iter().filter(|keyring| set.is_none_or(|set| set == *keyring)) {
        match keyring.read(service, user) {
            Ok(key) => return Ok(key),
            Err(error) => said.push(error),
        }
    }
    Err(KeyError::Keyring(said))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{KeyError, KeySource};

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named_in_the_error() {
        let name = "LATCHKEY_TEST_NO_SUCH_VARIABLE";
        let error = KeySource::Env(name.to_owned()).read().await.unwrap_err();
        assert!(matches!(&error, KeyError::Env(own) if own == name), "{error}");
        assert!(KeySource::Env("PATH".to_owned()).read().await.is_ok());
    }
}
