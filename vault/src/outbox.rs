//! What is owed to the manager: durable from the transaction that caused it, delivered in order, never dropped.
//!
//! Account updates are coalesced per account when they are written and when they are delivered; task reports go in order
//! per task, each after the account's updates. This knows the account API; what a task report says is its sender's.

mod owing;
mod still_owed;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use still_owed::still_owed;
use zeroize::Zeroizing;

use crate::{
    Vault,
    account_api::{AccountApi, AccountUpdate, UpdateField, Updated},
    accounts::{AccountError, RETRIES},
    checkout::{CheckOutAsk, LeaseHandle, Leased},
    crypto::Kind,
    inspect::open_message,
    items::ItemChange,
    manager_http::Class,
    model::{AccountId, Action, Field, MessageId, Outcome},
    names::{Again, Named},
    record::{MessageBody, MessageRecord},
    store::{
        Changes, FindOutbox, Lane, LeaseMode, OutboxRow, Owed, Resource, RowName, Saved, Settle, Settlement,
        StoreError, Tampering,
    },
};

/// A report on a task that is to be owed from a check-in on.
#[derive(Debug)]
pub struct NewReport {
    /// Names the task: reports on one task are delivered in order.
    pub task: String,
    /// What is to be sent, in the sender's own encoding. No secret of an account: reports are read without an entry in the
    /// audit.
    pub body: Zeroizing<Vec<u8>>,
}

/// A report whose turn has come.
#[derive(Debug)]
pub struct DueReport {
    /// Names the message.
    pub id: MessageId,
    /// The revision that it was read at.
    pub rev: u64,
    /// Deliveries tried before this one.
    pub tries: u32,
    /// Whether an earlier try lost its answer: to be looked up before it is sent again.
    pub ambiguous: bool,
    /// What is to be sent.
    pub body: Zeroizing<Vec<u8>>,
    /// The row, as it stands while the report is in doubt.
    row: OutboxRow,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The manager has it.
    Done,
    /// Not now: again after this time.
    Later(Duration),
    /// Sent, the answer lost: looked up and sent again after this time.
    Ambiguous(Duration),
    /// Refused for good, for this reason: kept and shown.
    Stuck(String),
}

/// What one round over the account updates came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountRound {
    /// Updates delivered (coalesced ones count once).
    pub delivered: usize,
    /// Updates put off.
    pub later: usize,
    /// Updates refused for good.
    pub stuck: usize,
    /// Whether the manager refused the key: nothing more is sent until a person mends that.
    pub unauthorized: bool,
}

/// What the outbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owing {
    /// Messages that are to be delivered.
    pub owed: usize,
    /// Messages that were refused for good.
    pub stuck: usize,
}

/// A lane of the outbox in hand: one process delivers at a time.
#[derive(Debug)]
pub struct LaneHold {
    lease: LeaseHandle,
    lane: Lane,
}

impl DueReport {
    /// The delivery that did not take place: it stands as it did before its turn.
    #[must_use]
    pub fn untried(&self) -> Delivery {
        if self.ambiguous { Delivery::Ambiguous(Duration::ZERO) } else { Delivery::Later(Duration::ZERO) }
    }
}

