//! Bytes changed and blobs cut: every byte of a sealed record, every length, and each kind of blob in each table.

use latchkey_vault::store::Tampering;
use rusqlite::{Connection, params};

use super::{Sample, column, told};
use crate::common::{Class, key};

#[tokio::test(flavor = "multi_thread")]
async fn attack_10_a_sealed_blob_of_any_other_length_is_refused() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    let genuine = column(&sample.folder.plain(), "SELECT sealed FROM account WHERE id = ?1", &ann);
    let cut = |to: usize| {
        let mut other = genuine.clone();
        other.resize(to, 0);
        move |conn: &Connection| {
            assert_eq!(conn.execute(SET_SEALED, params![key(&ann), other]).unwrap(), 1);
        }
    };
    for to in [0, 1, genuine.len() - 1, genuine.len() + 1, 1 << 20] {
        sample
            .check(&format!("{to} bytes"), cut(to), async |v| told(v.account(ann).await), Tampering::Substitution)
            .await;
    }
    // Every length, under a vault that is open: its bucket has been checked, the row is authenticated at each read.
    let vault = sample.folder.open().await.unwrap();
    let conn = sample.folder.plain();
    for to in (0..genuine.len() + 64).filter(|to| *to != genuine.len()) {
        assert!(vault.account(ann).await.is_ok(), "{to}");
        cut(to)(&conn);
        assert_eq!(told(vault.account(ann).await), Some(Tampering::Substitution), "{to} of {} bytes", genuine.len());
        cut(genuine.len())(&conn);
    }
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_09_a_flipped_byte_of_any_blob_is_an_error_and_shows_no_plaintext() {
    let sample = Sample::new().await;
    for (table, columns) in [
        ("meta", "vault"),
        ("header", "sealed"),
        ("header_log", "hash"),
        ("digest_top", "hashes"),
        ("digest_group", "sealed"),
        ("key_slot", "slot"),
        ("key_meta", "mac"),
        ("data_key", "sealed"),
        ("account", "id ix_site ix_login ix_manager sealed mac"),
        ("session", "account sealed mac"),
        ("lease", "resource holder boot_id mac"),
        ("outbox", "id subject sealed mac"),
        ("item", "id ix sealed mac"),
        ("audit", "id sealed"),
        ("audit_link", "mac"),
    ] {
        for column in columns.split(' ') {
            flips(&sample, table, column).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_09_every_byte_of_a_sealed_record_counts_also_under_an_open_vault() {
    let sample = Sample::new().await;
    let ann = sample.ann;
    let vault = sample.folder.open().await.unwrap();
    assert!(vault.account(ann).await.is_ok());
    let conn = sample.folder.plain();
    for (table, id) in [("account", "id"), ("session", "account")] {
        for part in ["sealed", "mac"] {
            let sql = format!("UPDATE {table} SET {part} = ?2 WHERE {id} = ?1");
            let genuine = column(&conn, &format!("SELECT {part} FROM {table} WHERE {id} = ?1"), &ann);
            for at in 0..genuine.len() {
                let mut other = genuine.clone();
                other[at] ^= 1 << (at % 8);
                conn.execute(&sql, params![key(&ann), other]).unwrap();
                let told = vault.account(ann).await.err().unwrap_or_else(|| panic!("{table}.{part} at {at}"));
                assert_eq!(told.class(), Some(Tampering::Substitution), "{table}.{part} at {at}: {told}");
                assert!(!told.to_string().contains("canary"), "{told}");
            }
            conn.execute(&sql, params![key(&ann), genuine]).unwrap();
            assert!(vault.account(ann).await.is_ok(), "{table}.{part} is as it was");
        }
    }
    vault.close().await.unwrap();
}

/// Flips bytes at every boundary of a sealed blob and in between.
async fn flips(sample: &Sample, table: &str, column: &str) {
    let blob: Vec<u8> =
        sample.folder.plain().query_row(&format!("SELECT {column} FROM {table}"), [], |row| row.get(0)).unwrap();
    let last = blob.len() - 1;
    let boundaries: &[usize] = if last < 74 { &[0] } else { &[0, 1, 2, 6, 10, 42, 74, last - 16] };
    for at in boundaries.iter().copied().chain((200..last).step_by(397)).chain([last]) {
        let attacked = sample.folder.copy();
        let mut other = blob.clone();
        other[at] ^= 0x20;
        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE {column} = ?2");
        assert!(attacked.plain().execute(&sql, params![other, blob]).unwrap() > 0, "{table}.{column}");
        let told = match attacked.open().await {
            Err(error) => error.to_string(),
            Ok(vault) => {
                let told = match vault.account(sample.ann).await {
                    Err(error) => {
                        assert!(error.class().is_some(), "{table}.{column} at {at}: {error}");
                        error.to_string()
                    }
                    Ok(_) => {
                        let findings = crate::common::verify(&vault).await;
                        assert!(!findings.is_empty(), "{table}.{column} at {at}");
                        format!("{findings:?}")
                    }
                };
                vault.close().await.unwrap();
                told
            }
        };
        assert!(!told.contains("canary") && !told.contains("second"), "{told}");
    }
}

const SET_SEALED: &str = "UPDATE account SET sealed = ?2 WHERE id = ?1";
