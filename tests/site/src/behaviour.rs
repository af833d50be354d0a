//! How the site behaves: everything about it that a test or an operator may switch while it runs.
//!
//! It does not know how any of this is carried out.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// How the site behaves; the default is a well-behaved one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Seconds from login to the end of a session, whatever is done in between.
    pub session_lifetime_s: u64,
    /// What the session cookie says about its own end.
    pub cookie_life: CookieLife,
    /// A new session id is given out with every n-th answer; `None` keeps the id for life.
    pub rotate_every_requests: Option<NonZeroU32>,
    /// How many more requests a rotated-out id is good for.
    pub rotation_grace_requests: u32,
    /// A second cookie that a login sets, at a path of its own.
    pub extra_cookie: Option<ExtraCookie>,
    /// A login ends the account's older sessions.
    pub one_session_per_account: bool,
    /// What somebody who is not logged in gets in place of a member's page.
    pub login_wall: LoginWall,
    /// Whether the site is down for maintenance.
    pub maintenance: Maintenance,
    /// Milliseconds that every request waits before it is looked at.
    pub delay_ms: u64,
    /// A request with a session cookie that means nothing any more is told to delete it.
    pub deletes_dead_cookies: bool,
    /// The date in a deleting cookie's `Expires`, word for word.
    pub deletion_date: String,
    /// Wrong passwords or codes in a row that lock an account.
    pub bad_logins_to_lock: u32,
    /// A login form that leads elsewhere.
    pub login_redirect: Option<LoginRedirect>,
}

/// What the session cookie says about its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CookieLife {
    /// Nothing: a browser drops it when it closes.
    Browser,
    /// `Max-Age`, in seconds.
    MaxAge,
    /// `Expires`, as a date.
    Expires,
}

/// A second cookie that a login sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraCookie {
    /// Its name; `sid`, the session cookie's own, makes two cookies of one name.
    pub name: String,
    /// The path it is scoped to.
    pub path: String,
    /// A form post without it is refused.
    #[serde(default)]
    pub required_to_post: bool,
}

/// What somebody who is not logged in gets in place of a member's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginWall {
    /// A 302 to `/login`.
    Redirect,
    /// A 200 with the login form in the page.
    Page,
}

/// Whether the site is down for maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maintenance {
    /// It is up.
    Off,
    /// Every path answers 200 with a page that says so.
    Page,
    /// Every path answers 503 with `Retry-After`.
    Unavailable {
        /// Seconds in `Retry-After`.
        retry_after_s: u32,
    },
}

/// A login form that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginRedirect {
    /// The login succeeds, then a 302 leads to this URL in place of `/home`.
    AfterLogin(String),
    /// Nothing is checked; a 307 asks the client to send the same form to this URL.
    HandOver(String),
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            session_lifetime_s: DAY_S,
            cookie_life: CookieLife::Browser,
            rotate_every_requests: None,
            rotation_grace_requests: DEFAULT_ROTATION_GRACE,
            extra_cookie: None,
            one_session_per_account: false,
            login_wall: LoginWall::Redirect,
            maintenance: Maintenance::Off,
            delay_ms: 0,
            deletes_dead_cookies: false,
            deletion_date: DELETION_DATE.to_owned(),
            bad_logins_to_lock: DEFAULT_BAD_LOGINS_TO_LOCK,
            login_redirect: None,
        }
    }
}

/// One day, in seconds: the default life of a session.
const DAY_S: u64 = 24 * 60 * 60;

/// Requests that were already under way when the id changed.
const DEFAULT_ROTATION_GRACE: u32 = 2;

/// As django-allauth and many others have it.
const DEFAULT_BAD_LOGINS_TO_LOCK: u32 = 5;

/// The deletion date that PHP and most frameworks write.
const DELETION_DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
