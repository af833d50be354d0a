//! Settings of every program: flags over environment over the settings file over defaults, checked once into types.
//!
//! Knows no vault and opens no secret: where a secret is to be read from is a value here, reading it is
//! [`crate::unlock`]'s and [`crate::api_key`]'s. Flags and environment come in as [`SettingsArgs`].

mod args;
mod file;

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use latchkey_vault::{
    PinPlace, VaultPaths,
    limits::SITES_FILE_MAX_BYTES,
    manager_http::{BaseUrl, ManagerClient, ManagerConfig},
    sites::{Sites, SitesError},
};
use thiserror::Error;

pub use args::SettingsArgs;

use crate::{
    api_key::{KeyError, KeySource},
    keyring::Keyring,
    pin::KeyringPin,
    unlock::UnlockSource,
};

/// Where a user's files lie when nothing else is said.
#[derive(Clone, Debug)]
pub struct Folders {
    /// `config.toml` and `sites.toml`.
    pub config: PathBuf,
    /// The vault.
    pub data: PathBuf,
    /// The anchors.
    pub state: PathBuf,
}

/// Everything that is set.
#[derive(Debug)]
pub struct Settings {
    /// The settings file that was read; none where there is none.
    pub file: Option<PathBuf>,
    /// Vault and anchors.
    pub vault: VaultPaths,
    /// The sites file.
    pub sites: PathBuf,
    /// PEM certificates to trust at sites, beside the machine's.
    pub sites_ca_file: Option<PathBuf>,
    /// The keyring of the system that is used; none: the Secret Service, and for the manager's key any.
    pub keyring: Option<Keyring>,
    /// The keyring of the system that the vault is pinned in; none: it is not. No flag and no variable changes it.
    pub pin: Option<Keyring>,
    /// What unlocks the vault; none: a systemd credential, or a person.
    pub unlock: Option<UnlockSource>,
    /// The manager; none where there is none.
    pub manager: Option<ManagerSettings>,
    /// The worker.
    pub worker: WorkerSettings,
}

/// How the manager is reached.
#[derive(Debug)]
pub struct ManagerSettings {
    /// Where its API begins.
    pub base_url: BaseUrl,
    /// Where its key is read from.
    pub key: KeySource,
    /// For a whole call: 1 to 600 s, by default 30 s.
    pub timeout: Duration,
    /// PEM certificates to trust beside the machine's.
    pub ca_file: Option<PathBuf>,
}

/// How the worker works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Its name in the audit.
    pub name: String,
    /// Attempts at a time: 1 to 256, by default 8.
    pub concurrency: usize,
    /// Tasks asked for in one pull: 1 to 1000, by default 50.
    pub pull_limit: u32,
    /// Between two pulls that brought nothing: 1 to 3600 s, by default 10 s.
    pub poll: Duration,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the settings file.
    File {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Path of the key; empty where the text is no TOML.
        key: String,
    },
    /// As a flag, or as the environment variable that stands for it.
    Flag(&'static str),
}

/// Why there are no settings. Nothing was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Nobody knows where the user's home is.
    #[error("the home folder is not known: set HOME, or name the files by --config, --vault, --anchors and --sites")]
    NoHome,
    /// A settings file was named and is not there.
    #[error("the settings file {} does not exist", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the settings file {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A value has to be changed.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where it stands.
        place: Place,
        /// What is wrong and what is expected.
        problem: String,
    },
}

/// Why the sites file is not used. No part of it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SitesFileError {
    /// It is not there.
    #[error("there is no sites file at {}: no site is authorised", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the sites file {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A line has to be changed.
    #[error("{}: {source}", .path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Which line, and why.
        source: SitesError,
    },
}

