//! Moves committed pages from the write-ahead log into the file, beside the writer. Knows no rows.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::watch;

use super::profile;
use crate::store::{Head, StoreError};

/// The checkpointing thread.
pub(super) struct Checkpoints(Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>);

impl Checkpoints {
    /// Starts the thread; it does something only after commits.
    pub(super) fn start(path: PathBuf, mut head: watch::Receiver<Head>) -> Result<Self, StoreError> {
        let conn = profile::connect(&path, true)?;
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("vault-checkpoint".into())
            .spawn(move || {
                while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                    if !head.has_changed().unwrap_or(false) {
                        continue;
                    }
                    head.mark_unchanged();
                    // Passive: never waits for readers or the writer, and leaves the log at its size for reuse.
                    let moved = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                    if let Err(error) = moved {
                        tracing::warn!(%error, "the write-ahead log could not be moved into the file; trying later");
                    }
                }
            })
            .map_err(|source| StoreError::Io { during: "starting the checkpoint thread", source })?;
        Ok(Self(Mutex::new(Some((stop, thread)))))
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the vault's checkpoint thread had panicked");
            }
        }
    }
}

/// Short enough that a checkpoint stays small and p99 low, long enough to cost nothing.
const EVERY: Duration = Duration::from_millis(100);
