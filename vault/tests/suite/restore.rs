//! Backups and what a restored one does: to leases, attempts, reports, sessions, and to what an attacker has prepared.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use latchkey_vault::{
    AnchorFileError, BackupError, CheckIn, CheckInError, CheckOutError, Item, ItemChange, ItemKind, LaneHold,
    NewReport, Present, RefreshAsk, RefreshedBy, Rescue, Restore, RestoreError, Restored, UnlockError, Vault,
    cookies::Jar,
    login::{Evidence, LoginIdentity, LoginOutcome, SiteAuth, TotpSource, Verdict},
    store::{FileError, Lane, StoreError, Tampering},
};

use crate::common::{Class, Folder, account, ask, assert_clean, key, mode, verify};

/// A site at which every session lives, that counts who asks.
#[derive(Default)]
struct Lively {
    probes: AtomicU32,
    logins: AtomicU32,
}

#[async_trait]
impl SiteAuth for Lively {
    async fn probe(&self, _: &mut Jar, _: &LoginIdentity<'_>) -> Evidence {
        self.probes.fetch_add(1, Ordering::SeqCst);
        Evidence::new(Verdict::Live, "probe")
    }

    async fn log_in(&self, _: &LoginIdentity<'_>, _: &mut Jar, _: &mut dyn TotpSource) -> LoginOutcome {
        self.logins.fetch_add(1, Ordering::SeqCst);
        LoginOutcome::LoggedIn(Evidence::new(Verdict::Live, "in"))
    }
}

fn backup_of(folder: &Folder) -> PathBuf {
    folder.path().join("backup.db")
}

async fn back_up(vault: &Vault, to: &Path) -> Result<u64, BackupError> {
    vault.back_up(to, Arc::new(|_, _| ())).await.map(|made| made.counter)
}

async fn prepare(folder: &Folder, backup: &Path) -> Result<Restore, RestoreError> {
    Restore::prepare(&folder.paths, folder.opener(), backup, folder.key(), false, Box::new(|_, _| ())).await
}

async fn restore(folder: &Folder) -> Restored {
    prepare(folder, &backup_of(folder)).await.unwrap().carry_out().await.unwrap()
}

