//! The work on one task, from what is known of it to its end. Every way out leaves the vault knowing the truth.
//!
//! ```text
//! known? ► started ► site listed? ► account sealed ► usable? ► images ► checkout ► drive ► check-in + report
//! ```
//!
//! Knows no queue and no pull. What is done with a session in hand is [`drive`]'s.

mod account;
mod drive;
mod lease;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey_vault::{
    AccountError, AccountId, CheckIn, CheckInError, CheckOutAsk, CheckOutError, Checkout, ItemKind, LeaseMode, Vault,
    account_api::AccountApi,
    manager_http::{CallError, Class},
    model::{AccountState, Standing},
    store::StoreError,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::{self, Attempt, Held, State},
    drivers::{Image, fetch_images},
    event::Ending,
    report::{Report, Says},
    run::Watch,
    site_desk::{Desks, SiteDesk},
    sources::social::{PostTask, SocialSource},
};
use drive::Drive;
use lease::KeptLease;

/// What the work on any task stands on.
pub(crate) struct Bench {
    pub(crate) vault: Arc<Vault>,
    pub(crate) desks: Desks,
    pub(crate) api: Arc<AccountApi>,
    pub(crate) source: Arc<SocialSource>,
    pub(crate) bell: Arc<Notify>,
    pub(crate) watch: Watch,
    pub(crate) stop: CancellationToken,
}

/// What comes after the work on a task.
#[derive(Debug)]
pub(crate) enum Next {
    /// It is over.
    Ended(Ending),
    /// Nothing was done: it is to be tried again after a while. `counts`: towards the tries after which it is failed.
    Again { after: Duration, reason: String, counts: bool },
    /// The post may exist, and nothing tells: it is looked up again after a while, and never failed, since that would
    /// ask for a repeat.
    InDoubt { after: Duration, reason: String },
}

/// What stops the whole run, not one task.
#[derive(Debug)]
pub(crate) enum Halt {
    KeyRefused,
    Vault(StoreError),
}

impl Bench {
    /// Works on `task` once. `last_try`: what would be tried again is failed instead.
    pub(crate) async fn work(&self, task: &PostTask, last_try: bool) -> Result<Next, Halt> {
        if self.vault.report_owed(&attempt::key(&task.id)).await? {
            return Ok(Next::Ended(Ending::Known));
        }
        let held = self.attempt(&task.id).await?;
        // This may be repeated, and tells whether the manager still takes reports on the task.
        if let Some(next) = self.start(&task.id).await? {
            return Ok(next);
        }
        if let Some(Held { attempt: Attempt { state: State::Done { link }, .. }, .. }) = &held {
            // The manager forgot, or never heard: the post exists, so only the report is repeated.
            let says = Says::Complete { link: link.clone() };
            return self.tell(&task.id, task.account_id.as_deref(), says, Ending::Done { link: link.clone() }).await;
        }
        let was_sent = held.as_ref().is_some_and(|held| held.attempt.state == State::Sent);
        // What the vault does not know may have been done in the time that a restored backup has lost.
        let in_doubt = was_sent || held.is_none() && self.vault.has_lost_time();
        let desk = match self.desk_of(task, was_sent) {
            Ok(desk) => desk,
            Err(reason) => return self.tell_failed(task, reason).await,
        };
        let account = match self.account_of(task, &desk).await? {
            Ok(account) => account,
            Err(reason) => return self.tell_failed(task, reason).await,
        };
        if !account.standing.state.is_usable(self.vault.now_ms()) {
            return self.not_usable(task, &account.standing).await;
        }
        // A post in doubt is looked up first, and that takes no images.
        let images = if in_doubt { None } else { Some(fetch(task, &desk).await) };
        let images = match images.transpose() {
            Ok(images) => images,
            Err(error) if error.may_pass() && !last_try => {
                return Ok(Next::Again { after: RETRY_AFTER, reason: error.to_string(), counts: true });
            }
            Err(error) => return self.tell_failed(task, error.to_string()).await,
        };
        let next = self.borrow(task, &desk, account.id, images, held, last_try).await?;
        self.bell.notify_one();
        Ok(next)
    }

