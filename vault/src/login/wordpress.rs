//! WordPress: its own login form, application passwords, and the nonce that its REST API asks of cookie sessions.
//!
//! Source: REST API Handbook, "Authentication"; answers as seen from WordPress 6.1. Knows no posts.

use async_trait::async_trait;
use serde::Deserialize;
use thiserror::Error;

use super::{
    Block, Evidence, LoginIdentity, LoginOutcome, SiteAuth, TotpSource, Verdict,
    evidence::{View, blocked, judge},
    form::FormAuth,
};
use crate::{
    cookies::Jar,
    model::Secret,
    site_http::{Page, SiteClient, SiteError, SiteRequest},
    sites::SitePath,
};

/// The login form, or no login at all where the account has an application password.
pub(super) struct WordPressAuth {
    form: FormAuth,
    base: SitePath,
}

/// Why there is no nonce.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NonceError {
    /// The site gave no usable answer.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The site's answer is no nonce; the evidence says what it is.
    #[error("no nonce: {}", .0.mark)]
    Refused(Evidence),
}

/// Fetches the nonce that lets the session in `jar` use the REST API (`X-WP-Nonce`), valid for half a day at least.
///
/// # Errors
/// [`NonceError::Refused`] with the verdict expired when nobody is logged in.
pub async fn rest_nonce(client: &SiteClient, base: &SitePath, jar: &mut Jar) -> Result<Secret, NonceError> {
    let path = format!("{}wp-admin/admin-ajax.php?action=rest-nonce", base.as_str());
    let page = client.send(SiteRequest::get(resolve(client, &path)?), jar).await?;
    let is_nonce = (8..=32).contains(&page.body.len()) && page.body.bytes().all(|byte| byte.is_ascii_hexdigit());
    if page.status == 200 && is_nonce {
        return Ok(Secret::copy_of(&page.body));
    }
    // Actions for members only answer strangers with `0` (wp-admin/admin-ajax.php).
    let evidence = match client.site().login_form().map(|login| judge(&page, login)) {
        _ if matches!(page.status, 200 | 400) && matches!(page.body.trim(), "0" | "-1") => {
            Evidence::from_page(Verdict::Expired, "admin-ajax answers as to strangers", &page)
        }
        Some(evidence) => evidence,
        None => Evidence::from_page(Verdict::Unknown, "the answer is no nonce", &page),
    };
    Err(NonceError::Refused(evidence))
}

impl WordPressAuth {
    pub(super) const fn new(form: FormAuth, base: SitePath) -> Self {
        Self { form, base }
    }

    /// Asks who the application password belongs to.
    async fn probe_app_password(&self, username: &str, password: &Secret) -> Evidence {
        let client = self.form.client();
        let path = format!("{}wp-json/wp/v2/users/me", self.base.as_str());
        let url = match resolve(client, &path) {
            Ok(url) => url,
            Err(error) => return Evidence::from_error(&error),
        };
        // Without the session's cookies: beside a cookie WordPress demands a nonce and drops the password.
        match client.send(SiteRequest::get(url).basic(username, password), &mut Jar::new()).await {
            Ok(page) => self.judge_app_password(&page),
            Err(error) => Evidence::from_error(&error),
        }
    }

    fn judge_app_password(&self, page: &Page) -> Evidence {
        if let Some(evidence) = blocked(&View::new(page), self.form.login()) {
            return evidence;
        }
        let answer: RestAnswer = serde_json::from_str(&page.body).unwrap_or_default();
        let evidence = |verdict, mark: &str| Evidence::from_page(verdict, mark, page);
        match (page.status, answer.id, answer.code.as_deref()) {
            (200, Some(_), _) => evidence(Verdict::Live, "users/me names the account"),
            (401 | 403, _, Some(code)) if REFUSALS.contains(&code) => {
                evidence(Verdict::Blocked(Block::WrongCredentials), code)
            }
            _ => evidence(Verdict::Unknown, "users/me gives no evidence"),
        }
    }
}

#[async_trait]
impl SiteAuth for WordPressAuth {
    async fn probe(&self, jar: &mut Jar, who: &LoginIdentity<'_>) -> Evidence {
        match (who.username, who.app_password) {
            (Some(username), Some(password)) => self.probe_app_password(username, password).await,
            _ => self.form.probe(jar, who).await,
        }
    }

    async fn log_in(&self, who: &LoginIdentity<'_>, jar: &mut Jar, totp: &mut dyn TotpSource) -> LoginOutcome {
        let (Some(username), Some(password)) = (who.username, who.app_password) else {
            return self.form.log_in(who, jar, totp).await;
        };
        let evidence = self.probe_app_password(username, password).await;
        match evidence.verdict {
            Verdict::Live => LoginOutcome::LoggedIn(evidence),
            Verdict::Blocked(block) => LoginOutcome::Blocked(block, evidence),
            // A probe changes nothing at the site, whatever became of it: asking again is safe.
            Verdict::Expired | Verdict::Unknown => LoginOutcome::NotSent(evidence.mark),
        }
    }
}

fn resolve(client: &SiteClient, path: &str) -> Result<url::Url, SiteError> {
    client.site().resolve(path).ok_or(SiteError::NotSent { reason: "the path leads away from the site" })
}

/// What of a REST answer is looked at.
#[derive(Default, Deserialize)]
struct RestAnswer {
    id: Option<u64>,
    code: Option<String>,
}

/// What a name or password that is not right is answered with: the codes of `wp_authenticate_application_password`, and
/// what WordPress 6.1 sends in their place. The last also comes where a server in front drops the header, which is a
/// person's business just so.
const REFUSALS: [&str; 6] = [
    "incorrect_password",
    "invalid_username",
    "invalid_email",
    "application_passwords_disabled",
    "application_passwords_disabled_for_user",
    "rest_not_logged_in",
];

#[cfg(test)]
mod tests;
