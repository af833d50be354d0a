//! What time the site thinks it is.
//!
//! It does not know what the time is used for: session lifetimes, one-time codes and the `Date`
//! header all ask the same clock, so that a test which moves it moves all three.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of the present moment.
pub trait Clock: Send + Sync + 'static {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    fn now_unix_s(&self) -> u64;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A clock that stands still until it is moved; clones share the same hands.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now_unix_s: Arc<AtomicU64>,
}

impl Clock for SystemClock {
    fn now_unix_s(&self) -> u64 {
        // A machine set to before 1970 reads as 1970, not as a crash.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

impl ManualClock {
    /// A clock that shows `unix_s` seconds since 1970.
    #[must_use]
    pub fn at(unix_s: u64) -> Self {
        Self { now_unix_s: Arc::new(AtomicU64::new(unix_s)) }
    }

    /// Moves the clock forward by `seconds`.
    pub fn advance(&self, seconds: u64) {
        self.now_unix_s.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, unix_s: u64) {
        self.now_unix_s.store(unix_s, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_unix_s(&self) -> u64 {
        self.now_unix_s.load(Ordering::SeqCst)
    }
}
