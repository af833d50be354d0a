//! Rows and definitions changed by the `sqlite3` program.

use super::{Prey, Verdict, found, shut};

#[tokio::test(flavor = "multi_thread")]
async fn every_edit_by_plain_sqlite_is_named_with_its_class_and_its_row() {
    let prey = Prey::new().await;
    let (ann, bob) = (Some(prey.ann), Some(prey.bob));
    let edited = |kind, id, rescued| found("substitution", Some((kind, id)), rescued);
    let ok = Verdict { code: 0, word: "ok", row: None, another: 0, rescued: Some(3) };
    let mut wrong = Vec::new();
    for (sql, verdict) in [
        // Rows, whole and in part.
        ("UPDATE account SET sealed = (SELECT sealed FROM account WHERE id = $bob) WHERE id = $ann", edited("account", ann, 2)),
        ("UPDATE account SET sealed = (SELECT sealed FROM session WHERE account = $ann) WHERE id = $ann", edited("account", ann, 2)),
        ("UPDATE session SET sealed = (SELECT sealed FROM session WHERE account = $bob) WHERE account = $ann", edited("session", ann, 3)),
        (
            "BEGIN; UPDATE account SET id = x'00' WHERE id = $ann; UPDATE account SET id = $ann WHERE id = $bob;
            UPDATE account SET id = $bob WHERE id = x'00'; COMMIT",
            edited("account", ann, 1),
        ),
        (
            "INSERT INTO account SELECT zeroblob(16), rev, epoch, ix_site, NULL, NULL, sealed, mac FROM account WHERE id = $ann",
            edited("account", None, 3),
        ),
        ("UPDATE account SET ix_login = randomblob(16) WHERE id = $bob", edited("account", bob, 2)),
        ("UPDATE account SET ix_site = randomblob(16) WHERE id = $bob", edited("account", bob, 2)),
        ("UPDATE account SET rev = rev - 1 WHERE id = $ann", edited("account", ann, 2)),
        ("UPDATE account SET mac = zeroblob(32) WHERE id = $ann", edited("account", ann, 2)),
        ("UPDATE session SET login_epoch = login_epoch + 1 WHERE account = $ann", edited("session", ann, 3)),
        ("UPDATE lease SET until_ms = until_ms + 1000000 WHERE resource = $ann", edited("lease", ann, 3)),
        ("UPDATE lease SET n = n - 1 WHERE resource = $ann", edited("lease", ann, 3)),
        ("UPDATE lease SET holder = randomblob(16), held = 1 WHERE resource = $ann", edited("lease", ann, 3)),
        ("UPDATE totp SET last_step = last_step - 1", edited("totp", None, 3)),
        ("UPDATE outbox SET state = 3", edited("message", None, 3)),
        ("UPDATE item SET open = 1", edited("item", None, 3)),
        // Rows that are gone, or as they were.
        ("DELETE FROM account WHERE id = $ann", found("deletion", Some(("session", ann)), 2)),
        ("DELETE FROM account WHERE id = $ann; DELETE FROM session WHERE account = $ann", found("deletion", None, 2)),
        ("DELETE FROM session WHERE account = $ann", found("deletion", None, 3)),
        ("DELETE FROM lease", found("deletion", None, 3)),
        ("DELETE FROM totp", found("deletion", None, 3)),
        ("DELETE FROM outbox WHERE seq = (SELECT max(seq) FROM outbox)", found("deletion", None, 3)),
        ("DELETE FROM item", found("deletion", None, 3)),
        ("ATTACH '$yesterday' AS old; REPLACE INTO account SELECT * FROM old.account WHERE id = $ann", found("deletion", None, 3)),
        (
            "ATTACH '$yesterday' AS old; REPLACE INTO account SELECT * FROM old.account WHERE id = $ann;
            REPLACE INTO digest_group SELECT * FROM old.digest_group",
            found("deletion", None, 3),
        ),
        (
            "ATTACH '$yesterday' AS old; REPLACE INTO account SELECT * FROM old.account WHERE id = $ann;
            REPLACE INTO digest_group SELECT * FROM old.digest_group; REPLACE INTO digest_top SELECT * FROM old.digest_top",
            shut("deletion"),
        ),
        // What holds it together.
        ("ATTACH '$yesterday' AS old; REPLACE INTO header SELECT * FROM old.header", shut("deletion")),
        ("UPDATE header SET counter = counter - 1", shut("header")),
        ("DELETE FROM header_log", shut("header")),
        ("UPDATE data_key SET sealed = zeroblob(2000)", Verdict { rescued: None, ..shut("header") }),
        ("INSERT INTO key_slot SELECT no + 1, slot FROM key_slot", shut("header")),
        (
            "UPDATE key_slot SET slot = randomblob(length(slot))",
            Verdict { code: 4, word: "cannot_unlock", row: None, another: 4, rescued: None },
        ),
        // The audit.
        ("DELETE FROM audit WHERE seq = 3", found("audit", None, 3)),
        ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", found("audit", None, 3)),
        (
            "DELETE FROM audit WHERE seq = (SELECT max(last) FROM audit_link);
            DELETE FROM audit_link WHERE last = (SELECT max(last) FROM audit_link)",
            found("audit", None, 3),
        ),
        ("UPDATE audit SET sealed = (SELECT sealed FROM audit WHERE seq = 2) WHERE seq = 3", found("audit", Some(("audit", None)), 3)),
        // Definitions.
        ("CREATE TRIGGER planted AFTER UPDATE ON account BEGIN SELECT 1; END", shut("schema")),
        ("CREATE VIEW planted AS SELECT 1", shut("schema")),
        ("CREATE INDEX planted ON account (rev)", shut("schema")),
        ("DROP INDEX account_login", shut("schema")),
        ("ALTER TABLE account ADD COLUMN planted BLOB", shut("schema")),
        ("PRAGMA user_version = 0", shut("schema")),
        (
            "PRAGMA user_version = 9",
            Verdict { code: 3, word: "vault_newer", row: None, another: 3, rescued: Some(3) },
        ),
        // What only moves bytes about is no edit.
        ("VACUUM; REINDEX", ok),
    ] {
        prey.put(&prey.today);
        prey.sqlite3(sql);
        wrong.extend(prey.check(sql, verdict));
    }
    prey.put(&prey.today);
    wrong.extend(prey.check("as it was", ok));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
