//! Slots that need a passphrase and a keyring's key together: neither alone, no weak or endless work inside, no trace of
//! the passphrase's file outside.

use age::{scrypt, secrecy::ExposeSecret, x25519};

use super::{VAULT, keyring};
use crate::{
    crypto::{
        Keyring, ScryptCost, SlotDraft, SlotError, SlotKind, SlotRecord, Unlock, generate_identity,
        slots::secret_string,
    },
    model::Secret,
};

fn secret(text: &str) -> Secret {
    Secret::copy_of(text)
}

/// A combined slot, its passphrase and the keyring's half.
fn combined(keyring: &Keyring) -> (SlotRecord, Secret, Secret) {
    let passphrase = secret("hunter2");
    let (draft, half) = SlotDraft::combined("both", &passphrase, ScryptCost::FLOOR).unwrap();
    (draft.seal(keyring, 1).unwrap(), passphrase, half)
}

#[track_caller]
fn locked(slot: &SlotRecord, how: &Unlock<'_>, error: &SlotError) {
    assert_eq!(&slot.unlock(VAULT, how).unwrap_err(), error);
}

#[test]
fn passphrase_and_keyring_together_unlock_a_combined_slot_and_neither_does_alone() {
    let keyring = keyring();
    let (slot, passphrase, half) = combined(&keyring);
    assert_eq!(SlotKind::from_u8(slot.kind), Some(SlotKind::Combined));
    let root = slot.unlock(VAULT, &Unlock::Both(&passphrase, &half)).unwrap();
    assert!(root.commitment(VAULT).check(&keyring.commitment()));

    let (wrong, other) = (secret("hunter3"), generate_identity().0);
    for how in [
        Unlock::Passphrase(&passphrase),
        Unlock::Identity(&half),
        Unlock::Both(&passphrase, &other),
        Unlock::Both(&passphrase, &passphrase),
        Unlock::Both(&wrong, &half),
        Unlock::Both(&half, &passphrase),
    ] {
        locked(&slot, &how, &SlotError::CannotUnlock);
    }
    // Nor does the slot pass for one of another kind.
    for kind in [SlotKind::Passphrase, SlotKind::Keyring, SlotKind::Identity] {
        let other = SlotRecord { kind: kind as u8, ..slot.clone() };
        locked(&other, &Unlock::Passphrase(&passphrase), &SlotError::CannotUnlock);
        locked(&other, &Unlock::Identity(&half), &SlotError::CannotUnlock);
    }
}

#[test]
fn a_combined_slot_shows_no_file_that_a_passphrase_could_be_tried_on() {
    let (slot, passphrase, _) = combined(&keyring());
    let shown = |slot: &SlotRecord| slot.to_bytes().windows(6).any(|bytes| bytes == b"scrypt");
    assert!(!shown(&slot));
    assert_eq!(slot.cost(), None);
    let plain = SlotRecord::with_passphrase(&keyring(), "", 0, &passphrase, ScryptCost::FLOOR).unwrap();
    assert!(shown(&plain));
    assert_eq!(plain.cost(), Some(ScryptCost::FLOOR));
}

#[test]
fn work_inside_a_combined_slot_is_bounded_both_ways_before_any_is_done() {
    let (slot, passphrase, _) = combined(&keyring());
    let key = x25519::Identity::generate();
    let half = Secret::copy_of(key.to_string().expose_secret());
    // Whoever knows the half's public key can put a file of any cost behind it.
    let with_cost = |log2_n: &str| {
        let mut lock = scrypt::Recipient::new(secret_string(&passphrase));
        lock.set_work_factor(1);
        let file = age::encrypt(&lock, b"AGE-SECRET-KEY-1").unwrap();
        let at = file.windows(3).position(|bytes| bytes == b" 1\n").unwrap();
        let inner = [&file[..=at], log2_n.as_bytes(), &file[at + 2..]].concat();
        let protected_identity = age::encrypt(&key.to_public(), &inner).unwrap();
        SlotRecord { protected_identity, ..slot.clone() }
    };
    for (text, log2_n) in [("1", 1), ("14", 14), ("21", 21), ("63", 63), ("999", 255)] {
        locked(&with_cost(text), &Unlock::Both(&passphrase, &half), &SlotError::WorkFactor { log2_n });
    }
    locked(&with_cost("15"), &Unlock::Both(&passphrase, &half), &SlotError::CannotUnlock);
}

#[test]
fn a_slot_that_holds_its_identity_takes_a_new_root_key_without_what_unlocks_it() {
    let keyring = keyring();
    let (slot, passphrase, half) = combined(&keyring);
    let next = keyring.rotated().unwrap();
    let again = slot.rewrapped(&next).unwrap();
    let root = again.unlock(VAULT, &Unlock::Both(&passphrase, &half)).unwrap();
    assert!(root.commitment(VAULT).check(&next.commitment()));

    // What stands for a plugin's key here is an identity of age: both are asked through the same trait.
    let token = x25519::Identity::generate();
    let slot = SlotDraft::plugin("token", &token.to_public()).unwrap().seal(&keyring, 1).unwrap();
    let again = slot.rewrapped(&next).unwrap();
    let root = again.unlock(VAULT, &Unlock::Plugin(&token)).unwrap();
    assert!(root.commitment(VAULT).check(&next.commitment()));
    locked(&again, &Unlock::Plugin(&x25519::Identity::generate()), &SlotError::CannotUnlock);
    locked(&again, &Unlock::Identity(&half), &SlotError::CannotUnlock);
}

#[test]
fn kinds_that_hold_their_identity_are_made_from_none() {
    let recipient = generate_identity().1.parse().unwrap();
    for number in 0..=u8::MAX {
        let Some(kind) = SlotKind::from_u8(number) else { continue };
        assert_eq!(kind as u8, number);
        let made = SlotDraft::identity(kind, "", &recipient);
        assert_eq!(made.is_ok(), !kind.holds_identity(), "{kind:?}");
    }
    let empty = SlotDraft::combined("", &secret(""), ScryptCost::FLOOR);
    assert_eq!(empty.map(|_| ()), Err(SlotError::EmptyPassphrase));
}
