//! Key slots: what unlocks them, what does not, and what a hostile one can ask for.

use std::io::Write;

use proptest::{prelude::*, sample::Index};

use super::{VAULT, keyring};
use crate::{
    crypto::{
        Keyring, SLOT_AGE_FILE_MAX_BYTES, SLOT_LABEL_MAX_BYTES, SLOT_MAX_BYTES, SLOT_RECIPIENT_MAX_BYTES, ScryptCost,
        SlotError, SlotKind, SlotRecipient, SlotRecord, Unlock, generate_identity,
    },
    model::{Secret, VaultId},
};

fn secret(text: &str) -> Secret {
    Secret::copy_of(text)
}

fn identity_slot(keyring: &Keyring) -> (Secret, SlotRecord) {
    let (identity, recipient) = generate_identity();
    let recipient = recipient.parse().unwrap();
    (identity, SlotRecord::with_identity(SlotKind::Identity, keyring, "worker", 1, &recipient).unwrap())
}

fn passphrase_slot(keyring: &Keyring) -> SlotRecord {
    SlotRecord::with_passphrase(keyring, "ops", 1, &secret("hunter2"), ScryptCost::FLOOR).unwrap()
}

#[track_caller]
fn locked(slot: &SlotRecord, how: &Unlock<'_>, error: &SlotError) {
    let refused = slot.unlock(VAULT, how).unwrap_err();
    assert_eq!(&refused, error);
    assert_eq!(refused.to_string(), "cannot be unlocked", "users learn no more than that");
}

#[test]
fn a_passphrase_unlocks_its_slot_and_nothing_else_does() {
    let keyring = keyring();
    let slot = passphrase_slot(&keyring);
    let root = slot.unlock(VAULT, &Unlock::Passphrase(&secret("hunter2"))).unwrap();
    assert!(root.commitment(VAULT).check(&keyring.commitment()));

    locked(&slot, &Unlock::Passphrase(&secret("hunter3")), &SlotError::CannotUnlock);
    locked(&slot, &Unlock::Passphrase(&secret("")), &SlotError::CannotUnlock);
    locked(&slot, &Unlock::Identity(&generate_identity().0), &SlotError::CannotUnlock);
    let elsewhere = slot.unlock(VaultId::from_bytes([8; 16]), &Unlock::Passphrase(&secret("hunter2")));
    assert_eq!(elsewhere.unwrap_err(), SlotError::CannotUnlock);
}

#[test]
fn an_identity_file_unlocks_its_slot_among_comments_and_other_identities() {
    let keyring = keyring();
    let (identity, slot) = identity_slot(&keyring);
    let other = generate_identity().0;
    let file = format!("# created: today\r\n{}\n\n  {}  \n", other.expose(), identity.expose());
    for text in [identity.expose(), &identity.expose().to_lowercase(), &file] {
        let root = slot.unlock(VAULT, &Unlock::Identity(&secret(text))).unwrap();
        assert!(root.commitment(VAULT).check(&keyring.commitment()));
    }
    let far = format!("{}{}", "#\n".repeat(64), identity.expose());
    let long = format!("{}\n{}", identity.expose(), "#".repeat(16 * 1024));
    for text in ["", "# nothing", other.expose(), &identity.expose()[1..], &far, &long] {
        locked(&slot, &Unlock::Identity(&secret(text)), &SlotError::CannotUnlock);
    }
    locked(&slot, &Unlock::Passphrase(&identity), &SlotError::CannotUnlock);
}

#[test]
fn every_kind_with_an_identity_is_made_and_unlocked_alike_and_a_passphrase_kind_is_not() {
    let keyring = keyring();
    let (identity, recipient) = generate_identity();
    let recipient: SlotRecipient = recipient.parse().unwrap();
    for kind in [SlotKind::Identity, SlotKind::SystemdCredential, SlotKind::Recovery, SlotKind::Keyring] {
        let slot = SlotRecord::with_identity(kind, &keyring, "", 0, &recipient).unwrap();
        assert_eq!(SlotKind::from_u8(slot.kind), Some(kind));
        assert!(slot.unlock(VAULT, &Unlock::Identity(&identity)).is_ok());
    }
    let made = SlotRecord::with_identity(SlotKind::Passphrase, &keyring, "", 0, &recipient);
    assert_eq!(made, Err(SlotError::Kind));
}

