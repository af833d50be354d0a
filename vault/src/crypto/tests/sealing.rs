//! Sealed blobs under attack: moved, changed, cut, stripped, swapped; and what their length shows.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{VAULT, keyring, place};
use crate::{
    crypto::{Keyring, Kind, OpenError, Place, SealError},
    limits::RECORD_MAX_BYTES,
    model::VaultId,
};

const HERE: Place = Place { kind: Kind::Account, id: [1; 16], rev: 5 };

/// Head, salt, commitment, smallest class, tag.
const SMALLEST: usize = 10 + 32 + 32 + 1024 + 16;

#[track_caller]
fn refused(keyring: &Keyring, place: Place, sealed: &[u8], error: OpenError) {
    assert_eq!(keyring.open(place, sealed).unwrap_err(), error);
}

#[test]
fn what_was_sealed_opens_at_its_place_in_its_incarnation_and_later_ones() {
    let mut keyring = keyring();
    let sealed = keyring.seal(HERE, b"hunter2").unwrap();
    keyring.set_incarnation(2);
    assert_eq!(keyring.incarnation(), 2);
    assert_eq!(keyring.open(HERE, sealed.as_bytes()).unwrap().as_slice(), b"hunter2");
    assert_eq!(Keyring::epoch_of(sealed.as_bytes()), Some(1));
    assert_eq!(format!("{sealed:?}"), "Sealed(1114 bytes)");
}

#[test]
fn attack_01_a_blob_is_refused_at_every_other_record_and_revision() {
    let keyring = keyring();
    let sealed = keyring.seal(HERE, b"hunter2").unwrap();
    for other in [place(Kind::Account, 2, 5), place(Kind::Account, 1, 4), place(Kind::Account, 1, 6)] {
        refused(&keyring, other, sealed.as_bytes(), OpenError::Commitment);
    }
    assert!(keyring.open(HERE, sealed.as_bytes()).is_ok());
}

#[test]
fn attack_02_a_blob_is_refused_as_every_other_kind() {
    let keyring = keyring();
    let sealed = keyring.seal(HERE, b"hunter2").unwrap();
    for kind in (0..=u8::MAX).filter_map(Kind::from_u8).filter(|kind| *kind != HERE.kind) {
        refused(&keyring, Place { kind, ..HERE }, sealed.as_bytes(), OpenError::Commitment);
    }
    assert!(keyring.open(HERE, sealed.as_bytes()).is_ok());
}

#[test]
fn attack_03_a_blob_is_refused_in_another_vault_even_of_the_same_keys() {
    let ours = keyring();
    let sealed = ours.seal(HERE, b"hunter2").unwrap();
    refused(&keyring(), HERE, sealed.as_bytes(), OpenError::Commitment);

    let root = |bytes| crate::crypto::RootKey::from_parts(1, [bytes; 32]);
    let one = Keyring::from_parts(VAULT, 1, root(1), &[(1, [2; 32])]);
    let two = Keyring::from_parts(VaultId::from_bytes([8; 16]), 1, root(1), &[(1, [2; 32])]);
    let sealed = one.seal(HERE, b"hunter2").unwrap();
    refused(&two, HERE, sealed.as_bytes(), OpenError::Commitment);
    assert!(one.open(HERE, sealed.as_bytes()).is_ok());
}

#[test]
fn attack_09_every_flipped_bit_is_refused_and_says_where_it_was() {
    let keyring = keyring();
    let sealed = keyring.seal(HERE, b"hunter2").unwrap().into_bytes();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            let error = keyring.open(HERE, &changed).unwrap_err();
            let expected = match at {
                0 => OpenError::UnknownVersion { version: changed[0] },
                1 => OpenError::UnknownAlgorithm { algorithm: changed[1] },
                2..6 => OpenError::UnknownEpoch { epoch: 1 ^ (1 << (8 * (5 - at) + bit)) },
                6..74 => OpenError::Commitment,
                _ => OpenError::Authentication,
            };
            assert_eq!(error, expected, "byte {at} bit {bit}");
        }
    }
}

#[test]
fn attack_10_every_other_length_is_refused() {
    let keyring = keyring();
    let sealed = keyring.seal(HERE, b"hunter2").unwrap().into_bytes();
    assert_eq!(sealed.len(), SMALLEST);
    for bytes in 0..SMALLEST {
        refused(&keyring, HERE, &sealed[..bytes], OpenError::TooShort { bytes });
    }
    for more in [1, 16, 1024, 1 << 20] {
        let mut longer = sealed.clone();
        longer.resize(SMALLEST + more, 0);
        refused(&keyring, HERE, &longer, OpenError::Authentication);
    }
}

/// A buffer that grew would leave what it held so far, plaintext, in memory that nobody wipes.
#[test]
fn a_blob_is_made_in_one_buffer_of_its_final_size() {
    let keyring = keyring();
    for data in [0, 7, 1020, 1021, 20_000] {
        let sealed = keyring.seal(HERE, &vec![b'x'; data]).unwrap().into_bytes();
        assert_eq!(sealed.capacity(), sealed.len(), "{data}");
    }
}

