//! What has to hold in every state of the protocol, that it is not empty talk, and that each defence is needed.
//!
//! Knows the counters of a state, not the steps that lead to it.

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::{
    protocol::{Broken, Protocol},
    state::{At, Owed, State},
};

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(OVERLAP, |_, state: &State| !state.seen.overlap),
        Property::always(LOGINS, |_, state: &State| state.seen.logins <= state.seen.expiries + state.seen.ambiguous),
        Property::always(STEPS, |_, state: &State| state.seen.replays == 0),
        Property::always(COOKIES, |_, state: &State| !state.seen.lost_cookie),
        Property::always(OWED, |_, state: &State| {
            reports(state).all(|(committed, owed, received)| !committed || owed != Owed::Nothing || received > 0)
        }),
        Property::always(ONCE, |_, state: &State| state.received.iter().all(|times| *times <= 1)),
        Property::always(END, |protocol: &Protocol, state: &State| is_finished(state) || !protocol.is_settled(state)),
        Property::sometimes("every task is done and every report delivered", |protocol: &Protocol, state: &State| {
            // Whoever takes no part has no task.
            let tasks = reports(state).filter(|report| *report == (true, Owed::Nothing, 1)).count();
            tasks == usize::from(protocol.workers)
        }),
        Property::sometimes("each session that ended is followed by a login", |protocol: &Protocol, state: &State| {
            let all = protocol.expiries;
            (state.seen.expiries, state.seen.logins, state.seen.ambiguous) == (all, all, 0) && is_finished(state)
        }),
        Property::sometimes("a login in doubt is followed by one more", |_, state: &State| {
            state.seen.ambiguous == 1 && state.seen.logins == state.seen.expiries + 1 && is_finished(state)
        }),
        Property::sometimes("a report in doubt outlives the worker that sent it", |_, state: &State| {
            let sent = |worker: usize| state.owed[worker] == Owed::InDoubt && state.received[worker] == 1;
            state.seen.crashes > 0 && (0..state.workers.len()).any(sent)
        }),
    ]
}

/// Whether nobody has anything in hand, and nothing is owed.
fn is_finished(state: &State) -> bool {
    state.workers.iter().all(|worker| matches!(worker.at, At::Done | At::Dead))
        && reports(state).all(|(committed, owed, received)| owed == Owed::Nothing && committed == (received == 1))
}

fn reports(state: &State) -> impl Iterator<Item = (bool, Owed, u8)> {
    state.seen.committed.iter().zip(&state.owed).zip(&state.received).map(|((c, o), r)| (*c, *o, *r))
}

const OVERLAP: &str = "no two holders' operations overlap";
const LOGINS: &str = "no more logins than sessions that ended and logins in doubt";
const STEPS: &str = "no code is sent twice";
const COOKIES: &str = "no acknowledged session or cookie is replaced by an older one";
const OWED: &str = "what was checked in is owed or delivered";
const ONCE: &str = "no report is delivered twice";
const END: &str = "where nothing more happens, nothing is left to do";

/// What is searched whole: two of everything that may meet, and a fault of each kind.
const SMALL: Protocol = Protocol { workers: 2, expiries: 1, crashes: 1, losses: 0, broken: None };

#[test]
fn whoever_is_killed_or_paused_two_workers_keep_every_promise() {
    SMALL.checker().threads(THREADS).spawn_bfs().join().assert_properties();
}

#[test]
fn each_defence_that_is_taken_out_breaks_the_promise_that_it_stands_for() {
    for (broken, promise) in [
        (Broken::UnconditionalUnlock, OVERLAP),
        (Broken::ShortQuarantine, OVERLAP),
        (Broken::NoEpochCheck, LOGINS),
        (Broken::NoWriteAhead, LOGINS),
        (Broken::NoStepLedger, STEPS),
        (Broken::NoFencing, COOKIES),
        (Broken::ReportApart, END),
        (Broken::NoLookUp, ONCE),
    ] {
        let only = HasDiscoveries::AnyOf([promise].into());
        let protocol = Protocol { broken: Some(broken), expiries: 2, losses: 1, ..SMALL };
        let checker = protocol.checker().threads(THREADS).finish_when(only).spawn_bfs().join();
        assert!(checker.discovery(promise).is_some(), "{broken:?} leaves as it was: {promise}");
    }
}

/// As many as the smallest machine has that runs the tests.
const THREADS: usize = 2;
