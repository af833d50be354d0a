//! A worker's own program, a step at a time: check out, post, refresh where the session is over, check in, deliver reports.
//!
//! Each step is at most one transaction or one request. What befalls a worker is not known here.

use crate::{
    lease::NOW,
    protocol::{Broken, Protocol},
    state::{ACCOUNT, Answer, Asked, At, Grant, Intent, LANE, LOGIN, Owed, Session, State, Wire, Worker},
};

impl Protocol {
    /// The next step of a worker's own program; none where it waits.
    pub(crate) fn step(&self, state: &mut State, w: usize) -> Option<()> {
        let Worker { at, wire, .. } = state.workers[w];
        match (at, wire) {
            (At::Idle, _) => self.take(state, w, ACCOUNT, At::Ready)?,
            (At::Ready, _) => match state.workers[w].may_send(ACCOUNT) {
                true => state.send(w, ACCOUNT, Asked::Post { serial: state.workers[w].jar.serial }, At::Posting),
                false => state.abandon(w),
            },
            (At::Posting, Wire::Answered(answer)) => state.take_answer_of_post(w, answer),
            (At::Worked, _) => self.check_in(state, w),
            (At::Unreported, _) => {
                state.owed[w] = Owed::Due;
                state.rest(w);
            }
            (At::Refused, _) => match self.is_newer(state, w) {
                true => self.reload(state, w),
                false => self.take(state, w, LOGIN, At::Turn)?,
            },
            (At::Turn, _) => self.look(state, w),
            (At::Expired, _) => self.write_intent(state, w),
            (At::Intended, _) => self.reserve_step(state, w)?,
            (At::Coded, _) => match state.workers[w].may_send(LOGIN) {
                true => state.send(w, LOGIN, Asked::Login { step: state.workers[w].step }, At::LoggingIn),
                false => state.abandon(w),
            },
            (At::LoggingIn, Wire::Answered(answer)) => self.take_answer_of_login(state, w, answer),
            (At::LoggedIn, _) => self.commit_login(state, w),
            (At::Done, _) if state.owed.iter().any(|owed| *owed != Owed::Nothing) => {
                self.take(state, w, LANE, At::Lane)?;
            }
            (At::Lane, _) => self.next_report(state, w),
            (At::Marked(report), _) => match state.workers[w].may_send(LANE) {
                true => {
                    state.received[usize::from(report)] += 1;
                    state.workers[w].at = At::Told(report);
                }
                false => state.rest(w),
            },
            (At::Told(report), _) => match self.may_write(state, w, LANE) {
                true => {
                    state.owed[usize::from(report)] = Owed::Nothing;
                    state.workers[w].at = At::Lane;
                }
                false => state.rest(w),
            },
            _ => return None,
        }
        Some(())
    }

    pub(crate) fn take(&self, state: &mut State, w: usize, what: usize, then: At) -> Option<()> {
        let lease = &state.leases[what];
        let holder_is_dead = state.workers[usize::from(lease.holder())].at == At::Dead;
        let (row, granted) = lease.claimed(u8::try_from(w).ok()?, self.quarantine(), holder_is_dead)?;
        if granted {
            let worker = &mut state.workers[w];
            worker.grants[what] = Grant { token: row.token, until: row.until() };
            worker.at = then;
            if what == ACCOUNT {
                worker.jar = state.session;
            }
        }
        state.leases[what] = row;
        Some(())
    }

    pub(crate) fn may_write(&self, state: &State, w: usize, what: usize) -> bool {
        self.is(Broken::NoFencing) || state.is_live(w, what)
    }

    pub(crate) fn check_in(&self, state: &mut State, w: usize) {
        let fenced = !self.may_write(state, w, ACCOUNT);
        if !fenced || self.is(Broken::UnconditionalUnlock) {
            state.leases[ACCOUNT] = state.leases[ACCOUNT].released();
        }
        if fenced {
            return state.abandon(w);
        }
        let jar = state.workers[w].jar;
        // Cookies never cross logins: those of a session that is over are left aside.
        if jar.epoch == state.session.epoch || self.is(Broken::NoEpochCheck) {
            state.store_session(jar);
        }
        state.seen.committed[w] = true;
        if self.is(Broken::ReportApart) {
            state.workers[w].at = At::Unreported;
        } else {
            state.owed[w] = Owed::Due;
            state.rest(w);
        }
    }