#[test]
fn attack_11_a_lowered_version_is_refused() {
    let keyring = keyring();
    let sealed = keyring.seal(HERE, &[b'x'; 2000]).unwrap().into_bytes();
    for version in [0, 2, 255] {
        let mut changed = sealed.clone();
        changed[0] = version;
        refused(&keyring, HERE, &changed, OpenError::UnknownVersion { version });
        assert_eq!(Keyring::epoch_of(&changed), None);
    }
}

#[test]
fn attack_13_another_algorithm_is_refused() {
    let keyring = keyring();
    let sealed = keyring.seal(HERE, &[b'x'; 2000]).unwrap().into_bytes();
    for algorithm in [0, 2, 255] {
        let mut changed = sealed.clone();
        changed[1] = algorithm;
        refused(&keyring, HERE, &changed, OpenError::UnknownAlgorithm { algorithm });
    }
}

#[test]
fn attack_12_a_stripped_or_emptied_tag_is_refused() {
    let keyring = keyring();
    let sealed = keyring.seal(HERE, &[b'x'; 2000]).unwrap().into_bytes();
    let text = &sealed[..sealed.len() - 16];
    refused(&keyring, HERE, text, OpenError::Authentication);
    refused(&keyring, HERE, &[text, &[0; 16]].concat(), OpenError::Authentication);
    assert!(keyring.open(HERE, &sealed).is_ok());
}

#[test]
fn the_longest_record_is_sealed_and_opened_and_a_longer_one_is_neither() {
    let keyring = keyring();
    let longest = vec![b'x'; RECORD_MAX_BYTES];
    let mut sealed = keyring.seal(HERE, &longest).unwrap().into_bytes();
    assert!(keyring.open(HERE, &sealed).unwrap().as_slice() == longest);

    let longer = vec![b'x'; RECORD_MAX_BYTES + 1];
    assert_eq!(keyring.seal(HERE, &longer), Err(SealError::TooLong { bytes: RECORD_MAX_BYTES + 1 }));
    sealed.push(0);
    refused(&keyring, HERE, &sealed, OpenError::TooLong { bytes: sealed.len() });
}

#[test]
fn attack_21_salts_and_keys_never_repeat_across_writes_and_forks() {
    // The commitment is derived together with the key: distinct commitments mean distinct keys. Of both, 128 bits are
    // kept: among a million, two are alike by chance once in 2^88.
    let keyring = keyring();
    let root = crate::crypto::RootKey::from_parts(1, [3; 32]);
    let data_keys = [(1, [4; 32])];
    let fork = Keyring::from_parts(VAULT, 1, root, &data_keys);
    let restored = Keyring::from_parts(VAULT, 1, crate::crypto::RootKey::from_parts(1, [3; 32]), &data_keys);
    let mut seen = HashSet::new();
    for writer in [&keyring, &fork, &restored] {
        for _ in 0..333_334 {
            let sealed = writer.seal(HERE, b"the same").unwrap();
            let [salt, key] = [10, 42].map(|at| *sealed.as_bytes()[at..].first_chunk::<16>().unwrap());
            assert!(seen.insert(salt), "a salt came twice");
            assert!(seen.insert(key), "a key came twice");
        }
    }
}

#[test]
fn passwords_of_every_usual_length_give_blobs_of_one_length() {
    let keyring = keyring();
    let lengths: HashSet<usize> =
        (0..=1020).map(|n| keyring.seal(HERE, &vec![b'p'; n]).unwrap().as_bytes().len()).collect();
    assert_eq!(lengths, HashSet::from([SMALLEST]));
    assert_eq!(keyring.seal(HERE, &[b'p'; 1021]).unwrap().as_bytes().len(), SMALLEST + 1024);
}

proptest! {
    #[test]
    fn any_record_comes_back_as_it_was(
        plaintext in proptest::collection::vec(any::<u8>(), 0..40_000),
        kind in 1_u8..=11,
        id: [u8; 16],
        rev: u64,
        incarnation: u32,
    ) {
        let mut keyring = keyring();
        keyring.set_incarnation(incarnation);
        let place = Place { kind: Kind::from_u8(kind).unwrap(), id, rev };
        let sealed = keyring.seal(place, &plaintext).unwrap();
        prop_assert_eq!(&*keyring.open(place, sealed.as_bytes()).unwrap(), &plaintext);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        plausible: bool,
    ) {
        if plausible {
            let head = [1, 1, 0, 0, 0, 1, 0, 0, 0, 1];
            let length = bytes.len().min(head.len());
            bytes[..length].copy_from_slice(&head[..length]);
        }
        prop_assert!(keyring().open(HERE, &bytes).is_err());
    }
}
