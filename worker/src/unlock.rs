//! What unlocks a vault without a person: an identity file, a systemd credential, a descriptor, a keyring of the system.
//! Never prompts; where an age plugin wants a person, it asks whom it was given.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use latchkey_vault::{
    AgePlugins, Asks, PluginError, PluginKey, Secret, UnlockWith,
    crypto::{SlotKind, SlotRecipient, SlotRecord},
    store::{StoreError, sqlite::SqliteFile},
};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    keyring::{Keyring, KeyringError},
    secret_file::{self, SecretFileError},
};

/// Where that which unlocks is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnlockSource {
    /// An age identity in a private file, or what names the key of an age plugin.
    IdentityFile(PathBuf),
    /// An age identity in a systemd credential.
    Credential(CredentialName),
    /// A passphrase, from an open descriptor.
    PassphraseFd(u32),
    /// An age identity in a keyring of the system.
    Keyring,
}

/// The name of a systemd credential: one path segment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CredentialName(String);

/// What unlocking may make use of.
pub struct Around<'a> {
    /// The vault's file, whose slots say which entries of a keyring are theirs.
    pub vault: &'a Path,
    /// Systemd's folder of credentials for this process.
    pub credentials: Option<&'a Path>,
    /// The keyring that is asked.
    pub keyring: Keyring,
    /// Whom an age plugin may ask.
    pub asks: Arc<dyn Asks>,
}

/// Why nothing was read that could unlock.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnlockSourceError {
    /// Neither settings nor systemd give anything.
    #[error("nothing is given that unlocks the vault")]
    Nothing,
    /// A credential is named, and systemd gave this process none.
    #[error("the credential {} is not there: systemd sets CREDENTIALS_DIRECTORY for its units only", .0.as_str())]
    NoCredentials(CredentialName),
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The vault has no slot whose key is in a keyring.
    #[error("the vault has no key slot for a keyring")]
    NoKeyringSlot,
    /// The keyring does not give it.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The plugin's program is not there.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The vault's file cannot be read.
    #[error(transparent)]
    Vault(#[from] StoreError),
}

impl CredentialName {
    /// The name that is looked for where settings name none.
    #[must_use]
    pub fn usual() -> Self {
        Self("latchkey".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CredentialName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > NAME_MAX_BYTES || text.starts_with('.') || !text.chars().all(plain) {
            return Err("a credential's name has 1 to 255 letters, digits and `-_.`, and does not begin with a dot");
        }
        Ok(Self(text))
    }
}

impl UnlockSource {
    /// Whether it gives the same again: what comes from a descriptor is gone once it was read.
    #[must_use]
    pub const fn can_be_read_again(&self) -> bool {
        !matches!(self, Self::PassphraseFd(_))
    }

    /// Reads it. A keyring, or a person whom it waits for, may take a minute.
    ///
    /// # Errors
    /// [`UnlockSourceError`].
    pub fn read(&self, around: &Around<'_>) -> Result<UnlockWith, UnlockSourceError> {
        match self {
            Self::IdentityFile(path) => around.identity(secret_file::read_private(path)?),
            Self::PassphraseFd(fd) => around.passphrase(secret_file::read_fd(*fd)?),
            Self::Keyring => around.keys(SlotKind::Keyring).map(UnlockWith::Identity),
            Self::Credential(name) => {
                let folder = around.credentials.ok_or_else(|| UnlockSourceError::NoCredentials(name.clone()))?;
                around.identity(secret_file::read_credential(&folder.join(name.as_str()))?)
            }
        }
    }
}

impl Around<'_> {
    /// What a passphrase unlocks with: itself, and where the vault has a combined slot, the keyring's half as well.
    ///
    /// # Errors
    /// Where the vault has no slot that the passphrase could unlock alone, and the keyring does not give its half.
    pub fn passphrase(&self, passphrase: Secret) -> Result<UnlockWith, UnlockSourceError> {
        let slots = self.slots()?;
        let has = |kind: SlotKind| slots.iter().any(|slot| slot.kind == kind as u8);
        if !has(SlotKind::Combined) {
            return Ok(UnlockWith::Passphrase(passphrase));
        }
        match self.keys(SlotKind::Combined) {
            Ok(half) => Ok(UnlockWith::Both { passphrase, half }),
            Err(_) if has(SlotKind::Passphrase) => Ok(UnlockWith::Passphrase(passphrase)),
            Err(error) => Err(error),
        }
    }