#[test]
fn a_recipient_is_read_from_its_text_or_from_the_one_identity_of_a_file() {
    let (identity, recipient) = generate_identity();
    let file = secret(&format!("# public key: {recipient}\n{}\n", identity.expose()));
    assert_eq!(SlotRecipient::of_identity(&file).unwrap().to_string(), recipient);
    let two = secret(&format!("{}\n{}", identity.expose(), generate_identity().0.expose()));
    for text in [two, secret(""), secret(&recipient)] {
        assert_eq!(SlotRecipient::of_identity(&text), Err(SlotError::Recipient));
    }
    for text in ["", "age1", identity.expose(), &recipient.replace("age1", "age2")] {
        assert_eq!(text.parse::<SlotRecipient>(), Err(SlotError::Recipient));
    }
}

#[test]
fn an_empty_passphrase_and_a_long_label_make_no_slot() {
    let keyring = keyring();
    let made = SlotRecord::with_passphrase(&keyring, "", 0, &secret(""), ScryptCost::FLOOR);
    assert_eq!(made, Err(SlotError::EmptyPassphrase));
    let recipient = generate_identity().1.parse().unwrap();
    let labelled = |bytes| SlotRecord::with_identity(SlotKind::Recovery, &keyring, &"x".repeat(bytes), 0, &recipient);
    assert!(labelled(SLOT_LABEL_MAX_BYTES).is_ok());
    let (bytes, max) = (SLOT_LABEL_MAX_BYTES + 1, SLOT_LABEL_MAX_BYTES);
    assert_eq!(labelled(bytes), Err(SlotError::TooLong { bytes, max }));
}

/// The slot with another work factor written into its passphrase file.
fn with_work_factor(slot: &SlotRecord, text: &str) -> SlotRecord {
    let file = &slot.protected_identity;
    let end = file.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0;
    assert_eq!(&file[end - 3..end], b" 15");
    let protected_identity = [&file[..end - 2], text.as_bytes(), &file[end..]].concat();
    SlotRecord { protected_identity, ..slot.clone() }
}

#[test]
fn attack_15_a_work_factor_outside_its_bounds_is_refused_before_any_work() {
    let slot = passphrase_slot(&keyring());
    let how = Unlock::Passphrase(&secret("hunter2"));
    for log2_n in [1, 9, 14, 21, 30, 63, 64, 255] {
        locked(&with_work_factor(&slot, &log2_n.to_string()), &how, &SlotError::WorkFactor { log2_n });
    }
    locked(&with_work_factor(&slot, "99999999999999999999"), &how, &SlotError::WorkFactor { log2_n: 255 });
    for malformed in ["015", "+15", "-15", "15 ", "15 15", "0", "1e1", "\u{661}\u{665}"] {
        locked(&with_work_factor(&slot, malformed), &how, &SlotError::CannotUnlock);
    }
    assert!(with_work_factor(&slot, "15").unlock(VAULT, &how).is_ok());
    locked(&with_work_factor(&slot, "16"), &how, &SlotError::CannotUnlock);
}

#[test]
fn attack_14_a_slot_that_is_really_weak_is_refused_though_its_passphrase_is_right() {
    let mut slot = passphrase_slot(&keyring());
    let (identity, recipient) = generate_identity();
    let mut weak = age::scrypt::Recipient::new("hunter2".to_owned().into());
    weak.set_work_factor(1);
    slot.protected_identity = age::encrypt(&weak, identity.expose().as_bytes()).unwrap();
    slot.recipient = recipient;
    locked(&slot, &Unlock::Passphrase(&secret("hunter2")), &SlotError::WorkFactor { log2_n: 1 });
}

