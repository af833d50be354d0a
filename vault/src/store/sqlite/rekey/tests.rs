//! How much of a change of keys one commit does, that it goes on where it stopped, and what it refuses.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    crypto::{Kind, Place, Sealed},
    model::{AccountId, HolderId, MessageId},
    record::ItemRecord,
    store::{
        Lane, Owed, Token,
        sqlite::testing::{File, id_in, material},
    },
};

fn item(file: &File, id: [u8; 16], bytes: usize) -> ItemRow {
    let record = ItemRecord::encode("key", &vec![7; bytes]);
    let sealed = file.keys.seal(Place { kind: Kind::Item, id, rev: 1 }, &record).unwrap();
    ItemRow { tag: 1, id, rev: 1, epoch: 1, ix: None, open: false, sealed }
}

fn lease(resource: [u8; 16]) -> LeaseRow {
    let (token, holder) = (Token { incarnation: 1, n: 1 }, HolderId::from_bytes([1; 16]));
    LeaseRow { resource, rev: 1, epoch: 1, token, held: false, holder, boot_id: [4; 16], until_ms: 0, free_at_ms: 0 }
}

fn step(secret: [u8; 16]) -> TotpRow {
    TotpRow { secret, rev: 1, epoch: 1, last_step: 1 }
}

/// A file with these items, in which a change of keys has begun.
fn begun(items: impl FnOnce(&File) -> Vec<ItemRow>) -> File {
    let file = File::new();
    let items = items(&file);
    file.commit(|tx| items.iter().for_each(|item| tx.put(None, item).unwrap()));
    begin_in(file)
}

fn begin_in(file: File) -> File {
    let file = file.rotated();
    let (begun, _) = file.commit(|tx| begin(tx, &material(2), &[])).unwrap();
    assert_eq!(begun, Begun::Done);
    file
}

/// Prepares from a bucket on and writes that: how far it was prepared, its rows, and where the next one begins.
#[track_caller]
fn batch(file: &File, from: u16) -> (u16, usize, u16) {
    let prepared = prepare(&file.conn, &file.binder, from, |_| Ok(())).unwrap();
    let (written, _) = file.commit(|tx| write(tx, &prepared)).unwrap();
    assert!(written);
    (prepared.to, prepared.rows, file.known().header.rekey.unwrap().bucket)
}

fn stage(file: &File) -> RekeyStage {
    file.known().header.rekey.unwrap().stage
}

#[test]
fn a_batch_ends_behind_the_bucket_that_fills_it_and_a_bucket_of_too_many_rows_is_done_in_parts() {
    let file = begun(|file| {
        let bucket = |bucket, rows| (0..rows).map(move |n| item(file, id_in(bucket, n), 10));
        bucket(5, 1999)
            .chain(bucket(6, 2))
            .chain(bucket(7, 4100))
            .chain(bucket(8, 2500))
            .chain(bucket(4095, 1))
            .collect()
    });
    assert_eq!(batch(&file, 0), (7, 2001, 7));
    assert_eq!(batch(&file, 7), (7, 4000, 7));
    assert_eq!(batch(&file, 7), (9, 2600, 9));
    assert_eq!(stage(&file), RekeyStage::Rows);
    assert_eq!(batch(&file, 9), (4096, 1, 0));
    assert_eq!(stage(&file), RekeyStage::Leftovers);
    let left: i64 = file.conn.query_row("SELECT count(*) FROM item WHERE epoch <> 2", [], |row| row.get(0)).unwrap();
    assert_eq!((left, file.count("item")), (0, 8602));
}

#[test]
fn a_batch_is_bounded_in_bytes_as_it_is_in_rows() {
    const MIB: usize = 1 << 20;
    let file = begun(|file| {
        let bucket = |bucket, rows| (0..rows).map(move |n| item(file, id_in(bucket, n), 3 * MIB));
        bucket(1, 2).chain(bucket(2, 1)).chain(bucket(3, 4)).chain(bucket(4, 7)).chain(bucket(5, 1)).collect()
    });
    assert_eq!(batch(&file, 0), (3, 3, 3), "eight MiB are reached");
    assert_eq!(batch(&file, 3), (4, 4, 4), "what a bucket has beyond them comes along");
    assert_eq!(batch(&file, 4), (4, 6, 4), "up to twice as much");
    assert_eq!(batch(&file, 4), (4096, 2, 0));
}

