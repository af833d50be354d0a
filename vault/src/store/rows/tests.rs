//! The canonical encodings against the vectors that `tests/vectors/make.py` wrote from FORMAT.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use data_encoding::HEXLOWER;
use serde_json::Value;

use super::*;
use crate::store::{LeaseMode, WaiterRow};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/v1.json")).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn id(value: &Value) -> [u8; 16] {
    hex(value).try_into().unwrap()
}

fn optional(value: &Value) -> Option<[u8; 16]> {
    (!value.is_null()).then(|| id(value))
}

fn small<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

fn row(table: &str, c: &Value) -> Box<dyn BoundRow> {
    let (rev, epoch) = (small(&c["rev"]), small(&c["epoch"]));
    let sealed = || Sealed::from_bytes(hex(&c["sealed"]));
    match table {
        "account" => Box::new(AccountRow {
            id: AccountId::from_bytes(id(&c["id"])),
            rev,
            epoch,
            ix_site: id(&c["ix_site"]),
            ix_login: optional(&c["ix_login"]),
            ix_manager: optional(&c["ix_manager"]),
            sealed: sealed(),
        }),
        "session" => Box::new(SessionRow {
            account: AccountId::from_bytes(id(&c["account"])),
            rev,
            epoch,
            login_epoch: small(&c["login_epoch"]),
            sealed: sealed(),
        }),
        "lease" => Box::new(LeaseRow {
            resource: id(&c["resource"]),
            rev,
            epoch,
            token: Token { incarnation: small(&c["incarnation"]), n: small(&c["n"]) },
            held: c["held"] == 1,
            holder: HolderId::from_bytes(id(&c["holder"])),
            boot_id: id(&c["boot_id"]),
            until_ms: small(&c["until_ms"]),
            free_at_ms: small(&c["free_at_ms"]),
        }),
        "totp" => Box::new(TotpRow { secret: id(&c["secret"]), rev, epoch, last_step: small(&c["last_step"]) }),
        "outbox" => Box::new(OutboxRow {
            id: MessageId::from_bytes(id(&c["id"])),
            rev,
            epoch,
            lane: Lane::from_u8(small(&c["lane"])).unwrap(),
            subject: id(&c["subject"]),
            after: optional(&c["after"]).map(AccountId::from_bytes),
            seq: small(&c["seq"]),
            due_ms: c["due_ms"].as_i64().unwrap(),
            tries: small(&c["tries"]),
            state: Owed::from_u8(small(&c["state"])).unwrap(),
            sealed: sealed(),
        }),
        "item" => Box::new(ItemRow {
            tag: small(&c["tag"]),
            id: id(&c["id"]),
            rev,
            epoch,
            ix: optional(&c["ix"]),
            open: c["open"] == 1,
            sealed: sealed(),
        }),
        "waiter" => Box::new(WaiterRow {
            id: id(&c["id"]),
            rev,
            epoch,
            resource: id(&c["resource"]),
            ticket: small(&c["ticket"]),
            mode: LeaseMode::of(small(&c["at_most"])),
            holder: HolderId::from_bytes(id(&c["holder"])),
            boot_id: id(&c["boot_id"]),
            until_ms: small(&c["until_ms"]),
        }),
        other => panic!("a table that no row is for: {other}"),
    }
}

#[test]
fn every_row_hashes_to_what_the_vectors_say() {
    let vectors = vectors();
    let rows = vectors["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    for vector in rows {
        let table = vector["table"].as_str().unwrap();
        assert_eq!(row(table, &vector["columns"]).row_hash().as_slice(), hex(&vector["hash"]), "{table}");
    }
}

#[test]
fn every_row_names_its_place_and_its_epoch() {
    let keys = [
        ("account", "id", Kind::Account),
        ("session", "account", Kind::Session),
        ("lease", "resource", Kind::Lease),
        ("totp", "secret", Kind::Totp),
        ("outbox", "id", Kind::Outbox),
        ("item", "id", Kind::Item),
        ("waiter", "id", Kind::Waiter),
    ];
    for vector in vectors()["rows"].as_array().unwrap() {
        let (table, mut columns) = (vector["table"].as_str().unwrap(), vector["columns"].clone());
        (columns["rev"], columns["epoch"]) = (5.into(), 3.into());
        let (_, key, kind) = keys.into_iter().find(|(name, ..)| *name == table).unwrap();
        let row = row(table, &columns);
        assert_eq!((row.place(), row.epoch()), (Place { kind, id: id(&columns[key]), rev: 5 }, 3), "{table}");
    }
}

#[test]
fn audit_entries_hash_to_what_the_vectors_say() {
    let vectors = vectors();
    let mut all = EntriesHasher::default();
    for entry in vectors["entries"]["entries"].as_array().unwrap() {
        let token = entry["token"].as_array().map(|t| Token { incarnation: small(&t[0]), n: small(&t[1]) });
        let hash = entry_hash(small(&entry["seq"]), &id(&entry["id"]), token, &hex(&entry["sealed"]));
        assert_eq!(hash.as_slice(), hex(&entry["hash"]));
        all.add(&hash);
    }
    assert_eq!(all.finish().as_slice(), hex(&vectors["entries"]["hash"]));
}
