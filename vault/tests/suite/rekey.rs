//! Keys that are changed: everything is found, read and written as before, meanwhile and afterwards.

use std::{collections::HashSet, fs, sync::Arc};

use latchkey_vault::{
    AccountSecret, CheckIn, Edit, ItemChange, ItemKind, NewAccount, NewReport, RekeyError, Secret, Vault,
    crypto::{ANCHOR_SLOT_BYTES, SlotKind, SlotRecipient, generate_identity},
    store::{Lane, StoreError},
};

use crate::{
    child::Child,
    common::{Class, Folder, account, ask, assert_clean, verify},
};

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
    let found = vault.find_login("site.test", "user-7").await.unwrap().unwrap();
    let revealed = vault.reveal(found.id, &[AccountSecret::Password]).await.unwrap();
    assert_eq!(revealed.secret(AccountSecret::Password).map(Secret::expose), Some("pass-canary"));
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
async fn attack_22_a_removal_that_is_killed_opens_with_the_key_that_its_slots_hold() {
    let folder = Folder::new();
    let gone = latchkey_vault::NewSlot::Identity {
        label: "gone".into(),
        kind: SlotKind::Identity,
        recipient: generate_identity().1.parse::<SlotRecipient>().unwrap(),
    };
    let vault = Vault::init(&folder.paths, folder.opener(), vec![folder.slot(), gone]).await.unwrap();
    vault.add_account(account("user-0")).await.unwrap();
    let id = vault.slots().await.unwrap()[1].id;
    vault.close().await.unwrap();
    let before = folder.copy();
    let vault = folder.open().await.unwrap();
    vault.remove_slot(id).await.unwrap();
    let after = folder.copy();
    vault.close().await.unwrap();
    // The anchor's last write is that under the new root key; without it the announcement is in force.
    let mut anchor = fs::read(after.anchor()).unwrap();
    let newest =
        anchor.as_chunks::<ANCHOR_SLOT_BYTES>().0.iter().enumerate().max_by_key(|(_, slot)| slot[32..40].to_vec());
    let newest = newest.unwrap().0;
    anchor[newest * ANCHOR_SLOT_BYTES..(newest + 1) * ANCHOR_SLOT_BYTES].fill(0);
    let killed_after = after.copy();
    fs::write(killed_after.anchor(), &anchor).unwrap();
    let killed_before = before.copy();
    fs::write(killed_before.anchor(), &anchor).unwrap();
    for (name, killed, slots) in [
        ("announced, not committed", killed_before, 2),
        ("committed, the anchor not written", killed_after.copy(), 1),
        ("everything written", after.copy(), 1),
    ] {
        let vault = killed.open().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(vault.slots().await.unwrap().len(), slots, "{name}");
        vault.reseal(quiet()).await.unwrap();
        vault.add_account(account("user-1")).await.unwrap();
        assert_eq!(verify(&vault).await, [], "{name}");
        vault.close().await.unwrap();
        assert_clean(&killed).await;
    }
    // An announcement vouches for nothing but the key that it names.
    let stranger = killed_after.copy();
    let mut bytes = anchor.clone();
    for slot in bytes.as_chunks_mut::<ANCHOR_SLOT_BYTES>().0.iter_mut().filter(|slot| slot[144..176] != [0; 32]) {
        slot[180] ^= 1;
        let sum = ring::digest::digest(&ring::digest::SHA256, &slot[..480]);
        slot[480..].copy_from_slice(sum.as_ref());
    }
    fs::write(stranger.anchor(), bytes).unwrap();
    assert!(stranger.open().await.is_err());
    // And yesterday's file is a rollback under the new root key, too.
    let rolled_back = after.copy();
    fs::copy(&before.paths.file, &rolled_back.paths.file).unwrap();
    fs::remove_file(rolled_back.paths.file.with_extension("db-wal")).unwrap_or(());
    assert!(rolled_back.open().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_23_nobody_makes_a_vault_believe_that_a_change_of_keys_runs_or_has_ended() {
    let folder = Folder::new();
    let vault = filled(&folder, 3).await;
    vault.close().await.unwrap();
    let before = folder.copy();
    let vault = folder.open().await.unwrap();
    vault.rotate_keys().await.unwrap();
    vault.close().await.unwrap();
    let running = folder.copy();
    let vault = folder.open().await.unwrap();
    vault.reseal(quiet()).await.unwrap();
    vault.close().await.unwrap();
    let refused = async |name: &str, at: &Folder, from: &Folder, sql: &str| {
        let attacked = at.copy();
        let path = from.paths.file.display().to_string();
        attacked.plain().execute_batch(&format!("ATTACH '{path}' AS old; {sql}")).unwrap();
        match attacked.open().await {
            Err(error) => assert!(error.class().is_some() || error.to_string().contains("unlocked"), "{name}: {error}"),
            Ok(vault) => {
                assert_ne!(verify(&vault).await, [], "{name}");
                vault.close().await.unwrap();
            }
        }
    };
    let old_key = "INSERT OR IGNORE INTO data_key SELECT * FROM old.data_key";
    refused("the old key is put back", &folder, &before, old_key).await;
    refused("the old key is taken away", &running, &before, "DELETE FROM data_key WHERE epoch = 1").await;
    refused("the new key is taken away", &running, &before, "DELETE FROM data_key WHERE epoch = 2").await;
    let state = "DELETE FROM data_key; INSERT INTO data_key SELECT * FROM old.data_key;
        DELETE FROM key_meta; INSERT INTO key_meta SELECT * FROM old.key_meta";
    refused("the keys of the middle are put back", &folder, &running, state).await;
    let header = format!("{state}; DELETE FROM header; INSERT INTO header SELECT * FROM old.header");
    refused("and its header", &folder, &running, &header).await;
    let rows = "DELETE FROM account; INSERT INTO account SELECT * FROM old.account";
    refused("rows of the old key", &folder, &before, &format!("{old_key}; {rows}")).await;
    refused("rows of the old key in the middle of it", &folder, &before, rows).await;
    assert_clean(&folder).await;
    assert_clean(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_28_after_a_change_of_keys_no_old_ciphertext_is_left_in_any_file() {
    let folder = Folder::new();
    let vault = Arc::new(folder.init().await);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let vault = Arc::clone(&vault);
        tasks.spawn(async move {
            for n in 0..30 {
                let mut new = account(&format!("user-{task}-{n}"));
                new.notes = "n".repeat(n * 80);
                let id = vault.add_account(new).await.unwrap();
                let lent = vault.check_out(id, &ask(0)).await.unwrap();
                vault.check_in(lent, &CheckIn::default()).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    move_rows_about(&vault).await;
    let pieces = pieces(&folder);
    assert!(pieces.len() > 50_000, "{}", pieces.len());
    assert!(residue(&folder, &pieces) > 50_000, "the search finds what is there");
    vault.rotate_keys().await.unwrap();
    vault.reseal(quiet()).await.unwrap();
    assert_eq!(residue(&folder, &pieces), 0, "while it is open");
    vault.close().await.unwrap();
    assert_eq!(residue(&folder, &pieces), 0, "in the closed file");
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_go_on_while_the_keys_change() {
    let folder = Folder::new();
    let vault = Arc::new(filled(&folder, 8).await);
    let shared = vault.find_login("site.test", "user-0").await.unwrap().unwrap().id;
    let url = "https://site.test/".parse().unwrap();
    vault.import_session(shared, &url, &Secret::copy_of("n=0")).await.unwrap();
    let pairs = 40;
    let args = [shared.to_string(), pairs.to_string()];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut children: Vec<_> = (0..2).map(|_| Child::start(&folder, "pairs", &args)).collect();
    // Those who have said something are at work.
    let mut tokens: Vec<u64> = children.iter_mut().map(|child| child.line().unwrap().parse().unwrap()).collect();
    let adding = {
        let vault = Arc::new(folder.open().await.unwrap());
        tokio::spawn(async move {
            for n in 0..30 {
                let id = vault.add_account(account(&format!("late-{n}"))).await.unwrap();
                assert_eq!(vault.find_login("site.test", &format!("late-{n}")).await.unwrap().unwrap().id, id);
                let twice = vault.add_account(account(&format!("user-{}", n % 8))).await;
                assert!(matches!(twice, Err(latchkey_vault::AccountError::Duplicate(_))), "{n}: {twice:?}");
                assert!(vault.report_owed(&format!("task-{}", n % 8)).await.unwrap());
            }
            vault.close().await.unwrap();
        })
    };
    for _ in 0..3 {
        vault.rotate_keys().await.unwrap();
        vault.reseal(quiet()).await.unwrap();
    }
    adding.await.unwrap();
    for child in &mut children {
        tokens.extend(child.rest().iter().map(|said| said.parse::<u64>().unwrap()));
        assert!(child.wait().success());
    }
    tokens.sort_unstable();
    let first = tokens[0];
    assert!(tokens.iter().copied().eq(first..first + 2 * pairs), "each had it in turn: {tokens:?}");
    let lent = vault.check_out(shared, &ask(0)).await.unwrap();
    assert_eq!(crate::child::counted(&lent.jar.export_flat(&url, 0).unwrap()), 2 * pairs);
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
    assert_eq!(epochs(&folder), [4]);
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_nobody_told_of_new_keys_does_not_say_that_there_is_nothing() {
    let folder = Folder::new();
    let vault = filled(&folder, 3).await;
    let [reader, late] = [folder.open().await.unwrap(), folder.open().await.unwrap()];
    check_filled(&reader, 3).await;
    vault.rotate_keys().await.unwrap();
    vault.add_account(account("new")).await.unwrap();
    assert!(reader.find_login("site.test", "new").await.unwrap().is_some());
    vault.reseal(quiet()).await.unwrap();
    for n in 0..3 {
        assert!(late.find_login("site.test", &format!("user-{n}")).await.unwrap().is_some());
        assert_eq!(late.items_by_key(ItemKind::Attempt, &format!("task-{n}")).await.unwrap().len(), 1);
    }
    assert_eq!(late.accounts(Some("site.test"), None, 9).await.unwrap().len(), 4);
    assert_eq!(verify(&late).await, []);
    for vault in [vault, reader, late] {
        vault.close().await.unwrap();
    }
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
        // Not revealed: that is a commit, and a reader may be here because it has written nothing since.
        assert!(found.has(AccountSecret::Password));
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

/// Adds accounts of several sizes, of which some grow and some go, so that SQLite moves the rows of others about.
///
/// Where it lays a page out anew, what lay there before stays in the page's free space. The sizes were found by trying: most
/// others leave nothing.
async fn move_rows_about(vault: &Vault) {
    let notes = |kib: usize| "n".repeat(kib * 1024 - 700);
    // Five accounts in KiB; which of them grows to what; which of them goes.
    for (kind, (kib, (grows, to), goes)) in
        [([3, 1, 2, 4, 2], (2, 4), 1), ([2, 5, 8, 6, 3], (1, 12), 0), ([1, 2, 4, 2, 1], (1, 4), 0)]
            .into_iter()
            .enumerate()
    {
        for group in 0..10 {
            let mut ids = Vec::new();
            for (no, kib) in kib.into_iter().enumerate() {
                let new = account(&format!("moved-{kind}-{group}-{no}"));
                ids.push(vault.add_account(NewAccount { notes: notes(kib), ..new }).await.unwrap());
            }
            vault.edit_account(ids[grows], &Edit { notes: Some(notes(to)), ..Edit::default() }).await.unwrap();
            vault.remove_account(ids[goes]).await.unwrap();
        }
    }
}

/// All blobs that the vault has, cut into pieces from their salts on.
fn pieces(folder: &Folder) -> HashSet<[u8; 32]> {
    let conn = folder.plain();
    let mut pieces = HashSet::new();
    for table in ["account", "session", "outbox", "item", "audit", "digest_group", "header"] {
        let mut rows = conn.prepare(&format!("SELECT sealed FROM {table}")).unwrap();
        for blob in rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap().map(Result::unwrap) {
            pieces.extend(blob[10..].as_chunks::<32>().0);
        }
    }
    pieces
}

/// How many of them stand anywhere in the vault's folder.
fn residue(folder: &Folder, pieces: &HashSet<[u8; 32]>) -> usize {
    // Most places are told apart by their first three bytes.
    let start = |at: &[u8]| usize::from(at[0]) << 16 | usize::from(at[1]) << 8 | usize::from(at[2]);
    let mut starts = vec![false; 1 << 24];
    pieces.iter().for_each(|piece| starts[start(piece)] = true);
    let mut found = HashSet::new();
    for entry in fs::read_dir(folder.paths.file.parent().unwrap()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for at in bytes.windows(32) {
            if starts[start(at)] && pieces.contains(at) {
                found.insert(at.to_vec());
            }
        }
    }
    found.len()
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
