//! Checks of process, memory and clock.

use std::{fs, path::Path};

use latchkey_worker::{
    process::{self, Hygiene},
    settings::Settings,
};

use super::Check;
use crate::time::{rfc3339, span};

/// All of them.
pub(super) fn checks(now_ms: i64, settings: &Settings) -> Vec<Check> {
    let mut checks = process();
    checks.push(clock(now_ms, settings));
    checks
}

/// What the process and its memory are closed against, as the kernel says of this very process.
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
    let umask = match now.private_umask {
        Some(true) => Check::ok("umask", "what it makes is closed to group and others"),
        Some(false) => Check::fail("umask", "what it makes may be read by others", "allow umask(2) in its sandbox"),
        None => Check::warn("umask", "the kernel does not tell it", "mount /proc for this process"),
    };
    vec![core, dumpable, umask, locked(&now), tracing(), swap(now.locked)]
}

/// Memory that is locked never reaches the swap.
fn locked(now: &Hygiene) -> Check {
    match (now.locked, now.lockable_bytes) {
        (true, _) => Check::ok("memory lock", "all memory of this process is locked"),
        (false, None) => {
            let mend = "allow mlockall(2) in the sandbox that it runs in";
            Check::warn("memory lock", "no limit, and yet the kernel refused to lock memory", mend)
        }
        (false, Some(bytes)) => {
            let detail =
                format!("not locked: {} KiB may be, and under a limit every allocation could fail", bytes / 1024);
            let mend = "LimitMEMLOCK=infinity in the unit, or `ulimit -l unlimited`; or do without swap, or encrypt it";
            Check::warn("memory lock", detail, mend)
        }
    }
}

/// Who else of this machine could trace processes that are less closed than this one (Yama, since Linux 3.4).
fn tracing() -> Check {
    let mend = "sysctl kernel.yama.ptrace_scope=1, or more";
    match fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").map(|scope| scope.trim().to_owned()) {
        Ok(scope) if scope == "0" => Check::warn(
            "ptrace",
            "the kernel lets a user's processes trace one another; this one is closed by itself",
            mend,
        ),
        Ok(scope) => Check::ok("ptrace", format!("restricted by the kernel (ptrace_scope {scope})")),
        Err(_) => Check::ok("ptrace", "no Yama in this kernel; this process is closed by itself"),
    }
}

/// Secrets that are not locked into memory may reach the swap.
fn swap(locked: bool) -> Check {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let open: Vec<_> = devices(&swaps).filter(|device| !in_memory(device) && !encrypted(device)).collect();
    if devices(&swaps).next().is_none() {
        return Check::ok("swap", "none");
    }
    if open.is_empty() {
        return Check::ok("swap", "in memory (zram) or encrypted (dm-crypt)");
    }
    let detail = format!("{} is not known to be encrypted", open.join(", "));
    if locked {
        return Check::ok("swap", format!("{detail}; this process is locked into memory"));
    }
    let mend = "encrypt the swap (dm-crypt with a random key), turn it off, or set MemorySwapMax=0 in the unit";
    Check::warn("swap", format!("{detail}, and secrets may reach it"), mend)
}

/// The devices and files of the table; its first line is its head (proc(5)).
fn devices(swaps: &str) -> impl Iterator<Item = &str> {
    swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next())
}

fn in_memory(device: &str) -> bool {
    device.starts_with("/dev/zram")
}

/// Whether a device is of dm-crypt: its name, followed to the kernel's, says so. A file's disk is not known here.
fn encrypted(device: &str) -> bool {
    let Ok(path) = fs::canonicalize(device) else { return false };
    let Some(name) = path.file_name().filter(|_| path.starts_with("/dev")) else { return false };
    let uuid = Path::new("/sys/block").join(name).join("dm/uuid");
    fs::read_to_string(uuid).is_ok_and(|uuid| uuid.starts_with("CRYPT-"))
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

#[cfg(test)]
mod tests {
    use latchkey_worker::process::Hygiene;

    use super::{devices, in_memory, locked};
    use crate::commands::doctor::Status;

    #[test]
    fn the_table_of_swaps_is_read_behind_its_head() {
        let table = "Filename\tType\tSize\n/dev/zram0 partition 1\n/swap file 2\n";
        assert_eq!(devices(table).collect::<Vec<_>>(), ["/dev/zram0", "/swap"]);
        assert_eq!(devices(table).map(in_memory).collect::<Vec<_>>(), [true, false]);
        assert_eq!(devices("Filename\n").count() + devices("").count(), 0);
    }

    #[test]
    fn memory_that_is_not_locked_is_a_warning_that_says_how_to_allow_it() {
        let of = |locked, lockable_bytes| Hygiene {
            no_core_file: true,
            not_dumpable: true,
            private_umask: Some(true),
            locked,
            lockable_bytes,
        };
        for (now, status, mend) in [
            (of(true, None), Status::Ok, ""),
            (of(false, Some(8192)), Status::Warn, "LimitMEMLOCK=infinity"),
            (of(false, None), Status::Warn, "mlockall"),
        ] {
            let check = locked(&now);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.mend.contains(mend), "{check:?}");
        }
    }
}
