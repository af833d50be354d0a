//! A consistent copy of the file while others write to it, page by page from one snapshot.
//!
//! Readers of a write-ahead log hold up no writer; what is committed meanwhile is not in the copy. Knows no key slot and
//! no place where copies are kept.

use std::path::Path;

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};

use super::{database, known::Known, profile, snapshot};
use crate::store::{Binder, Head, Progress, StoreError};

/// Copies what `conn` sees now into the empty private file `to`.
pub(super) fn copy(conn: &Connection, binder: &dyn Binder, to: &Path, progress: &Progress) -> Result<Head, StoreError> {
    let db = |e| database("copying the vault", &e);
    snapshot(conn, |conn| {
        // The first read fixes the state; without it each step would see a newer one, and the copy begin again.
        let head = Known::load(conn, binder)?.head;
        let mut there = profile::connect(to, true)?;
        let backup = Backup::new(conn, &mut there).map_err(db)?;
        loop {
            let step = backup.step(PAGES).map_err(db)?;
            let pages = backup.progress();
            let all = u64::try_from(pages.pagecount).unwrap_or(0);
            progress(all.saturating_sub(u64::try_from(pages.remaining).unwrap_or(0)), all);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else has the new file.
                _ => {
                    return Err(StoreError::Database { during: "copying the vault", code: rusqlite::ffi::SQLITE_BUSY });
                }
            }
        }
        drop(backup);
        there.close().map_err(|(_, e)| db(e))?;
        Ok(head)
    })
}

/// Pages in one step: 4 MiB, so that progress shows and a stop is heard.
const PAGES: i32 = 1024;