    /// Fails a task whose element of the list could not be read.
    pub(crate) async fn refuse_malformed(&self, task: &str, reason: String) -> Result<Next, Halt> {
        if self.vault.report_owed(&attempt::key(task)).await? {
            return Ok(Next::Ended(Ending::Known));
        }
        if let Some(next) = self.start(task).await? {
            return Ok(next);
        }
        self.tell(task, None, Says::Fail { message: reason.clone() }, Ending::Failed { reason }).await
    }

    /// The attempt at a task that the vault remembers.
    async fn attempt(&self, task: &str) -> Result<Option<Held>, StoreError> {
        let items = self.vault.items_by_key(ItemKind::Attempt, &attempt::key(task)).await?;
        Ok(items.first().and_then(Held::read))
    }

    /// Tells the manager that the task is being worked on; something else comes next where it does not take that.
    async fn start(&self, task: &str) -> Result<Option<Next>, Halt> {
        match self.source.start(task).await {
            Ok(()) => Ok(None),
            Err(error) => call_failed(&error).map(Some),
        }
    }

    /// The desk of the task's site, or why the task is not for us: then the site is never contacted.
    fn desk_of(&self, task: &PostTask, was_sent: bool) -> Result<Arc<SiteDesk>, String> {
        let desk = self
            .desks
            .find(&task.domain)
            .ok_or_else(|| format!("site {} is not authorised: it is not in the operator's sites file", task.domain))?;
        if desk.driver.is_none() {
            return Err(format!("the sites file names no way to post to {}", desk.site.domain.as_str()));
        }
        if !was_sent && task.has_unresolved_spin() {
            return Err("title or body holds unresolved spin ({a|b})".into());
        }
        Ok(Arc::clone(desk))
    }

    /// Owes the report on a task that ended without an account in hand.
    async fn tell(&self, task: &str, account: Option<&str>, says: Says, ending: Ending) -> Result<Next, Halt> {
        let report = Report { task: task.to_owned(), account: account.map(str::to_owned), says };
        self.vault.owe_report(&report.owed(), &[]).await?;
        self.bell.notify_one();
        Ok(Next::Ended(ending))
    }

    async fn tell_failed(&self, task: &PostTask, reason: String) -> Result<Next, Halt> {
        let says = Says::Fail { message: reason.clone() };
        self.tell(&task.id, task.account_id.as_deref(), says, Ending::Failed { reason }).await
    }

    async fn not_usable(&self, task: &PostTask, standing: &Standing) -> Result<Next, Halt> {
        if let AccountState::Cooling { until_ms } = standing.state {
            let left_ms = u64::try_from(until_ms - self.vault.now_ms()).unwrap_or(0);
            let after = Duration::from_millis(left_ms).max(HELD_MIN);
            return Ok(Next::Again { after, reason: "the account is cooling down".into(), counts: false });
        }
        self.tell_failed(task, blocked_reason(standing)).await
    }

