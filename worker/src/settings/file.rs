//! The settings file: its tables as serde reads them, and errors that name line and key. Knows no flag but those it is
//! laid under.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use latchkey_vault::manager_http::{BaseUrl, BaseUrlError};
use serde::Deserialize;
use toml::Spanned;

use super::{ManagerSettings, Place, SettingsArgs, SettingsError, WorkerSettings};
use crate::{
    api_key::KeySource,
    keyring::Keyring,
    unlock::{CredentialName, UnlockSource},
};

/// What the file says, its numbers and choices checked.
pub(super) struct File {
    pub(super) vault: Option<FilePath>,
    pub(super) anchors: Option<FilePath>,
    pub(super) sites: Option<FilePath>,
    pub(super) sites_ca_file: Option<FilePath>,
    pub(super) keyring: Option<Keyring>,
    pub(super) pin: Option<Keyring>,
    pub(super) unlock: Option<Unlock>,
    pub(super) manager: Option<Manager>,
    pub(super) worker: WorkerSettings,
}

/// What unlocks the vault; its path is still relative to the file.
pub(super) enum Unlock {
    IdentityFile(FilePath),
    Credential(CredentialName),
    PassphraseFd(u32),
    Keyring,
}

/// The manager's table, with the line of its address.
pub(super) struct Manager {
    base_url: Option<(String, usize)>,
    key: Option<Key>,
    line: usize,
    allow_http: bool,
    ca_file: Option<FilePath>,
    timeout: Duration,
}

enum Key {
    File(FilePath),
    Env(String),
    Keyring(KeyringEntry),
}

/// A path of the file: not empty, and not with a shell's `~`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct FilePath(PathBuf);

/// Reads the text of the settings file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, SettingsError> {
    let at = |span: Option<Range<usize>>, key: String, problem: String| SettingsError::Invalid {
        place: Place::File { path: path.to_owned(), line: line_of(text, span), key },
        problem,
    };
    let root =
        toml::Deserializer::parse(text).map_err(|error| at(error.span(), String::new(), error.message().to_owned()))?;
    let tables: Tables = serde_path_to_error::deserialize(root).map_err(|error| {
        let key = plain_key(&error.path().to_string());
        at(error.inner().span(), key, error.inner().message().to_owned())
    })?;
    let unlock = match tables.unlock {
        None => None,
        Some(table) => {
            let span = Some(table.span());
            Some(table.into_inner().choose().map_err(|problem| at(span, "unlock".into(), problem.into()))?)
        }
    };
    let manager = match tables.manager {
        None => None,
        Some(table) => {
            let line = line_of(text, Some(table.span()));
            let table = table.into_inner();
            let base_url = table.base_url.as_ref().map(|url| (url.get_ref().clone(), line_of(text, Some(url.span()))));
            let (allow_http, ca_file) = (table.allow_http, table.ca_file.clone());
            let timeout = Duration::from_secs(table.timeout_s.0.into());
            let key = table.choose_key().map_err(|problem| SettingsError::Invalid {
                place: Place::File { path: path.to_owned(), line, key: "manager".into() },
                problem: problem.into(),
            })?;
            Some(Manager { base_url, key, line, allow_http, ca_file, timeout })
        }
    };
    Ok(File {
        vault: tables.vault,
        anchors: tables.anchors,
        sites: tables.sites,
        sites_ca_file: tables.sites_ca_file,
        keyring: tables.keyring,
        pin: tables.pin,
        unlock,
        manager,
        worker: tables.worker.into(),
    })
}

/// The manager of file and flags together; none where neither names one.
pub(super) fn manager(
    file: Option<Manager>,
    args: &SettingsArgs,
    base: &Path,
    path: &Path,
    keyring: Option<Keyring>,
) -> Result<Option<ManagerSettings>, SettingsError> {
    let file = file.unwrap_or_default();
    let in_file = |line, key: &str| Place::File { path: path.to_owned(), line, key: key.to_owned() };
    let invalid = |place, problem: String| SettingsError::Invalid { place, problem };
    let key = match (&args.manager_key_file, file.key) {
        (Some(path), _) => Some(KeySource::File(path.clone())),
        (None, key) => key.map(|key| key.below(base, keyring)),
    };
    let (text, place) = match (&args.manager_url, file.base_url) {
        (Some(url), _) => (url.clone(), Place::Flag("--manager-url")),
        (None, Some((url, line))) => (url, in_file(line, "manager.base_url")),
        (None, None) if file.line == 0 => return Ok(None),
        (None, None) => {
            return Err(invalid(in_file(file.line, "manager"), "missing key `base_url`".to_owned()));
        }
    };
    let base_url = BaseUrl::parse(&text, file.allow_http).map_err(|error| {
        let advice = if error == BaseUrlError::PlainHttp { " (`allow_http = true` in [manager])" } else { "" };
        invalid(place.clone(), format!("{error}{advice}"))
    })?;
    let Some(key) = key else {
        return Err(invalid(place, format!("the manager has no key: {KEY_CHOICES}")));
    };
    let ca_file = file.ca_file.map(|path| path.below(base));
    Ok(Some(ManagerSettings { base_url, key, timeout: file.timeout, ca_file }))
}

impl Unlock {
    /// With its path below the file's folder.
    pub(super) fn below(self, base: &Path) -> UnlockSource {
        match self {
            Self::IdentityFile(path) => UnlockSource::IdentityFile(path.below(base)),
            Self::Credential(name) => UnlockSource::Credential(name),
            Self::PassphraseFd(fd) => UnlockSource::PassphraseFd(fd),
            Self::Keyring => UnlockSource::Keyring,
        }
    }
}

