//! An account: who it is at which site, what proves it, and how it stands. Pure data; how it is stored is elsewhere.

use super::merge::{Field, Fields};
use crate::{AccountId, Secret};

/// An account as it was read, with the revision that a change of it has to name.
#[derive(Debug)]
pub struct Account {
    /// Which account.
    pub id: AccountId,
    /// The revision that was read; the first is 1.
    pub rev: u64,
    /// What it says.
    pub record: AccountRecord,
}

/// What is kept of an account.
#[derive(Debug)]
pub struct AccountRecord {
    /// The site's domain, as tasks and the sites file name it.
    pub site: String,
    /// The manager's id of it, where the manager has one.
    pub manager_id: Option<String>,
    /// What the manager knows as well.
    pub fields: Fields,
    /// An app password of the site itself; local, never sent to the manager.
    pub app_password: Option<Secret>,
    /// The operator's tags.
    pub tags: Vec<String>,
    /// The operator's notes.
    pub notes: String,
    /// The manager's word for its status; words that are not known survive.
    pub manager_status: Option<String>,
    /// Whether it may be worked with.
    pub standing: Standing,
    /// What the manager said when it was last asked: the base of the next merge.
    pub base: Fields,
    /// Fields that were changed here and are not yet confirmed by the manager.
    pub owed: Vec<Field>,
    /// When it came into the vault, Unix milliseconds.
    pub created_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub updated_ms: i64,
}

impl AccountRecord {
    /// An account of `site` that nothing is known of yet.
    #[must_use]
    pub fn new(site: String, now_ms: i64) -> Self {
        Self {
            site,
            manager_id: None,
            fields: Fields::default(),
            app_password: None,
            tags: Vec::new(),
            notes: String::new(),
            manager_status: None,
            standing: Standing::ready(now_ms),
            base: Fields::default(),
            owed: Vec::new(),
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// The name it logs in with: the username, or else the email.
    #[must_use]
    pub fn login_name(&self) -> Option<&Secret> {
        self.fields.username.as_ref().or(self.fields.email.as_ref())
    }
}

/// Whether an account may be worked with, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: AccountState,
    /// When it was entered, Unix milliseconds.
    pub since_ms: i64,
    /// What showed it: a mark that matched, or a person's word. Never a secret.
    pub evidence: String,
}

impl Standing {
    /// Nothing stands against working with it.
    #[must_use]
    pub fn ready(now_ms: i64) -> Self {
        Self { state: AccountState::Ready, since_ms: now_ms, evidence: String::new() }
    }
}

/// The states of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// May be worked with.
    Ready,
    /// The site asked for a pause until this wall-clock time, Unix milliseconds.
    Cooling {
        /// When the pause ends.
        until_ms: i64,
    },
    /// A person has to look: wrong password, challenge, an unknown page.
    NeedsHuman,
    /// The site locked it.
    Locked,
    /// The site banned it.
    Banned,
    /// It is gone at the site.
    Dead,
}

impl AccountState {
    /// The state's word, as it is shown and filtered by.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cooling { .. } => "cooling",
            Self::NeedsHuman => "needs_human",
            Self::Locked => "locked",
            Self::Banned => "banned",
            Self::Dead => "dead",
        }
    }

    /// Whether work may start at `now_ms`.
    #[must_use]
    pub const fn is_usable(self, now_ms: i64) -> bool {
        match self {
            Self::Ready => true,
            Self::Cooling { until_ms } => until_ms <= now_ms,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountRecord, AccountState, Fields, Secret, Standing};

    #[test]
    fn only_ready_accounts_and_those_whose_pause_is_over_may_be_worked_with() {
        for (state, usable) in [
            (AccountState::Ready, true),
            (AccountState::Cooling { until_ms: 10 }, true),
            (AccountState::Cooling { until_ms: 11 }, false),
            (AccountState::NeedsHuman, false),
            (AccountState::Locked, false),
            (AccountState::Banned, false),
            (AccountState::Dead, false),
        ] {
            assert_eq!(state.is_usable(10), usable, "{state:?}");
        }
    }

    #[test]
    fn each_state_has_a_word_of_its_own() {
        let states = [
            (AccountState::Ready, "ready"),
            (AccountState::Cooling { until_ms: 10 }, "cooling"),
            (AccountState::NeedsHuman, "needs_human"),
            (AccountState::Locked, "locked"),
            (AccountState::Banned, "banned"),
            (AccountState::Dead, "dead"),
        ];
        for (state, word) in states {
            assert_eq!(state.word(), word);
        }
    }

    #[test]
    fn an_account_logs_in_with_its_username_or_else_its_email() {
        let secret = |text: &str| (!text.is_empty()).then(|| Secret::copy_of(text));
        for (username, email, name) in
            [("", "", None), ("ann", "", Some("ann")), ("", "ann@x", Some("ann@x")), ("ann", "ann@x", Some("ann"))]
        {
            let mut record = AccountRecord::new("blog.example".into(), 5);
            record.fields = Fields { username: secret(username), email: secret(email), ..Fields::default() };
            // EXPOSE: the test compares.
            assert_eq!(record.login_name().map(Secret::expose), name, "{username} {email}");
        }
    }

    #[test]
    fn a_new_account_is_ready_since_now() {
        let record = AccountRecord::new("blog.example".into(), 5);
        let ready = Standing { state: AccountState::Ready, since_ms: 5, evidence: String::new() };
        assert_eq!((record.standing, record.created_ms, record.updated_ms), (ready, 5, 5));
    }
}
