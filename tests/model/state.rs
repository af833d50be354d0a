//! Everything there is in a state of the protocol: the store's rows, workers, site and manager, requests under way, and counters
//! that no worker sees.
//!
//! What happens to it, and in which order, is not known here.

use crate::lease::{Lease, Moment, NOW, REQUEST};

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) workers: [Worker; WORKERS],
    /// The store.
    pub(crate) leases: [Lease; 3],
    pub(crate) session: Session,
    pub(crate) intent: Intent,
    pub(crate) last_step: Moment,
    pub(crate) owed: [Owed; WORKERS],
    /// The site and the manager.
    pub(crate) live: Option<u8>,
    pub(crate) version: u8,
    pub(crate) site_step: Moment,
    pub(crate) received: [u8; WORKERS],
    /// What happened so far.
    pub(crate) seen: Seen,
}

/// Counters that no worker sees.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) expiries: u8,
    pub(crate) crashes: u8,
    pub(crate) losses: u8,
    pub(crate) logins: u8,
    /// Logins that found an intent whose code had been handed out and whose end nobody had written.
    pub(crate) ambiguous: u8,
    pub(crate) replays: u8,
    /// A request arrived after somebody else had been granted what it was made under.
    pub(crate) overlap: bool,
    /// A session was replaced by one that is not newer.
    pub(crate) lost_cookie: bool,
    /// Whose check-in was acknowledged.
    pub(crate) committed: [bool; WORKERS],
}

#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) epoch: u8,
    /// Which of the site's sessions it is.
    pub(crate) serial: u8,
    /// How often the site has changed its cookie.
    pub(crate) version: u8,
}

/// The newest login's intent.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Intent {
    Closed,
    Open,
    /// A code was handed out: the login may have happened.
    Coded,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Owed {
    Nothing,
    Due,
    InDoubt,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) at: At,
    pub(crate) jar: Session,
    pub(crate) grants: [Grant; 3],
    pub(crate) step: Moment,
    pub(crate) attempts: u8,
    pub(crate) wire: Wire,
}

/// A lease as its holder knows it.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) token: u8,
    pub(crate) until: Moment,
}

/// What a worker does next.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum At {
    Idle,
    Ready,
    Posting,
    Worked,
    Unreported,
    Refused,
    Turn,
    Expired,
    Intended,
    Coded,
    LoggingIn,
    LoggedIn,
    Done,
    Lane,
    Marked(u8),
    Told(u8),
    Dead,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Wire {
    Quiet,
    Asked { what: Asked, token: u8, arrives_by: Moment },
    Answered(Answer),
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Asked {
    Post { serial: u8 },
    Login { step: Moment },
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum Answer {
    Posted { version: u8 },
    Refused,
    LoggedIn { serial: u8 },
    Replayed,
    Lost,
}

pub(crate) const ACCOUNT: usize = 0;
pub(crate) const LOGIN: usize = 1;
pub(crate) const LANE: usize = 2;

/// As many as a state has room for.
pub(crate) const WORKERS: usize = 3;

impl State {
    pub(crate) fn is_live(&self, w: usize, what: usize) -> bool {
        let token = self.workers[w].grants[what].token;
        u8::try_from(w).is_ok_and(|holder| token > 0 && self.leases[what].is_live(token, holder))
    }

    pub(crate) fn store_session(&mut self, new: Session) {
        let old = self.session;
        let is_newer =
            new.epoch > old.epoch || (new.epoch, new.serial) == (old.epoch, old.serial) && new.version >= old.version;
        self.seen.lost_cookie |= !is_newer;
        self.session = new;
    }

    pub(crate) fn send(&mut self, w: usize, under: usize, what: Asked, then: At) {
        let worker = &mut self.workers[w];
        worker.wire = Wire::Asked { what, token: worker.grants[under].token, arrives_by: NOW + REQUEST };
        worker.at = then;
    }

    pub(crate) fn take_answer_of_post(&mut self, w: usize, answer: Answer) {
        let worker = &mut self.workers[w];
        worker.wire = Wire::Quiet;
        worker.at = match answer {
            Answer::Refused => At::Refused,
            Answer::Posted { version } => {
                worker.jar.version = version;
                At::Worked
            }
            // Whether it was done is looked up by others; the cookies are those that there were.
            _ => At::Worked,
        };
    }

    /// The lease is lost: nothing was written, and the task begins anew.
    pub(crate) fn abandon(&mut self, w: usize) {
        let attempts = self.workers[w].attempts + 1;
        self.rest(w);
        if attempts < ATTEMPTS {
            self.workers[w].attempts = attempts;
            self.workers[w].at = At::Idle;
        }
    }

    /// Has nothing in hand any more; from here on it delivers what is owed.
    pub(crate) fn rest(&mut self, w: usize) {
        self.workers[w] = Worker::new(At::Done);
    }

    /// Tokens only tell the newest from older ones: numbered anew, they do not make endless states of the same.
    pub(crate) fn number_tokens_anew(&mut self) {
        for what in [ACCOUNT, LOGIN, LANE] {
            let newest = self.leases[what].token;
            let renumber = |token: &mut u8| {
                *token = match *token {
                    0 => 0,
                    token if token == newest => NEWEST,
                    _ => OLDER,
                };
            };
            renumber(&mut self.leases[what].token);
            for worker in &mut self.workers {
                renumber(&mut worker.grants[what].token);
                let under = |asked: &Asked| if matches!(asked, Asked::Post { .. }) { ACCOUNT } else { LOGIN };
                if let Wire::Asked { what: asked, token, .. } = &mut worker.wire
                    && under(asked) == what
                {
                    renumber(token);
                }
            }
        }
    }
}

impl Worker {
    pub(crate) fn new(at: At) -> Self {
        let (jar, grants, wire) = (Session::default(), Default::default(), Wire::Quiet);
        Self { at, jar, grants, step: 0, attempts: 0, wire }
    }

    /// Whether the deadline that the worker knows of allows a request.
    pub(crate) fn may_send(&self, under: usize) -> bool {
        self.grants[under].token > 0 && NOW < self.grants[under].until
    }
}

/// How often a worker begins anew after it lost its lease: each attempt may change a cookie, and states are to stay finite.
const ATTEMPTS: u8 = 2;

const NEWEST: u8 = 2;
const OLDER: u8 = 1;
