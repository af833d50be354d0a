//! What a group does when one of its operations cannot be finished.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::{
    crypto::Sealed,
    store::{
        Changes, ItemRow, Saved,
        sqlite::{testing::File, verbs},
    },
};

fn put(tx: &mut Tx<'_>, id: u8, bytes: usize) -> Result<Saved, StoreError> {
    let sealed = Sealed::from_bytes(vec![id; bytes]);
    let item = ItemRow { tag: 1, id: [id; 16], rev: 1, epoch: 1, ix: None, open: false, sealed };
    let changes = Changes { items: vec![item], ..Changes::default() };
    tx.operation(|tx| verbs::save(tx, &changes))
}

#[test]
fn after_sqlite_has_ended_a_full_transaction_nothing_more_is_written() {
    let file = File::new();
    let pages: i64 = file.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    file.conn.pragma_update(None, "max_page_count", pages + 20).unwrap();
    file.transaction(|tx| {
        assert_eq!(put(tx, 1, 100).unwrap(), Saved::Done);
        assert!(matches!(put(tx, 2, 1_000_000), Err(StoreError::Full)));
        assert!(matches!(put(tx, 3, 100), Err(StoreError::Full)), "it would be committed on its own");
        assert!(matches!(tx.lost(), Some(StoreError::Full)));
    });
    assert_eq!(file.count("item"), 0, "no operation of the group outlives it");
    file.transaction(|tx| {
        assert_eq!(put(tx, 3, 100).unwrap(), Saved::Done);
        assert!(tx.lost().is_none());
    });
}

#[test]
fn an_operation_that_is_not_kept_leaves_the_header_as_it_was() {
    let file = File::new();
    file.transaction(|tx| {
        let before = tx.known.header.clone();
        let refused = tx.operation(|tx| {
            tx.header_mut().slots_generation = 9;
            Ok(((), Keep::No))
        });
        refused.unwrap();
        assert_eq!(tx.known.header, before);
        let kept = tx.operation(|tx| {
            tx.header_mut().slots_generation = 9;
            Ok(((), Keep::Yes))
        });
        kept.unwrap();
        assert_eq!(tx.known.header.slots_generation, 9);
    });
}

#[test]
fn an_operation_that_is_not_kept_leaves_no_entry_in_the_audit_chain() {
    let file = File::new();
    let entry = |id| NewAudit { id: [id; 16], sealed: Sealed::from_bytes([&[0][..], &[id; 49]].concat()) };
    file.transaction(|tx| {
        let refused = tx.operation(|tx| {
            tx.record(&entry(1), None)?;
            Ok(((), Keep::No))
        });
        refused.unwrap();
        let kept = tx.operation(|tx| {
            tx.record(&entry(2), None)?;
            Ok(((), Keep::Yes))
        });
        kept.unwrap();
        let mut entries = tx.conn.prepare("SELECT seq, id FROM audit").unwrap();
        let entries: Vec<(i64, [u8; 16])> =
            entries.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        assert_eq!(entries, [(1, [2; 16])]);
        assert_eq!(tx.audit, [entry_hash(1, &[2; 16], None, entry(2).sealed.as_bytes())]);
    });
}

#[test]
fn what_was_read_is_current_until_the_file_has_another_header() {
    let file = File::new();
    let known = Known::load(&file.conn, &file.binder).unwrap();
    assert!(known.is_current(&file.conn).unwrap());
    for change in ["counter = counter + 1", "counter = counter - 1, sealed = zeroblob(1114)"] {
        file.conn.execute_batch(&format!("UPDATE header SET {change}")).unwrap();
        assert!(!known.is_current(&file.conn).unwrap(), "{change}");
    }
}

#[test]
fn a_header_log_with_a_line_too_many_is_found() {
    let file = File::new();
    let known = Known::load(&file.conn, &file.binder).unwrap();
    known.check_log(&file.conn, &file.binder).unwrap();
    assert_eq!(file.count("header_log"), 0, "there was no header before the first");
    file.conn.execute("INSERT INTO header_log VALUES (77, 1, zeroblob(32))", []).unwrap();
    let found = known.check_log(&file.conn, &file.binder);
    assert!(matches!(found, Err(StoreError::Tampered { class: Tampering::Header, row: None })));
}
