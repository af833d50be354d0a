//! The store on SQLite keeps the contract, and what is its own: one file after closing.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use latchkey_vault::{
    Clock, KeyBinder, ManualClock, VaultId,
    store::{Binder, Changes, FindItems, ItemRow, Saved, Store, sqlite::SqliteFile},
};

use crate::conformance::{exercise, first, keys};

/// A new store in a folder that lives as long as the file is open.
fn make(dir: &Path, binder: Arc<dyn Binder>, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    let (material, header) = first();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    let file =
        SqliteFile::create(&dir.join("v.db"), VaultId::from_bytes([9; 16]), 0, binder.as_ref(), header, &material);
    Arc::new(file.unwrap().start(binder, clock).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_on_sqlite_keeps_the_contract_of_a_store() {
    let root = tempfile::tempdir().unwrap();
    exercise(async |binder, clock| {
        let dir = tempfile::tempdir_in(root.path()).unwrap().keep();
        make(&dir, binder, clock)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_vault_is_one_file_and_holds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, clock) = (keys(), Arc::new(ManualClock::new(0)));
    let binder: Arc<dyn Binder> = Arc::new(KeyBinder::new(keys));
    let store = make(dir.path(), Arc::clone(&binder), clock.clone());
    let (sealed, id) = (latchkey_vault::crypto::Sealed::from_bytes(vec![5; 3000]), [5; 16]);
    let item = ItemRow { tag: 1, id, rev: 1, epoch: 1, ix: None, open: true, sealed };
    assert_eq!(store.save(Changes { items: vec![item], ..Changes::default() }).await.unwrap(), Saved::Done);
    // A reader whose connection is open, too.
    assert_eq!(store.items(FindItems::All(1), 1).await.unwrap().len(), 1);
    store.close().await.unwrap();
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["v.db", "v.db.hold", "v.db.queue"], "no log is left behind");
    let again = SqliteFile::open(&dir.path().join("v.db")).unwrap().start(binder, clock).unwrap();
    assert_eq!(again.items(FindItems::All(1), 1).await.unwrap()[0].sealed.as_bytes(), [5; 3000]);
    again.close().await.unwrap();
}
