//! age plugins: programs `age-plugin-NAME` that hold keys for us (a token, a TPM, an agent), spoken to as
//! <https://c2sp.org/age-plugin> says. Knows no vault and no slot.
//!
//! Own code, and not age's feature of the same name, for what that cannot do: a program gets an environment without our
//! secrets, its answers are bounded, and it is ended when it takes too long.

mod program;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    ffi::OsString,
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use age_core::{
    format::{FileKey, Stanza},
    secrecy::ExposeSecret,
};
use thiserror::Error;

use crate::{
    Secret,
    crypto::{SlotDraft, SlotError},
};
use program::{Program, Said};

/// What a plugin may ask of a person. Where nobody is there to be asked, [`Nobody`].
pub trait Asks: Send + Sync {
    /// Something to be shown, such as "touch the token".
    fn tell(&self, message: &str);
    /// A choice between two; `None` where nobody answers.
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool>;
    /// A text that is no secret; `None` where nobody answers.
    fn public(&self, message: &str) -> Option<String>;
    /// A secret, as a PIN; `None` where nobody answers.
    fn secret(&self, message: &str) -> Option<Secret>;
}

/// Nobody is there: every question is refused.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

/// How plugins are run.
#[derive(Clone)]
pub struct AgePlugins {
    env: Vec<(OsString, OsString)>,
    asks: Arc<dyn Asks>,
    within: Duration,
}

/// The public key of a plugin: `age1NAME1…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRecipient {
    name: String,
    text: String,
}

/// What unlocks by plugin: an identity file with lines of `AGE-PLUGIN-NAME-1…`, and how the programs are run.
pub struct PluginKey {
    /// The file's text. Its other identities unlock as well.
    pub text: Secret,
    /// How the programs are run.
    pub plugins: AgePlugins,
}

/// Why a plugin did nothing for us. What it says itself is bounded and free of what steers a terminal.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PluginError {
    /// It is not installed.
    #[error("the program age-plugin-{name} is in no folder of PATH")]
    Missing {
        /// The plugin's name.
        name: String,
    },
    /// It could not be started, ended early, or took too long.
    #[error("age-plugin-{name}: {source}")]
    Program {
        /// The plugin's name.
        name: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// It refused.
    #[error("age-plugin-{name} refuses: {said}")]
    Refused {
        /// The plugin's name.
        name: String,
        /// In its words.
        said: String,
    },
    /// What it made is no slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
}

impl AgePlugins {
    /// Runs plugins with what they need of this environment: where programs, home and session are, and nothing else.
    pub fn new(env: impl IntoIterator<Item = (OsString, OsString)>, asks: Arc<dyn Asks>) -> Self {
        let kept = env.into_iter().filter(|(name, _)| ENV_KEPT.iter().any(|kept| name == kept)).collect();
        Self { env: kept, asks, within: WITHIN }
    }

    /// The same, ended after another time.
    #[must_use]
    pub const fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// A slot whose identity the plugin's key protects.
    ///
    /// # Errors
    /// [`PluginError`]; a person may have been asked by then.
    pub fn protect(&self, label: &str, recipient: &PluginRecipient) -> Result<SlotDraft, PluginError> {
        self.find(&recipient.name)?;
        let wrap = Wrap { plugins: self, recipient, failed: Mutex::new(None) };
        SlotDraft::plugin(label, &wrap).map_err(|error| {
            let failed = wrap.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
            failed.unwrap_or(PluginError::Slot(error))
        })
    }

    fn find(&self, name: &str) -> Result<PathBuf, PluginError> {
        let path = self.env.iter().find(|(own, _)| own == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
        let programs = std::env::split_paths(&path).map(|folder| folder.join(format!("age-plugin-{name}")));
        let mut programs = programs.filter(|program| program.is_absolute() && program.is_file());
        programs.next().ok_or_else(|| PluginError::Missing { name: name.to_owned() })
    }

    fn start(&self, name: &str, protocol: &str) -> Result<Program, PluginError> {
        let program = self.find(name)?;
        Program::start(&program, protocol, &self.env, self.within).map_err(|source| fault(name, source))
    }
}

impl fmt::Debug for AgePlugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgePlugins").field("within", &self.within).finish_non_exhaustive()
    }
}

impl fmt::Debug for PluginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginKey").field("plugins", &self.plugins).finish_non_exhaustive()
    }
}

impl Asks for Nobody {
    fn tell(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn public(&self, _: &str) -> Option<String> {
        None
    }

    fn secret(&self, _: &str) -> Option<Secret> {
        None
    }
}

impl PluginRecipient {
    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for PluginRecipient {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        let name = text.strip_prefix("age1").and_then(plugin_name).ok_or(SlotError::Recipient)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned() })
    }
}

impl PluginKey {
    /// Whether this text has an identity of a plugin.
    #[must_use]
    pub fn is_one(text: &Secret) -> bool {
        // EXPOSE: its lines are told apart; an identity of a plugin names a key and is none.
        identities(text.expose()).next().is_some()
    }

    /// That all programs that the text names are there.
    ///
    /// # Errors
    /// [`PluginError::Missing`].
    pub fn check(&self) -> Result<(), PluginError> {
        // EXPOSE: the plugins' names are read.
        identities(self.text.expose()).try_for_each(|(name, _)| self.plugins.find(&name).map(|_| ()))
    }
}

