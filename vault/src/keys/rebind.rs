//! Rows of an older epoch bound under the current one: blobs sealed again at their places, indexes computed from what is
//! in them. Revisions, and the incarnation in a blob's head, stay.

use crate::{
    crypto::{Keyring, Kind, Place, ResealError, Sealed},
    model::{AccountId, AccountRecord},
    names::{Named, account_indexes},
    record::{ItemRecord, MESSAGE_REV, MessageBody, MessageRecord},
    store::{AccountNames, AccountRow, BlindIndex, ItemRow, Lane, NotAuthentic, OutboxRow},
    totp::Totp,
};

/// The blob, sealed in the current epoch; none where it is already, or is nothing that was sealed.
pub(super) fn reseal(keys: &Keyring, place: Place, sealed: &Sealed) -> Result<Option<Sealed>, NotAuthentic> {
    match Keyring::epoch_of(sealed.as_bytes()) {
        Some(epoch) if epoch != keys.epoch() => keys.reseal(place, sealed.as_bytes()).map(Some).map_err(refused),
        _ => Ok(None),
    }
}

/// The row under the current epoch, and what else is named after the account.
pub(super) fn account(keys: &Keyring, row: &AccountRow) -> Result<(AccountRow, AccountNames), NotAuthentic> {
    let place = place_of(row);
    let plain = keys.open(place, row.sealed.as_bytes()).map_err(|_| NotAuthentic)?;
    let record = AccountRecord::from_bytes(&plain).map_err(|_| NotAuthentic)?;
    let sealed = keys.reseal_as(place, row.sealed.as_bytes(), &plain).map_err(refused)?;
    let epoch = keys.epoch();
    let (ix_site, ix_login, ix_manager) = account_indexes(keys, epoch, &record).map_err(|_| NotAuthentic)?;
    let names = names_of(keys, row.id, &record)?;
    Ok((AccountRow { epoch, ix_site, ix_login, ix_manager, sealed, ..row.clone() }, names))
}

/// The row under the current epoch, its index computed from the key that is sealed in it.
pub(super) fn item(keys: &Keyring, row: &ItemRow) -> Result<ItemRow, NotAuthentic> {
    let place = Place { kind: Kind::Item, id: row.id, rev: row.rev };
    let plain = keys.open(place, row.sealed.as_bytes()).map_err(|_| NotAuthentic)?;
    let record = ItemRecord::from_bytes(&plain).map_err(|_| NotAuthentic)?;
    let sealed = keys.reseal_as(place, row.sealed.as_bytes(), &plain).map_err(refused)?;
    let ix = Named::item(row.tag, &record.key).index(keys, keys.epoch()).map_err(|_| NotAuthentic)?;
    Ok(ItemRow { epoch: keys.epoch(), ix: row.ix.map(|_| ix), sealed, ..row.clone() })
}

/// The row under the current epoch; a report's subject is computed from the task that is sealed in it.
pub(super) fn message(keys: &Keyring, row: &OutboxRow) -> Result<OutboxRow, NotAuthentic> {
    let place = Place { kind: Kind::Outbox, id: *row.id.as_bytes(), rev: MESSAGE_REV };
    let plain = keys.open(place, row.sealed.as_bytes()).map_err(|_| NotAuthentic)?;
    let sealed = keys.reseal_as(place, row.sealed.as_bytes(), &plain).map_err(refused)?;
    let subject = match (row.lane, MessageRecord::from_bytes(&plain).map_err(|_| NotAuthentic)?.body) {
        (Lane::Task, MessageBody::Task { task, .. }) => {
            Named::task(&task).index(keys, keys.epoch()).map_err(|_| NotAuthentic)?
        }
        _ => row.subject,
    };
    Ok(OutboxRow { epoch: keys.epoch(), subject, sealed, ..row.clone() })
}

/// The indexes of login and manager's id that the row would have in the older epoch.
pub(super) fn former_indexes(keys: &Keyring, row: &AccountRow) -> Result<[Option<BlindIndex>; 2], NotAuthentic> {
    let Some(older) = keys.older_epoch() else { return Ok([None, None]) };
    let plain = keys.open(place_of(row), row.sealed.as_bytes()).map_err(|_| NotAuthentic)?;
    let record = AccountRecord::from_bytes(&plain).map_err(|_| NotAuthentic)?;
    let (_, login, manager) = account_indexes(keys, older, &record).map_err(|_| NotAuthentic)?;
    Ok([login, manager])
}

fn names_of(keys: &Keyring, id: AccountId, record: &AccountRecord) -> Result<AccountNames, NotAuthentic> {
    let lease = Named::credential(id, record).name(keys).map_err(|_| NotAuthentic)?;
    let totp = record.fields.totp.as_ref().and_then(|secret| Totp::parse(secret).ok());
    let totp = totp.map(|totp| Named::totp(&totp).name(keys)).transpose().map_err(|_| NotAuthentic)?;
    Ok(AccountNames { lease, totp })
}

fn place_of(row: &AccountRow) -> Place {
    Place { kind: Kind::Account, id: *row.id.as_bytes(), rev: row.rev }
}

fn refused(_: ResealError) -> NotAuthentic {
    NotAuthentic
}
