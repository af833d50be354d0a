//! What the tests share: a vault in a folder of its own, with a clock that only they move.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use latchkey_vault::{
    CheckOutAsk, Clock, ManualClock, NewAccount, NewSlot, Opener, Secret, UnlockError, UnlockWith, Vault, VaultPaths,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    model::{Actor, Fields},
};

pub(crate) struct Folder {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) paths: VaultPaths,
    pub(crate) identity: Secret,
    pub(crate) clock: Arc<ManualClock>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = VaultPaths { file: dir.path().join("vault/vault.db"), anchors: dir.path().join("anchors") };
        let clock = Arc::new(ManualClock::new(1_790_000_000_000));
        Self { dir, paths, identity: generate_identity().0, clock }
    }

    pub(crate) fn opener(&self) -> Opener {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Opener { actor: Actor { uid: 0, pid: 1, name: "test".into() }, clock }
    }

    pub(crate) async fn init(&self) -> Vault {
        let recipient = SlotRecipient::of_identity(&self.identity).unwrap();
        let slot = NewSlot::Identity { label: "test".into(), kind: SlotKind::Identity, recipient };
        Vault::init(&self.paths, self.opener(), vec![slot]).await.unwrap()
    }

    pub(crate) async fn open(&self) -> Result<Vault, UnlockError> {
        Vault::open(&self.paths, self.opener(), UnlockWith::Identity(self.identity.duplicate())).await
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
        purpose: "test".into(),
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