impl Vault {
    /// Takes the right to deliver a lane; none while another process has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_lane(&self, lane: Lane) -> Result<Option<LaneHold>, StoreError> {
        let what = Leased::Named(Arc::new(Named::lane(lane)));
        let ask = CheckOutAsk {
            ttl: LANE_TTL,
            quarantine: Duration::ZERO,
            wait: Duration::ZERO,
            mode: LeaseMode::Exclusive,
            purpose: lane_purpose(lane),
        };
        Ok(self.take(what, &ask, None).await?.ok().map(|lease| LaneHold { lease, lane }))
    }

    /// Keeps the right to a lane, renewing it once half of its time is over; false when it is lost.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_lane(&self, lane: &mut LaneHold) -> Result<bool, StoreError> {
        let half_ms = u64::try_from(LANE_TTL.as_millis() / 2).unwrap_or(0);
        if self.opener.clock.boot().ms + half_ms < lane.lease.until_ms() {
            return Ok(true);
        }
        self.renew(&mut lane.lease).await
    }

    /// Gives a lane back.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leave_lane(&self, lane: LaneHold) -> Result<(), StoreError> {
        self.release(&lane.lease, None, "outbox lane left").await
    }

    /// How much is owed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owing(&self) -> Result<Owing, StoreError> {
        let rows = self.store.outbox(FindOutbox::All, OUTBOX_PAGE_MAX).await?;
        let stuck = rows.iter().filter(|row| row.state == Owed::Stuck).count();
        Ok(Owing { owed: rows.len() - stuck, stuck })
    }

    /// Delivers the account updates that are due: one PUT per account, whatever was owed before.
    ///
    /// # Errors
    /// [`StoreError`]; what was delivered by then is settled.
    pub async fn deliver_accounts(&self, lane: &mut LaneHold, api: &AccountApi) -> Result<AccountRound, StoreError> {
        let now_ms = self.opener.clock.wall_ms();
        let rows = self.store.outbox(FindOutbox::DueBy(Lane::Account, now_ms), OUTBOX_PAGE_MAX).await?;
        let subjects: BTreeSet<[u8; 16]> = rows.into_iter().map(|row| row.subject).collect();
        let mut round = AccountRound::default();
        for subject in subjects {
            if !self.keep_lane(lane).await? {
                break;
            }
            let id = AccountId::from_bytes(subject);
            // With those that were put off: a newer value never goes before an older one.
            let mut rows = self.messages_about(id).await?;
            rows.retain(|row| row.state != Owed::Stuck);
            self.deliver_account(id, &rows, api, &mut round).await?;
            if round.unauthorized {
                break;
            }
        }
        Ok(round)
    }

    /// The task reports whose turn has come, at most `limit`: the first of each task, once its account's updates are
    /// delivered.
    ///
    /// They are durably in doubt from here on until [`Vault::settle_report`], so that a crash after the sending leads to
    /// a look-up and not to a blind repeat.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_reports(&self, lane: &mut LaneHold, limit: usize) -> Result<Vec<DueReport>, StoreError> {
        if lane.lane != Lane::Task || !self.keep_lane(lane).await? {
            return Ok(Vec::new());
        }
        let now_ms = self.opener.clock.wall_ms();
        let rows = self.store.outbox(FindOutbox::All, OUTBOX_PAGE_MAX).await?;
        let owing: BTreeSet<_> =
            rows.iter().filter(|r| r.lane == Lane::Account && r.state != Owed::Stuck).map(|r| r.subject).collect();
        let mut seen = BTreeSet::new();
        let subjects = rows.iter().map(|row| self.subject_now(row)).collect::<Result<Vec<_>, _>>()?;
        let due = rows.iter().zip(subjects).filter(|(row, subject)| {
            let first = row.lane == Lane::Task && seen.insert(*subject);
            let waits = row.after.is_some_and(|account| owing.contains(account.as_bytes()));
            first && row.state != Owed::Stuck && row.due_ms <= now_ms && !waits
        });
        let due: Vec<_> = due.map(|(row, _)| row).take(limit).collect();
        let in_doubt = |row: &&OutboxRow| Settle { id: row.id, rev: row.rev, how: Settlement::InDoubt };
        let marks: Vec<_> = due.iter().map(in_doubt).collect();
        if !marks.is_empty() && self.store.settle(marks, Changes::default()).await? != Saved::Done {
            // Another process is at it; its own turn brings them.
            return Ok(Vec::new());
        }
        let open = |row: &&OutboxRow| {
            let MessageBody::Task { body, .. } = self.open_message(row)?.body else {
                return Err(StoreError::tampered(Tampering::Substitution, None));
            };
            // It may have been delivered in the time that was lost.
            let ambiguous = row.state == Owed::Ambiguous || self.is_from_earlier(&row.sealed);
            let row = OutboxRow { rev: row.rev + 1, ..(*row).clone() };
            Ok(DueReport { id: row.id, rev: row.rev, tries: row.tries, ambiguous, body, row })
        };
        due.iter().map(open).collect()
    }

    /// Says how the delivery of a report ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settle_report(&self, report: &DueReport, delivery: &Delivery) -> Result<(), StoreError> {
        let how = self.settlement(delivery);
        let mut changes = Changes::default();
        if let Delivery::Stuck(reason) = delivery {
            let detail = format!("a task report is stuck: {reason}");
            changes.outbox.push(self.stuck_report(&report.row, reason)?);
            changes.audit.push(self.event_of(Action::Report, Outcome::Failed, None, detail)?);
        }
        // Stale means that another process settled it: nothing is left to do.
        self.store.settle(vec![Settle { id: report.id, rev: report.rev, how }], changes).await.map(|_| ())
    }

    pub(crate) fn report_row(&self, report: &NewReport, after: Option<AccountId>) -> Result<OutboxRow, StoreError> {
        let body = Zeroizing::new(report.body.to_vec());
        let says = MessageBody::Task { task: report.task.clone(), body };
        let since_ms = Some(self.opener.clock.wall_ms());
        self.message([0; 16], after, &MessageRecord { since_ms, ..MessageRecord::from(says) })
    }

    /// Owes a report that no checkout leads to (a task that is refused before any account is touched), together with
    /// the items that remember it; false when one of those was changed in between, and nothing was written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owe_report(&self, report: &NewReport, items: &[ItemChange]) -> Result<bool, StoreError> {
        let outbox = vec![self.report_row(report, None)?];
        let items = self.item_rows(items)?;
        Ok(self.store.save(Changes { outbox, items, ..Changes::default() }).await? == Saved::Done)
    }

    /// Whether a report on this task is still owed, or stuck.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report_owed(&self, task: &str) -> Result<bool, StoreError> {
        let named = Named::task(task);
        let mut again = Again::new();
        loop {
            let subject = Resource::Named(self.name_of(&named)?);
            match self.store.outbox(FindOutbox::Subject(subject), 1).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                found => return Ok(!found?.is_empty()),
            }
        }
    }

    async fn deliver_account(
        &self,
        id: AccountId,
        rows: &[OutboxRow],
        api: &AccountApi,
        round: &mut AccountRound,
    ) -> Result<(), StoreError> {
        let mut update = AccountUpdate::new();
        let mut manager_id = String::new();
        for row in rows {
            let newer = self.open_update(row)?;
            (update, manager_id) = (newer.update.merge_over(update), newer.manager_id);
        }
        let tries = rows.iter().map(|row| row.tries).max().unwrap_or(0);
        let mut overtaken = Vec::new();
        let mut refused = None;
        if rows.iter().any(|row| self.is_from_earlier(&row.sealed)) {
            // Owed before the vault was restored: in the lost time it may have been told, or something newer.
            match api.read(&manager_id).await {
                Ok(said) => match self.opened(id).await {
                    Ok(account) => (update, overtaken) = still_owed(&account.record, update, &said),
                    Err(AccountError::Store(error)) => return Err(error),
                    // It is gone: nothing is known that the manager's word could be compared with.
                    Err(_) => update = AccountUpdate::new(),
                },
                Err(error) => refused = Some((error.class(), error.to_string())),
            }
        }
        let answer = match refused {
            Some(refused) => Err(refused),
            None if update.is_empty() => Ok(Vec::new()),
            None => {
                let answer = api.update(&manager_id, &update).await;
                answer.map(|Updated { missing, .. }| missing).map_err(|error| (error.class(), error.to_string()))
            }
        };
        let delivery = match answer {
            // Nothing was done, and nothing is put off: with the right key it is due at once.
            Err((Class::Stop, _)) => {
                round.unauthorized = true;
                return Ok(());
            }
            Ok(missing) if missing.is_empty() => Delivery::Done,
            Ok(missing) => Delivery::Stuck(format!("the manager did not write {}", missing.join(", "))),
            Err((class, error)) => {
                tracing::warn!(account = %id, error, "the manager did not take an account's update");
                delivery_of(class, error, tries)
            }
        };
        let how = self.settlement(&delivery);
        match &delivery {
            Delivery::Done => round.delivered += 1,
            Delivery::Stuck(_) => round.stuck += 1,
            Delivery::Later(_) | Delivery::Ambiguous(_) => round.later += 1,
        }
        for _ in 0..RETRIES {
            let mut changes = self.told(id, &update, &overtaken, &delivery).await?;
            let settles = if let Delivery::Stuck(reason) = &delivery {
                let (stuck, settles) = self.stuck_update(id, rows, &update, &manager_id, reason).await?;
                changes.outbox.push(stuck);
                settles
            } else {
                rows.iter().map(|row| Settle { id: row.id, rev: row.rev, how }).collect()
            };
            match self.store.settle(settles, changes).await? {
                // The account was changed meanwhile: merge what was told into it again.
                Saved::Stale(RowName { kind, .. }) if kind == Kind::Account as u8 => {}
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// What follows for the account from an update's delivery: what was told is the new base, and owed no more.
    async fn told(
        &self,
        id: AccountId,
        update: &AccountUpdate,
        overtaken: &[Field],
        delivery: &Delivery,
    ) -> Result<Changes, StoreError> {
        let mut changes = Changes::default();
        let names: Vec<_> = update.names().collect();
        match delivery {
            Delivery::Done => {
                changes.audit.push(self.event(Action::Report, Some(id), format!("told: {}", names.join(", ")))?);
            }
            Delivery::Stuck(reason) => {
                let detail = format!("stuck: {reason}");
                changes.audit.push(self.event_of(Action::Report, Outcome::Failed, Some(id), detail)?);
                return Ok(changes);
            }
            Delivery::Later(_) | Delivery::Ambiguous(_) => return Ok(changes),
        }
        let account = match self.opened(id).await {
            Ok(account) => account,
            // Removed since: only the audit remembers.
            Err(AccountError::Unknown(_)) => return Ok(changes),
            Err(AccountError::Store(error)) => return Err(error),
            Err(_) => return Ok(changes),
        };
        let (rev, mut record) = (account.rev, account.record);
        for field in Field::ALL {
            let Some(told) = UpdateField::of(field).and_then(|there| update.value(there)) else { continue };
            *record.base.value_mut(field) = Some(told.duplicate());
            // A value that was changed again since is still owed, by a later message.
            if record.fields.value(field).is_some_and(|mine| mine.same(told)) {
                record.owed.retain(|owed| *owed != field);
            }
        }
        // What the manager has changed since is its own; the next merge takes it.
        record.owed.retain(|owed| !overtaken.contains(owed));
        if let Some(status) = update.new_status() {
            record.manager_status = Some(status.as_str().to_owned());
        }
        changes.accounts.push(self.account_row(id, rev + 1, &record)?);
        Ok(changes)
    }

    /// The subject of a message under the newest key: while the keys change, messages of one task have two.
    fn subject_now(&self, row: &OutboxRow) -> Result<[u8; 16], StoreError> {
        let keys = self.keys();
        if row.lane == Lane::Account || row.epoch == keys.epoch() {
            return Ok(row.subject);
        }
        let MessageBody::Task { task, .. } = self.open_message(row)?.body else {
            return Err(StoreError::tampered(Tampering::Substitution, None));
        };
        Named::task(&task).index(&keys, keys.epoch()).map_err(|_| StoreError::Rekeyed)
    }

    pub(crate) fn open_message(&self, row: &OutboxRow) -> Result<MessageRecord, StoreError> {
        let name = RowName { kind: Kind::Outbox as u8, id: *row.id.as_bytes() };
        open_message(&self.keys(), row).map_err(|_| StoreError::tampered(Tampering::Substitution, Some(name)))
    }

    fn settlement(&self, delivery: &Delivery) -> Settlement {
        let at = |after: Duration| {
            let after_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
            self.opener.clock.wall_ms().saturating_add(after_ms)
        };
        match delivery {
            Delivery::Done => Settlement::Gone,
            Delivery::Later(after) => Settlement::Later { due_ms: at(*after), state: Owed::Due },
            Delivery::Ambiguous(after) => Settlement::Later { due_ms: at(*after), state: Owed::Ambiguous },
            // Another message takes its place, that says why.
            Delivery::Stuck(_) => Settlement::Gone,
        }
    }
}

/// How long to wait before the next try, after `tries` of them: doubling, with jitter, capped.
#[must_use]
pub fn backoff(tries: u32) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << tries.min(16)).min(BACKOFF_MAX);
    full.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

/// What a lane's lease is for, as the audit says.
pub(crate) fn lane_purpose(lane: Lane) -> String {
    format!("outbox lane {}", lane as u8)
}

fn delivery_of(class: Class, error: String, tries: u32) -> Delivery {
    match class {
        Class::Retry { after } => Delivery::Later(after.unwrap_or_else(|| backoff(tries))),
        // The same PUT made twice writes the same values.
        Class::Stop | Class::Ambiguous => Delivery::Ambiguous(backoff(tries)),
        Class::Permanent => Delivery::Stuck(error),
    }
}

/// A lane's lease: longer than one call to the manager.
const LANE_TTL: Duration = Duration::from_secs(120);
/// Messages looked at in one round.
const OUTBOX_PAGE_MAX: u32 = 10_000;
/// The first wait after a failed delivery.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest wait between two deliveries.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
