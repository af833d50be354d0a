//! Keyrings: loaded from what was stored, refused from what was not, rotated and retired.

use super::{VAULT, keyring, place};
use crate::{
    crypto::{EPOCHS_MAX, Keyring, Kind, OpenError, RootKey, RotateError, Sealed, SlotKind, SlotRecord, Unlock},
    model::{Secret, VaultId},
};

/// The root key again, as a slot gives it.
fn root_of(keyring: &Keyring) -> RootKey {
    let (identity, recipient) = crate::crypto::generate_identity();
    let recipient = recipient.parse().unwrap();
    let slot = SlotRecord::with_identity(SlotKind::Identity, keyring, "", 0, &recipient).unwrap();
    slot.unlock(keyring.vault(), &Unlock::Identity(&identity)).unwrap()
}

#[test]
fn a_loaded_keyring_opens_what_was_sealed_before() {
    let keyring = keyring();
    assert_eq!((keyring.epoch(), keyring.root_epoch(), keyring.incarnation()), (1, 1, 1));
    let here = place(Kind::Session, 1, 1);
    let sealed = keyring.seal(here, b"sid=1").unwrap();

    let again = Keyring::load(root_of(&keyring), VAULT, 4, &keyring.sealed_data_keys().unwrap()).unwrap();
    assert_eq!(again.open(here, sealed.as_bytes()).unwrap().as_slice(), b"sid=1");
    assert_eq!((again.epoch(), again.incarnation()), (1, 4));
    assert!(again.commitment().check(&keyring.commitment()));
}

#[test]
fn data_keys_load_only_under_their_root_key_vault_and_epoch() {
    let keyring = keyring();
    let keys = keyring.sealed_data_keys().unwrap();
    let load =
        |root: &Keyring, vault, keys: &[(u32, Sealed)]| Keyring::load(root_of(root), vault, 1, keys).unwrap_err();
    let renamed: Vec<_> = keys.iter().map(|(_, sealed)| (2, sealed.clone())).collect();
    let twice: Vec<_> = keys.iter().cycle().take(2).cloned().collect();

    assert_eq!(load(&super::keyring(), VAULT, &keys), OpenError::Commitment, "an attacker's root key");
    assert_eq!(load(&keyring, VAULT, &renamed), OpenError::Commitment, "another epoch");
    assert_eq!(load(&keyring, VAULT, &[]), OpenError::DataKeys);
    assert_eq!(load(&keyring, VAULT, &twice), OpenError::DataKeys);
    let elsewhere = VaultId::from_bytes([8; 16]);
    let root = RootKey::from_parts(1, [1; 32]);
    let ours = Keyring::from_parts(VAULT, 1, RootKey::from_parts(1, [1; 32]), &[(1, [2; 32])]);
    let error = Keyring::load(root, elsewhere, 1, &ours.sealed_data_keys().unwrap()).unwrap_err();
    assert_eq!(error, OpenError::Commitment, "another vault of the same root key");
}

#[test]
fn as_many_data_keys_as_are_allowed_load_and_one_more_does_not() {
    let keys: Vec<_> = (1..).map(|epoch| (epoch, [2; 32])).take(EPOCHS_MAX + 1).collect();
    let many = Keyring::from_parts(VAULT, 1, RootKey::from_parts(1, [1; 32]), &keys).sealed_data_keys().unwrap();
    let load = |keys| Keyring::load(RootKey::from_parts(1, [1; 32]), VAULT, 1, keys);
    assert_eq!(load(&many[1..]).unwrap().epochs().count(), EPOCHS_MAX);
    assert_eq!(load(&many).unwrap_err(), OpenError::DataKeys);
}

#[test]
fn a_record_sealed_by_a_data_key_is_not_taken_for_a_data_key() {
    let keyring = keyring();
    let forged = keyring.seal(crate::crypto::keyring::data_key_place(VAULT, 1), &[5; 32]).unwrap();
    let error = Keyring::load(root_of(&keyring), VAULT, 1, &[(1, forged)]).unwrap_err();
    assert_eq!(error, OpenError::Commitment);
}

#[test]
fn a_data_key_of_another_length_is_refused() {
    let keyring = keyring();
    let here = crate::crypto::keyring::data_key_place(VAULT, 1);
    let head = crate::crypto::seal::Head { epoch: 1, incarnation: 1 };
    for length in [0, 31, 33] {
        let sealed = keyring.root_sealer().seal(head, here, &vec![1; length]).unwrap();
        let error = Keyring::load(root_of(&keyring), VAULT, 1, &[(1, sealed)]).unwrap_err();
        assert_eq!(error, OpenError::DataKeys, "{length}");
    }
}