#[test]
fn what_does_not_follow_what_is_done_is_not_written() {
    let file = begun(|file| vec![item(file, id_in(9, 0), 10)]);
    let ahead = prepare(&file.conn, &file.binder, 9, |_| Ok(())).unwrap();
    assert_eq!(ahead.rows, 1);
    assert!(!file.commit(|tx| write(tx, &ahead)).unwrap().0);
    assert_eq!(batch(&file, 0), (4096, 1, 0));
    let late = prepare(&file.conn, &file.binder, 0, |_| Ok(())).unwrap();
    assert!(!file.commit(|tx| write(tx, &late)).unwrap().0, "this stage is over");
    assert_eq!(stage(&file), RekeyStage::Leftovers);
    assert!(file.commit(|tx| audit(tx, &ResealAsk::default())).is_ok());
    assert!(file.commit(scrubbed).is_ok());
    assert_eq!(stage(&file), RekeyStage::Leftovers, "the stages come in their order");
}

#[test]
fn a_bucket_with_rows_of_the_old_key_is_not_passed_over_whatever_was_prepared() {
    let file = begun(|file| vec![item(file, id_in(9, 0), 10)]);
    let prepared = prepare(&file.conn, &file.binder, 0, |_| Ok(())).unwrap();
    file.conn
        .execute("INSERT INTO item SELECT ?1, tag, rev, epoch, ix, open, sealed, mac FROM item", [id_in(3, 0)])
        .unwrap();
    assert!(file.commit(|tx| write(tx, &prepared)).unwrap().0);
    let rekey = file.known().header.rekey.unwrap();
    assert_eq!((rekey.stage, rekey.bucket), (RekeyStage::Rows, 3));
}

#[test]
fn keys_that_do_not_follow_those_of_now_begin_nothing_and_a_second_change_waits() {
    let file = File::new().rotated();
    for generation in [0, 1, 3] {
        let (begun, _) = file.commit(|tx| begin(tx, &material(generation), &[])).unwrap();
        assert_eq!(begun, Begun::Stale, "{generation}");
        assert!(file.known().header.rekey.is_none());
    }
    let file = begin_in(file);
    assert_eq!(file.known().header.slots_generation, 2);
    let (again, _) = file.commit(|tx| begin(tx, &material(3), &[])).unwrap();
    assert_eq!(again, Begun::Running);
    assert_eq!(file.known().header.slots_generation, 2);
}

#[test]
fn rows_of_every_table_under_the_old_key_are_seen_but_for_leases_of_names() {
    let file = File::new();
    let sealed = || Sealed::from_bytes(vec![1; 100]);
    let account = |bucket| AccountRow {
        id: AccountId::from_bytes(id_in(bucket, 0)),
        rev: 1,
        epoch: 1,
        ix_site: [1; 16],
        ix_login: None,
        ix_manager: None,
        sealed: sealed(),
    };
    let session = |bucket| SessionRow {
        account: AccountId::from_bytes(id_in(bucket, 0)),
        rev: 1,
        epoch: 1,
        login_epoch: 1,
        sealed: sealed(),
    };
    let message = |bucket| OutboxRow {
        id: MessageId::from_bytes(id_in(bucket, 0)),
        rev: 1,
        epoch: 1,
        lane: Lane::Task,
        subject: [1; 16],
        after: None,
        seq: 1,
        due_ms: 0,
        tries: 0,
        state: Owed::Due,
        sealed: sealed(),
    };
    file.commit(|tx| {
        tx.put(None, &account(1)).unwrap();
        tx.put(None, &session(2)).unwrap();
        tx.put(None, &account(3)).unwrap();
        tx.put(None, &lease(id_in(3, 0))).unwrap();
        tx.put(None, &message(4)).unwrap();
        tx.put(None, &item(&file, id_in(5, 0), 10)).unwrap();
        tx.put(None, &lease(id_in(6, 0))).unwrap();
        tx.put(None, &step(id_in(7, 0))).unwrap();
    });
    let older = |file: &File| {
        let mut found = Vec::new();
        file.transaction(|tx| found = (0..9).filter(|bucket| has_older_rows(tx, *bucket).unwrap()).collect::<Vec<_>>());
        found
    };
    assert_eq!(older(&file), [0; 0]);
    let file = file.rotated();
    assert_eq!(older(&file), [1, 2, 3, 4, 5]);
    // Of the account and its lease the lease alone.
    file.conn.execute("UPDATE account SET epoch = 2 WHERE id = ?1", [id_in(3, 0)]).unwrap();
    assert_eq!(older(&file), [1, 2, 3, 4, 5]);
    file.conn.execute("UPDATE lease SET epoch = 2 WHERE resource = ?1", [id_in(3, 0)]).unwrap();
    assert_eq!(older(&file), [1, 2, 4, 5]);
}

