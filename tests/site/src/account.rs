//! An account of the site: who it is, what proves it, and what stops it.
//!
//! It does not know sessions, pages or the ledger.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Totp};

use crate::limits::{MAX_ACCOUNTS, MAX_USERNAME_CHARS};
use crate::token::same_secret;

/// An account to be added to the site.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// The name it is known by: 1 to 64 characters, no `/`, no control characters.
    pub username: String,
    /// Good for logging in as well, unless empty.
    #[serde(default)]
    pub email: String,
    /// The password of the login form.
    pub password: String,
    /// A Base32 secret (RFC 6238, SHA-1, 6 digits, 30 seconds); with one, a login asks for a code.
    #[serde(default)]
    pub totp: Option<String>,
    /// A password for HTTP Basic on the API paths.
    #[serde(default)]
    pub app_password: Option<String>,
    /// The state it starts in.
    #[serde(default)]
    pub state: AccountState,
}

/// What the site thinks of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Nothing stops it.
    #[default]
    Active,
    /// No login, whatever the password; sessions that exist go on.
    Locked,
    /// No login and no member's page.
    Banned,
    /// A challenge that only a person can answer stands before every page.
    Challenged,
}

/// What keeps an account from going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stop {
    Locked,
    Banned,
    Challenged,
}

/// Why an account was not added; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddAccountError {
    /// The username is empty, too long, or has `/` or control characters in it.
    #[error("the username must have 1 to {MAX_USERNAME_CHARS} characters, no slash, none of control")]
    BadUsername,
    /// Another account has this username or email.
    #[error("the username or email is taken")]
    Taken,
    /// The TOTP secret is not Base32, or empty.
    #[error("the TOTP secret is not Base32")]
    BadTotpSecret,
    /// The site has as many accounts as it may.
    #[error("the site already has {MAX_ACCOUNTS} accounts")]
    Full,
}

/// The named account does not exist; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such account")]
pub struct NoSuchAccount;

/// An account as the site keeps it.
pub(crate) struct Account {
    pub(crate) username: String,
    pub(crate) state: AccountState,
    pub(crate) password: String,
    email: String,
    app_password: Option<String>,
    totp: Option<Totp>,
    /// The newest step whose code was used; that one and all older ones are spent.
    last_totp_step: Option<u64>,
    bad_logins_in_a_row: u32,
}

/// All accounts, found by username or email.
#[derive(Default)]
pub(crate) struct Accounts {
    by_username: BTreeMap<String, Account>,
    username_by_email: BTreeMap<String, String>,
}

/// What became of a one-time code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeVerdict {
    Accepted,
    Wrong,
    /// Right once, but its step or a newer one was used before.
    Replayed,
}

impl NewAccount {
    /// An active account with a password and nothing else.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            email: String::new(),
            password: password.into(),
            totp: None,
            app_password: None,
            state: AccountState::Active,
        }
    }

    /// Gives it an email address.
    #[must_use]
    pub fn email(self, email: impl Into<String>) -> Self {
        Self { email: email.into(), ..self }
    }

    /// Turns TOTP on with a Base32 secret; case, spaces and padding do not matter.
    #[must_use]
    pub fn totp(self, secret: impl Into<String>) -> Self {
        Self { totp: Some(secret.into()), ..self }
    }

    /// Gives it an app password.
    #[must_use]
    pub fn app_password(self, app_password: impl Into<String>) -> Self {
        Self { app_password: Some(app_password.into()), ..self }
    }

    /// Has it start in another state than active.
    #[must_use]
    pub fn state(self, state: AccountState) -> Self {
        Self { state, ..self }
    }
}

/// Shows who and in which state, and of the secrets only that they are there.
impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount")
            .field("username", &self.username)
            .field("state", &self.state)
            .field("has_totp", &self.totp.is_some())
            .field("has_app_password", &self.app_password.is_some())
            .finish_non_exhaustive()
    }
}

impl AccountState {
    /// What stands in the way of a login.
    pub(crate) fn login_stop(self) -> Option<Stop> {
        match self {
            Self::Active => None,
            Self::Locked => Some(Stop::Locked),
            Self::Banned => Some(Stop::Banned),
            Self::Challenged => Some(Stop::Challenged),
        }
    }

    /// What stands in the way of a session that exists: a lock does not.
    pub(crate) fn page_stop(self) -> Option<Stop> {
        self.login_stop().filter(|stop| *stop != Stop::Locked)
    }
}

