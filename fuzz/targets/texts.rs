//! Small texts that others write: origins, base URLs, ids, names, paths, templates, patterns; dates, `Retry-After`, and the
//! manager's timestamps.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use latchkey_fuzz::Input;
use latchkey_vault::{
    AccountId,
    account_api::parse_time,
    cookies::{Jar, Stored},
    limits::RETRY_AFTER_MAX,
    manager_http::BaseUrl,
    retry_after::retry_after,
    sites::{LocationPattern, Origin, PathTemplate, SiteName, SitePath},
    text::{escape_bounded, steers},
};
use libfuzzer_sys::fuzz_target;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use url::Url;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mode = input.byte() % 9;
    let rest = input.rest();
    match mode {
        6 => return expires(rest),
        7 => return wait(rest),
        _ => {}
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match mode {
        0 => origin(text),
        1 => base_url(text),
        2 => {
            if let Ok(id) = text.parse::<AccountId>() {
                assert!(id.to_string().eq_ignore_ascii_case(text));
            }
            if let Ok(name) = SiteName::try_from(text.to_owned()) {
                assert_eq!(SiteName::try_from(name.as_str().to_owned()).as_ref(), Ok(&name));
            }
        }
        3 => template(text),
        4 => pattern(text),
        5 => {
            let shown = escape_bounded(text, 40);
            assert!(shown.chars().count() <= 41 && !shown.contains(steers));
        }
        _ => {
            if let Some(time) = parse_time(text) {
                assert_eq!(parse_time(&time.to_string()), Some(time));
            }
        }
    }
});

fn origin(text: &str) {
    let Ok(origin) = Origin::try_from(text.to_owned()) else { return };
    let url = origin.url();
    assert!(origin.holds(url) && matches!(url.scheme(), "http" | "https") && url.path() == "/");
    assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none());
    let again = Origin::try_from(origin.to_string()).unwrap();
    assert!(again == origin && again.is_confidential() == origin.is_confidential());
}

fn base_url(text: &str) {
    for allow_http in [false, true] {
        let Ok(base) = BaseUrl::parse(text, allow_http) else { continue };
        let shown = base.to_string();
        assert!(!shown.contains('@') || Url::parse(&shown).is_ok_and(|url| url.username().is_empty()));
        assert!(BaseUrl::parse(&shown, allow_http).is_ok_and(|again| again == base), "{shown}");
    }
}

fn template(text: &str) {
    if let Ok(path) = SitePath::try_from(text.to_owned()) {
        assert!(path.as_str() == text && stays(text));
    }
    let Ok(template) = PathTemplate::try_from(text.to_owned()) else { return };
    let filled = template.fill(Some("../a b"), "//x?#{marker}", "m").unwrap();
    assert!(stays(&filled), "{filled}");
    assert_eq!(template.fill(None, "t", "m").is_none(), text.contains("{username}"));
}

/// Whether a path, joined to an origin, stays there.
fn stays(path: &str) -> bool {
    let root: Url = "https://x.example/".parse().unwrap();
    root.join(path).is_ok_and(|url| url.origin() == root.origin())
}

/// Pattern and path, one a line. The matcher is compared with the obvious recursive one.
fn pattern(text: &str) {
    let (pattern, path) = text.split_once('\n').unwrap_or((text, ""));
    let (Ok(pattern), Ok(url)) = (
        LocationPattern::try_from(pattern.to_owned()),
        "https://x.example/".parse::<Url>().unwrap().join(path),
    ) else {
        return;
    };
    let target = match url.query().filter(|_| pattern.as_str().contains('?')) {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    if pattern.as_str().len() <= 64 && target.len() <= 256 {
        assert_eq!(pattern.matches(&url), matches(pattern.as_str().as_bytes(), target.as_bytes()));
    }
}

/// By a table: whether the first p bytes of the pattern match the first t bytes of the text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        for (t, found) in text.iter().enumerate() {
            next[t + 1] = match wanted {
                b'*' => !matches!(found, b'/' | b'?' | b'#') && (row[t] || next[t]),
                _ => row[t] && wanted == found,
            };
        }
        row = next;
    }
    row[text.len()]
}

fn expires(text: &[u8]) {
    let at: Url = "https://x.example/".parse().unwrap();
    let line = [b"a=b; Expires=".as_slice(), text].concat();
    let mut jar = Jar::new();
    if jar.store(&at, &line, i64::MIN) != Stored::Kept {
        return;
    }
    let Some(end_ms) = jar.entries().next().unwrap().expires_ms else { return };
    // An attribute of the fuzzer's own may say anything; a date lies between 1601 and 9999 and is a whole second.
    if !text.contains(&b';') {
        assert!((-11_644_473_600_000..=253_402_300_799_000).contains(&end_ms) && end_ms % 1000 == 0);
        // What our reader says it is, written as HTTP writes dates, is the same moment.
        if let Ok(since_1970_ms) = u64::try_from(end_ms) {
            let shown = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(since_1970_ms));
            let mut again = Jar::new();
            let _ = again.store(&at, format!("a=b; Expires={shown}").as_bytes(), i64::MIN);
            assert_eq!(again.entries().next().unwrap().expires_ms, Some(end_ms));
        }
    }
}

/// Two header values, one a line: `Retry-After` and `Date`.
fn wait(text: &[u8]) {
    let mut lines = text.splitn(2, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [RETRY_AFTER, DATE] {
        if let Some(value) = lines.next().and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.insert(name, value);
        }
    }
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert!(retry_after(&headers, now).is_none_or(|wait| wait <= RETRY_AFTER_MAX));
}
