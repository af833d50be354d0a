//! Rows that lie under a blind index, found under the index of now and moved there from that of the epoch before.
//!
//! A name of an epoch that is over is refused: whoever asked computes it again. Knows no verb and no key.

#[cfg(test)]
mod tests;

use super::{tables::Table, tx::Tx};
use crate::store::{BlindIndex, LeaseRow, Name, Resource, StoreError, TotpRow, WaiterRow};

/// The id that a resource's lease lies under, after it was moved there, where need be.
pub(super) fn lease_id(tx: &mut Tx<'_>, resource: &Resource) -> Result<[u8; 16], StoreError> {
    match resource {
        Resource::Id(id) => Ok(*id),
        Resource::Named(name) => {
            check(tx, name)?;
            move_lease(tx, name)?;
            Ok(name.index)
        }
    }
}

/// The id that the spent steps of a secret lie under, after they were moved there, where need be.
pub(super) fn totp_id(tx: &mut Tx<'_>, name: &Name) -> Result<BlindIndex, StoreError> {
    check(tx, name)?;
    move_totp(tx, name)?;
    Ok(name.index)
}

/// Moves a lease from its former name: the same token, the same holder, so that whoever has it keeps it. Those who wait
/// for it come along, in the order in which they came.
pub(super) fn move_lease(tx: &mut Tx<'_>, name: &Name) -> Result<(), StoreError> {
    let Some(former) = name.former else { return Ok(()) };
    let Some(old) = tx.load::<LeaseRow>(&former)? else { return Ok(()) };
    // Nobody waits for what was never leased.
    for key in WaiterRow::keys(tx.conn, "WHERE resource = ?1", [former.as_slice()])? {
        if let Some(waiter) = tx.load::<WaiterRow>(&key)? {
            let rev = waiter.rev + 1;
            let moved = WaiterRow { resource: name.index, rev, epoch: tx.binder.epoch(), ..waiter.clone() };
            tx.put(Some(&waiter), &moved)?;
        }
    }
    let there = tx.load::<LeaseRow>(&name.index)?;
    tx.remove(&old)?;
    if there.as_ref().is_some_and(|there| there.token >= old.token) {
        return Ok(());
    }
    let rev = there.as_ref().map_or(1, |there| there.rev + 1);
    let moved = LeaseRow { resource: name.index, rev, epoch: tx.binder.epoch(), ..old };
    tx.put(there.as_ref(), &moved)
}

/// Moves the spent steps of a secret from its former name; of two the later step counts.
pub(super) fn move_totp(tx: &mut Tx<'_>, name: &Name) -> Result<(), StoreError> {
    let Some(former) = name.former else { return Ok(()) };
    let Some(old) = tx.load::<TotpRow>(&former)? else { return Ok(()) };
    let there = tx.load::<TotpRow>(&name.index)?;
    tx.remove(&old)?;
    let rev = there.as_ref().map_or(1, |there| there.rev + 1);
    let last_step = there.as_ref().map_or(old.last_step, |there| there.last_step.max(old.last_step));
    let moved = TotpRow { secret: name.index, rev, epoch: tx.binder.epoch(), last_step };
    tx.put(there.as_ref(), &moved)
}

fn check(tx: &Tx<'_>, name: &Name) -> Result<(), StoreError> {
    if name.epoch == tx.binder.epoch() { Ok(()) } else { Err(StoreError::Rekeyed) }
}
