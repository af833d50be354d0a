//! Backups: one file with a consistent state of the vault, made while others work, and checked whole before it is called
//! one.
//!
//! The copy is made and checked beside the vault, where nobody else can reach it, and then its bytes are taken to where
//! they shall lie: that may be another disk, or none that SQLite could work on. Knows no schedule and no other place.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ring::digest::{Context, SHA256};
use thiserror::Error;

use super::{Vault, blocking, same_folder};
use crate::{
    model::Action,
    store::{
        Finding, Progress, StoreError,
        sqlite::{SqliteFile, create_private, parent, remove_copy, sync_folder, with_suffix},
    },
};

/// A backup that was written, checked and synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Where it lies; mode 0600.
    pub file: PathBuf,
    /// The vault's commit that it holds.
    pub counter: u64,
    /// Its size.
    pub bytes: u64,
    /// When it was made, Unix milliseconds.
    pub at_ms: i64,
}

/// Why there is no backup. What was at its place is as it was; the vault's audit says that one was tried.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something already.
    #[error("there is something at {} already; it was left as it is", .0.display())]
    Exists(PathBuf),
    /// It would lie with the anchors.
    #[error("a backup must not lie in the folder of anchors: whoever takes the one would have the other")]
    BesideAnchors,
    /// Another backup of this vault is being made.
    #[error("another backup of this vault is being made")]
    Busy,
    /// What was copied does not stand up to a full check.
    #[error("the check of the copy found {} problem(s); the first: {}", .0.len(), .0.first().map_or("", |f| f.what.as_str()))]
    Findings(Vec<Finding>),
    /// What lies there now is not what was written.
    #[error("the backup does not read back as it was written; the disk under it may be failing")]
    ReadBack,
    /// The vault could not be read, or its copy not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error("{during}: {source}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
}

impl Vault {
    /// Writes a backup to `to`, where nothing may be yet, while workers go on; in the audit before it is begun.
    ///
    /// `progress` gets (done, all), in pages while it copies and in buckets while it checks.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn back_up(
        &self,
        to: &Path,
        progress: Arc<dyn Fn(u64, u64) + Send + Sync>,
    ) -> Result<BackedUp, BackupError> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(BackupError::Exists(to.to_owned()));
        }
        if same_folder(&parent(to), &self.paths.anchors) {
            return Err(BackupError::BesideAnchors);
        }
        let at_ms = self.now_ms();
        self.note(Action::Backup, None, "a backup is being written").await?;
        let copy = WorkingCopy::make(&self.paths.file, COPY)?;
        let (copying, checking) = (Arc::clone(&progress), progress);
        let head = self.store.copy_to(copy.path().to_owned(), Box::new(move |done, all| copying(done, all))).await?;
        self.check_copy(copy.path(), Box::new(move |done, all| checking(done, all))).await?;
        let to = to.to_owned();
        blocking(move || {
            let bytes = carry(copy.path(), &to)?;
            Ok(BackedUp { file: to, counter: head.counter, bytes, at_ms })
        })
        .await
    }

    async fn check_copy(&self, copy: &Path, progress: Progress) -> Result<(), BackupError> {
        let (copy, keys, opener) = (copy.to_owned(), self.keys(), self.opener.clone());
        let vault = blocking(move || Self::start(SqliteFile::open(&copy)?, None, keys, opener)).await?;
        let findings = vault.verify(progress).await;
        vault.store.close().await?;
        let findings = findings?;
        if findings.is_empty() { Ok(()) } else { Err(BackupError::Findings(findings)) }
    }
}

/// An empty private file beside the vault that one process at a time has; it is gone when this is dropped.
pub(super) struct WorkingCopy {
    path: PathBuf,
    _lock: File,
}

impl WorkingCopy {
    /// Makes it, in place of what a killed process left.
    pub(super) fn make(vault: &Path, suffix: &str) -> Result<Self, BackupError> {
        let path = with_suffix(vault, suffix);
        let io = |during| move |source| BackupError::Io { during, source };
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(with_suffix(&path, ".lock"))
            .map_err(io("locking the working copy"))?;
        lock.try_lock().map_err(|_| BackupError::Busy)?;
        remove_copy(&path);
        create_private(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkingCopy {
    fn drop(&mut self) {
        remove_copy(&self.path);
        if let Err(error) = fs::remove_file(with_suffix(&self.path, ".lock")) {
            tracing::debug!(%error, "the lock of a working copy stays");
        }
    }
}

/// Takes the bytes of `from` to `to`, where nothing may be: complete and synced or not at all. Returns how many.
fn carry(from: &Path, to: &Path) -> Result<u64, BackupError> {
    let io = |during| move |source| BackupError::Io { during, source };
    let part = with_suffix(to, ".part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(BackupError::Io { during: "removing what an interrupted backup left", source: error });
        }
        _ => {}
    }
    let mut out =
        File::options().write(true).create_new(true).mode(0o600).open(&part).map_err(io("making the backup"))?;
    let written = copy_bytes(from, &mut out).and_then(|written| out.sync_all().map(|()| written));
    drop(out);
    let named = written.map_err(io("writing the backup")).and_then(|(bytes, hash)| {
        let (_, again) = copy_bytes(&part, &mut io::sink()).map_err(io("reading the backup back"))?;
        if again != hash {
            return Err(BackupError::ReadBack);
        }
        name(&part, to)?;
        sync_folder(to)?;
        Ok(bytes)
    });
    if named.is_err() {
        // Half a backup is none.
        let _ = fs::remove_file(&part);
    }
    named
}

/// Gives the complete file its name, unless there is something of that name.
fn name(part: &Path, to: &Path) -> Result<(), BackupError> {
    let cwd = rustix::fs::CWD;
    match rustix::fs::renameat_with(cwd, part, cwd, to, rustix::fs::RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(BackupError::Exists(to.to_owned())),
        // Some network file systems cannot refuse to replace; a hard link never does.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let linked = fs::hard_link(part, to).and_then(|()| fs::remove_file(part));
            linked.map_err(|source| BackupError::Io { during: "naming the backup", source })
        }
        Err(errno) => Err(BackupError::Io { during: "naming the backup", source: errno.into() }),
    }
}

/// Copies a file's bytes; says how many they are, and their SHA-256.
pub(super) fn copy_bytes(from: &Path, to: &mut impl Write) -> io::Result<(u64, Vec<u8>)> {
    let (mut from, mut hash, mut bytes) = (File::open(from)?, Context::new(&SHA256), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hash.finish().as_ref().to_vec()));
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
}

/// What the copy is called while it is made.
const COPY: &str = ".backup-copy";
/// Read and written at a time.
const BUFFER_BYTES: usize = 1 << 20;
