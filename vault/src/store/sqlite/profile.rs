//! Opening a file that an attacker may have prepared: path, owner, modes, SQLite's own guards, schema.
//!
//! Knows no keys: it cannot tell a forged row, only a file that must not be touched at all.

use std::{
    fs,
    io::{ErrorKind, Read},
    os::fd::AsFd,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig, limits::Limit};

use super::{database, schema};
use crate::{
    limits,
    store::{FileError, StoreError, Tampering},
};

/// Checks that the path, its folder and its sidecars are the user's own, plain and private.
pub(super) fn check_path(path: &Path) -> Result<(), StoreError> {
    let folder = parent(path);
    check_private(&folder, "vault folder", true)?;
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(FileError::Missing.into()),
        other => other.map_err(|source| StoreError::Io { during: "reading the vault file's metadata", source })?,
    };
    check_private(path, "vault file", false)?;
    for suffix in SIDECARS {
        let side = with_suffix(path, suffix);
        if fs::symlink_metadata(&side).is_ok() {
            check_private(&side, "file beside the vault", false)?;
        }
    }
    if fs::symlink_metadata(with_suffix(path, "-journal")).is_ok() {
        // SQLite would play it back into the file.
        let why = "a rollback journal lies there, which latchkey never writes";
        let mend = "find out where it comes from, and take it away";
        return Err(FileError::Unsafe { what: "file beside the vault", why, mend }.into());
    }
    if meta.len() == 0 {
        return Err(FileError::Empty.into());
    }
    check_local(&folder)?;
    check_magic(path)
}

/// Refuses file systems of other machines: the log's shared memory and the locks work within one kernel only.
pub(crate) fn check_local(folder: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { during: "looking at the vault's file system", source };
    let folder = fs::File::open(folder).map_err(io)?;
    let found = rustix::fs::fstatfs(folder.as_fd()).map_err(|errno| io(errno.into()))?;
    if is_remote(found.f_type as u32) {
        let (why, mend) = ("it lies on a network file system", "put the vault on a local disk");
        return Err(FileError::Unsafe { what: "vault folder", why, mend }.into());
    }
    Ok(())
}

/// Whether this is the magic number of a network file system (linux/magic.h, statfs(2); all have 32 bits). FUSE is not
/// among them: what lies behind it cannot be told, and containers have it for local folders.
fn is_remote(magic: u32) -> bool {
    const NFS: u32 = 0x6969;
    const SMB: u32 = 0x517b;
    const CIFS: u32 = 0xff53_4d42;
    const SMB2: u32 = 0xfe53_4d42;
    const PLAN_9: u32 = 0x0102_1997;
    const AFS: u32 = 0x5346_414f;
    const CEPH: u32 = 0x00c3_6400;
    const CODA: u32 = 0x7375_7245;
    const LUSTRE: u32 = 0x0bd0_0bd0;
    matches!(magic, NFS | SMB | CIFS | SMB2 | PLAN_9 | AFS | CEPH | CODA | LUSTRE)
}

/// Refuses a symlink, another owner, and a mode that lets others in.
pub(crate) fn check_private(path: &Path, what: &'static str, is_dir: bool) -> Result<(), StoreError> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(FileError::Missing.into()),
        other => other.map_err(|source| StoreError::Io { during: "reading a file's metadata", source })?,
    };
    let refuse = |why, mend| Err(StoreError::File(FileError::Unsafe { what, why, mend }));
    if meta.is_symlink() {
        return refuse("it is a symbolic link", "give the path of the file itself");
    }
    if !(if is_dir { meta.is_dir() } else { meta.is_file() }) {
        return refuse("it is not a plain file or folder, as it should be", "check the path");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user", "chown it to the user that runs latchkey");
    }
    if meta.mode() & 0o077 != 0 {
        return refuse("others may read or write it", "chmod 700 the folder and chmod 600 the files");
    }
    Ok(())
}

/// Which file lies at a path: another one there has another identity, whatever it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// Which file lies at the path.
pub(super) fn identity(path: &Path) -> Result<Identity, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Identity { device: meta.dev(), inode: meta.ino() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(FileError::Missing.into()),
        Err(source) => Err(StoreError::Io { during: "reading the vault file's metadata", source }),
    }
}

