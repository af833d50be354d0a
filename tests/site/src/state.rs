//! Everything the site remembers, and the decisions that need more than one part of it.
//!
//! Each verb is one step under the lock of [`App`]; none of them waits. It knows no HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::account::{AccountState, Accounts, AddAccountError, CodeVerdict, NewAccount, NoSuchAccount, Stop};
use crate::behaviour::Behaviour;
use crate::clock::Clock;
use crate::fault::Faults;
use crate::ledger::{Ledger, RequestLog};
use crate::posts::{Board, BoardFull, Draft};
use crate::sessions::{Sessions, Ticket, Visits};
use crate::token::{TokenMint, same_secret};

/// What handlers, control plane and handle share.
pub(crate) struct App {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// Cancelled when the site is to stop.
    pub(crate) stop: CancellationToken,
    pub(crate) control_token: String,
}

/// Everything the site remembers.
pub(crate) struct State {
    pub(crate) behaviour: Behaviour,
    pub(crate) accounts: Accounts,
    pub(crate) visits: Visits,
    pub(crate) sessions: Sessions,
    pub(crate) board: Board,
    pub(crate) ledger: Ledger,
    pub(crate) requests: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) mint: TokenMint,
}

/// What became of a proof of identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The password, app password or code is wrong, or the account unknown.
    Wrong,
    /// The code was right, but spent.
    Replayed,
    /// The account's state forbids it.
    Stopped(Stop),
    /// Right so far; a code is still owed.
    CodeOwed { username: String },
    /// Proven.
    Granted { username: String },
}

impl App {
    pub(crate) fn new(state: State, clock: Arc<dyn Clock>, control_token: String) -> Self {
        Self { state: Mutex::new(state), clock, stop: CancellationToken::new(), control_token }
    }

    /// The state, locked; the guard must not live across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A handler that panicked cannot make the site unusable: each verb leaves whole values.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_unix_s(&self) -> u64 {
        self.clock.now_unix_s()
    }
}

impl State {
    pub(crate) fn new(behaviour: Behaviour, mint: TokenMint) -> Self {
        Self {
            behaviour,
            accounts: Accounts::default(),
            visits: Visits::default(),
            sessions: Sessions::default(),
            board: Board::default(),
            ledger: Ledger::default(),
            requests: RequestLog::default(),
            faults: Faults::default(),
            mint,
        }
    }

    /// Checks a password. A locked account is told so whatever the password; a banned or
    /// challenged one only with the right one.
    pub(crate) fn try_password(&mut self, name: &str, password: &str) -> Verdict {
        let verdict = match self.accounts.find(name) {
            None => {
                // As much work as for an account that exists.
                same_secret(password, "");
                Verdict::Wrong
            }
            Some(account) if account.state == AccountState::Locked => Verdict::Stopped(Stop::Locked),
            Some(account) if !account.has_password(password) => Verdict::Wrong,
            Some(account) => {
                let username = account.username.clone();
                match account.state.login_stop() {
                    Some(stop) => Verdict::Stopped(stop),
                    None if account.asks_for_code() => Verdict::CodeOwed { username },
                    None => Verdict::Granted { username },
                }
            }
        };
        self.record(name, verdict)
    }

    /// Checks a one-time code for somebody whose password was right.
    pub(crate) fn try_code(&mut self, username: &str, code: &str, now_unix_s: u64) -> Verdict {
        let verdict = match self.accounts.find_mut(username) {
            None => Verdict::Wrong,
            Some(account) => match account.state.login_stop() {
                Some(stop) => Verdict::Stopped(stop),
                None => match account.spend_code(code, now_unix_s) {
                    CodeVerdict::Wrong => Verdict::Wrong,
                    CodeVerdict::Replayed => Verdict::Replayed,
                    CodeVerdict::Accepted => Verdict::Granted { username: account.username.clone() },
                },
            },
        };
        self.record(username, verdict)
    }

    /// Checks an app password; it opens no session and is no login.
    pub(crate) fn try_app_password(&mut self, name: &str, password: &str) -> Verdict {
        let verdict = match self.accounts.find(name) {
            Some(account) if account.has_app_password(password) => match account.state.login_stop() {
                Some(stop) => Verdict::Stopped(stop),
                None => Verdict::Granted { username: account.username.clone() },
            },
            _ => Verdict::Wrong,
        };
        self.record(name, verdict)
    }

