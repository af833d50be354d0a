//! Cookies as text: reading the header of a request, writing the lines of an answer.
//!
//! It does not know which session an id belongs to.

use axum::http::{HeaderMap, header};
use cookie::Cookie;
use jiff::Timestamp;

use crate::behaviour::{Behaviour, CookieLife};
use crate::sessions::Ticket;
use crate::state::SESSION_COOKIE;

/// Names and values of every cookie sent, in their order; two of one name are both kept.
pub(super) fn sent(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| Cookie::split_parse(line.to_owned()))
        .filter_map(Result::ok)
        .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()))
        .collect()
}

/// The cookie of a visit before the login.
pub(super) fn of_visit(id: &str) -> String {
    line(SESSION_COOKIE, id, "/", "")
}

/// The session cookie of a login or a rotation.
pub(super) fn of_session(ticket: &Ticket, behaviour: &Behaviour, now_unix_s: u64) -> String {
    line(SESSION_COOKIE, &ticket.id, "/", &life(ticket, behaviour, now_unix_s))
}

/// Every cookie of a login.
pub(super) fn of_login(ticket: &Ticket, behaviour: &Behaviour, now_unix_s: u64) -> Vec<String> {
    let mut lines = vec![of_session(ticket, behaviour, now_unix_s)];
    if let Some(extra) = &behaviour.extra_cookie {
        lines.push(line(&extra.name, &ticket.extra, &extra.path, &life(ticket, behaviour, now_unix_s)));
    }
    lines
}

/// Deletes every cookie of a login.
pub(super) fn deletions(behaviour: &Behaviour) -> Vec<String> {
    let past = format!("; Expires={}", behaviour.deletion_date);
    let mut lines = vec![line(SESSION_COOKIE, DELETED, "/", &past)];
    if let Some(extra) = &behaviour.extra_cookie {
        lines.push(line(&extra.name, DELETED, &extra.path, &past));
    }
    lines
}

/// A date as HTTP writes it (RFC 9110, section 5.6.7).
pub(super) fn http_date(unix_s: u64) -> String {
    // A clock beyond the year 9999 stays at its end: HTTP dates have four digits.
    let seconds = i64::try_from(unix_s).unwrap_or(i64::MAX);
    let moment = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn line(name: &str, value: &str, path: &str, life: &str) -> String {
    format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{life}")
}

fn life(ticket: &Ticket, behaviour: &Behaviour, now_unix_s: u64) -> String {
    match behaviour.cookie_life {
        CookieLife::Browser => String::new(),
        CookieLife::MaxAge => {
            format!("; Max-Age={}", ticket.ends_at_unix_s.saturating_sub(now_unix_s))
        }
        CookieLife::Expires => format!("; Expires={}", http_date(ticket.ends_at_unix_s)),
    }
}

/// The value of a cookie that is being deleted.
const DELETED: &str = "deleted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_in_rfc_9110() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert!(http_date(u64::MAX).ends_with("9999 22:00:00 GMT"));
    }
}