#[test]
fn leftovers_go_some_at_a_time_and_only_spent_steps_leave_a_floor() {
    let file = File::new();
    file.commit(|tx| {
        for (bucket, leases, steps) in [(1, 2000, 0), (2, 1500, 600), (3, 1, 0), (4, 1, 2100), (4095, 1, 1)] {
            (0..leases).for_each(|n| tx.put(None, &lease(id_in(bucket, n))).unwrap());
            (0..steps).for_each(|n| tx.put(None, &step(id_in(bucket, n))).unwrap());
        }
    });
    let file = begin_in(file);
    assert_eq!(batch(&file, 0), (4096, 0, 0), "leases of names are not bound again where they lie");
    // The time of the call; then leases, steps, floor, and the next bucket.
    for (now_ms, left) in
        [(1000, (1503, 2701, 0, 1)), (2000, (3, 2101, 2000, 3)), (3000, (1, 101, 3000, 4)), (1500, (0, 0, 3000, 0))]
    {
        assert_eq!(stage(&file), RekeyStage::Leftovers);
        file.commit(|tx| leftovers(tx, &ResealAsk::default(), now_ms)).unwrap();
        let header = file.known().header;
        let bucket = header.rekey.unwrap().bucket;
        assert_eq!((file.count("lease"), file.count("totp"), header.steps_spent_until_ms, bucket), left);
    }
    assert_eq!(stage(&file), RekeyStage::Audit);
}

#[test]
fn lanes_of_another_epoch_are_refused_and_those_of_now_are_moved() {
    let (former, index) = (id_in(1, 0), id_in(2, 0));
    let file = File::new();
    file.commit(|tx| tx.put(None, &lease(former)).unwrap());
    let file = begin_in(file);
    assert_eq!(batch(&file, 0), (4096, 0, 0));
    let ask = |epoch| ResealAsk { lanes: vec![Name { epoch, index, former: Some(former) }], ..ResealAsk::default() };
    let refused = file.commit(|tx| leftovers(tx, &ask(1), 0));
    assert!(matches!(refused, Err(StoreError::Rekeyed)));
    assert_eq!(stage(&file), RekeyStage::Leftovers);
    file.commit(|tx| leftovers(tx, &ask(2), 0)).unwrap();
    assert_eq!((stage(&file), file.count("lease")), (RekeyStage::Audit, 1));
    file.transaction(|tx| assert_eq!(tx.load::<LeaseRow>(&index).unwrap().unwrap().epoch, 2));
}

#[test]
fn the_old_key_goes_with_the_keys_that_end_the_change_and_with_no_others() {
    let file = begun(|_| Vec::new());
    assert_eq!(batch(&file, 0), (4096, 0, 0));
    file.commit(|tx| leftovers(tx, &ResealAsk::default(), 0)).unwrap();
    let sealed = file.keys.sealed_data_keys().unwrap();
    let keys = |generation, from: usize| KeyMaterial { data_keys: sealed[from..].to_vec(), ..material(generation) };
    let end = |finish| file.commit(|tx| audit(tx, &ResealAsk { finish, ..ResealAsk::default() })).unwrap();
    for refused in [None, Some(keys(2, 1)), Some(keys(4, 1)), Some(keys(3, 0)), Some(keys(3, 2))] {
        end(refused);
        assert_eq!(stage(&file), RekeyStage::Audit);
    }
    file.commit(scrubbed).unwrap();
    assert_eq!(stage(&file), RekeyStage::Audit, "the old bytes are looked for once the key is gone");
    end(Some(keys(3, 1)));
    assert_eq!(stage(&file), RekeyStage::Scrub);
    file.commit(scrubbed).unwrap();
    assert!(file.known().header.rekey.is_none());
}
