//! The keyrings of the system: the Secret Service of the desktop, and the kernel's keys of this user. Reading, writing and
//! removing one text. Knows nothing of what the text is for.
//!
//! Both clients block, the Secret Service's even refuses to run on a runtime's thread, and either may wait for a person who
//! unlocks it: each call has a thread of its own and a bounded time.

use std::{collections::HashMap, fmt, str::FromStr, sync::mpsc, thread, time::Duration};

use keyring_core::{Entry, Error, api::CredentialStoreApi};
use latchkey_vault::Secret;
use serde::Deserialize;
use thiserror::Error;

/// A keyring of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keyring {
    /// The Secret Service (GNOME Keyring, KWallet, KeePassXC) on the session's D-Bus: kept on disk, encrypted by the login
    /// password; open while the person is logged in.
    #[default]
    SecretService,
    /// The kernel's keys (keyrings(7)): in memory only. Gone after a reboot, and some days after they were last used. They
    /// stand in the user's persistent keyring, which a process reaches through its session keyring.
    Keyutils,
}

/// Why a keyring did not do it. No message holds anything of an entry.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyringError {
    /// It has no such entry.
    #[error("{0} has no such entry")]
    NoEntry(Keyring),
    /// It cannot be used.
    #[error("{keyring} {why}")]
    Unusable {
        /// Which keyring.
        keyring: Keyring,
        /// Why not.
        why: &'static str,
    },
    /// It has an entry of this name, which is left as it is.
    #[error("{0} has an entry of this name already")]
    Exists(Keyring),
    /// It waits for somebody to unlock it.
    #[error("{0} did not answer within {wait} s; unlock it and try again", wait = WITHIN.as_secs())]
    TooLong(Keyring),
}

impl Keyring {
    /// Both, in the order in which they are asked where none is named.
    pub const ALL: [Self; 2] = [Self::SecretService, Self::Keyutils];

    /// The word that settings name it by.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SecretService => "secret-service",
            Self::Keyutils => "keyutils",
        }
    }

    /// The text of an entry. Blocks, at most [`WITHIN`].
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn read(self, service: &str, user: &str) -> Result<Secret, KeyringError> {
        self.work(service, user, |entry| entry.get_password().map(Secret::new))
    }

    /// Adds an entry. Blocks, at most [`WITHIN`].
    ///
    /// # Errors
    /// [`KeyringError::Exists`] where there is one of this name; else why it was not added.
    pub fn add(self, service: &str, user: &str, text: &Secret) -> Result<(), KeyringError> {
        match self.read(service, user) {
            Ok(_) => return Err(KeyringError::Exists(self)),
            Err(KeyringError::NoEntry(_)) => {}
            Err(error) => return Err(error),
        }
        self.put(service, user, text)
    }

    /// Writes an entry, in place of one of this name. Blocks, at most [`WITHIN`].
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn put(self, service: &str, user: &str, text: &Secret) -> Result<(), KeyringError> {
        let text = text.duplicate();
        // EXPOSE: the keyring keeps it.
        self.work(service, user, move |entry| entry.set_password(text.expose()))
    }

    /// Removes an entry; says whether there was one. Blocks, at most [`WITHIN`].
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn remove(self, service: &str, user: &str) -> Result<bool, KeyringError> {
        match self.work(service, user, Entry::delete_credential) {
            Ok(()) => Ok(true),
            Err(KeyringError::NoEntry(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn work<T: Send + 'static>(
        self,
        service: &str,
        user: &str,
        work: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, KeyringError> {
        let (service, user) = (service.to_owned(), user.to_owned());
        let (answer, answered) = mpsc::sync_channel(1);
        let unusable = |why| KeyringError::Unusable { keyring: self, why };
        // A keyring that never answers keeps this thread; it goes with the process, which has nothing to do without a key.
        let started = thread::Builder::new().name("keyring".to_owned()).spawn(move || {
            // Nobody waits for it any more where this fails.
            let _ = answer.send(self.entry(&service, &user).and_then(|entry| work(&entry)));
        });
        started.map_err(|_| unusable("cannot be asked: there is no thread left"))?;
        match answered.recv_timeout(WITHIN) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.refused(&error)),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(KeyringError::TooLong(self)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(unusable("cannot be asked: its client failed")),
        }
    }

    fn entry(self, service: &str, user: &str) -> keyring_core::Result<Entry> {
        let no_modifiers: Option<&HashMap<&str, &str>> = None;
        match self {
            Self::SecretService => zbus_secret_service_keyring_store::Store::new()?.build(service, user, no_modifiers),
            Self::Keyutils => linux_keyutils_keyring_store::Store::new()?.build(service, user, no_modifiers),
        }
    }

    /// What a keyring says, without what it may have read: its errors can carry the bytes of the secret.
    fn refused(self, error: &Error) -> KeyringError {
        let why = match error {
            Error::NoEntry => return KeyringError::NoEntry(self),
            Error::PlatformFailure(_) => match self {
                Self::SecretService => "is not running, or the session's D-Bus is not known (DBUS_SESSION_BUS_ADDRESS)",
                Self::Keyutils => "refuses: the system or a sandbox does not permit keys (add_key(2), keyctl(2))",
            },
            Error::NoStorageAccess(_) => match self {
                Self::SecretService => "is locked, or there is none on the session's D-Bus",
                Self::Keyutils => {
                    "may not be used: this process has no session keyring (a login by PAM and a systemd unit have one, as has what \
                         `keyctl session` runs), or a sandbox forbids keys"
                }
            },
            Error::BadEncoding(_) | Error::BadDataFormat(..) => "has an entry that is not text",
            Error::Ambiguous(_) => "has several such entries",
            _ => "cannot be used for this entry",
        };
        KeyringError::Unusable { keyring: self, why }
    }
}

impl fmt::Display for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretService => "the Secret Service",
            Self::Keyutils => "the kernel's keyring",
        })
    }
}

impl FromStr for Keyring {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|keyring| keyring.word() == text);
        found.ok_or("`secret-service` or `keyutils` is expected")
    }
}

/// A person may have to unlock the keyring first.
pub const WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use keyring_core::Error;

    use super::{Keyring, KeyringError};

    #[test]
    fn what_a_keyring_read_is_not_part_of_its_error() {
        for keyring in Keyring::ALL {
            let error = keyring.refused(&Error::BadEncoding(b"canary".to_vec()));
            assert!(!error.to_string().contains("canary"), "{error}");
            assert_eq!(keyring.refused(&Error::NoEntry), KeyringError::NoEntry(keyring));
            assert_eq!(keyring.word().parse(), Ok(keyring));
        }
        assert!("gnome".parse::<Keyring>().is_err());
    }
}
