//! What a message becomes before and after its delivery: coalesced with what is owed already, stuck with its reason, put
//! back or dropped by a person.
//!
//! An account is owed one message however long nobody delivers. Speaks to no manager.

use crate::{
    Vault,
    account_api::{AccountUpdate, UpdateField},
    accounts::{AccountError, RETRIES, standing_update},
    audit::no_randomness,
    model::{AccountId, AccountRecord, Action, Field, MessageId},
    record::{MessageBody, MessageRecord},
    store::{Changes, FindOutbox, Lane, OutboxRow, Owed, Resource, Saved, Settle, Settlement, StoreError, Tampering},
};

use super::OUTBOX_PAGE_MAX;

/// An update that is owed, with the row that it was read from.
pub(super) struct OwedUpdate {
    pub(super) manager_id: String,
    pub(super) update: AccountUpdate,
    pub(super) since_ms: Option<i64>,
}

impl Vault {
    /// Tries a message again at once, in particular one that was refused for good; false where there is none of this id, or
    /// it never stands still.
    ///
    /// What of an account's update the account does not say any more is not told again: newer values stand at the manager.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn retry_owed(&self, id: MessageId) -> Result<bool, StoreError> {
        self.by_a_person(id, "tried again by a person", async |row, changes| {
            let account = AccountId::from_bytes(row.subject);
            if row.lane == Lane::Account
                && row.state == Owed::Stuck
                && let Some((_, record)) = self.record_of(account).await?
            {
                let still = still_true(self.open_update(row)?.update, &record);
                self.owe_account(changes, account, &record, still).await?;
                return Ok(Settlement::Gone);
            }
            Ok(Settlement::Again { due_ms: self.opener.clock.wall_ms() })
        })
        .await
    }

    /// Drops a message: the manager is never told; false where there is none of this id, or it never stands still.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_owed(&self, id: MessageId) -> Result<bool, StoreError> {
        self.by_a_person(id, "dropped by a person", async |row, changes| {
            let account = AccountId::from_bytes(row.subject);
            if row.lane == Lane::Account
                && let Some((rev, mut record)) = self.record_of(account).await?
            {
                let mut others = Vec::new();
                for other in self.messages_about(account).await?.iter().filter(|other| other.id != row.id) {
                    others.extend(self.open_update(other)?.update.owed());
                }
                let dropped = self.open_update(row)?.update.owed();
                record.owed.retain(|field| others.contains(field) || !dropped.contains(field));
                changes.accounts.push(self.account_row(account, rev + 1, &record)?);
            }
            Ok(Settlement::Gone)
        })
        .await
    }

    /// Owes the manager `update` about an account that it keeps, in one message with what waits already.
    ///
    /// Left alone are messages from before a restore, since those are looked up before they are told, and stuck ones.
    pub(crate) async fn owe_account(
        &self,
        changes: &mut Changes,
        id: AccountId,
        record: &AccountRecord,
        mut update: AccountUpdate,
    ) -> Result<(), StoreError> {
        let Some(manager_id) = record.manager_id.clone().filter(|_| !update.is_empty()) else { return Ok(()) };
        let mut waiting = self.messages_about(id).await?;
        waiting.retain(|row| row.state != Owed::Stuck && !self.is_from_earlier(&row.sealed));
        let mut since_ms = self.opener.clock.wall_ms();
        // The newest first: its values stand over those of the older ones.
        for row in waiting.iter().rev() {
            let older = self.open_update(row)?;
            since_ms = since_ms.min(older.since_ms.unwrap_or(since_ms));
            update = update.merge_over(older.update);
        }
        let body = MessageBody::Account { manager_id, update: update.to_cbor().map_err(|_| no_randomness())? };
        let says = MessageRecord { body, since_ms: Some(since_ms), stuck: None };
        let mut message = self.message(*id.as_bytes(), None, &says)?;
        if let Some(first) = waiting.first() {
            message.seq = first.seq;
            // A manager that is away is not asked more often because more is to be told.
            message.due_ms = waiting.iter().map(|row| row.due_ms).max().unwrap_or(message.due_ms);
            message.tries = waiting.iter().map(|row| row.tries).max().unwrap_or(0);
        }
        changes.replaced.extend(waiting.iter().map(|row| (row.id, row.rev)));
        changes.outbox.push(message);
        Ok(())
    }

    /// The one message that stands for `rows`, refused for good, and for those about the account that were before.
    pub(super) async fn stuck_update(
        &self,
        id: AccountId,
        rows: &[OutboxRow],
        update: &AccountUpdate,
        manager_id: &str,
        why: &str,
    ) -> Result<(OutboxRow, Vec<Settle>), StoreError> {
        let mut all = self.messages_about(id).await?;
        all.retain(|row| row.state == Owed::Stuck);
        all.extend_from_slice(rows);
        let mut whole = copy_of(update)?;
        let mut since_ms = self.opener.clock.wall_ms();
        for row in all.iter().rev() {
            let older = self.open_update(row)?;
            since_ms = since_ms.min(older.since_ms.unwrap_or(since_ms));
            if row.state == Owed::Stuck {
                whole = whole.merge_over(older.update);
            }
        }
        let update = whole.to_cbor().map_err(|_| no_randomness())?;
        let body = MessageBody::Account { manager_id: manager_id.to_owned(), update };
        let says = MessageRecord { body, since_ms: Some(since_ms), stuck: Some(bounded(why)) };
        let message = self.message(*id.as_bytes(), None, &says)?;
        let tries = 1 + rows.iter().map(|row| row.tries).max().unwrap_or(0);
        let seq = all.iter().map(|row| row.seq).min().unwrap_or(0);
        let settles = all.iter().map(|row| Settle { id: row.id, rev: row.rev, how: Settlement::Gone }).collect();
        Ok((OutboxRow { state: Owed::Stuck, tries, seq, ..message }, settles))
    }

    /// A report that was refused for good, with the reason, in the place of `row`.
    pub(super) fn stuck_report(&self, row: &OutboxRow, why: &str) -> Result<OutboxRow, StoreError> {
        let says = MessageRecord { stuck: Some(bounded(why)), ..self.open_message(row)? };
        let message = self.message(row.subject, row.after, &says)?;
        Ok(OutboxRow { state: Owed::Stuck, tries: row.tries + 1, seq: row.seq, ..message })
    }

    /// Every message about an account's record, oldest first.
    pub(super) async fn messages_about(&self, id: AccountId) -> Result<Vec<OutboxRow>, StoreError> {
        let mut rows = self.store.outbox(FindOutbox::Subject(Resource::Id(*id.as_bytes())), OUTBOX_PAGE_MAX).await?;
        rows.retain(|row| row.lane == Lane::Account);
        Ok(rows)
    }

    pub(super) fn open_update(&self, row: &OutboxRow) -> Result<OwedUpdate, StoreError> {
        let other = || StoreError::tampered(Tampering::Substitution, None);
        let record = self.open_message(row)?;
        let MessageBody::Account { manager_id, update } = record.body else { return Err(other()) };
        let update = AccountUpdate::from_cbor(&update).map_err(|_| other())?;
        Ok(OwedUpdate { manager_id, update, since_ms: record.since_ms })
    }

    /// Settles a message as a person wants it, with an entry that says so.
    async fn by_a_person(
        &self,
        id: MessageId,
        what: &str,
        decide: impl AsyncFn(&OutboxRow, &mut Changes) -> Result<Settlement, StoreError>,
    ) -> Result<bool, StoreError> {
        for _ in 0..RETRIES {
            let rows = self.store.outbox(FindOutbox::All, OUTBOX_PAGE_MAX).await?;
            let Some(row) = rows.into_iter().find(|row| row.id == id) else { return Ok(false) };
            let mut changes = Changes::default();
            let how = decide(&row, &mut changes).await?;
            let account = (row.lane == Lane::Account).then(|| AccountId::from_bytes(row.subject));
            changes.audit.push(self.event(Action::Report, account, format!("message {id}: {what}"))?);
            if self.store.settle(vec![Settle { id, rev: row.rev, how }], changes).await? == Saved::Done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The account's record and its revision; none where it was removed.
    async fn record_of(&self, id: AccountId) -> Result<Option<(u64, AccountRecord)>, StoreError> {
        match self.opened(id).await {
            Ok(account) => Ok(Some((account.rev, account.record))),
            Err(AccountError::Store(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// What of an update the account still says.
fn still_true(mut update: AccountUpdate, record: &AccountRecord) -> AccountUpdate {
    for field in Field::ALL {
        let told = UpdateField::of(field).and_then(|there| update.value(there));
        let is_over = told.is_some_and(|told| !record.fields.value(field).is_some_and(|mine| mine.same(told)));
        if is_over {
            update = update.without(field);
        }
    }
    if update.new_status().is_some() && update.new_status() != standing_update(&record.standing).new_status() {
        update = update.without_status();
    }
    update
}

fn copy_of(update: &AccountUpdate) -> Result<AccountUpdate, StoreError> {
    let bytes = update.to_cbor().map_err(|_| no_randomness())?;
    AccountUpdate::from_cbor(&bytes).map_err(|_| StoreError::tampered(Tampering::Substitution, None))
}

/// A reason as it is kept: on one line, as long as a person reads.
fn bounded(why: &str) -> String {
    crate::text::escape_bounded(why, REASON_MAX_CHARS)
}

/// Longest reason, in characters: a message of the manager has at most 300, and words of ours stand before it.
const REASON_MAX_CHARS: usize = 400;