    fn identity(&self, text: Secret) -> Result<UnlockWith, UnlockSourceError> {
        if !PluginKey::is_one(&text) {
            return Ok(UnlockWith::Identity(text));
        }
        let key = PluginKey { text, plugins: AgePlugins::new(std::env::vars_os(), Arc::clone(&self.asks)) };
        key.check()?;
        Ok(UnlockWith::Plugin(key))
    }

    /// The keyring's texts for the slots of this kind, one a line. The slots are not authenticated yet: whoever edits them
    /// gets no more than that other entries of this service are read, which then open nothing.
    fn keys(&self, kind: SlotKind) -> Result<Secret, UnlockSourceError> {
        let slots = self.slots()?;
        let of_kind = slots.iter().filter(|slot| slot.kind == kind as u8);
        let recipients = of_kind.filter_map(|slot| slot.recipient.parse::<SlotRecipient>().ok()).take(ENTRIES_MAX);
        let (mut text, mut missing) =
            (String::with_capacity(ENTRIES_MAX * ENTRY_BYTES), UnlockSourceError::NoKeyringSlot);
        for recipient in recipients {
            match self.keyring.read(KEYRING_SERVICE, &recipient.to_string()) {
                Ok(entry) => {
                    // EXPOSE: entries of several slots make one identity file, in a buffer that does not grow.
                    let line = entry.expose().get(..ENTRY_BYTES - 1).unwrap_or(entry.expose());
                    text.push_str(line);
                    text.push('\n');
                }
                Err(error) => missing = error.into(),
            }
        }
        if text.is_empty() { Err(missing) } else { Ok(Secret::new(text)) }
    }

    fn slots(&self) -> Result<Vec<SlotRecord>, StoreError> {
        let file = SqliteFile::open(self.vault)?;
        Ok(file.key_material().slots.iter().filter_map(|bytes| SlotRecord::from_bytes(bytes).ok()).collect())
    }
}

impl fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("vault", &self.vault).field("keyring", &self.keyring).finish_non_exhaustive()
    }
}

/// Systemd's folder of credentials for this process.
#[must_use]
pub fn credentials_folder() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// What the settings name, or else the credential `latchkey` where systemd gave one.
#[must_use]
pub fn source(named: Option<&UnlockSource>, credentials: Option<&Path>) -> Option<UnlockSource> {
    named.cloned().or_else(|| {
        let usual = CredentialName::usual();
        let is_there = credentials.is_some_and(|folder| folder.join(usual.as_str()).exists());
        is_there.then_some(UnlockSource::Credential(usual))
    })
}

/// The service that a vault's entries in a keyring stand under; the user is the slot's public key.
pub const KEYRING_SERVICE: &str = "latchkey-vault";
/// Entries that are asked for: as many as a vault has slots.
const ENTRIES_MAX: usize = 16;
/// Longest entry that is used, with its line's end: an identity has 74 letters.
const ENTRY_BYTES: usize = 128;
/// Longest file name on Linux, in bytes.
const NAME_MAX_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{fs, os::unix::fs::PermissionsExt};

    use std::{path::Path, sync::Arc};

    use latchkey_vault::{Nobody, UnlockWith};

    use super::{Around, CredentialName, UnlockSource, UnlockSourceError, source};
    use crate::keyring::Keyring;

    fn around(credentials: Option<&Path>) -> Around<'_> {
        Around { vault: Path::new("vault.db"), credentials, keyring: Keyring::Keyutils, asks: Arc::new(Nobody) }
    }

    #[test]
    fn a_credential_is_found_by_its_usual_name_unless_the_settings_name_another_way() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(source(None, None), None);
        assert_eq!(source(None, Some(dir.path())), None);
        let path = dir.path().join("latchkey");
        fs::write(&path, "AGE-SECRET-KEY-1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        let found = source(None, Some(dir.path())).unwrap();
        assert!(matches!(found.read(&around(Some(dir.path()))).unwrap(), UnlockWith::Identity(_)));
        assert!(matches!(found.read(&around(None)), Err(UnlockSourceError::NoCredentials(_))));
        let named = UnlockSource::IdentityFile("/etc/id".into());
        assert_eq!(source(Some(&named), Some(dir.path())), Some(named));
    }

    #[test]
    fn a_credential_name_is_one_path_segment() {
        for (name, allowed) in
            [("latchkey", true), ("a-b_c.d", true), ("", false), ("..", false), ("a/b", false), (".x", false)]
        {
            assert_eq!(CredentialName::try_from(name.to_owned()).is_ok(), allowed, "{name}");
        }
    }
}
