//! Sessions: visits before a login, sessions after it, and the rotation of their ids.
//!
//! It does not know accounts, cookies as text, or why a session was opened or ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU32;

use crate::behaviour::Behaviour;
use crate::limits::MAX_SESSIONS;
use crate::token::TokenMint;

/// A visit before the login; the forms of the login are bound to it.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) csrf: String,
    /// The login form's second hidden field.
    pub(crate) flow: String,
    /// Whose password was right, where a code is still owed.
    pub(crate) owes_code: Option<String>,
}

/// Visits by id, the oldest forgotten first.
#[derive(Default)]
pub(crate) struct Visits {
    by_id: HashMap<String, Visit>,
    /// Ids in the order they were given out, ended ones included.
    order: VecDeque<String>,
}

/// What a new or rotated session sends to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: String,
    /// The value of the extra cookie.
    pub(crate) extra: String,
    pub(crate) ends_at_unix_s: u64,
}

/// A session as one request sees it.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) username: String,
    pub(crate) csrf: String,
    pub(crate) extra: String,
    /// The new id, where this request made it rotate.
    pub(crate) rotated: Option<Ticket>,
}

/// Sessions after a login.
#[derive(Default)]
pub(crate) struct Sessions {
    /// By a number that grows, so that the first is the oldest.
    by_number: BTreeMap<u64, Session>,
    /// Every id that is good, current or in its grace.
    numbers: HashMap<String, u64>,
    opened: u64,
}

struct Session {
    username: String,
    csrf: String,
    extra: String,
    ends_at_unix_s: u64,
    id: String,
    /// Requests seen with the current id.
    requests: u32,
    previous: Option<PreviousId>,
}

struct PreviousId {
    id: String,
    uses_left: u32,
}

impl Visits {
    /// Begins a visit and answers its id with it.
    pub(crate) fn begin(&mut self, mint: &mut TokenMint) -> (String, Visit) {
        while self.order.len() >= MAX_SESSIONS {
            if let Some(oldest) = self.order.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
        let id = mint.mint();
        let visit = Visit { csrf: mint.mint(), flow: mint.mint(), owes_code: None };
        self.by_id.insert(id.clone(), visit.clone());
        self.order.push_back(id.clone());
        (id, visit)
    }

    /// The visit that one of these ids belongs to.
    pub(crate) fn resume(&self, ids: &[String]) -> Option<(String, Visit)> {
        ids.iter().find_map(|id| Some((id.clone(), self.by_id.get(id)?.clone())))
    }

    /// Notes whose password was right, where a code is still owed.
    pub(crate) fn owe_code(&mut self, id: &str, username: String) {
        if let Some(visit) = self.by_id.get_mut(id) {
            visit.owes_code = Some(username);
        }
    }

    pub(crate) fn end(&mut self, id: &str) {
        self.by_id.remove(id);
    }
}

impl Sessions {
    /// Opens a session for `username`.
    pub(crate) fn open(
        &mut self,
        mint: &mut TokenMint,
        username: &str,
        behaviour: &Behaviour,
        now_unix_s: u64,
    ) -> Ticket {
        if behaviour.one_session_per_account {
            self.end_of(username);
        }
        while self.by_number.len() >= MAX_SESSIONS {
            if let Some((_, oldest)) = self.by_number.pop_first() {
                self.forget_ids(&oldest);
            }
        }
        let session = Session {
            username: username.to_owned(),
            csrf: mint.mint(),
            extra: mint.mint(),
            ends_at_unix_s: now_unix_s.saturating_add(behaviour.session_lifetime_s),
            id: mint.mint(),
            requests: 0,
            previous: None,
        };
        self.opened += 1;
        self.numbers.insert(session.id.clone(), self.opened);
        let ticket = session.ticket();
        self.by_number.insert(self.opened, session);
        ticket
    }

    /// Uses `id` for one request; `None` where it is good for nothing (any more).
    pub(crate) fn use_id(
        &mut self,
        mint: &mut TokenMint,
        id: &str,
        behaviour: &Behaviour,
        now_unix_s: u64,
    ) -> Option<Presence> {
        let number = *self.numbers.get(id)?;
        let session = self.by_number.get_mut(&number)?;
        if now_unix_s >= session.ends_at_unix_s {
            self.end(number);
            return None;
        }
        if session.id != id && !session.use_previous_id() {
            self.numbers.remove(id);
            return None;
        }
        let rotates = session.id == id && session.is_due(behaviour.rotate_every_requests);
        if rotates {
            let new_id = mint.mint();
            self.numbers.insert(new_id.clone(), number);
            if let Some(gone) = session.rotate(new_id, behaviour.rotation_grace_requests) {
                self.numbers.remove(&gone);
            }
        }
        Some(Presence {
            username: session.username.clone(),
            csrf: session.csrf.clone(),
            extra: session.extra.clone(),
            rotated: rotates.then(|| session.ticket()),
        })
    }

    /// Ends the session that `id` belongs to; whether there was one.
    pub(crate) fn end_by_id(&mut self, id: &str) -> bool {
        let number = self.numbers.get(id).copied();
        number.is_some_and(|number| self.end(number))
    }

    /// Ends every session of `username`; how many there were.
    pub(crate) fn end_of(&mut self, username: &str) -> usize {
        let theirs: Vec<u64> = self
            .by_number
            .iter()
            .filter(|(_, session)| session.username == username)
            .map(|(number, _)| *number)
            .collect();
        theirs.iter().filter(|number| self.end(**number)).count()
    }

    /// Ends every session; how many there were.
    pub(crate) fn end_all(&mut self) -> usize {
        self.numbers.clear();
        std::mem::take(&mut self.by_number).len()
    }

    fn end(&mut self, number: u64) -> bool {
        let ended = self.by_number.remove(&number);
        if let Some(session) = &ended {
            self.forget_ids(session);
        }
        ended.is_some()
    }

    fn forget_ids(&mut self, session: &Session) {
        self.numbers.remove(&session.id);
        if let Some(previous) = &session.previous {
            self.numbers.remove(&previous.id);
        }
    }
}

impl Session {
    fn ticket(&self) -> Ticket {
        Ticket { id: self.id.clone(), extra: self.extra.clone(), ends_at_unix_s: self.ends_at_unix_s }
    }

    /// Takes one use of the previous id; whether there was one left.
    fn use_previous_id(&mut self) -> bool {
        let Some(previous) = &mut self.previous else {
            return false;
        };
        let has_use = previous.uses_left > 0;
        if has_use {
            previous.uses_left -= 1;
        } else {
            self.previous = None;
        }
        has_use
    }

    /// Counts a request with the current id; whether that makes the id due for rotation.
    fn is_due(&mut self, rotate_every: Option<NonZeroU32>) -> bool {
        self.requests = self.requests.saturating_add(1);
        rotate_every.is_some_and(|every| self.requests >= every.get())
    }

    /// Takes `new_id`, keeps the old one for its grace, and answers the one before that.
    fn rotate(&mut self, new_id: String, grace: u32) -> Option<String> {
        self.requests = 0;
        let id = std::mem::replace(&mut self.id, new_id);
        let gone = self.previous.replace(PreviousId { id, uses_left: grace });
        gone.map(|previous| previous.id)
    }
}
