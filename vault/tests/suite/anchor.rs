//! The anchor: missing, torn, moved by several, left behind by a crash, and adopted by a person.

use std::{fs, sync::Arc};

use latchkey_vault::{AnchorFileError, UnlockError, crypto::ANCHOR_SLOT_BYTES, store::Tampering};

use crate::common::{Class, Folder, account, assert_clean, verify};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_anchor_is_refused_until_a_person_adopts_the_vault() {
    let folder = filled().await;
    fs::remove_file(folder.anchor()).unwrap();
    assert!(matches!(folder.open().await, Err(UnlockError::Anchor(AnchorFileError::Missing { .. }))));
    let vault = folder.adopt(false).await.unwrap();
    let words: Vec<_> =
        vault.audit_entries(0, 100).await.unwrap().iter().map(|entry| entry.event.action.word()).collect();
    assert_eq!(words, ["init", "add", "add", "adopt-anchor"]);
    vault.close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_with_damage_is_not_adopted() {
    let folder = filled().await;
    fs::remove_file(folder.anchor()).unwrap();
    folder.plain().execute_batch("DELETE FROM session").unwrap();
    assert!(matches!(folder.adopt(true).await, Err(UnlockError::Findings(findings)) if !findings.is_empty()));
    assert!(fs::read_dir(&folder.paths.anchors).unwrap().next().is_none(), "no anchor was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_vault_is_adopted_only_where_a_person_says_so() {
    let older = filled().await;
    let folder = older.copy();
    let vault = folder.open().await.unwrap();
    vault.add_account(account("eve")).await.unwrap();
    vault.close().await.unwrap();
    fs::copy(&older.paths.file, &folder.paths.file).unwrap();
    assert_eq!(folder.open().await.err().and_then(|error| error.class()), Some(Tampering::Rollback));
    let before = fs::read(folder.anchor()).unwrap();
    assert!(matches!(folder.adopt(false).await, Err(UnlockError::RolledBack { anchored, found }) if anchored > found));
    assert_eq!(fs::read(folder.anchor()).unwrap(), before);
    folder.adopt(true).await.unwrap().close().await.unwrap();
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_has_more_commits_than_the_anchor_is_a_rollback_too() {
    let [folder, fork] = {
        let folder = filled().await;
        let fork = folder.copy();
        [folder, fork]
    };
    for (folder, names) in [(&folder, &["eve"][..]), (&fork, &["mal", "sue", "tom"])] {
        let vault = folder.open().await.unwrap();
        for name in names {
            vault.add_account(account(name)).await.unwrap();
        }
        vault.close().await.unwrap();
    }
    fs::copy(&fork.paths.file, &folder.paths.file).unwrap();
    assert_eq!(folder.open().await.err().and_then(|error| error.class()), Some(Tampering::Rollback));
    assert!(matches!(folder.adopt(false).await, Err(UnlockError::RolledBack { anchored, found }) if anchored < found));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_that_stayed_behind_is_known_and_catches_up() {
    let older = filled().await;
    let folder = older.copy();
    let vault = folder.open().await.unwrap();
    vault.add_account(account("eve")).await.unwrap();
    vault.close().await.unwrap();
    // As if the process had been killed between the commit and the anchor's next move.
    fs::copy(older.anchor(), folder.anchor()).unwrap();
    let vault = folder.open().await.unwrap();
    assert!(vault.find_login("site.test", "eve").await.unwrap().is_some());
    vault.close().await.unwrap();
    assert_ne!(fs::read(older.anchor()).unwrap(), fs::read(folder.anchor()).unwrap());
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_slot_leaves_the_other_one_in_force() {
    let folder = filled().await;
    // A second life writes the other slot.
    let vault = folder.open().await.unwrap();
    vault.add_account(account("eve")).await.unwrap();
    vault.close().await.unwrap();
    let whole = fs::read(folder.anchor()).unwrap();
    let slots = whole.as_chunks::<ANCHOR_SLOT_BYTES>().0;
    assert!(slots.iter().all(|slot| slot.starts_with(b"LATCHANC")), "both slots are in use");
    for torn in 0..2 {
        let damaged = folder.copy();
        let mut bytes = whole.clone();
        bytes[torn * ANCHOR_SLOT_BYTES + 300..(torn + 1) * ANCHOR_SLOT_BYTES].fill(0x5a);
        fs::write(damaged.anchor(), &bytes).unwrap();
        let vault = damaged.open().await.unwrap();
        vault.add_account(account("tom")).await.unwrap();
        vault.close().await.unwrap();
        assert_clean(&damaged).await;
    }
    for bytes in [vec![0; 1024], whole[..1023].to_vec(), [&whole[..], &[0]].concat(), Vec::new()] {
        let damaged = folder.copy();
        fs::write(damaged.anchor(), bytes).unwrap();
        assert!(matches!(damaged.open().await, Err(UnlockError::Anchor(AnchorFileError::Damaged { .. }))));
        damaged.adopt(false).await.unwrap().close().await.unwrap();
        assert_clean(&damaged).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_anchor_is_refused() {
    let folder = filled().await;
    let whole = fs::read(folder.anchor()).unwrap();
    let other = Folder::new();
    other.init().await.close().await.unwrap();
    let attacked = folder.copy();
    fs::copy(other.anchor(), attacked.anchor()).unwrap();
    assert!(matches!(attacked.open().await, Err(UnlockError::Anchor(AnchorFileError::Foreign))));
    // Whoever edits it has the checksum right, and not the MAC.
    let attacked = folder.copy();
    let mut bytes = whole;
    for slot in bytes.as_chunks_mut::<ANCHOR_SLOT_BYTES>().0 {
        slot[79] = 1;
        let sum = ring::digest::digest(&ring::digest::SHA256, &slot[..480]);
        slot[480..].copy_from_slice(sum.as_ref());
    }
    fs::write(attacked.anchor(), bytes).unwrap();
    assert!(matches!(attacked.open().await, Err(UnlockError::Anchor(AnchorFileError::Damaged { .. }))));
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_that_share_a_vault_move_one_anchor_and_never_back() {
    let folder = filled().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Arc::new(folder.open().await.unwrap()));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (n, vault) in open.into_iter().enumerate() {
        tasks.spawn(async move {
            for i in 0..20 {
                vault.add_account(account(&format!("user-{n}-{i}"))).await.unwrap();
            }
            vault.close().await.unwrap();
        });
    }
    tasks.join_all().await;
    let vault = folder.open().await.unwrap();
    assert_eq!(vault.accounts(None, None, 1000).await.unwrap().len(), 82);
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
    // The anchor is at the last commit: nothing of it can be taken back unseen.
    let (head, anchored): (i64, Vec<u8>) = (
        folder.plain().query_row("SELECT counter FROM header", [], |row| row.get(0)).unwrap(),
        fs::read(folder.anchor()).unwrap(),
    );
    let counters = anchored.as_chunks::<ANCHOR_SLOT_BYTES>().0.iter().map(|slot| {
        let counter: [u8; 8] = slot[72..80].try_into().unwrap();
        i64::from_be_bytes(counter)
    });
    assert_eq!(counters.max(), Some(head));
}

/// A closed vault with two accounts.
async fn filled() -> Folder {
    let folder = Folder::new();
    let vault = folder.init().await;
    for name in ["ann", "bob"] {
        vault.add_account(account(name)).await.unwrap();
    }
    vault.close().await.unwrap();
    folder
}
