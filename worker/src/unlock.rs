//! What unlocks a vault without a person: an identity file, a systemd credential, a descriptor. Never prompts.

use std::path::{Path, PathBuf};

use latchkey_vault::UnlockWith;
use serde::Deserialize;
use thiserror::Error;

use crate::secret_file::{self, SecretFileError};

/// Where that which unlocks is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnlockSource {
    /// An age identity in a private file.
    IdentityFile(PathBuf),
    /// An age identity in a systemd credential.
    Credential(CredentialName),
    /// A passphrase, from an open descriptor.
    PassphraseFd(u32),
}

/// The name of a systemd credential: one path segment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CredentialName(String);

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

    /// Reads it; `credentials` is systemd's folder for this process.
    ///
    /// # Errors
    /// [`UnlockSourceError`].
    pub fn read(&self, credentials: Option<&Path>) -> Result<UnlockWith, UnlockSourceError> {
        Ok(match self {
            Self::IdentityFile(path) => UnlockWith::Identity(secret_file::read_private(path)?),
            Self::PassphraseFd(fd) => UnlockWith::Passphrase(secret_file::read_fd(*fd)?),
            Self::Credential(name) => {
                let folder = credentials.ok_or_else(|| UnlockSourceError::NoCredentials(name.clone()))?;
                UnlockWith::Identity(secret_file::read_credential(&folder.join(name.as_str()))?)
            }
        })
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

/// Longest file name on Linux, in bytes.
const NAME_MAX_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{fs, os::unix::fs::PermissionsExt};

    use latchkey_vault::UnlockWith;

    use super::{CredentialName, UnlockSource, UnlockSourceError, source};

    #[test]
    fn a_credential_is_found_by_its_usual_name_unless_the_settings_name_another_way() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(source(None, None), None);
        assert_eq!(source(None, Some(dir.path())), None);
        let path = dir.path().join("latchkey");
        fs::write(&path, "AGE-SECRET-KEY-1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        let found = source(None, Some(dir.path())).unwrap();
        assert!(matches!(found.read(Some(dir.path())).unwrap(), UnlockWith::Identity(_)));
        assert!(matches!(found.read(None), Err(UnlockSourceError::NoCredentials(_))));
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
