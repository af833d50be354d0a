//! The file as a whole: put back, cut, damaged, and given a log or a journal that is not its own.

use std::{fs, path::PathBuf};

use latchkey_vault::{
    AccountSecret, Secret, UnlockError,
    store::{FileError, StoreError, Tampering},
};

use super::{Sample, change_password, told};
use crate::common::{Class, Folder, account, assert_clean, key, verify};

#[tokio::test(flavor = "multi_thread")]
async fn attack_05_yesterdays_file_is_a_rollback() {
    let sample = Sample::new().await;
    let attacked = sample.folder.copy();
    fs::copy(&sample.earlier.paths.file, &attacked.paths.file).unwrap();
    assert_eq!(attacked.open().await.err().and_then(|error| error.class()), Some(Tampering::Rollback));
    assert_clean(&sample.folder).await;
    assert_clean(&sample.earlier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_05_yesterdays_file_cannot_be_taught_to_know_the_anchored_commit() {
    let sample = Sample::new().await;
    let newest = sample.folder.plain().query_row("SELECT counter, sealed FROM header", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    let (counter, sealed) = newest.unwrap();
    let attacked = sample.folder.copy();
    fs::copy(&sample.earlier.paths.file, &attacked.paths.file).unwrap();
    let hash = latchkey_vault::crypto::Header::hash(&sealed);
    let known = "INSERT INTO header_log VALUES (?1, 1, ?2)";
    attacked.plain().execute(known, rusqlite::params![counter, hash]).unwrap();
    assert_eq!(attacked.open().await.err().and_then(|error| error.class()), Some(Tampering::Header));
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_05_a_log_that_was_taken_away_is_a_rollback() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    // A reader that does not end keeps what follows in the log.
    let reader = folder.plain();
    reader.execute_batch("BEGIN; SELECT count(*) FROM account").unwrap();
    change_password(&vault, id, "second").await;
    let open = folder.copy();
    drop(reader);
    vault.close().await.unwrap();
    fs::copy(folder.anchor(), open.anchor()).unwrap();
    assert!(fs::metadata(side(&open, "-wal")).unwrap().len() > 0);
    let cut = open.copy();
    fs::remove_file(side(&cut, "-wal")).unwrap();
    assert_eq!(cut.open().await.err().and_then(|error| error.class()), Some(Tampering::Rollback));
    assert_clean(&open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_27_a_crafted_log_is_found_by_the_digest_and_garbage_in_its_place_is_passed_over() {
    let sample = Sample::new().await;
    // The attacker's own commit, in a log with sound checksums.
    let forged = sample.folder.copy();
    let conn = forged.plain();
    conn.execute("DELETE FROM session WHERE account = ?1", [key(&sample.ann)]).unwrap();
    let log = fs::read(side(&forged, "-wal")).unwrap();
    let attacked = sample.folder.copy();
    plant(&attacked, "-wal", &log);
    let vault = attacked.open().await.unwrap();
    assert_eq!(told(vault.account(sample.ann).await), Some(Tampering::Digest));
    assert_eq!(verify(&vault).await.len(), 1);
    vault.close().await.unwrap();

    let mut broken = log.clone();
    broken[40] ^= 1;
    for garbage in [&broken[..], &log[..31], &[0xaa; 5000], b""] {
        let attacked = sample.folder.copy();
        plant(&attacked, "-wal", garbage);
        assert_clean(&attacked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_27_a_rollback_journal_beside_the_vault_is_refused_before_sqlite_plays_it_back() {
    let sample = Sample::new().await;
    let attacked = sample.folder.copy();
    let before = fs::read(&attacked.paths.file).unwrap();
    // A hot journal as SQLite's file format, section 3, describes it: one page, to be put back as zeros.
    let mut journal = vec![0; 512];
    journal[..8].copy_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    journal[11] = 1;
    journal[16..20].copy_from_slice(&20_u32.to_be_bytes());
    journal[20..24].copy_from_slice(&512_u32.to_be_bytes());
    journal[24..28].copy_from_slice(&4096_u32.to_be_bytes());
    journal.extend(2_u32.to_be_bytes());
    journal.extend([0; 4100]);
    plant(&attacked, "-journal", &journal);
    let refused = attacked.open().await;
    assert!(
        matches!(&refused, Err(UnlockError::Store(StoreError::File(FileError::Unsafe { .. })))),
        "{:?}",
        refused.err()
    );
    assert_eq!(fs::read(&attacked.paths.file).unwrap(), before);
    fs::remove_file(side(&attacked, "-journal")).unwrap();
    assert_clean(&attacked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_a_file_that_was_cut_emptied_or_replaced_is_an_error() {
    let sample = Sample::new().await;
    let whole = fs::read(&sample.folder.paths.file).unwrap();
    let pages = (0..whole.len()).step_by(4096).flat_map(|at| [at.max(1) - 1, at, at + 1]);
    for length in pages.chain([15, 16, 17, 72, 99, 100, 101, 511, 2048]).chain([whole.len() - 1]) {
        let attacked = sample.folder.copy();
        fs::write(&attacked.paths.file, &whole[..length]).unwrap();
        let expected = if length == 0 { "the file is empty" } else { "the file is truncated or damaged" };
        match attacked.open().await {
            Err(error) => assert!(error.to_string().starts_with(expected), "{length}: {error}"),
            // SQLite takes a part of the last page for the whole page, with zeros for what is missing.
            Ok(vault) => {
                assert!(length > whole.len() - 4096, "{length}");
                let only_zeros = whole[length..].iter().all(|byte| *byte == 0);
                assert!(only_zeros || !verify(&vault).await.is_empty(), "{length}");
                let _ = vault.close().await;
            }
        }
    }
    for foreign in [&b"a"[..], b"SQLite format 4\0", &[0; 4096], &whole[1..]] {
        let attacked = sample.folder.copy();
        fs::write(&attacked.paths.file, foreign).unwrap();
        let Err(error) = attacked.open().await else { panic!("{} foreign bytes", foreign.len()) };
        assert_eq!(error.to_string(), FileError::Foreign.to_string());
    }
    let longer = sample.folder.copy();
    fs::write(&longer.paths.file, [whole, vec![0x5a; 10_000]].concat()).unwrap();
    assert_clean(&longer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_34_damaged_pages_are_errors_or_were_not_in_use() {
    let sample = Sample::new().await;
    let whole = fs::read(&sample.folder.paths.file).unwrap();
    let mut random = fastrand::Rng::with_seed(34);
    let (genuine, before_kib) = (content(&sample.folder), rss_high_kib());
    let mut refused = 0;
    for round in 0..150 {
        let attacked = sample.folder.copy();
        let mut bytes = whole.clone();
        let start = random.usize(..bytes.len());
        for _ in 0..random.usize(1..40) {
            // Clustered, so that page headers, cell pointers and overflow chains are hit together.
            let at = (start + random.usize(..64)) % bytes.len();
            bytes[at] = random.u8(..);
        }
        fs::write(&attacked.paths.file, bytes).unwrap();
        let Ok(vault) = attacked.open().await else {
            refused += 1;
            continue;
        };
        let findings = vault.verify(Box::new(|_, _| ())).await;
        let account = vault.account(sample.ann).await;
        if findings.is_ok_and(|findings| findings.is_empty()) {
            account.unwrap();
            assert_eq!(content(&attacked), genuine, "round {round}: what was not found changed nothing");
            let revealed = vault.reveal(sample.ann, &[AccountSecret::Password]).await.unwrap();
            let password = revealed.secret(AccountSecret::Password).unwrap();
            assert!(password.same(&Secret::copy_of("second")), "round {round}");
        } else {
            refused += 1;
        }
        // What the damage does to closing is no matter: it must come to an end.
        let _ = vault.close().await;
    }
    assert!(refused > 10, "{refused} of 150 were seen: the damage does not reach what is used");
    let grown = rss_high_kib() - before_kib;
    assert!(grown < 256 * 1024, "grew by {grown} KiB over a file of {} KiB", whole.len() / 1024);
}

/// Every row of every table that the digest, the header or the audit chain covers, as text.
fn content(folder: &Folder) -> Vec<String> {
    let conn = folder.plain();
    let mut rows = Vec::new();
    for table in
        ["meta", "key_slot", "data_key", "account", "session", "lease", "outbox", "item", "audit", "audit_link"]
    {
        let mut select = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = select.column_count();
        let found = select.query_map([], |row| {
            Ok((0..columns).map(|at| format!("{:?} ", row.get_ref(at).unwrap())).collect::<String>())
        });
        rows.extend(found.unwrap().map(|row| format!("{table} {}", row.unwrap())));
    }
    rows.sort();
    rows
}

/// The most memory that this process has had so far, in KiB. Source: proc_pid_status(5).
fn rss_high_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn side(folder: &Folder, suffix: &str) -> PathBuf {
    let mut path = folder.paths.file.clone().into_os_string();
    path.push(suffix);
    path.into()
}

/// Puts a file beside the vault, with the mode of the vault.
fn plant(folder: &Folder, suffix: &str, bytes: &[u8]) {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(side(folder, suffix));
    file.unwrap().write_all(bytes).unwrap();
}
