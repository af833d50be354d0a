//! Which buckets count as checked, and what a file without its header says.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use super::*;
use crate::{KeyBinder, crypto::Keyring, model::VaultId};

#[test]
fn a_header_that_was_taken_away_is_an_edit_and_a_failure_to_read_it_is_none() {
    let binder = KeyBinder::new(Arc::new(Keyring::generate(VaultId::from_bytes([3; 16])).unwrap()));
    let conn = Connection::open_in_memory().unwrap();
    let load = || Known::load(&conn, &binder).err();
    assert!(matches!(load(), Some(StoreError::Database { .. })), "no such table");
    conn.execute_batch("CREATE TABLE header (one INTEGER PRIMARY KEY, counter INTEGER, sealed BLOB)").unwrap();
    assert!(matches!(load(), Some(StoreError::Tampered { class: Tampering::Header, row: None })));
}

#[test]
fn a_bucket_counts_as_checked_once_it_was_added_and_no_other_does() {
    let verified = Verified::new();
    let checked = || (0..4096).filter(|bucket| verified.has(*bucket)).collect::<Vec<u16>>();
    let mut expected = Vec::new();
    assert_eq!(checked(), expected);
    for bucket in [0, 1, 63, 64, 130, 4032, 4095] {
        verified.add(bucket);
        verified.add(bucket);
        expected.push(bucket);
        assert_eq!(checked(), expected);
    }
}
