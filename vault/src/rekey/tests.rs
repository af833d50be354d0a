//! A change of keys that is killed at any instruction of SQLite's, and what it does to leases and TOTP steps by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{os::unix::process::ExitStatusExt, path::Path, process::Command};

use super::*;
use crate::{
    CheckIn, CheckOutAsk, ManualClock, NewAccount, NewSlot, Opener, Secret, UnlockWith, VaultPaths,
    checkout::Leased,
    crypto::{SlotRecipient, generate_identity},
    model::{Actor, Fields},
    store::{Changes, FindItems, Hold, LeaseMode, Reserved, Resource, StepAsk, sqlite::killing},
    totp::Totp,
};

#[tokio::test(flavor = "multi_thread")]
async fn attack_22_a_change_of_keys_that_is_killed_anywhere_goes_on_and_loses_nothing() {
    if let Some(dir) = std::env::var_os(DIR) {
        let vault = open(Path::new(&dir)).await;
        killing::arm(std::env::var(AT).unwrap().parse().unwrap());
        vault.reseal(Box::new(|_, _| ())).await.unwrap();
        std::fs::write(Path::new(&dir).join("seen"), killing::seen().to_string()).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let vault = filled(dir.path()).await;
    vault.rotate_keys().await.unwrap();
    vault.close().await.unwrap();
    let all = copy(dir.path());
    assert!(child(all.path(), u64::MAX).status.success());
    let all: u64 = std::fs::read_to_string(all.path().join("seen")).unwrap().parse().unwrap();
    for n in 0..POINTS {
        let copy = copy(dir.path());
        // Twice in a row: what goes on after a crash may crash itself.
        for at in [all * n / POINTS + 1, all / 3] {
            let ended = child(copy.path(), at);
            assert!(ended.status.success() || ended.status.signal() == Some(9), "{n}: {ended:?}");
        }
        let vault = open(copy.path()).await;
        assert_eq!(vault.verify(Box::new(|_, _| ())).await.unwrap(), [], "killed at {n} of {POINTS}");
        check(&vault).await;
        vault.reseal(Box::new(|_, _| ())).await.unwrap();
        assert_eq!(vault.verify(Box::new(|_, _| ())).await.unwrap(), [], "after {n} of {POINTS}");
        check(&vault).await;
        assert_eq!(vault.keys().epochs().count(), 1);
        vault.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_totp_step_that_is_spent_stays_spent_under_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let vault = filled(dir.path()).await;
    let found = vault.find_login("site.test", "user-1").await.unwrap().unwrap();
    let account = vault.opened(found.id).await.unwrap();
    let lease = Leased::Named(Arc::new(Named::credential(account.id, &account.record)));
    let lease = vault.take(lease, &ask(), None).await.unwrap().unwrap();
    let totp = Named::totp(&Totp::parse(account.record.fields.totp.as_ref().unwrap()).unwrap());
    let reserve = async |step: u64| {
        let (hold, secret) = (vault.hold(&lease).unwrap(), vault.name_of(&totp).unwrap());
        let begins_ms = vault.now_ms() + 1;
        vault.store.reserve_step(StepAsk { hold, secret, step, begins_ms }, Changes::default()).await.unwrap()
    };
    let credential = Named::credential(account.id, &account.record);
    assert_eq!(reserve(100).await, Reserved::Step(100));
    let before = vault.name_of(&credential).unwrap();
    vault.rotate_keys().await.unwrap();
    let stale = vault.store.lease(before.index).await.unwrap();
    assert!(stale.is_some_and(|lease| lease.held), "nothing is moved yet");
    assert_eq!(reserve(100).await, Reserved::Spent { last: 100 });
    assert_eq!(reserve(101).await, Reserved::Step(101), "and whoever holds the lease holds it");
    // A name of before is refused, and not taken for one that nothing is under.
    let old = StepAsk {
        hold: Hold { resource: Resource::Named(before), ..vault.hold(&lease).unwrap() },
        secret: vault.name_of(&totp).unwrap(),
        step: 102,
        begins_ms: vault.now_ms() + 1,
    };
    assert!(matches!(vault.store.reserve_step(old, Changes::default()).await, Err(StoreError::Rekeyed)));
    vault.reseal(Box::new(|_, _| ())).await.unwrap();
    assert_eq!(reserve(101).await, Reserved::Spent { last: 101 });
    assert_eq!(reserve(102).await, Reserved::Step(102));
    assert!(vault.store.lease(before.index).await.unwrap().is_none());
    assert!(vault.take(Leased::Named(Arc::new(credential)), &ask(), None).await.unwrap().is_err(), "it is still held");
    vault.release(&lease, None, "done").await.unwrap();
    assert_eq!(vault.verify(Box::new(|_, _| ())).await.unwrap(), []);
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_and_spent_steps_that_nobody_asks_for_meanwhile_move_with_their_account() {
    let dir = tempfile::tempdir().unwrap();
    let vault = filled(dir.path()).await;
    let found = vault.find_login("site.test", "user-1").await.unwrap().unwrap();
    let account = vault.opened(found.id).await.unwrap();
    let credential = || Leased::Named(Arc::new(Named::credential(account.id, &account.record)));
    let lease = vault.take(credential(), &ask(), None).await.unwrap().unwrap();
    let totp = Named::totp(&Totp::parse(account.record.fields.totp.as_ref().unwrap()).unwrap());
    let reserve = async |step: u64| {
        let (hold, secret) = (vault.hold(&lease).unwrap(), vault.name_of(&totp).unwrap());
        let ask = StepAsk { hold, secret, step, begins_ms: vault.now_ms() + 1 };
        vault.store.reserve_step(ask, Changes::default()).await.unwrap()
    };
    assert_eq!(reserve(100).await, Reserved::Step(100));
    vault.rotate_keys().await.unwrap();
    vault.reseal(Box::new(|_, _| ())).await.unwrap();
    assert!(vault.take(credential(), &ask(), None).await.unwrap().is_err(), "it is held");
    assert_eq!(reserve(100).await, Reserved::Spent { last: 100 });
    assert_eq!(reserve(101).await, Reserved::Step(101));
    vault.release(&lease, None, "done").await.unwrap();
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_whose_account_is_gone_leave_a_floor_behind() {
    let dir = tempfile::tempdir().unwrap();
    let vault = filled(dir.path()).await;
    let found = vault.find_login("site.test", "user-1").await.unwrap().unwrap();
    let account = vault.opened(found.id).await.unwrap();
    let lease = Leased::Named(Arc::new(Named::credential(account.id, &account.record)));
    let lease = vault.take(lease, &ask(), None).await.unwrap().unwrap();
    let totp = Named::totp(&Totp::parse(account.record.fields.totp.as_ref().unwrap()).unwrap());
    let reserve = async |begins_ms: i64| {
        let (hold, secret) = (vault.hold(&lease).unwrap(), vault.name_of(&totp).unwrap());
        let ask = StepAsk { hold, secret, step: 100, begins_ms };
        vault.store.reserve_step(ask, Changes::default()).await.unwrap()
    };
    assert_eq!(reserve(vault.now_ms()).await, Reserved::Step(100));
    vault.release(&lease, None, "done").await.unwrap();
    vault.remove_account(account.id).await.unwrap();
    vault.rotate_keys().await.unwrap();
    vault.reseal(Box::new(|_, _| ())).await.unwrap();
    let lease = Leased::Named(Arc::new(Named::credential(account.id, &account.record)));
    let lease = vault.take(lease, &ask(), None).await.unwrap().unwrap();
    let reserve = async |begins_ms: i64| {
        let (hold, secret) = (vault.hold(&lease).unwrap(), vault.name_of(&totp).unwrap());
        let ask = StepAsk { hold, secret, step: 100, begins_ms };
        vault.store.reserve_step(ask, Changes::default()).await.unwrap()
    };
    assert_eq!(reserve(vault.now_ms()).await, Reserved::Spent { last: 100 }, "nobody knows any more that it was not");
    assert_eq!(reserve(vault.now_ms() + 1).await, Reserved::Step(100));
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_another_process_adds_in_any_stage_of_a_re_seal_stay_and_open() {
    let dir = tempfile::tempdir().unwrap();
    let vault = filled(dir.path()).await;
    let other = open(dir.path()).await;
    vault.rotate_keys().await.unwrap();
    let mut added = Vec::new();
    while let Some(Rekeying { rekey, .. }) = vault.store.rekeying().await.unwrap() {
        let ask = vault.reseal_ask(rekey.stage).await.unwrap();
        if added.iter().all(|(stage, _)| *stage != rekey.stage) {
            // Behind the back of whoever has just looked at the slots.
            let (identity, recipient) = generate_identity();
            let (label, kind) = (format!("{:?}", rekey.stage), crate::crypto::SlotKind::Identity);
            let recipient = recipient.parse::<SlotRecipient>().unwrap();
            other.add_slot(NewSlot::Identity { label, kind, recipient }).await.unwrap();
            added.push((rekey.stage, identity));
        }
        vault.store.reseal(ask).await.unwrap();
    }
    let stages: Vec<_> = added.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [RekeyStage::Rows, RekeyStage::Leftovers, RekeyStage::Audit, RekeyStage::Scrub]);
    assert_eq!(vault.slots().await.unwrap().len(), 5);
    for vault in [vault, other] {
        assert_eq!(vault.verify(Box::new(|_, _| ())).await.unwrap(), []);
        check(&vault).await;
        assert_eq!(vault.keys().epoch(), 2);
        vault.close().await.unwrap();
    }
    for (_, identity) in added {
        let vault = Vault::open(&paths(dir.path()), opener(), UnlockWith::Identity(identity)).await.unwrap();
        check(&vault).await;
        vault.close().await.unwrap();
    }
}

fn child(dir: &Path, at: u64) -> std::process::Output {
    let name = "rekey::tests::attack_22_a_change_of_keys_that_is_killed_anywhere_goes_on_and_loses_nothing";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(AT, at.to_string())
        .output()
        .unwrap()
}

async fn filled(dir: &Path) -> Vault {
    let (identity, recipient) = generate_identity();
    std::fs::write(dir.join("identity"), identity.expose()).unwrap();
    let recipient = recipient.parse::<SlotRecipient>().unwrap();
    let slot = NewSlot::Identity { label: "one".into(), kind: crate::crypto::SlotKind::Identity, recipient };
    let vault = Vault::init(&paths(dir), opener(), vec![slot]).await.unwrap();
    for n in 0..ACCOUNTS {
        let fields = Fields {
            username: Some(Secret::new(format!("user-{n}"))),
            totp: Some(Secret::new(format!("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ{}", char::from(b'A' + n)))),
            cookie: Some(Secret::copy_of("sid=1")),
            ..Fields::default()
        };
        let new = NewAccount {
            site: "site.test".into(),
            manager_id: None,
            fields,
            app_password: None,
            tags: Vec::new(),
            notes: String::new(),
            origin: Some("https://site.test".parse().unwrap()),
        };
        let id = vault.add_account(new).await.unwrap();
        let lent = vault.check_out(id, &ask()).await.unwrap();
        let report = crate::NewReport { task: format!("t{n}"), body: vec![1].into() };
        vault.check_in(lent, &CheckIn { reports: vec![report], ..CheckIn::default() }).await.unwrap();
    }
    vault
}

async fn check(vault: &Vault) {
    for n in 0..ACCOUNTS {
        let found = vault.find_login("site.test", &format!("user-{n}")).await.unwrap().unwrap();
        let account = vault.opened(found.id).await.unwrap();
        assert!(vault.session_view(account.id).await.unwrap().is_some());
        assert!(vault.report_owed(&format!("t{n}")).await.unwrap());
    }
    assert_eq!(vault.store.items(FindItems::All(1), 9).await.unwrap().len(), 0);
    assert!(vault.audit_entries(0, 1000).await.unwrap().len() > 3 * usize::from(ACCOUNTS));
}

async fn open(dir: &Path) -> Vault {
    let identity = Secret::new(std::fs::read_to_string(dir.join("identity")).unwrap());
    Vault::open(&paths(dir), opener(), UnlockWith::Identity(identity)).await.unwrap()
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to.path()).status().unwrap();
    assert!(copied.success());
    to
}

fn paths(dir: &Path) -> VaultPaths {
    VaultPaths { file: dir.join("vault/v.db"), anchors: dir.join("anchors"), pin: None }
}

fn opener() -> Opener {
    let actor = Actor { uid: 0, user: "test".into(), pid: 0, name: "test".into() };
    Opener { actor, clock: Arc::new(ManualClock::new(1_790_000_000_000)) }
}

fn ask() -> CheckOutAsk {
    let (ttl, quarantine) = (std::time::Duration::from_secs(60), std::time::Duration::ZERO);
    CheckOutAsk { ttl, quarantine, wait: std::time::Duration::ZERO, mode: LeaseMode::Exclusive, purpose: "test".into() }
}

const DIR: &str = "LATCHKEY_TEST_REKEY_DIR";
const AT: &str = "LATCHKEY_TEST_REKEY_AT";
const ACCOUNTS: u8 = 5;
/// Where it is killed: spread over the whole of the pass.
const POINTS: u64 = 12;
