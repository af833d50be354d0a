//! For tests: a process that ends, as by `kill -9`, at a chosen instruction of SQLite's. Not part of any build but theirs.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

static SEEN: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Lets this process live for so many instructions more.
pub(crate) fn arm(instructions: u64) {
    SEEN.store(0, Ordering::SeqCst);
    LAST.store(instructions, Ordering::SeqCst);
}

/// Instructions since [`arm`].
pub(crate) fn seen() -> u64 {
    SEEN.load(Ordering::SeqCst)
}

pub(super) fn watch(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.progress_handler(
        1,
        Some(|| {
            if SEEN.fetch_add(1, Ordering::SeqCst) == LAST.load(Ordering::SeqCst) {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            }
            false
        }),
    )
}
