//! The golden vectors of format 1: opened, and made again byte for byte, for ever.
//!
//! `tests/vectors/make.py` wrote them, from FORMAT.md and without this crate.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    crypto::{
        Anchor, Header, Keyring, Kind, Place, Rekey, RekeyStage, RootKey, Sealed, SlotRecord, Unlock, cbor,
        keyring::data_key_place, seal::Head,
    },
    model::{Secret, VaultId},
};

/// Bytes, in hex in the file.
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        HEXLOWER.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
    }
}

impl Hex {
    #[track_caller]
    fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap()
    }
}

/// All but the canonical rows and audit entries, which the tests of the store read.
#[derive(Deserialize)]
struct Vectors {
    vault: Hex,
    incarnation: u32,
    root_epoch: u32,
    root_key: Hex,
    commitment: Hex,
    data_keys: Vec<DataKey>,
    records: Vec<Record>,
    row: Row,
    group: Group,
    log_element: LogElement,
    digest_root: DigestRoot,
    audit_link: AuditLink,
    blind_index: BlindIndex,
    slots: Vec<Slot>,
    combined_slot: CombinedSlot,
    slots_mac: SlotsMac,
    header: HeaderVector,
    anchor: AnchorVector,
    later_headers: Vec<LaterHeader>,
    announcing_anchor: AnnouncingAnchor,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataKey {
    epoch: u32,
    key: Hex,
    salt: Hex,
    sealed: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    kind: u8,
    id: Hex,
    rev: u64,
    epoch: u32,
    salt: Hex,
    plain_bytes: usize,
    sealed: Option<Hex>,
    sealed_bytes: usize,
    sealed_sha256: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: u8,
    id: Hex,
    rev: u64,
    hash: Hex,
    mac: Hex,
    element: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    number: u8,
    counter: u64,
    salt: Hex,
    sums: Hex,
    sealed: Hex,
    hash: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogElement {
    counter: u64,
    hash: Hex,
    element: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestRoot {
    groups: Hex,
    root: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditLink {
    previous: Hex,
    writer: u64,
    first: u64,
    last: u64,
    entries_hash: Hex,
    link: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlindIndex {
    label: String,
    parts: Vec<Hex>,
    index: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    cbor: Hex,
    unlock: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CombinedSlot {
    cbor: Hex,
    passphrase: String,
    half: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotsMac {
    generation: u64,
    mac: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderVector {
    cbor: Hex,
    salt: Hex,
    sealed: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorVector {
    slot: Hex,
}

/// A header with keys that only some vaults have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterHeader {
    counter: u64,
    cbor: Hex,
    salt: Hex,
    sealed: Hex,
    rekey: Option<RekeyVector>,
    steps_spent_until_ms: i64,
    incarnation_since_ms: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RekeyVector {
    stage: u8,
    bucket: u16,
    links: u64,
    entries: u64,
    new_link: Hex,
    old_link: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnnouncingAnchor {
    next_root_epoch: u32,
    next_root_key: Hex,
    slot: Hex,
}

fn vectors() -> (Vectors, Keyring) {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../tests/vectors/v1.json")).unwrap();
    let keys: Vec<_> = vectors.data_keys.iter().map(|k| (k.epoch, k.key.array())).collect();
    let root = RootKey::from_parts(vectors.root_epoch, vectors.root_key.array());
    let keyring = Keyring::from_parts(vault(&vectors), vectors.incarnation, root, &keys);
    (vectors, keyring)
}

fn vault(vectors: &Vectors) -> VaultId {
    VaultId::from_bytes(vectors.vault.array())
}

fn place(kind: u8, id: &Hex, rev: u64) -> Place {
    Place { kind: Kind::from_u8(kind).unwrap(), id: id.array(), rev }
}

#[test]
fn the_commitment_and_the_data_keys_are_those_of_the_vectors() {
    let (vectors, keyring) = vectors();
    assert_eq!(keyring.commitment().as_bytes(), vectors.commitment.0.as_slice());
    for key in &vectors.data_keys {
        let head = Head { epoch: key.epoch, incarnation: vectors.incarnation };
        let here = data_key_place(vault(&vectors), key.epoch);
        let sealed = keyring.root_sealer().seal_with_salt(head, here, &key.key.0, &key.salt.array()).unwrap();
        assert_eq!(sealed.as_bytes(), key.sealed.0);
    }
    let stored: Vec<_> = vectors.data_keys.iter().map(|k| (k.epoch, Sealed::from_bytes(k.sealed.0.clone()))).collect();
    let root = RootKey::from_parts(vectors.root_epoch, vectors.root_key.array());
    let loaded = Keyring::load(root, vault(&vectors), vectors.incarnation, &stored).unwrap();
    let record = &vectors.records[0];
    let sealed = &record.sealed.as_ref().unwrap().0;
    assert!(loaded.open(place(record.kind, &record.id, record.rev), sealed).unwrap().is_empty());
}

#[test]
fn records_are_sealed_byte_for_byte_and_open() {
    let (vectors, keyring) = vectors();
    for (number, record) in vectors.records.iter().enumerate() {
        let here = place(record.kind, &record.id, record.rev);
        let plain: Vec<u8> = (0..record.plain_bytes).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let head = Head { epoch: record.epoch, incarnation: vectors.incarnation };
        let sealer = &keyring.epoch_keys(record.epoch).unwrap().sealer;
        let sealed = sealer.seal_with_salt(head, here, &plain, &record.salt.array()).unwrap().into_bytes();
        assert_eq!(sealed.len(), record.sealed_bytes, "record {number}");
        assert_eq!(Header::hash(&sealed), record.sealed_sha256.array::<32>(), "record {number}");
        let stored = record.sealed.as_ref().map_or(&sealed, |hex| &hex.0);
        assert_eq!(&sealed, stored, "record {number}");
        assert_eq!(keyring.open(here, stored).unwrap().as_slice(), plain, "record {number}");
    }
}

#[test]
fn macs_elements_links_and_indexes_are_those_of_the_vectors() {
    let (Vectors { vault, row, log_element, digest_root, audit_link, blind_index, .. }, keyring) = vectors();
    let here = place(row.kind, &row.id, row.rev);
    let epoch = keyring.epoch();
    assert_eq!(keyring.row_mac(epoch, here, &row.hash.array()).unwrap(), row.mac.array());
    assert_eq!(keyring.element(epoch, here, &row.hash.array()).unwrap().as_bytes(), &row.element.array());
    let past = place(Kind::Header as u8, &vault, log_element.counter);
    let logged = keyring.element(epoch, past, &log_element.hash.array()).unwrap();
    assert_eq!(logged.as_bytes(), &log_element.element.array());
    assert_eq!(keyring.digest_root(epoch, &digest_root.groups.0).unwrap(), digest_root.root.array());
    let AuditLink { previous, writer, first, last, entries_hash, link } = audit_link;
    let linked = keyring.audit_link(epoch, &previous.array(), writer, first, last, &entries_hash.array()).unwrap();
    assert_eq!(linked, link.array());
    let parts: Vec<&[u8]> = blind_index.parts.iter().map(|part| part.0.as_slice()).collect();
    assert_eq!(keyring.blind_index(epoch, &blind_index.label, &parts).unwrap(), blind_index.index.array());
}

#[test]
fn a_group_of_the_digest_is_sealed_byte_for_byte_and_opens() {
    let (Vectors { group, incarnation, .. }, keyring) = vectors();
    let mut id = [0; 16];
    id[15] = group.number;
    let here = Place { kind: Kind::Digest, id, rev: group.counter };
    let head = Head { epoch: keyring.epoch(), incarnation };
    let sealer = &keyring.epoch_keys(keyring.epoch()).unwrap().sealer;
    let sealed = sealer.seal_with_salt(head, here, &group.sums.0, &group.salt.array()).unwrap();
    assert_eq!(sealed.as_bytes(), group.sealed.0);
    assert_eq!(Header::hash(sealed.as_bytes()), group.hash.array());
    assert_eq!(keyring.open(here, sealed.as_bytes()).unwrap().as_slice(), group.sums.0);
    assert!(keyring.open(Place { rev: group.counter - 1, ..here }, sealed.as_bytes()).is_err());
}

#[test]
fn slots_are_encoded_byte_for_byte_and_unlock() {
    let (vectors, keyring) = vectors();
    let mut slots = Vec::new();
    for vector in &vectors.slots {
        let slot = SlotRecord::from_bytes(&vector.cbor.0).unwrap();
        assert_eq!(slot.to_bytes(), vector.cbor.0);
        let secret = Secret::copy_of(&vector.unlock);
        let how = if slot.kind == 1 { Unlock::Passphrase(&secret) } else { Unlock::Identity(&secret) };
        let root = slot.unlock(vault(&vectors), &how).unwrap();
        assert!(root.commitment(vault(&vectors)).check(&keyring.commitment()));
        slots.push(slot);
    }
    assert_eq!(slots.iter().map(|slot| slot.kind).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(keyring.slots_mac(vectors.slots_mac.generation, &slots), vectors.slots_mac.mac.array());
}

#[test]
fn a_combined_slot_is_encoded_byte_for_byte_and_unlocks_by_both_its_secrets() {
    let (vectors, keyring) = vectors();
    let CombinedSlot { cbor, passphrase, half } = &vectors.combined_slot;
    let slot = SlotRecord::from_bytes(&cbor.0).unwrap();
    assert_eq!((slot.kind, slot.to_bytes()), (7, cbor.0.clone()));
    let (passphrase, half) = (Secret::copy_of(passphrase), Secret::copy_of(half));
    let root = slot.unlock(vault(&vectors), &Unlock::Both(&passphrase, &half)).unwrap();
    assert!(root.commitment(vault(&vectors)).check(&keyring.commitment()));
    assert!(slot.unlock(vault(&vectors), &Unlock::Both(&half, &half)).is_err());
}

#[test]
fn header_and_anchor_are_encoded_byte_for_byte_and_read() {
    let (vectors, keyring) = vectors();
    let sealed = &vectors.header.sealed.0;
    let header = Header::open(&keyring, 70_000, sealed).unwrap();
    assert_eq!(cbor::to_bytes(&header), vectors.header.cbor.0);
    let head = Head { epoch: keyring.epoch(), incarnation: vectors.incarnation };
    let here = Place { kind: Kind::Header, id: vectors.vault.array(), rev: header.counter };
    let sealer = &keyring.epoch_keys(keyring.epoch()).unwrap().sealer;
    let again = sealer.seal_with_salt(head, here, &vectors.header.cbor.0, &vectors.header.salt.array()).unwrap();
    assert_eq!(again.as_bytes(), sealed);

    let slot = &vectors.anchor.slot.0;
    let (index, anchor, mac) = Anchor::decode(&[slot.as_slice(), &[0; 512]].concat()).unwrap();
    assert_eq!((index, anchor.sequence, anchor.counter), (0, 12, 70_000));
    assert_eq!(anchor.header_hash, Header::hash(sealed));
    assert!(anchor.commitment.check(&keyring.commitment()));
    assert_eq!(anchor.check_mac(&keyring, &mac), Ok(()));
    assert_eq!(anchor.encode_slot(&keyring).as_slice(), slot);
}

#[test]
fn headers_of_changed_keys_and_of_a_restored_vault_are_encoded_byte_for_byte_and_read() {
    let (vectors, keyring) = vectors();
    let mut stages = Vec::new();
    for vector in &vectors.later_headers {
        let header = Header::open(&keyring, vector.counter, &vector.sealed.0).unwrap();
        let rekey = vector.rekey.as_ref().map(|rekey| Rekey {
            stage: [RekeyStage::Rows, RekeyStage::Leftovers, RekeyStage::Audit, RekeyStage::Scrub]
                [usize::from(rekey.stage - 1)],
            bucket: rekey.bucket,
            links: rekey.links,
            entries: rekey.entries,
            new_link: rekey.new_link.array(),
            old_link: rekey.old_link.array(),
        });
        assert_eq!(header.rekey, rekey, "{}", vector.counter);
        assert_eq!(header.steps_spent_until_ms, vector.steps_spent_until_ms, "{}", vector.counter);
        assert_eq!(header.incarnation_since_ms, vector.incarnation_since_ms, "{}", vector.counter);
        assert_eq!(cbor::to_bytes(&header), vector.cbor.0, "{}", vector.counter);
        let head = Head { epoch: keyring.epoch(), incarnation: vectors.incarnation };
        let here = Place { kind: Kind::Header, id: vectors.vault.array(), rev: vector.counter };
        let sealer = &keyring.epoch_keys(keyring.epoch()).unwrap().sealer;
        let again = sealer.seal_with_salt(head, here, &vector.cbor.0, &vector.salt.array()).unwrap();
        assert_eq!(again.as_bytes(), vector.sealed.0, "{}", vector.counter);
        stages.push((header.rekey.map(|rekey| rekey.stage), header.incarnation_since_ms != 0));
    }
    let expected = [
        (Some(RekeyStage::Rows), false),
        (Some(RekeyStage::Audit), false),
        (None, false),
        (None, true),
        (Some(RekeyStage::Scrub), true),
    ];
    assert_eq!(stages, expected);
}

#[test]
fn an_anchor_that_announces_a_root_key_is_encoded_byte_for_byte_and_read() {
    let (vectors, keyring) = vectors();
    let AnnouncingAnchor { next_root_epoch, next_root_key, slot } = &vectors.announcing_anchor;
    let root = RootKey::from_parts(*next_root_epoch, next_root_key.array());
    let keys: Vec<_> = vectors.data_keys.iter().map(|k| (k.epoch, k.key.array())).collect();
    let next = Keyring::from_parts(vault(&vectors), vectors.incarnation, root, &keys);
    let (_, read, mac) = Anchor::decode(&[slot.0.as_slice(), &[0; 512]].concat()).unwrap();
    assert!(read.announces(&next) && !read.announces(&keyring));
    assert!(read.may_be(&next.commitment()) && read.may_be(&keyring.commitment()));
    assert_eq!((read.check(&keyring, &mac), read.check(&next, &mac)), (Ok(()), Ok(())));
    let silent = Anchor { next: None, ..read.clone() };
    assert_eq!(silent.encode_slot(&keyring).as_slice(), vectors.anchor.slot.0);
    assert_eq!(silent.announcing(&next).encode_slot(&keyring).as_slice(), slot.0);
}
