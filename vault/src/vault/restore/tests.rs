//! What a restore does with the log of the vault that it replaces, what the header says afterwards, and old keys.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::{
    ManualClock, NewAccount, NewSlot, Secret,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    model::{Actor, Fields},
};

const NOW_MS: i64 = 1_790_000_000_000;

/// A vault of two accounts, closed, and a backup from when it had one.
struct World {
    dir: tempfile::TempDir,
    paths: VaultPaths,
    backup: PathBuf,
    identity: Secret,
    clock: Arc<ManualClock>,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = VaultPaths { file: dir.path().join("vault/v.db"), anchors: dir.path().join("anchors"), pin: None };
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let backup = dir.path().join("backup.db");
        let world = Self { dir, paths, backup, identity: generate_identity().0, clock };
        let recipient = SlotRecipient::of_identity(&world.identity).unwrap();
        let slot = NewSlot::Identity { label: "test".into(), kind: SlotKind::Identity, recipient };
        let vault = Vault::init(&world.paths, world.opener(), vec![slot]).await.unwrap();
        vault.add_account(account("ann")).await.unwrap();
        vault.back_up(&world.backup, Arc::new(|_, _| ())).await.unwrap();
        vault.add_account(account("bob")).await.unwrap();
        vault.close().await.unwrap();
        world
    }

    fn opener(&self) -> Opener {
        let actor = Actor { uid: 0, user: "root".into(), pid: 0, name: "test".into() };
        Opener { actor, clock: Arc::clone(&self.clock) as Arc<dyn crate::Clock> }
    }

    fn key(&self) -> UnlockWith {
        UnlockWith::Identity(self.identity.duplicate())
    }

    async fn prepare(&self, old_keys: bool) -> Result<Restore, RestoreError> {
        let progress = Box::new(|_, _| ());
        Restore::prepare(&self.paths, self.opener(), &self.backup, self.key(), old_keys, progress).await
    }

    async fn open(&self) -> Result<Vault, UnlockError> {
        Vault::open(&self.paths, self.opener(), self.key()).await
    }

    /// How many accounts the vault has, everything in it checked.
    async fn accounts(&self) -> usize {
        let vault = self.open().await.unwrap();
        assert_eq!(vault.verify(Box::new(|_, _| ())).await.unwrap(), []);
        let accounts = vault.accounts(None, None, 10).await.unwrap().len();
        vault.close().await.unwrap();
        accounts
    }
}

fn account(username: &str) -> NewAccount {
    NewAccount {
        site: "site.test".into(),
        manager_id: None,
        fields: Fields { username: Some(Secret::copy_of(username)), ..Fields::default() },
        app_password: None,
        tags: Vec::new(),
        notes: String::new(),
        origin: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_vault_that_does_not_open_goes_with_it_and_is_not_played_into_the_new_one() {
    let world = World::new().await;
    let beside = |path: &Path| with_suffix(path, "-wal");
    // The log of a vault whose file is destroyed: SQLite itself is never asked about it.
    let vault = world.open().await.unwrap();
    vault.add_account(account("eve")).await.unwrap();
    let log = fs::read(beside(&world.paths.file)).unwrap();
    vault.close().await.unwrap();
    fs::write(&world.paths.file, [0x5a; 4096]).unwrap();
    fs::write(beside(&world.paths.file), &log).unwrap();
    fs::set_permissions(beside(&world.paths.file), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let restore = world.prepare(false).await.unwrap();
    assert!(matches!(restore.plan().present, Present::Unreadable(_)), "{:?}", restore.plan().present);
    let kept = restore.carry_out().await.unwrap().kept.unwrap();
    assert_eq!(fs::read(beside(&kept)).unwrap(), log);
    assert_eq!(fs::read(&kept).unwrap(), [0x5a; 4096]);
    assert_eq!(world.accounts().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_vault_says_when_its_incarnation_began_and_which_steps_are_spent() {
    let world = World::new().await;
    let header = || {
        let file = SqliteFile::open(&world.paths.file).unwrap();
        let keys = load(&file, unlock(&file, &world.key()).unwrap()).unwrap();
        header_of(&file, &keys).unwrap()
    };
    let before = header();
    assert_eq!((before.incarnation, before.incarnation_since_ms, before.steps_spent_until_ms), (1, 0, 0));
    world.clock.set_wall_ms(NOW_MS + 90_000);
    let _ = world.prepare(false).await.unwrap().carry_out().await.unwrap();
    let after = header();
    assert_eq!((after.incarnation, after.incarnation_since_ms), (90, NOW_MS + 90_000), "the vault's age in seconds");
    assert_eq!(after.steps_spent_until_ms, NOW_MS + 90_000 + 60_000);
    // The clock was set back since, and the audit of the present vault knows a later time.
    world.clock.set_wall_ms(NOW_MS);
    let _ = world.prepare(false).await.unwrap().carry_out().await.unwrap();
    let again = header();
    assert_eq!((again.incarnation, again.steps_spent_until_ms), (91, NOW_MS + 90_000 + 60_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_a_change_of_keys_needs_a_word_of_its_own() {
    let world = World::new().await;
    let vault = world.open().await.unwrap();
    let (id, head) = (vault.id(), vault.store.head());
    let rotated = vault.keys().rotated().unwrap();
    vault.close().await.unwrap();
    AnchorFile::of(&world.paths, id).write_first(&rotated, head).unwrap();
    assert!(matches!(world.prepare(false).await.map(|_| ()), Err(RestoreError::OldKeys)));
    let restore = world.prepare(true).await.unwrap();
    assert!(restore.plan().has_old_keys);
    let _ = restore.carry_out().await.unwrap();
    assert_eq!(world.accounts().await, 1);
    drop(world.dir);
}