#[test]
fn attack_16_a_root_key_of_an_attackers_own_unwraps_but_does_not_match_the_commitment() {
    // age does not say who wrote a file: knowing the recipient suffices to wrap another root key of the same vault.
    let ours = keyring();
    let (identity, mut slot) = identity_slot(&ours);
    let attackers = keyring();
    slot.wrapped_root = attackers.wrap_root(&slot.recipient.parse().unwrap()).unwrap();
    let root = slot.unlock(VAULT, &Unlock::Identity(&identity)).unwrap();
    assert!(!root.commitment(VAULT).check(&ours.commitment()));
    assert!(root.commitment(VAULT).check(&attackers.commitment()));
}

#[test]
fn a_wrapped_payload_of_another_length_is_refused() {
    let ours = keyring();
    let (identity, mut slot) = identity_slot(&ours);
    let recipient: age::x25519::Recipient = slot.recipient.parse().unwrap();
    for length in [0, 15, 51, 53, 70_000] {
        let mut payload = vec![7; length];
        payload.iter_mut().take(16).for_each(|b| *b = 7);
        slot.wrapped_root = age::encrypt(&recipient, &payload).unwrap();
        locked(&slot, &Unlock::Identity(&identity), &SlotError::CannotUnlock);
    }
    slot.wrapped_root = age::encrypt(&recipient, &[7; 52]).unwrap();
    assert!(slot.unlock(VAULT, &Unlock::Identity(&identity)).is_ok(), "the right length and vault alone unwrap");
}

#[test]
fn an_age_file_beyond_its_bound_is_refused_though_it_would_open() {
    let ours = keyring();
    let (identity, mut slot) = identity_slot(&ours);
    for (others, bytes) in [(10, 0..SLOT_AGE_FILE_MAX_BYTES), (100, SLOT_AGE_FILE_MAX_BYTES..usize::MAX)] {
        let mut recipients: Vec<age::x25519::Recipient> = vec![slot.recipient.parse().unwrap()];
        recipients.extend((0..others).map(|_| age::x25519::Identity::generate().to_public()));
        let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|r| r as &dyn age::Recipient)).unwrap();
        slot.wrapped_root.clear();
        let mut writer = encryptor.wrap_output(&mut slot.wrapped_root).unwrap();
        writer.write_all(&[7; 52]).unwrap();
        writer.finish().unwrap();
        assert!(bytes.contains(&slot.wrapped_root.len()));
        let unlocked = slot.unlock(VAULT, &Unlock::Identity(&identity));
        assert_eq!(unlocked.is_ok(), others == 10, "{others}");
    }
}

#[test]
fn a_slot_whose_protected_identity_is_not_its_recipients_is_refused() {
    let keyring = keyring();
    let mut slot = passphrase_slot(&keyring);
    slot.recipient = generate_identity().1;
    locked(&slot, &Unlock::Passphrase(&secret("hunter2")), &SlotError::CannotUnlock);
}

#[test]
fn every_changed_byte_of_a_wrapped_root_key_locks_or_is_unread() {
    // age's header may carry stanzas that nobody reads, but its MAC covers them: no change at all is accepted.
    let (identity, slot) = identity_slot(&keyring());
    for at in 0..slot.wrapped_root.len() {
        let mut changed = slot.clone();
        changed.wrapped_root[at] ^= 1;
        locked(&changed, &Unlock::Identity(&identity), &SlotError::CannotUnlock);
    }
    for end in 0..slot.wrapped_root.len() {
        let mut cut = slot.clone();
        cut.wrapped_root.truncate(end);
        locked(&cut, &Unlock::Identity(&identity), &SlotError::CannotUnlock);
    }
}

