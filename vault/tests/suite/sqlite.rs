//! The store on SQLite keeps the contract, and what is its own: one file after closing.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use latchkey_vault::{
    Clock, KeyBinder, ManualClock, VaultId,
    crypto::{Header, Sealed},
    store::{Binder, Changes, FindItems, ItemRow, Saved, Store, StoreError, Tampering, sqlite::SqliteFile},
};
use rusqlite::Connection;

use crate::conformance::{
    Bench, exercise, first, keys, leases::steps_up_to_the_floor_are_spent_and_later_ones_are_not,
};

/// A new store in a folder that lives as long as the file is open.
pub(crate) fn make(dir: &Path, binder: Arc<dyn Binder>, clock: Arc<dyn Clock>) -> Arc<dyn Store> {
    make_with(dir, binder, clock, 0)
}

/// The same, where TOTP steps up to this time count as spent.
fn make_with(dir: &Path, binder: Arc<dyn Binder>, clock: Arc<dyn Clock>, floor_ms: i64) -> Arc<dyn Store> {
    let (material, header) = first();
    let header = Header { steps_spent_until_ms: floor_ms, ..header };
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
async fn totp_steps_up_to_the_floor_in_the_header_are_spent() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(5_000));
    let store = make_with(dir.path(), Arc::new(KeyBinder::new(keys())), clock.clone(), 5_000);
    let bench = Bench { store, clock };
    steps_up_to_the_floor_are_spent_and_later_ones_are_not(&bench, 5_000).await;
    assert_eq!(bench.store.verify(Arc::new(()), Box::new(|_, _| ())).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_vault_is_one_file_and_holds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, clock) = (keys(), Arc::new(ManualClock::new(0)));
    let binder: Arc<dyn Binder> = Arc::new(KeyBinder::new(keys));
    let store = make(dir.path(), Arc::clone(&binder), clock.clone());
    assert_eq!(store.save(item(1)).await.unwrap(), Saved::Done);
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

#[tokio::test(flavor = "multi_thread")]
async fn headers_before_the_anchored_one_are_forgotten_and_those_since_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, clock) = (keys(), Arc::new(ManualClock::new(0)));
    let binder: Arc<dyn Binder> = Arc::new(KeyBinder::new(keys));
    let store = make(dir.path(), Arc::clone(&binder), clock);
    let mut heads = vec![store.head()];
    for rev in 1..=20 {
        assert_eq!(store.save(item(rev)).await.unwrap(), Saved::Done);
        heads.push(store.head());
    }
    store.anchored(heads[12].counter);
    assert_eq!(store.save(item(21)).await.unwrap(), Saved::Done);
    heads.push(store.head());
    store.close().await.unwrap();
    let file = SqliteFile::open(&dir.path().join("v.db")).unwrap();
    let known: Vec<_> = heads.iter().map(|head| file.knows(binder.as_ref(), *head).unwrap()).collect();
    assert_eq!(known, (0..22).map(|n| n >= 12).collect::<Vec<_>>());
    let count = Connection::open(dir.path().join("v.db")).unwrap();
    let count: i64 = count.query_row("SELECT count(*) FROM header_log", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 9, "and nothing else is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_falls_behind_while_it_is_open_is_a_rollback() {
    let dir = tempfile::tempdir().unwrap();
    let store = make(dir.path(), Arc::new(KeyBinder::new(keys())), Arc::new(ManualClock::new(0)));
    assert_eq!(store.save(item(1)).await.unwrap(), Saved::Done);
    let plain = Connection::open(dir.path().join("v.db")).unwrap();
    let tables = ["header", "header_log", "digest_top", "digest_group", "item"];
    for table in tables {
        plain.execute_batch(&format!("CREATE TEMP TABLE old_{table} AS SELECT * FROM {table}")).unwrap();
    }
    assert_eq!(store.save(item(2)).await.unwrap(), Saved::Done);
    for table in tables {
        plain.execute_batch(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM old_{table}")).unwrap();
    }
    let refused = store.save(item(2)).await;
    assert!(matches!(refused, Err(StoreError::Tampered { class: Tampering::Rollback, .. })), "{refused:?}");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_04_a_row_that_was_put_back_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, clock) = (keys(), Arc::new(ManualClock::new(0)));
    let binder: Arc<dyn Binder> = Arc::new(KeyBinder::new(keys));
    let store = make(dir.path(), Arc::clone(&binder), clock.clone());
    assert_eq!(store.save(item(1)).await.unwrap(), Saved::Done);
    let plain = Connection::open(dir.path().join("v.db")).unwrap();
    plain.execute_batch("CREATE TEMP TABLE old AS SELECT * FROM item").unwrap();
    assert_eq!(store.save(item(2)).await.unwrap(), Saved::Done);
    store.close().await.unwrap();
    plain.execute_batch("INSERT OR REPLACE INTO item SELECT * FROM old").unwrap();
    drop(plain);
    let again = SqliteFile::open(&dir.path().join("v.db")).unwrap().start(binder, clock).unwrap();
    let refused = again.save(item(2)).await;
    assert!(matches!(refused, Err(StoreError::Tampered { class: Tampering::Digest, .. })), "{refused:?}");
    again.close().await.unwrap();
}

/// Item 5 at this revision.
fn item(rev: u64) -> Changes {
    let sealed = Sealed::from_bytes(vec![5; 3000]);
    let item = ItemRow { tag: 1, id: [5; 16], rev, epoch: 1, ix: None, open: true, sealed };
    Changes { items: vec![item], ..Changes::default() }
}