#[test]
fn the_commitment_tells_root_key_epoch_and_vault_apart() {
    let commitment =
        |epoch, key, vault| RootKey::from_parts(epoch, [key; 32]).commitment(VaultId::from_bytes([vault; 16]));
    let known = commitment(1, 1, 1);
    assert!(known.check(&commitment(1, 1, 1)));
    for other in [commitment(2, 1, 1), commitment(1, 2, 1), commitment(1, 1, 2)] {
        assert!(!known.check(&other));
    }
}

#[test]
fn a_rotated_keyring_reads_the_old_epoch_writes_the_new_one_and_shuts_the_old_root_key_out() {
    let old = keyring();
    let here = place(Kind::Account, 1, 1);
    let before = old.seal(here, b"before").unwrap();

    let mut new = old.rotated().unwrap();
    assert_eq!((new.epoch(), new.root_epoch(), new.epochs().collect::<Vec<_>>()), (2, 2, vec![1, 2]));
    assert_eq!(new.open(here, before.as_bytes()).unwrap().as_slice(), b"before");
    let after = new.seal(here, b"after").unwrap();
    assert_eq!(old.open(here, after.as_bytes()).unwrap_err(), OpenError::UnknownEpoch { epoch: 2 });
    assert!(!new.commitment().check(&old.commitment()));

    // Somebody who was removed kept a slot of before: its root key is not the vault's, and opens none of its keys.
    let kept = root_of(&old);
    assert!(!kept.commitment(VAULT).check(&new.commitment()));
    let error = Keyring::load(kept, VAULT, 1, &new.sealed_data_keys().unwrap()).unwrap_err();
    assert_eq!(error, OpenError::Commitment);

    assert!(!new.retire(2), "the current epoch stays");
    assert!(new.retire(1));
    assert!(!new.retire(1));
    assert_eq!(new.open(here, before.as_bytes()).unwrap_err(), OpenError::UnknownEpoch { epoch: 1 });
    assert_eq!(new.open(here, after.as_bytes()).unwrap().as_slice(), b"after");
}

#[test]
fn rotation_ends_where_epochs_pile_up_or_their_numbers_do() {
    let mut keyring = keyring();
    for _ in 1..EPOCHS_MAX {
        keyring = keyring.rotated().unwrap();
    }
    let full = RotateError::TooManyEpochs { epoch: 64, held: EPOCHS_MAX };
    assert_eq!(keyring.rotated().unwrap_err(), full);
    assert!(keyring.retire(1));
    assert_eq!(keyring.rotated().unwrap().epoch(), 65);

    let last = Keyring::from_parts(VAULT, 1, RootKey::from_parts(1, [1; 32]), &[(u32::MAX, [2; 32])]);
    assert_eq!(last.rotated().unwrap_err(), RotateError::TooManyEpochs { epoch: u32::MAX, held: 1 });
}

#[test]
fn keys_are_absent_from_debug_texts() {
    let key = RootKey::from_parts(1, *b"0123456789abcdef0123456789abcdef");
    assert_eq!(format!("{key:?}"), "RootKey([redacted])");
    let keyring = Keyring::from_parts(VAULT, 3, key, &[(2, [b'k'; 32])]);
    let shown = format!("{keyring:?}");
    assert_eq!(shown, format!("Keyring {{ vault: {VAULT:?}, epoch: 2, incarnation: 3, .. }}"));
    let how = format!("{:?}", Unlock::Passphrase(&Secret::copy_of("hunter2")));
    assert_eq!(how, "Passphrase([redacted])");
}

#[test]
fn a_data_key_that_ended_opens_what_is_in_hand_and_is_stored_nowhere() {
    let first = keyring();
    let here = place(Kind::Account, 1, 1);
    let in_hand = first.seal(here, b"x").unwrap();
    let both = first.with_new_data_key().unwrap();
    let alone = both.without_older();
    let followed = both.reloaded(&alone.sealed_data_keys().unwrap()).unwrap();
    for (name, keys, stored) in [("both", &both, true), ("alone", &alone, false), ("followed", &followed, false)] {
        assert_eq!(keys.open(here, in_hand.as_bytes()).unwrap().as_slice(), b"x", "{name}");
        assert_eq!((keys.epoch(), keys.is_stored(1), keys.is_stored(2)), (2, stored, true), "{name}");
        assert_eq!(keys.older_epoch(), stored.then_some(1), "{name}");
        assert_eq!(keys.sealed_data_keys().unwrap().len(), 1 + usize::from(stored), "{name}");
    }
}

#[test]
fn the_old_key_is_needed_until_nothing_is_sealed_under_it() {
    use crate::crypto::{Rekey, RekeyStage};
    let stages = [
        (RekeyStage::Rows, true),
        (RekeyStage::Leftovers, true),
        (RekeyStage::Audit, true),
        (RekeyStage::Scrub, false),
    ];
    for (stage, needed) in stages {
        assert_eq!(Rekey { stage, ..Rekey::begun() }.needs_the_old_key(), needed, "{stage:?}");
    }
}
