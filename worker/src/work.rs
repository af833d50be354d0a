//! The work on one task: account, checkout, intent, drive, check-in. Every way out leaves the vault knowing the truth.
//!
//! ```text
//! known? ► site listed? ► account sealed ► started ► images ► checkout ► [look up] ► intent ► drive ► check-in + report
//! ```
//!
//! Knows no queue and no pull; never repeats an effect that it has not looked for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey_vault::{
    AccountError, AccountId, CheckIn, CheckInError, CheckOutAsk, CheckOutError, Checkout, NewAccount, RefreshAsk,
    RefreshError, RefreshedBy, Secret, Vault,
    account_api::AccountApi,
    admissible,
    manager_http::{CallError, Class},
    model::{AccountState, Standing},
    standing_of,
    store::StoreError,
};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    attempt::{self, Held, State},
    drivers::{BorrowedSession, Deadline, Found, Image, Outcome, PostInput, fetch_images},
    event::{Ending, Event},
    report::{Report, Says},
    run::Watch,
    site_desk::{Desks, SiteDesk},
    sources::social::{PostTask, SocialSource},
};

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
    /// It is to be tried again after a while. `counts`: towards the tries after which it is failed.
    Again { after: Duration, reason: String, counts: bool },
}

/// What stops the whole run, not one task.
#[derive(Debug)]
pub(crate) enum Halt {
    KeyRefused,
    Vault(StoreError),
}

/// How the work under a checkout ended: what is brought back, and what comes after.
struct Driven {
    standing: Option<Standing>,
    state: State,
    next: Next,
}

/// Renews a checkout's lease while it is worked with; ends when dropped.
struct KeptLease {
    deadline: Deadline,
    lost: CancellationToken,
    _renewing: DropGuard,
}

impl Bench {
    /// Works on `task` once. `last_try`: what would be tried again is failed instead.
    pub(crate) async fn work(&self, task: &PostTask, last_try: bool) -> Result<Next, Halt> {
        if self.vault.report_owed(&attempt::key(&task.id)).await? {
            return Ok(Next::Ended(Ending::Known));
        }
        let held = self.attempt(&task.id).await?;
        if let Some(Held { attempt: attempt::Attempt { state: State::Done { link }, .. }, .. }) = &held {
            // The manager forgot, or never heard: the post exists, so only the report is repeated.
            let link = link.clone();
            return self.tell(task, Says::Complete { link: link.clone() }, Ending::Done { link }).await;
        }
        let in_doubt = held.as_ref().is_some_and(|held| held.attempt.state == State::Sent);
        let Some(desk) = self.desks.find(&task.domain).map(Arc::clone) else {
            let reason = format!("site {} is not authorised: it is not in the operator's sites file", task.domain);
            return self.refuse(task, reason).await;
        };
        if desk.driver.is_none() {
            return self
                .refuse(task, format!("the sites file names no way to post to {}", desk.site.domain.as_str()))
                .await;
        }
        if !in_doubt && task.has_unresolved_spin() {
            return self.refuse(task, "title or body holds unresolved spin ({a|b})".into()).await;
        }
        let account = match self.account_of(task, &desk).await? {
            Ok(account) => account,
            Err(reason) => return self.refuse(task, reason).await,
        };
        if let Some(next) = self.start(task).await? {
            return Ok(next);
        }
        let images = match self.images(task, &desk, last_try).await? {
            Ok(images) => images,
            Err(next) => return Ok(next),
        };
        let next = self.borrow(task, &desk, account, images, held, last_try).await?;
        self.bell.notify_one();
        Ok(next)
    }

    /// Fails a task whose element of the list could not be read.
    pub(crate) async fn refuse_malformed(&self, task: &str, reason: String) -> Result<Next, Halt> {
        if self.vault.report_owed(&attempt::key(task)).await? {
            return Ok(Next::Ended(Ending::Known));
        }
        if let Err(error) = self.source.start(task).await {
            return call_failed(&error);
        }
        let report = Report { task: task.to_owned(), account: None, says: Says::Fail { message: reason.clone() } };
        self.vault.owe_report(&report.owed(), &[]).await?;
        self.bell.notify_one();
        Ok(Next::Ended(Ending::Failed { reason }))
    }

    /// The attempt at a task that the vault remembers.
    pub(crate) async fn attempt(&self, task: &str) -> Result<Option<Held>, StoreError> {
        let items = self.vault.items_by_key(latchkey_vault::ItemKind::Attempt, &attempt::key(task)).await?;
        Ok(items.first().and_then(Held::read))
    }

