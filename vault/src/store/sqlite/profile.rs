//! Opening a file that an attacker may have prepared: path, owner, modes, SQLite's own guards, schema.
//!
//! Knows no keys: it cannot tell a forged row, only a file that must not be touched at all.

use std::{
    fs,
    io::{ErrorKind, Read},
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
    if meta.len() == 0 {
        return Err(FileError::Empty.into());
    }
    check_magic(path)
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
    if meta.is_dir() != is_dir {
        return refuse("it is not what it should be (file and folder are mixed up)", "check the path");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user", "chown it to the user that runs latchkey");
    }
    if meta.mode() & 0o077 != 0 {
        return refuse("others may read or write it", "chmod 700 the folder and chmod 600 the files");
    }
    Ok(())
}

/// Opens a connection with every guard on. The file has been checked by [`check_path`].
pub(super) fn connect(path: &Path, writes: bool) -> Result<Connection, StoreError> {
    let mode = if writes { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| database("opening the file", &e))?;
    guard(&conn).map_err(|e| database("setting the guards", &e))?;
    Ok(conn)
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
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(FileError::Exists.into()),
        Err(source) => Err(StoreError::Io { during: "creating the vault file", source }),
    }
}

/// The folder that a file lies in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The path with `suffix` behind its file name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

// Read before SQLite has the file open: closing a descriptor later would drop its POSIX locks.
fn check_magic(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { during: "reading the vault file", source };
    let mut file = fs::File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut head = [0; 100];
    match file.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let start = usize::try_from(length).unwrap_or(head.len()).min(16);
            let ours = head[..start] == MAGIC[..start];
            return Err(if ours { FileError::Damaged } else { FileError::Foreign }.into());
        }
        Err(source) => return Err(io(source)),
    }
    if head[..16] != *MAGIC {
        return Err(FileError::Foreign.into());
    }
    // SQLite file format, section 1.3: page size at 16, size of the database in pages at 28, application id at 68.
    let page = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65536,
        n => u64::from(n),
    };
    let pages = u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]));
    if i64::from(u32::from_be_bytes([head[68], head[69], head[70], head[71]])) != schema::APPLICATION_ID {
        return Err(FileError::Foreign.into());
    }
    if length < page.saturating_mul(pages) {
        return Err(FileError::Damaged.into());
    }
    Ok(())
}

/// What SQLite and the turn-taking put beside the file.
const SIDECARS: [&str; 4] = ["-wal", "-shm", ".queue", ".hold"];
/// First bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Writers take turns by file locks; this bounds only the wait for another process' checkpoint or recovery.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
