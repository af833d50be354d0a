//! Who sends a request, by its cookies or by HTTP Basic.
//!
//! It does not know what the request wants; each request uses a session once, here.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use data_encoding::BASE64;

use super::{cookies, login, page, reply};
use crate::account::Stop;
use crate::behaviour::LoginWall;
use crate::state::{App, SESSION_COOKIE, State, Verdict};
use crate::token::same_secret;

/// Whoever sends a request.
pub(super) struct Visitor {
    member: Option<Member>,
    /// Every value of the session cookie that was sent.
    pub(super) session_ids: Vec<String>,
    /// What the answer has to set, whatever it is.
    owed_cookies: Vec<String>,
}

/// Somebody who is logged in.
pub(super) struct Member {
    pub(super) username: String,
    pub(super) csrf: String,
    /// The extra cookie was sent as well, or is not asked for.
    pub(super) has_extra_cookie: bool,
    stop: Option<Stop>,
}

/// Whether a member's page opens.
pub(super) enum Gate<'a> {
    Open(&'a Member),
    Stopped(Stop),
    Stranger,
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let now_unix_s = app.now_unix_s();
        Ok(Self::recognise(&mut app.lock(), cookies::sent(&parts.headers), now_unix_s))
    }
}

impl Visitor {
    fn recognise(state: &mut State, sent: Vec<(String, String)>, now_unix_s: u64) -> Self {
        let State { sessions, mint, behaviour, accounts, visits, .. } = state;
        let mut presence = None;
        let session_ids: Vec<String> =
            sent.iter().filter(|(name, _)| name == SESSION_COOKIE).map(|(_, value)| value.clone()).collect();
        for id in &session_ids {
            presence = presence.or_else(|| sessions.use_id(mint, id, behaviour, now_unix_s));
        }
        let Some(presence) = presence else {
            let is_dead = !session_ids.is_empty() && visits.resume(&session_ids).is_none();
            let owed_cookies =
                if is_dead && behaviour.deletes_dead_cookies { cookies::deletions(behaviour) } else { Vec::new() };
            return Self { member: None, session_ids, owed_cookies };
        };
        let owed_cookies = presence.rotated.iter().map(|new| cookies::of_session(new, behaviour, now_unix_s));
        let has_extra_cookie = match &behaviour.extra_cookie {
            Some(extra) if extra.required_to_post => {
                sent.iter().any(|(name, value)| *name == extra.name && same_secret(value, &presence.extra))
            }
            _ => true,
        };
        let stop = accounts.find(&presence.username).and_then(|account| account.state.page_stop());
        Self {
            owed_cookies: owed_cookies.collect(),
            member: Some(Member { username: presence.username, csrf: presence.csrf, has_extra_cookie, stop }),
            session_ids,
        }
    }

    /// Whether a member's page opens.
    pub(super) fn gate(&self) -> Gate<'_> {
        match &self.member {
            None => Gate::Stranger,
            Some(Member { stop: Some(stop), .. }) => Gate::Stopped(*stop),
            Some(member) => Gate::Open(member),
        }
    }

    /// `response`, with the cookies that every answer to this visitor sets.
    pub(super) fn answer(&self, response: Response) -> Response {
        reply::with_cookies(response, &self.owed_cookies)
    }

    /// A member's page by what `open` makes of the member, or what stands in its way.
    pub(super) fn member_page(&self, app: &App, open: impl FnOnce(&Member) -> Response) -> Response {
        match self.gate() {
            Gate::Open(member) => self.answer(open(member)),
            Gate::Stopped(stop) => self.answer(page::stopped(stop)),
            Gate::Stranger => {
                let wall = app.lock().behaviour.login_wall;
                match wall {
                    LoginWall::Redirect => self.answer(reply::found("/login")),
                    // The page sets the same cookie anew, which makes deleting it pointless.
                    LoginWall::Page => login::fresh_form(app, self),
                }
            }
        }
    }
}

/// What the `Authorization` header proves; `None` where there is none.
pub(super) fn basic_verdict(app: &App, headers: &HeaderMap) -> Option<Verdict> {
    let value = headers.get(header::AUTHORIZATION)?;
    let credentials = value.to_str().ok().and_then(parse_basic);
    Some(match credentials {
        Some((name, password)) => app.lock().try_app_password(&name, &password),
        None => Verdict::Wrong,
    })
}

/// Name and password of the Basic scheme (RFC 7617).
fn parse_basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_and_anything_else_is_not() {
        let read = |value| parse_basic(value);
        let ada = Some(("ada".to_owned(), "a:b c".to_owned()));
        assert_eq!(read("Basic YWRhOmE6YiBj"), ada);
        assert_eq!(read("basic YWRhOmE6YiBj"), ada);
        for other in ["Bearer YWRhOmE6YiBj", "Basic", "Basic !!!", "Basic YWRh", "Basic gICA"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