    /// Fails a task without touching an account: the site is never contacted.
    async fn refuse(&self, task: &PostTask, reason: String) -> Result<Next, Halt> {
        if let Some(next) = self.start(task).await? {
            return Ok(next);
        }
        self.tell(task, Says::Fail { message: reason.clone() }, Ending::Failed { reason }).await
    }

    async fn tell(&self, task: &PostTask, says: Says, ending: Ending) -> Result<Next, Halt> {
        let report = Report { task: task.id.clone(), account: task.account_id.clone(), says };
        self.vault.owe_report(&report.owed(), &[]).await?;
        self.bell.notify_one();
        Ok(Next::Ended(ending))
    }

    /// Tells the manager that the task is being worked on; something else comes next where it does not take that.
    async fn start(&self, task: &PostTask) -> Result<Option<Next>, Halt> {
        match self.source.start(&task.id).await {
            Ok(()) => Ok(None),
            Err(error) => call_failed(&error).map(Some),
        }
    }

    /// The account of a task: known, or brought in from the task and the manager's record, sealed at once.
    async fn account_of(&self, task: &PostTask, desk: &SiteDesk) -> Result<Result<AccountId, String>, Halt> {
        let site = desk.site.domain.as_str().to_owned();
        let origin = desk.site.canonical_origin();
        let manager_id = task.account_id.as_deref();
        // EXPOSE: the login name is looked up by its blind index.
        let login = task.fields.username.as_ref().or(task.fields.email.as_ref()).map(Secret::expose);
        let mut known = match manager_id {
            Some(manager_id) => self.vault.find_manager_id(manager_id).await.map_err(halt)?,
            None => None,
        };
        if let (None, Some(login)) = (&known, login) {
            known = self.vault.find_login(&site, login).await.map_err(halt)?;
        }
        if let Some(known) = known {
            if known.record.site != site {
                return Ok(Err(format!("the task's account belongs to {}, not to {site}", known.record.site)));
            }
            return match self.vault.fill_account(known.id, &task.fields, manager_id, Some(origin)).await {
                Ok(_) => Ok(Ok(known.id)),
                Err(AccountError::Store(error)) => Err(error.into()),
                Err(error) => Ok(Err(error.to_string())),
            };
        }
        if login.is_none() {
            return Ok(Err("the task names no account that the vault knows, and no username or email".into()));
        }
        self.bring_in(task, desk).await
    }

    async fn bring_in(&self, task: &PostTask, desk: &SiteDesk) -> Result<Result<AccountId, String>, Halt> {
        let new = NewAccount {
            site: desk.site.domain.as_str().to_owned(),
            manager_id: task.account_id.clone(),
            fields: admissible(task.fields.duplicate()),
            app_password: None,
            tags: Vec::new(),
            notes: String::new(),
            origin: Some(desk.site.canonical_origin().clone()),
        };
        let id = match self.vault.add_account(new).await {
            // Another task, or another process, was faster.
            Ok(id) | Err(AccountError::Duplicate(id)) => id,
            Err(AccountError::Store(error)) => return Err(error.into()),
            Err(error) => return Ok(Err(format!("the task's account cannot be taken in: {error}"))),
        };
        if let Some(manager_id) = &task.account_id {
            match self.api.read(manager_id).await {
                Ok(said) => {
                    let origin = Some(desk.site.canonical_origin());
                    if let Err(AccountError::Store(error)) = self.vault.merge_manager(id, &said, origin).await {
                        return Err(error.into());
                    }
                }
                // The task's own payload is enough to begin with; a login asks again.
                Err(error) => tracing::warn!(account = %id, %error, "the manager's record could not be read"),
            }
        }
        Ok(Ok(id))
    }

    async fn images(&self, task: &PostTask, desk: &SiteDesk, last_try: bool) -> Result<Result<Vec<Image>, Next>, Halt> {
        let urls: Vec<_> = task.images.iter().map(|image| image.url.as_str()).collect();
        match fetch_images(&desk.media, &urls).await {
            Ok(images) => Ok(Ok(images)),
            Err(error) if error.may_pass() && !last_try => {
                Ok(Err(Next::Again { after: RETRY_AFTER, reason: error.to_string(), counts: true }))
            }
            Err(error) => self.tell_failed(task, error.to_string()).await.map(Err),
        }
    }

    async fn tell_failed(&self, task: &PostTask, reason: String) -> Result<Next, Halt> {
        self.tell(task, Says::Fail { message: reason.clone() }, Ending::Failed { reason }).await
    }

