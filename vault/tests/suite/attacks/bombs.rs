//! Texts that are small to send and dear to read: endless lines, deep nesting, more values than anybody has.
//!
//! Each parser is given a text at its bound, which it takes, and one that is far beyond, which it refuses. What a costly
//! slot does is in the tests of the slots.

use latchkey_vault::{
    Secret,
    cookies::{FlatError, Jar, Refusal, Stored},
    limits::{COOKIES_MAX, MANAGER_JSON_VALUES_MAX},
    manager_http::{Json, Unusable},
    sites::{Sites, SitesError},
    totp::{Totp, TotpError},
};

/// What a hostile line is long; a thousand times the longest bound would show no more.
const LINE_BYTES: usize = 256 << 20;
/// Levels that would exhaust the stack of a reader that goes down with them.
const LEVELS: usize = 1_000_000;

#[test]
fn attack_39_a_line_of_hundreds_of_megabytes_is_refused_by_every_reader() {
    let line = "a".repeat(LINE_BYTES);
    let url = "https://site.test/".parse().unwrap();
    let mut jar = Jar::new();
    assert!(matches!(Sites::parse(&line), Err(SitesError::TooLarge { .. })));
    assert!(matches!(jar.store(&url, format!("a={line}").as_bytes(), 0), Stored::Refused(Refusal::TooLong)));
    let line = Secret::new(line);
    assert!(matches!(Totp::parse(&line), Err(TotpError::TextTooLong { .. })));
    assert!(matches!(jar.import_flat(&url, &line, 0), Err(FlatError::TooLong { .. })));
    assert_eq!(jar.names_for(&url, 0), [""; 0]);
}

#[test]
fn attack_39_deep_nesting_is_refused_before_it_exhausts_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(Json::parse(nested(100).as_bytes()).is_ok());
        assert_eq!(Json::parse(nested(LEVELS).as_bytes()).err(), Some(Unusable::NotJson));
        assert_eq!(Json::parse(open.repeat(LEVELS).as_bytes()).err(), Some(Unusable::NotJson));
    }
    for text in [format!("site = {}", "[".repeat(LEVELS)), format!("site = {}", "{a=".repeat(LEVELS))] {
        assert!(matches!(Sites::parse(&text), Err(SitesError::Invalid { .. })));
    }
}

#[test]
fn attack_39_many_small_values_are_refused_at_their_bound() {
    let values = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert!(Json::parse(values(MANAGER_JSON_VALUES_MAX - 1).as_bytes()).is_ok());
    assert_eq!(Json::parse(values(MANAGER_JSON_VALUES_MAX * 10).as_bytes()).err(), Some(Unusable::TooLarge));

    let url = "https://site.test/".parse().unwrap();
    let mut jar = Jar::new();
    for no in 0..2 * COOKIES_MAX {
        let kept = matches!(jar.store(&url, format!("c{no}=1").as_bytes(), 0), Stored::Kept);
        assert_eq!(kept, no < COOKIES_MAX, "{no}");
    }
    let flat = |count: usize| Secret::new((0..count).map(|no| format!("{no}=;")).collect());
    assert!(Jar::new().import_flat(&url, &flat(COOKIES_MAX), 0).is_ok());
    assert!(matches!(Jar::new().import_flat(&url, &flat(COOKIES_MAX + 1), 0), Err(FlatError::TooMany { .. })));
}
