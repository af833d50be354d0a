//! Reports to the manager: encoded into the outbox, delivered in order, looked up where an answer was lost.
//!
//! One process delivers at a time, under the lane's lease. What a report says was decided at check-in.

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    Delivery, DueReport, LaneHold, NewReport, Vault,
    account_api::AccountApi,
    backoff,
    manager_http::{CallError, Class},
    store::{Lane, StoreError},
};
use minicbor::{Decode, Encode};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    event::Event,
    run::{Watch, passes},
    sources::social::SocialSource,
    work::Halt,
};

/// What is said about a social task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) task: String,
    /// The manager's id of the account, for the look-up of a lost answer.
    pub(crate) account: Option<String>,
    pub(crate) says: Says,
}

/// Complete with a link, or fail with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Complete { link: String },
    Fail { message: String },
}

/// Delivers what is owed.
pub(crate) struct Reporter {
    pub(crate) vault: Arc<Vault>,
    pub(crate) api: Arc<AccountApi>,
    pub(crate) source: Arc<SocialSource>,
    /// Rung when something new is owed.
    pub(crate) bell: Arc<Notify>,
    pub(crate) watch: Watch,
    /// Cancelled when nothing can be delivered any more, so that no more work is begun.
    pub(crate) fatal: CancellationToken,
}

/// Both lanes of the outbox in hand.
struct Lanes {
    accounts: LaneHold,
    tasks: LaneHold,
}

/// Whether the manager has a report, by its account record.
enum Shown {
    /// It shows this very report.
    Yes,
    /// It shows another one on the same task.
    No,
    /// It follows a newer task by now, or there is no record to ask: that tells nothing.
    Nothing,
    /// It could not be read.
    Unread,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ReportV1<'a> {
    #[n(1)]
    area: u8,
    #[n(2)]
    task: &'a str,
    #[n(3)]
    account: Option<&'a str>,
    #[n(4)]
    complete: bool,
    #[n(5)]
    text: &'a str,
}

impl Report {
    /// The report as the outbox takes it.
    pub(crate) fn owed(&self) -> NewReport {
        let (complete, text) = match &self.says {
            Says::Complete { link } => (true, link.as_str()),
            Says::Fail { message } => (false, message.as_str()),
        };
        let v1 = ReportV1 { area: SOCIAL, task: &self.task, account: self.account.as_deref(), complete, text };
        #[expect(
            clippy::expect_used,
            reason = "a Vec takes every byte, and the derived encoder adds no error of its own"
        )]
        let body = minicbor::to_vec(&v1).expect("writing to a Vec does not fail");
        NewReport { task: format!("social:{}", self.task), body: Zeroizing::new(body) }
    }

    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let v1: ReportV1<'_> = minicbor::decode(body).ok().filter(|v1: &ReportV1<'_>| v1.area == SOCIAL)?;
        let text = v1.text.to_owned();
        let says = if v1.complete { Says::Complete { link: text } } else { Says::Fail { message: text } };
        Some(Self { task: v1.task.to_owned(), account: v1.account.map(str::to_owned), says })
    }
}

impl Reporter {
    /// Delivers until `stop`; then once more what is due, within the caller's patience.
    pub(crate) async fn run(&self, stop: &CancellationToken) -> Result<(), Halt> {
        let mut lanes = None;
        let ended = self.deliver_until(stop, &mut lanes).await;
        if ended.is_err() {
            self.fatal.cancel();
        }
        if let Some(Lanes { accounts, tasks }) = lanes {
            self.vault.leave_lane(accounts).await?;
            self.vault.leave_lane(tasks).await?;
        }
        ended
    }