fn attempt(id: u8, rev: u64) -> ItemChange {
    let (kind, body) = (ItemKind::Attempt, vec![id].into());
    ItemChange { kind, id: [id; 16], rev, key: format!("task-{id}"), open: true, body }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_consistent_while_others_write_private_audited_and_never_over_anything() {
    let folder = Folder::new();
    let vault = Arc::new(folder.init().await);
    let writing = {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move {
            for i in 0..40 {
                vault.add_account(account(&format!("user-{i}"))).await.unwrap();
            }
        })
    };
    let backup = backup_of(&folder);
    let counter = back_up(&vault, &backup).await.unwrap();
    writing.await.unwrap();
    assert_eq!(mode(&backup), 0o600);
    let before = fs::read(&backup).unwrap();
    assert!(matches!(back_up(&vault, &backup).await, Err(BackupError::Exists(_))));
    assert_eq!(fs::read(&backup).unwrap(), before);
    let beside = folder.paths.anchors.join("backup.db");
    assert!(matches!(back_up(&vault, &beside).await, Err(BackupError::BesideAnchors)));
    let entries = vault.audit_entries(0, 1000).await.unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.event.action.word() == "backup").count(), 1, "refusals do nothing");
    vault.close().await.unwrap();
    let left: Vec<_> =
        fs::read_dir(folder.paths.file.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains("copy")), "{left:?}");
    // On a machine that knows nothing of the vault.
    let elsewhere = Folder::with_identity(folder.identity.duplicate());
    let plan = prepare(&elsewhere, &backup).await.unwrap();
    assert!(matches!(plan.plan().present, Present::Missing));
    assert_eq!(plan.plan().backup.counter, counter);
    let _ = plan.carry_out().await.unwrap();
    assert_clean(&elsewhere).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_says_what_it_rolls_back_and_does_nothing_until_it_is_carried_out() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let ann = vault.add_account(account("ann")).await.unwrap();
    let bob = vault.add_account(account("bob")).await.unwrap();
    let counter = back_up(&vault, &backup_of(&folder)).await.unwrap();
    vault.remove_account(bob).await.unwrap();
    vault.add_account(account("cleo")).await.unwrap();
    vault
        .import_session(ann, &"https://site.test".parse().unwrap(), &latchkey_vault::Secret::copy_of("sid=new"))
        .await
        .unwrap();
    assert!(vault.put_items(&[attempt(1, 1)]).await.unwrap());
    assert!(matches!(
        prepare(&folder, &backup_of(&folder)).await.map(|_| ()),
        Err(RestoreError::InUse(FileError::InUse))
    ));
    vault.close().await.unwrap();
    let before = fs::read(&folder.paths.file).unwrap();
    let looked = prepare(&folder, &backup_of(&folder)).await.unwrap();
    let plan = looked.plan().clone();
    let Present::Known { holds, difference } = &plan.present else { panic!("{plan:?}") };
    assert!(plan.backup.counter == counter && holds.counter > counter);
    let told = |change: latchkey_vault::Change| (change.lost, change.changed, change.back);
    assert_eq!(told(difference.accounts), (1, 1, 1), "cleo, ann, bob");
    assert_eq!(told(difference.sessions), (1, 1, 1));
    assert_eq!(told(difference.attempts), (1, 0, 0));
    assert_eq!(told(difference.owed), (1, 0, 0), "the new cookie");
    looked.abandon().await;
    assert_eq!(fs::read(&folder.paths.file).unwrap(), before);
    assert_clean(&folder).await;
    let done = restore(&folder).await;
    assert_clean(&folder).await;
    let vault = folder.open().await.unwrap();
    assert!(vault.find_login("site.test", "bob").await.unwrap().is_some());
    assert!(vault.find_login("site.test", "cleo").await.unwrap().is_none());
    let last = vault.audit_entries(0, 1000).await.unwrap().pop().unwrap();
    assert_eq!(last.event.action.word(), "restore");
    assert!(last.event.detail.contains(&counter.to_string()), "{}", last.event.detail);
    vault.close().await.unwrap();
    assert!(mode(&done.kept.unwrap()) == 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_old_tokens_are_fenced_and_the_account_rests_before_the_next_holder() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let ann = vault.add_account(account("ann")).await.unwrap();
    let lent = vault.check_out(ann, &ask(0)).await.unwrap();
    let (token, mut lease) = (lent.token(), lent.lease());
    back_up(&vault, &backup_of(&folder)).await.unwrap();
    vault.close().await.unwrap();
    let done = restore(&folder).await;
    let vault = folder.open().await.unwrap();
    assert!(vault.held_for(ann).await.unwrap().is_none());
    assert!(!vault.renew(&mut lease).await.unwrap(), "whatever the row says");
    assert!(matches!(vault.save_items(&lent, &[attempt(1, 1)]).await, Err(CheckInError::Fenced(_))));
    assert!(matches!(vault.check_in(lent, &CheckIn::default()).await, Err(CheckInError::Fenced(_))));
    let rests = ask(0).quarantine;
    let held = vault.check_out(ann, &ask(0)).await;
    assert!(matches!(&held, Err(CheckOutError::Held { retry_in, .. }) if *retry_in == rests), "{held:?}");
    folder.clock.advance(rests);
    let next = vault.check_out(ann, &ask(0)).await.unwrap();
    assert_eq!(next.token().incarnation, done.incarnation);
    assert!(next.token() > token, "tokens are ordered by incarnation, then by number");
    vault.check_in(next, &CheckIn::default()).await.unwrap();
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_what_was_in_doubt_or_owed_is_known_to_be_from_before() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let report = |task: &str| NewReport { task: task.into(), body: b"report".to_vec().into() };
    assert!(vault.owe_report(&report("old"), &[attempt(1, 1)]).await.unwrap());
    back_up(&vault, &backup_of(&folder)).await.unwrap();
    assert!(!vault.has_lost_time());
    let doubt = async |vault: &Vault, task: &str| {
        let mut lane: LaneHold = vault.take_lane(Lane::Task).await.unwrap().unwrap();
        let due = vault.due_reports(&mut lane, 10).await.unwrap();
        vault.leave_lane(lane).await.unwrap();
        let due: Vec<_> = due.into_iter().map(|due| due.ambiguous).collect();
        let items: Vec<Item> = vault.items_by_key(ItemKind::Attempt, task).await.unwrap();
        (due, items[0].is_from_earlier)
    };
    vault.close().await.unwrap();
    let _ = restore(&folder).await;
    let vault = folder.open().await.unwrap();
    assert!(vault.has_lost_time());
    assert!(vault.put_items(&[attempt(2, 1)]).await.unwrap());
    assert_eq!(doubt(&vault, "task-1").await, (vec![true], true));
    assert!(!vault.items_by_key(ItemKind::Attempt, "task-2").await.unwrap()[0].is_from_earlier, "of this life");
    folder.clock.set_wall_ms(folder.opener().clock.wall_ms() + 31 * 24 * 3600 * 1000);
    assert!(!vault.has_lost_time(), "a month on");
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_from_before_a_restore_is_probed_once_and_then_used_as_it_is() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let ann = vault.add_account(account("ann")).await.unwrap();
    back_up(&vault, &backup_of(&folder)).await.unwrap();
    let lent = vault.check_out(ann, &ask(0)).await.unwrap();
    assert!(!lent.needs_probe());
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    vault.close().await.unwrap();
    let _ = restore(&folder).await;
    let vault = Arc::new(folder.open().await.unwrap());
    // Lent and given back without a probe: it is still one from before.
    for _ in 0..2 {
        let lent = vault.check_out(ann, &ask(0)).await.unwrap();
        assert!(lent.needs_probe());
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
    }
    let mut lent = vault.check_out(ann, &ask(0)).await.unwrap();
    let site = Arc::new(Lively::default());
    let url: url::Url = "https://site.test/".parse().unwrap();
    let refresh = RefreshAsk {
        auth: Arc::clone(&site) as Arc<dyn SiteAuth>,
        origin: url.clone(),
        flat_url: url,
        totp_at_site: false,
        manager: None,
        refused_epoch: lent.login_epoch(),
        within: Duration::from_secs(60),
    };
    assert_eq!(vault.refresh(ann, &refresh).await.unwrap().how, RefreshedBy::Probe);
    assert_eq!((site.probes.load(Ordering::SeqCst), site.logins.load(Ordering::SeqCst)), (1, 0));
    lent.reload(&vault).await.unwrap();
    assert!(!lent.needs_probe());
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    let lent = vault.check_out(ann, &ask(0)).await.unwrap();
    assert!(!lent.needs_probe(), "it was sealed again");
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restores_of_one_backup_share_no_incarnation_though_neither_knows_of_the_other() {
    let folder = Folder::new();
    folder.init().await.close().await.unwrap();
    let vault = folder.open().await.unwrap();
    back_up(&vault, &backup_of(&folder)).await.unwrap();
    vault.close().await.unwrap();
    let mut begun = Vec::new();
    for seconds in [100, 101] {
        let elsewhere = Folder::with_identity(folder.identity.duplicate());
        elsewhere.clock.set_wall_ms(folder.opener().clock.wall_ms() + seconds * 1000);
        begun.push(prepare(&elsewhere, &backup_of(&folder)).await.unwrap().carry_out().await.unwrap().incarnation);
        // The same restore once more, in the same second: it counts on from what it finds.
        begun.push(prepare(&elsewhere, &backup_of(&folder)).await.unwrap().plan().incarnation);
    }
    assert_eq!(begun, [100, 101, 101, 102]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_anothers_edited_damaged_or_not_to_be_opened_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let ann = vault.add_account(account("ann")).await.unwrap();
    let backup = backup_of(&folder);
    back_up(&vault, &backup).await.unwrap();
    vault.close().await.unwrap();
    let whole = fs::read(&folder.paths.file).unwrap();

    let edited = folder.path().join("edited.db");
    fs::copy(&backup, &edited).unwrap();
    let conn = rusqlite::Connection::open(&edited).unwrap();
    conn.execute("DELETE FROM session WHERE account = ?1", [key(&ann)]).unwrap();
    drop(conn);
    assert!(matches!(prepare(&folder, &edited).await.map(|_| ()), Err(RestoreError::Findings(_))));

    let cut = folder.path().join("cut.db");
    fs::write(&cut, &fs::read(&backup).unwrap()[..5000]).unwrap();
    assert!(matches!(prepare(&folder, &cut).await.map(|_| ()), Err(RestoreError::Backup(_))));

    fs::write(folder.path().join("backup.db-wal"), b"").unwrap();
    assert!(matches!(prepare(&folder, &backup).await.map(|_| ()), Err(RestoreError::LogBeside)));
    fs::remove_file(folder.path().join("backup.db-wal")).unwrap();

    let other = Folder::with_identity(folder.identity.duplicate());
    other.init().await.close().await.unwrap();
    assert!(matches!(prepare(&other, &backup).await.map(|_| ()), Err(RestoreError::OtherVault { .. })));

    let stranger = Folder::new();
    let refused = prepare(&stranger, &backup).await.map(|_| ());
    assert!(matches!(refused, Err(RestoreError::Backup(UnlockError::CannotUnlock))), "{refused:?}");

    assert_eq!(fs::read(&folder.paths.file).unwrap(), whole);
    assert_clean(&folder).await;
    assert_clean(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_file_was_replaced_writes_nothing_more() {
    let folder = Folder::new();
    folder.init().await.close().await.unwrap();
    let vault = folder.open().await.unwrap();
    let aside = folder.path().join("vault/aside");
    fs::rename(&folder.paths.file, &aside).unwrap();
    fs::copy(&aside, &folder.paths.file).unwrap();
    let refused = vault.put_items(&[attempt(1, 1)]).await;
    assert!(matches!(refused, Err(StoreError::File(FileError::Replaced))), "{refused:?}");
    fs::rename(&aside, &folder.paths.file).unwrap();
    assert!(vault.put_items(&[attempt(1, 1)]).await.unwrap(), "its own file again");
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_a_rollback_or_a_missing_anchor_begins_a_new_incarnation_and_a_known_state_does_not() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let ann = vault.add_account(account("ann")).await.unwrap();
    vault.close().await.unwrap();
    let yesterday = fs::read(&folder.paths.file).unwrap();
    let incarnation = async || {
        let vault = folder.open().await.unwrap();
        folder.clock.advance(Duration::from_secs(60));
        let lent = loop {
            match vault.check_out(ann, &ask(0)).await {
                Ok(lent) => break lent,
                Err(CheckOutError::Held { retry_in, .. }) => folder.clock.advance(retry_in),
                Err(error) => panic!("{error}"),
            }
        };
        let token = lent.token();
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
        vault.close().await.unwrap();
        token.incarnation
    };
    assert_eq!(incarnation().await, 1);
    folder.adopt(true).await.unwrap().close().await.unwrap();
    assert_eq!(incarnation().await, 1, "the anchor shows that nothing was lost");
    fs::write(&folder.paths.file, &yesterday).unwrap();
    assert!(matches!(folder.adopt(false).await.map(|_| ()), Err(UnlockError::RolledBack { .. })));
    folder.adopt(true).await.unwrap().close().await.unwrap();
    let second = incarnation().await;
    assert!(second > 1);
    fs::remove_file(folder.anchor()).unwrap();
    assert!(matches!(folder.open().await.map(|_| ()), Err(UnlockError::Anchor(AnchorFileError::Missing { .. }))));
    folder.adopt(false).await.unwrap().close().await.unwrap();
    assert!(incarnation().await > second, "whether anything was lost cannot be told");
    let vault = folder.open().await.unwrap();
    fs::remove_file(folder.anchor()).unwrap();
    let refused = folder.adopt(false).await.map(|_| ());
    assert!(matches!(refused, Err(UnlockError::Store(StoreError::File(FileError::InUse)))), "{refused:?}");
    let _ = vault.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_verifies_is_rescued_from_a_vault_with_damage_and_nothing_else_is() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let mut ids = Vec::new();
    for name in ["ann", "bob", "cleo", "dan"] {
        ids.push(vault.add_account(account(name)).await.unwrap());
    }
    vault.close().await.unwrap();
    let attacked = folder.copy();
    let conn = attacked.plain();
    let sealed: Vec<u8> =
        conn.query_row("SELECT sealed FROM account WHERE id = ?1", [key(&ids[0])], |row| row.get(0)).unwrap();
    conn.execute("UPDATE account SET sealed = ?1 WHERE id = ?2", rusqlite::params![sealed, key(&ids[1])]).unwrap();
    conn.execute("UPDATE session SET mac = zeroblob(32) WHERE account = ?1", [key(&ids[2])]).unwrap();
    conn.execute_batch("DELETE FROM digest_group; DELETE FROM audit; UPDATE header SET sealed = zeroblob(2000)")
        .unwrap();
    drop(conn);
    fs::remove_dir_all(&attacked.paths.anchors).unwrap();
    let before = fs::read(&attacked.paths.file).unwrap();
    assert!(attacked.open().await.is_err());
    let rescue = Rescue::open(&attacked.paths, attacked.key()).await.unwrap();
    assert_eq!(rescue.doubts().len(), 2, "{:?}", rescue.doubts());
    assert_eq!(rescue.accounts().len(), 4);
    assert!(rescue.account(ids[1]).unwrap_err().starts_with("substitution"));
    for (id, has_session) in [(ids[0], true), (ids[2], false), (ids[3], true)] {
        let rescued = rescue.account(id).unwrap();
        assert_eq!((rescued.session.is_some(), rescued.session_left_out.is_none()), (has_session, has_session));
    }
    drop(rescue);
    assert_eq!(fs::read(&attacked.paths.file).unwrap(), before, "nothing is written");
    // Somebody else's root key, wrapped to our recipient, is not believed where there is an anchor.
    let forged = folder.copy();
    let other = Folder::with_identity(folder.identity.duplicate());
    other.init().await.close().await.unwrap();
    fs::copy(other.anchor(), forged.anchor()).unwrap();
    assert!(Rescue::open(&forged.paths, forged.key()).await.is_ok(), "another vault's anchor says nothing of this one");
    assert!(matches!(
        Rescue::open(&folder.paths, Folder::new().key()).await.map(|_| ()),
        Err(UnlockError::CannotUnlock)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_keeps_no_other_from_being_read() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let ann = vault.add_account(account("ann")).await.unwrap();
    let bob = loop {
        // In another bucket: which one is in the first bits of the random id.
        let bob = vault.add_account(account("bob")).await.unwrap();
        if bob.as_bytes()[..2] != ann.as_bytes()[..2] {
            break bob;
        }
        vault.remove_account(bob).await.unwrap();
    };
    vault.close().await.unwrap();
    folder.plain().execute("UPDATE account SET mac = zeroblob(32) WHERE id = ?1", [key(&bob)]).unwrap();
    let vault = folder.open().await.unwrap();
    assert!(vault.account(ann).await.is_ok());
    let lent = vault.check_out(ann, &ask(0)).await.unwrap();
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    assert_eq!(vault.account(bob).await.unwrap_err().class(), Some(Tampering::Substitution));
    assert!(!verify(&vault).await.is_empty());
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_damaged_cost_what_lies_on_them_and_no_more() {
    let folder = Folder::new();
    let vault = folder.init().await;
    for i in 0..120 {
        vault.add_account(account(&format!("user-{i}"))).await.unwrap();
    }
    vault.close().await.unwrap();
    let whole = fs::read(&folder.paths.file).unwrap();
    let pages = whole.len() / 4096;
    let (mut opened, mut costly) = (0, 0);
    // Every eighth page in turn, but the first, which says that it is a vault.
    for page in (1..pages).step_by(8) {
        let damaged = folder.copy();
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0x5a);
        fs::write(&damaged.paths.file, bytes).unwrap();
        // A page of the key slots or the schema: without them there is nothing to begin with.
        let Ok(rescue) = Rescue::open(&damaged.paths, damaged.key()).await else { continue };
        let rescued = rescue.accounts().iter().filter(|id| rescue.account(**id).is_ok()).count();
        opened += 1;
        // A page between the root and the leaves takes all below it along.
        costly += usize::from(rescued < 100);
        assert!(rescued == 120 || rescued < rescue.accounts().len() || !rescue.unread().is_empty(), "{page}: untold");
    }
    assert!(opened > pages / 16, "{opened} of {pages}");
    assert!(costly * 4 <= opened, "{costly} of {opened}");
}
