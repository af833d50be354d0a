//! Processes that write to one file take turns: a queue lock, then a hold lock.
//!
//! SQLite's own busy handler polls and starves; two blocking locks on open files wake the next waiter, and a killed
//! process loses its locks with its descriptors. Knows nothing of what is written during a turn.

use std::{fs::File, os::unix::fs::OpenOptionsExt, path::Path};

use super::profile::with_suffix;
use crate::store::StoreError;

/// The two locks of one vault file.
pub(super) struct Turns {
    queue: File,
    hold: File,
}

/// A turn in hand; ends when dropped.
pub(super) struct Turn<'a>(&'a File);

impl Turns {
    /// Opens (makes, if need be) the lock files beside the vault.
    pub(super) fn open(vault: &Path) -> Result<Self, StoreError> {
        let open = |suffix| {
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
                .open(with_suffix(vault, suffix))
                .map_err(|source| StoreError::Io { during: "opening the lock files", source })
        };
        Ok(Self { queue: open(".queue")?, hold: open(".hold")? })
    }

    /// Waits for the turn. Blocking: called on the writer's own thread.
    pub(super) fn take(&self) -> Result<Turn<'_>, StoreError> {
        let io = |source| StoreError::Io { during: "waiting for the turn to write", source };
        // Whoever stands at the head of the queue waits for the hold alone; the others wait for the queue.
        self.queue.lock().map_err(io)?;
        let held = self.hold.lock().map_err(io);
        let left = self.queue.unlock().map_err(io);
        held?;
        let turn = Turn(&self.hold);
        left?;
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::error!(%error, "the turn to write could not be given up");
        }
    }
}
