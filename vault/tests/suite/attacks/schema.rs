//! Schemas that run something, hide something, or claim another version.

use latchkey_vault::{
    UnlockError,
    store::{FileError, StoreError, Tampering},
};

use super::{Sample, told};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_planted_in_the_schema_runs() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    let put_back = "AFTER UPDATE ON account BEGIN UPDATE account SET rev = old.rev, sealed = old.sealed, mac = old.mac
        WHERE id = new.id; END";
    let real = "ALTER TABLE account RENAME TO real";
    for (name, attack) in [
        ("a trigger that undoes updates", format!("CREATE TRIGGER undo {put_back}")),
        ("a view in place of a table", format!("{real}; CREATE VIEW account AS SELECT * FROM real")),
        (
            "a view with a trigger",
            format!(
                "{real}; CREATE VIEW account AS SELECT * FROM real;
                CREATE TRIGGER eat INSTEAD OF INSERT ON account BEGIN SELECT 1; END"
            ),
        ),
        ("another table", "CREATE TABLE more (n)".into()),
        ("another index", "CREATE INDEX more ON account (rev)".into()),
        ("an index of an expression", "CREATE INDEX more ON account (abs(rev))".into()),
        ("an index dropped", "DROP INDEX account_site".into()),
        ("a table dropped", "DROP TABLE totp".into()),
        ("a generated column", "ALTER TABLE account ADD COLUMN more ANY AS (abs(rev))".into()),
        (
            "a CHECK",
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'login_epoch INTEGER NOT NULL',
                'login_epoch INTEGER NOT NULL CHECK (login_epoch < 2)') WHERE name = 'session'"
                .into(),
        ),
        (
            "a table without its strictness",
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '')
                WHERE name = 'item'"
                .into(),
        ),
        ("a lower version", "PRAGMA user_version = 0".into()),
        ("statistics", "ANALYZE".into()),
    ] {
        let attack = |conn: &rusqlite::Connection| conn.execute_batch(&attack).unwrap();
        sample.check(name, attack, async |v| told(v.account(ann).await), Tampering::Schema).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_or_a_foreign_database_is_named_as_such() {
    let sample = Sample::new().await;
    for (attack, expected) in [
        ("PRAGMA user_version = 2", FileError::Newer { found: 2, known: 1 }),
        ("PRAGMA application_id = 7", FileError::Foreign),
    ] {
        let attacked = sample.folder.copy();
        attacked.plain().execute_batch(attack).unwrap();
        let Err(UnlockError::Store(StoreError::File(error))) = attacked.open().await else { panic!("{attack}") };
        assert_eq!(error.to_string(), expected.to_string());
    }
    crate::common::assert_clean(&sample.folder).await;
}
