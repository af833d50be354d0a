//! One `Set-Cookie` line read into its parts (RFC 6265 section 5.2). It does not know where the line came from, so it
//! decides nothing about scope.

use super::{Refusal, date, entry};
use crate::limits::COOKIE_MAX_BYTES;

/// What a line says, with the attributes that this jar obeys; `SameSite`, `Partitioned` and unknown ones are passed over,
/// since nothing here is a browser with third parties.
pub(super) struct SetCookie<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// The last `Domain` that was not empty.
    pub(super) domain: Option<&'a str>,
    /// The last `Path`, if it begins with `/`; otherwise the default path holds.
    pub(super) path: Option<&'a str>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    max_age_s: Option<i64>,
    expires_ms: Option<i64>,
}

impl<'a> SetCookie<'a> {
    /// Reads one header value.
    ///
    /// # Errors
    /// [`Refusal`]: `TooLong`, `NotUtf8`, `ControlCharacter` or `NoName`.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Refusal> {
        if line.len() > COOKIE_MAX_BYTES {
            return Err(Refusal::TooLong);
        }
        let line = str::from_utf8(line).map_err(|_| Refusal::NotUtf8)?;
        if entry::control_at(line).is_some() {
            return Err(Refusal::ControlCharacter);
        }
        let mut parts = line.split(';');
        let (name, value) = parts.next().and_then(entry::split_pair).ok_or(Refusal::NoName)?;
        let mut cookie = Self {
            name,
            value,
            domain: None,
            path: None,
            secure: false,
            http_only: false,
            max_age_s: None,
            expires_ms: None,
        };
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            cookie.obey(entry::trim(attribute), entry::trim(value));
        }
        Ok(cookie)
    }

    /// When the cookie ends, in Unix milliseconds; `Max-Age` goes before `Expires`, neither means with the session.
    pub(super) fn expires_ms(&self, now_ms: i64) -> Option<i64> {
        match self.max_age_s {
            Some(seconds) if seconds <= 0 => Some(i64::MIN),
            Some(seconds) => Some(now_ms.saturating_add(seconds.saturating_mul(1000))),
            None => self.expires_ms,
        }
    }

    /// Takes one attribute; of several with one name the last readable one counts (RFC 6265 section 5.3).
    fn obey(&mut self, attribute: &str, value: &'a str) {
        let is = |name: &str| attribute.eq_ignore_ascii_case(name);
        if is("Expires") {
            self.expires_ms = date::parse_ms(value).or(self.expires_ms);
        } else if is("Max-Age") {
            self.max_age_s = max_age_s(value).or(self.max_age_s);
        } else if is("Domain") {
            self.domain = Some(value).filter(|domain| !domain.is_empty()).or(self.domain);
        } else if is("Path") {
            self.path = value.starts_with('/').then_some(value);
        } else if is("Secure") {
            self.secure = true;
        } else if is("HttpOnly") {
            self.http_only = true;
        }
    }
}

