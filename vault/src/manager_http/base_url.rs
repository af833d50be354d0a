//! Where the manager's API begins, parsed once. Knows nothing of the calls below it.

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

/// The manager's address: everything before `/api/v1`.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no base URL of a manager.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// It is no absolute URL with a host.
    #[error("the manager's base URL is not a URL: https://manager.example is expected")]
    NotAUrl,
    /// Its scheme is neither https nor http.
    #[error("the manager's base URL must begin with https://")]
    Scheme,
    /// It is plain http to another machine.
    #[error("the manager's base URL is plain http to another machine: use https, or allow http explicitly")]
    PlainHttp,
    /// It holds a username or a password.
    #[error("the manager's base URL must not hold a username or a password: the API key is configured apart from it")]
    Credentials,
    /// It has a query or a fragment.
    #[error("the manager's base URL must not have a query or a fragment")]
    QueryOrFragment,
    /// It goes on into the API.
    #[error("the manager's base URL must end before /api/v1")]
    ApiPath,
}

impl BaseUrl {
    /// Reads a base URL: https, or http to a loopback address or to `localhost`, or any http where `allow_http`.
    ///
    /// A path is kept (a manager may live below one); a slash at its end makes no difference.
    ///
    /// # Errors
    /// See [`BaseUrlError`]. It does not hold the text, which may hold a password.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, BaseUrlError> {
        let mut url = Url::parse(text.trim()).map_err(|_| BaseUrlError::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if allow_http || is_loopback(&url) => {}
            "http" => return Err(BaseUrlError::PlainHttp),
            _ => return Err(BaseUrlError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::QueryOrFragment);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if format!("{path}/").contains("/api/v1/") {
            return Err(BaseUrlError::ApiPath);
        }
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The URL of `segments` below `/api/v1`, each percent-encoded. Empty and dotted segments are the caller's to refuse.
    pub(super) fn join(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use proptest::prelude::*;

    use super::{BaseUrl, BaseUrlError};

    #[test]
    fn https_and_loopback_http_are_accepted() {
        for (text, allow_http, below) in [
            ("https://manager.example", false, "https://manager.example/api/v1/social/links"),
            ("https://manager.example/", false, "https://manager.example/api/v1/social/links"),
            (
                " https://manager.example:8443/below/it// ",
                false,
                "https://manager.example:8443/below/it/api/v1/social/links",
            ),
            ("http://127.0.0.1:8080", false, "http://127.0.0.1:8080/api/v1/social/links"),
            ("http://[::1]:8080", false, "http://[::1]:8080/api/v1/social/links"),
            ("http://localhost", false, "http://localhost/api/v1/social/links"),
            ("http://manager.internal", true, "http://manager.internal/api/v1/social/links"),
        ] {
            let url = BaseUrl::parse(text, allow_http).unwrap();
            assert_eq!(url.join(&["social", "links"], &[]).as_str(), below);
        }
    }

    #[test]
    fn other_texts_are_refused_with_their_reason() {
        for (text, reason) in [
            ("", BaseUrlError::NotAUrl),
            ("manager.example", BaseUrlError::NotAUrl),
            ("https://", BaseUrlError::NotAUrl),
            ("ftp://manager.example", BaseUrlError::Scheme),
            ("file:///etc/passwd", BaseUrlError::Scheme),
            ("http://manager.example", BaseUrlError::PlainHttp),
            ("http://127.0.0.1.example", BaseUrlError::PlainHttp),
            ("http://localhost.example", BaseUrlError::PlainHttp),
            ("https://user:word@manager.example", BaseUrlError::Credentials),
            ("https://manager.example/?key=1", BaseUrlError::QueryOrFragment),
            ("https://manager.example/#top", BaseUrlError::QueryOrFragment),
            ("https://manager.example/api/v1", BaseUrlError::ApiPath),
            ("https://manager.example/api/v1/social/", BaseUrlError::ApiPath),
        ] {
            assert_eq!(BaseUrl::parse(text, false), Err(reason), "{text}");
        }
    }

    #[test]
    fn ids_and_queries_are_percent_encoded() {
        let base = BaseUrl::parse("https://manager.example", false).unwrap();
        let url = base.join(&["social", "links", "a/b?c#d e%2F", "đ"], &[("limit", "5"), ("status", "a&b")]);
        assert_eq!(url.path(), "/api/v1/social/links/a%2Fb%3Fc%23d%20e%252F/%C4%91");
        assert_eq!(url.query(), Some("limit=5&status=a%26b"));
    }

    proptest! {
        #[test]
        fn what_is_taken_reads_back_as_the_same_and_calls_stay_below_it(
            text in "\\PC{0,30}|https?://([a-z0-9.-]{1,12}|\\[::1\\]|127\\.0\\.0\\.1)(:[0-9]{1,5})?[/a-z.%@?#0-9]{0,20}",
            id in "\\PC{1,20}",
            allow_http: bool,
        ) {
            if let Ok(base) = BaseUrl::parse(&text, allow_http) {
                prop_assert!(BaseUrl::parse(&base.to_string(), allow_http).is_ok_and(|again| again == base));
                prop_assume!(id != "." && id != "..");
                let url = base.join(&["social", &id], &[("limit", &id)]);
                let below = format!("{}/api/v1/social/", base.to_string().trim_end_matches('/'));
                prop_assert!(url.as_str().starts_with(&below), "{url} {below}");
                prop_assert_eq!(url.path_segments().unwrap().count(), below.split('/').count() - 3);
            }
        }
    }
}
