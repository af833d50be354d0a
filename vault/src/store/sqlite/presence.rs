//! Which processes are alive: each holds a lock on a file of its own beside the vault for as long as it lives.
//!
//! The kernel drops the lock with the process, however it ends, so a lease of a killed process need not wait for its
//! time to live. Only a file that is there and not locked says "dead": a missing one says nothing. Knows no leases.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::profile::parent;
use crate::{model::HolderId, store::StoreError};

/// This process's own lock, and the look at others'.
pub(super) struct Presence {
    id: HolderId,
    vault: PathBuf,
    /// Locked while this lives.
    _lock: File,
}

impl Presence {
    /// Makes and locks this process's file; takes away what processes left that died long ago.
    pub(super) fn announce(vault: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { during: "announcing this process beside the vault", source };
        let id = HolderId::generate().map_err(|_| io(std::io::Error::other("no randomness")))?;
        let lock = open(&path_of(vault, id), true).map_err(io)?;
        lock.lock().map_err(io)?;
        sweep(vault);
        Ok(Self { id, vault: vault.to_owned(), _lock: lock })
    }

    pub(super) fn id(&self) -> HolderId {
        self.id
    }

    /// Takes this process's file away: leases that are still out keep their time to live, since without the file nobody
    /// calls the process dead.
    pub(super) fn leave(&self) {
        match fs::remove_file(path_of(&self.vault, self.id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::debug!(%error, "the file that announced this process could not be removed");
            }
            _ => {}
        }
    }

    /// Whether the process that took leases under `holder` has ended without giving them back.
    pub(super) fn is_dead(&self, holder: HolderId) -> bool {
        holder != self.id && open(&path_of(&self.vault, holder), false).is_ok_and(|file| file.try_lock().is_ok())
    }
}

/// Whether a living process has announced itself at this vault.
pub(super) fn is_used(vault: &Path) -> Result<bool, StoreError> {
    let io = |source| StoreError::Io { during: "looking who uses the vault", source };
    let Some(start) = vault.file_name().and_then(|name| name.to_str()).map(|name| format!("{name}.")) else {
        return Ok(false);
    };
    let entries = match fs::read_dir(parent(vault)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(io)?,
    };
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(&start)).and_then(|rest| rest.strip_suffix(SUFFIX));
        // A name with more dots in it is of a file beside this one.
        if id.is_some_and(|id| !id.contains('.'))
            && open(&parent(vault).join(&name), false).is_ok_and(|file| file.try_lock().is_err())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.leave();
    }
}

fn path_of(vault: &Path, id: HolderId) -> PathBuf {
    super::profile::with_suffix(vault, &format!(".{id}{SUFFIX}"))
}

fn open(path: &Path, create: bool) -> std::io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create_new(create)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// Removes the files of dead processes once no lease can name them any more. Best effort: they are empty.
fn sweep(vault: &Path) {
    let Ok(entries) = fs::read_dir(parent(vault)) else { return };
    for entry in entries.flatten().take(SWEEP_MAX) {
        let path = entry.path();
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > FORGET_AFTER));
        let ours = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
        if ours && old && open(&path, false).is_ok_and(|file| file.try_lock().is_ok()) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => tracing::debug!(%error, "an old file stays"),
                _ => {}
            }
        }
    }
}

/// What the files' names end in.
const SUFFIX: &str = ".alive";
/// Longer than any lease with its quarantine.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Entries of the folder that one sweep looks at.
const SWEEP_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{HolderId, Presence, is_used, open, path_of};

    #[test]
    fn a_vault_is_used_while_a_process_lives_that_announced_itself_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, other) = (folder.path().join("vault.db"), folder.path().join("vault.db.copy"));
        assert!(!is_used(&vault).unwrap() && !is_used(&folder.path().join("none/vault.db")).unwrap());
        drop(open(&path_of(&vault, HolderId::from_bytes([7; 16])), true).unwrap());
        let beside = Presence::announce(&other).unwrap();
        assert!(!is_used(&vault).unwrap(), "one is dead, one is at another file");
        assert!(is_used(&other).unwrap());
        let me = Presence::announce(&vault).unwrap();
        assert!(is_used(&vault).unwrap());
        drop((me, beside));
        assert!(!is_used(&vault).unwrap() && !is_used(&other).unwrap());
    }

    #[test]
    fn only_a_file_that_is_there_and_not_locked_says_dead() {
        let folder = tempfile::tempdir().unwrap();
        let vault = folder.path().join("vault.db");
        let (me, other) = (Presence::announce(&vault).unwrap(), Presence::announce(&vault).unwrap());
        assert!(!me.is_dead(me.id()) && !me.is_dead(other.id()), "both live");
        assert!(!me.is_dead(HolderId::from_bytes([9; 16])), "never announced");
        let killed = HolderId::from_bytes([7; 16]);
        drop(open(&path_of(&vault, killed), true).unwrap());
        assert!(me.is_dead(killed), "its lock went with it");
        let gone = other.id();
        drop(other);
        assert!(!me.is_dead(gone), "it ended in good order");
    }
}