    pub(crate) fn is_newer(&self, state: &State, w: usize) -> bool {
        !self.is(Broken::NoEpochCheck) && state.session.epoch > state.workers[w].jar.epoch
    }

    /// The newest session for whoever still has the account.
    pub(crate) fn reload(&self, state: &mut State, w: usize) {
        if !self.may_write(state, w, ACCOUNT) {
            return state.abandon(w);
        }
        state.workers[w].jar = state.session;
        state.workers[w].at = At::Ready;
    }

    pub(crate) fn look(&self, state: &mut State, w: usize) {
        let probed = if self.is(Broken::NoEpochCheck) { state.workers[w].jar } else { state.session };
        if self.is_newer(state, w) || state.live == Some(probed.serial) {
            self.end_turn(state, w);
            return self.reload(state, w);
        }
        state.workers[w].at = At::Expired;
    }

    pub(crate) fn end_turn(&self, state: &mut State, w: usize) {
        if self.may_write(state, w, LOGIN) {
            state.leases[LOGIN] = state.leases[LOGIN].released();
        }
        state.workers[w].grants[LOGIN] = Grant::default();
    }

    pub(crate) fn write_intent(&self, state: &mut State, w: usize) {
        if !self.may_write(state, w, LOGIN) {
            return state.abandon(w);
        }
        if !self.is(Broken::NoWriteAhead) {
            state.seen.ambiguous += u8::from(state.intent == Intent::Coded);
            state.intent = Intent::Open;
        }
        state.workers[w].at = At::Intended;
    }

    pub(crate) fn reserve_step(&self, state: &mut State, w: usize) -> Option<()> {
        if !self.may_write(state, w, LOGIN) {
            state.abandon(w);
            return Some(());
        }
        if state.last_step >= NOW && !self.is(Broken::NoStepLedger) {
            return None;
        }
        state.last_step = NOW;
        if !self.is(Broken::NoWriteAhead) {
            state.intent = Intent::Coded;
        }
        state.workers[w].step = NOW;
        state.workers[w].at = At::Coded;
        Some(())
    }

    pub(crate) fn take_answer_of_login(&self, state: &mut State, w: usize, answer: Answer) {
        state.workers[w].wire = Wire::Quiet;
        state.workers[w].step = 0;
        match answer {
            Answer::LoggedIn { serial } => {
                state.workers[w].jar = Session { epoch: state.workers[w].jar.epoch + 1, serial, version: 0 };
                state.workers[w].at = At::LoggedIn;
            }
            // The intent stays open: whoever comes next knows that a login may have happened.
            Answer::Lost => {
                self.end_turn(state, w);
                state.workers[w].at = At::Refused;
            }
            _ => state.rest(w),
        }
    }

    pub(crate) fn commit_login(&self, state: &mut State, w: usize) {
        if !self.may_write(state, w, LOGIN) {
            return state.abandon(w);
        }
        state.store_session(state.workers[w].jar);
        state.intent = Intent::Closed;
        self.end_turn(state, w);
        self.reload(state, w);
    }

    pub(crate) fn next_report(&self, state: &mut State, w: usize) {
        if !self.may_write(state, w, LANE) {
            return state.rest(w);
        }
        let Some(report) = state.owed.iter().position(|owed| *owed != Owed::Nothing) else {
            state.leases[LANE] = state.leases[LANE].released();
            return state.rest(w);
        };
        let arrived = state.owed[report] == Owed::InDoubt && state.received[report] > 0;
        state.owed[report] = Owed::InDoubt;
        let n = u8::try_from(report).unwrap_or(u8::MAX);
        let is_told = arrived && !self.is(Broken::NoLookUp);
        state.workers[w].at = if is_told { At::Told(n) } else { At::Marked(n) };
    }
}
