//! `Set-Cookie` lines, one a line of the input: nothing is kept that does not go back to where it came from.

#![no_main]

use latchkey_fuzz::Input;
use latchkey_vault::{
    cookies::{Jar, Stored},
    limits::COOKIES_MAX,
};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let now_ms = 1_700_000_000_000;
    let mut jar = Jar::new();
    let head = input.byte();
    for line in input.rest().split(|byte| *byte == b'\n') {
        // The first byte of a line says who answers.
        let mut line = Input::new(line);
        let at: Url = line.one_of(ADDRESSES).parse().unwrap();
        let line = line.rest();
        let before = (jar.len(), jar.to_bytes());
        match jar.store(&at, line, now_ms) {
            Stored::Kept => assert!(jar.len() <= COOKIES_MAX && jar.len() <= before.0 + 1),
            Stored::Deleted => assert!(jar.len() <= before.0),
            Stored::Refused(_) => assert_eq!(*jar.to_bytes(), *before.1),
        }
    }
    let bytes = jar.to_bytes();
    assert_eq!(*Jar::from_bytes(&bytes).unwrap().to_bytes(), *bytes);
    let at: Url = ADDRESSES[usize::from(head) % ADDRESSES.len()].parse().unwrap();
    let names = jar.names_for(&at, now_ms);
    let sent = jar.header_for(&at, now_ms);
    assert_eq!(sent.is_some(), !names.is_empty());
    if let Some(sent) = &sent {
        assert!(!sent.expose().bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'));
    }
    for name in names {
        assert!(jar.entries().any(|entry| entry.name == name && goes_to(&entry, &at, now_ms)));
    }
});

/// The rule of scopes, written a second time: RFC 6265 sections 5.1.3, 5.1.4 and 5.4.
fn goes_to(entry: &latchkey_vault::cookies::CookieEntry<'_>, at: &Url, now_ms: i64) -> bool {
    let host = at.host_str().unwrap();
    let path = at.path();
    let below = path.strip_prefix(entry.path);
    (host == entry.domain || !entry.host_only && host.ends_with(&format!(".{}", entry.domain)))
        && below.is_some_and(|rest| rest.is_empty() || entry.path.ends_with('/') || rest.starts_with('/'))
        && (!entry.secure || at.scheme() == "https")
        && entry.expires_ms.is_none_or(|end| end > now_ms)
}

const ADDRESSES: &[&str] = &[
    "https://x.example/",
    "https://www.x.example/p/q",
    "http://x.example/p",
    "https://y.example/",
    "https://x.github.io/p/",
    "https://127.0.0.1:4000/",
    "http://localhost/p",
];
