//! What the check of a chain says of it, edit by edit.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::store::sqlite::testing::File;

/// What is found in a chain of three links, over the entries 1 to 2, 3 to 5, and 6.
fn found_after(sql: &str) -> Vec<String> {
    let file = File::new();
    [2, 3, 1].into_iter().for_each(|entries| file.link(entries));
    file.conn.execute_batch(sql).unwrap();
    let found = check(&file.conn, &file.binder, &file.known().header, |_| ()).unwrap();
    assert!(found.iter().all(|found| found.class == Tampering::Audit && found.row.is_none()));
    found.into_iter().map(|found| found.what).collect()
}

#[test]
fn what_was_done_to_a_chain_is_said_as_exactly_as_it_can_be_known() {
    for (sql, said) in [
        ("", vec![]),
        ("UPDATE audit SET id = zeroblob(16) WHERE seq = 6", vec!["entry 6, or its link, was edited or exchanged"]),
        (
            "UPDATE audit SET id = zeroblob(16) WHERE seq = 4",
            vec!["one of the entries 3 to 5, or its link, was edited or exchanged"],
        ),
        ("DELETE FROM audit WHERE seq = 4", vec!["entry 4 is missing"]),
        ("DELETE FROM audit_link WHERE no = 2", vec!["link 2 is not there, or not as it was: entry 3 has none"]),
        ("UPDATE audit_link SET no = 0 WHERE no = 1", vec!["link 1 is not there, or not as it was: entry 1 has none"]),
        (
            "DELETE FROM audit_link WHERE no = 3; DELETE FROM audit WHERE seq = 6",
            vec!["the chain ends with entry 5, the header vouches for 6: its tail was cut or changed"],
        ),
    ] {
        assert_eq!(found_after(sql), said, "{sql}");
    }
}

#[test]
fn rows_that_no_head_vouches_for_are_counted() {
    let of_nobody = "INSERT INTO audit SELECT 2, seq, id, incarnation, n, sealed FROM audit";
    assert_eq!(found_after(of_nobody), ["there are 12 entries where the header vouches for 6"]);
    let of_nobody = "INSERT INTO audit_link SELECT 2, no, first, last, epoch, mac FROM audit_link";
    assert_eq!(found_after(of_nobody), ["there are 6 links where the header vouches for 3"]);
    let behind = "INSERT INTO audit SELECT 1, seq + 6, id, incarnation, n, sealed FROM audit";
    assert_eq!(found_after(behind), ["there are 12 entries where the header vouches for 6"]);
}

#[test]
fn entries_and_links_are_read_page_by_page() {
    let file = File::new();
    [2, 3, 1].into_iter().for_each(|entries| file.link(entries));
    let seqs =
        |after, limit| entries(&file.conn, after, limit).unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(seqs(0, 4), [1, 2, 3, 4]);
    assert_eq!(seqs(4, 4), [5, 6]);
    let spans = |after, limit| {
        let links = links(&file.conn, after, limit).unwrap();
        links.iter().map(|link| (link.no, link.first, link.last)).collect::<Vec<_>>()
    };
    assert_eq!(spans(0, 2), [(1, 1, 2), (2, 3, 5)]);
    assert_eq!(spans(2, 2), [(3, 6, 6)]);
}
