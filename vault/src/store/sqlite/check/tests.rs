//! What a full check says while it goes on, what it makes of one bad row and of very many, and what is no finding.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use super::*;
use crate::{
    crypto::Sealed,
    store::{
        NewAudit,
        sqlite::testing::{File, id_in},
    },
};

/// A file with so many items, and an audit of links with so many entries.
fn file(items: u16, links: &[u16]) -> File {
    let file = File::new();
    let sealed = || Sealed::from_bytes(vec![0; 64]);
    file.commit(|tx| {
        for n in 0..items {
            let id = id_in(n % 4096, n);
            tx.put(None, &ItemRow { tag: 1, id, rev: 1, epoch: 1, ix: None, open: false, sealed: sealed() }).unwrap();
        }
    });
    for (link, entries) in (0..).zip(links) {
        file.commit(|tx| {
            (0..*entries).for_each(|n| tx.record(&NewAudit { id: id_in(link, n), sealed: sealed() }, None).unwrap());
        });
    }
    file
}

/// Everything is found wrong that it is shown.
struct Refuses;

impl Inspect for Refuses {
    fn item(&self, _: &ItemRow) -> Result<(), &'static str> {
        Err("on purpose")
    }

    fn entry(&self, _: &AuditRow) -> Result<(), &'static str> {
        Err("on purpose")
    }
}

/// Each state that was told of, once: how many are done, of how many.
type Told = Arc<Mutex<Vec<(u64, u64)>>>;

/// Collects what is said of the progress.
fn told() -> (Progress, Told) {
    let told = Told::default();
    let to = Arc::clone(&told);
    let progress = move |done, all| {
        let mut told = to.lock().unwrap();
        if told.last() != Some(&(done, all)) {
            told.push((done, all));
        }
    };
    (Box::new(progress), told)
}

fn run(file: &File, look: &dyn Inspect, progress: &Progress) -> Result<Vec<Finding>, StoreError> {
    let (path, verified) = (file.path(), Verified::new());
    Checks { path: &path, binder: &file.binder, look, verified: &verified, progress }.run(&file.conn)
}

#[test]
fn a_check_says_how_many_rows_of_all_it_has_read() {
    let file = file(70, &[30, 100]);
    let (progress, told) = told();
    assert_eq!(run(&file, &(), &progress).unwrap(), []);
    let expected = [0, 64, 70, 134, 198, 200].map(|done| (done, 200));
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn a_check_of_the_audit_alone_says_how_many_entries_it_has_seen() {
    let file = file(0, &[500, 300]);
    let (progress, told) = told();
    let (_, findings) = check_audit(&file.conn, &file.binder, &(), &progress).unwrap();
    assert_eq!(findings, []);
    assert_eq!(*told.lock().unwrap(), [256, 512, 768, 800].map(|done| (done, 800)));
}

#[test]
fn a_bad_row_is_named_once_and_its_bucket_not_again() {
    let file = file(3, &[]);
    file.conn.execute("UPDATE item SET tag = 2 WHERE id = ?1", [id_in(1, 1)]).unwrap();
    let found = run(&file, &(), &(Box::new(|_, _| ()) as Progress)).unwrap();
    let named = RowName { kind: Kind::Item as u8, id: id_in(1, 1) };
    assert_eq!(
        found.iter().map(|found| (found.class, found.row)).collect::<Vec<_>>(),
        [(Tampering::Substitution, Some(named))]
    );
    file.conn.execute("DELETE FROM item WHERE id = ?1", [id_in(1, 1)]).unwrap();
    let found = run(&file, &(), &(Box::new(|_, _| ()) as Progress)).unwrap();
    assert_eq!(found.iter().map(|found| (found.class, found.row)).collect::<Vec<_>>(), [(Tampering::Digest, None)]);
}

#[test]
fn a_report_of_very_many_findings_ends_at_its_bound() {
    let (rows, quiet) = (FINDINGS_MAX as u16 + 5, || Box::new(|_, _| ()) as Progress);
    let file = file(rows, &[rows]);
    assert_eq!(run(&file, &(), &quiet()).unwrap(), []);
    let refused = run(&file, &Refuses, &quiet()).unwrap();
    assert_eq!(refused.len(), FINDINGS_MAX);
    let (_, refused) = check_audit(&file.conn, &file.binder, &Refuses, &quiet()).unwrap();
    assert_eq!(refused.len(), FINDINGS_MAX);
    let entry = |seq: usize| Finding {
        class: Tampering::Audit,
        row: Some(RowName { kind: Kind::Audit as u8, id: id_in(0, seq as u16 - 1) }),
        what: format!("entry {seq}: on purpose"),
    };
    assert_eq!([&refused[0], &refused[FINDINGS_MAX - 1]], [&entry(1), &entry(FINDINGS_MAX)]);
    file.conn.execute("UPDATE item SET ix = x'00'", []).unwrap();
    let unreadable = run(&file, &(), &quiet()).unwrap();
    assert_eq!(unreadable.len(), FINDINGS_MAX);
    assert!(unreadable[0].what.contains("a row of the table item is not of this format"), "{}", unreadable[0].what);
}

#[test]
fn a_bad_header_is_a_finding_of_its_class_and_what_the_database_cannot_do_is_none() {
    let quiet = || Box::new(|_, _| ()) as Progress;
    let bad = file(1, &[]);
    bad.conn.execute_batch("UPDATE header SET sealed = zeroblob(1114)").unwrap();
    let found = run(&bad, &(), &quiet()).unwrap();
    assert_eq!(found.iter().map(|found| found.class).collect::<Vec<_>>(), [Tampering::Header]);
    let bad = file(1, &[]);
    bad.conn.execute_batch("UPDATE key_meta SET generation = 9").unwrap();
    assert_eq!(run(&bad, &(), &quiet()).unwrap().len(), 1);
    bad.conn.execute_batch("DROP TABLE key_meta").unwrap();
    assert!(matches!(run(&bad, &(), &quiet()), Err(StoreError::Database { .. })));
}