/// Opens a connection with every guard on. The file has been checked by [`check_path`].
pub(super) fn connect(path: &Path, writes: bool) -> Result<Connection, StoreError> {
    let mode = if writes { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| database("opening the file", &e))?;
    guard(&conn).map_err(|e| database("setting the guards", &e))?;
    #[cfg(test)]
    let mut conn = conn;
    #[cfg(test)]
    super::killing::watch(&mut conn).map_err(|e| database("watching", &e))?;
    Ok(conn)
}

/// Whether the end of this connection leaves the log beside the file as it is.
///
/// SQLite moves the log into the file and removes it when the last connection ends: not before it is known whose both are.
pub(super) fn keep_log(conn: &Connection, keep: bool) -> Result<(), StoreError> {
    let kept = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep);
    kept.map(|_| ()).map_err(|e| database("setting what becomes of the log", &e))
}

/// Checks application id, version and schema of a file that opens as a database.
pub(super) fn check_schema(conn: &Connection) -> Result<(), StoreError> {
    let pragma = |name| conn.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
    let application = pragma("application_id").map_err(|e| database("reading the application id", &e))?;
    if application != schema::APPLICATION_ID {
        return Err(FileError::Foreign.into());
    }
    let found = pragma("user_version").map_err(|e| database("reading the version", &e))?;
    let known = i64::from(schema::SCHEMA_VERSION);
    if found > known {
        return Err(FileError::Newer { found, known }.into());
    }
    if found < known || !schema::is_ours(conn).map_err(|e| database("reading the schema", &e))? {
        return Err(StoreError::tampered(Tampering::Schema, None));
    }
    Ok(())
}

/// The guards of a connection: nothing in the file may run, growth and waits are bounded.
pub(super) fn guard(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    let longest = i32::try_from(limits::RECORD_MAX_BYTES * 2).unwrap_or(i32::MAX);
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.busy_timeout(BUSY_TIMEOUT)
}

/// Makes an empty file that nobody else can read, or refuses when there is one.
pub(crate) fn create_private(path: &Path) -> Result<(), StoreError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(FileError::Exists.into()),
        Err(source) => Err(StoreError::Io { during: "creating the vault file", source }),
    }
}

/// The folder that a file lies in.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The path with `suffix` behind its file name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

// Read before SQLite has the file open: closing a descriptor later would drop its POSIX locks. Whether the file is as
// long as it says is SQLite's to judge, since the log may hold the pages that it lacks.
fn check_magic(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { during: "reading the vault file", source };
    let mut head = Vec::with_capacity(HEAD_BYTES);
    fs::File::open(path).and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head)).map_err(io)?;
    let start = head.len().min(MAGIC.len());
    // SQLite file format, section 1.3: the application id is at 68.
    let foreign = head.get(68..72).is_some_and(|id| *id != schema::APPLICATION_ID.to_be_bytes()[4..]);
    if foreign || head[..start] != MAGIC[..start] {
        return Err(FileError::Foreign.into());
    }
    if head.len() < HEAD_BYTES { Err(FileError::Damaged.into()) } else { Ok(()) }
}

/// What SQLite and the turn-taking put beside the file.
const SIDECARS: [&str; 4] = ["-wal", "-shm", ".queue", ".hold"];
/// Length of SQLite's header.
const HEAD_BYTES: usize = 100;
/// First bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Writers take turns by file locks; this bounds only the wait for another process' checkpoint or recovery.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rusqlite::Connection;

    use super::{guard, is_remote};

    #[test]
    fn attack_24_a_trigger_and_a_view_are_dead_on_a_guarded_connection() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t (n); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT n FROM t;
             CREATE TRIGGER undo AFTER UPDATE ON t BEGIN UPDATE t SET n = old.n WHERE rowid = new.rowid; END",
        )
        .unwrap();
        let updated = || {
            conn.execute_batch("UPDATE t SET n = 2").unwrap();
            conn.query_row("SELECT n FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(updated(), 1, "the trigger undoes the update");
        guard(&conn).unwrap();
        assert_eq!(updated(), 2);
        assert!(conn.query_row("SELECT n FROM v", [], |_| Ok(())).is_err());
        assert!(conn.execute_batch("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema").is_err());
    }

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        let (ext4, tmpfs, btrfs, xfs, overlay) = (0xef53, 0x0102_1994, 0x9123_683e, 0x5846_5342, 0x794c_7630);
        for local in [ext4, tmpfs, btrfs, xfs, overlay] {
            assert!(!is_remote(local), "{local:x}");
        }
        for remote in [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997] {
            assert!(is_remote(remote), "{remote:x}");
        }
    }
}
