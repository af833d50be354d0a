//! Key slots added to a vault in use: what opens it then, what is not touched, and what is refused.

use latchkey_vault::{
    AddSlotError, InitError, NewSlot, RekeyError, Secret, SlotListError, UnlockError, UnlockWith, Vault,
    crypto::{ScryptCost, SlotDraft, SlotKind, generate_identity},
    model::Action,
    store::{StoreError, Tampering},
};

use crate::{
    common::{Folder, account, assert_clean},
    rekey::quiet,
};

/// A slot of this kind and label, and the identity that opens it.
fn slot(kind: SlotKind, label: &str) -> (Secret, NewSlot) {
    let (identity, recipient) = generate_identity();
    (identity, NewSlot::Identity { label: label.into(), kind, recipient: recipient.parse().unwrap() })
}

fn passphrase() -> Secret {
    Secret::copy_of("correct horse")
}

/// A combined slot and the keyring's half.
fn combined() -> (Secret, NewSlot) {
    let (draft, half) = SlotDraft::combined("both", &passphrase(), ScryptCost::FLOOR).unwrap();
    (half, NewSlot::Draft(draft))
}

async fn open(folder: &Folder, with: UnlockWith) -> Result<Vault, UnlockError> {
    Vault::open(&folder.paths, folder.opener(), with).await
}