    /// Borrows the session, works with it, and brings it back with the report, in one transaction.
    async fn borrow(
        &self,
        task: &PostTask,
        desk: &SiteDesk,
        account: AccountId,
        images: Vec<Image>,
        held: Option<Held>,
        last_try: bool,
    ) -> Result<Next, Halt> {
        let limits = &desk.site.limits;
        let ask = CheckOutAsk {
            ttl: limits.lease_ttl,
            // What was sent before a kill may still arrive for as long as a request may take.
            quarantine: limits.request_timeout,
            wait: CHECKOUT_WAIT,
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
        // Another process may have ended the task while we waited for the account.
        let now = self.attempt(&task.id).await?;
        if now.as_ref().map(Held::rev) != held.as_ref().map(Held::rev) {
            // What is still to be done, the next pull tells.
            return match self
                .vault
                .check_in(checkout, &CheckIn { note: "taken up by another".into(), ..CheckIn::default() })
                .await
            {
                Ok(_) | Err(CheckInError::Fenced(_)) => Ok(Next::Ended(Ending::Known)),
                Err(CheckInError::Account(error)) => Err(halt(error)),
                Err(_) => Ok(Next::Ended(Ending::Known)),
            };
        }
        let held = held.map_or_else(|| Held::new(&self.vault, &task.id, account), Ok)?;
        let kept = KeptLease::start(&self.vault, &checkout, asked);
        let input =
            PostInput { title: task.title.clone(), body_html: task.about.clone(), images, marker: String::new() };
        let mut drive = Drive { bench: self, task, desk, kept: &kept, input, held, last_try, by_app_password: false };
        let driven = drive.run(&mut checkout).await?;
        drive.held.attempt.state = driven.state.clone();
        let back = drive.check_in(driven.standing);
        drop(kept);
        match self.vault.check_in(checkout, &back).await {
            Ok(_) => Ok(driven.next),
            Err(CheckInError::Fenced(_)) => {
                // The attempt stands as it was before: whoever comes next looks the post up.
                Ok(Next::Again { after: HELD_MIN, reason: "the lease was lost".into(), counts: true })
            }
            Err(CheckInError::Account(error)) => Err(halt(error)),
            Err(other) => Ok(Next::Again { after: HELD_MIN, reason: other.to_string(), counts: true }),
        }
    }

    async fn not_usable(&self, task: &PostTask, standing: &Standing) -> Result<Next, Halt> {
        if let AccountState::Cooling { until_ms } = standing.state {
            let left_ms = u64::try_from(until_ms - self.vault.now_ms()).unwrap_or(0);
            let after = Duration::from_millis(left_ms).max(HELD_MIN);
            return Ok(Next::Again { after, reason: "the account is cooling down".into(), counts: false });
        }
        self.tell_failed(task, blocked_reason(standing)).await
    }
}

/// The work under one checkout.
struct Drive<'a> {
    bench: &'a Bench,
    task: &'a PostTask,
    desk: &'a SiteDesk,
    kept: &'a KeptLease,
    input: PostInput,
    held: Held,
    last_try: bool,
    /// Whether the account's app password is used in place of a session.
    by_app_password: bool,
}

