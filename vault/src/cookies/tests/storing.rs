//! Replacing, deleting, expiring, ordering, protecting and persisting.

use super::{
    super::{Jar, JarError, Refusal, Stored},
    NOW_MS, check_sent, header, jar_of, url,
};
use crate::limits::{COOKIE_MAX_BYTES, COOKIES_MAX};

const X: &str = "https://x.example/";

#[test]
fn the_longest_path_goes_first_and_then_the_oldest() {
    check_sent(&[
        (&[(X, "a=1"), (X, "b=2"), (X, "c=3")], X, "a=1; b=2; c=3"),
        (&[(X, "c=3"), (X, "b=2"), (X, "a=1")], X, "c=3; b=2; a=1"),
        (
            &[(X, "a=1; Path=/"), (X, "b=2; Path=/p/q"), (X, "c=3; Path=/p"), (X, "d=4; Path=/p/q")],
            "https://x.example/p/q",
            "b=2; d=4; c=3; a=1",
        ),
        // WordPress sets one name at two paths.
        (&[(X, "wp=1; Path=/wp-content/plugins"), (X, "wp=1; Path=/wp-admin")], "https://x.example/wp-admin/", "wp=1"),
        // A new value keeps the place of the old one; what was deleted begins anew.
        (&[(X, "a=1"), (X, "b=2"), (X, "a=3")], X, "a=3; b=2"),
        (&[(X, "a=1"), (X, "b=2"), (X, "a=; Max-Age=0"), (X, "a=3")], X, "b=2; a=3"),
    ]);
}

#[test]
fn the_order_holds_even_when_the_clock_is_set_back() {
    let mut jar = Jar::new();
    for (name, now_ms) in [("a", NOW_MS), ("b", NOW_MS - 86_400_000), ("c", i64::MIN), ("d", NOW_MS + 1)] {
        assert_eq!(jar.store(&url(X), format!("{name}=1").as_bytes(), now_ms), Stored::Kept);
    }
    assert_eq!(header(&jar, X, NOW_MS), "a=1; b=1; c=1; d=1");
    assert_eq!(header(&Jar::from_bytes(&jar.to_bytes()).unwrap(), X, NOW_MS), "a=1; b=1; c=1; d=1");
}

#[test]
fn name_domain_host_only_flag_and_path_tell_cookies_apart() {
    let w = "https://www.x.example/";
    check_sent(&[
        (&[(X, "a=1"), (X, "a=2")], X, "a=2"),
        (&[(X, "a=1"), (X, "A=2")], X, "a=1; A=2"),
        (&[(X, "a=1"), (X, "a=2; Domain=x.example")], X, "a=1; a=2"),
        (&[(X, "a=1"), (X, "a=2; Domain=x.example")], w, "a=2"),
        (&[(X, "a=1; Domain=x.example"), (X, "a=2; Domain=.X.EXAMPLE")], X, "a=2"),
        (&[(w, "a=1; Domain=x.example"), (w, "a=2; Domain=www.x.example")], w, "a=1; a=2"),
        (&[(X, "a=1; Path=/"), (X, "a=2")], X, "a=2"),
        (&[(X, "a=1; Path=/"), (X, "a=2; Path=/p")], "https://x.example/p", "a=2; a=1"),
        (&[(X, "a=1; Secure"), (X, "a=2")], X, "a=2"),
    ]);
}

#[test]
fn every_form_of_deletion_deletes() {
    for end in [
        "Max-Age=0",
        "Max-Age=-1",
        "max-age=0; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
        "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "Expires=Thu, 1 Jan 1970 00:00:00 GMT",
        "Expires=Thu, 01 Jan 1970 00:00:00 +0000",
        "Expires=Thu, 01 Jan 1970 00:00:00 UTC",
        "Expires=Thu, 01-Jan-70 00:00:01 GMT",
        "Expires=Thu, 01-Jan-1970 00:00:01 GMT",
        "Expires=Thu Jan  1 00:00:01 1970",
        "Expires=Mon, 01 Jan 1601 00:00:00 GMT",
        "expires=Sat, 02 May 2009 23:38:25 GMT",
        "Expires=Tue, 14 Nov 2023 22:13:20 GMT",
    ] {
        for value in ["", "deleted"] {
            let mut jar = jar_of(&[(X, "a=1"), (X, "b=2")]);
            let line = format!("a={value}; {end}");
            assert_eq!(jar.store(&url(X), line.as_bytes(), NOW_MS), Stored::Deleted, "{line}");
            assert_eq!(header(&jar, X, NOW_MS), "b=2", "{line}");
        }
    }
}

