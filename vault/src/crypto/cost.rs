//! How much work a passphrase costs. Knows no slot.

use std::time::{Duration, Instant};

use age::secrecy::SecretString;

/// The work factor of scrypt as log2 of N, within the bounds of this program (r = 8, p = 1, as age fixes them).
///
/// Memory is 2^n KiB: 32 MiB at the floor, 1 GiB at the ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScryptCost(u8);

impl ScryptCost {
    /// 2^15, 32 MiB: for machines with little memory. Below it nothing is written and nothing is unlocked.
    pub const FLOOR: Self = Self(15);
    /// 2^17, as OWASP's password storage cheat sheet asks for; 0.44 s on the machine of 2026-11-22.
    pub const DEFAULT: Self = Self(17);
    /// 2^20: 1 GiB and a few seconds, the most that a hostile slot may make an unlock spend.
    pub const CEILING: Self = Self(20);

    /// The cost of this log2 of N, where it lies between floor and ceiling.
    #[must_use]
    pub fn new(log2_n: u8) -> Option<Self> {
        (Self::FLOOR.0..=Self::CEILING.0).contains(&log2_n).then_some(Self(log2_n))
    }

    /// log2 of N, from 15 to 20.
    #[must_use]
    pub const fn log2_n(self) -> u8 {
        self.0
    }

    /// The least cost that takes this machine at least `target_ms`, measured by one run at the floor (about 0.1 s).
    #[must_use]
    pub fn measured(target_ms: u64) -> Self {
        let mut probe = age::scrypt::Recipient::new(SecretString::default());
        probe.set_work_factor(Self::FLOOR.0);
        let start = Instant::now();
        // Only the time counts; a run that fails took none, and gets the ceiling.
        let _ = age::encrypt(&probe, &[]);
        Self::scaled(start.elapsed(), Duration::from_millis(target_ms))
    }

    /// The cost that takes `target` where the floor takes `floor`: each step doubles the time.
    fn scaled(floor: Duration, target: Duration) -> Self {
        let mut cost = Self::FLOOR;
        let mut time = floor;
        while time < target && cost < Self::CEILING {
            cost.0 += 1;
            time *= 2;
        }
        cost
    }
}

impl Default for ScryptCost {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ScryptCost;

    #[test]
    fn a_cost_lies_between_floor_and_ceiling() {
        for (log2_n, allowed) in [(0, false), (1, false), (14, false), (15, true), (20, true), (21, false), (63, false)]
        {
            assert_eq!(ScryptCost::new(log2_n).map(ScryptCost::log2_n), allowed.then_some(log2_n), "{log2_n}");
        }
    }

    #[test]
    fn a_measured_cost_doubles_until_it_takes_the_target_and_stays_within_its_bounds() {
        for (floor_ms, target_ms, log2_n) in
            [(100, 50, 15), (100, 100, 15), (100, 101, 16), (100, 800, 18), (100, 900_000, 20), (0, 1000, 20)]
        {
            let cost = ScryptCost::scaled(Duration::from_millis(floor_ms), Duration::from_millis(target_ms));
            assert_eq!(cost.log2_n(), log2_n, "{floor_ms} {target_ms}");
        }
    }

    #[test]
    fn a_target_that_every_machine_meets_costs_the_floor_and_one_that_none_does_the_ceiling() {
        assert_eq!(ScryptCost::measured(0), ScryptCost::FLOOR);
        assert_eq!(ScryptCost::measured(u64::MAX), ScryptCost::CEILING);
    }
}
