//! What is wrong with a record that is where it belongs: whether it opens, reads, and agrees with the clear columns beside it.
//!
//! The full check looks through [`Records`]; ordinary reads go through the same functions. Knows no transaction.

use std::sync::Arc;

use crate::{
    account_api::AccountUpdate,
    accounts::{IX_LOGIN, IX_MANAGER, IX_SITE},
    crypto::{Keyring, Kind, Place},
    items::ItemKind,
    model::{Account, AccountRecord, AuditEvent},
    record::{LoginIntent, MESSAGE_REV, MessageBody, SessionRecord},
    store::{AccountRow, AuditRow, BlindIndex, Inspect, ItemRow, Lane, OutboxRow, SessionRow},
};

/// The records of a vault, as its keys show them.
pub(crate) struct Records(pub(crate) Arc<Keyring>);

/// What may be wrong with a record whose row is authentic, in words for a person.
pub(crate) type Flaw = &'static str;

/// Indexes of an account: site, login, manager's id.
pub(crate) type AccountIndexes = (BlindIndex, Option<BlindIndex>, Option<BlindIndex>);

/// Opens an account's record and recomputes its indexes: a hit is believed only when the record agrees.
pub(crate) fn open_account(keys: &Keyring, row: &AccountRow) -> Result<Account, Flaw> {
    let place = Place { kind: Kind::Account, id: *row.id.as_bytes(), rev: row.rev };
    let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
    let record = AccountRecord::from_bytes(&opened).map_err(|_| MALFORMED)?;
    if account_indexes(keys, row.epoch, &record)? != (row.ix_site, row.ix_login, row.ix_manager) {
        return Err("the indexes beside it are those of another site, login or manager's id");
    }
    Ok(Account { id: row.id, rev: row.rev, record })
}

/// Opens a session's record, its jar included.
pub(crate) fn open_session(keys: &Keyring, row: &SessionRow) -> Result<SessionRecord, Flaw> {
    let place = Place { kind: Kind::Session, id: *row.account.as_bytes(), rev: row.rev };
    let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
    let session =
        SessionRecord::from_bytes(&opened).map_err(|_| "it opens, but its jar is not one that this version writes")?;
    if session.login_epoch == row.login_epoch { Ok(session) } else { Err("the login epoch beside it is another") }
}

/// Opens a message.
pub(crate) fn open_message(keys: &Keyring, row: &OutboxRow) -> Result<MessageBody, Flaw> {
    let place = Place { kind: Kind::Outbox, id: *row.id.as_bytes(), rev: MESSAGE_REV };
    let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
    MessageBody::from_bytes(&opened).map_err(|_| MALFORMED)
}

/// Opens an audit entry.
pub(crate) fn open_entry(keys: &Keyring, row: &AuditRow) -> Result<AuditEvent, Flaw> {
    let place = Place { kind: Kind::Audit, id: row.id, rev: 1 };
    let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
    AuditEvent::from_bytes(&opened).map_err(|_| MALFORMED)
}

/// By what an account with this record is found.
pub(crate) fn account_indexes(keys: &Keyring, epoch: u32, record: &AccountRecord) -> Result<AccountIndexes, Flaw> {
    let index =
        |label, parts: &[&[u8]]| keys.blind_index(epoch, label, parts).map_err(|_| "the key of its epoch is not there");
    let site = record.site.as_bytes();
    // EXPOSE: the login name goes into a keyed index.
    let login = record.login_name().map(|name| index(IX_LOGIN, &[site, name.expose().as_bytes()])).transpose()?;
    let manager = record.manager_id.as_ref().map(|id| index(IX_MANAGER, &[id.as_bytes()])).transpose()?;
    Ok((index(IX_SITE, &[site])?, login, manager))
}

impl Inspect for Records {
    fn account(&self, row: &AccountRow) -> Result<(), Flaw> {
        open_account(&self.0, row).map(|_| ())
    }

    fn session(&self, row: &SessionRow) -> Result<(), Flaw> {
        open_session(&self.0, row).map(|_| ())
    }

    fn item(&self, row: &ItemRow) -> Result<(), Flaw> {
        let place = Place { kind: Kind::Item, id: row.id, rev: row.rev };
        let opened = self.0.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
        // Of other kinds their owners alone know what they say.
        if row.tag == ItemKind::LoginIntent as u8 {
            LoginIntent::from_bytes(&opened).map_err(|_| MALFORMED)?;
        }
        Ok(())
    }

    fn message(&self, row: &OutboxRow) -> Result<(), Flaw> {
        match (row.lane, open_message(&self.0, row)?) {
            (Lane::Account, MessageBody::Account { update, .. }) => {
                AccountUpdate::from_cbor(&update).map(|_| ()).map_err(|_| MALFORMED)
            }
            (Lane::Task, MessageBody::Task(_)) => Ok(()),
            _ => Err("it lies in a lane where it does not belong"),
        }
    }

    fn entry(&self, row: &AuditRow) -> Result<(), Flaw> {
        open_entry(&self.0, row).map(|_| ())
    }
}

const NOT_OPEN: Flaw = "its record does not open: it was sealed for another place, or damaged";
const MALFORMED: Flaw = "its record opens, but is not one that this version writes";
