//! What went wrong, in the words that a person is told: what happened, why, and what to do next.
//!
//! Every error of the libraries becomes a [`Failure`] here, once. No failure holds a secret or text that may be one.

use std::path::Path;

use latchkey_vault::{
    AccountError, AddSlotError, AnchorFileError, BackupError, CheckInError, CheckOutError, InitError, PinError,
    PluginError, RefreshError, RekeyError, RestoreError, UnlockError,
    account_api::ReadError,
    crypto::SlotError,
    manager_http::CallError,
    site_http::TransportError,
    store::{FileError, StoreError, Tampering},
};
use latchkey_worker::{
    RunError,
    keyring::KeyringError,
    secret_file::SecretFileError,
    service::ServeError,
    settings::{ManagerSetupError, SettingsError, SitesFileError},
    unlock::UnlockSourceError,
};

use crate::exit::Exit;

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// A stable word for programs.
    pub code: &'static str,
    /// What happened, and why.
    pub message: String,
    /// What to do next.
    pub hint: String,
    /// What it amounts to, where the vault is not as it was written.
    pub tampering: Option<Tampering>,
}

impl Failure {
    /// A failure in these words.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), hint: hint.into(), tampering: None }
    }

    /// The same, where the vault is not as it was written.
    #[must_use]
    fn amounting_to(self, class: Tampering) -> Self {
        Self { tampering: Some(class), ..self }
    }

    /// Arguments that do not fit together.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message, hint)
    }

    /// The operating system refused.
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        Self::new(Exit::Failure, "io", format!("{doing}: {error}"), "check disk, paths and permissions, then try again")
    }

    /// The same with the path of the vault in front, where it is about the vault's file.
    #[must_use]
    pub fn about_vault(mut self, path: &Path) -> Self {
        if matches!(self.exit, Exit::Vault | Exit::Tampering) {
            self.message = format!("{}: {}", path.display(), self.message);
        }
        self
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let (code, hint) = match &error {
            FileError::Missing => {
                ("vault_missing", "name another vault with --vault, or make one with `latchkey init`")
            }
            FileError::Exists => ("vault_exists", "name another place with --vault, or use the vault that is there"),
            FileError::Empty => ("vault_empty", "restore the vault from a backup; an empty file holds nothing to save"),
            FileError::Foreign => ("vault_foreign", "check --vault, LATCHKEY_VAULT and `vault` in the settings"),
            FileError::Damaged => ("vault_damaged", "keep the file as it is and restore the vault from a backup"),
            FileError::Replaced => {
                ("vault_replaced", "another file was put in its place meanwhile; run the command again")
            }
            FileError::InUse => ("vault_in_use", "stop every worker and command that uses this vault, then try again"),
            FileError::Newer { .. } => ("vault_newer", "install a latchkey that is at least as new as the vault"),
            _ => ("vault_unsafe", "see `latchkey doctor` for the permissions of every file"),
        };
        let tampering = matches!(error, FileError::Damaged).then_some(Tampering::Corruption);
        Self { tampering, ..Self::new(Exit::Vault, code, error.to_string(), hint) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::File(error) => error.into(),
            StoreError::Tampered { class: Tampering::Rollback, .. } => {
                let hint = "if `latchkey backup restore` was interrupted, run the same command again; else find out who put an \
                            older file in its place; to go back to a backup on purpose: `latchkey backup restore`";
                Self::new(Exit::Tampering, "rollback", message, hint).amounting_to(Tampering::Rollback)
            }
            StoreError::Tampered { class, .. } => {
                let hint = "do not go on with this file: keep it as evidence, run `latchkey verify`, restore a backup";
                Self::new(Exit::Tampering, "tampered", message, hint).amounting_to(class)
            }
            StoreError::Full => {
                Self::new(Exit::Failure, "disk_full", message, "free some space, then repeat the command")
            }
            StoreError::Unknown => {
                let hint = "look whether the change is there (`latchkey account show`) before repeating it";
                Self::new(Exit::Failure, "commit_unknown", message, hint)
            }
            StoreError::Rekeyed => {
                Self::new(Exit::Vault, "rekeyed", message, "run the command again: it unlocks with the new keys")
            }
            StoreError::Busy => {
                let hint = "end long readers (backups, `latchkey verify`), then `latchkey key rotate --resume`";
                Self::new(Exit::Failure, "busy", message, hint)
            }
            _ => Self::new(Exit::Failure, "store", message, "run `latchkey doctor`, then try again"),
        }
    }
}

