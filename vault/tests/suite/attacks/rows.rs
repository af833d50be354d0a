//! Rows exchanged, moved, copied, replayed, edited and removed.

use latchkey_vault::{AccountId, ItemKind, store::Tampering};
use rusqlite::{Connection, params};

use super::{Sample, change_password, column, first_finding, told};
use crate::common::{Folder, account, ask, key};

type Attack<'a> = &'a dyn Fn(&Connection);

/// Tables with rows of their own MAC, and the column of their key.
const TABLES: [(&str, &str); 5] =
    [("account", "id"), ("session", "account"), ("lease", "resource"), ("outbox", "id"), ("item", "id")];

#[tokio::test(flavor = "multi_thread")]
async fn attack_01_a_sealed_blob_of_another_record_is_refused() {
    let sample = Sample::new().await;
    let (ann, bob) = (sample.ann, sample.bob);
    let moves: [(&str, Attack<'_>); 2] = [
        ("two accounts exchanged", &|conn| {
            let blobs = [ann, bob].map(|id| column(conn, "SELECT sealed FROM account WHERE id = ?1", &id));
            conn.execute("UPDATE account SET sealed = ?2 WHERE id = ?1", params![key(&ann), blobs[1]]).unwrap();
            conn.execute("UPDATE account SET sealed = ?2 WHERE id = ?1", params![key(&bob), blobs[0]]).unwrap();
        }),
        ("with its MAC and indexes", &|conn| {
            let rest = "rev, epoch, ix_site, sealed, mac";
            let sql = format!("UPDATE account SET ({rest}) = (SELECT {rest} FROM account WHERE id = ?2) WHERE id = ?1");
            conn.execute(&sql, params![key(&ann), key(&bob)]).unwrap();
        }),
    ];
    substituted(&sample, &moves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_02_a_sealed_blob_of_another_kind_or_column_is_refused() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    let moves: [(&str, Attack<'_>); 2] = [
        ("the session in place of the account", &|conn| {
            let blob = column(conn, "SELECT sealed FROM session WHERE account = ?1", &ann);
            conn.execute("UPDATE account SET sealed = ?2 WHERE id = ?1", params![key(&ann), blob]).unwrap();
        }),
        ("one index in place of another", &|conn| {
            conn.execute("UPDATE account SET ix_manager = ix_login WHERE id = ?1", params![key(&ann)]).unwrap();
        }),
    ];
    substituted(&sample, &moves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_03_a_row_of_another_vault_of_the_same_owner_is_refused() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    let other = Folder::with_identity(sample.folder.identity.duplicate());
    let theirs = other.init().await;
    let twin = theirs.add_account(account("ann")).await.unwrap();
    theirs.close().await.unwrap();
    let moves: [(&str, Attack<'_>); 2] = [
        ("another vault's blob", &|conn| {
            let blob = column(&other.plain(), "SELECT sealed FROM account WHERE id = ?1", &twin);
            conn.execute("UPDATE account SET sealed = ?2 WHERE id = ?1", params![key(&ann), blob]).unwrap();
        }),
        ("another vault's row", &|conn| {
            attach(conn, &other);
            let sql = "UPDATE account SET (rev, epoch, ix_site, ix_login, ix_manager, sealed, mac) =
                (SELECT rev, epoch, ix_site, ix_login, ix_manager, sealed, mac FROM old.account) WHERE id = ?1";
            conn.execute(sql, params![key(&ann)]).unwrap();
        }),
    ];
    substituted(&sample, &moves).await;
    let whole = |conn: &Connection| {
        attach(conn, &other);
        conn.execute_batch("INSERT INTO account SELECT * FROM old.account").unwrap();
    };
    sample
        .check("another vault's account", whole, async |v| told(v.account(twin).await), Tampering::Substitution)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_04_a_row_that_is_put_back_is_found_before_it_is_used() {
    let sample = Sample::new().await;
    let (ann, bob) = (sample.ann, sample.bob);
    for (table, touch) in [("account", false), ("session", false), ("lease", true)] {
        let replay = |conn: &Connection| {
            attach(conn, &sample.earlier);
            let changed = conn.execute_batch(&format!("INSERT OR REPLACE INTO {table} SELECT * FROM old.{table}"));
            changed.unwrap();
        };
        let touch = async |v: &latchkey_vault::Vault| {
            if touch { told(v.check_out(bob, &ask(0)).await) } else { told(v.account(ann).await) }
        };
        sample.check(table, replay, touch, Tampering::Digest).await;
    }
    let replay = |conn: &Connection| {
        attach(conn, &sample.earlier);
        conn.execute_batch("INSERT OR REPLACE INTO item SELECT * FROM old.item").unwrap();
    };
    let items = async |v: &latchkey_vault::Vault| told(v.items_by_key(ItemKind::Attempt, "task-1").await);
    sample.check("item", replay, items, Tampering::Digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_04_rows_that_are_put_back_with_their_digest_do_not_belong_to_the_header() {
    let sample = Sample::new().await;
    let replay = |tables: &'static [&'static str]| {
        let earlier = &sample.earlier;
        move |conn: &Connection| {
            attach(conn, earlier);
            for table in tables {
                conn.execute_batch(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM old.{table}"))
                    .unwrap();
            }
        }
    };
    let all = &["account", "session", "lease", "outbox", "item", "digest_group", "digest_top"];
    let ann = sample.ann;
    let touch = async |v: &latchkey_vault::Vault| told(v.account(ann).await);
    sample.check("rows and digest", replay(all), touch, Tampering::Digest).await;
    sample.check("rows and groups", replay(&all[..6]), touch, Tampering::Digest).await;
    sample.check("the digest alone", replay(&all[5..]), touch, Tampering::Digest).await;
    sample.check("the groups alone", replay(&all[5..6]), touch, Tampering::Digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_04_another_writing_of_the_same_revision_is_found_before_it_is_used() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    let fork = sample.earlier.copy();
    let vault = fork.open().await.unwrap();
    change_password(&vault, ann, "chosen by the fork").await;
    vault.close().await.unwrap();
    let revision = |folder: &Folder| {
        let rev = folder.plain().query_row("SELECT rev FROM account WHERE id = ?1", [key(&ann)], |row| row.get(0));
        rev.unwrap()
    };
    let (theirs, ours): (i64, i64) = (revision(&fork), revision(&sample.folder));
    assert_eq!(theirs, ours);
    let attack = |conn: &Connection| {
        attach(conn, &fork);
        conn.execute("INSERT OR REPLACE INTO account SELECT * FROM old.account WHERE id = ?1", [key(&ann)]).unwrap();
    };
    sample.check("a fork's row", attack, async |v| told(v.account(ann).await), Tampering::Digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_06_a_row_that_is_deleted_is_missed() {
    let sample = Sample::new().await;
    let (ann, bob) = (sample.ann, sample.bob);
    for (table, column) in TABLES {
        let attack = |conn: &Connection| {
            let (sql, id) = match table {
                "account" | "session" => (format!("DELETE FROM {table} WHERE {column} = ?1"), key(&ann).to_vec()),
                "lease" => (format!("DELETE FROM {table} WHERE {column} = ?1"), key(&bob).to_vec()),
                _ => (format!("DELETE FROM {table} WHERE ?1 = ?1"), vec![]),
            };
            assert!(conn.execute(&sql, [id]).unwrap() > 0, "{table}");
        };
        let touch = async |v: &latchkey_vault::Vault| match table {
            "account" | "session" => told(v.account(ann).await),
            "lease" => told(v.check_out(bob, &ask(0)).await),
            // Nobody asks for what is not there: the full check does.
            _ => first_finding(v).await,
        };
        sample.check(table, attack, touch, Tampering::Digest).await;
    }
    let all = |conn: &Connection| {
        for (table, column) in &TABLES[..3] {
            conn.execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [key(&ann)]).unwrap();
        }
    };
    sample.check("the whole account", all, async |v| told(v.account(ann).await), Tampering::Digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_07_a_row_that_is_copied_under_another_id_is_refused() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    let near = {
        let mut id = *ann.as_bytes();
        id[15] ^= 1;
        AccountId::from_bytes(id)
    };
    let far = {
        let mut id = *ann.as_bytes();
        id[0] ^= 0x80;
        AccountId::from_bytes(id)
    };
    for (name, id) in [("in the same bucket", near), ("in another bucket", far)] {
        let attack = |conn: &Connection| {
            let sql = "INSERT INTO account SELECT ?2, rev, epoch, ix_site, NULL, NULL, sealed, mac FROM account
                WHERE id = ?1";
            conn.execute(sql, params![key(&ann), key(&id)]).unwrap();
        };
        sample.check(name, attack, async |v| told(v.account(id).await), Tampering::Substitution).await;
        let listed = async |v: &latchkey_vault::Vault| told(v.accounts(None, None, 100).await);
        sample.check(name, attack, listed, Tampering::Substitution).await;
    }
    for length in [0, 1, 15, 17, 40] {
        for byte in [0, 0xff] {
            let attack = |conn: &Connection| {
                let sql = "INSERT INTO item SELECT ?1, tag, rev, epoch, NULL, 0, sealed, mac FROM item";
                conn.execute(sql, [vec![byte; length]]).unwrap();
            };
            let name = format!("{length} bytes of {byte}");
            sample.check(&name, attack, async |v| first_finding(v).await, Tampering::Substitution).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_clear_column_can_be_edited() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    for change in [
        "rev = rev + 1",
        "rev = rev - 1",
        "epoch = 2",
        "ix_site = zeroblob(16)",
        "ix_login = NULL",
        "ix_login = zeroblob(16)",
        "ix_site = x''",
    ] {
        let attack = |conn: &Connection| {
            conn.execute(&format!("UPDATE account SET {change} WHERE id = ?1"), [key(&ann)]).unwrap();
        };
        sample.check(change, attack, async |v| told(v.account(ann).await), Tampering::Substitution).await;
    }
    for change in ["rev = rev + 1", "epoch = 2", "login_epoch = login_epoch + 1"] {
        let attack = |conn: &Connection| {
            conn.execute(&format!("UPDATE session SET {change} WHERE account = ?1"), [key(&ann)]).unwrap();
        };
        sample.check(change, attack, async |v| told(v.account(ann).await), Tampering::Substitution).await;
    }
    for change in
        ["lane = 1", "lane = 7", "state = 3", "state = 9", "due_ms = 0", "tries = 9", "seq = 1", "after = subject"]
    {
        let attack = |conn: &Connection| {
            conn.execute_batch(&format!("UPDATE outbox SET {change} WHERE lane = 2")).unwrap();
        };
        sample.check(change, attack, async |v| told(v.owing().await), Tampering::Substitution).await;
    }
    for change in ["tag = 1", "open = 0", "ix = NULL", "ix = zeroblob(16)"] {
        let attack = |conn: &Connection| {
            conn.execute_batch(&format!("UPDATE item SET {change}")).unwrap();
        };
        sample.check(change, attack, async |v| first_finding(v).await, Tampering::Substitution).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_12_a_row_whose_mac_was_stripped_or_cut_is_refused() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    for (table, id) in [("account", "id"), ("session", "account")] {
        for mac in ["x''", "zeroblob(32)", "CAST(substr(mac, 1, 31) AS BLOB)", "CAST(mac || x'00' AS BLOB)"] {
            let attack = |conn: &Connection| {
                conn.execute(&format!("UPDATE {table} SET mac = {mac} WHERE {id} = ?1"), [key(&ann)]).unwrap();
            };
            let name = format!("{table}: {mac}");
            sample.check(&name, attack, async |v| told(v.account(ann).await), Tampering::Substitution).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_leads_to_another_account_is_not_believed() {
    let sample = Sample::new().await;
    let (ann, bob) = (sample.ann, sample.bob);
    let attack = |conn: &Connection| {
        // The rows end as they were; the index was made while ann's and bob's logins were exchanged.
        let logins = [ann, bob].map(|id| column(conn, "SELECT ix_login FROM account WHERE id = ?1", &id));
        let set = |id: &AccountId, login: Option<&Vec<u8>>| {
            conn.execute("UPDATE account SET ix_login = ?2 WHERE id = ?1", params![key(id), login]).unwrap();
        };
        set(&ann, None);
        set(&bob, Some(&logins[0]));
        set(&ann, Some(&logins[1]));
        let hide = "PRAGMA writable_schema = ON;
            CREATE TEMP TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'account_login';
            DELETE FROM sqlite_schema WHERE name = 'account_login'; PRAGMA writable_schema = RESET";
        conn.execute_batch(hide).unwrap();
        set(&ann, Some(&logins[0]));
        set(&bob, Some(&logins[1]));
        let show = "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM hidden;
            PRAGMA writable_schema = RESET";
        conn.execute_batch(show).unwrap();
    };
    let touch = async |v: &latchkey_vault::Vault| told(v.find_login("site.test", "ann").await);
    sample.check("a forged index", attack, touch, Tampering::Substitution).await;
}

/// Asserts that ann's record is refused after each of these.
async fn substituted(sample: &Sample, moves: &[(&str, Attack<'_>)]) {
    let ann = sample.ann;
    for (name, attack) in moves {
        sample.check(name, attack, async |v| told(v.account(ann).await), Tampering::Substitution).await;
    }
}

fn attach(conn: &Connection, other: &Folder) {
    conn.execute("ATTACH ?1 AS old", [other.paths.file.to_str().unwrap()]).unwrap();
}
