//! Records into rows and back: sealed for their place, indexed blindly, and believed only where both agree.
//!
//! Knows no transaction: whoever asks for a row decides when it is written.

use crate::{
    Vault,
    audit::no_randomness,
    crypto::{Kind, Place},
    inspect::{open_account, open_session},
    model::{Account, AccountId, AccountRecord, Field, MessageId, Secret},
    names::{Named, account_indexes},
    record::{MESSAGE_REV, Malformed, MessageBody, MessageRecord, SessionRecord, account_field},
    store::{AccountRow, BoundRow, Lane, OutboxRow, Owed, RowName, SessionRow, StoreError, Tampering},
};

impl Vault {
    /// A message for the outbox, due at once: about `account`, or about the task that it names.
    pub(crate) fn message(
        &self,
        account: [u8; 16],
        after: Option<AccountId>,
        says: &MessageRecord,
    ) -> Result<OutboxRow, StoreError> {
        let id = MessageId::generate().map_err(|_| no_randomness())?;
        let place = Place { kind: Kind::Outbox, id: *id.as_bytes(), rev: MESSAGE_REV };
        let keys = self.keys();
        let sealed = keys.seal(place, &says.to_bytes()).map_err(|_| no_randomness())?;
        let (lane, subject) = match &says.body {
            MessageBody::Account { .. } => (Lane::Account, account),
            MessageBody::Task { task, .. } => {
                (Lane::Task, Named::task(task).index(&keys, keys.epoch()).map_err(|_| StoreError::Rekeyed)?)
            }
        };
        Ok(OutboxRow {
            id,
            rev: 1,
            epoch: keys.epoch(),
            lane,
            subject,
            after,
            seq: 0,
            due_ms: self.opener.clock.wall_ms(),
            tries: 0,
            state: Owed::Due,
            sealed,
        })
    }

    pub(crate) fn account_row(
        &self,
        id: AccountId,
        rev: u64,
        record: &AccountRecord,
    ) -> Result<AccountRow, StoreError> {
        let place = Place { kind: Kind::Account, id: *id.as_bytes(), rev };
        let keys = self.keys();
        let epoch = keys.epoch();
        let sealed = keys.seal(place, &record.to_bytes()).map_err(|_| no_randomness())?;
        let (ix_site, ix_login, ix_manager) = account_indexes(&keys, epoch, record).map_err(|_| StoreError::Rekeyed)?;
        Ok(AccountRow { id, rev, epoch, ix_site, ix_login, ix_manager, sealed })
    }

    pub(crate) fn session_row(
        &self,
        account: AccountId,
        rev: u64,
        session: &SessionRecord,
    ) -> Result<SessionRow, StoreError> {
        let place = Place { kind: Kind::Session, id: *account.as_bytes(), rev };
        let keys = self.keys();
        let sealed = keys.seal(place, &session.to_bytes()).map_err(|_| no_randomness())?;
        Ok(SessionRow { account, rev, epoch: keys.epoch(), login_epoch: session.login_epoch, sealed })
    }

    /// Opens an account's record and recomputes its indexes: a hit is believed only when the record agrees.
    pub(super) fn open_account(&self, row: &AccountRow) -> Result<Account, StoreError> {
        let name = RowName { kind: Kind::Account as u8, id: *row.id.as_bytes() };
        open_account(&self.keys(), row).map_err(|_| StoreError::tampered(Tampering::Substitution, Some(name)))
    }

    /// Opens one field of a row that was found by its id: no index led to it, so none is recomputed.
    pub(crate) fn open_field(&self, row: &AccountRow, field: Field) -> Result<Option<Secret>, StoreError> {
        let altered = || StoreError::tampered(Tampering::Substitution, Some(RowName::of(row)));
        let opened = self.keys().open(row.place(), row.sealed.as_bytes()).map_err(|_| altered())?;
        account_field(&opened, field).map_err(|_: Malformed| altered())
    }

    pub(super) fn open_session(&self, row: &SessionRow) -> Result<SessionRecord, StoreError> {
        let name = RowName { kind: Kind::Session as u8, id: *row.account.as_bytes() };
        open_session(&self.keys(), row).map_err(|_| StoreError::tampered(Tampering::Substitution, Some(name)))
    }
}
