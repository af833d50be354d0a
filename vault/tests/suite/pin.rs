//! The pin: vault and anchor put back together, a pin that stayed behind, is missing, damaged or out of reach, and the ways
//! on from there.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use data_encoding::BASE64;
use latchkey_vault::{
    AnchorFileError, InitError, NewSlot, PinError, PinPlace, PinPlaceError, RekeyError, Rescue, Restore, RestoreError,
    UnlockError, UnlockWith, Vault, VaultId,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    pinned_commit,
    store::Tampering,
};

use crate::common::{Class, Folder, account, assert_clean};

/// A keyring in memory that is out of reach once so many calls were made.
#[derive(Debug)]
struct Kept {
    texts: Mutex<HashMap<VaultId, String>>,
    reads_left: AtomicUsize,
    writes_left: AtomicUsize,
}

impl Kept {
    fn new() -> Arc<Self> {
        let always = || AtomicUsize::new(ALWAYS);
        Arc::new(Self { texts: Mutex::default(), reads_left: always(), writes_left: always() })
    }

    fn allow(&self, reads: usize, writes: usize) {
        self.reads_left.store(reads, Ordering::SeqCst);
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    fn text(&self) -> Option<String> {
        self.texts.lock().unwrap().values().next().cloned()
    }

    /// Puts another text in the place of the one vault's; none forgets it.
    fn set(&self, text: Option<String>) {
        let mut texts = self.texts.lock().unwrap();
        match text {
            Some(text) => texts.values_mut().for_each(|kept| kept.clone_from(&text)),
            None => texts.clear(),
        }
    }
}

impl PinPlace for Kept {
    fn read(&self, vault: VaultId) -> Result<Option<String>, PinPlaceError> {
        spend(&self.reads_left)?;
        Ok(self.texts.lock().unwrap().get(&vault).cloned())
    }

