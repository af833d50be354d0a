//! Header and anchor: what is bound to them, and what a torn, stale or foreign one gives.

use proptest::{prelude::*, sample::Index};

use super::{VAULT, keyring};
use crate::{
    crypto::{
        ANCHOR_FILE_BYTES, AUDIT_HEADS_MAX, Anchor, AnchorError, AuditHead, Header, HeaderError, Keyring, Kind,
        OpenError, Place, SealError, cbor,
    },
    model::VaultId,
};

fn header(counter: u64, heads: usize) -> Header {
    let head = AuditHead { writer: 1, links: 2, last_seq: 3, link: [4; 32] };
    Header {
        counter,
        digest_top: [1; 32],
        slots_generation: 2,
        slots_mac: [3; 32],
        schema_version: 1,
        format_floor: 1,
        incarnation: 1,
        data_epoch: 1,
        audit: vec![head; heads],
        created_ms: 1_700_000_000_000,
        log_sum: [5; 32],
        rekey: None,
        steps_spent_until_ms: 0,
        incarnation_since_ms: 0,
    }
}

fn anchor(sequence: u64, keyring: &Keyring) -> Anchor {
    let commitment = keyring.commitment();
    Anchor { vault: VAULT, sequence, commitment, counter: 10 + sequence, header_hash: [9; 32], next: None }
}

#[test]
fn a_header_opens_for_its_vault_and_counter_only() {
    let keyring = keyring();
    let written = header(7, 3);
    let sealed = written.seal(&keyring).unwrap();
    assert_eq!(Header::open(&keyring, 7, sealed.as_bytes()).unwrap(), written);
    for (keys, counter) in [(&keyring, 6), (&keyring, 8), (&super::keyring(), 7)] {
        let error = Header::open(keys, counter, sealed.as_bytes()).unwrap_err();
        assert_eq!(error, HeaderError::Open { counter, source: OpenError::Commitment });
    }
}

#[test]
fn what_only_a_restored_vault_has_is_left_out_of_the_header_of_another() {
    let keyring = keyring();
    let (plain, bytes) = (header(7, 1), |header: &Header| cbor::to_bytes(header));
    let floor = Header { steps_spent_until_ms: 1_700_000_000_001, ..plain.clone() };
    let begun = Header { incarnation: 9, incarnation_since_ms: 1_700_000_000_002, ..floor.clone() };
    // A map of eleven, twelve and thirteen entries, and nothing else in its head.
    for (header, entries) in [(&plain, 11), (&floor, 12), (&begun, 13)] {
        assert_eq!(bytes(header)[0], 0xa0 + entries);
        let sealed = header.seal(&keyring).unwrap();
        assert_eq!(Header::open(&keyring, 7, sealed.as_bytes()).unwrap(), *header);
    }
}

#[test]
fn the_largest_header_is_sealed_and_one_more_audit_head_is_not() {
    let keyring = keyring();
    let sealed = header(1, AUDIT_HEADS_MAX).seal(&keyring).unwrap();
    assert_eq!(Header::open(&keyring, 1, sealed.as_bytes()).unwrap().audit.len(), AUDIT_HEADS_MAX);
    assert!(matches!(header(1, AUDIT_HEADS_MAX + 1).seal(&keyring), Err(SealError::TooLong { .. })));
}

#[test]
fn attack_11_an_authentic_header_that_this_program_does_not_write_is_refused() {
    let keyring = keyring();
    let place = Place { kind: Kind::Header, id: *VAULT.as_bytes(), rev: 1 };
    let open = |plain: &[u8]| Header::open(&keyring, 1, keyring.seal(place, plain).unwrap().as_bytes()).unwrap_err();
    let encode = |header: &Header| cbor::to_bytes(header);
    let newer = Header { format_floor: 2, ..header(1, 0) };
    assert_eq!(open(&encode(&newer)), HeaderError::Newer { counter: 1, format_floor: 2 });
    let right = encode(&header(1, 0));
    for plain in [encode(&header(2, 0)), encode(&header(1, AUDIT_HEADS_MAX + 1)), right[1..].to_vec(), Vec::new()] {
        assert_eq!(open(&plain), HeaderError::Malformed { counter: 1 });
    }
}

#[test]
fn the_newest_whole_slot_of_an_anchor_counts_whichever_it_is() {
    let keyring = keyring();
    let (older, newer) = (anchor(1, &keyring).encode_slot(&keyring), anchor(2, &keyring).encode_slot(&keyring));
    let torn = [&newer[..100], &older[100..]].concat();
    let blank = [0; 512];
    for (first, second, index, sequence) in [
        (&older[..], &newer[..], 1, 2),
        (&newer, &older, 0, 2),
        (&older, &torn, 0, 1),
        (&torn, &older, 1, 1),
        (&newer, &blank, 0, 2),
        (&blank, &newer, 1, 2),
        (&newer, &newer, 0, 2),
    ] {
        let (found, read, mac) = Anchor::decode(&[first, second].concat()).unwrap();
        assert_eq!((found, read.sequence, read.counter), (index, sequence, 10 + sequence));
        assert_eq!((read.vault, read.header_hash), (VAULT, [9; 32]));
        assert!(read.commitment.check(&keyring.commitment()));
        assert_eq!(read.check_mac(&keyring, &mac), Ok(()));
    }
}

