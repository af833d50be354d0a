//! The flat cookie string: refused whole, or taken in a way that gives the same string back.

#![no_main]

use latchkey_fuzz::Input;
use latchkey_vault::{
    Secret,
    cookies::Jar,
    limits::{COOKIES_MAX, FLAT_COOKIE_MAX_BYTES},
};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let origin: Url = input.one_of(ORIGINS).parse().unwrap();
    let mut jar = Jar::new();
    if input.byte() & 1 == 1 {
        let _ = jar.store(&origin, b"a=1; Path=/deep; Max-Age=5", 0);
        let _ = jar.store(&origin, b"a=2; Path=/", 0);
    }
    let Ok(text) = std::str::from_utf8(input.rest()) else { return };
    let before = jar.to_bytes();
    let flat = Secret::copy_of(text);
    match jar.import_flat(&origin, &flat, 1) {
        Err(_) => assert_eq!(*jar.to_bytes(), *before),
        Ok(taken) => {
            assert!(text.len() <= FLAT_COOKIE_MAX_BYTES && taken <= COOKIES_MAX && jar.len() <= taken + 2);
            // Taking it again changes nothing, and what comes out goes in as it was.
            let once = jar.to_bytes();
            jar.import_flat(&origin, &flat, 1).unwrap();
            assert_eq!(*jar.to_bytes(), *once);
            if let Some(out) = jar.export_flat(&origin, 1) {
                assert!(!out.expose().bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'));
                let mut back = jar.duplicate();
                back.import_flat(&origin, &out, 1).unwrap();
                assert_eq!(*back.to_bytes(), *once);
            }
        }
    }
    let again = Jar::from_bytes(&jar.to_bytes()).unwrap();
    assert_eq!(*again.to_bytes(), *jar.to_bytes());
});

const ORIGINS: &[&str] = &["https://x.example", "http://x.example", "https://127.0.0.1:4000", "https://[::1]/p"];
