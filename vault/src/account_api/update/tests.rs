//! What an update takes, refuses, encodes and coalesces. Knows no manager.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::{collection, option, prelude::*, sample::Index};

use super::{AccountStatus, AccountUpdate, RefusedValue, UpdateCodecError, UpdateField, is_placeholder};
use crate::{
    limits::{FLAT_COOKIE_MAX_BYTES, NOTE_MAX_BYTES},
    model::{Field, Secret},
};

fn one(field: UpdateField, text: &str) -> Result<AccountUpdate, RefusedValue> {
    AccountUpdate::new().set(field, Secret::copy_of(text))
}

fn text(update: &AccountUpdate, field: UpdateField) -> Option<&str> {
    // EXPOSE: the test compares.
    update.value(field).map(Secret::expose)
}

fn is_free_text(field: UpdateField) -> bool {
    matches!(field, UpdateField::Note | UpdateField::ErrorMessage)
}

#[test]
fn a_placeholder_is_refused_with_the_name_of_its_field() {
    for field in UpdateField::ALL.into_iter().filter(|field| !is_free_text(*field)) {
        for sample in ["", " ", "...", "xxxx xxxx xxxx xxxx", "JBSWY3DPEHPK3PXP", "sid=newvalue; csrf=..."] {
            let refused = one(field, sample).unwrap_err();
            assert_eq!(refused, RefusedValue::Placeholder { field: field.name() });
            assert!(refused.to_string().starts_with(field.name()));
        }
        assert_eq!(text(&one(field, "a value").unwrap(), field), Some("a value"));
    }
}

#[test]
fn free_texts_may_be_what_values_may_not() {
    assert!(one(UpdateField::Note, "...").is_ok());
    assert_eq!(one(UpdateField::Note, "").unwrap_err(), RefusedValue::Placeholder { field: "note" });
    assert_eq!(text(&one(UpdateField::ErrorMessage, "").unwrap(), UpdateField::ErrorMessage), Some(""));
}

#[test]
fn texts_are_bounded_and_an_error_message_is_cut_by_characters() {
    let cookie = "c".repeat(FLAT_COOKIE_MAX_BYTES);
    assert!(one(UpdateField::Cookie, &cookie).is_ok());
    let refused = one(UpdateField::Cookie, &format!("{cookie}c")).unwrap_err();
    assert_eq!(refused, RefusedValue::TooLong { field: "cookie", max_bytes: FLAT_COOKIE_MAX_BYTES });
    assert!(one(UpdateField::Note, &"n".repeat(NOTE_MAX_BYTES + 1)).is_err());

    let update = one(UpdateField::ErrorMessage, &"đ".repeat(1001)).unwrap();
    assert_eq!(text(&update, UpdateField::ErrorMessage), Some("đ".repeat(1000).as_str()));
}

#[test]
fn every_field_of_ours_but_the_username_has_one_at_the_manager() {
    for field in Field::ALL {
        match UpdateField::of(field) {
            Some(own) => {
                assert_eq!(own.name(), super::super::wire_name(field));
                assert_eq!(one(own, "value").unwrap().owed(), [field]);
            }
            None => assert_eq!(field, Field::Username),
        }
    }
    assert!(!UpdateField::ALL.iter().any(|field| field.name() == "username"));
}

#[test]
fn a_newer_update_wins_field_by_field() {
    let older = one(UpdateField::Cookie, "old").unwrap().set(UpdateField::Password, Secret::copy_of("kept")).unwrap();
    let older = older.status(AccountStatus::Dead).set(UpdateField::ErrorMessage, Secret::copy_of("locked")).unwrap();
    let newer = one(UpdateField::Cookie, "new").unwrap().set(UpdateField::ErrorMessage, Secret::copy_of("")).unwrap();
    let both = newer.status(AccountStatus::Active).merge_over(older);
    assert_eq!(both.names().collect::<Vec<_>>(), ["cookie", "password", "error_message", "status"]);
    assert_eq!(text(&both, UpdateField::Cookie), Some("new"));
    assert_eq!(text(&both, UpdateField::Password), Some("kept"));
    assert_eq!(text(&both, UpdateField::ErrorMessage), Some(""));
    assert_eq!(both.status, Some(AccountStatus::Active));

    let kept = AccountUpdate::new().merge_over(AccountUpdate::new().status(AccountStatus::Banned));
    assert_eq!(kept.status, Some(AccountStatus::Banned));
}