#[test]
fn an_anchor_of_another_root_key_or_with_changed_fields_is_not_authentic() {
    let keyring = keyring();
    let slot = anchor(1, &keyring).encode_slot(&keyring);
    let (_, right, mac) = Anchor::decode(&[slot, [0; 512]].concat()).unwrap();
    let refused = Err(AnchorError::Authentication);
    assert_eq!(right.check_mac(&super::keyring(), &mac), refused);
    assert_eq!(Anchor { vault: VaultId::from_bytes([8; 16]), ..right.clone() }.check_mac(&keyring, &mac), refused);
    assert_eq!(Anchor { sequence: 2, ..right.clone() }.check_mac(&keyring, &mac), refused);
    assert_eq!(Anchor { counter: 1, ..right.clone() }.check_mac(&keyring, &mac), refused);
    assert_eq!(Anchor { header_hash: [0; 32], ..right.clone() }.check_mac(&keyring, &mac), refused);
    let commitment = super::keyring().commitment();
    assert_eq!(Anchor { commitment, ..right.clone() }.check_mac(&keyring, &mac), refused);
    assert_eq!(right.check_mac(&keyring, &[0; 32]), refused);
}

/// The slot with one byte changed and its checksum made to fit again, as somebody who writes files can.
fn restamped(slot: &[u8; 512], at: usize, byte: u8) -> Vec<u8> {
    let mut changed = slot.to_vec();
    changed[at] = byte;
    let sum = Header::hash(&changed[..480]);
    changed[480..].copy_from_slice(&sum);
    changed
}

#[test]
fn anchors_of_another_length_version_or_spelling_are_refused() {
    let keyring = keyring();
    let slot = anchor(1, &keyring).encode_slot(&keyring);
    let decode = |first: &[u8], second: &[u8]| Anchor::decode(&[first, second].concat()).unwrap_err();
    for bytes in [0, 512, 1023, 1025, 1536] {
        assert_eq!(Anchor::decode(&vec![0; bytes]).unwrap_err(), AnchorError::Length { bytes });
    }
    assert_eq!(decode(&[0; 512], &[0; 512]), AnchorError::NoSlot);
    assert_eq!(decode(&restamped(&slot, 8, 2), &slot), AnchorError::UnknownVersion { version: 2 });
    assert_eq!(decode(&slot, &restamped(&slot, 8, 2)), AnchorError::UnknownVersion { version: 2 });
    assert_eq!(decode(&slot, &restamped(&slot, 50, 1)), AnchorError::Conflict { sequence: 1 });
    for reserved in [0, 9, 15, 208, 479] {
        assert_eq!(decode(&restamped(&slot, reserved, 1), &[0; 512]), AnchorError::NoSlot, "{reserved}");
    }
}

#[test]
fn every_changed_byte_of_a_slot_makes_it_torn() {
    let keyring = keyring();
    let slot = anchor(1, &keyring).encode_slot(&keyring);
    for at in 0..slot.len() {
        let mut changed = slot;
        changed[at] ^= 0x80;
        let error = Anchor::decode(&[changed, [0; 512]].concat()).unwrap_err();
        assert_eq!(error, AnchorError::NoSlot, "{at}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_anchor_and_no_header(bytes in proptest::collection::vec(any::<u8>(), ANCHOR_FILE_BYTES)) {
        prop_assert_eq!(Anchor::decode(&bytes).unwrap_err(), AnchorError::NoSlot);
        prop_assert!(Header::open(&keyring(), 1, &bytes).is_err());
    }

    #[test]
    fn a_header_has_one_spelling_even_inside_its_seal(
        counter: u64,
        heads in 0..3_usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        edit in any::<Index>(),
        byte: u8,
    ) {
        let keyring = keyring();
        let place = Place { kind: Kind::Header, id: *VAULT.as_bytes(), rev: counter };
        let mut plain = cbor::to_bytes(&header(counter, heads));
        let at = edit.index(plain.len());
        plain[at] = byte;
        for plain in [plain, bytes] {
            let sealed = keyring.seal(place, &plain).unwrap();
            if let Ok(taken) = Header::open(&keyring, counter, sealed.as_bytes()) {
                prop_assert_eq!(taken.counter, counter);
                prop_assert_eq!(cbor::to_bytes(&taken), plain);
            }
        }
    }

    #[test]
    fn an_edit_of_an_anchor_is_torn_or_not_authentic_however_its_checksum_is(at in 0..480_usize, bits in 1..=u8::MAX) {
        let keyring = keyring();
        let slot = anchor(1, &keyring).encode_slot(&keyring);
        let changed = restamped(&slot, at, slot[at] ^ bits);
        if let Ok((_, anchor, mac)) = Anchor::decode(&[changed, vec![0; 512]].concat()) {
            prop_assert!((16..208).contains(&at));
            // What is announced has a MAC of its own, under the root key that it announces.
            let expected = if at < 144 { Err(AnchorError::Authentication) } else { Ok(()) };
            prop_assert_eq!(anchor.check_mac(&keyring, &mac), expected);
            prop_assert_eq!(anchor.next.is_some(), at >= 144);
        }
    }
}