impl From<RekeyError> for Failure {
    fn from(error: RekeyError) -> Self {
        let message = error.to_string();
        match error {
            RekeyError::Store(error) => error.into(),
            RekeyError::Anchor(error) => error.into(),
            RekeyError::UnknownSlot(_) | RekeyError::LastSlot | RekeyError::NoRecovery => {
                Self::new(Exit::Usage, "key_slot", message, "see `latchkey key slots`; nothing was changed")
            }
            RekeyError::Running => {
                let hint = "`latchkey key rotate --resume`, then try again; nothing was changed";
                Self::new(Exit::Failure, "rekey_running", message, hint)
            }
            _ => Self::new(Exit::Failure, "rekey", message, "try again; nothing was changed"),
        }
    }
}

impl From<PinError> for Failure {
    fn from(error: PinError) -> Self {
        let message = error.to_string();
        let tampering = matches!(error, PinError::RolledBack { .. }).then_some(Tampering::Rollback);
        let (exit, code, hint) = match error {
            PinError::Missing => (Exit::Tampering, "pin_missing", "if you know why it is gone: `latchkey anchor pin`"),
            PinError::Damaged => (Exit::Tampering, "pin_damaged", "find out how; then `latchkey anchor adopt`"),
            PinError::RolledBack { .. } => {
                let hint = "find out who put older files there; if that was meant: `latchkey anchor adopt \
                            --accept-rollback`; the way back to a backup is `latchkey backup restore FILE`";
                (Exit::Tampering, "rollback", hint)
            }
            PinError::OtherRoot => {
                (Exit::Tampering, "pin_other_root", "find out which of them is the older one before anything else")
            }
            _ => {
                let hint = "unlock the keyring that `pin` in the settings names, or run this in a session that has it; if \
                            it is gone for good, name another one there, then `latchkey anchor pin`";
                (Exit::Locked, "pin_unreachable", hint)
            }
        };
        Self { tampering, ..Self::new(exit, code, message, hint) }
    }
}

impl From<AnchorFileError> for Failure {
    fn from(error: AnchorFileError) -> Self {
        let message = error.to_string();
        let (code, hint) = match error {
            AnchorFileError::Pin(error) => return error.into(),
            AnchorFileError::Missing { .. } => {
                ("anchor_missing", "check --anchors; if the anchor is gone for good: `latchkey anchor adopt`")
            }
            AnchorFileError::Damaged { .. } => ("anchor_damaged", "find out how; then `latchkey anchor adopt`"),
            AnchorFileError::Foreign => ("anchor_foreign", "check --anchors and --vault: they belong together"),
            AnchorFileError::Unsafe(_) => {
                ("anchor_unsafe", "chmod 700 the folder of anchors, chmod 600 the files in it")
            }
            _ => ("anchor_io", "check disk and permissions of the folder of anchors"),
        };
        Self::new(Exit::Tampering, code, message, hint)
    }
}

