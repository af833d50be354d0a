//! What the kernel says of this process in `/proc/self/status` (proc(5)). Changes nothing.

use std::fs;

/// The kernel's words on this process.
pub(super) struct Status(String);

impl Status {
    /// Reads them; none where there is no `/proc`.
    pub(super) fn read() -> Option<Self> {
        fs::read_to_string("/proc/self/status").ok().map(Self)
    }

    /// The file mode creation mask (since Linux 4.7).
    pub(super) fn umask(&self) -> Option<u32> {
        u32::from_str_radix(self.field("Umask")?, 8).ok()
    }

    /// Memory that is locked, in KiB.
    pub(super) fn locked_kib(&self) -> Option<u64> {
        self.field("VmLck")?.strip_suffix(" kB")?.parse().ok()
    }

    /// Whether memory may be locked without a limit.
    pub(super) fn may_lock_memory(&self) -> bool {
        let effective = self.field("CapEff").and_then(|set| u64::from_str_radix(set, 16).ok());
        effective.is_some_and(|set| set & (1 << CAP_IPC_LOCK) != 0)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }
}

/// The bit of the capability to lock memory (capabilities(7), linux/capability.h).
const CAP_IPC_LOCK: u32 = 14;

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn the_fields_are_read_in_their_spellings() {
        let status = |text: &str| Status(text.to_owned());
        let full = status("Name:\tx\nUmask:\t0077\nVmLck:\t      16 kB\nCapEff:\t0000000000004000\n");
        assert_eq!((full.umask(), full.locked_kib(), full.may_lock_memory()), (Some(0o077), Some(16), true));
        for text in ["", "Umask\t0077\nVmLck:\t16\nCapEff:\t0000000000008000\n"] {
            let other = status(text);
            assert_eq!((other.umask(), other.locked_kib(), other.may_lock_memory()), (None, None, false), "{text}");
        }
    }
}
