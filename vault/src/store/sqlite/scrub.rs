//! Taking bytes that no row uses any more out of the file and its log.
//!
//! What is deleted is overwritten (`secure_delete`), but where SQLite lays a page out anew, the cells that it moves stay in
//! the page's free space as they were, and nothing that is done to them afterwards reaches there. So the file is written
//! anew, and the log emptied. Knows no rows.

use std::{path::Path, time::Duration};

use rusqlite::limits::Limit;

use super::{database, profile};
use crate::store::StoreError;

/// Writes the file anew and empties the log. Blocking; the caller has the turn to write.
///
/// # Errors
/// [`StoreError::Busy`] where a reader holds the log for as long as this waits: the bytes are still there, and it is to be
/// done again.
pub(super) fn scrub(path: &Path) -> Result<(), StoreError> {
    let db = |e| database("writing the file anew", &e);
    let conn = profile::connect(path, true)?;
    // The copy is a database of its own that SQLite attaches; a file, since memory would have to hold all of it.
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1).map_err(db)?;
    conn.pragma_update(None, "temp_store", "FILE").map_err(db)?;
    conn.execute_batch("VACUUM").map_err(db)?;
    conn.busy_timeout(PAUSE).map_err(db)?;
    for _ in 0..TRIES {
        let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(db)?;
        if busy == 0 {
            return Ok(());
        }
        // A checkpoint of another thread or process is waited for by nobody but us.
        std::thread::sleep(PAUSE);
    }
    Err(StoreError::Busy)
}

/// Readers take milliseconds, a checkpoint of a large log some seconds; workers wait meanwhile, so not for ever.
const TRIES: usize = 150;
/// Between two tries, and the wait for a reader within one.
const PAUSE: Duration = Duration::from_millis(100);