    fn write(&self, vault: VaultId, text: &str) -> Result<(), PinPlaceError> {
        spend(&self.writes_left)?;
        self.texts.lock().unwrap().insert(vault, text.to_owned());
        Ok(())
    }
}

fn spend(left: &AtomicUsize) -> Result<(), PinPlaceError> {
    let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    spent.map(|_| ()).map_err(|_| "out of reach".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_05_file_and_anchor_that_were_put_back_together_are_found_by_the_pin() {
    let (folder, kept) = pinned().await;
    let older = folder.copy();
    more(&folder, &["eve"]).await;
    put_back(&older, &folder);
    // They agree with one another: without a pin nobody could tell.
    assert_clean(&folder.copy()).await;
    let before = (fs::read(&folder.paths.file).unwrap(), fs::read(folder.anchor()).unwrap(), kept.text());
    let refused = refusal(folder.open().await);
    assert!(matches!(refused, PinError::RolledBack { pinned, found } if pinned > found), "{refused}");
    let refused = refusal(folder.adopt(false).await);
    assert!(matches!(refused, PinError::RolledBack { .. }), "{refused}");
    assert_eq!((fs::read(&folder.paths.file).unwrap(), fs::read(folder.anchor()).unwrap(), kept.text()), before);

    // On a person's word it is gone on with, in a new life, and pinned again.
    folder.adopt(true).await.unwrap().close().await.unwrap();
    let vault = folder.open().await.unwrap();
    let entries = vault.audit_entries(0, 100).await.unwrap();
    assert!(entries.last().unwrap().event.detail.contains("incarnation"), "{entries:?}");
    vault.close().await.unwrap();
    assert_eq!(pinned_at(&kept), header(&folder));
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_05_a_fork_of_file_and_anchor_with_more_commits_is_not_the_pinned_vault() {
    let (folder, _) = pinned().await;
    let fork = folder.copy();
    more(&folder, &["eve"]).await;
    let pinned_vault = folder.copy();
    // The fork's anchor still is where both parted: its process was killed.
    let parted = fs::read(fork.anchor()).unwrap();
    more(&fork, &["mal", "sue", "tom"]).await;
    fs::write(fork.anchor(), parted).unwrap();
    put_back(&fork, &folder);
    assert_clean(&folder.copy()).await;
    for accepted in [folder.open().await, folder.adopt(false).await] {
        let refused = refusal(accepted);
        assert!(matches!(refused, PinError::RolledBack { pinned, found } if pinned < found), "{refused}");
    }
    put_back(&pinned_vault, &folder);
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_stayed_behind_is_in_order_and_catches_up_at_close() {
    let (folder, kept) = pinned().await;
    let behind = kept.text();
    more(&folder, &["eve"]).await;
    assert_ne!(kept.text(), behind);
    // As if the process had been killed before it moved the pin.
    kept.set(behind.clone());
    assert_clean(&folder).await;
    assert_ne!(kept.text(), behind);
    assert_eq!(pinned_at(&kept), header(&folder));
    // What is put back no further than to the pin is not noticed: that is its window.
    let (older, behind) = (folder.copy(), kept.text());
    more(&folder, &["tom"]).await;
    kept.set(behind);
    put_back(&older, &folder);
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_to_be_pinned_is_not_opened_without_a_pin_that_is_its_own() {
    let (folder, kept) = pinned().await;
    let (_, others) = pinned().await;
    let whole = kept.text().unwrap();
    let edited = {
        let mut slot = BASE64.decode(whole.as_bytes()).unwrap();
        slot[79] ^= 1;
        let sum = ring::digest::digest(&ring::digest::SHA256, &slot[..480]);
        slot[480..].copy_from_slice(sum.as_ref());
        BASE64.encode(&slot)
    };
    for text in [String::new(), "no pin".into(), whole[4..].into(), others.text().unwrap(), edited] {
        kept.set(Some(text.clone()));
        for refused in [folder.open().await, pin(&folder).await] {
            let refused = refusal(refused);
            assert!(matches!(refused, PinError::Damaged), "{text}: {refused}");
        }
        folder.adopt(false).await.unwrap().close().await.unwrap();
        assert_clean(&folder).await;
    }

    kept.allow(0, ALWAYS);
    for refused in [folder.open().await, pin(&folder).await, folder.adopt(true).await] {
        let refused = refusal(refused);
        assert!(matches!(refused, PinError::Unreachable { during: "read", .. }), "{refused}");
    }
    kept.allow(ALWAYS, ALWAYS);

    kept.set(None);
    let refused = refusal(folder.open().await);
    assert!(matches!(refused, PinError::Missing), "{refused}");
    assert_eq!(kept.text(), None, "nobody makes one unasked");
    let vault = pin(&folder).await.unwrap();
    assert_eq!(vault.audit_entries(0, 100).await.unwrap().last().unwrap().event.detail, "pinned by a person");
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vault_is_made_where_its_pin_cannot_be() {
    let kept = Kept::new();
    let mut folder = Folder::new();
    folder.paths.pin = Some(kept.clone());
    kept.allow(0, 0);
    let refused = Vault::init(&folder.paths, folder.opener(), vec![folder.slot()]).await.err().unwrap();
    assert!(matches!(refused, InitError::Anchor(AnchorFileError::Pin(PinError::Unreachable { .. }))), "{refused}");
    assert!(!folder.paths.file.exists());
    kept.allow(ALWAYS, ALWAYS);
    folder.init().await.close().await.unwrap();
    assert_eq!(pinned_at(&kept), header(&folder));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_told_of_a_new_root_key_before_it_comes() {
    // Each writing that may fail: the announcement, and the first pin under the new key.
    for writes in 0..3 {
        let (folder, kept) = pinned().await;
        let (vault, slot) = with_two_slots(&folder).await;
        kept.allow(ALWAYS, writes);
        let removed = vault.remove_slot(slot).await;
        assert!(writes == 2 || matches!(&removed, Err(RekeyError::Anchor(AnchorFileError::Pin(_)))), "{removed:?}");
        let still_there = vault.slots().await.unwrap().iter().any(|there| there.id == slot);
        assert_eq!(still_there, writes == 0);
        let closed = vault.close().await;
        // Where nothing moved since, the pin stands where it should.
        assert!(closed.is_ok() || writes < 2, "{closed:?}");
        kept.allow(ALWAYS, ALWAYS);
        assert_clean(&folder).await;
        assert_eq!(pinned_at(&kept), header(&folder));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn file_and_anchor_from_before_a_change_of_keys_are_not_the_pinned_vaults() {
    let (folder, kept) = pinned().await;
    let (vault, slot) = with_two_slots(&folder).await;
    vault.close().await.unwrap();
    let older = folder.copy();
    let vault = folder.open().await.unwrap();
    vault.remove_slot(slot).await.unwrap();
    vault.reseal(Box::new(|_, _| ())).await.unwrap();
    vault.close().await.unwrap();
    put_back(&older, &folder);
    for refused in [folder.open().await, pin(&folder).await, folder.adopt(false).await, folder.adopt(true).await] {
        let refused = refusal(refused);
        assert!(matches!(refused, PinError::OtherRoot), "{refused}");
    }
    let rescued = Rescue::open(&folder.paths, folder.key()).await;
    assert!(matches!(rescued.err(), Some(UnlockError::Anchor(AnchorFileError::Pin(PinError::OtherRoot)))));
    // Nor is a file of then restored by somebody who does not know.
    let refused = prepare(&folder, &older, false).await.err().unwrap();
    assert!(matches!(refused, RestoreError::OldKeys), "{refused}");
    let _ = prepare(&folder, &older, true).await.unwrap().carry_out().await.unwrap();
    assert_clean(&folder).await;
    assert_eq!(pinned_at(&kept), header(&folder));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_pins_what_it_restored() {
    let (folder, kept) = pinned().await;
    let backup = folder.path().join("backup.db");
    let vault = folder.open().await.unwrap();
    vault.back_up(&backup, Arc::new(|_, _| ())).await.unwrap();
    vault.close().await.unwrap();
    more(&folder, &["eve", "tom", "sue"]).await;
    let before = pinned_at(&kept);
    let restore = |folder: &Folder| {
        let (paths, opener, key) = (folder.paths.clone(), folder.opener(), folder.key());
        let backup = backup.clone();
        async move { Restore::prepare(&paths, opener, &backup, key, false, Box::new(|_, _| ())).await }
    };
    kept.allow(0, 0);
    assert!(restore(&folder).await.is_err(), "what cannot be pinned is not begun");
    // The pin is the last that is written: until it is, the vault is refused, and the same restore completes it.
    kept.allow(ALWAYS, 0);
    let refused = restore(&folder).await.unwrap().carry_out().await.err().unwrap();
    assert!(matches!(refused, RestoreError::Anchor(AnchorFileError::Pin(PinError::Unreachable { .. }))), "{refused}");
    kept.allow(ALWAYS, ALWAYS);
    assert!(matches!(refusal(folder.open().await), PinError::RolledBack { .. }));
    let _ = restore(&folder).await.unwrap().carry_out().await.unwrap();
    assert_clean(&folder).await;
    assert!(pinned_at(&kept) < before, "the restored vault has fewer commits");
    assert_eq!(pinned_at(&kept), header(&folder));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_share_a_vault_move_one_pin_and_never_back() {
    let (folder, kept) = pinned().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(folder.open().await.unwrap());
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (n, vault) in open.into_iter().enumerate() {
        let kept = Arc::clone(&kept);
        tasks.spawn(async move {
            vault.add_account(account(&format!("user-{n}"))).await.unwrap();
            let before = pinned_at(&kept);
            vault.close().await.unwrap();
            assert!(pinned_at(&kept) >= before);
        });
    }
    tasks.join_all().await;
    assert_clean(&folder).await;
    assert_eq!(pinned_at(&kept), header(&folder));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_that_was_put_back_alone_is_still_a_rollback_of_the_anchor() {
    let (folder, _) = pinned().await;
    let older = folder.copy();
    more(&folder, &["eve"]).await;
    fs::copy(&older.paths.file, &folder.paths.file).unwrap();
    assert_eq!(folder.open().await.err().and_then(|error| error.class()), Some(Tampering::Rollback));
}

/// A closed vault with two accounts, and where it is pinned.
async fn pinned() -> (Folder, Arc<Kept>) {
    let kept = Kept::new();
    let mut folder = Folder::new();
    folder.paths.pin = Some(kept.clone());
    folder.init().await.close().await.unwrap();
    more(&folder, &["ann", "bob"]).await;
    (folder, kept)
}

/// Accounts added in a life of their own.
async fn more(folder: &Folder, names: &[&str]) {
    let vault = folder.open().await.unwrap();
    for name in names {
        vault.add_account(account(name)).await.unwrap();
    }
    vault.close().await.unwrap();
}

/// The vault with a second slot, which is returned.
async fn with_two_slots(folder: &Folder) -> (Vault, latchkey_vault::model::SlotId) {
    let vault = folder.open().await.unwrap();
    let recipient = SlotRecipient::of_identity(&generate_identity().0).unwrap();
    let new = NewSlot::Identity { label: "second".into(), kind: SlotKind::Identity, recipient };
    let slot = vault.add_slot(new).await.unwrap();
    (vault, slot)
}

async fn pin(folder: &Folder) -> Result<Vault, UnlockError> {
    Vault::open_and_pin(&folder.paths, folder.opener(), folder.key()).await
}

async fn prepare(folder: &Folder, from: &Folder, old_keys: bool) -> Result<Restore, RestoreError> {
    let with = UnlockWith::Identity(folder.identity.duplicate());
    let backup = &from.paths.file;
    Restore::prepare(&folder.paths, folder.opener(), backup, with, old_keys, Box::new(|_, _| ())).await
}

/// Vault and anchor of `older` in the place of those of `folder`.
fn put_back(older: &Folder, folder: &Folder) {
    fs::copy(&older.paths.file, &folder.paths.file).unwrap();
    fs::copy(older.anchor(), folder.anchor()).unwrap();
}

/// Why the pin did not let it be opened.
#[track_caller]
fn refusal(opened: Result<Vault, UnlockError>) -> PinError {
    match opened {
        Err(UnlockError::Anchor(AnchorFileError::Pin(error))) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was opened"),
    }
}

fn pinned_at(kept: &Arc<Kept>) -> u64 {
    let vault = *kept.texts.lock().unwrap().keys().next().unwrap();
    let place: Arc<dyn PinPlace> = kept.clone();
    pinned_commit(&place, vault).unwrap()
}

/// The newest commit of a closed vault.
fn header(folder: &Folder) -> u64 {
    folder.plain().query_row("SELECT counter FROM header", [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
}

/// More calls than a test makes.
const ALWAYS: usize = usize::MAX;
