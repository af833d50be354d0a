//! Workers that share one account, and what befalls them: kills, pauses, lost answers, sessions that end.
//!
//! A transaction is one step. A worker may stop between any two steps, for ever or until time has passed;
//! between the check of its deadline and the send it may not, since no store can fence that. Nobody renews: a lease that
//! lasts longer only hides what happens when it ends. What must hold is not known here.

use stateright::{Model, Property};

use crate::{
    lease::{Lease, Moment, NOW, QUARANTINE},
    properties,
    state::{ACCOUNT, Answer, Asked, At, Intent, LOGIN, Owed, Seen, Session, State, WORKERS, Wire, Worker},
};

/// How much happens, and which defence is missing.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    /// At most [`WORKERS`].
    pub(crate) workers: u8,
    /// How often the site ends a session.
    pub(crate) expiries: u8,
    /// How many workers are killed; one has to be left.
    pub(crate) crashes: u8,
    /// How many requests or answers of living workers get lost.
    pub(crate) losses: u8,
    pub(crate) broken: Option<Broken>,
}

/// A defence that is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Whoever gives an account back frees it, its holder or not.
    UnconditionalUnlock,
    /// A refresh believes its caller's session to be the newest, and so does a check-in.
    NoEpochCheck,
    /// A login is sent before anything says so.
    NoWriteAhead,
    /// Nobody looks at a token before writing.
    NoFencing,
    /// The code of the present step is sent, whoever sent it before.
    NoStepLedger,
    /// An account rests no longer than a request may be under way.
    ShortQuarantine,
    /// A report is written after the check-in, in a transaction of its own.
    ReportApart,
    /// A report in doubt is sent again without a look at the manager.
    NoLookUp,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Step(u8),
    Arrive(u8),
    Lose(u8),
    Crash(u8),
    Expire,
    Tick,
}

impl Model for Protocol {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let session = Session { epoch: 1, serial: 1, version: 0 };
        // Those who take no part were dead before it began.
        let worker = |n| if n < usize::from(self.workers) { Worker::new(At::Idle) } else { Worker::new(At::Dead) };
        vec![State {
            workers: std::array::from_fn(worker),
            leases: Default::default(),
            session,
            intent: Intent::Closed,
            last_step: 0,
            owed: [Owed::Nothing; WORKERS],
            live: Some(1),
            version: 0,
            site_step: 0,
            received: [0; WORKERS],
            seen: Seen::default(),
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        for (n, worker) in (0..self.workers).zip(&state.workers) {
            if worker.wire != Wire::Quiet {
                events.extend([Event::Arrive(n), Event::Lose(n)]);
            }
            if worker.at != At::Dead {
                events.extend([Event::Step(n), Event::Crash(n)]);
            }
        }
        events.extend([Event::Expire, Event::Tick]);
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        let mut state = last.clone();
        let happens = match event {
            Event::Step(worker) => self.step(&mut state, usize::from(worker)),
            Event::Arrive(worker) => arrive(&mut state, usize::from(worker)),
            Event::Lose(worker) => self.lose(&mut state, usize::from(worker)),
            Event::Crash(worker) => self.crash(&mut state, usize::from(worker)),
            Event::Expire => self.expire(&mut state),
            Event::Tick => tick(&mut state),
        };
        happens?;
        state.number_tokens_anew();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Protocol {
    /// Whether nothing is left that would happen by itself: only faults could.
    pub(crate) fn is_settled(&self, state: &State) -> bool {
        let by_itself = (0..self.workers).flat_map(|worker| [Event::Step(worker), Event::Arrive(worker)]);
        by_itself.chain([Event::Tick]).all(|event| self.next_state(state, event).is_none())
    }

    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    pub(crate) fn quarantine(&self) -> u8 {
        if self.is(Broken::ShortQuarantine) { 0 } else { QUARANTINE }
    }

    fn lose(&self, state: &mut State, w: usize) -> Option<()> {
        let worker = &mut state.workers[w];
        if matches!(worker.wire, Wire::Quiet | Wire::Answered(Answer::Lost)) {
            return None;
        }
        if worker.at == At::Dead {
            worker.wire = Wire::Quiet;
            return Some(());
        }
        if state.seen.losses == self.losses {
            return None;
        }
        state.seen.losses += 1;
        worker.wire = Wire::Answered(Answer::Lost);
        Some(())
    }

    fn crash(&self, state: &mut State, w: usize) -> Option<()> {
        let worker = &mut state.workers[w];
        if state.seen.crashes == self.crashes || worker.at == At::Dead {
            return None;
        }
        state.seen.crashes += 1;
        // What was sent goes on without it.
        let wire = if matches!(worker.wire, Wire::Asked { .. }) { worker.wire } else { Wire::Quiet };
        *worker = Worker { wire, ..Worker::new(At::Dead) };
        Some(())
    }

    fn expire(&self, state: &mut State) -> Option<()> {
        if state.seen.expiries == self.expiries {
            return None;
        }
        state.live.take()?;
        state.seen.expiries += 1;
        Some(())
    }
}

/// A request reaches the site, which does what it is asked and answers.
fn arrive(state: &mut State, w: usize) -> Option<()> {
    let Wire::Asked { what, token, .. } = state.workers[w].wire else { return None };
    let lease = if matches!(what, Asked::Post { .. }) { ACCOUNT } else { LOGIN };
    state.seen.overlap |= state.leases[lease].token > token;
    let answer = match what {
        Asked::Post { serial } if state.live == Some(serial) => {
            state.version += 1;
            Answer::Posted { version: state.version }
        }
        Asked::Post { .. } => Answer::Refused,
        Asked::Login { step } if step > state.site_step => {
            state.site_step = step;
            state.seen.logins += 1;
            state.version = 0;
            let serial = state.seen.logins + 1;
            state.live = Some(serial);
            Answer::LoggedIn { serial }
        }
        Asked::Login { .. } => {
            state.seen.replays += 1;
            Answer::Replayed
        }
    };
    let worker = &mut state.workers[w];
    worker.wire = if worker.at == At::Dead { Wire::Quiet } else { Wire::Answered(answer) };
    Some(())
}

/// Time passes for everybody alike; a request that has to arrive in this tick does so before it ends.
fn tick(state: &mut State) -> Option<()> {
    let is_due = |worker: &Worker| matches!(worker.wire, Wire::Asked { arrives_by, .. } if arrives_by == NOW);
    if state.workers.iter().any(is_due) {
        return None;
    }
    let pass = |moment: &mut Moment| *moment = moment.saturating_sub(1);
    state.leases.iter_mut().for_each(Lease::tick);
    pass(&mut state.last_step);
    pass(&mut state.site_step);
    for worker in &mut state.workers {
        pass(&mut worker.step);
        worker.grants.iter_mut().for_each(|grant| pass(&mut grant.until));
        match &mut worker.wire {
            Wire::Asked { what: Asked::Login { step }, arrives_by, .. } => {
                pass(step);
                pass(arrives_by);
            }
            Wire::Asked { arrives_by, .. } => pass(arrives_by),
            _ => {}
        }
    }
    Some(())
}
