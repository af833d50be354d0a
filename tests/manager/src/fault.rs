//! Faults on demand: which calls are spoiled, how, how often and with what probability.
//!
//! Deliberately knows nothing of HTTP: `answer` carries a fault out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{MAX_FAULTS, MAX_HUGE_BYTES, MAX_SLOW};
use crate::words::Route;

/// On which side of the manager's work a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Nothing is read or changed (after a delay, the call goes on).
    Before,
    /// The work is done in full, only its answer suffers.
    After,
}

/// What happens instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The connection is closed without a byte of an answer.
    Close,
    /// A failure with this status (200 to 599).
    Status {
        /// The HTTP status; a 2xx carries `"success": false`, which is a failure too.
        status: u16,
        /// Seconds for `Retry-After`, where it is to be sent.
        #[serde(default)]
        retry_after_s: Option<u32>,
    },
    /// The answer waits; it is then the usual one. A client that hangs up in a wait before the work
    /// has had nothing done.
    Slow {
        /// Milliseconds, at most ten minutes.
        ms: u64,
    },
    /// A whole HTTP answer with the usual status, whose JSON ends in the middle.
    TruncatedJson,
    /// An HTTP answer that promises its whole length and is cut in the middle by a closed connection.
    CutBody,
    /// An HTML page with status 200, as gateways and login walls send.
    Html,
    /// A body of blanks with status 200.
    Huge {
        /// Its length in bytes, at most 16 GiB; it is streamed.
        bytes: u64,
    },
    /// The answer to a wrong key, although the key is right.
    WrongKey,
}

/// A fault and the calls that it strikes: by default the next call, whichever it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    when: When,
    kind: FaultKind,
    #[serde(default)]
    route: Option<Route>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default = "once")]
    times: u32,
    #[serde(default = "always")]
    probability: f64,
}

impl Fault {
    /// Strikes before the work.
    #[must_use]
    pub fn before(kind: FaultKind) -> Self {
        Self { when: When::Before, kind, route: None, id: None, times: once(), probability: always() }
    }

    /// Strikes after the work.
    #[must_use]
    pub fn after(kind: FaultKind) -> Self {
        Self { when: When::After, ..Self::before(kind) }
    }

    /// Strikes this call only.
    #[must_use]
    pub fn on(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// Strikes calls with this task or account in their path only.
    #[must_use]
    pub fn of(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Strikes so many times, at least once; `u32::MAX` is for ever.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Strikes a matching call with this probability, 0 to 1; a call that is spared does not count.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    fn check(&self) -> Result<(), FaultError> {
        if self.times == 0 {
            return Err(FaultError::Times);
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(FaultError::Probability);
        }
        match self.kind {
            FaultKind::Status { status, .. } if !(200..600).contains(&status) => Err(FaultError::Status(status)),
            FaultKind::Slow { ms } if Duration::from_millis(ms) > MAX_SLOW => Err(FaultError::Slow(ms)),
            FaultKind::Huge { bytes } if bytes > MAX_HUGE_BYTES => Err(FaultError::Huge(bytes)),
            _ => Ok(()),
        }
    }

    fn matches(&self, route: Route, id: &str) -> bool {
        self.route.is_none_or(|own| own == route) && self.id.as_deref().is_none_or(|own| own == id)
    }
}

/// A fault that struck, as the ledger keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Injected {
    /// On which side of the work.
    pub when: When,
    /// What happened.
    pub kind: FaultKind,
}

/// Why a fault was not taken; the faults that wait are as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FaultError {
    /// It would never strike.
    #[error("a fault strikes at least once")]
    Times,
    /// Not a probability.
    #[error("a probability lies between 0 and 1")]
    Probability,
    /// Not a status that a fault can answer with.
    #[error("status {0} is not between 200 and 599")]
    Status(u16),
    /// Too long a wait, in milliseconds.
    #[error("a delay of {0} ms is longer than {max} ms", max = MAX_SLOW.as_millis())]
    Slow(u64),
    /// Too large a body, in bytes.
    #[error("a body of {0} bytes is larger than {MAX_HUGE_BYTES} bytes")]
    Huge(u64),
    /// Too many at once.
    #[error("{MAX_FAULTS} faults wait already")]
    TooMany,
}

