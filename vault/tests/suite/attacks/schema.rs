//! Schemas that run something, hide something, or claim another version.

use latchkey_vault::{
    UnlockError,
    store::{FileError, StoreError, Tampering},
};

use super::{Sample, told};

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_a_planted_trigger_that_undoes_an_update_is_refused() {
    let sample = Sample::new().await;
    let put_back = |when| {
        format!(
            "CREATE TRIGGER undo {when} UPDATE ON account BEGIN
            UPDATE account SET rev = old.rev, sealed = old.sealed, mac = old.mac WHERE id = new.id; END"
        )
    };
    refused(&sample, &[("after", put_back("AFTER")), ("before", put_back("BEFORE"))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_25_another_schema_is_refused() {
    let sample = Sample::new().await;
    let real = "ALTER TABLE account RENAME TO real";
    let attacks = [
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
        ("statistics", "ANALYZE".into()),
    ];
    refused(&sample, &attacks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_26_a_lowered_version_provokes_no_migration() {
    let sample = Sample::new().await;
    let older = "ALTER TABLE session DROP COLUMN login_epoch; PRAGMA user_version = 0";
    refused(&sample, &[("the number alone", "PRAGMA user_version = 0".into()), ("with older tables", older.into())])
        .await;
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

/// Asserts that a vault whose schema was edited so is not opened.
async fn refused(sample: &Sample, attacks: &[(&str, String)]) {
    let ann = sample.ann;
    for (name, attack) in attacks {
        let attack = |conn: &rusqlite::Connection| conn.execute_batch(attack).unwrap();
        sample.check(name, attack, async |v| told(v.account(ann).await), Tampering::Schema).await;
    }
}