impl From<UnlockError> for Failure {
    fn from(error: UnlockError) -> Self {
        let message = error.to_string();
        match error {
            UnlockError::Store(error) => error.into(),
            UnlockError::Anchor(error) => error.into(),
            UnlockError::Findings(_) => {
                let hint = "the anchor was not adopted; keep the file as evidence and restore a backup";
                Self::new(Exit::Tampering, "findings", message, hint)
            }
            UnlockError::RolledBack { .. } => {
                let hint = "if an older copy was put there on purpose: `latchkey anchor adopt --accept-rollback`; the way \
                            back to a backup is `latchkey backup restore FILE`, which says first what it rolls back";
                Self::new(Exit::Tampering, "rollback", message, hint)
            }
            _ => {
                let hint = "check caps lock and which vault this is (`latchkey doctor` lists the ways to unlock it); \
                            a recovery identity is given with --identity";
                Self::new(Exit::Locked, "cannot_unlock", format!("the vault {message}"), hint)
            }
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Exists(_) => Self::usage(message, "name a file that does not exist yet"),
            BackupError::BesideAnchors => Self::usage(message, "name another folder, best on another disk"),
            BackupError::Findings(_) => {
                let hint = "the vault itself is not as it was written: see `latchkey verify`; no backup was written";
                Self::new(Exit::Tampering, "findings", message, hint)
            }
            BackupError::Busy => Self::new(Exit::Failure, "backup_busy", message, "wait for it to end, then try again"),
            _ => Self::new(Exit::Failure, "backup", message, "check disk and permissions; no backup was written"),
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let message = error.to_string();
        match error {
            RestoreError::InUse(error) => error.into(),
            RestoreError::Store(error) => error.into(),
            RestoreError::Backup(error) => {
                let Self { exit, code, hint, .. } = error.into();
                Self::new(exit, code, message, hint)
            }
            RestoreError::Anchor(error) => {
                let hint = "mend that, then make the same restore again: it completes what was begun";
                Self { hint: hint.into(), ..error.into() }
            }
            RestoreError::Findings(_) => {
                let hint = "this backup was edited or damaged: take another one; the vault is as it was";
                Self::new(Exit::Tampering, "findings", message, hint)
            }
            RestoreError::OtherVault { .. } => {
                let hint = "check --vault and which backup this is; to bring that vault back, name an empty place";
                Self::new(Exit::Vault, "backup_foreign", message, hint)
            }
            RestoreError::OldKeys => {
                let hint = "if that is meant: --old-keys, and remove the slot once more afterwards";
                Self::new(Exit::Tampering, "old_keys", message, hint)
            }
            RestoreError::LogBeside => {
                Self::new(Exit::Vault, "backup_log", message, "restore a file that `latchkey backup create` wrote")
            }
            RestoreError::Copy(error) => error.into(),
            _ => Self::new(Exit::Failure, "restore", message, "check disk, paths and permissions, then try again"),
        }
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        let message = error.to_string();
        match error {
            InitError::Store(error) => error.into(),
            InitError::Anchor(error) => error.into(),
            InitError::AnchorBesideVault => Self::usage(message, "name another folder with --anchors"),
            InitError::Slot(_) | InitError::Slots(_) => Self::usage(message, "see `latchkey init --help`"),
            _ => Self::new(Exit::Failure, "init", message, "check the folder's permissions, then try again"),
        }
    }
}

impl From<AddSlotError> for Failure {
    fn from(error: AddSlotError) -> Self {
        let message = error.to_string();
        match error {
            AddSlotError::Store(error) => error.into(),
            AddSlotError::Busy => Self::new(Exit::Failure, "slots_busy", message, "try again"),
            _ => Self::usage(message, "see `latchkey key slots` and `latchkey key add --help`; nothing was changed"),
        }
    }
}

impl From<SlotError> for Failure {
    fn from(error: SlotError) -> Self {
        Self::usage(error.to_string(), "see `latchkey key add --help`; nothing was changed")
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let message = error.to_string();
        match error {
            AccountError::Store(error) => error.into(),
            AccountError::Unknown(_) => {
                Self::new(Exit::Account, "account_unknown", message, "`latchkey account list` shows those there are")
            }
            AccountError::Duplicate(id) => {
                let hint = format!("look at it with `latchkey account show {id}`, change it with `account edit`");
                Self::new(Exit::Account, "account_duplicate", message, hint)
            }
            AccountError::Invalid { field: "totp", .. } => {
                let hint = "give the Base32 text or the otpauth:// URI that the site showed; nothing was written";
                Self::new(Exit::Account, "account_invalid", message, hint)
            }
            AccountError::Invalid { .. } => {
                Self::new(Exit::Account, "account_invalid", message, "give another value; nothing was written")
            }
            _ => Self::new(Exit::Account, "account_busy", message, "try again"),
        }
    }
}

impl From<CheckOutError> for Failure {
    fn from(error: CheckOutError) -> Self {
        let message = error.to_string();
        match error {
            CheckOutError::Account(error) => error.into(),
            CheckOutError::Held { .. } => {
                Self::new(Exit::Site, "in_use", message, "wait until it is free, or stop the worker that uses it")
            }
            _ => Self::new(Exit::Site, "blocked", message, RESET_HINT),
        }
    }
}

impl From<CheckInError> for Failure {
    fn from(error: CheckInError) -> Self {
        let message = error.to_string();
        match error {
            CheckInError::Account(error) => error.into(),
            _ => Self::new(Exit::Site, "in_use", message, "try again"),
        }
    }
}

impl From<RefreshError> for Failure {
    fn from(error: RefreshError) -> Self {
        let message = error.to_string();
        let (code, hint) = match error {
            RefreshError::Account(error) => return error.into(),
            RefreshError::Blocked { .. } => ("blocked", RESET_HINT),
            RefreshError::Unclear { .. } => ("unclear", "check the site's marks in the sites file, or try again later"),
            RefreshError::NotSent { .. } => {
                ("not_sent", "mend what prevented it, then try again; no credential left us")
            }
            RefreshError::Ambiguous { .. } => ("ambiguous", "try again: the session is probed before another login"),
            _ => ("too_long", "try again: another login of this credential may have ended by then"),
        };
        Self::new(Exit::Site, code, message, hint)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let (code, hint) = match &error {
            CallError::Unauthorized { .. } => ("manager_key", "check the API key that [manager] in the settings names"),
            CallError::Redirected { .. } => ("manager_redirects", "check `base_url` in [manager]"),
            CallError::NotFound { .. } => ("manager_not_found", "check the manager's id of the account"),
            CallError::NotSent { .. } => ("manager_unreachable", "check `base_url`, the network and the certificates"),
            _ => ("manager_refused", "try again later; nothing was lost"),
        };
        // What the connection failed on (name, address, certificate) is in the sources; the URL is not.
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        let message = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        Self::new(Exit::Manager, code, message, hint)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Call(error) => error.into(),
            _ => Self::new(Exit::Manager, "manager_refused", error.to_string(), "ask who runs the manager"),
        }
    }
}

