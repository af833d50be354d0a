//! The flat string: in, out, and back in.

use super::{
    super::{FlatError, Jar},
    NOW_MS, header, jar_of, secret, url,
};
use crate::limits::{COOKIE_MAX_BYTES, COOKIES_MAX};

const X: &str = "https://x.example/";

/// Imports `flat` for `origin` into a jar of `lines`; what a request to `origin` carries afterwards.
#[track_caller]
fn check(lines: &[(&str, &str)], origin: &str, flat: &str, want: Result<usize, FlatError>, sent: &str) {
    let mut jar = jar_of(lines);
    assert_eq!(jar.import_flat(&url(origin), &secret(flat), NOW_MS), want, "{flat:?} into {lines:?}");
    assert_eq!(header(&jar, origin, NOW_MS), sent, "{flat:?} into {lines:?}");
}

#[test]
fn a_flat_string_fills_an_empty_jar_in_its_order() {
    check(&[], X, "", Ok(0), "");
    check(&[], X, "b=2; a=1; c=", Ok(3), "b=2; a=1; c=");
    check(&[], X, "b=2;a=1 ;; c=3;", Ok(3), "b=2; a=1; c=3");
    check(&[], X, "a=\"x y\"; b=%3D==; c=ü", Ok(3), "a=\"x y\"; b=%3D==; c=ü");
    check(&[], X, "a=1; a=2", Ok(1), "a=1");
}

#[test]
fn new_names_belong_to_the_origin_host_alone() {
    let mut jar = Jar::new();
    assert_eq!(jar.import_flat(&url("https://x.example/deep/page"), &secret("a=1; __Host-b=2"), NOW_MS), Ok(2));
    assert_eq!(header(&jar, X, NOW_MS), "a=1; __Host-b=2");
    assert_eq!(header(&jar, "https://www.x.example/", NOW_MS), "");
    assert_eq!(header(&jar, "https://example/", NOW_MS), "");
    assert_eq!(header(&jar, "http://x.example/", NOW_MS), "");
    assert!(jar.entries().all(|e| e.host_only && e.secure && e.path == "/" && e.expires_ms.is_none()));
}

#[test]
fn new_names_of_a_plain_origin_travel_over_http_unless_they_promise_not_to() {
    let origin = "http://127.0.0.1:4000/";
    check(&[], origin, "a=1; __Secure-b=2; __host-c=3", Ok(3), "a=1");
}

#[test]
fn a_known_name_keeps_its_scope_and_its_place() {
    check(&[(X, "a=1; Domain=x.example"), (X, "b=2")], X, "b=3; a=4", Ok(2), "a=4; b=3");
    let mut jar = jar_of(&[(X, "a=1; Domain=x.example; Path=/p; HttpOnly")]);
    let before: Vec<_> = jar.entries().map(|e| (e.domain.to_owned(), e.path.to_owned(), e.http_only)).collect();
    assert_eq!(jar.import_flat(&url(X), &secret("a=2"), NOW_MS), Ok(1));
    assert_eq!(header(&jar, "https://www.x.example/p", NOW_MS), "a=2");
    assert!(jar.entries().map(|e| (e.domain.to_owned(), e.path.to_owned(), e.http_only)).eq(before));
}

#[test]
fn names_that_the_string_lacks_stay() {
    check(&[(X, "a=1"), (X, "b=2")], X, "b=3", Ok(1), "a=1; b=3");
    check(&[(X, "a=1")], X, "", Ok(0), "a=1");
}

#[test]
fn cookies_of_other_hosts_are_not_touched() {
    let mut jar = jar_of(&[("https://y.example/", "a=1"), ("https://www.x.example/", "a=2")]);
    assert_eq!(jar.import_flat(&url(X), &secret("a=3"), NOW_MS), Ok(1));
    assert_eq!(header(&jar, "https://y.example/", NOW_MS), "a=1");
    assert_eq!(header(&jar, "https://www.x.example/", NOW_MS), "a=2");
    assert_eq!(header(&jar, X, NOW_MS), "a=3");
}