/// Every row of the tables that hold records, as SQLite prints it.
fn records(folder: &Folder) -> Vec<String> {
    let conn = folder.plain();
    let mut rows = Vec::new();
    for (table, columns) in
        [("account", "id, rev, epoch, sealed, mac"), ("session", "account, rev, epoch, sealed, mac")]
    {
        let sql = format!("SELECT hex({}) FROM {table}", columns.replace(", ", ") || '/' || hex("));
        let mut statement = conn.prepare(&sql).unwrap();
        rows.extend(statement.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_slot_opens_the_vault_touches_no_record_and_is_in_the_audit() {
    let folder = Folder::new();
    let vault = folder.init().await;
    vault.add_account(account("ann")).await.unwrap();
    vault.close().await.unwrap();
    let before = records(&folder);
    assert_eq!(before.len(), 2);

    let (identity, new) = slot(SlotKind::Keyring, "laptop");
    assert!(matches!(open(&folder, UnlockWith::Identity(identity.duplicate())).await, Err(UnlockError::CannotUnlock)));
    let vault = folder.open().await.unwrap();
    let other = folder.open().await.unwrap();
    let id = vault.add_slot(new).await.unwrap();
    let last = vault.audit_entries(0, 100).await.unwrap().pop().unwrap().event;
    assert_eq!((last.action, last.detail), (Action::Keys, format!("added slot {id} (keyring)")));
    // A process that had the vault open goes on, and sees the slot.
    other.add_account(account("bob")).await.unwrap();
    assert_eq!(other.slots().await.unwrap().len(), 2);
    other.close().await.unwrap();
    vault.close().await.unwrap();

    let after = records(&folder);
    assert!(before.iter().all(|row| after.contains(row)), "a record was written again");
    open(&folder, UnlockWith::Identity(identity)).await.unwrap().close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_two_processes_add_at_once_are_all_there() {
    let folder = Folder::new();
    let one = folder.init().await;
    let other = folder.open().await.unwrap();
    let (identities, slots): (Vec<_>, Vec<_>) =
        (0..8).map(|no| slot(SlotKind::Identity, &format!("worker {no}"))).unzip();
    let vaults = [&one, &other];
    let adding = slots.into_iter().enumerate().map(|(no, slot)| vaults[no % 2].add_slot(slot));
    for added in futures_util::future::join_all(adding).await {
        added.unwrap();
    }
    assert_eq!(one.slots().await.unwrap(), other.slots().await.unwrap());
    one.close().await.unwrap();
    other.close().await.unwrap();
    for identity in identities {
        open(&folder, UnlockWith::Identity(identity)).await.unwrap().close().await.unwrap();
    }
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_does_not_go_with_the_others_is_refused_and_nothing_is_written() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let own = vault.slots().await.unwrap();
    let same_key = |label: &str| NewSlot::Identity {
        label: label.into(),
        kind: SlotKind::Keyring,
        recipient: own[0].recipient.parse().unwrap(),
    };
    for (new, error) in [
        (slot(SlotKind::Identity, "test").1, SlotListError::SameLabel),
        (same_key("another"), SlotListError::SameRecipient),
        (combined().1, SlotListError::NoRecovery),
    ] {
        let refused = vault.add_slot(new).await.unwrap_err();
        assert!(matches!(&refused, AddSlotError::List(own) if *own == error), "{refused}");
    }
    assert_eq!(vault.slots().await.unwrap(), own);

    // Every slot that may be made is one that opens.
    let mut last = None;
    for no in own.len()..16 {
        let (identity, new) = slot(SlotKind::Identity, &no.to_string());
        vault.add_slot(new).await.unwrap();
        last = Some(identity);
    }
    let refused = vault.add_slot(slot(SlotKind::Identity, "one more").1).await.unwrap_err();
    assert!(matches!(refused, AddSlotError::List(SlotListError::TooMany)), "{refused}");
    vault.close().await.unwrap();
    open(&folder, UnlockWith::Identity(last.unwrap())).await.unwrap().close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_made_with_slots_that_go_together_only() {
    let same = || vec![slot(SlotKind::Identity, "a").1, slot(SlotKind::Recovery, "a").1];
    for (slots, error) in [
        (vec![], SlotListError::None),
        (vec![combined().1], SlotListError::NoRecovery),
        (vec![combined().1, slot(SlotKind::Identity, "id").1], SlotListError::NoRecovery),
        (same(), SlotListError::SameLabel),
        ((0..17).map(|no| slot(SlotKind::Identity, &no.to_string()).1).collect(), SlotListError::TooMany),
    ] {
        let folder = Folder::new();
        let refused = Vault::init(&folder.paths, folder.opener(), slots).await.err().unwrap();
        assert!(matches!(&refused, InitError::Slots(own) if *own == error), "{refused}");
        assert!(!folder.paths.file.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_combined_slot_is_not_left_without_a_recovery_slot() {
    let folder = Folder::new();
    let slots = vec![combined().1, slot(SlotKind::Recovery, "paper").1, folder.slot()];
    let vault = Vault::init(&folder.paths, folder.opener(), slots).await.unwrap();
    let slots = vault.slots().await.unwrap();
    let [both, paper, _] = [0, 1, 2].map(|no| slots[no].id);
    let refused = vault.remove_slot(paper).await;
    assert!(matches!(refused, Err(RekeyError::NoRecovery)), "{refused:?}");
    assert_eq!(vault.slots().await.unwrap(), slots);
    assert_eq!(vault.resealing().await.unwrap(), None);
    // A second one, and the first may go; or the combined slot does, and then any.
    vault.add_slot(slot(SlotKind::Recovery, "safe").1).await.unwrap();
    let safe = vault.slots().await.unwrap()[3].id;
    vault.remove_slot(paper).await.unwrap();
    vault.reseal(quiet()).await.unwrap();
    assert!(matches!(vault.remove_slot(safe).await, Err(RekeyError::NoRecovery)));
    for id in [both, safe] {
        vault.remove_slot(id).await.unwrap();
        vault.reseal(quiet()).await.unwrap();
    }
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_added_under_a_root_key_that_is_over_is_refused() {
    let folder = Folder::new();
    let (gone, new) = slot(SlotKind::Identity, "gone");
    let vault = Vault::init(&folder.paths, folder.opener(), vec![folder.slot(), new]).await.unwrap();
    let other = folder.open().await.unwrap();
    let id = vault.slots().await.unwrap()[1].id;
    vault.remove_slot(id).await.unwrap();
    for stage in ["before the re-seal", "after it"] {
        let refused = other.add_slot(slot(SlotKind::Identity, "late").1).await;
        assert!(matches!(refused, Err(AddSlotError::Store(StoreError::Rekeyed))), "{stage}: {refused:?}");
        vault.reseal(quiet()).await.unwrap();
    }
    assert_eq!(vault.slots().await.unwrap().len(), 1);
    other.close().await.unwrap();
    vault.close().await.unwrap();
    assert!(open(&folder, UnlockWith::Identity(gone)).await.is_err());
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_edited_or_put_back_under_a_running_process_is_not_extended() {
    let folder = Folder::new();
    let vault = folder.init().await;
    vault.add_slot(slot(SlotKind::Identity, "second").1).await.unwrap();
    let conn = folder.plain();
    for (edit, mend) in [
        ("UPDATE key_meta SET generation = 1", "UPDATE key_meta SET generation = 2"),
        ("UPDATE key_slot SET no = no + 10 WHERE no = 0", "UPDATE key_slot SET no = no - 10 WHERE no = 10"),
    ] {
        conn.execute_batch(edit).unwrap();
        let refused = vault.add_slot(slot(SlotKind::Identity, "third").1).await.unwrap_err();
        let AddSlotError::Store(StoreError::Tampered { class, .. }) = refused else { panic!("{refused}") };
        assert_eq!(class, Tampering::Header, "{edit}");
        conn.execute_batch(mend).unwrap();
    }
    drop(conn);
    assert_eq!(vault.slots().await.unwrap().len(), 2);
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}