impl From<ManagerSetupError> for Failure {
    fn from(error: ManagerSetupError) -> Self {
        let hint = "see [manager] in the settings file: `key_file` (mode 0600), `key_env` or `key_keyring`";
        Self::new(Exit::Usage, "manager_settings", error.to_string(), hint)
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Usage, "settings", error.to_string(), "change that value; nothing was done")
    }
}

impl From<SitesFileError> for Failure {
    fn from(error: SitesFileError) -> Self {
        let (code, hint) = match &error {
            SitesFileError::Missing(_) => {
                ("sites_missing", "list the sites that you are authorised to use there, or name the file with --sites")
            }
            _ => ("sites_invalid", "mend that line; no site of the file is used until then"),
        };
        Self::new(Exit::Usage, code, error.to_string(), hint)
    }
}

impl From<SecretFileError> for Failure {
    fn from(error: SecretFileError) -> Self {
        Self::new(Exit::Usage, "secret_input", error.to_string(), "nothing was changed; give the secret another way")
    }
}

impl From<UnlockSourceError> for Failure {
    fn from(error: UnlockSourceError) -> Self {
        let hint = match error {
            UnlockSourceError::Vault(error) => return error.into(),
            UnlockSourceError::Nothing => UNLOCK_HINT,
            UnlockSourceError::Keyring(_) => KEYRING_HINT,
            UnlockSourceError::NoKeyringSlot => "`latchkey key slots` lists the ways to unlock; unlock by another",
            UnlockSourceError::Plugin(_) => "install the plugin's program, or unlock another way",
            _ => "check [unlock] in the settings, --identity and LATCHKEY_IDENTITY",
        };
        Self::new(Exit::Locked, "unlock_source", format!("the vault cannot be unlocked: {error}"), hint)
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        Self::new(Exit::Failure, "keyring", error.to_string(), KEYRING_HINT)
    }
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        Self::new(Exit::Failure, "plugin", error.to_string(), "install or mend the plugin; nothing was changed")
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::Sites(error) => error.into(),
            ServeError::Manager(error) => error.into(),
            ServeError::NoManager => Self::no_manager(),
            ServeError::Run(RunError::Vault(error)) => error.into(),
            ServeError::Run(RunError::KeyRefused) => Self::new(
                Exit::Manager,
                "manager_key",
                message,
                "check the API key that [manager] in the settings names",
            ),
            _ => Self::usage(message, "change that setting"),
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::usage(error.to_string(), "check `sites_ca_file` in the settings: PEM certificates are expected")
    }
}

