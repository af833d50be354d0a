//! The order of those who wait, against a list in memory: whatever they ask, give back, give up and let pass.

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    HolderId, KeyBinder, ManualClock,
    store::{Changes, Hold, LeaseAsk, LeaseMode, Line, Saved, Taken},
};
use proptest::{collection::vec, prelude::*};

use crate::{conformance::keys, sqlite::make};

/// What somebody does, or what happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This one asks, for the first time or again.
    Ask(u8),
    /// This one gives up.
    Leave(u8),
    /// One of those who hold it gives it back.
    Release(usize),
    /// Milliseconds pass.
    Pass(u64),
}

/// What ought to be so.
#[derive(Default)]
struct Expected {
    now_ms: u64,
    /// Who waits, and until when.
    line: Vec<(u8, u64)>,
    holds: Vec<(u8, Hold)>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_happens_the_oldest_who_still_waits_is_the_next(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
        runtime.block_on(compare(&steps));
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..WAITERS).prop_map(Step::Ask),
        1 => (0..WAITERS).prop_map(Step::Leave),
        3 => any::<usize>().prop_map(Step::Release),
        2 => (1..WAIT_MS).prop_map(Step::Pass),
    ]
}

async fn compare(steps: &[Step]) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(0)));
    let store = make(dir.path(), Arc::new(KeyBinder::new(keys())), clock.clone());
    let mut expected = Expected::default();
    for step in steps {
        match *step {
            Step::Ask(n) => {
                let taken = store.take_lease(ask(n), vec![]).await.unwrap();
                let hold = match taken {
                    Taken::Granted { place, token, .. } => {
                        let ask = ask(n);
                        Some(Hold { resource: ask.resource, place, token, holder: ask.holder })
                    }
                    _ => None,
                };
                assert_eq!(hold.is_some(), expected.is_next(n), "{step:?} of {steps:?}: {taken:?}");
                if let Some(hold) = hold {
                    expected.holds.push((n, hold));
                }
            }
            Step::Leave(n) => {
                store.leave_line(ask(n).line.unwrap().id).await.unwrap();
                expected.line.retain(|(other, _)| *other != n);
            }
            Step::Release(which) if !expected.holds.is_empty() => {
                let (_, hold) = expected.holds.swap_remove(which % expected.holds.len());
                assert_eq!(store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
            }
            Step::Release(_) => {}
            Step::Pass(ms) => {
                clock.advance(Duration::from_millis(ms));
                expected.now_ms += ms;
            }
        }
    }
    assert_eq!(store.verify(Arc::new(()), Box::new(|_, _| ())).await.unwrap(), []);
    store.close().await.unwrap();
}

impl Expected {
    /// Whether this one gets it now; it stands in line from here on where it does not.
    fn is_next(&mut self, n: u8) -> bool {
        let now_ms = self.now_ms;
        self.line.retain(|(_, until_ms)| now_ms < *until_ms);
        let at = self.line.iter().position(|(other, _)| *other == n);
        let is_first = at.unwrap_or(self.line.len()) == 0;
        let has_room = match mode(n) {
            LeaseMode::Exclusive => self.holds.is_empty(),
            LeaseMode::Shared { at_most } => {
                let alone = self.holds.iter().any(|(other, _)| mode(*other) == LeaseMode::Exclusive);
                !alone && self.holds.len() < usize::from(at_most)
            }
        };
        match at {
            Some(at) if is_first && has_room => {
                self.line.remove(at);
            }
            None if !(is_first && has_room) => self.line.push((n, now_ms + WAIT_MS)),
            _ => {}
        }
        is_first && has_room
    }
}

fn ask(n: u8) -> LeaseAsk {
    LeaseAsk {
        resource: [7; 16].into(),
        holder: HolderId::from_bytes([n; 16]),
        // Longer than all that passes.
        ttl: Duration::from_secs(3600),
        quarantine: Duration::from_secs(3600),
        mode: mode(n),
        line: Some(Line { id: [n; 16], wait: Duration::from_millis(WAIT_MS) }),
    }
}

fn mode(n: u8) -> LeaseMode {
    LeaseMode::of(n % 3)
}

const WAITERS: u8 = 7;
const WAIT_MS: u64 = 1000;
