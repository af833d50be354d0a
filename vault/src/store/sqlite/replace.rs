//! Another file in the vault's place: what was there is kept aside, and its log is never played into the new one.
//!
//! Each step leaves something that opens, or that the same call completes. Knows no backup and no key.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{
    presence,
    profile::{parent, with_suffix},
    turn::Turns,
};
use crate::store::{FileError, StoreError};

/// Puts the closed and synced file `complete`, which lies beside the vault, in the vault's place; what was there is kept
/// under `aside`, which has to be free.
///
/// # Errors
/// [`FileError::InUse`] while a process uses the vault; [`StoreError::Io`]: then the vault is as it was, or without its
/// log, and the call can be repeated.
pub(crate) fn replace(path: &Path, complete: &Path, aside: &Path) -> Result<(), StoreError> {
    let io = |during| move |source| StoreError::Io { during, source };
    refuse_in_use(path)?;
    let turns = Turns::open(path)?;
    let _turn = turns.take()?;
    // Whoever came since has announced itself before it could wait for this turn.
    refuse_in_use(path)?;
    if fs::symlink_metadata(path).is_ok() {
        fs::hard_link(path, aside).map_err(io("keeping the present vault under another name"))?;
    }
    for suffix in ["-wal", "-journal"] {
        absent_is_fine(fs::rename(with_suffix(path, suffix), with_suffix(aside, suffix)))
            .map_err(io("moving the present vault's log aside"))?;
    }
    absent_is_fine(fs::remove_file(with_suffix(path, "-shm"))).map_err(io("removing the index of the log"))?;
    // Before the new file appears: SQLite would play whatever log lies beside it into it.
    sync_folder(path)?;
    fs::rename(complete, path).map_err(io("putting the new vault in its place"))?;
    sync_folder(path)
}

/// A free name for what was at `path`, ending in `what`.
pub(crate) fn free_name(path: &Path, what: &str) -> PathBuf {
    let first = with_suffix(path, what);
    let more = (2..NAMES_MAX).map(|no| with_suffix(path, &format!("{what}-{no}")));
    std::iter::once(first.clone()).chain(more).find(|name| fs::symlink_metadata(name).is_err()).unwrap_or(first)
}

/// Refuses a vault that a living process has open.
pub(crate) fn refuse_in_use(path: &Path) -> Result<(), StoreError> {
    if presence::is_used(path)? { Err(FileError::InUse.into()) } else { Ok(()) }
}

/// Removes a working copy beside the vault with everything that was beside it. Best effort: none of it is ever opened.
pub(crate) fn remove_copy(copy: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal", ".queue", ".hold"] {
        if let Err(error) = absent_is_fine(fs::remove_file(with_suffix(copy, suffix))) {
            tracing::debug!(%error, "what a copy left behind could not be removed");
        }
    }
}

/// Makes names in the file's folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { during: "syncing a folder", source };
    File::open(parent(path)).and_then(|folder| folder.sync_all()).map_err(io)
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Restores of one state that are kept side by side.
const NAMES_MAX: usize = 1000;