#[test]
fn a_line_that_is_no_deletion_replaces() {
    for end in [
        "Expires=Tue, 14 Nov 2023 22:13:21 GMT",
        "Expires=Fri, 31 Dec 9999 23:59:59 GMT",
        "Expires=0",
        "Expires=never",
        "Max-Age=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "Max-Age=",
    ] {
        let mut jar = jar_of(&[(X, "a=1")]);
        let line = format!("a=2; {end}");
        assert_eq!(jar.store(&url(X), line.as_bytes(), NOW_MS), Stored::Kept, "{line}");
        assert_eq!(header(&jar, X, NOW_MS), "a=2", "{line}");
    }
}

#[test]
fn a_deletion_of_another_scope_leaves_the_cookie() {
    for (kept, gone) in [
        ("a=1; Domain=x.example", "a=; Max-Age=0"),
        ("a=1", "a=; Max-Age=0; Domain=x.example"),
        ("a=1; Path=/", "a=; Max-Age=0; Path=/p"),
        ("a=1", "A=; Max-Age=0"),
    ] {
        let mut jar = jar_of(&[(X, kept)]);
        assert_eq!(jar.store(&url(X), gone.as_bytes(), NOW_MS), Stored::Deleted, "{gone}");
        assert_eq!(header(&jar, X, NOW_MS), "a=1", "{gone} after {kept}");
    }
}

#[test]
fn a_cookie_is_sent_until_it_ends_and_not_after() {
    let jar = jar_of(&[(X, "a=1; Max-Age=60"), (X, "b=2; Expires=Tue, 14 Nov 2023 22:13:50 GMT"), (X, "c=3")]);
    assert_eq!(header(&jar, X, NOW_MS + 29_999), "a=1; b=2; c=3");
    assert_eq!(header(&jar, X, NOW_MS + 30_000), "a=1; c=3");
    assert_eq!(header(&jar, X, NOW_MS + 59_999), "a=1; c=3");
    assert_eq!(header(&jar, X, NOW_MS + 60_000), "c=3");
    assert_eq!(header(&jar, X, i64::MAX), "c=3");
    assert_eq!(jar.names_for(&url(X), NOW_MS + 30_000), ["a", "c"]);
    assert_eq!(jar.earliest_expiry_ms(NOW_MS), Some(NOW_MS + 30_000));
    assert_eq!(jar.earliest_expiry_ms(NOW_MS + 30_000), Some(NOW_MS + 60_000));
    assert_eq!(jar.earliest_expiry_ms(NOW_MS + 60_000), None);
}

#[test]
fn plain_http_neither_hides_nor_deletes_a_secure_cookie() {
    let held = ("https://www.x.example/", "a=1; Secure; Domain=x.example; Path=/p");
    for (at, line, hides) in [
        ("http://www.x.example/", "a=2; Domain=x.example; Path=/p", true),
        ("http://www.x.example/", "a=2; Path=/p/q", true),
        ("http://x.example/", "a=2; Path=/p", true),
        ("http://other.x.example/", "a=2; Domain=x.example; Path=/p", true),
        ("http://www.x.example/", "a=; Max-Age=0; Domain=x.example; Path=/p", true),
        ("http://www.x.example/", "a=2; Path=/", false),
        ("http://www.x.example/", "a=2; Path=/pq", false),
        ("http://www.x.example/", "b=2; Path=/p", false),
        ("http://y.example/", "a=2; Path=/p", false),
        ("https://www.x.example/", "a=2; Path=/p", false),
    ] {
        let mut jar = jar_of(&[held]);
        let want = if hides { Stored::Refused(Refusal::HidesSecure) } else { Stored::Kept };
        assert_eq!(jar.store(&url(at), line.as_bytes(), NOW_MS), want, "{line} from {at}");
        assert!(jar.entries().any(|entry| entry.secure), "{line} from {at}");
    }
}