    async fn deliver_until(&self, stop: &CancellationToken, lanes: &mut Option<Lanes>) -> Result<(), Halt> {
        loop {
            let last = stop.is_cancelled();
            let moved = match self.round(lanes).await {
                Ok(moved) => moved,
                Err(Halt::Vault(error)) if passes(&error) => {
                    tracing::error!(%error, "the vault could not take a write; reports are tried again");
                    0
                }
                Err(halt) => return Err(halt),
            };
            if moved > 0 {
                (self.watch)(Event::Delivered { messages: moved });
            } else if last {
                return Ok(());
            } else {
                tokio::select! {
                    () = self.bell.notified() => {}
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    /// One round over both lanes, where they are to be had; says how many messages left the outbox.
    async fn round(&self, lanes: &mut Option<Lanes>) -> Result<usize, Halt> {
        if lanes.is_none() {
            *lanes = self.take_lanes().await?;
        }
        let Some(Lanes { accounts, tasks }) = lanes else { return Ok(0) };
        if !self.vault.keep_lane(accounts).await? || !self.vault.keep_lane(tasks).await? {
            // A sleep longer than the lease, for one: another process may be at it.
            *lanes = None;
            return Ok(0);
        }
        let told = self.vault.deliver_accounts(accounts, &self.api).await?;
        if told.unauthorized {
            return Err(self.key_refused());
        }
        let mut moved = told.delivered + told.stuck;
        for due in self.vault.due_reports(tasks, ROUND).await? {
            if !self.vault.keep_lane(tasks).await? {
                break;
            }
            let delivery = self.deliver(&due).await;
            moved += usize::from(matches!(delivery, Some(Delivery::Done | Delivery::Stuck(_))));
            match delivery {
                Some(delivery) => self.vault.settle_report(&due, &delivery).await?,
                None => {
                    self.vault.settle_report(&due, &due.untried()).await?;
                    return Err(self.key_refused());
                }
            }
        }
        Ok(moved)
    }

    async fn take_lanes(&self) -> Result<Option<Lanes>, StoreError> {
        let Some(accounts) = self.vault.take_lane(Lane::Account).await? else { return Ok(None) };
        match self.vault.take_lane(Lane::Task).await? {
            Some(tasks) => Ok(Some(Lanes { accounts, tasks })),
            None => {
                self.vault.leave_lane(accounts).await?;
                Ok(None)
            }
        }
    }

    fn key_refused(&self) -> Halt {
        (self.watch)(Event::KeyRefused);
        Halt::KeyRefused
    }

    /// Sends one report; nothing where the key is refused.
    async fn deliver(&self, due: &DueReport) -> Option<Delivery> {
        let Some(report) = Report::read(&due.body) else {
            return Some(Delivery::Stuck("the report is of a kind that this version does not know".into()));
        };
        if due.ambiguous && matches!(self.shown(&report).await, Shown::Yes) {
            return Some(Delivery::Done);
        }
        let sent = match &report.says {
            Says::Complete { link } => self.source.complete(&report.task, link).await,
            Says::Fail { message } => self.source.fail(&report.task, message).await,
        };
        let Err(error) = sent else { return Some(Delivery::Done) };
        tracing::warn!(task = %report.task, %error, "a report was not taken");
        match error.class() {
            Class::Stop => None,
            Class::Retry { after } => {
                let after = after.unwrap_or_else(|| backoff(due.tries));
                // What was in doubt stays in doubt until it was looked up.
                Some(if due.ambiguous { Delivery::Ambiguous(after) } else { Delivery::Later(after) })
            }
            Class::Ambiguous => Some(Delivery::Ambiguous(error.retry_after().unwrap_or_else(|| backoff(due.tries)))),
            Class::Permanent => Some(self.refused(&report, due, &error).await),
        }
    }

    /// A refusal for good: after a lost answer it may mean that the first one was taken.
    async fn refused(&self, report: &Report, due: &DueReport, error: &CallError) -> Delivery {
        match self.shown(report).await {
            Shown::Yes => Delivery::Done,
            Shown::Nothing if due.ambiguous => {
                // The refusal is the only evidence that there is, and the usual reason for it is the first report.
                tracing::info!(task = %report.task, "a report was refused after a lost answer: taken as delivered");
                Delivery::Done
            }
            Shown::Unread if due.ambiguous => Delivery::Ambiguous(backoff(due.tries)),
            Shown::No | Shown::Nothing | Shown::Unread => Delivery::Stuck(error.to_string()),
        }
    }

    async fn shown(&self, report: &Report) -> Shown {
        // A fail shows nowhere.
        let (Says::Complete { link }, Some(account)) = (&report.says, &report.account) else { return Shown::Nothing };
        match self.api.read(account).await {
            Ok(said) if said.post_task_id.as_deref() != Some(&report.task) => Shown::Nothing,
            Ok(said) if said.post_link.as_deref() == Some(link) => Shown::Yes,
            Ok(said) if said.post_link.is_none() => Shown::Nothing,
            Ok(_) => Shown::No,
            Err(error) if error.class() == Class::Permanent => Shown::Nothing,
            Err(_) => Shown::Unread,
        }
    }
}

/// The area's number in a sealed report.
const SOCIAL: u8 = 1;
/// Reports in one round; the lane's lease is renewed between rounds.
const ROUND: usize = 100;
/// How often the outbox is looked at when nobody rings.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Report, Says};

    #[test]
    fn a_report_survives_its_bytes_and_other_bytes_are_refused() {
        for says in [Says::Complete { link: "https://a.test/1".into() }, Says::Fail { message: "lỗi".into() }] {
            let report = Report { task: "t-1".into(), account: Some("a-1".into()), says };
            assert_eq!(Report::read(&report.owed().body).unwrap(), report);
        }
        assert!(Report::read(b"junk").is_none());
    }
}
