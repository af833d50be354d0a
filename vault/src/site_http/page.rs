//! What a site answered, in the shape that verdicts are read from. Knows no marks.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName};
use url::Url;
use zeroize::Zeroizing;

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
    /// How long the site asks to wait, at most [`crate::limits::RETRY_AFTER_MAX`].
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
    let since = httpdate::parse_http_date(text(headers, &DATE)?).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap};

    use super::{content_type, date_ms};

    #[test]
    fn the_sites_clock_is_read_and_garbage_is_not() {
        for (text, ms) in [("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000)), ("yesterday", None), ("", None)] {
            let headers = HeaderMap::from_iter([(DATE, text.parse().unwrap())]);
            assert_eq!(date_ms(&headers), ms, "{text}");
        }
    }

    #[test]
    fn media_types_are_compared_without_case_and_parameters() {
        for (text, media_type) in [("Text/HTML ; charset=utf-8", "text/html"), ("application/json", "application/json")]
        {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, text.parse().unwrap())]);
            assert_eq!(content_type(&headers).as_deref(), Some(media_type), "{text}");
        }
        assert_eq!(content_type(&HeaderMap::new()), None);
    }
}