impl Accounts {
    pub(crate) fn add(&mut self, new: NewAccount) -> Result<(), AddAccountError> {
        let account = Account::parse(new)?;
        if self.by_username.len() >= MAX_ACCOUNTS {
            return Err(AddAccountError::Full);
        }
        if self.find(&account.username).is_some() || self.find(&account.email).is_some() {
            return Err(AddAccountError::Taken);
        }
        if !account.email.is_empty() {
            self.username_by_email.insert(account.email.clone(), account.username.clone());
        }
        self.by_username.insert(account.username.clone(), account);
        Ok(())
    }

    /// By username or email.
    pub(crate) fn find(&self, name: &str) -> Option<&Account> {
        let username = self.username_by_email.get(name).map_or(name, String::as_str);
        self.by_username.get(username)
    }

    /// By username or email.
    pub(crate) fn find_mut(&mut self, name: &str) -> Option<&mut Account> {
        let username = self.username_by_email.get(name).map_or(name, String::as_str);
        self.by_username.get_mut(username)
    }

    pub(crate) fn named_mut(&mut self, name: &str) -> Result<&mut Account, NoSuchAccount> {
        self.find_mut(name).ok_or(NoSuchAccount)
    }
}

impl Account {
    fn parse(new: NewAccount) -> Result<Self, AddAccountError> {
        let length = new.username.chars().count();
        let unfit = |c: char| c == '/' || c.is_control();
        // A dot segment would be resolved away by every URL parser.
        let is_dots = matches!(new.username.as_str(), "." | "..");
        if length == 0 || length > MAX_USERNAME_CHARS || is_dots || new.username.contains(unfit) {
            return Err(AddAccountError::BadUsername);
        }
        Ok(Self {
            totp: new.totp.as_deref().map(parse_totp).transpose()?,
            username: new.username,
            state: new.state,
            password: new.password,
            email: new.email,
            app_password: new.app_password,
            last_totp_step: None,
            bad_logins_in_a_row: 0,
        })
    }

    pub(crate) fn has_password(&self, password: &str) -> bool {
        same_secret(&self.password, password)
    }

    pub(crate) fn has_app_password(&self, password: &str) -> bool {
        self.app_password.as_deref().is_some_and(|own| same_secret(own, password))
    }

    pub(crate) fn asks_for_code(&self) -> bool {
        self.totp.is_some()
    }

    /// Checks a code one step to either side, and spends its step (RFC 6238, section 5.2).
    pub(crate) fn spend_code(&mut self, code: &str, now_unix_s: u64) -> CodeVerdict {
        let step = self.totp.as_ref().and_then(|totp| totp.check(code.trim(), now_unix_s));
        match (step, self.last_totp_step) {
            (None, _) => CodeVerdict::Wrong,
            (Some(step), Some(last)) if step <= last => CodeVerdict::Replayed,
            (Some(step), _) => {
                self.last_totp_step = Some(step);
                CodeVerdict::Accepted
            }
        }
    }

    /// Counts a failed login, and locks the account when that was one too many.
    pub(crate) fn note_bad_login(&mut self, bad_logins_to_lock: u32) {
        self.bad_logins_in_a_row = self.bad_logins_in_a_row.saturating_add(1);
        if self.bad_logins_in_a_row >= bad_logins_to_lock && self.state == AccountState::Active {
            self.state = AccountState::Locked;
        }
    }

    pub(crate) fn note_login(&mut self) {
        self.bad_logins_in_a_row = 0;
    }

    /// Sets the state; an account that is made active again starts its count of failures anew.
    pub(crate) fn set_state(&mut self, state: AccountState) {
        self.state = state;
        if state == AccountState::Active {
            self.bad_logins_in_a_row = 0;
        }
    }
}

/// Accepts what authenticator apps accept: either case, spaces, hyphens, padding.
fn parse_totp(secret: &str) -> Result<Totp, AddAccountError> {
    let plain: String =
        secret.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).map(|c| c.to_ascii_uppercase()).collect();
    match BASE32_NOPAD.decode(plain.as_bytes()) {
        // "Noncompliant" drops only the minimum of 128 bits, which real sites do not keep either.
        Ok(key) if !key.is_empty() => Ok(Builder::new().with_secret(key).build_noncompliant()),
        _ => Err(AddAccountError::BadTotpSecret),
    }
}