    /// Borrows the session, works with it, and brings it back with the report, in one transaction.
    async fn borrow(
        &self,
        task: &PostTask,
        desk: &SiteDesk,
        account: AccountId,
        images: Option<Vec<Image>>,
        held: Option<Held>,
        last_try: bool,
    ) -> Result<Next, Halt> {
        let limits = &desk.site.limits;
        let ask = CheckOutAsk {
            ttl: limits.lease_ttl,
            // What was sent before a kill may still arrive for as long as a request may take.
            quarantine: limits.request_timeout,
            wait: CHECKOUT_WAIT,
            mode: LeaseMode::Exclusive,
            purpose: format!("post task {}", task.id),
        };
        let asked = Instant::now();
        let mut checkout = match self.vault.check_out(account, &ask).await {
            Ok(checkout) => checkout,
            Err(CheckOutError::NotUsable { standing, .. }) => return self.not_usable(task, &standing).await,
            Err(CheckOutError::Held { retry_in, .. }) => {
                let after = retry_in.clamp(HELD_MIN, HELD_MAX);
                return Ok(Next::Again { after, reason: "the account is in use".into(), counts: false });
            }
            Err(CheckOutError::Account(error)) => return Err(halt(error)),
            Err(other) => return self.tell_failed(task, other.to_string()).await,
        };
        // Another process may have worked on the task while we waited for the account.
        let now = self.attempt(&task.id).await?;
        if now.as_ref().map(Held::rev) != held.as_ref().map(Held::rev) {
            // What is still to be done, the next pull tells.
            self.give_back(checkout, "taken up by another").await?;
            return Ok(Next::Ended(Ending::Known));
        }
        let held = match held {
            Some(held) => held,
            None if self.vault.has_lost_time() => Held::in_doubt(&self.vault, &task.id, account)?,
            None => Held::new(&self.vault, &task.id, account)?,
        };
        let kept = KeptLease::start(&self.vault, &checkout, asked);
        let mut drive = Drive::new(self, task, desk, &kept, held, images, last_try);
        let driven = match drive.run(&mut checkout).await {
            Ok(driven) => driven,
            Err(halt) => {
                // The vault's own trouble: the lease is given back where that can still be written.
                let _ = self.give_back(checkout, "broken off").await;
                return Err(halt);
            }
        };
        let (back, next) = drive.into_check_in(driven);
        match self.vault.check_in(checkout, &back).await {
            Ok(_) => Ok(next),
            Err(CheckInError::Fenced(_)) => {
                // The attempt stands as it was before: whoever comes next looks the post up.
                Ok(Next::Again { after: HELD_MIN, reason: "the lease was lost".into(), counts: true })
            }
            Err(CheckInError::Account(error)) => Err(halt(error)),
            Err(other) => Ok(Next::Again { after: HELD_MIN, reason: other.to_string(), counts: true }),
        }
    }

    /// Ends a checkout with which nothing was done.
    async fn give_back(&self, checkout: Checkout, why: &str) -> Result<(), Halt> {
        match self.vault.check_in(checkout, &CheckIn { note: why.into(), ..CheckIn::default() }).await {
            Err(CheckInError::Account(error)) => Err(halt(error)),
            // A lease that was lost needs no giving back.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Vault(error)
    }
}

/// The images that the task names.
async fn fetch(task: &PostTask, desk: &SiteDesk) -> Result<Vec<Image>, crate::drivers::ImagesError> {
    let urls: Vec<_> = task.images.iter().map(|image| image.url.as_str()).collect();
    fetch_images(&desk.media, &urls).await
}

fn halt(error: AccountError) -> Halt {
    match error {
        AccountError::Store(error) => Halt::Vault(error),
        // Others are too fast for us again and again: as after a failed write, the state is read anew later.
        _ => Halt::Vault(StoreError::Unknown),
    }
}

fn call_failed(error: &CallError) -> Result<Next, Halt> {
    match error.class() {
        Class::Stop => Err(Halt::KeyRefused),
        Class::Retry { after } => {
            let after = after.unwrap_or(RETRY_AFTER).min(AGAIN_MAX);
            Ok(Next::Again { after, reason: error.to_string(), counts: false })
        }
        Class::Ambiguous => Ok(Next::Again { after: RETRY_AFTER, reason: error.to_string(), counts: false }),
        // Gone, or ended by somebody else: nothing is owed for it.
        Class::Permanent => Ok(Next::Ended(Ending::Known)),
    }
}

fn blocked_reason(standing: &Standing) -> String {
    format!("account {}: {}", standing.state.word(), standing.evidence)
}

/// How long a task waits for its account before it steps aside for others.
const CHECKOUT_WAIT: Duration = Duration::from_secs(2);
/// The shortest pause before a task is tried again.
const HELD_MIN: Duration = Duration::from_millis(250);
/// The longest pause before an account in use is asked for again.
const HELD_MAX: Duration = Duration::from_secs(10);
/// The usual pause before a task is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The longest pause before a task is tried again.
const AGAIN_MAX: Duration = Duration::from_secs(600);