#[test]
fn the_end_of_a_cookie_holds_for_its_own_value_only() {
    let lines: &[(&str, &str)] = &[(X, "a=1; Max-Age=60"), (X, "b=2; Max-Age=60")];
    let mut jar = jar_of(lines);
    assert_eq!(jar.import_flat(&url(X), &secret("a=1; b=3"), NOW_MS), Ok(2));
    assert_eq!(header(&jar, X, NOW_MS + 59_999), "a=1; b=3");
    assert_eq!(header(&jar, X, NOW_MS + 60_000), "b=3");
}

#[test]
fn an_ended_cookie_is_not_known_any_more() {
    let mut jar = jar_of(&[(X, "a=1; Domain=x.example; Max-Age=60"), (X, "b=1; Path=/; Max-Age=60")]);
    assert_eq!(jar.import_flat(&url(X), &secret("a=2; b=2"), NOW_MS + 60_000), Ok(2));
    assert_eq!(header(&jar, X, NOW_MS + 60_000), "a=2; b=2");
    assert_eq!(header(&jar, "https://www.x.example/", NOW_MS + 60_000), "");
}

#[test]
fn one_name_in_several_scopes_goes_back_to_where_it_came_from() {
    let lines: &[(&str, &str)] =
        &[(X, "a=root; Path=/"), (X, "a=deep; Path=/p"), (X, "a=wide; Domain=x.example; Path=/p"), (X, "a=q; Path=/q")];
    let at = url("https://x.example/p");
    let mut jar = jar_of(lines);
    let flat = jar.export_flat(&at, NOW_MS).unwrap();
    assert!(flat.same(&secret("a=deep; a=wide; a=root")));
    let before = jar.to_bytes();
    assert_eq!(jar.import_flat(&at, &flat, NOW_MS), Ok(3));
    assert_eq!(*jar.to_bytes(), *before);

    // Two values for four scopes: the first two of the order of sending.
    assert_eq!(jar.import_flat(&at, &secret("a=1; a=2"), NOW_MS), Ok(2));
    assert!(jar.export_flat(&at, NOW_MS).unwrap().same(&secret("a=1; a=2; a=root")));
    assert_eq!(header(&jar, "https://x.example/q", NOW_MS), "a=q; a=root");
}

#[test]
fn a_refused_string_changes_nothing() {
    let full = (0..COOKIES_MAX).map(|n| format!("n{n}=;")).collect::<String>();
    let long = format!("a=2; b={}", "x".repeat(COOKIE_MAX_BYTES));
    let held: &[(&str, &str)] = &[(X, "a=1")];
    check(held, X, "a=2\r\nSet-Cookie: b=3", Err(FlatError::ControlCharacter { at: 3 }), "a=1");
    check(held, X, "a=2; b", Err(FlatError::NoName { pair: 2 }), "a=1");
    check(held, X, &long, Err(FlatError::PairTooLong { pair: 2 }), "a=1");
    check(held, X, &full, Err(FlatError::TooMany { cookies: COOKIES_MAX + 1 }), "a=1");
    check(held, "data:,x", "a=2", Err(FlatError::Origin), "");
}

#[test]
fn a_full_string_fits_and_so_does_the_longest_pair() {
    let full = (0..COOKIES_MAX).map(|n| format!("n{n}=;")).collect::<String>();
    let longest = format!("b={}", "x".repeat(COOKIE_MAX_BYTES - "b".len() - "x.example".len() - "/".len()));
    let too_long = format!("{longest}x");
    for (flat, want) in [(full, Ok(COOKIES_MAX)), (longest, Ok(1)), (too_long, Err(FlatError::PairTooLong { pair: 1 }))]
    {
        let mut jar = Jar::new();
        assert_eq!(jar.import_flat(&url(X), &secret(&flat), NOW_MS), want);
        assert_eq!(Jar::from_bytes(&jar.to_bytes()).map(|jar| jar.len()), Ok(want.unwrap_or(0)));
    }
}
