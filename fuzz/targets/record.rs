//! Sealed records, opened: accounts, sessions, intents, messages, audit entries, updates, attempts, reports; and jars.
//!
//! Bytes stand here for what was authentic when it was opened, so that only panics, growth and second spellings matter:
//! what was read and written once is read and written the same for ever.

#![no_main]

use latchkey_fuzz::Input;
use latchkey_vault::{
    Item,
    account_api::AccountUpdate,
    cookies::Jar,
    fuzzing::{RecordKind, rewrite_record},
    limits::COOKIES_MAX,
};
use latchkey_worker::fuzzing::{rewrite_attempt, rewrite_report};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let which = input.byte() % 9;
    let once = input.rest();
    if which == JAR {
        return jar(once);
    }
    let Some(twice) = rewrite(which, once) else { return };
    assert!(twice.len() <= 2 * once.len() + 64);
    assert_eq!(rewrite(which, &twice).as_ref(), Some(&twice));
});

fn rewrite(which: u8, bytes: &[u8]) -> Option<Vec<u8>> {
    let kind = match which {
        0 => RecordKind::Account,
        1 => RecordKind::Session,
        2 => RecordKind::Intent,
        3 => RecordKind::Message,
        4 => RecordKind::Audit,
        5 => return Some(AccountUpdate::from_cbor(bytes).ok()?.to_cbor().unwrap().to_vec()),
        6 => {
            let item = Item { id: [0; 16], rev: 1, open: false, body: bytes.to_vec().into() };
            return Some(rewrite_attempt(&item)?.body.to_vec());
        }
        _ => return rewrite_report(bytes),
    };
    Some(rewrite_record(kind, bytes)?.to_vec())
}

/// What is taken for a jar has well-formed cookies, and can be asked, changed and merged like any other.
fn jar(bytes: &[u8]) {
    let Ok(jar) = Jar::from_bytes(bytes) else { return };
    assert!(jar.len() <= COOKIES_MAX && jar.len() <= bytes.len());
    let written = jar.to_bytes();
    let again = Jar::from_bytes(&written).unwrap();
    assert_eq!(*again.to_bytes(), *written);
    assert!(again.entries().eq(jar.entries()));
    for entry in jar.entries() {
        assert!(!entry.name.is_empty() && entry.path.starts_with('/') && !entry.domain.is_empty());
        assert!(!entry.name.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'));
    }
    // A jar that nobody wrote still is asked for cookies, merged and changed.
    let at: Url = "https://x.example/p".parse().unwrap();
    if let Some(header) = jar.header_for(&at, 0) {
        assert!(!header.expose().bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'));
    }
    let mut changed = jar.duplicate();
    let _ = changed.store(&at, b"n=v; Path=/p; Secure", 0);
    let merged = Jar::merge(&jar, &changed, &jar);
    assert_eq!(*merged.to_bytes(), *changed.to_bytes());
}

const JAR: u8 = 8;