/// The faults that wait, and the dice.
pub(crate) struct Faults {
    waiting: Vec<Fault>,
    dice: fastrand::Rng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { waiting: Vec::new(), dice: fastrand::Rng::with_seed(seed) }
    }

    pub(crate) fn add(&mut self, fault: Fault) -> Result<(), FaultError> {
        fault.check()?;
        if self.waiting.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        self.waiting.push(fault);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn waiting(&self) -> &[Fault] {
        &self.waiting
    }

    /// The first waiting fault that strikes this call; it is used up by one.
    pub(crate) fn strike(&mut self, route: Route, id: &str) -> Option<Injected> {
        let dice = &mut self.dice;
        // The dice are thrown for matching faults only, so that equal seeds and calls fail equally.
        let hit = self.waiting.iter().position(|fault| fault.matches(route, id) && dice.f64() < fault.probability)?;
        let fault = self.waiting.get_mut(hit)?;
        let injected = Injected { when: fault.when, kind: fault.kind };
        if fault.times != u32::MAX {
            fault.times -= 1;
        }
        if fault.times == 0 {
            self.waiting.remove(hit);
        }
        Some(injected)
    }
}

fn once() -> u32 {
    1
}

fn always() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn hits(faults: &mut Faults, route: Route, id: &str, calls: usize) -> usize {
        (0..calls).filter(|_| faults.strike(route, id).is_some()).count()
    }

    #[test]
    fn a_fault_strikes_its_calls_only_and_so_often_only() {
        let mut faults = Faults::new(0);
        faults.add(Fault::before(FaultKind::Close).on(Route::Start).of("t1").times(2)).unwrap();
        assert_eq!(hits(&mut faults, Route::Complete, "t1", 5), 0);
        assert_eq!(hits(&mut faults, Route::Start, "t2", 5), 0);
        assert_eq!(hits(&mut faults, Route::Start, "t1", 5), 2);
        assert!(faults.waiting().is_empty());
    }

    #[test]
    fn a_fault_for_ever_is_never_used_up_until_it_is_cleared() {
        let mut faults = Faults::new(0);
        faults.add(Fault::after(FaultKind::Html).times(u32::MAX)).unwrap();
        assert_eq!(hits(&mut faults, Route::List, "", 1_000), 1_000);
        faults.clear();
        assert_eq!(hits(&mut faults, Route::List, "", 10), 0);
    }

    #[test]
    fn equal_seeds_strike_the_same_calls_and_others_do_not() {
        let pattern = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(Fault::before(FaultKind::Close).times(u32::MAX).probability(0.5)).unwrap();
            (0..64).map(|_| faults.strike(Route::List, "").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(pattern(7), pattern(7));
        assert_ne!(pattern(7), pattern(8));
        assert!(pattern(7).contains(&true) && pattern(7).contains(&false));
    }

    #[test]
    fn faults_out_of_bounds_are_refused() {
        fn check(fault: Fault, expected: Result<(), FaultError>) {
            assert_eq!(Faults::new(0).add(fault), expected);
        }
        let status = |status| Fault::before(FaultKind::Status { status, retry_after_s: None });
        check(status(199), Err(FaultError::Status(199)));
        check(status(200), Ok(()));
        check(status(599), Ok(()));
        check(status(600), Err(FaultError::Status(600)));
        check(Fault::before(FaultKind::Close).times(0), Err(FaultError::Times));
        check(Fault::before(FaultKind::Close).probability(0.0), Ok(()));
        check(Fault::before(FaultKind::Close).probability(1.5), Err(FaultError::Probability));
        check(Fault::before(FaultKind::Close).probability(f64::NAN), Err(FaultError::Probability));
        check(Fault::before(FaultKind::Slow { ms: 600_000 }), Ok(()));
        check(Fault::before(FaultKind::Slow { ms: 600_001 }), Err(FaultError::Slow(600_001)));
        check(Fault::before(FaultKind::Huge { bytes: MAX_HUGE_BYTES }), Ok(()));
        check(Fault::before(FaultKind::Huge { bytes: MAX_HUGE_BYTES + 1 }), Err(FaultError::Huge(MAX_HUGE_BYTES + 1)));
    }

    #[test]
    fn more_faults_than_the_bound_are_refused() {
        let mut faults = Faults::new(0);
        for _ in 0..MAX_FAULTS {
            faults.add(Fault::before(FaultKind::Close)).unwrap();
        }
        assert_eq!(faults.add(Fault::before(FaultKind::Close)), Err(FaultError::TooMany));
    }
}
