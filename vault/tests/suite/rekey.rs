//! Keys that are changed: everything is found, read and written as before, meanwhile and afterwards.

use latchkey_vault::{
    CheckIn, ItemChange, ItemKind, NewReport, RekeyError, Secret, Vault,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    store::{Lane, StoreError},
};

use crate::common::{Folder, account, ask, assert_clean, verify};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_keys_everything_is_there_and_nothing_is_under_the_old_one() {
    let folder = Folder::new();
    let vault = filled(&folder, 40).await;
    vault.rotate_keys().await.unwrap();
    assert_eq!(verify(&vault).await, [], "between its first commit and its pass");
    assert!(vault.resealing().await.unwrap().is_some());
    check_filled(&vault, 40).await;
    vault.reseal(quiet()).await.unwrap();
    assert_eq!(vault.resealing().await.unwrap(), None);
    assert_eq!(verify(&vault).await, []);
    check_filled(&vault, 40).await;
    vault.close().await.unwrap();
    assert_eq!(epochs(&folder), [2]);
    assert_clean(&folder).await;
    let vault = folder.open().await.unwrap();
    check_filled(&vault, 40).await;
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_while_the_keys_change_is_not_lost() {
    let folder = Folder::new();
    let vault = filled(&folder, 3).await;
    let other = folder.open().await.unwrap();
    let id = vault.find_login("site.test", "user-1").await.unwrap().unwrap().id;
    let mut lent = other.check_out(id, &ask(0)).await.unwrap();
    let mut lane = other.take_lane(Lane::Task).await.unwrap().unwrap();
    vault.rotate_keys().await.unwrap();
    // Another process learns of the new keys by itself, and keeps what it holds.
    assert!(vault.take_lane(Lane::Task).await.unwrap().is_none(), "it is held under its former name");
    assert!(other.keep_lane(&mut lane).await.unwrap());
    assert!(other.find_login("site.test", "user-2").await.unwrap().is_some());
    assert!(matches!(
        other.add_account(account("user-1")).await,
        Err(latchkey_vault::AccountError::Duplicate(there)) if there == id
    ));
    vault.reseal(quiet()).await.unwrap();
    assert!(vault.take_lane(Lane::Task).await.unwrap().is_none());
    assert_eq!(other.due_reports(&mut lane, 9).await.unwrap().len(), 3);
    other.leave_lane(lane).await.unwrap();
    assert!(vault.take_lane(Lane::Task).await.unwrap().is_some(), "and given back under its new one");
    let _ = lent.jar.store(&"https://site.test/".parse().unwrap(), b"sid=new; Path=/", 0);
    assert!(vault.check_out(id, &ask(0)).await.is_err());
    assert!(other.renew(&mut lent.lease()).await.unwrap());
    other.check_in(lent, &CheckIn::default()).await.unwrap();
    let lent = vault.check_out(id, &ask(0)).await.unwrap();
    assert!(lent.jar.export_flat(&"https://site.test/".parse().unwrap(), 0).unwrap().expose().contains("sid=new"));
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    assert_eq!(verify(&other).await, []);
    other.close().await.unwrap();
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_change_waits_for_the_end_of_the_first() {
    let folder = Folder::new();
    let vault = filled(&folder, 2).await;
    vault.rotate_keys().await.unwrap();
    assert!(matches!(vault.rotate_keys().await, Err(RekeyError::Running)));
    vault.close().await.unwrap();
    let vault = folder.open().await.unwrap();
    assert!(matches!(vault.rotate_keys().await, Err(RekeyError::Running)));
    vault.reseal(quiet()).await.unwrap();
    vault.rotate_keys().await.unwrap();
    vault.reseal(quiet()).await.unwrap();
    vault.close().await.unwrap();
    assert_eq!(epochs(&folder), [3]);
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_18_a_removed_slot_opens_nothing_any_more_and_the_others_do() {
    let folder = Folder::new();
    let (removed, recipient) = generate_identity();
    let gone = latchkey_vault::NewSlot::Identity {
        label: "gone".into(),
        kind: SlotKind::Identity,
        recipient: recipient.parse::<SlotRecipient>().unwrap(),
    };
    let vault = Vault::init(&folder.paths, folder.opener(), vec![folder.slot(), gone]).await.unwrap();
    vault.add_account(account("user-0")).await.unwrap();
    let slots = vault.slots().await.unwrap();
    let other = folder.open().await.unwrap();
    vault.close().await.unwrap();
    // What the holder of the slot may have kept: everything.
    let before = folder.copy();
    let vault = folder.open().await.unwrap();
    vault.remove_slot(slots[1].id).await.unwrap();
    assert!(matches!(vault.remove_slot(slots[1].id).await, Err(RekeyError::UnknownSlot(_))));
    // Those who are at work with the old root key have to unlock again; nobody is told of tampering.
    let refused = other.add_account(account("late")).await;
    assert!(matches!(refused, Err(latchkey_vault::AccountError::Store(StoreError::Rekeyed))), "{refused:?}");
    other.close().await.unwrap();
    let as_removed = |folder: &Folder| {
        let key = latchkey_vault::UnlockWith::Identity(removed.duplicate());
        let (paths, opener) = (folder.paths.clone(), folder.opener());
        async move { Vault::open(&paths, opener, key).await.err().map(|error| error.to_string()) }
    };
    for stage in ["at once", "at the end"] {
        let cannot = Some(latchkey_vault::UnlockError::CannotUnlock.to_string());
        assert_eq!(as_removed(&folder).await, cannot, "{stage}");
        // The slots of before are put back beside what is there now.
        let attacked = folder.copy();
        let (old, new) = (before.plain(), attacked.plain());
        let slot: Vec<u8> = old.query_row("SELECT slot FROM key_slot WHERE no = 1", [], |row| row.get(0)).unwrap();
        new.execute("INSERT INTO key_slot VALUES (1, ?1)", [slot]).unwrap();
        drop((old, new));
        assert_eq!(as_removed(&attacked).await, cannot, "{stage}: with a cached slot");
        let attacked = folder.copy();
        let path = before.paths.file.display().to_string();
        attacked
            .plain()
            .execute_batch(&format!(
                "ATTACH '{path}' AS old; DELETE FROM key_slot; DELETE FROM data_key; DELETE FROM key_meta;
                 INSERT INTO key_slot SELECT * FROM old.key_slot; INSERT INTO data_key SELECT * FROM old.data_key;
                 INSERT INTO key_meta SELECT * FROM old.key_meta"
            ))
            .unwrap();
        assert_eq!(as_removed(&attacked).await, cannot, "{stage}: with all slots and keys of before");
        if stage == "at once" {
            vault.reseal(quiet()).await.unwrap();
        }
    }
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
    assert_clean(&folder).await;
    assert_eq!(as_removed(&before).await, None, "what was copied before stays readable");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_slot_is_not_removed() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.slots().await.unwrap()[0].id;
    assert!(matches!(vault.remove_slot(id).await, Err(RekeyError::LastSlot)));
    assert_eq!(vault.resealing().await.unwrap(), None);
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

/// A vault with accounts, sessions, items, reports, leases and an audit.
pub(crate) async fn filled(folder: &Folder, accounts: usize) -> Vault {
    let vault = folder.init().await;
    for n in 0..accounts {
        let id = vault.add_account(account(&format!("user-{n}"))).await.unwrap();
        let item = ItemChange {
            kind: ItemKind::Attempt,
            id: vault.new_item_id().unwrap(),
            rev: 1,
            key: format!("task-{n}"),
            open: true,
            body: vec![n as u8; 30].into(),
        };
        let lent = vault.check_out(id, &ask(0)).await.unwrap();
        let back = CheckIn { items: vec![item], ..CheckIn::default() };
        vault.check_in(lent, &back).await.unwrap();
        let report = NewReport { task: format!("task-{n}"), body: b"report".to_vec().into() };
        assert!(vault.owe_report(&report, &[]).await.unwrap());
    }
    vault
}

pub(crate) async fn check_filled(vault: &Vault, accounts: usize) {
    assert_eq!(vault.accounts(Some("site.test"), None, 1000).await.unwrap().len(), accounts);
    for n in 0..accounts {
        let found = vault.find_login("site.test", &format!("user-{n}")).await.unwrap().unwrap();
        assert_eq!(found.record.fields.password.as_ref().map(Secret::expose), Some("pass-canary"));
        let by_id = vault.find_manager_id(&format!("m-user-{n}")).await.unwrap().unwrap();
        assert_eq!(found.id, by_id.id);
        assert!(vault.session_view(found.id).await.unwrap().is_some());
        let items = vault.items_by_key(ItemKind::Attempt, &format!("task-{n}")).await.unwrap();
        assert_eq!(items.iter().map(|item| item.body.to_vec()).collect::<Vec<_>>(), [vec![n as u8; 30]]);
        assert!(vault.report_owed(&format!("task-{n}")).await.unwrap());
    }
    assert!(vault.find_login("site.test", "nobody").await.unwrap().is_none());
    assert!(!vault.report_owed("no task").await.unwrap());
    let entries = vault.audit_entries(0, 10_000).await.unwrap();
    assert!(entries.iter().map(|entry| entry.seq).eq(1..=entries.len() as u64));
}

pub(crate) fn quiet() -> latchkey_vault::store::Progress {
    Box::new(|_, _| ())
}

/// The key epochs that occur anywhere in the closed file: in columns, and in the heads of blobs.
pub(crate) fn epochs(folder: &Folder) -> Vec<u32> {
    let conn = folder.plain();
    let mut found = std::collections::BTreeSet::new();
    for table in ["account", "session", "lease", "totp", "outbox", "item", "header_log", "audit_link", "data_key"] {
        let mut rows = conn.prepare(&format!("SELECT DISTINCT epoch FROM {table}")).unwrap();
        found.extend(rows.query_map([], |row| row.get::<_, u32>(0)).unwrap().map(Result::unwrap));
    }
    for table in ["account", "session", "outbox", "item", "audit", "digest_group", "header"] {
        let mut rows = conn.prepare(&format!("SELECT sealed FROM {table}")).unwrap();
        let blobs = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap().map(Result::unwrap);
        found.extend(blobs.map(|blob| latchkey_vault::crypto::Keyring::epoch_of(&blob).unwrap()));
    }
    found.into_iter().collect()
}