    /// Opens a session and counts it as a login.
    pub(crate) fn log_in(&mut self, username: &str, now_unix_s: u64) -> Ticket {
        if let Some(account) = self.accounts.find_mut(username) {
            account.note_login();
        }
        self.ledger.count(Some(username), |counts| counts.logins += 1);
        self.sessions.open(&mut self.mint, username, &self.behaviour, now_unix_s)
    }

    /// Publishes a post and counts it.
    pub(crate) fn publish(
        &mut self,
        username: &str,
        draft: Draft,
        by_app_password: bool,
        now_unix_s: u64,
    ) -> Result<u64, BoardFull> {
        let number = self.board.publish(username, draft, by_app_password, now_unix_s)?;
        self.ledger.count(Some(username), |counts| counts.posts += 1);
        Ok(number)
    }

    pub(crate) fn add_account(&mut self, account: NewAccount) -> Result<(), AddAccountError> {
        self.accounts.add(account)
    }

    pub(crate) fn set_state(&mut self, name: &str, state: AccountState) -> Result<(), NoSuchAccount> {
        self.accounts.named_mut(name)?.set_state(state);
        Ok(())
    }

    /// Changes a password, as its owner would elsewhere: every session of the account ends.
    pub(crate) fn set_password(&mut self, name: &str, password: String) -> Result<(), NoSuchAccount> {
        let account = self.accounts.named_mut(name)?;
        account.password = password;
        self.sessions.end_of(&account.username);
        Ok(())
    }

    /// Opens a session that is counted as no login, and answers it as a `Cookie` header.
    pub(crate) fn give_session(&mut self, name: &str, now_unix_s: u64) -> Result<String, NoSuchAccount> {
        let username = &self.accounts.find(name).ok_or(NoSuchAccount)?.username;
        let ticket = self.sessions.open(&mut self.mint, username, &self.behaviour, now_unix_s);
        let extra = self.behaviour.extra_cookie.as_ref();
        let extra = extra.map_or_else(String::new, |extra| format!("; {}={}", extra.name, ticket.extra));
        Ok(format!("{SESSION_COOKIE}={}{extra}", ticket.id))
    }

    /// As [`State::give_session`], but the session has ended by the time it is handed out.
    pub(crate) fn give_expired_session(&mut self, name: &str, now_unix_s: u64) -> Result<String, NoSuchAccount> {
        let cookie = self.give_session(name, now_unix_s)?;
        self.kill_session(&cookie);
        Ok(cookie)
    }

    /// Ends the sessions of one account; how many there were.
    pub(crate) fn expire_sessions(&mut self, name: &str) -> Result<usize, NoSuchAccount> {
        let account = self.accounts.find(name).ok_or(NoSuchAccount)?;
        Ok(self.sessions.end_of(&account.username))
    }

    /// Ends the session that a `Cookie` header belongs to; whether there was one.
    pub(crate) fn kill_session(&mut self, cookie_header: &str) -> bool {
        cookie::Cookie::split_parse(cookie_header)
            .filter_map(Result::ok)
            .filter(|cookie| cookie.name() == SESSION_COOKIE)
            .any(|cookie| self.sessions.end_by_id(cookie.value()))
    }

    /// Counts a verdict that was a refusal, and passes it on.
    fn record(&mut self, name: &str, verdict: Verdict) -> Verdict {
        let username = self.accounts.find(name).map(|account| account.username.clone());
        let username = username.as_deref();
        match verdict {
            Verdict::Wrong => {
                self.ledger.count(username, |counts| counts.bad_logins += 1);
                if let Some(account) = self.accounts.find_mut(name) {
                    account.note_bad_login(self.behaviour.bad_logins_to_lock);
                }
            }
            Verdict::Replayed => self.ledger.count(username, |counts| counts.totp_replays += 1),
            Verdict::Stopped(_) => self.ledger.count(username, |counts| counts.stopped_logins += 1),
            Verdict::CodeOwed { .. } | Verdict::Granted { .. } => {}
        }
        verdict
    }
}

/// The name of the session cookie, before and after the login.
pub(crate) const SESSION_COOKIE: &str = "sid";
