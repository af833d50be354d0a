//! MACs, digest elements, audit links and blind indexes: each argument and each key counts.

use std::collections::HashSet;

use super::{VAULT, keyring};
use crate::{
    crypto::{Keyring, Kind, OpenError, Place, RootKey, SlotKind, SlotRecord},
    model::VaultId,
};

/// Asserts that no two of these are equal.
#[track_caller]
fn all_differ<T: Eq + std::hash::Hash>(values: Vec<T>) {
    let count = values.len();
    assert_eq!(values.into_iter().collect::<HashSet<_>>().len(), count);
}

/// Every way in which a place can differ by one part.
fn places() -> Vec<Place> {
    let here = Place { kind: Kind::Lease, id: [1; 16], rev: 1 };
    vec![here, Place { kind: Kind::Totp, ..here }, Place { id: [2; 16], ..here }, Place { rev: 2, ..here }]
}

/// Two keyrings that share their data keys but not their vault.
fn siblings() -> [Keyring; 2] {
    [VAULT, VaultId::from_bytes([8; 16])]
        .map(|vault| Keyring::from_parts(vault, 1, RootKey::from_parts(1, [1; 32]), &[(1, [2; 32]), (2, [3; 32])]))
}

#[test]
fn a_row_mac_and_an_element_depend_on_vault_epoch_place_and_row() {
    let mut values = Vec::new();
    for keyring in siblings() {
        for epoch in [1, 2] {
            for place in places() {
                for row in [[1; 32], [2; 32]] {
                    values.push(keyring.row_mac(epoch, place, &row).unwrap());
                    values.push(*keyring.element(epoch, place, &row).unwrap().as_bytes());
                }
            }
        }
    }
    all_differ(values);
}

#[test]
fn an_audit_link_depends_on_all_that_it_links_so_that_restamped_entries_show() {
    let [ours, theirs] = siblings();
    let link = |keyring: &Keyring, epoch, previous, writer, first, last, entries| {
        keyring.audit_link(epoch, &[previous; 32], writer, first, last, &[entries; 32]).unwrap()
    };
    all_differ(vec![
        link(&ours, 1, 0, 1, 2, 3, 0),
        link(&ours, 1, 1, 1, 2, 3, 0),
        link(&ours, 1, 0, 2, 2, 3, 0),
        link(&ours, 1, 0, 1, 1, 3, 0),
        link(&ours, 1, 0, 1, 2, 4, 0),
        link(&ours, 1, 0, 1, 2, 3, 1),
        link(&ours, 2, 0, 1, 2, 3, 0),
        link(&theirs, 1, 0, 1, 2, 3, 0),
    ]);
}

#[test]
fn a_blind_index_shows_equality_within_one_vault_epoch_and_label_only() {
    let [ours, theirs] = siblings();
    let index = |keyring: &Keyring, epoch, label, parts: &[&[u8]]| keyring.blind_index(epoch, label, parts).unwrap();
    assert_eq!(index(&ours, 1, "site", &[b"example.org"]), index(&ours, 1, "site", &[b"example.org"]));
    all_differ(vec![
        index(&ours, 1, "site", &[b"example.org"]),
        index(&theirs, 1, "site", &[b"example.org"]),
        index(&ours, 2, "site", &[b"example.org"]),
        index(&ours, 1, "email", &[b"example.org"]),
        index(&ours, 1, "siteexample", &[b".org"]),
        index(&ours, 1, "site", &[b"example", b".org"]),
        index(&ours, 1, "site", &[b"exampl", b"e.org"]),
        index(&ours, 1, "site", &[b"example.org", b""]),
        index(&ours, 1, "site", &[b"", b"example.org"]),
        index(&ours, 1, "site", &[]),
    ]);
}

#[test]
fn attack_30_a_blind_index_is_no_hash_that_a_dictionary_could_repeat() {
    // The framing and the labels are public; the key is not. Without it, the best guess is another key's output.
    let ours = keyring().blind_index(1, "site", &[b"example.org"]).unwrap();
    let guess = crate::crypto::derive::hmac_key(&[0; 32]);
    let framed = [&4_u64.to_be_bytes()[..], b"site", &11_u64.to_be_bytes(), b"example.org"];
    assert_ne!(ours, crate::crypto::derive::mac(&guess, &framed)[..16]);
    assert_ne!(ours, crate::crypto::Header::hash(&framed.concat())[..16]);
}

#[test]
fn the_digest_root_depends_on_every_group_and_their_order() {
    let keyring = keyring();
    let root = |groups: &[u8]| keyring.digest_root(1, groups).unwrap();
    let groups = [[1; 32], [2; 32]].concat();
    let swapped = [[2; 32], [1; 32]].concat();
    all_differ(vec![root(&groups), root(&swapped), root(&groups[..32]), root(&[])]);
}

#[test]
fn an_epoch_without_a_key_authenticates_nothing() {
    let keyring = keyring();
    let missing = OpenError::UnknownEpoch { epoch: 9 };
    let here = places()[0];
    assert_eq!(keyring.row_mac(9, here, &[0; 32]), Err(OpenError::UnknownEpoch { epoch: 9 }));
    assert_eq!(keyring.element(9, here, &[0; 32]), Err(OpenError::UnknownEpoch { epoch: 9 }));
    assert_eq!(keyring.digest_root(9, &[]), Err(OpenError::UnknownEpoch { epoch: 9 }));
    assert_eq!(keyring.audit_link(9, &[0; 32], 0, 0, 0, &[0; 32]), Err(OpenError::UnknownEpoch { epoch: 9 }));
    assert_eq!(keyring.blind_index(9, "", &[]), Err(missing));
}

#[test]
fn the_slot_list_mac_finds_added_removed_changed_and_reordered_slots_and_an_older_list() {
    let keyring = keyring();
    let slot = |label: &str| {
        let recipient = crate::crypto::generate_identity().1.parse().unwrap();
        SlotRecord::with_identity(SlotKind::Identity, &keyring, label, 0, &recipient).unwrap()
    };
    let (a, b) = (slot("a"), slot("b"));
    let recipient = SlotRecord { recipient: b.recipient.clone(), ..a.clone() };
    let relabelled = SlotRecord { label: "c".into(), ..a.clone() };
    let list = vec![a.clone(), b.clone()];
    let right = keyring.slots_mac(5, &list);
    assert_eq!(right, keyring.slots_mac(5, &list));
    all_differ(vec![
        right,
        keyring.slots_mac(4, &list),
        keyring.slots_mac(5, &[]),
        keyring.slots_mac(5, std::slice::from_ref(&a)),
        keyring.slots_mac(5, &[b.clone(), a.clone()]),
        keyring.slots_mac(5, &[a.clone(), b.clone(), b.clone()]),
        keyring.slots_mac(5, &[recipient, b.clone()]),
        keyring.slots_mac(5, &[relabelled, b]),
        super::keyring().slots_mac(5, &list),
    ]);
}