impl Key {
    fn below(self, base: &Path, keyring: Option<Keyring>) -> KeySource {
        match self {
            Self::File(path) => KeySource::File(path.below(base)),
            Self::Env(name) => KeySource::Env(name),
            Self::Keyring(KeyringEntry { service, user }) => KeySource::Keyring { keyring, service, user },
        }
    }
}

impl FilePath {
    /// The path, from the file's folder where it is relative.
    pub(super) fn below(self, base: &Path) -> PathBuf {
        base.join(self.0)
    }
}

impl TryFrom<String> for FilePath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || text.contains('\0') {
            return Err("a path is expected");
        }
        if text == "~" || text.starts_with("~/") {
            return Err("`~` is the shell's: write the whole path, or one relative to this file");
        }
        Ok(Self(text.into()))
    }
}

impl Default for Manager {
    fn default() -> Self {
        let timeout = Duration::from_secs(TIMEOUT_DEFAULT_S.into());
        Self { base_url: None, key: None, line: 0, allow_http: false, ca_file: None, timeout }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Tables {
    vault: Option<FilePath>,
    anchors: Option<FilePath>,
    sites: Option<FilePath>,
    sites_ca_file: Option<FilePath>,
    keyring: Option<Keyring>,
    pin: Option<Keyring>,
    unlock: Option<Spanned<UnlockTable>>,
    manager: Option<Spanned<ManagerTable>>,
    worker: WorkerTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnlockTable {
    identity_file: Option<FilePath>,
    credential: Option<CredentialName>,
    passphrase_fd: Option<u32>,
    #[serde(default)]
    keyring: bool,
}

impl UnlockTable {
    fn choose(self) -> Result<Unlock, &'static str> {
        match (self.identity_file, self.credential, self.passphrase_fd, self.keyring) {
            (Some(path), None, None, false) => Ok(Unlock::IdentityFile(path)),
            (None, Some(name), None, false) => Ok(Unlock::Credential(name)),
            (None, None, Some(fd), false) => Ok(Unlock::PassphraseFd(fd)),
            (None, None, None, true) => Ok(Unlock::Keyring),
            _ => Err("exactly one of `identity_file`, `credential`, `passphrase_fd` and `keyring = true` is expected"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManagerTable {
    base_url: Option<Spanned<String>>,
    key_file: Option<FilePath>,
    key_env: Option<String>,
    key_keyring: Option<KeyringEntry>,
    #[serde(default)]
    allow_http: bool,
    ca_file: Option<FilePath>,
    #[serde(default = "timeout_default")]
    timeout_s: Within<1, 600>,
}

impl ManagerTable {
    fn choose_key(self) -> Result<Option<Key>, &'static str> {
        match (self.key_file, self.key_env, self.key_keyring) {
            (None, None, None) => Ok(None),
            (Some(path), None, None) => Ok(Some(Key::File(path))),
            (None, Some(name), None) => Ok(Some(Key::Env(name))),
            (None, None, Some(entry)) => Ok(Some(Key::Keyring(entry))),
            _ => Err("only one of `key_file`, `key_env` and `key_keyring` may be given"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyringEntry {
    service: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WorkerTable {
    name: WorkerName,
    concurrency: Within<1, 256>,
    pull_limit: Within<1, 1000>,
    poll_s: Within<1, 3600>,
}

impl Default for WorkerTable {
    fn default() -> Self {
        let name = WorkerName("worker".to_owned());
        Self { name, concurrency: Within(8), pull_limit: Within(50), poll_s: Within(10) }
    }
}

impl From<WorkerTable> for WorkerSettings {
    fn from(table: WorkerTable) -> Self {
        Self {
            name: table.name.0,
            concurrency: table.concurrency.0 as usize,
            pull_limit: table.pull_limit.0,
            poll: Duration::from_secs(table.poll_s.0.into()),
        }
    }
}

/// A name for the audit: 1 to 64 characters that a line of a log can hold.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct WorkerName(String);

impl TryFrom<String> for WorkerName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || text.chars().count() > WORKER_NAME_MAX_CHARS || text.chars().any(char::is_control) {
            return Err("a name of 1 to 64 characters is expected");
        }
        Ok(Self(text))
    }
}

/// A whole number between two bounds, both allowed.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Within<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> TryFrom<u32> for Within<LEAST, MOST> {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        if (LEAST..=MOST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("a number from {LEAST} to {MOST} is expected"))
        }
    }
}

fn timeout_default() -> Within<1, 600> {
    Within(TIMEOUT_DEFAULT_S)
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start);
    1 + text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count()
}

/// The path of a key without the segments by which `Spanned` looks from inside; empty for the outermost value.
fn plain_key(path: &str) -> String {
    let own = path.split('.').filter(|part| !part.is_empty() && !part.starts_with('$'));
    own.collect::<Vec<_>>().join(".")
}

/// The manager answers within seconds; a slow proxy is waited for.
const TIMEOUT_DEFAULT_S: u32 = 30;
/// A name in every line of the audit.
const WORKER_NAME_MAX_CHARS: usize = 64;
const KEY_CHOICES: &str = "give `key_file`, `key_env` or `key_keyring` in [manager], or --manager-key-file";
