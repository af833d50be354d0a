//! `Retry-After` (RFC 9110 section 10.2.3), read the same way from the manager and from sites. Waits for nothing itself.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::limits::RETRY_AFTER_MAX;

/// How long the sender of `headers` asks to be left alone; `None` when it does not say or says it illegibly.
///
/// Seconds and all three forms of an HTTP date are read. A date is measured from the answer's own `Date`, so that a wrong
/// clock on either side does not matter, and from `now` where there is none. The result is between zero (a date that has
/// passed) and [`RETRY_AFTER_MAX`].
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number above u64 fails to parse here, and every such number is above the bound.
        return Some(text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs).min(RETRY_AFTER_MAX));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let from = header(headers, DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(until.duration_since(from).unwrap_or(Duration::ZERO).min(RETRY_AFTER_MAX))
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::{Duration, SystemTime};

    use proptest::{collection, prelude::*};
    use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

    use super::{RETRY_AFTER_MAX, retry_after};

    const NOW: &str = "Sun, 06 Nov 1994 08:49:00 GMT";

    #[track_caller]
    fn check(retry: Option<&str>, date: Option<&str>, expected_s: Option<u64>) {
        let mut headers = HeaderMap::new();
        for (name, value) in [(RETRY_AFTER, retry), (DATE, date)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let now = httpdate::parse_http_date(NOW).unwrap();
        assert_eq!(retry_after(&headers, now), expected_s.map(Duration::from_secs), "{retry:?}");
    }

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        check(Some("0"), None, Some(0));
        check(Some("120"), None, Some(120));
        check(Some(" 7 "), None, Some(7));
        check(Some("3601"), None, Some(3600));
        check(Some("99999999999999999999999999"), None, Some(3600));
        check(Some("Sun, 06 Nov 1994 08:49:37 GMT"), None, Some(37));
        check(Some("Sunday, 06-Nov-94 08:49:37 GMT"), None, Some(37));
        check(Some("Sun Nov  6 08:49:37 1994"), None, Some(37));
        check(Some("Sun, 06 Nov 1994 08:48:00 GMT"), None, Some(0));
        check(Some("Fri, 31 Dec 2100 23:59:59 GMT"), None, Some(3600));
    }

    #[test]
    fn a_date_is_measured_from_the_date_of_the_answer() {
        check(Some("Tue, 01 Jan 2030 00:00:30 GMT"), Some("Tue, 01 Jan 2030 00:00:00 GMT"), Some(30));
        check(Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some("yesterday"), Some(37));
    }

    #[test]
    fn what_is_neither_says_nothing() {
        for value in ["", "-1", "1.5", "soon", "12s", "0x10"] {
            check(Some(value), None, None);
        }
        check(None, None, None);
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_the_wait_is_bounded(
            retry in collection::vec(32..=126_u8, 0..40),
            date in collection::vec(32..=255_u8, 0..40),
            seconds: u64,
        ) {
            for retry in [retry, seconds.to_string().into_bytes()] {
                let mut headers = HeaderMap::new();
                headers.insert(RETRY_AFTER, HeaderValue::from_bytes(&retry).unwrap());
                if let Ok(date) = HeaderValue::from_bytes(&date) {
                    headers.insert(DATE, date);
                }
                let wait = retry_after(&headers, SystemTime::UNIX_EPOCH);
                prop_assert!(wait.is_none_or(|wait| wait <= RETRY_AFTER_MAX));
            }
        }
    }
}