#[test]
fn every_update_survives_its_encoding_in_a_buffer_that_never_moved() {
    // Each combination of the nine fields.
    for mask in 0_u32..1 << UpdateField::ALL.len() {
        let mut update = AccountUpdate::new();
        for (index, field) in UpdateField::ALL.into_iter().enumerate() {
            if mask & 1 << index != 0 {
                update = update.set(field, Secret::copy_of(&format!("giá trị {index}"))).unwrap();
            }
        }
        if mask % 3 == 0 {
            update = update.status(AccountStatus::ALL[mask as usize % AccountStatus::ALL.len()]);
        }
        let bytes = update.to_cbor().unwrap();
        let read = AccountUpdate::from_cbor(&bytes).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), update.names().collect::<Vec<_>>());
        assert_eq!(read.status, update.status);
        for field in UpdateField::ALL {
            assert_eq!(text(&read, field), text(&update, field));
        }
    }
    let large = one(UpdateField::Cookie, &"c".repeat(FLAT_COOKIE_MAX_BYTES)).unwrap();
    let bytes = large.to_cbor().unwrap();
    assert!(bytes.capacity() < FLAT_COOKIE_MAX_BYTES + 100, "grown to {}", bytes.capacity());
}

#[test]
fn other_bytes_are_refused() {
    let sound = one(UpdateField::Cookie, "a=b").unwrap().status(AccountStatus::Active).to_cbor().unwrap();
    for end in 0..sound.len() {
        assert_eq!(AccountUpdate::from_cbor(&sound[..end]).unwrap_err(), UpdateCodecError::Malformed, "{end}");
    }
    let rows: [(&[u8], UpdateCodecError); 9] = [
        (b"\xa1\x00\x02", UpdateCodecError::Version { found: 2 }),
        (b"\xa0", UpdateCodecError::Malformed),
        (b"\xbf\x00\x01\xff", UpdateCodecError::Malformed),
        (b"\xa2\x00\x01\x0b\x61a", UpdateCodecError::Malformed),
        (b"\xa3\x00\x01\x01\x61a\x01\x61b", UpdateCodecError::Malformed),
        (b"\xa3\x00\x01\x02\x61a\x01\x61b", UpdateCodecError::Malformed),
        (b"\xa2\x00\x01\x01\x63...", UpdateCodecError::Malformed),
        (b"\xa2\x00\x01\x0a\x65limbo", UpdateCodecError::Malformed),
        (b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01", UpdateCodecError::Malformed),
    ];
    for (bytes, error) in rows {
        assert_eq!(AccountUpdate::from_cbor(bytes).unwrap_err(), error, "{bytes:x?}");
    }
    let mut longer = sound.to_vec();
    longer.push(0);
    assert_eq!(AccountUpdate::from_cbor(&longer).unwrap_err(), UpdateCodecError::Malformed);
    assert!(AccountUpdate::from_cbor(&sound).is_ok());
}

#[test]
fn debug_names_fields_and_shows_no_value() {
    let update = one(UpdateField::Cookie, "hunter2").unwrap().status(AccountStatus::Active);
    assert_eq!(format!("{update:?}"), r#"AccountUpdate["cookie", "status"]"#);
}

proptest! {
    #[test]
    fn any_update_survives_its_bytes_and_no_bytes_panic(
        texts in collection::vec(option::of("\\PC{1,30}"), UpdateField::ALL.len()),
        bytes in collection::vec(any::<u8>(), 0..60),
        edit in any::<Index>(),
        byte: u8,
    ) {
        let mut update = AccountUpdate::new();
        for (field, value) in UpdateField::ALL.into_iter().zip(texts) {
            let Some(value) = value.filter(|value| !is_placeholder(value)) else { continue };
            update = update.set(field, Secret::new(value)).unwrap();
        }
        let mut written = update.to_cbor().unwrap();
        let read = AccountUpdate::from_cbor(&written).unwrap();
        prop_assert_eq!(&*read.to_cbor().unwrap(), &*written);
        for field in UpdateField::ALL {
            prop_assert_eq!(text(&read, field), text(&update, field));
        }
        let at = edit.index(written.len());
        written[at] = byte;
        for bytes in [&bytes, &*written] {
            if let Ok(taken) = AccountUpdate::from_cbor(bytes) {
                let once = taken.to_cbor().unwrap();
                prop_assert_eq!(&*AccountUpdate::from_cbor(&once).unwrap().to_cbor().unwrap(), &*once);
            }
        }
    }
}
