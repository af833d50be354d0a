//! The table of verdicts: which answers prove what.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::super::site_http::testing::{page, site};
use super::{Block, Evidence, Verdict, judge};
use crate::limits::EVIDENCE_MAX_CHARS;

const LINES: &str = r##"origins = ["https://a.example"]
[site.login]
driver = "form"
page = "/login"
form = "#login"
username_field = "u"
password_field = "p"
probe = "/home"
logged_in = { selector = "#whoami" }
logged_out = [{ selector = "#login", status = 200 }, { text = "signed out" }, { location = "/bye" }]
locked = { selector = ".notice", text = "locked" }
banned = { selector = ".banned" }
challenge = { selector = "#captcha" }
"##;

#[test]
fn a_verdict_needs_its_evidence() {
    let site = site(LINES);
    let login = site.login_form().unwrap();
    let rows: [(u16, &str, &[&str], Verdict, &str); 19] = [
        (200, "<b id=whoami>amy", &[], Verdict::Live, "logged_in[0]"),
        (404, "<b id=whoami>amy", &[], Verdict::Live, "logged_in[0]"),
        (200, "<form id=login>", &[], Verdict::Expired, "logged_out[0]"),
        (403, "<form id=login>", &[], Verdict::Unknown, "no mark"),
        (200, "You are signed out.", &[], Verdict::Expired, "logged_out[1]"),
        (200, "", &["/bye"], Verdict::Expired, "logged_out[2]"),
        (200, "", &["/bye", "/start"], Verdict::Expired, "logged_out[2]"),
        (200, "", &["/login?next=%2Fhome"], Verdict::Expired, "redirect to the login page"),
        (200, "", &["/login", "/home"], Verdict::Unknown, "no mark"),
        (401, "", &[], Verdict::Expired, "status 401"),
        (403, "", &[], Verdict::Unknown, "no mark"),
        (200, "", &[], Verdict::Unknown, "no mark"),
        (200, "<b id=whoami>amy<form id=login>", &[], Verdict::Unknown, "contradicts"),
        (503, "<form id=login>", &[], Verdict::Unknown, "status is no verdict"),
        (500, "<b id=whoami>amy", &[], Verdict::Unknown, "status is no verdict"),
        (429, "<form id=login>", &["/login"], Verdict::Unknown, "status is no verdict"),
        (200, "<p class=notice>It is locked.", &[], Verdict::Blocked(Block::Locked), "locked[0]"),
        (403, "<p class=banned><b id=whoami>", &[], Verdict::Blocked(Block::Banned), "banned[0]"),
        (503, "<p id=captcha>", &[], Verdict::Blocked(Block::Challenge), "challenge[0]"),
    ];
    for (status, body, locations, verdict, mark) in rows {
        let evidence = judge(&page(status, body, locations), login);
        assert!(evidence.verdict == verdict && evidence.mark.contains(mark), "{status} {body}: {evidence:?}");
        assert_eq!(evidence.status, Some(status));
    }
    let unlocked = judge(
        &page(200, "<p class=notice>Welcome. <i>It is locked.</i>".replace("locked", "open").as_str(), &[]),
        login,
    );
    assert_eq!(unlocked.verdict, Verdict::Unknown, "the element without the text is no mark");
}

#[test]
fn evidence_is_one_bounded_line_that_steers_no_terminal() {
    let mark = Evidence::new(Verdict::Unknown, "a\u{1b}[31m\r\nb\u{202e}c").mark;
    assert_eq!(mark, "a\\u{1b}[31m\\u{d}\\u{a}b\\u{202e}c");
    let long = Evidence::new(Verdict::Unknown, &"é".repeat(EVIDENCE_MAX_CHARS + 1)).mark;
    assert_eq!(long.trim_end_matches('…').chars().count(), EVIDENCE_MAX_CHARS);
}

#[test]
fn a_page_too_deep_to_be_read_proves_nothing_either_way() {
    let site = site(LINES);
    let login = site.login_form().unwrap();
    for shown in ["<b id=whoami>amy", "<form id=login>", "You are signed out."] {
        let deep = |depth: usize| judge(&page(200, &format!("{shown}{}", "<div>".repeat(depth)), &[]), login);
        assert_ne!(deep(300).verdict, Verdict::Unknown, "{shown}");
        let evidence = deep(100_000);
        assert_eq!(evidence.verdict, Verdict::Unknown, "{shown}");
        assert!(evidence.mark.contains("too deeply"), "{}", evidence.mark);
    }
}
