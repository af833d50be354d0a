//! Checks of process, memory and clock.

use std::{fs, path::Path};

use latchkey_worker::{process, settings::Settings};

use super::Check;
use crate::time::{rfc3339, span};

/// All of them.
pub(super) fn checks(now_ms: i64, settings: &Settings) -> Vec<Check> {
    let mut checks = process();
    checks.push(clock(now_ms, settings));
    checks
}

/// What the process and its memory are closed against.
pub(super) fn process() -> Vec<Check> {
    let now = process::hygiene();
    let core = if now.no_core_file {
        Check::ok("core dumps", "off")
    } else {
        Check::fail(
            "core dumps",
            "the limit could not be set to 0",
            "start it with `ulimit -c 0`, or LimitCORE=0 in the unit",
        )
    };
    let dumpable = if now.not_dumpable {
        Check::ok("memory access", "other processes of this user cannot read this one's memory")
    } else {
        let mend = "allow prctl(PR_SET_DUMPABLE) in the sandbox that it runs in";
        Check::fail("memory access", "the process is dumpable: others of this user may read its memory", mend)
    };
    vec![core, dumpable, swap(now.lockable_bytes)]
}

/// Secrets that are not locked into memory may reach the swap.
fn swap(lockable_bytes: Option<u64>) -> Check {
    let lockable = lockable_bytes.map_or_else(|| "no limit".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    // The first line is the table's head (proc(5)).
    let used: Vec<_> = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    if used.is_empty() {
        return Check::ok("swap", format!("none; memory that may be locked: {lockable}"));
    }
    let only_memory = used.iter().all(|swap| swap.contains("/zram"));
    if only_memory {
        return Check::ok("swap", format!("in memory only (zram); memory that may be locked: {lockable}"));
    }
    let mend = "encrypt the swap (dm-crypt with a random key), turn it off, or set MemorySwapMax=0 in the unit";
    Check::warn("swap", format!("there is swap, secrets may reach it; memory that may be locked: {lockable}"), mend)
}

/// The clock against times that it cannot lie before.
fn clock(now_ms: i64, settings: &Settings) -> Check {
    let mend = "set the clock and let it be kept by NTP: one-time codes and pauses depend on it";
    if now_ms < BUILT_AFTER_MS {
        return Check::fail("clock", format!("{} lies before this program was made", rfc3339(now_ms)), mend);
    }
    let ahead_ms = written_ms(&settings.vault.file).map_or(0, |written_ms| written_ms - now_ms);
    if ahead_ms > SKEW_MAX_MS {
        let ahead = span(ahead_ms.unsigned_abs());
        return Check::warn("clock", format!("the vault was written {ahead} ahead of now: it was set back"), mend);
    }
    Check::ok("clock", rfc3339(now_ms))
}

fn written_ms(path: &Path) -> Option<i64> {
    let written = path.metadata().ok()?.modified().ok()?;
    i64::try_from(written.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// 2026-11-01T00:00:00Z: the month in which this was written.
const BUILT_AFTER_MS: i64 = 1_793_491_200_000;
/// File systems round times, and NTP steps a clock by little.
const SKEW_MAX_MS: i64 = 60_000;
