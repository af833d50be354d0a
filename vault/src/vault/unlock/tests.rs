//! An anchor that moves while a vault is being opened.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::{
    ManualClock, NewSlot, Opener, Vault, VaultPaths,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    model::{Action, Actor},
};

/// A closed vault whose anchor stood at `anchor` before its last commits.
struct Closed {
    _dir: tempfile::TempDir,
    file: SqliteFile,
    anchors: AnchorFile,
    keys: Arc<Keyring>,
    anchor: Anchor,
    head: Head,
}

/// `forgets`: whether the headers before the last commit but one were forgotten.
async fn closed(forgets: bool) -> Closed {
    let dir = tempfile::tempdir().unwrap();
    let paths = VaultPaths { file: dir.path().join("vault/v.db"), anchors: dir.path().join("anchors"), pin: None };
    let actor = Actor { uid: 0, user: "root".into(), pid: 0, name: "test".into() };
    let recipient = SlotRecipient::of_identity(&generate_identity().0).unwrap();
    let slot = NewSlot::Identity { label: String::new(), kind: SlotKind::Identity, recipient };
    let vault = Vault::init(&paths, Opener { actor, clock: Arc::new(ManualClock::new(0)) }, vec![slot]).await.unwrap();
    let anchors = AnchorFile::of(&paths, vault.id());
    let (anchor, _) = anchors.read(vault.id()).unwrap();
    vault.note(Action::Edit, None, "one more").await.unwrap();
    if forgets {
        vault.store.anchored(vault.store.head().counter);
    }
    vault.note(Action::Edit, None, "and one more").await.unwrap();
    let (keys, head) = (vault.keys(), vault.store.head());
    vault.close().await.unwrap();
    Closed { _dir: dir, file: SqliteFile::open(&paths.file).unwrap(), anchors, keys, anchor, head }
}

impl Closed {
    fn check(&self, anchor: &Anchor) -> Result<(), UnlockError> {
        check_anchor(&self.file, &self.anchors, &self.keys, anchor.clone(), MissingPin::Refused)
    }

    #[track_caller]
    fn refuses(&self) {
        let (anchor, _) = self.anchors.read(self.keys.vault()).unwrap();
        let refused = self.check(&anchor).unwrap_err();
        let rollback = StoreError::tampered(Tampering::Rollback, None);
        assert_eq!(refused.to_string(), rollback.to_string());
    }
}

#[tokio::test]
async fn an_anchor_that_others_moved_on_in_between_is_read_again() {
    let closed = closed(true).await;
    let binder = KeyBinder::new(Arc::clone(&closed.keys));
    assert!(!closed.file.knows(&binder, head_of(&closed.anchor)).unwrap());
    closed.check(&closed.anchor).unwrap();
}

#[tokio::test]
async fn an_anchor_that_stands_still_and_is_not_known_is_a_rollback() {
    let closed = closed(false).await;
    closed.check(&closed.anchor).unwrap();
    closed.anchors.write_first(&closed.keys, Head { counter: closed.anchor.counter, hash: [7; 32] }).unwrap();
    closed.refuses();
    closed.anchors.advance(&closed.keys, Head { counter: closed.head.counter + 1, ..closed.head }).unwrap();
    closed.refuses();
}