#[test]
fn a_secure_cookie_of_one_host_is_hidden_by_a_domain_above_but_not_by_a_neighbour() {
    let held = ("https://www.x.example/", "a=1; Secure");
    for (at, line, want) in [
        ("http://other.x.example/", "a=2; Domain=x.example", Stored::Refused(Refusal::HidesSecure)),
        ("http://other.x.example/", "a=2", Stored::Kept),
    ] {
        assert_eq!(jar_of(&[held]).store(&url(at), line.as_bytes(), NOW_MS), want, "{line}");
    }
}

#[test]
fn an_ended_secure_cookie_protects_nothing() {
    let mut jar = jar_of(&[(X, "a=1; Secure; Max-Age=60")]);
    let plain = url("http://x.example/");
    assert_eq!(jar.store(&plain, b"a=2", NOW_MS + 59_999), Stored::Refused(Refusal::HidesSecure));
    assert_eq!(jar.store(&plain, b"a=2", NOW_MS + 60_000), Stored::Kept);
}

#[test]
fn a_cookie_that_returns_after_its_end_is_a_new_one() {
    let mut jar = jar_of(&[(X, "a=1; Max-Age=60"), (X, "b=2")]);
    assert_eq!(jar.store(&url(X), b"a=3", NOW_MS + 60_000), Stored::Kept);
    assert_eq!(header(&jar, X, NOW_MS + 60_000), "b=2; a=3");
    assert_eq!(jar.len(), 2);
}

#[test]
fn a_full_jar_takes_no_more_until_something_ends() {
    let mut jar = Jar::new();
    for n in 0..COOKIES_MAX {
        assert_eq!(jar.store(&url(X), format!("n{n}=1; Max-Age={}", 60 + n).as_bytes(), NOW_MS), Stored::Kept);
    }
    assert_eq!(jar.store(&url(X), b"more=1", NOW_MS), Stored::Refused(Refusal::Full));
    assert_eq!(jar.store(&url(X), b"n7=2", NOW_MS), Stored::Kept);
    assert_eq!(jar.len(), COOKIES_MAX);
    assert_eq!(jar.store(&url(X), b"more=1", NOW_MS + 60_000), Stored::Kept);
    assert_eq!(jar.len(), COOKIES_MAX);
    assert_eq!(Jar::from_bytes(&jar.to_bytes()).map(|jar| jar.len()), Ok(COOKIES_MAX));
}

#[test]
fn the_path_of_the_response_counts_towards_the_length() {
    let at = |bytes: usize| format!("https://x.example/{}/", "p".repeat(bytes));
    let scope = "x.example".len() + "/".len();
    let room = COOKIE_MAX_BYTES - scope - "a".len() - "1".len();
    let mut jar = Jar::new();
    assert_eq!(jar.store(&url(&at(room)), b"a=1", NOW_MS), Stored::Kept);
    assert_eq!(jar.store(&url(&at(room + 1)), b"a=1", NOW_MS), Stored::Refused(Refusal::TooLong));
    assert_eq!(Jar::from_bytes(&jar.to_bytes()).map(|jar| jar.len()), Ok(1));
}

#[test]
fn a_stored_jar_is_the_same_jar() {
    let jar = jar_of(&[
        (X, "session=1; HttpOnly; Secure"),
        (X, "a=2; Domain=x.example; Path=/p; Max-Age=60"),
        (X, "a=3; Path=/p"),
        ("http://[::1]:4000/q/", "ü=ä"),
    ]);
    let again = Jar::from_bytes(&jar.to_bytes()).unwrap();
    assert!(again.entries().eq(jar.entries()));
    for at in [X, "https://x.example/p", "https://www.x.example/p", "http://[::1]/q"] {
        assert_eq!(header(&again, at, NOW_MS), header(&jar, at, NOW_MS), "{at}");
    }
    assert_eq!(*again.to_bytes(), *jar.to_bytes());
    assert_eq!(*jar.duplicate().to_bytes(), *jar.to_bytes());
    assert_eq!(Jar::from_bytes(b"").err(), Some(JarError::Malformed));
}

#[test]
fn no_value_shows_in_debug_or_entries() {
    let jar = jar_of(&[(X, "name=canary; Path=/")]);
    let shown = format!("{jar:?} {:?}", jar.entries().collect::<Vec<_>>());
    assert!(shown.contains("name") && !shown.contains("canary"), "{shown}");
}
