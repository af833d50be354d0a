//! What is wrong with a record that is where it belongs: whether it opens, reads, and agrees with the clear columns beside it.
//!
//! The full check looks through [`Records`]; ordinary reads go through the same functions. Knows no transaction.

use std::sync::Arc;

use crate::{
    account_api::AccountUpdate,
    crypto::{Keyring, Kind, Place},
    items::ItemKind,
    kept::{KEPT_TAG, KeptRecord},
    keys::KeyBinder,
    model::{Account, AccountRecord, AuditEvent},
    names::{Named, account_indexes},
    record::{ItemRecord, LoginIntent, MESSAGE_REV, MessageBody, MessageRecord, SessionRecord},
    store::{AccountRow, AuditRow, Inspect, ItemRow, Lane, OutboxRow, SessionRow},
};

/// The records of a vault, as its keys show them.
///
/// It asks for the keys at each row, since they may change while a check goes on.
pub(crate) struct Records(pub(crate) Arc<KeyBinder>);

/// What may be wrong with a record whose row is authentic, in words for a person.
pub(crate) type Flaw = &'static str;

/// Opens an account's record and recomputes its indexes: a hit is believed only when the record agrees.
pub(crate) fn open_account(keys: &Keyring, row: &AccountRow) -> Result<Account, Flaw> {
    let place = Place { kind: Kind::Account, id: *row.id.as_bytes(), rev: row.rev };
    let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
    let record = AccountRecord::from_bytes(&opened).map_err(|_| MALFORMED)?;
    if account_indexes(keys, row.epoch, &record).map_err(|_| NO_KEY)? != (row.ix_site, row.ix_login, row.ix_manager) {
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
pub(crate) fn open_message(keys: &Keyring, row: &OutboxRow) -> Result<MessageRecord, Flaw> {
    let place = Place { kind: Kind::Outbox, id: *row.id.as_bytes(), rev: MESSAGE_REV };
    let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
    MessageRecord::from_bytes(&opened).map_err(|_| MALFORMED)
}

/// Opens an audit entry.
pub(crate) fn open_entry(keys: &Keyring, row: &AuditRow) -> Result<AuditEvent, Flaw> {
    let place = Place { kind: Kind::Audit, id: row.id, rev: 1 };
    let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
    AuditEvent::from_bytes(&opened).map_err(|_| MALFORMED)
}

impl Inspect for Records {
    fn account(&self, row: &AccountRow) -> Result<(), Flaw> {
        open_account(&self.0.keys(), row).map(|_| ())
    }

    fn session(&self, row: &SessionRow) -> Result<(), Flaw> {
        open_session(&self.0.keys(), row).map(|_| ())
    }

    fn item(&self, row: &ItemRow) -> Result<(), Flaw> {
        let (keys, place) = (self.0.keys(), Place { kind: Kind::Item, id: row.id, rev: row.rev });
        let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| NOT_OPEN)?;
        let record = ItemRecord::from_bytes(&opened).map_err(|_| MALFORMED)?;
        let index = Named::item(row.tag, &record.key).index(&keys, row.epoch).map_err(|_| NO_KEY)?;
        if row.ix.is_some_and(|beside| beside != index) {
            return Err(OTHER_INDEX);
        }
        // Of other kinds their owners alone know what they say.
        if row.tag == ItemKind::LoginIntent as u8 {
            LoginIntent::from_bytes(&record.body).map_err(|_| MALFORMED)?;
        }
        if row.tag == KEPT_TAG && !record.body.is_empty() {
            KeptRecord::from_bytes(&record.body).map_err(|_| MALFORMED)?;
        }
        Ok(())
    }

    fn message(&self, row: &OutboxRow) -> Result<(), Flaw> {
        let keys = self.0.keys();
        match (row.lane, open_message(&keys, row)?.body) {
            (Lane::Account, MessageBody::Account { update, .. }) => {
                AccountUpdate::from_cbor(&update).map(|_| ()).map_err(|_| MALFORMED)
            }
            (Lane::Task, MessageBody::Task { task, .. }) => {
                let subject = Named::task(&task).index(&keys, row.epoch).map_err(|_| NO_KEY)?;
                if subject == row.subject { Ok(()) } else { Err(OTHER_INDEX) }
            }
            _ => Err("it lies in a lane where it does not belong"),
        }
    }

    fn entry(&self, row: &AuditRow) -> Result<(), Flaw> {
        open_entry(&self.0.keys(), row).map(|_| ())
    }
}

const NOT_OPEN: Flaw = "its record does not open: it was sealed for another place, or damaged";
const MALFORMED: Flaw = "its record opens, but is not one that this version writes";
const OTHER_INDEX: Flaw = "the index beside it is that of another";
const NO_KEY: Flaw = "the key of its epoch is not there";
