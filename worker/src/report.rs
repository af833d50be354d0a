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

use crate::{event::Event, run::Watch, sources::social::SocialSource};

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

    fn read(body: &[u8]) -> Option<Self> {
        let v1: ReportV1<'_> = minicbor::decode(body).ok().filter(|v1: &ReportV1<'_>| v1.area == SOCIAL)?;
        let text = v1.text.to_owned();
        let says = if v1.complete { Says::Complete { link: text } } else { Says::Fail { message: text } };
        Some(Self { task: v1.task.to_owned(), account: v1.account.map(str::to_owned), says })
    }
}

impl Reporter {
    /// Delivers until `stop`; then once more what is due, within the caller's patience.
    pub(crate) async fn run(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut lanes: Option<(LaneHold, LaneHold)> = None;
        loop {
            let last = stop.is_cancelled();
            if lanes.is_none() {
                lanes = self.take_lanes().await?;
            }
            let mut moved = 0;
            if let Some((accounts, tasks)) = &mut lanes {
                moved = self.round(accounts, tasks).await?;
            }
            if last && moved == 0 {
                break;
            }
            if moved == 0 {
                tokio::select! {
                    () = self.bell.notified() => {}
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
        if let Some((accounts, tasks)) = lanes {
            self.vault.leave_lane(accounts).await?;
            self.vault.leave_lane(tasks).await?;
        }
        Ok(())
    }

    async fn take_lanes(&self) -> Result<Option<(LaneHold, LaneHold)>, StoreError> {
        let Some(accounts) = self.vault.take_lane(Lane::Account).await? else { return Ok(None) };
        match self.vault.take_lane(Lane::Task).await? {
            Some(tasks) => Ok(Some((accounts, tasks))),
            None => {
                self.vault.leave_lane(accounts).await?;
                Ok(None)
            }
        }
    }

    /// One round over both lanes; says how many messages left the outbox.
    async fn round(&self, accounts: &mut LaneHold, tasks: &mut LaneHold) -> Result<usize, StoreError> {
        let told = self.vault.deliver_accounts(accounts, &self.api).await?;
        if told.unauthorized {
            (self.watch)(Event::KeyRefused);
            return Ok(0);
        }
        let mut moved = told.delivered + told.stuck;
        for due in self.vault.due_reports(tasks, ROUND).await? {
            let (delivery, refused) = self.deliver(&due).await;
            moved += usize::from(matches!(delivery, Delivery::Done | Delivery::Stuck(_)));
            self.vault.settle_report(&due, &delivery).await?;
            if refused {
                (self.watch)(Event::KeyRefused);
                return Ok(0);
            }
        }
        if moved > 0 {
            (self.watch)(Event::Delivered { messages: moved });
        }
        Ok(moved)
    }

    /// Sends one report; says whether the key was refused.
    async fn deliver(&self, due: &DueReport) -> (Delivery, bool) {
        let Some(report) = Report::read(&due.body) else {
            return (Delivery::Stuck("the report is of a kind that this version does not know".into()), false);
        };
        if due.ambiguous && self.shows(&report).await == Some(true) {
            return (Delivery::Done, false);
        }
        let sent = match &report.says {
            Says::Complete { link } => self.source.complete(&report.task, link).await,
            Says::Fail { message } => self.source.fail(&report.task, message).await,
        };
        let Err(error) = sent else { return (Delivery::Done, false) };
        let delivery = match error.class() {
            Class::Stop => return (Delivery::Later(KEY_REFUSED_AFTER), true),
            Class::Retry { after } => {
                let after = after.unwrap_or_else(|| backoff(due.tries));
                // What was in doubt stays in doubt until it was looked up.
                if due.ambiguous { Delivery::Ambiguous(after) } else { Delivery::Later(after) }
            }
            Class::Ambiguous => Delivery::Ambiguous(error.retry_after().unwrap_or_else(|| backoff(due.tries))),
            Class::Permanent => self.refused(&report, due.ambiguous, &error).await,
        };
        tracing::warn!(task = %report.task, %error, "a report was not taken");
        (delivery, false)
    }

    /// A refusal for good: after a lost answer it may mean that the first one was taken.
    async fn refused(&self, report: &Report, ambiguous: bool, error: &CallError) -> Delivery {
        if ambiguous {
            match &report.says {
                Says::Complete { .. } => match self.shows(report).await {
                    Some(true) => return Delivery::Done,
                    Some(false) => {}
                    None => return Delivery::Ambiguous(backoff(0)),
                },
                // A task shows no status: that it refuses a second fail is the only evidence of the first.
                Says::Fail { .. } => {
                    tracing::info!(task = %report.task, "a fail was refused after a lost answer: taken as delivered");
                    return Delivery::Done;
                }
            }
        }
        Delivery::Stuck(error.to_string())
    }

    /// Whether the manager's account record shows the report; none where it cannot be told.
    async fn shows(&self, report: &Report) -> Option<bool> {
        let (Says::Complete { link }, Some(account)) = (&report.says, &report.account) else { return None };
        let said = self.api.read(account).await.ok()?;
        Some(said.post_task_id.as_deref() == Some(&report.task) && said.post_link.as_deref() == Some(link))
    }
}

/// The area's number in a sealed report.
const SOCIAL: u8 = 1;
/// Reports in one round; the lane's lease is renewed between rounds.
const ROUND: usize = 100;
/// How often the outbox is looked at when nobody rings.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a refused key: a person has to act.
const KEY_REFUSED_AFTER: Duration = Duration::from_secs(60);

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