#[test]
fn a_rewrapped_slot_unlocks_the_new_root_key_without_its_passphrase() {
    let old = keyring();
    let slot = passphrase_slot(&old);
    let new = old.rotated().unwrap();
    let rewrapped = slot.rewrapped(&new).unwrap();
    assert_eq!((rewrapped.id, &rewrapped.protected_identity), (slot.id, &slot.protected_identity));
    let root = rewrapped.unlock(VAULT, &Unlock::Passphrase(&secret("hunter2"))).unwrap();
    assert!(root.commitment(VAULT).check(&new.commitment()));
    assert!(!root.commitment(VAULT).check(&old.commitment()));
}

#[test]
fn a_slot_of_a_later_program_is_kept_and_listed_but_not_unlocked_or_rewrapped() {
    let keyring = keyring();
    let (identity, slot) = identity_slot(&keyring);
    let later = SlotRecord { kind: 77, recipient: "age1yubikey1later".into(), ..slot };
    let kept = SlotRecord::from_bytes(&later.to_bytes()).unwrap();
    assert_eq!(kept, later);
    locked(&kept, &Unlock::Identity(&identity), &SlotError::CannotUnlock);
    assert_eq!(kept.rewrapped(&keyring), Err(SlotError::Recipient));
}

#[test]
fn a_slot_survives_its_encoding_and_other_encodings_are_refused() {
    let (_, slot) = identity_slot(&keyring());
    let bytes = slot.to_bytes();
    assert_eq!(SlotRecord::from_bytes(&bytes).unwrap(), slot);

    let with = |change: &dyn Fn(&mut SlotRecord)| {
        let mut other = slot.clone();
        change(&mut other);
        SlotRecord::from_bytes(&other.to_bytes())
    };
    let too_long = |max: usize| Err(SlotError::TooLong { bytes: max + 1, max });
    assert!(with(&|s| s.label = "x".repeat(SLOT_LABEL_MAX_BYTES)).is_ok());
    assert_eq!(with(&|s| s.label = "x".repeat(SLOT_LABEL_MAX_BYTES + 1)), too_long(SLOT_LABEL_MAX_BYTES));
    assert_eq!(with(&|s| s.recipient = "x".repeat(SLOT_RECIPIENT_MAX_BYTES + 1)), too_long(SLOT_RECIPIENT_MAX_BYTES));
    let long = vec![0; SLOT_AGE_FILE_MAX_BYTES + 1];
    assert_eq!(with(&|s| s.protected_identity.clone_from(&long)), too_long(SLOT_AGE_FILE_MAX_BYTES));
    assert_eq!(with(&|s| s.wrapped_root.clone_from(&long)), too_long(SLOT_AGE_FILE_MAX_BYTES));
    assert_eq!(SlotRecord::from_bytes(&vec![0; SLOT_MAX_BYTES + 1]), too_long(SLOT_MAX_BYTES));

    // Trailing bytes, an unknown eighth key, a longer spelling of the map's length, and every cut.
    assert_eq!(bytes[0], 0xa7);
    let unknown = [&[0xa8], &bytes[1..], &[0x08, 0x00]].concat();
    for other in [[&bytes[..], &[0]].concat(), unknown, [&[0xb8, 0x07], &bytes[1..]].concat()] {
        assert_eq!(SlotRecord::from_bytes(&other), Err(SlotError::Malformed));
    }
    for end in 0..bytes.len() {
        assert_eq!(SlotRecord::from_bytes(&bytes[..end]), Err(SlotError::Malformed));
    }
}

#[test]
fn every_kind_has_a_number_and_a_word_of_its_own() {
    let words = ["passphrase", "identity", "systemd_credential", "recovery", "plugin", "keyring", "combined"];
    for (number, word) in (1..).zip(words) {
        let kind = SlotKind::from_u8(number).unwrap();
        assert_eq!((kind as u8, kind.word()), (number, word));
    }
    assert!(SlotKind::from_u8(0).is_none() && SlotKind::from_u8(8).is_none());
}

