//! Sealed blobs: foreign bytes never open, every edit of a real one is refused, and what opens is what was sealed.

#![no_main]

use latchkey_fuzz::{Input, KEYRING};
use latchkey_vault::crypto::{Keyring, Kind, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mode = input.byte() % 4;
    let kind = Kind::from_u8(1 + input.byte() % 12).unwrap();
    let place = Place { kind, id: [input.byte(); 16], rev: input.byte().into() };
    if mode == 0 {
        // Nobody without the key makes a blob that opens.
        let blob = input.rest();
        assert!(KEYRING.open(place, blob).is_err());
        let _ = Keyring::epoch_of(blob);
        return;
    }
    let at = input.number();
    let edit = input.take(usize::from(mode) * 2);
    let data = input.rest();
    let sealed = KEYRING.seal(place, data).unwrap().into_bytes();
    assert_eq!(&**KEYRING.open(place, &sealed).unwrap(), data);

    let mut edited = sealed.clone();
    let at = at % sealed.len();
    match mode {
        1 => edited[at] ^= edit.first().copied().unwrap_or(0),
        2 => edited.truncate(at),
        _ => drop(edited.splice(at..(at + edit.len()).min(sealed.len()), edit.iter().copied())),
    }
    assert_eq!(KEYRING.open(place, &edited).is_ok(), edited == sealed);
    let elsewhere = Place { rev: place.rev + 1, ..place };
    assert!(KEYRING.open(elsewhere, &sealed).is_err());
});