impl Failure {
    /// A person pressed Ctrl-C.
    #[must_use]
    pub fn interrupted() -> Self {
        let hint = "what was committed is durable; look at the state before you repeat the command";
        Self::new(Exit::Interrupted, "interrupted", "interrupted", hint)
    }

    /// A command needs the manager, and none is set.
    #[must_use]
    pub fn no_manager() -> Self {
        let hint =
            "set `base_url` and `key_file` in [manager] of the settings, or --manager-url and --manager-key-file";
        Self::new(Exit::Usage, "manager_unset", "no manager is set", hint)
    }
}

const RESET_HINT: &str = "look at the site in a browser; once the account is well again: `latchkey account reset`";
const KEYRING_HINT: &str = "unlock the keyring, or name another one: `keyring` in the settings, --keyring-store or \
                            LATCHKEY_KEYRING; a recovery key unlocks without any";
/// The ways to unlock, for a person who has given none.
pub(crate) const UNLOCK_HINT: &str = "give --identity FILE, --unlock-by-keyring, --passphrase-stdin or --passphrase-fd N, \
                                      set [unlock] in the settings, or run it on a terminal";

#[cfg(test)]
mod tests {
    use latchkey_vault::{
        AccountError, UnlockError,
        model::AccountId,
        store::{FileError, StoreError, Tampering},
    };

    use super::Failure;
    use crate::exit::Exit;

    #[test]
    fn each_failure_has_its_exit_code_its_word_and_an_advice() {
        let id = AccountId::from_bytes([7; 16]);
        let tampered = |class| Failure::from(StoreError::tampered(class, None));
        for (failure, exit, code) in [
            (Failure::from(FileError::Missing), Exit::Vault, "vault_missing"),
            (Failure::from(FileError::Exists), Exit::Vault, "vault_exists"),
            (Failure::from(FileError::Newer { found: 9, known: 1 }), Exit::Vault, "vault_newer"),
            (Failure::from(StoreError::File(FileError::Foreign)), Exit::Vault, "vault_foreign"),
            (tampered(Tampering::Rollback), Exit::Tampering, "rollback"),
            (tampered(Tampering::Digest), Exit::Tampering, "tampered"),
            (Failure::from(StoreError::Full), Exit::Failure, "disk_full"),
            (Failure::from(UnlockError::CannotUnlock), Exit::Locked, "cannot_unlock"),
            (Failure::from(UnlockError::Store(FileError::Empty.into())), Exit::Vault, "vault_empty"),
            (Failure::from(AccountError::Unknown(id)), Exit::Account, "account_unknown"),
            (Failure::from(AccountError::Duplicate(id)), Exit::Account, "account_duplicate"),
            (Failure::from(AccountError::Store(StoreError::Closed)), Exit::Failure, "store"),
        ] {
            assert_eq!((failure.exit, failure.code), (exit, code), "{}", failure.message);
            assert!(!failure.message.is_empty() && !failure.hint.is_empty(), "{code}");
        }
    }
}
