//! How one logs in to a site and tells whether a session lives: the trait, and what is built in.
//!
//! A login sends credentials once; whether to try again is not decided here. It knows the sites file's marks, not the
//! vault: no rows, no leases, no budgets. A mailbox's password has no field in [`LoginIdentity`], so that no site can
//! be offered one.

mod evidence;
mod form;
mod html_form;
mod wordpress;

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

pub use evidence::{Block, Evidence, Verdict, judge, shown_mark};
pub use html_form::{FormError, HtmlForm};
pub use wordpress::{NonceError, rest_nonce};

use crate::{cookies::Jar, model::Secret, site_http::SiteClient, sites::Login};
use form::FormAuth;
use wordpress::WordPressAuth;

/// How to log in to one site.
#[async_trait]
pub trait SiteAuth: Send + Sync {
    /// Asks the site whether the session in `jar` lives, without credentials other than a site's app password.
    async fn probe(&self, jar: &mut Jar, who: &LoginIdentity<'_>) -> Evidence;

    /// Logs in once; the new session's cookies are in `jar` afterwards. Each credential is sent at most once.
    async fn log_in(&self, who: &LoginIdentity<'_>, jar: &mut Jar, totp: &mut dyn TotpSource) -> LoginOutcome;
}

/// What proves an account's identity to its site; never a mailbox's secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoginIdentity<'a> {
    /// The user name at the site.
    pub username: Option<&'a str>,
    /// The email address the account is registered with.
    pub email: Option<&'a str>,
    /// The password.
    pub password: Option<&'a Secret>,
    /// The site's own app password, where it gave one.
    pub app_password: Option<&'a Secret>,
    /// Whether the account has a TOTP secret that is meant for this site.
    pub has_totp: bool,
}

/// Where TOTP codes come from.
#[async_trait]
pub trait TotpSource: Send {
    /// A code that was never handed out before: its step is reserved durably first.
    ///
    /// # Errors
    /// [`TotpUnavailable`] when no step may be used now; nothing was reserved that could be used later.
    async fn code(&mut self) -> Result<Secret, TotpUnavailable>;

    /// Tells what the site's `Date` header said (Unix milliseconds) when the local clock said `local_ms`.
    ///
    /// Called before [`TotpSource::code`], with an answer of a listed origin. By default it is not heard.
    fn observe_site_clock(&mut self, site_ms: i64, local_ms: i64) {
        let _ = (site_ms, local_ms);
    }
}

/// Why there is no TOTP code.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no TOTP code: {reason}")]
pub struct TotpUnavailable {
    /// What prevents it, without any part of the secret.
    pub reason: String,
}

/// How a login ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginOutcome {
    /// A logged-in mark was seen.
    LoggedIn(Evidence),
    /// The site, or a lack on our side, holds the login back.
    Blocked(Block, Evidence),
    /// No credential left us: it may be tried again. Says why.
    NotSent(String),
    /// Credentials were sent, and what became of them is not known: probe before anything else.
    Ambiguous(Evidence),
}

/// The way to log in that the site's `login.driver` names.
#[must_use]
pub fn build_auth(client: Arc<SiteClient>) -> Arc<dyn SiteAuth> {
    match &Arc::clone(client.site()).login {
        Login::None => Arc::new(NoLogin),
        Login::Form(form) => Arc::new(FormAuth::new(client, (**form).clone())),
        Login::WordPress { base, form } => {
            Arc::new(WordPressAuth::new(FormAuth::new(client, (**form).clone()), base.clone()))
        }
    }
}

/// Sites where sessions come from people.
struct NoLogin;

#[async_trait]
impl SiteAuth for NoLogin {
    async fn probe(&self, _: &mut Jar, _: &LoginIdentity<'_>) -> Evidence {
        Evidence::new(Verdict::Unknown, NO_LOGIN)
    }

    async fn log_in(&self, _: &LoginIdentity<'_>, _: &mut Jar, _: &mut dyn TotpSource) -> LoginOutcome {
        LoginOutcome::Blocked(Block::Unsupported, Evidence::new(Verdict::Blocked(Block::Unsupported), NO_LOGIN))
    }
}

const NO_LOGIN: &str = "the sites file names no way to log in";