/// Each plugin's name and identity in the lines of a text.
fn identities(text: &str) -> impl Iterator<Item = (String, &str)> {
    text.lines().map(str::trim).take(LINES_MAX).filter_map(|line| {
        let lower = line.strip_prefix("AGE-PLUGIN-")?.to_lowercase();
        let name = plugin_name(&lower)?.strip_suffix('-')?.to_owned();
        Some((name, line))
    })
}

/// The name in front of a Bech32 text's last `1`. Its checksum is the plugin's to check.
fn plugin_name(text: &str) -> Option<&str> {
    let (name, data) = text.rsplit_once('1').filter(|_| text.len() <= TEXT_MAX_BYTES)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-._".contains(&byte);
    let bech32 = |byte: u8| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(&byte);
    (!name.is_empty() && name.bytes().all(plain) && data.len() >= CHECKSUM_CHARS && data.bytes().all(bech32))
        .then_some(name)
}

/// Encrypts to a plugin.
struct Wrap<'a> {
    plugins: &'a AgePlugins,
    recipient: &'a PluginRecipient,
    failed: Mutex<Option<PluginError>>,
}

impl Wrap<'_> {
    fn stanzas(&self, file_key: &FileKey) -> Result<Vec<Stanza>, PluginError> {
        let PluginRecipient { name, text } = self.recipient;
        let mut program = self.plugins.start(name, "recipient-v1")?;
        let mut stanzas = Vec::new();
        let mut refused = None;
        let mut talk = || {
            program.send("add-recipient", &[text], &[])?;
            // EXPOSE: the plugin is asked to encrypt the key of this one file.
            program.send("wrap-file-key", &[], file_key.expose_secret())?;
            program.send("done", &[], &[])?;
            program.answer(self.plugins.asks.as_ref(), |said: &mut Said| match said.tag.as_str() {
                "recipient-stanza" if said.args.len() >= 2 && said.args[0] == "0" => {
                    stanzas.push(Stanza {
                        tag: said.args[1].clone(),
                        args: said.args[2..].to_vec(),
                        body: std::mem::take(&mut said.body),
                    });
                    true
                }
                "error" => said.is_refusal(&mut refused),
                _ => false,
            })?;
            program.end()
        };
        talk().map_err(|source| fault(name, source))?;
        match refused {
            None if !stanzas.is_empty() => Ok(stanzas),
            said => Err(PluginError::Refused { name: name.clone(), said: said.unwrap_or_else(|| NOTHING.to_owned()) }),
        }
    }
}

impl age::Recipient for Wrap<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        self.stanzas(file_key).map(|stanzas| (stanzas, HashSet::new())).map_err(|error| {
            let told = std::io::Error::other(error.to_string());
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            age::EncryptError::Io(told)
        })
    }
}

impl PluginKey {
    fn file_key(&self, name: &str, identity: &str, stanzas: &[Stanza]) -> Result<Option<FileKey>, PluginError> {
        let mut program = self.plugins.start(name, "identity-v1")?;
        let (mut key, mut refused) = (None, None);
        let mut talk = || {
            program.send("add-identity", &[identity], &[])?;
            for Stanza { tag, args, body } in stanzas {
                let args: Vec<_> = ["0", tag].into_iter().chain(args.iter().map(String::as_str)).collect();
                program.send("recipient-stanza", &args, body)?;
            }
            program.send("done", &[], &[])?;
            program.answer(self.plugins.asks.as_ref(), |said: &mut Said| match said.tag.as_str() {
                "file-key" if said.args == ["0"] => {
                    key = said.file_key();
                    key.is_some()
                }
                "error" => said.is_refusal(&mut refused),
                _ => false,
            })?;
            program.end()
        };
        talk().map_err(|source| fault(name, source))?;
        match refused {
            Some(said) if key.is_none() => Err(PluginError::Refused { name: name.to_owned(), said }),
            _ => Ok(key),
        }
    }
}

impl age::Identity for PluginKey {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        // EXPOSE: each plugin is told which of its keys is meant.
        identities(self.text.expose()).find_map(|(name, identity)| match self.file_key(&name, identity, stanzas) {
            Ok(key) => key.map(Ok),
            Err(error) => {
                // Unlocking says nothing but that it failed; why a program failed is no secret.
                tracing::warn!(%error, "an age plugin did not unlock");
                None
            }
        })
    }
}

fn fault(name: &str, source: std::io::Error) -> PluginError {
    PluginError::Program { name: name.to_owned(), source }
}

/// What a plugin needs to find its program's parts, its home, its daemon and the person's screen and language.
const ENV_KEPT: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_MESSAGES",
    "TERM",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
];
/// A person looks for the token, plugs it in, types its PIN and touches it.
const WITHIN: Duration = Duration::from_secs(120);
/// Lines of an identity file that are looked at, as for other identities.
const LINES_MAX: usize = 64;
/// Longest recipient or identity, in bytes: post-quantum ones stay below 2 KiB.
const TEXT_MAX_BYTES: usize = 4 * 1024;
/// Of every Bech32 text (BIP 173).
const CHECKSUM_CHARS: usize = 6;
const NOTHING: &str = "it answered nothing";