impl Drive<'_> {
    async fn run(&mut self, checkout: &mut Checkout) -> Result<Driven, Halt> {
        let has_app_password = checkout.account.record.app_password.is_some();
        self.by_app_password = has_app_password && self.desk.driver.as_ref().is_some_and(|d| d.takes_app_password());
        if checkout.jar.is_empty()
            && !self.by_app_password
            && let Some(driven) = self.refresh(checkout).await?
        {
            return Ok(driven);
        }
        let mut refreshes = 0;
        for _ in 0..POSTS_MAX {
            if self.kept.lost.is_cancelled() {
                return Ok(self.in_doubt("the lease was lost".into()));
            }
            if self.held.attempt.state == State::Sent {
                match self.look_up(checkout).await? {
                    Found::Yes { link } => return Ok(done(link)),
                    Found::No => {}
                    Found::Inconclusive(reason) => return Ok(self.in_doubt(reason)),
                }
            }
            if self.bench.stop.is_cancelled() {
                return Ok(self.again("the worker is stopping".into(), RETRY_AFTER, false));
            }
            self.intend(checkout).await?;
            match self.post(checkout).await {
                Outcome::Done { link } => return Ok(done(link)),
                Outcome::Refused { reason } => return Ok(failed(reason, None)),
                Outcome::Challenged { block, evidence } => {
                    let standing = standing_of(block, &evidence, self.bench.vault.now_ms());
                    if matches!(standing.state, AccountState::Cooling { .. }) {
                        let driven = self.again(evidence.mark, evidence.retry_after.unwrap_or(RETRY_AFTER), true);
                        return Ok(Driven { standing: Some(standing), ..driven });
                    }
                    // A page that holds the account back may be the answer to a post that was taken.
                    if let Found::Yes { link } = self.find(checkout).await {
                        return Ok(Driven { standing: Some(standing), ..done(link) });
                    }
                    return Ok(failed(blocked_reason(&standing), Some(standing)));
                }
                Outcome::Expired { evidence } => {
                    self.held.attempt.state = State::Nothing;
                    // Where the app password is refused, a session may still do.
                    self.by_app_password = false;
                    refreshes += 1;
                    if refreshes > REFRESHES_MAX {
                        return Ok(self.again(
                            format!("a fresh session was refused: {}", evidence.mark),
                            RETRY_AFTER,
                            true,
                        ));
                    }
                    if let Some(driven) = self.refresh(checkout).await? {
                        return Ok(driven);
                    }
                }
                Outcome::Retry { after, reason } => {
                    return Ok(self.again(reason, after.unwrap_or(RETRY_AFTER), true));
                }
                Outcome::Unknown { reason } => {
                    tracing::warn!(task = %self.task.id, %reason, "a post's outcome is unknown; looking it up");
                    // Not found counts only once the site has had time to show it.
                    tokio::time::sleep(SETTLE).await;
                }
            }
        }
        Ok(self.in_doubt("the post's outcome stayed unknown".into()))
    }

    /// Makes the intent durable under the lease, before the site is touched.
    async fn intend(&mut self, checkout: &Checkout) -> Result<(), Halt> {
        self.held.attempt.state = State::Sent;
        self.held.attempt.tries += 1;
        self.held.attempt.since_ms = self.bench.vault.now_ms();
        match self.bench.vault.save_items(checkout, &[self.held.change()]).await {
            Ok(()) => {
                self.held.written();
                Ok(())
            }
            Err(CheckInError::Account(error)) => Err(halt(error)),
            Err(_) => Err(Halt::Vault(StoreError::Unknown)),
        }
    }

    async fn post(&self, checkout: &mut Checkout) -> Outcome {
        let Some(driver) = &self.desk.driver else {
            return Outcome::Refused { reason: "the sites file names no way to post".into() };
        };
        let mut session = borrowed(checkout, self.by_app_password);
        tokio::select! {
            outcome = driver.post(&mut session, &self.input, &self.kept.deadline) => outcome,
            () = self.kept.lost.cancelled() => Outcome::Unknown { reason: "the lease was lost while posting".into() },
        }
    }

    /// Looks the post up; where the session is not good for that, makes it fresh and looks once more.
    async fn look_up(&self, checkout: &mut Checkout) -> Result<Found, Halt> {
        let found = self.find(checkout).await;
        if !matches!(found, Found::Inconclusive(_)) {
            return Ok(found);
        }
        match self.refresh(checkout).await? {
            None => Ok(self.find(checkout).await),
            Some(_) => Ok(found),
        }
    }

    async fn find(&self, checkout: &mut Checkout) -> Found {
        let Some(driver) = &self.desk.driver else { return Found::Inconclusive("no driver".into()) };
        let mut session = borrowed(checkout, self.by_app_password);
        driver.find_post(&mut session, &self.input, &self.kept.deadline).await
    }

    /// Makes the session fresh: nothing to say when that succeeded.
    async fn refresh(&self, checkout: &mut Checkout) -> Result<Option<Driven>, Halt> {
        let ask = RefreshAsk {
            auth: Arc::clone(&self.desk.auth),
            origin: self.desk.site.canonical_origin().clone(),
            flat_url: self.desk.flat_url.clone(),
            totp_at_site: self.desk.site.twofa_at_site,
            manager: Some(Arc::clone(&self.bench.api)),
            refused_epoch: checkout.login_epoch(),
            within: REFRESH_WITHIN,
        };
        let refreshed = tokio::select! {
            refreshed = self.bench.vault.refresh(checkout.account.id, &ask) => refreshed,
            () = self.kept.lost.cancelled() => return Ok(Some(self.again("the lease was lost".into(), RETRY_AFTER, true))),
        };
        match refreshed {
            Ok(refreshed) => {
                if refreshed.how == RefreshedBy::Login {
                    (self.bench.watch)(Event::LoggedIn { account: checkout.account.id });
                }
                checkout.reload(&self.bench.vault).await.map_err(halt)?;
                Ok(None)
            }
            Err(RefreshError::Blocked { standing, .. }) => match standing.state {
                AccountState::Cooling { .. } => Ok(Some(self.again(standing.evidence, RETRY_AFTER, true))),
                _ => Ok(Some(failed(blocked_reason(&standing), None))),
            },
            Err(RefreshError::Account(AccountError::Store(error))) => Err(error.into()),
            Err(other) => Ok(Some(self.again(other.to_string(), RETRY_AFTER, true))),
        }
    }

    /// What is brought back, and owed to the manager, for the attempt's state.
    fn check_in(&self, standing: Option<Standing>) -> CheckIn {
        let report = |says| Report { task: self.task.id.clone(), account: self.task.account_id.clone(), says }.owed();
        let (reports, note) = match &self.held.attempt.state {
            State::Done { link } => (vec![report(Says::Complete { link: link.clone() })], "posted"),
            State::Failed { reason } => (vec![report(Says::Fail { message: reason.clone() })], "failed"),
            State::Sent => (Vec::new(), "outcome unknown"),
            State::Nothing => (Vec::new(), "nothing done"),
        };
        let proven = matches!(self.held.attempt.state, State::Done { .. });
        CheckIn {
            standing,
            // Only a session that was just worked with is told to the manager: no wall's cookie, no stranger's.
            flat_url: (proven && !self.by_app_password).then(|| self.desk.flat_url.clone()),
            reports,
            items: vec![self.held.change()],
            note: format!("task {}: {note}", self.task.id),
        }
    }

    /// Nothing was done: later again, or failed where this was the last try.
    fn again(&self, reason: String, after: Duration, counts: bool) -> Driven {
        if self.last_try && counts && self.held.attempt.state != State::Sent {
            return failed(reason, None);
        }
        let state = match self.held.attempt.state {
            State::Sent => State::Sent,
            _ => State::Nothing,
        };
        let after = after.clamp(HELD_MIN, AGAIN_MAX);
        Driven { standing: None, state, next: Next::Again { after, reason, counts } }
    }

    /// Something may have been done: only a look-up, later, can tell. Never failed, since that would ask for a repeat.
    fn in_doubt(&self, reason: String) -> Driven {
        Driven {
            standing: None,
            state: self.held.attempt.state.clone(),
            next: Next::Again { after: RETRY_AFTER, reason, counts: false },
        }
    }
}

