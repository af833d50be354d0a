//! What every command works with: settings, printer, standard input, and the way into the vault and out of it again.
//!
//! Knows no command.

use std::{cell::Cell, io, path::Path, sync::Arc};

use clap::Args;
use latchkey_vault::{
    Clock, Opener, Secret, SystemClock, UnlockWith, Vault,
    account_api::AccountApi,
    limits,
    sites::{Site, Sites},
};
use latchkey_worker::{
    logging::LogArgs,
    process, secret_file,
    settings::{Folders, Settings, SettingsArgs},
    unlock::{self, Around},
};

use crate::{
    exit::Exit,
    failure::{Failure, UNLOCK_HINT},
    printer::{Printer, safe},
    prompt,
};

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// How the vault is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// Where things are.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// What is logged.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// How a passphrase comes in where nobody is to be asked.
#[derive(Args, Clone, Debug, Default)]
pub struct UnlockArgs {
    /// Read the vault's passphrase from standard input
    #[arg(long, global = true)]
    pub passphrase_stdin: bool,
    /// Read the vault's passphrase from this open file descriptor
    #[arg(long, global = true, value_name = "N")]
    pub passphrase_fd: Option<u32>,
}

/// What a command works with.
pub struct Context {
    /// The flags of every command.
    pub globals: Globals,
    /// What is set.
    pub settings: Settings,
    /// Where results go.
    pub printer: Printer,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    stdin: Cell<Option<&'static str>>,
}

impl Context {
    /// Reads the settings.
    ///
    /// # Errors
    /// Where they have to be changed.
    pub fn new(globals: Globals) -> Result<Self, Failure> {
        let settings = Settings::load(&globals.settings, &Folders::of_user()?)?;
        let clock = SystemClock::new().map_err(|error| Failure::io("reading which boot this is", &error))?;
        let printer = Printer::new(globals.json);
        Ok(Self { globals, settings, printer, clock: Arc::new(clock), stdin: Cell::new(None) })
    }

    /// The time, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Who opens the vault, for its audit.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener { actor: process::actor("cli"), clock: Arc::clone(&self.clock) }
    }

    /// Opens the vault, works on it, and closes it however the work ends.
    ///
    /// # Errors
    /// Those of unlocking, of the work, or of closing.
    pub async fn with_vault<T>(&self, work: impl AsyncFnOnce(&Arc<Vault>) -> Result<T, Failure>) -> Result<T, Failure> {
        let file = &self.settings.vault.file;
        // Before a passphrase is asked for that could open nothing.
        check_there(file)?;
        let with = self.unlock_with()?;
        let vault = Vault::open(&self.settings.vault, self.opener(), with).await;
        let vault = Arc::new(vault.map_err(|error| Failure::from(error).about_vault(file))?);
        let worked = work(&vault).await;
        let closed = vault.close().await.map_err(|error| Failure::from(error).about_vault(file));
        let value = worked?;
        closed?;
        Ok(value)
    }

    /// What the vault is unlocked with: flags, settings, a systemd credential, or else the person's passphrase.
    ///
    /// # Errors
    /// Where nothing is given, or it cannot be read.
    pub fn unlock_with(&self) -> Result<UnlockWith, Failure> {
        let credentials = unlock::credentials_folder();
        let around = Around {
            vault: &self.settings.vault.file,
            credentials: credentials.as_deref(),
            keyring: self.settings.keyring.unwrap_or_default(),
            asks: prompt::for_plugins(),
        };
        if let Some(passphrase) = self.given_passphrase()? {
            return Ok(around.passphrase(passphrase)?);
        }
        if let Some(source) = unlock::source(self.settings.unlock.as_ref(), credentials.as_deref()) {
            return Ok(source.read(&around)?);
        }
        if prompt::is_possible() {
            return Ok(around.passphrase(prompt::secret("Passphrase of the vault")?)?);
        }
        let message = "the vault is locked: nothing was given that unlocks it, and there is no terminal to ask on";
        Err(Failure::new(Exit::Locked, "nothing_to_unlock_with", message, UNLOCK_HINT))
    }

    /// Whether the vault can be unlocked again without anybody: by an identity file or a credential.
    #[must_use]
    pub fn unlocks_by_itself(&self) -> bool {
        let UnlockArgs { passphrase_stdin, passphrase_fd } = self.globals.unlock;
        let source = unlock::source(self.settings.unlock.as_ref(), unlock::credentials_folder().as_deref());
        !passphrase_stdin && passphrase_fd.is_none() && source.is_some_and(|source| source.can_be_read_again())
    }

    /// The passphrase that a flag says where to read.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn given_passphrase(&self) -> Result<Option<Secret>, Failure> {
        let UnlockArgs { passphrase_stdin, passphrase_fd } = self.globals.unlock;
        match passphrase_fd {
            Some(fd) => Ok(Some(secret_file::read_fd(fd)?)),
            None if passphrase_stdin => self.read_stdin("--passphrase-stdin", limits::SECRET_MAX_BYTES).map(Some),
            None => Ok(None),
        }
    }

    /// Standard input to its end, for the one flag that may have it.
    ///
    /// # Errors
    /// Where another flag has had it, or it cannot be read.
    pub fn read_stdin(&self, flag: &'static str, max: usize) -> Result<Secret, Failure> {
        if let Some(other) = self.stdin.replace(Some(flag)) {
            let message = format!("{other} and {flag} both read standard input");
            return Err(Failure::usage(message, "give one of them by file descriptor, as --passphrase-fd 3"));
        }
        Ok(secret_file::read_stdin(max)?)
    }

    /// The manager's account calls.
    ///
    /// # Errors
    /// Where no manager is set, or its key cannot be read.
    pub async fn manager(&self) -> Result<AccountApi, Failure> {
        let manager = self.settings.manager.as_ref().ok_or_else(Failure::no_manager)?;
        Ok(AccountApi::new(manager.connect().await?))
    }

    /// The authorised sites.
    ///
    /// # Errors
    /// Where the sites file is absent or wrong.
    pub fn sites(&self) -> Result<Arc<Sites>, Failure> {
        Ok(self.settings.read_sites()?)
    }

    /// The authorised site of this name.
    ///
    /// # Errors
    /// Where the sites file is absent or wrong, or does not list it.
    pub fn site(&self, name: &str) -> Result<Arc<Site>, Failure> {
        let sites = self.sites()?;
        sites.find(name).cloned().ok_or_else(|| {
            let message = format!("the site {} is not in {}", safe(name), self.settings.sites.display());
            let hint = "list it there if you are authorised to use it; nothing was done";
            Failure::new(Exit::Usage, "site_unknown", message, hint)
        })
    }
}

fn check_there(file: &Path) -> Result<(), Failure> {
    match file.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::from(latchkey_vault::store::FileError::Missing).about_vault(file))
        }
        _ => Ok(()),
    }
}
