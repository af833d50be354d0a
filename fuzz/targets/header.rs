//! The header's CBOR inside a seal that is authentic: what is taken stands one to one with its bytes.

#![no_main]

use latchkey_fuzz::{Input, KEYRING};
use latchkey_vault::crypto::{AUDIT_HEADS_MAX, FORMAT_VERSION, Header, HeaderError, Kind, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    // A header says its own counter: the byte chooses whether the place agrees.
    let plain = &bytes[1.min(bytes.len())..];
    let counter = match input.byte() {
        0 => counter_of(plain),
        other => other.into(),
    };
    let place = Place { kind: Kind::Header, id: *KEYRING.vault().as_bytes(), rev: counter };
    let sealed = KEYRING.seal(place, plain).unwrap();
    match Header::open(&KEYRING, counter, sealed.as_bytes()) {
        Ok(header) => {
            assert_eq!(header.counter, counter);
            assert!(header.format_floor <= FORMAT_VERSION && header.audit.len() <= AUDIT_HEADS_MAX);
            let again = header.seal(&KEYRING).unwrap();
            assert_eq!(&**KEYRING.open(place, again.as_bytes()).unwrap(), plain);
        }
        Err(error) => assert!(!matches!(error, HeaderError::Open { .. })),
    }
    // Without the seal it is nothing at all.
    assert!(matches!(Header::open(&KEYRING, counter, plain), Err(HeaderError::Open { .. })));
});

/// The counter that canonical bytes would name: key 1 comes first, in at most nine bytes.
fn counter_of(plain: &[u8]) -> u64 {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    match plain.get(2..).unwrap_or_default() {
        [small @ 0..=23, ..] => (*small).into(),
        [24, rest @ ..] if !rest.is_empty() => number(&rest[..1]),
        [25, rest @ ..] if rest.len() >= 2 => number(&rest[..2]),
        [26, rest @ ..] if rest.len() >= 4 => number(&rest[..4]),
        [27, rest @ ..] if rest.len() >= 8 => number(&rest[..8]),
        _ => 0,
    }
}