/// Why there is no client for the manager. Nothing was sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManagerSetupError {
    /// Its key cannot be read.
    #[error("the manager's API key: {0}")]
    Key(#[from] KeyError),
    /// The extra certificates cannot be read.
    #[error("the certificates in {} cannot be read: {source}", .path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Key, certificates or timeout are not usable.
    #[error(transparent)]
    Config(#[from] latchkey_vault::manager_http::ConfigError),
}

impl Folders {
    /// The user's folders by the XDG base directory specification, each with `latchkey` below it.
    ///
    /// # Errors
    /// [`SettingsError::NoHome`].
    pub fn of_user() -> Result<Self, SettingsError> {
        use etcetera::BaseStrategy;
        let base = etcetera::choose_base_strategy().map_err(|_| SettingsError::NoHome)?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(Self { config: base.config_dir().join(APP), data: base.data_dir().join(APP), state: state.join(APP) })
    }
}

impl Settings {
    /// Reads the settings file and lays flags and environment over it.
    ///
    /// Paths in the file are relative to its folder. A default file that is not there is none.
    ///
    /// # Errors
    /// [`SettingsError`], with file, line and key.
    pub fn load(args: &SettingsArgs, folders: &Folders) -> Result<Self, SettingsError> {
        let (path, text) = match &args.config {
            Some(path) => (path.clone(), Some(read_text(path)?.ok_or_else(|| SettingsError::Missing(path.clone()))?)),
            None => {
                let path = folders.config.join("config.toml");
                let text = read_text(&path)?;
                (path, text)
            }
        };
        let file = file::parse(&path, text.as_deref().unwrap_or_default())?;
        let keyring = args.keyring_store.or(file.keyring);
        let base = path.parent().unwrap_or(Path::new(".")).to_owned();
        let pick = |flag: &Option<PathBuf>, file: Option<file::FilePath>, default: PathBuf| {
            flag.clone().or_else(|| file.map(|path| path.below(&base))).unwrap_or(default)
        };
        Ok(Self {
            vault: VaultPaths {
                file: pick(&args.vault, file.vault, folders.data.join("vault.db")),
                anchors: pick(&args.anchors, file.anchors, folders.state.join("anchors")),
                pin: file.pin.map(|keyring| Arc::new(KeyringPin(keyring)) as Arc<dyn PinPlace>),
            },
            sites: pick(&args.sites, file.sites, folders.config.join("sites.toml")),
            sites_ca_file: file.sites_ca_file.map(|path| path.below(&base)),
            keyring,
            pin: file.pin,
            unlock: match &args.identity {
                Some(path) => Some(UnlockSource::IdentityFile(path.clone())),
                None if args.unlock_by_keyring => Some(UnlockSource::Keyring),
                None => file.unlock.map(|unlock| unlock.below(&base)),
            },
            manager: file::manager(file.manager, args, &base, &path, keyring)?,
            worker: file.worker,
            file: text.map(|_| path),
        })
    }

    /// Reads and checks the sites file.
    ///
    /// # Errors
    /// [`SitesFileError`], with line and key.
    pub fn read_sites(&self) -> Result<Arc<Sites>, SitesFileError> {
        let path = self.sites.clone();
        match read_bounded(&path, SITES_FILE_MAX_BYTES) {
            Ok(Some(text)) => {
                Sites::parse(&text).map(Arc::new).map_err(|source| SitesFileError::Invalid { path, source })
            }
            Ok(None) => Err(SitesFileError::Missing(path)),
            Err(source) => Err(SitesFileError::Unreadable { path, source }),
        }
    }
}

impl ManagerSettings {
    /// Reads the key and makes a client; connects to nothing yet.
    ///
    /// # Errors
    /// [`ManagerSetupError`].
    pub async fn connect(&self) -> Result<Arc<ManagerClient>, ManagerSetupError> {
        let extra_roots_pem = match &self.ca_file {
            Some(path) => {
                let pem = fs::read(path);
                Some(pem.map_err(|source| ManagerSetupError::CaFile { path: path.clone(), source })?)
            }
            None => None,
        };
        let client = ManagerClient::new(ManagerConfig {
            base_url: self.base_url.clone(),
            key: self.key.read().await?,
            timeout: self.timeout,
            user_agent: USER_AGENT.to_owned(),
            extra_roots_pem,
        })?;
        Ok(Arc::new(client))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, key } if key.is_empty() => write!(f, "{}, line {line}", path.display()),
            Self::File { path, line, key } => write!(f, "{}, line {line}, {key}", path.display()),
            Self::Flag(flag) => write!(f, "{flag} (flag or environment)"),
        }
    }
}

/// The text of a settings file; none where there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    read_bounded(path, FILE_MAX_BYTES).map_err(unreadable)
}

fn read_bounded(path: &Path, max: usize) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    // One byte more than is read, so that a file that is cut off is told from one that ends there.
    let read = file.take(max as u64 + 1).read_to_string(&mut text)?;
    if read > max { Err(io::Error::other(format!("it has more than {max} bytes"))) } else { Ok(Some(text)) }
}

/// Largest settings file, in bytes: all keys there are fit into a hundredth of it.
const FILE_MAX_BYTES: usize = 64 * 1024;
const APP: &str = "latchkey";
const USER_AGENT: &str = concat!("Latchkey/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
