//! The IETF HTTP state group's own cases for RFC 6265, run against the jar and the date parser.
//!
//! Where they come from, and under which licence: `vault/tests/vectors/http-state/README.md`.

use serde::Deserialize;

use super::{super::date, Jar, header, url};

/// One case: lines received from [`FROM`], and the cookies that a request has to carry.
#[derive(Deserialize)]
struct Case {
    test: String,
    received: Vec<String>,
    sent: Vec<Pair>,
    #[serde(rename = "sent-to")]
    sent_to: Option<String>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    value: String,
}

/// A date, and what it is read as; none where it has to be refused.
#[derive(Deserialize)]
struct Date {
    test: String,
    expected: Option<String>,
}

/// The header that the jar sends after a case.
fn sent(case: &Case) -> String {
    let from = url(&format!("{FROM}?{}", case.test));
    let to = from.join(case.sent_to.as_deref().unwrap_or("/cookie-parser-result")).unwrap();
    let mut jar = Jar::new();
    for line in &case.received {
        let _ = jar.store(&from, line.as_bytes(), THEN_MS);
    }
    header(&jar, to.as_str(), THEN_MS)
}

#[test]
fn the_jar_passes_every_applicable_case_of_the_http_state_group() {
    let cases: Vec<Case> = serde_json::from_str(PARSER).unwrap();
    let mut differ = Vec::new();
    for case in &cases {
        let want = case.sent.iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect::<Vec<_>>().join("; ");
        let got = sent(case);
        if got != want {
            differ.push(case.test.as_str());
        }
    }
    // A case that came to agree is taken off the list, so that it does not hide a later difference.
    assert_eq!(differ, NOT_APPLICABLE.map(|(test, _)| test));
    assert_eq!(cases.len(), 222);
}

#[test]
fn the_date_parser_passes_every_case_of_the_http_state_group() {
    let mut count = 0;
    for text in [BSD_DATES, DATES] {
        for case in serde_json::from_str::<Vec<Date>>(text).unwrap() {
            let want = case
                .expected
                .as_deref()
                .map(|date| jiff::fmt::rfc2822::parse(date).unwrap().timestamp().as_millisecond());
            assert_eq!(date::parse_ms(&case.test), want, "{}", case.test);
            count += 1;
        }
    }
    assert_eq!(count, 70);
}

/// Cases that ask for something else than RFC 6265 or this jar does, each with the reason.
const NOT_APPLICABLE: [(&str, &str); 3] = [
    ("DISABLED_CHROMIUM0022", "a NUL in a value: RFC 6265bis section 5.6 refuses the line, and so does this jar"),
    ("DISABLED_CHROMIUM0023", "a line break in a value: the same"),
    ("DISABLED_PATH0029", "a path is compared as it stands, not decoded (RFC 6265 section 5.1.4)"),
];
/// Where every line of the cases comes from.
const FROM: &str = "http://home.example.org/cookie-parser";
/// 2010-01-01T00:00:00Z: the cases take dates from 2017 on for the future.
const THEN_MS: i64 = 1_262_304_000_000;
const PARSER: &str = include_str!("../../../tests/vectors/http-state/parser.json");
const BSD_DATES: &str = include_str!("../../../tests/vectors/http-state/bsd-examples.json");
const DATES: &str = include_str!("../../../tests/vectors/http-state/examples.json");
