//! Key slots exchanged, added, taken away and put back. An attacker knows every recipient: they are public.

use std::{fs, sync::Arc};

use latchkey_vault::{
    AddSlotError, Clock, InitError, KeyBinder, ManualClock, NewSlot, RekeyError, Secret, SlotListError, UnlockError,
    UnlockWith, Vault, VaultId,
    crypto::{Header, Keyring, ScryptCost, SlotDraft, SlotKind, SlotRecipient, SlotRecord, generate_identity},
    store::{Binder, Changes, KeyMaterial, Saved, Store, StoreError, Tampering, sqlite::SqliteFile},
};
use rusqlite::{Connection, params};

use super::{Sample, found, told};
use crate::{
    common::{Folder, assert_clean},
    conformance::{first, keys},
};

#[tokio::test(flavor = "multi_thread")]
async fn attack_16_a_root_key_that_somebody_wrapped_to_our_recipient_is_refused_and_nothing_is_written() {
    let sample = Sample::new().await;
    let vault =
        VaultId::from_bytes(sample.folder.plain().query_row("SELECT vault FROM meta", [], |row| row.get(0)).unwrap());
    // A whole vault of the attacker's: same id, same recipient, everything consistent under a root key of theirs.
    let evil = Arc::new(Keyring::generate(vault).unwrap());
    let recipient = SlotRecipient::of_identity(&sample.folder.identity).unwrap();
    let slots = [SlotRecord::with_identity(SlotKind::Identity, &evil, "test", 0, &recipient).unwrap()];
    let slots_mac = evil.slots_mac(1, &slots);
    let material = KeyMaterial {
        generation: 1,
        slots_mac,
        slots: slots.iter().map(SlotRecord::to_bytes).collect(),
        data_keys: evil.sealed_data_keys().unwrap(),
    };
    let attacked = sample.folder.copy();
    fs::remove_file(&attacked.paths.file).unwrap();
    let header = Header { slots_mac, ..first().1 };
    let binder = KeyBinder::new(Arc::clone(&evil));
    drop(SqliteFile::create(&attacked.paths.file, vault, 0, &binder, header, &material).unwrap());
    let before = contents(&attacked);
    assert!(matches!(attacked.open().await, Err(UnlockError::CannotUnlock)));
    for accept_rollback in [false, true] {
        let adopted = attacked.adopt(accept_rollback).await;
        assert!(matches!(adopted, Err(UnlockError::OtherRoot)), "a person must not be talked into it");
    }
    assert_eq!(contents(&attacked), before);

    // The same slots and data keys within the genuine file.
    let mixed = sample.folder.copy();
    write_keys(&mixed.plain(), &material);
    let before = contents(&mixed);
    assert!(matches!(mixed.open().await, Err(UnlockError::CannotUnlock)));
    assert_eq!(contents(&mixed), before);
    assert_clean(&sample.folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_17_a_slot_that_was_added_edited_exchanged_or_taken_away_is_refused() {
    let sample = Sample::new().await;
    let genuine: Vec<u8> = sample.folder.plain().query_row("SELECT slot FROM key_slot", [], |row| row.get(0)).unwrap();
    let slot = SlotRecord::from_bytes(&genuine).unwrap();
    let injected = SlotRecord { recipient: generate_identity().1, ..slot.clone() };
    let relabelled = SlotRecord { label: "more".into(), ..slot };
    let put = |no: i64, slot: &SlotRecord| {
        let (no, slot) = (no, slot.to_bytes());
        move |conn: &Connection| {
            conn.execute("INSERT OR REPLACE INTO key_slot VALUES (?1, ?2)", params![no, slot]).unwrap();
        }
    };
    let slots = async |v: &Vault| told(v.slots().await);
    assert_eq!(found(&sample.folder.copy(), &slots).await, None);
    sample.check("a recipient appended", put(1, &injected), slots, Tampering::Header).await;
    sample.check("a recipient before ours", put(-1, &injected), slots, Tampering::Header).await;
    sample.check("a label", put(0, &relabelled), slots, Tampering::Header).await;
    let sql = |sql: &'static str| move |conn: &Connection| conn.execute_batch(sql).unwrap();
    let copied = "INSERT INTO key_slot SELECT no + 1, slot FROM key_slot";
    sample.check("our slot twice", sql(copied), slots, Tampering::Header).await;
    for (name, edit) in [
        ("a MAC", "UPDATE key_meta SET mac = zeroblob(32)"),
        ("a generation", "UPDATE key_meta SET generation = generation + 1"),
    ] {
        sample.check(name, sql(edit), slots, Tampering::Header).await;
    }
    for (name, edit) in [
        ("no data key", "DELETE FROM data_key"),
        ("a data key of another epoch", "INSERT INTO data_key SELECT epoch + 1, sealed FROM data_key"),
    ] {
        sample.check(name, sql(edit), slots, Tampering::Header).await;
    }
    for gone in ["DELETE FROM key_slot WHERE no = 0", "UPDATE key_slot SET slot = zeroblob(30000)"] {
        let attacked = sample.folder.copy();
        attacked.plain().execute_batch(gone).unwrap();
        assert!(matches!(attacked.open().await, Err(UnlockError::CannotUnlock)), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_an_older_slot_list_is_found_by_its_generation() {
    let folder = Folder::new();
    fs::create_dir(folder.paths.file.parent().unwrap()).unwrap();
    set_private(folder.paths.file.parent().unwrap());
    let (keys, clock) = (keys(), Arc::new(ManualClock::new(0)) as Arc<dyn Clock>);
    let binder: Arc<dyn Binder> = Arc::new(KeyBinder::new(Arc::clone(&keys)));
    let list = |generation, labels: &[&str]| {
        let recipient = generate_identity().1.parse().unwrap();
        let slot = |label: &&str| SlotRecord::with_identity(SlotKind::Identity, &keys, label, 0, &recipient).unwrap();
        let slots: Vec<_> = labels.iter().map(slot).collect();
        let slots_mac = keys.slots_mac(generation, &slots);
        let slots = slots.iter().map(SlotRecord::to_bytes).collect();
        KeyMaterial { generation, slots_mac, slots, data_keys: keys.sealed_data_keys().unwrap() }
    };
    let (old, new) = (list(1, &["ann", "removed"]), list(2, &["ann"]));
    let header = Header { slots_mac: old.slots_mac, ..first().1 };
    let file = SqliteFile::create(&folder.paths.file, keys.vault(), 0, binder.as_ref(), header, &old).unwrap();
    let store = file.start(Arc::clone(&binder), Arc::clone(&clock)).unwrap();
    assert_eq!(store.install_keys(new.clone(), vec![]).await.unwrap(), Saved::Done);
    store.close().await.unwrap();

    write_keys(&folder.plain(), &old);
    let refused = SqliteFile::open(&folder.paths.file).unwrap().start(Arc::clone(&binder), Arc::clone(&clock));
    assert!(matches!(refused.err(), Some(StoreError::Tampered { class: Tampering::Header, .. })));
    write_keys(&folder.plain(), &new);
    let store = SqliteFile::open(&folder.paths.file).unwrap().start(binder, clock).unwrap();
    assert_eq!(store.save(Changes::default()).await.unwrap(), Saved::Done);
    store.close().await.unwrap();
}

fn write_keys(conn: &Connection, keys: &KeyMaterial) {
    conn.execute_batch("DELETE FROM key_slot; DELETE FROM data_key; DELETE FROM key_meta").unwrap();
    for (no, slot) in keys.slots.iter().enumerate() {
        conn.execute("INSERT INTO key_slot VALUES (?1, ?2)", params![no as i64, slot]).unwrap();
    }
    for (epoch, sealed) in &keys.data_keys {
        conn.execute("INSERT INTO data_key VALUES (?1, ?2)", params![epoch, sealed.as_bytes()]).unwrap();
    }
    let generation = keys.generation.cast_signed();
    conn.execute("INSERT INTO key_meta VALUES (1, ?1, ?2)", params![generation, keys.slots_mac.as_slice()]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_43_one_half_of_a_combined_slot_opens_nothing() {
    let (folder, other) = (Folder::new(), Folder::new());
    let (recovery, paper) = slot(SlotKind::Recovery, "paper");
    let (half, slot_of_ann) = combined("ann", "ann's horse");
    let (bobs_half, slot_of_bob) = combined("bob", "bob's horse");
    made(&folder, vec![slot_of_ann, slot_of_bob, paper]).await;
    // Another vault of hers, with the same passphrase.
    let (others_half, slot_of_other) = combined("ann", "ann's horse");
    made(&other, vec![slot_of_other, slot(SlotKind::Recovery, "paper").1]).await;
    let both = |passphrase: &str, half: &Secret| UnlockWith::Both {
        passphrase: Secret::copy_of(passphrase),
        half: half.duplicate(),
    };
    for (what, with) in [
        ("a stolen file and its passphrase", UnlockWith::Passphrase(Secret::copy_of("ann's horse"))),
        ("the keyring's half", UnlockWith::Identity(half.duplicate())),
        ("the half, and a guess", both("wrong horse", &half)),
        ("the passphrase, and a key of the attacker's", both("ann's horse", &generate_identity().0)),
        ("the passphrase, and another slot's half", both("ann's horse", &bobs_half)),
        ("another slot's passphrase, and the half", both("bob's horse", &half)),
        ("the passphrase, and another vault's half", both("ann's horse", &others_half)),
    ] {
        let opened = Vault::open(&folder.paths, folder.opener(), with).await;
        assert!(matches!(opened, Err(UnlockError::CannotUnlock)), "{what}");
    }
    for with in [both("ann's horse", &half), both("bob's horse", &bobs_half), UnlockWith::Identity(recovery)] {
        Vault::open(&folder.paths, folder.opener(), with).await.unwrap().close().await.unwrap();
    }
    let with = both("ann's horse", &others_half);
    Vault::open(&other.paths, other.opener(), with).await.unwrap().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_43_a_combined_slot_stands_beside_a_recovery_slot_only() {
    let folder = Folder::new();
    let refused = Vault::init(&folder.paths, folder.opener(), vec![folder.slot(), combined("both", "horse").1]).await;
    assert!(matches!(refused, Err(InitError::Slots(SlotListError::NoRecovery))));
    assert!(!folder.paths.file.exists());
    let vault = folder.init().await;
    let refused = vault.add_slot(combined("both", "horse").1).await;
    assert!(matches!(refused, Err(AddSlotError::List(SlotListError::NoRecovery))));
    let paper = vault.add_slot(slot(SlotKind::Recovery, "paper").1).await.unwrap();
    vault.add_slot(combined("both", "horse").1).await.unwrap();
    assert!(matches!(vault.remove_slot(paper).await, Err(RekeyError::NoRecovery)));
    assert_eq!(vault.slots().await.unwrap().len(), 3);
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

async fn made(folder: &Folder, slots: Vec<NewSlot>) {
    Vault::init(&folder.paths, folder.opener(), slots).await.unwrap().close().await.unwrap();
}

/// A slot of this kind and label, and the identity that opens it.
fn slot(kind: SlotKind, label: &str) -> (Secret, NewSlot) {
    let (identity, recipient) = generate_identity();
    (identity, NewSlot::Identity { label: label.into(), kind, recipient: recipient.parse().unwrap() })
}

/// A combined slot of this passphrase, and the keyring's half.
fn combined(label: &str, passphrase: &str) -> (Secret, NewSlot) {
    let (draft, half) = SlotDraft::combined(label, &Secret::copy_of(passphrase), ScryptCost::FLOOR).unwrap();
    (half, NewSlot::Draft(draft))
}

/// Vault and anchor, byte for byte.
fn contents(folder: &Folder) -> [Vec<u8>; 2] {
    [&folder.paths.file, &folder.anchor()].map(|path| fs::read(path).unwrap())
}

fn set_private(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}
