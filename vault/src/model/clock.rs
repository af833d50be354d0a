//! Time as an argument: the wall clock for what people read and the boot clock for leases. Knows no leases.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

/// A point on the boot clock: setting the wall clock does not move it, suspend does not stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootStamp {
    /// Which boot of which machine; stamps of different boots cannot be compared.
    pub boot_id: [u8; 16],
    /// Milliseconds since that boot.
    pub ms: u64,
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z, as the wall clock says.
    fn wall_ms(&self) -> i64;

    /// The boot clock.
    fn boot(&self) -> BootStamp;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot_id: [u8; 16],
}

impl SystemClock {
    /// Reads which boot this is.
    ///
    /// # Errors
    /// The error of reading `/proc/sys/kernel/random/boot_id` (Linux, proc(5)), or `InvalidData` when it is no UUID.
    pub fn new() -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let hex: String = text.trim().chars().filter(|c| *c != '-').collect();
        let boot_id = data_encoding::HEXLOWER_PERMISSIVE
            .decode(hex.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "boot_id is not a UUID"))?;
        Ok(Self { boot_id })
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn boot(&self) -> BootStamp {
        let now = clock_gettime(ClockId::Boottime);
        let ms = now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000;
        BootStamp { boot_id: self.boot_id, ms }
    }
}

/// A clock that moves only when told to, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(Mutex<(i64, BootStamp)>);

impl ManualClock {
    /// A clock that starts at `wall_ms` (Unix milliseconds) and one hour after boot.
    #[must_use]
    pub fn new(wall_ms: i64) -> Self {
        Self(Mutex::new((wall_ms, BootStamp { boot_id: [1; 16], ms: 3_600_000 })))
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 = now.0.saturating_add_unsigned(ms);
        now.1.ms = now.1.ms.saturating_add(ms);
    }

    /// Sets the wall clock alone, as a person would.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = wall_ms;
    }

    /// Starts the machine anew: another boot id, the boot clock back near zero.
    pub fn reboot(&self) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.1.boot_id[0] = now.1.boot_id[0].wrapping_add(1);
        now.1.ms = 10_000;
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn boot(&self) -> BootStamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_machines_clocks_say_what_the_system_says() {
        let clock = SystemClock::new().unwrap();
        let wall = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        let (before, said, after) = (wall(), clock.wall_ms(), wall());
        assert!((before..=after).contains(&said), "{before} {said} {after}");

        let boot = || Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap().as_millis();
        let (before, said, after) = (boot(), clock.boot(), boot());
        assert!((before..=after).contains(&said.ms.into()), "{before} {said:?} {after}");

        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().replace('-', "");
        assert_eq!(data_encoding::HEXLOWER.encode(&said.boot_id), id.trim());
    }

    #[test]
    fn a_clock_by_hand_moves_as_it_is_told_and_not_else() {
        let clock = ManualClock::new(5_000);
        let start = clock.boot();
        assert_eq!((clock.wall_ms(), start.ms), (5_000, 3_600_000));

        clock.advance(Duration::from_millis(7));
        assert_eq!((clock.wall_ms(), clock.boot()), (5_007, BootStamp { ms: 3_600_007, ..start }));

        clock.set_wall_ms(-3);
        assert_eq!((clock.wall_ms(), clock.boot()), (-3, BootStamp { ms: 3_600_007, ..start }));

        clock.reboot();
        assert_eq!(clock.wall_ms(), -3);
        assert!(clock.boot().boot_id != start.boot_id && clock.boot().ms < start.ms);
    }
}
