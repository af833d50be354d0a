//! Records into rows and back: sealed for their place, indexed blindly, and believed only where both agree.
//!
//! Knows no transaction: whoever asks for a row decides when it is written.

use zeroize::Zeroizing;

use super::ACCOUNTS_PAGE_MAX;
use crate::{
    Vault,
    account_api::AccountUpdate,
    audit::no_randomness,
    crypto::{Kind, Place},
    model::{Account, AccountId, AccountRecord, Field, MessageId, Secret},
    record::{MESSAGE_REV, Malformed, MessageBody, SessionRecord, account_field},
    store::{
        AccountRow, BlindIndex, BoundRow, FindAccounts, Finding, Lane, OutboxRow, Owed, RowName, SessionRow,
        StoreError, Tampering,
    },
};

impl Vault {
    /// The message that the manager is owed for `update`; none when it does not keep the account, or nothing is owed.
    pub(crate) fn account_message(
        &self,
        id: AccountId,
        record: &AccountRecord,
        update: &AccountUpdate,
    ) -> Result<Option<OutboxRow>, StoreError> {
        let Some(manager_id) = record.manager_id.clone().filter(|_| !update.is_empty()) else { return Ok(None) };
        let update = update.to_cbor().map_err(|_| no_randomness())?;
        self.message(Lane::Account, *id.as_bytes(), None, &MessageBody::Account { manager_id, update }).map(Some)
    }

    /// A message for the outbox, due at once.
    pub(crate) fn message(
        &self,
        lane: Lane,
        subject: [u8; 16],
        after: Option<AccountId>,
        body: &MessageBody,
    ) -> Result<OutboxRow, StoreError> {
        let id = MessageId::generate().map_err(|_| no_randomness())?;
        let place = Place { kind: Kind::Outbox, id: *id.as_bytes(), rev: MESSAGE_REV };
        let sealed = self.keys.seal(place, &body.to_bytes()).map_err(|_| no_randomness())?;
        Ok(OutboxRow {
            id,
            rev: 1,
            epoch: self.keys.epoch(),
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
        let sealed = self.keys.seal(place, &record.to_bytes()).map_err(|_| no_randomness())?;
        let (ix_site, ix_login, ix_manager) = self.indexes(self.keys.epoch(), record)?;
        Ok(AccountRow { id, rev, epoch: self.keys.epoch(), ix_site, ix_login, ix_manager, sealed })
    }

    pub(crate) fn session_row(
        &self,
        account: AccountId,
        rev: u64,
        session: &SessionRecord,
    ) -> Result<SessionRow, StoreError> {
        let place = Place { kind: Kind::Session, id: *account.as_bytes(), rev };
        let sealed = self.keys.seal(place, &session.to_bytes()).map_err(|_| no_randomness())?;
        Ok(SessionRow { account, rev, epoch: self.keys.epoch(), login_epoch: session.login_epoch, sealed })
    }

    pub(crate) fn index(&self, label: &str, parts: &[&[u8]]) -> Result<BlindIndex, StoreError> {
        self.keys.blind_index(self.keys.epoch(), label, parts).map_err(|_| StoreError::Rekeyed)
    }

    /// Opens an account's record and recomputes its indexes: a hit is believed only when the record agrees.
    pub(super) fn open_account(&self, row: &AccountRow) -> Result<Account, StoreError> {
        let opened = self.open_blob(row)?;
        let record = AccountRecord::from_bytes(&opened).map_err(|_: Malformed| altered(row))?;
        if self.indexes(row.epoch, &record)? != (row.ix_site, row.ix_login, row.ix_manager) {
            return Err(altered(row));
        }
        Ok(Account { id: row.id, rev: row.rev, record })
    }

    /// Opens one field of a row that was found by its id: no index led to it, so none is recomputed.
    pub(crate) fn open_field(&self, row: &AccountRow, field: Field) -> Result<Option<Secret>, StoreError> {
        account_field(&self.open_blob(row)?, field).map_err(|_: Malformed| altered(row))
    }

    pub(super) fn open_session(&self, row: &SessionRow) -> Result<SessionRecord, StoreError> {
        let place = Place { kind: Kind::Session, id: *row.account.as_bytes(), rev: row.rev };
        let tampered = || {
            let name = RowName { kind: Kind::Session as u8, id: *row.account.as_bytes() };
            StoreError::tampered(Tampering::Substitution, Some(name))
        };
        let opened = self.keys.open(place, row.sealed.as_bytes()).map_err(|_| tampered())?;
        let session = SessionRecord::from_bytes(&opened).map_err(|_: Malformed| tampered())?;
        if session.login_epoch == row.login_epoch { Ok(session) } else { Err(tampered()) }
    }

    /// Opens every record: what the store's own check cannot see.
    pub(crate) async fn check_records(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let mut after = None;
        loop {
            let rows = self.store.accounts(FindAccounts::All, after, ACCOUNTS_PAGE_MAX).await?;
            let Some(last) = rows.last() else { return Ok(findings) };
            after = Some(last.id);
            for row in &rows {
                let session = self.store.account(row.id).await?.and_then(|(_, session)| session);
                let opened = self
                    .open_account(row)
                    .and_then(|_| session.map_or(Ok(()), |session| self.open_session(&session).map(|_| ())));
                if let Err(StoreError::Tampered { class, row }) = opened {
                    findings.push(Finding {
                        class,
                        row,
                        what: "a record does not open, or its indexes disagree".into(),
                    });
                }
            }
        }
    }

    fn open_blob(&self, row: &AccountRow) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.keys.open(row.place(), row.sealed.as_bytes()).map_err(|_| altered(row))
    }

    fn indexes(
        &self,
        epoch: u32,
        record: &AccountRecord,
    ) -> Result<(BlindIndex, Option<BlindIndex>, Option<BlindIndex>), StoreError> {
        let index =
            |label, parts: &[&[u8]]| self.keys.blind_index(epoch, label, parts).map_err(|_| StoreError::Rekeyed);
        let site = record.site.as_bytes();
        // EXPOSE: the login name goes into a keyed index.
        let login = record.login_name().map(|name| index(IX_LOGIN, &[site, name.expose().as_bytes()])).transpose()?;
        let manager = record.manager_id.as_ref().map(|id| index(IX_MANAGER, &[id.as_bytes()])).transpose()?;
        Ok((index(IX_SITE, &[site])?, login, manager))
    }
}

fn altered(row: &AccountRow) -> StoreError {
    StoreError::tampered(Tampering::Substitution, Some(RowName::of(row)))
}

/// Labels of the blind indexes; part of the format.
pub(crate) const IX_SITE: &str = "account.site";
pub(crate) const IX_LOGIN: &str = "account.login";
pub(crate) const IX_MANAGER: &str = "account.manager";
