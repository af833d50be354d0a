//! Links that are made again some at a time, and chains that are not this vault's.

#![allow(clippy::unwrap_used, reason = "tests")]

use rusqlite::types::Value;

use super::*;
use crate::{
    crypto::{Header, RekeyStage},
    store::{Finding, sqlite::testing::File},
};

fn chain_of(links: &[u16]) -> File {
    let file = File::new();
    links.iter().for_each(|entries| file.link(*entries));
    file
}

/// Makes links again in a commit of its own.
fn relinked(file: &File, rekey: Rekey) -> Result<Rekey, StoreError> {
    let rekey = file.commit(|tx| {
        let made = relink(tx, rekey);
        if let Ok(made) = &made {
            tx.header_mut().rekey = Some(Rekey { stage: RekeyStage::Audit, ..made.clone() });
        }
        made
    })?;
    Ok(rekey)
}

fn found(file: &File, header: &Header) -> Vec<Finding> {
    chain::check(&file.conn, &file.binder, header, |_| ()).unwrap()
}

#[track_caller]
fn refused(file: &File, what: &str) {
    assert_ne!(found(file, &file.known().header), [], "{what}");
    let made = relinked(file, Rekey::begun());
    assert!(matches!(made, Err(StoreError::Tampered { class: Tampering::Audit, .. })), "{what}: {made:?}");
}

#[test]
fn links_are_made_again_until_a_commit_is_full_and_the_chain_holds_in_between() {
    let file = chain_of(&[1000, 999, 2, 500, 1]).rotated();
    let mut rekey = Rekey::begun();
    for (links, entries) in [(3, 2001), (5, 2502)] {
        rekey = relinked(&file, rekey).unwrap();
        assert_eq!((rekey.links, rekey.entries), (links, entries));
        assert_eq!(found(&file, &file.known().header), []);
    }
    let older = "SELECT count(*) FROM audit_link WHERE epoch <> 2";
    assert_eq!(file.conn.query_row(older, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    let head = file.known().header.audit.remove(0);
    assert_eq!((head.link, rekey.old_link), (rekey.new_link, rekey.new_link));
    // What is written next follows the links of now.
    file.link(3);
    assert_eq!(found(&file, &file.known().header), []);
}

#[test]
fn an_empty_chain_has_nothing_to_make_again() {
    let file = File::new().rotated();
    assert_eq!(relinked(&file, Rekey::begun()).unwrap(), Rekey::begun());
}

#[test]
fn a_chain_that_was_edited_is_not_made_again() {
    let edited = |sql: &str| {
        let file = chain_of(&[2, 3, 1]).rotated();
        file.conn.execute_batch(sql).unwrap();
        refused(&file, sql);
    };
    for sql in [
        // Nothing but the order of the rows is in their numbers, and the links do not say theirs.
        "UPDATE audit_link SET no = 9 WHERE no = 3",
        "UPDATE audit_link SET no = no + 1 WHERE no = 3; UPDATE audit_link SET no = no + 1 WHERE no = 2",
        "UPDATE audit_link SET first = 2 WHERE no = 1",
        "UPDATE audit_link SET last = 4 WHERE no = 2",
        "UPDATE audit_link SET last = 7 WHERE no = 3",
        "UPDATE audit_link SET mac = zeroblob(32) WHERE no = 2",
        "DELETE FROM audit WHERE seq = 4",
        "DELETE FROM audit WHERE seq = 6",
        "UPDATE audit SET seq = 9 WHERE seq = 6",
        "UPDATE audit SET id = zeroblob(16) WHERE seq = 1",
        "UPDATE audit SET incarnation = 1, n = 1 WHERE seq = 1",
    ] {
        edited(sql);
    }
}

#[test]
fn the_chain_of_a_fork_is_as_long_and_of_the_same_keys_and_not_this_vaults() {
    let ours = chain_of(&[2, 3]);
    let theirs = ours.fork();
    ours.link(2);
    theirs.link(2);
    for table in ["audit", "audit_link"] {
        put_in_place(&ours, &theirs, table);
    }
    assert_eq!(found(&theirs, &theirs.known().header), [], "there it is as it should be");
    let ours = ours.rotated();
    refused(&ours, "of another life of the vault");
    // Not even where it parts from ours behind the links that were made again already.
    let long = chain_of(&[1000, 1000, 1]);
    let other = long.fork();
    long.link(1);
    other.link(1);
    let long = long.rotated();
    let rekey = relinked(&long, Rekey::begun()).unwrap();
    assert_eq!(rekey.links, 2);
    put_in_place_from(&long, &other, "audit_link", "no > 2");
    put_in_place_from(&long, &other, "audit", "seq > 2001");
    assert_ne!(found(&long, &long.known().header), []);
    assert!(matches!(relinked(&long, rekey), Err(StoreError::Tampered { class: Tampering::Audit, .. })));
}

fn put_in_place(to: &File, from: &File, table: &str) {
    put_in_place_from(to, from, table, "true");
}

/// Rows of another file in place of those that are there.
fn put_in_place_from(to: &File, from: &File, table: &str, which: &str) {
    to.conn.execute(&format!("DELETE FROM {table} WHERE {which}"), []).unwrap();
    let mut select = from.conn.prepare(&format!("SELECT * FROM {table} WHERE {which}")).unwrap();
    let mut rows = select.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let values: Vec<Value> = (0..6).map(|at| row.get(at).unwrap()).collect();
        let sql = format!("INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
        to.conn.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
    }
}
