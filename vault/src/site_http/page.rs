//! What a site answered, in the shape that verdicts are read from. Knows no marks.

use std::{fmt, time::Duration};

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use url::Url;
use zeroize::Zeroizing;

use crate::limits::RETRY_AFTER_MAX_S;

/// The final answer to a request, and the way to it.
///
/// `Debug` shows neither body nor query: both may carry tokens.
#[non_exhaustive]
pub struct Page {
    /// Where the answer came from.
    pub url: Url,
    /// Its status.
    pub status: u16,
    /// The redirects on the way, in order. The last one was not followed where the request said so.
    pub hops: Vec<Hop>,
    /// The body as text (invalid UTF-8 replaced), at most [`crate::limits::SITE_BODY_MAX_BYTES`] bytes.
    pub body: Zeroizing<String>,
    /// The media type without parameters, in lower case.
    pub content_type: Option<String>,
    /// How long the site asks to wait, at most [`RETRY_AFTER_MAX_S`].
    pub retry_after: Option<Duration>,
    /// The site's clock as its `Date` header says, in Unix milliseconds.
    pub date_ms: Option<i64>,
    /// The names of the cookies that the site deleted on the way.
    pub deleted_cookies: Vec<String>,
}

/// One redirect.
#[derive(Clone)]
#[non_exhaustive]
pub struct Hop {
    /// Its status.
    pub status: u16,
    /// Where it leads.
    pub to: Url,
}

impl Page {
    /// Whether a redirect was on the way, and the answer is at `path` (query aside).
    #[must_use]
    pub fn was_redirected_to(&self, path: &str) -> bool {
        self.hops.last().is_some_and(|hop| hop.to.path() == path)
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("status", &self.status)
            .field("origin", &self.url.origin().ascii_serialization())
            .field("hops", &self.hops.len())
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hop({} to {})", self.status, self.to.origin().ascii_serialization())
    }
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let media_type = text(headers, &CONTENT_TYPE)?.split(';').next()?;
    Some(media_type.trim().to_ascii_lowercase())
}

/// `Date` (RFC 9110 section 6.6.1) in Unix milliseconds.
pub(super) fn date_ms(headers: &HeaderMap) -> Option<i64> {
    http_date(text(headers, &DATE)?).map(Timestamp::as_millisecond)
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date.
pub(super) fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = text(headers, &RETRY_AFTER)?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = http_date(text)?.as_millisecond();
            Duration::from_millis(u64::try_from(until.saturating_sub(now_ms)).unwrap_or(0))
        }
    };
    Some(wait.min(Duration::from_secs(RETRY_AFTER_MAX_S)))
}

/// The form that servers send (RFC 9110 section 5.6.7, IMF-fixdate), which is also RFC 2822's; its weekday adds nothing.
fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

    use super::{RETRY_AFTER_MAX_S, date_ms, retry_after};

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_and_is_bounded() {
        // 1994-11-06T08:49:37Z, the example date of RFC 9110.
        let now_ms = 784_111_777_000;
        let rows = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(RETRY_AFTER_MAX_S)),
            ("99999999999999", Some(RETRY_AFTER_MAX_S)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in rows {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now_ms), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn the_sites_clock_is_read_and_garbage_is_not() {
        for (text, ms) in [("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000)), ("yesterday", None)] {
            let headers = HeaderMap::from_iter([(DATE, text.parse().unwrap())]);
            assert_eq!(date_ms(&headers), ms, "{text}");
        }
    }
}
