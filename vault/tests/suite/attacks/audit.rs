//! The audit edited, reordered and cut.

use latchkey_vault::store::Tampering;

use super::{Sample, first_finding};

#[tokio::test(flavor = "multi_thread")]
async fn attack_32_an_audit_that_was_edited_or_restamped_is_named() {
    let sample = Sample::new().await;
    let exchange = "UPDATE audit SET (id, sealed) = (SELECT o.id, o.sealed FROM temp.old o WHERE o.seq = 5 - audit.seq)
        WHERE seq IN (2, 3)";
    named(
        &sample,
        &[
            (
                "a blob of another entry",
                "UPDATE audit SET sealed = (SELECT sealed FROM audit WHERE seq = 2) WHERE seq = 3",
            ),
            ("two entries exchanged", &format!("CREATE TEMP TABLE old AS SELECT * FROM audit; {exchange}")),
            ("another id", "UPDATE audit SET id = zeroblob(16) WHERE seq = 3"),
            ("another token", "UPDATE audit SET n = n + 1 WHERE n IS NOT NULL"),
            ("a token taken away", "UPDATE audit SET n = NULL, incarnation = NULL"),
            ("a token where there was none", "UPDATE audit SET n = 1, incarnation = 1 WHERE n IS NULL"),
            ("another writer", "UPDATE audit SET writer = 2 WHERE seq = 1"),
            ("a link's MAC edited", "UPDATE audit_link SET mac = zeroblob(32) WHERE no = 2"),
            ("a link deleted", "DELETE FROM audit_link WHERE no = 2"),
            ("a link that covers more", "UPDATE audit_link SET last = last + 1 WHERE no = 2"),
            ("a link that covers the world", "UPDATE audit_link SET last = 9223372036854775807 WHERE no = 2"),
            (
                "a link of nothing",
                "INSERT INTO audit_link SELECT writer, no + 100, last + 1, last, epoch, mac FROM audit_link",
            ),
            ("an entry appended", "INSERT INTO audit SELECT writer, seq + 1000, id, NULL, NULL, sealed FROM audit"),
            ("an entry of another writer", "INSERT INTO audit SELECT 7, seq, id, NULL, NULL, sealed FROM audit"),
            (
                "a link of another writer",
                "INSERT INTO audit_link SELECT 7, no, first, last, epoch, mac FROM audit_link",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_33_an_audit_that_was_cut_is_named() {
    let sample = Sample::new().await;
    named(
        &sample,
        &[
            ("an entry in the middle deleted", "DELETE FROM audit WHERE seq = 3"),
            ("the first deleted", "DELETE FROM audit WHERE seq = 1"),
            ("the last deleted", "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)"),
            ("all deleted", "DELETE FROM audit"),
            ("all deleted with their links", "DELETE FROM audit; DELETE FROM audit_link"),
            (
                "the tail cut with its links",
                "DELETE FROM audit WHERE seq > (SELECT last FROM audit_link WHERE no = 4);
             DELETE FROM audit_link WHERE no > 4",
            ),
        ],
    )
    .await;
}

/// Asserts that the full check names the audit after each of these.
async fn named(sample: &Sample, attacks: &[(&str, &str)]) {
    for (name, attack) in attacks {
        let attack = |conn: &rusqlite::Connection| conn.execute_batch(attack).unwrap();
        sample.check(name, attack, async |v| first_finding(v).await, Tampering::Audit).await;
    }
}
