//! What the tests share: a vault in a folder of its own, with a clock that only they move.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use latchkey_vault::{
    AccountError, AccountId, CheckOutAsk, CheckOutError, Clock, LeaseMode, ManualClock, NewAccount, NewSlot, Opener,
    Secret, UnlockError, UnlockWith, Vault, VaultPaths,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    model::{Actor, Fields},
    store::{Finding, StoreError, Tampering},
};
use rusqlite::Connection;

pub(crate) struct Folder {
    dir: tempfile::TempDir,
    pub(crate) paths: VaultPaths,
    pub(crate) identity: Secret,
    pub(crate) clock: Arc<ManualClock>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self::with_identity(generate_identity().0)
    }

    /// A folder for a vault that this identity opens.
    pub(crate) fn with_identity(identity: Secret) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths =
            VaultPaths { file: dir.path().join("vault/vault.db"), anchors: dir.path().join("anchors"), pin: None };
        let clock = Arc::new(ManualClock::new(1_790_000_000_000));
        Self { dir, paths, identity, clock }
    }

    /// The folder that everything of this vault lies in.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn opener(&self) -> Opener {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Opener { actor: Actor { uid: 0, user: "root".into(), pid: 1, name: "test".into() }, clock }
    }

    pub(crate) fn slot(&self) -> NewSlot {
        let recipient = SlotRecipient::of_identity(&self.identity).unwrap();
        NewSlot::Identity { label: "test".into(), kind: SlotKind::Identity, recipient }
    }

    pub(crate) fn key(&self) -> UnlockWith {
        UnlockWith::Identity(self.identity.duplicate())
    }

    pub(crate) async fn init(&self) -> Vault {
        Vault::init(&self.paths, self.opener(), vec![self.slot()]).await.unwrap()
    }

    pub(crate) async fn open(&self) -> Result<Vault, UnlockError> {
        Vault::open(&self.paths, self.opener(), self.key()).await
    }

    pub(crate) async fn adopt(&self, accept_rollback: bool) -> Result<Vault, UnlockError> {
        Vault::adopt_anchor(&self.paths, self.opener(), self.key(), accept_rollback, Box::new(|_, _| ())).await
    }

    /// Another folder with the same files, modes included.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::with_identity(self.identity.duplicate());
        for folder in ["vault", "anchors"] {
            fs::create_dir(copy.path().join(folder)).unwrap();
            fs::set_permissions(copy.path().join(folder), fs::Permissions::from_mode(0o700)).unwrap();
            for entry in fs::read_dir(self.path().join(folder)).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), copy.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
        copy
    }

    /// A plain connection to the closed file, as an attacker would make it.
    pub(crate) fn plain(&self) -> Connection {
        Connection::open(&self.paths.file).unwrap()
    }

    /// The anchor's file.
    pub(crate) fn anchor(&self) -> PathBuf {
        let mut there = fs::read_dir(&self.paths.anchors).unwrap().map(|entry| entry.unwrap().path());
        there.find(|path| path.extension().is_some_and(|extension| extension == "anchor")).unwrap()
    }
}

/// Opens, checks everything and closes: nothing may be found.
#[track_caller]
pub(crate) fn assert_clean(folder: &Folder) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        let vault = folder.open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(verify(&vault).await, [], "{at}");
        vault.close().await.unwrap();
    }
}

pub(crate) async fn verify(vault: &Vault) -> Vec<Finding> {
    vault.verify(Box::new(|_, _| ())).await.unwrap()
}

/// What kind of tampering an error tells of.
pub(crate) trait Class: std::fmt::Debug {
    fn class(&self) -> Option<Tampering>;
}

impl Class for StoreError {
    fn class(&self) -> Option<Tampering> {
        if let Self::Tampered { class, .. } = self { Some(*class) } else { None }
    }
}

impl Class for UnlockError {
    fn class(&self) -> Option<Tampering> {
        if let Self::Store(error) = self { error.class() } else { None }
    }
}

impl Class for AccountError {
    fn class(&self) -> Option<Tampering> {
        if let Self::Store(error) = self { error.class() } else { None }
    }
}

impl Class for CheckOutError {
    fn class(&self) -> Option<Tampering> {
        if let Self::Account(error) = self { error.class() } else { None }
    }
}

pub(crate) fn account(username: &str) -> NewAccount {
    NewAccount {
        site: "site.test".into(),
        manager_id: Some(format!("m-{username}")),
        fields: Fields {
            username: Some(Secret::copy_of(username)),
            password: Some(Secret::copy_of("pass-canary")),
            cookie: Some(Secret::copy_of("sid=cookie-canary")),
            ..Fields::default()
        },
        app_password: None,
        tags: vec!["blog".into()],
        notes: "note-canary".into(),
        origin: Some("https://site.test".parse().unwrap()),
    }
}

pub(crate) fn ask(wait_ms: u64) -> CheckOutAsk {
    CheckOutAsk {
        ttl: Duration::from_secs(60),
        quarantine: Duration::from_secs(10),
        wait: Duration::from_millis(wait_ms),
        mode: LeaseMode::Exclusive,
        purpose: "test".into(),
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// An account's id as SQLite's parameter.
pub(crate) fn key(id: &AccountId) -> &[u8] {
    id.as_bytes()
}
