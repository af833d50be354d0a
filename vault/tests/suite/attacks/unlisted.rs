//! A stale row that the index of the keys does not list, and another index leads to.

use latchkey_vault::{AccountId, AccountSecret};
use rusqlite::{Connection, params};

use super::Sample;
use crate::common::{Folder, key, verify};

#[tokio::test(flavor = "multi_thread")]
async fn attack_04_a_stale_row_that_only_an_index_leads_to_is_not_used() {
    let sample = Sample::new().await;
    let attacked = sample.folder.copy();
    hide(&attacked, &sample.earlier, sample.ann);
    // It is there, authentic, and the index of the logins leads to it.
    let found: String = attacked
        .plain()
        .query_row("SELECT group_concat(rev) FROM account NOT INDEXED WHERE id = ?1", [key(&sample.ann)], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(found, "2,1");

    let vault = attacked.open().await.unwrap();
    let read = vault.find_login("site.test", "ann").await.unwrap().unwrap();
    let revealed = vault.reveal(read.id, &[AccountSecret::Password]).await.unwrap();
    assert_eq!((read.rev, revealed.secret(AccountSecret::Password).unwrap().expose()), (2, "second"));
    assert!(!verify(&vault).await.is_empty(), "the full check finds what lies there");
    vault.close().await.unwrap();
}

/// Puts the row that `earlier` has for the account into the table, and into the index of the logins alone.
fn hide(folder: &Folder, earlier: &Folder, id: AccountId) {
    let stale = "WHERE rev = 1 AND ix_login IS NOT NULL";
    let conn = folder.plain();
    conn.execute_batch(
        "PRAGMA writable_schema = ON;
        CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE tbl_name = 'account';
        DELETE FROM sqlite_schema WHERE tbl_name = 'account' AND type = 'index';
        UPDATE sqlite_schema SET sql = replace(sql, 'id BLOB PRIMARY KEY', 'id BLOB') WHERE name = 'account'",
    )
    .unwrap();
    let kept = kept(&conn);
    conn.close().unwrap();

    let conn = folder.plain();
    conn.execute("ATTACH ?1 AS earlier", params![earlier.paths.file.to_str().unwrap()]).unwrap();
    let copied = conn.execute("INSERT INTO account SELECT * FROM earlier.account WHERE id = ?1", [key(&id)]).unwrap();
    assert_eq!(copied, 1);
    conn.execute_batch(&format!("CREATE UNIQUE INDEX forged ON account (ix_login) {stale}")).unwrap();
    let forged: i64 =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'forged'", [], |row| row.get(0)).unwrap();
    conn.execute_batch("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE tbl_name = 'account'").unwrap();
    for (kind, name, root, sql) in kept {
        let root = if name == "account_login" { forged } else { root };
        conn.execute("INSERT INTO sqlite_schema VALUES (?1, ?2, 'account', ?3, ?4)", params![kind, name, root, sql])
            .unwrap();
    }
    conn.close().unwrap();
}

fn kept(conn: &Connection) -> Vec<(String, String, i64, Option<String>)> {
    let mut rows = conn.prepare("SELECT type, name, rootpage, sql FROM kept").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