#[test]
fn the_largest_slot_fits_its_bound() {
    let (_, slot) = identity_slot(&keyring());
    let file = vec![0; SLOT_AGE_FILE_MAX_BYTES];
    let largest = SlotRecord {
        kind: 255,
        label: "x".repeat(SLOT_LABEL_MAX_BYTES),
        created_ms: i64::MIN,
        recipient: "x".repeat(SLOT_RECIPIENT_MAX_BYTES),
        protected_identity: file.clone(),
        wrapped_root: file,
        ..slot
    };
    assert_eq!(SlotRecord::from_bytes(&largest.to_bytes()).unwrap(), largest);
    // FORMAT.md, Key slots: what others write has to fit as well.
    assert_eq!((SLOT_LABEL_MAX_BYTES, SLOT_RECIPIENT_MAX_BYTES, SLOT_AGE_FILE_MAX_BYTES), (256, 4096, 8192));
    assert_eq!(SLOT_MAX_BYTES, 20_864);
}

#[test]
fn a_slot_that_protects_its_identity_is_not_unlocked_by_that_identity() {
    let slot = passphrase_slot(&keyring());
    let key = age::scrypt::Identity::new("hunter2".to_owned().into());
    let identity = Secret::new(String::from_utf8(age::decrypt(&key, &slot.protected_identity).unwrap()).unwrap());
    locked(&slot, &Unlock::Identity(&identity), &SlotError::CannotUnlock);
    let kept = SlotRecord { kind: SlotKind::Identity as u8, ..slot };
    assert!(kept.unlock(VAULT, &Unlock::Identity(&identity)).is_ok(), "it is the right one");
}

#[test]
fn debug_texts_tell_slots_and_recipients_apart_and_show_no_file() {
    let (_, slot) = identity_slot(&keyring());
    assert_eq!(format!("{slot:?}"), format!("SlotRecord {{ id: {:?}, kind: 2, .. }}", slot.id));
    let recipient: SlotRecipient = slot.recipient.parse().unwrap();
    assert_eq!(format!("{recipient:?}"), format!("SlotRecipient({})", slot.recipient));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_slot_and_no_age_file_and_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        lines: u8,
    ) {
        prop_assert!(SlotRecord::from_bytes(&bytes).is_err());
        let (identity, slot) = identity_slot(&keyring());
        let header: &[u8] = match lines % 3 {
            0 => b"",
            1 => b"age-encryption.org/v1\n-> ",
            _ => b"age-encryption.org/v1\n-> scrypt ",
        };
        let file = [header, &bytes].concat();
        let broken = SlotRecord { wrapped_root: file.clone(), protected_identity: file, ..slot };
        prop_assert!(broken.unlock(VAULT, &Unlock::Identity(&identity)).is_err());
        let broken = SlotRecord { kind: SlotKind::Passphrase as u8, ..broken };
        prop_assert!(broken.unlock(VAULT, &Unlock::Passphrase(&identity)).is_err());
    }

    #[test]
    fn a_slot_has_one_spelling(
        kind: u8,
        label in "\\PC{0,20}",
        created_ms: i64,
        file in proptest::collection::vec(any::<u8>(), 0..300),
        edit in any::<Index>(),
        byte: u8,
    ) {
        let (_, slot) = identity_slot(&keyring());
        let slot = SlotRecord { kind, label, created_ms, protected_identity: file, ..slot };
        let mut bytes = slot.to_bytes();
        prop_assert!(SlotRecord::from_bytes(&bytes).is_ok_and(|read| read == slot));
        let at = edit.index(bytes.len());
        bytes[at] = byte;
        if let Ok(taken) = SlotRecord::from_bytes(&bytes) {
            prop_assert_eq!(taken.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_text_is_an_identity_file_of_this_slot(text in "\\PC{0,80}|(#[ -~]{0,20}\n|AGE-SECRET-KEY-1[A-Z0-9]{58}\n?){0,4}") {
        let (_, slot) = identity_slot(&keyring());
        let refused = slot.unlock(VAULT, &Unlock::Identity(&Secret::new(text))).unwrap_err();
        prop_assert_eq!(refused, SlotError::CannotUnlock);
    }
}
