//! Sides that run in turns, and what is said of their times. Knows no vault.
//!
//! A machine has neighbours: they come for a moment and slow down whoever runs. So the sides alternate in slices of a few
//! milliseconds, and what is compared are medians over many slices, each of which was short enough to be hit as a whole
//! or not at all.

use std::time::{Duration, Instant};

/// The times of one side, by slices.
#[derive(Debug, Default)]
pub(super) struct Times {
    slices: Vec<Slice>,
}

#[derive(Debug)]
struct Slice {
    p50: f64,
    p99: f64,
}

impl Times {
    /// Takes up one slice: the time of each operation of it.
    pub(super) fn add(&mut self, mut slice: Vec<Duration>) {
        slice.sort_unstable();
        self.slices.push(Slice { p50: micros(at(&slice, 0.5)), p99: micros(at(&slice, 0.99)) });
    }

    /// The median operation in microseconds: the median of the slices' medians.
    pub(super) fn p50(&self) -> f64 {
        median(self.slices.iter().map(|slice| slice.p50))
    }

    /// The 99th percentile in microseconds: the median of the slices' 99th percentiles.
    pub(super) fn p99(&self) -> f64 {
        median(self.slices.iter().map(|slice| slice.p99))
    }
}

/// The time that one call takes, and what it gives.
pub(super) fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let value = run();
    (started.elapsed(), value)
}

/// The median of some numbers; 0 of none.
pub(super) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

/// A duration in microseconds.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How many of `whole` an effort asks for, but never fewer than `least`.
pub(super) fn scaled(whole: u32, effort: f64, least: u32) -> u32 {
    // In range: efforts are from 0 to 1.
    ((f64::from(whole) * effort) as u32).max(least)
}

fn at(sorted: &[Duration], part: f64) -> Duration {
    // In range: slices have thousands of operations at most.
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Times, median, scaled};

    #[test]
    fn a_slice_that_was_disturbed_does_not_count() {
        let mut times = Times::default();
        for factor in [1, 1, 100, 1, 1] {
            times.add((0..1000).map(|n| Duration::from_micros(n * factor)).collect());
        }
        assert_eq!((times.p50(), times.p99()), (500.0, 990.0));
        assert_eq!(Times::default().p99(), 0.0);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!((scaled(100, 0.3, 5), scaled(100, 0.0, 5)), (30, 5));
    }
}