/// RFC 6265 section 5.2.2: digits with an optional minus; more than fits means for ever.
fn max_age_s(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let past = digits.len() < text.len();
    Some(text.parse().unwrap_or(if past { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::SetCookie;
    use crate::{cookies::Refusal, limits::COOKIE_MAX_BYTES};

    const NOW_MS: i64 = 1_700_000_000_000;

    /// A line, and the name and value to be read from it.
    type PairRow<'a> = (&'a str, Result<(&'a str, &'a str), Refusal>);
    /// A line, and its domain, path, Secure and HttpOnly.
    type AttributeRow<'a> = (&'a str, Option<&'a str>, Option<&'a str>, bool, bool);

    #[track_caller]
    fn check_pairs(rows: &[PairRow<'_>]) {
        for (line, want) in rows {
            let got = SetCookie::parse(line.as_bytes()).map(|cookie| (cookie.name, cookie.value));
            assert_eq!(got, *want, "{line:?}");
        }
    }

    #[test]
    fn names_and_values_are_read_as_section_5_2_says() {
        check_pairs(&[
            ("a=b", Ok(("a", "b"))),
            ("a=", Ok(("a", ""))),
            ("a=b=c", Ok(("a", "b=c"))),
            ("a==", Ok(("a", "="))),
            (" a = b ", Ok(("a", "b"))),
            ("\ta\t=\tb\t", Ok(("a", "b"))),
            ("a=b c", Ok(("a", "b c"))),
            ("a=\"b\"", Ok(("a", "\"b\""))),
            ("a=\" b \"", Ok(("a", "\" b \""))),
            ("a=b%20c+d", Ok(("a", "b%20c+d"))),
            ("a=b,c", Ok(("a", "b,c"))),
            ("a={\"k\":1}", Ok(("a", "{\"k\":1}"))),
            ("a=ü", Ok(("a", "ü"))),
            ("ü=b", Ok(("ü", "b"))),
            ("a b=c", Ok(("a b", "c"))),
            ("a=b;", Ok(("a", "b"))),
            ("a=b;;;", Ok(("a", "b"))),
            ("a=b; c=d", Ok(("a", "b"))),
            ("$Version=1", Ok(("$Version", "1"))),
            ("Path=x", Ok(("Path", "x"))),
            ("a=\u{a0}b\u{a0}", Ok(("a", "\u{a0}b\u{a0}"))),
        ]);
    }

    #[test]
    fn lines_without_a_name_or_with_control_characters_are_refused() {
        check_pairs(&[
            ("", Err(Refusal::NoName)),
            (";", Err(Refusal::NoName)),
            ("a", Err(Refusal::NoName)),
            ("=b", Err(Refusal::NoName)),
            (" \t=b", Err(Refusal::NoName)),
            ("=__Host-a=b", Err(Refusal::NoName)),
            ("; a=b", Err(Refusal::NoName)),
            ("a=b\r\nX: y", Err(Refusal::ControlCharacter)),
            ("a=b\0", Err(Refusal::ControlCharacter)),
            ("a=b; Path=/\u{7f}", Err(Refusal::ControlCharacter)),
            ("a=\u{1b}[2J", Err(Refusal::ControlCharacter)),
        ]);
    }

    #[test]
    fn lines_that_are_too_long_or_no_text_are_refused_and_the_longest_is_taken() {
        let longest = format!("a={}", "b".repeat(COOKIE_MAX_BYTES - 2));
        assert_eq!(SetCookie::parse(longest.as_bytes()).map(|cookie| cookie.value.len()), Ok(COOKIE_MAX_BYTES - 2));
        assert_eq!(SetCookie::parse(format!("{longest}b").as_bytes()).err(), Some(Refusal::TooLong));
        assert_eq!(SetCookie::parse(b"a=\xff").err(), Some(Refusal::NotUtf8));
    }

    #[test]
    fn attributes_are_read_in_any_case_and_the_last_readable_one_counts() {
        let rows: &[AttributeRow<'_>] = &[
            ("a=b", None, None, false, false),
            ("a=b; secure; HTTPONLY", None, None, true, true),
            ("a=b; Secure=false; HttpOnly=no", None, None, true, true),
            ("a=b;dOmAiN = x.example ; pAtH = /p ", Some("x.example"), Some("/p"), false, false),
            ("a=b; Domain=x.example; Domain=y.example", Some("y.example"), None, false, false),
            ("a=b; Domain=x.example; Domain=", Some("x.example"), None, false, false),
            ("a=b; Domain", None, None, false, false),
            ("a=b; Path=/p; Path=/q", None, Some("/q"), false, false),
            ("a=b; Path=/p; Path=", None, None, false, false),
            ("a=b; Path=p", None, None, false, false),
            ("a=b; Path=/p=q", None, Some("/p=q"), false, false),
            ("a=b; Path=\"/\"", None, None, false, false),
            ("a=b; SameSite=None; Partitioned; Priority=High; x", None, None, false, false),
        ];
        for (line, domain, path, secure, http_only) in rows {
            let got = SetCookie::parse(line.as_bytes()).unwrap();
            assert_eq!(
                (got.domain, got.path, got.secure, got.http_only),
                (*domain, *path, *secure, *http_only),
                "{line}"
            );
        }
    }

    #[test]
    fn max_age_goes_before_expires_and_unreadable_ones_are_passed_over() {
        let rows: &[(&str, Option<i64>)] = &[
            ("a=b", None),
            ("a=b; Max-Age=60", Some(NOW_MS + 60_000)),
            ("a=b; Max-Age=0", Some(i64::MIN)),
            ("a=b; Max-Age=-1", Some(i64::MIN)),
            ("a=b; Max-Age=060", Some(NOW_MS + 60_000)),
            ("a=b; Max-Age=60; Max-Age=120", Some(NOW_MS + 120_000)),
            ("a=b; Max-Age=60; Max-Age=x", Some(NOW_MS + 60_000)),
            ("a=b; Max-Age=99999999999999999999", Some(i64::MAX)),
            ("a=b; Max-Age=-99999999999999999999", Some(i64::MIN)),
            ("a=b; Max-Age=9223372036854775807", Some(i64::MAX)),
            ("a=b; Max-Age=+60", None),
            ("a=b; Max-Age=6e1", None),
            ("a=b; Max-Age=-", None),
            ("a=b; Max-Age=", None),
            ("a=b; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", Some(NOW_MS + 60_000)),
            ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", Some(NOW_MS + 60_000)),
            ("a=b; Expires=Thu, 1 Jan 1970 00:00:01 UTC", Some(1000)),
            ("a=b; Expires=never", None),
            ("a=b; Expires=01 Jan 1970 00:00:01; Expires=never", Some(1000)),
        ];
        for (line, want) in rows {
            assert_eq!(SetCookie::parse(line.as_bytes()).unwrap().expires_ms(NOW_MS), *want, "{line}");
        }
    }
}
