//! What moves from a former name, and which of two rows counts where both names have one.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    model::HolderId,
    store::{
        LeaseMode, Token,
        sqlite::testing::{File, id_in},
    },
};

/// A file under its second data key, with these leases and spent steps in it.
fn file(leases: &[LeaseRow], steps: &[TotpRow]) -> File {
    let file = File::new();
    file.commit(|tx| {
        leases.iter().for_each(|lease| tx.put(None, lease).unwrap());
        steps.iter().for_each(|step| tx.put(None, step).unwrap());
    });
    file.rotated()
}

fn lease(resource: [u8; 16], rev: u64, n: u64) -> LeaseRow {
    let token = Token { incarnation: 1, n };
    let (holder, boot_id) = (HolderId::from_bytes([n as u8; 16]), [4; 16]);
    LeaseRow { resource, rev, epoch: 1, token, held: true, holder, boot_id, until_ms: 70, free_at_ms: 80 }
}

fn step(secret: [u8; 16], rev: u64, last_step: u64) -> TotpRow {
    TotpRow { secret, rev, epoch: 1, last_step }
}

#[test]
fn a_lease_moves_with_its_holder_and_of_two_the_newer_token_counts() {
    let (former, index) = (id_in(1, 1), id_in(2, 2));
    let name = Name { epoch: 2, index, former: Some(former) };
    // The lease under the former name, that under the new one, and what is left: revision and token.
    for (old, there, left) in [
        (Some(7), None, Some((1, 7))),
        (Some(7), Some((5, 6)), Some((6, 7))),
        (Some(7), Some((5, 7)), Some((5, 7))),
        (Some(7), Some((5, 8)), Some((5, 8))),
        (None, Some((5, 6)), Some((5, 6))),
        (None, None, None),
    ] {
        let old = old.map(|n| lease(former, 3, n));
        let there = there.map(|(rev, n)| lease(index, rev, n));
        let leases: Vec<_> = old.into_iter().chain(there).collect();
        file(&leases, &[]).transaction(|tx| {
            assert_eq!(lease_id(tx, &Resource::Named(name)).unwrap(), index);
            assert!(tx.load::<LeaseRow>(&former).unwrap().is_none());
            let found = tx.load::<LeaseRow>(&index).unwrap();
            assert_eq!(found.as_ref().map(|lease| (lease.rev, lease.token.n)), left);
            if let Some(found) = found {
                let n = found.token.n;
                let epoch =
                    if leases.iter().any(|lease| lease.resource == index && lease.token.n == n) { 1 } else { 2 };
                assert_eq!(found, LeaseRow { epoch, ..lease(index, found.rev, n) }, "whoever has it keeps it");
            }
        });
    }
}

#[test]
fn those_who_wait_for_a_lease_move_with_it_in_their_order() {
    let (former, index, elsewhere) = (id_in(1, 1), id_in(2, 2), id_in(3, 3));
    let waiter = |n: u16, resource, rev| WaiterRow {
        id: id_in(9, n),
        rev,
        epoch: 1,
        resource,
        ticket: n.into(),
        mode: LeaseMode::Exclusive,
        holder: HolderId::from_bytes([8; 16]),
        boot_id: [4; 16],
        until_ms: 90,
    };
    let waiters = [waiter(1, former, 1), waiter(2, elsewhere, 1), waiter(3, former, 5)];
    let file = File::new();
    file.commit(|tx| {
        tx.put(None, &lease(former, 1, 1)).unwrap();
        waiters.iter().for_each(|waiter| tx.put(None, waiter).unwrap());
    });
    file.rotated().transaction(|tx| {
        let name = Name { epoch: 2, index, former: Some(former) };
        assert_eq!(lease_id(tx, &Resource::Named(name)).unwrap(), index);
        let found: Vec<_> = waiters.iter().map(|waiter| tx.load::<WaiterRow>(&waiter.id).unwrap().unwrap()).collect();
        let moved = |waiter| WaiterRow { epoch: 2, ..waiter };
        assert_eq!(found, [moved(waiter(1, index, 2)), waiter(2, elsewhere, 1), moved(waiter(3, index, 6))]);
    });
}

#[test]
fn spent_steps_move_and_of_two_the_later_one_counts() {
    let (former, index) = (id_in(1, 1), id_in(2, 2));
    let name = Name { epoch: 2, index, former: Some(former) };
    for (old, there, left) in [
        (Some(100), None, Some((1, 100))),
        (Some(100), Some((5, 99)), Some((6, 100))),
        (Some(100), Some((5, 101)), Some((6, 101))),
        (None, Some((5, 99)), Some((5, 99))),
        (None, None, None),
    ] {
        let old = old.map(|last| step(former, 3, last));
        let there = there.map(|(rev, last)| step(index, rev, last));
        let steps: Vec<_> = old.into_iter().chain(there).collect();
        file(&[], &steps).transaction(|tx| {
            assert_eq!(totp_id(tx, &name).unwrap(), index);
            assert!(tx.load::<TotpRow>(&former).unwrap().is_none());
            let found = tx.load::<TotpRow>(&index).unwrap();
            assert_eq!(found.map(|step| (step.rev, step.last_step)), left);
        });
    }
}

#[test]
fn a_name_of_another_epoch_is_refused_and_moves_nothing() {
    let (former, index) = (id_in(1, 1), id_in(2, 2));
    file(&[lease(former, 1, 1)], &[step(former, 1, 1)]).transaction(|tx| {
        for epoch in [1, 3] {
            let name = Name { epoch, index, former: Some(former) };
            assert!(matches!(lease_id(tx, &Resource::Named(name)), Err(StoreError::Rekeyed)), "{epoch}");
            assert!(matches!(totp_id(tx, &name), Err(StoreError::Rekeyed)), "{epoch}");
        }
        assert!(tx.load::<LeaseRow>(&former).unwrap().is_some());
        assert!(tx.load::<TotpRow>(&former).unwrap().is_some());
        assert_eq!(lease_id(tx, &Resource::Id(former)).unwrap(), former, "an id of its own has no epoch");
        let name = Name { epoch: 2, index, former: None };
        assert_eq!(lease_id(tx, &Resource::Named(name)).unwrap(), index);
        assert!(tx.load::<LeaseRow>(&former).unwrap().is_some(), "nobody said that it was its name");
    });
}