impl KeptLease {
    fn start(vault: &Arc<Vault>, checkout: &Checkout, asked: Instant) -> Self {
        let mut lease = checkout.lease();
        let ttl = lease.ttl();
        let margin = ttl / 10;
        let deadline = Deadline::new(asked + ttl - margin);
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let (vault, moved, told, stopped) = (Arc::clone(vault), deadline.clone(), lost.clone(), stop.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = tokio::time::sleep(ttl / 3) => {}
                }
                // Counted from before the store was asked: it may have stamped the renewal any time since.
                let before = Instant::now();
                match vault.renew(&mut lease).await {
                    Ok(true) => moved.extend(before + ttl - margin),
                    Ok(false) => return told.cancel(),
                    Err(error) if moved.is_past() => {
                        tracing::error!(%error, "a lease could not be renewed in time");
                        return told.cancel();
                    }
                    Err(error) => tracing::warn!(%error, "a lease could not be renewed; trying again"),
                }
            }
        });
        Self { deadline, lost, _renewing: stop.drop_guard() }
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Vault(error)
    }
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

fn borrowed(checkout: &mut Checkout, by_app_password: bool) -> BorrowedSession<'_> {
    let record = &checkout.account.record;
    BorrowedSession {
        jar: &mut checkout.jar,
        // EXPOSE: the driver names the user to the site.
        username: record.login_name().map(Secret::expose),
        app_password: record.app_password.as_ref().filter(|_| by_app_password),
    }
}

fn done(link: String) -> Driven {
    let ending = Ending::Done { link: link.clone() };
    Driven { standing: None, state: State::Done { link }, next: Next::Ended(ending) }
}

fn failed(reason: String, standing: Option<Standing>) -> Driven {
    let ending = Ending::Failed { reason: reason.clone() };
    Driven { standing, state: State::Failed { reason }, next: Next::Ended(ending) }
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
/// Posts within one checkout: each after the first only once a look-up has shown that there is none.
const POSTS_MAX: usize = 5;
/// Refreshes within one checkout: a session that is refused right after a login is a case for later.
const REFRESHES_MAX: u32 = 2;
/// A refresh may wait for another's login and for a TOTP step.
const REFRESH_WITHIN: Duration = Duration::from_secs(140);
/// How long a site may take until it shows a post whose answer was lost.
const SETTLE: Duration = Duration::from_secs(2);
