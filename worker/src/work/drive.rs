//! What is done with a session in hand: look up, intend, post, and refresh where the site refuses the session.
//!
//! ```text
//! [look up] ► images ► intent durable ► post ► done, refused, blocked, again, or in doubt
//! ```
//!
//! Never repeats an effect that it has not looked for. Knows no queue and no manager but as the giver of a cookie.

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    AccountError, CheckIn, CheckInError, Checkout, ReadError, RefreshAsk, RefreshError, RefreshedBy, Secret,
    login::{Block, Evidence},
    model::{Account, AccountState, Standing},
    standing_of,
};

use super::{AGAIN_MAX, Bench, HELD_MIN, Halt, Next, RETRY_AFTER, blocked_reason, fetch, lease::KeptLease};
use crate::{
    attempt::{Held, State},
    drivers::{BorrowedSession, Found, Image, Outcome, PostInput},
    event::{Ending, Event},
    report::{Report, Says},
    site_desk::SiteDesk,
    sources::social::PostTask,
};

/// How the work under a checkout ended: what is brought back, and what comes after.
pub(super) struct Driven {
    standing: Option<Standing>,
    state: State,
    /// What the manager is told.
    says: Option<Says>,
    next: Next,
}

/// The work under one checkout.
pub(super) struct Drive<'a> {
    bench: &'a Bench,
    task: &'a PostTask,
    desk: &'a SiteDesk,
    kept: &'a KeptLease,
    held: Held,
    input: PostInput,
    has_images: bool,
    last_try: bool,
    /// Whether the account's app password is used in place of a session.
    by_app_password: bool,
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        bench: &'a Bench,
        task: &'a PostTask,
        desk: &'a SiteDesk,
        kept: &'a KeptLease,
        held: Held,
        images: Option<Vec<Image>>,
        last_try: bool,
    ) -> Self {
        let has_images = images.is_some();
        let input = PostInput::new(task.title.clone(), task.about.clone(), images.unwrap_or_default());
        Self { bench, task, desk, kept, held, input, has_images, last_try, by_app_password: false }
    }

    pub(super) async fn run(&mut self, checkout: &mut Checkout) -> Result<Driven, Halt> {
        let has_app_password = checkout.account().record.app_password.is_some();
        self.by_app_password = has_app_password && self.desk.driver.as_ref().is_some_and(|d| d.takes_app_password());
        let mut refreshes = 0;
        for _ in 0..POSTS_MAX {
            if self.kept.lost.is_cancelled() {
                return Ok(self.again("the lease was lost".into(), RETRY_AFTER, true));
            }
            if self.held.attempt.state == State::Sent {
                match self.look_up(checkout).await? {
                    Found::Yes { link } => return Ok(done(link)),
                    Found::No => self.held.attempt.state = State::Nothing,
                    Found::Inconclusive(reason) => return Ok(self.again(reason, RETRY_AFTER, false)),
                }
            }
            if let Some(driven) = self.before_posting(checkout).await? {
                return Ok(driven);
            }
            match self.post(checkout).await {
                Outcome::Done { link } => return Ok(done(link)),
                Outcome::Refused { reason } => return Ok(failed(reason)),
                Outcome::Challenged { block, evidence } => return Ok(self.challenged(checkout, block, evidence).await),
                Outcome::Expired { evidence } => {
                    self.held.attempt.state = State::Nothing;
                    checkout.discard_cookies();
                    // Where the app password is refused, a session may still do.
                    self.by_app_password = false;
                    refreshes += 1;
                    if refreshes > REFRESHES_MAX {
                        let reason = format!("a fresh session was refused: {}", evidence.mark);
                        return Ok(self.again(reason, RETRY_AFTER, true));
                    }
                    if let Some(driven) = self.refresh(checkout).await? {
                        return Ok(driven);
                    }
                }
                Outcome::Retry { after, reason } => {
                    self.held.attempt.state = State::Nothing;
                    return Ok(self.again(reason, after.unwrap_or(RETRY_AFTER), true));
                }
                Outcome::Unknown { reason } => {
                    tracing::warn!(task = %self.task.id, %reason, "a post's outcome is unknown; looking it up");
                    // Not found counts only once the site has had time to show it.
                    tokio::time::sleep(SETTLE).await;
                }
            }
        }
        Ok(self.again("the post's outcome stayed unknown".into(), RETRY_AFTER, true))
    }

    /// What is brought back and owed to the manager, and what comes after.
    pub(super) fn into_check_in(mut self, driven: Driven) -> (CheckIn, Next) {
        let Driven { standing, state, says, next } = driven;
        let note = match &state {
            State::Done { .. } => "posted",
            State::Failed { .. } => "failed",
            State::Sent => "outcome unknown",
            State::Nothing => "nothing done",
        };
        let proven = matches!(state, State::Done { .. });
        self.held.attempt.state = state;
        let (task, account) = (&self.task.id, &self.task.account_id);
        let report = says.map(|says| Report { task: task.clone(), account: account.clone(), says }.owed());
        let back = CheckIn {
            standing,
            // Only a session that was just worked with is told to the manager: no wall's cookie, no stranger's.
            flat_url: (proven && !self.by_app_password).then(|| self.desk.flat_url.clone()),
            reports: report.into_iter().collect(),
            items: vec![self.held.change()],
            note: format!("task {task}: {note}"),
        };
        (back, next)
    }

    /// Everything that has to be so before the site is asked to publish; what comes instead, where it is not.
    async fn before_posting(&mut self, checkout: &mut Checkout) -> Result<Option<Driven>, Halt> {
        if self.bench.stop.is_cancelled() {
            return Ok(Some(self.again("the worker is stopping".into(), RETRY_AFTER, false)));
        }
        if !self.has_images {
            match fetch(self.task, self.desk).await {
                Ok(images) => (self.input.images, self.has_images) = (images, true),
                Err(error) if error.may_pass() => return Ok(Some(self.again(error.to_string(), RETRY_AFTER, true))),
                Err(error) => return Ok(Some(failed(error.to_string()))),
            }
        }
        if (checkout.jar.is_empty() || checkout.needs_probe())
            && !self.by_app_password
            && let Some(driven) = self.refresh(checkout).await?
        {
            return Ok(Some(driven));
        }
        if self.intend(checkout).await? {
            return Ok(None);
        }
        Ok(Some(self.again("the lease was lost".into(), RETRY_AFTER, true)))
    }

    /// Makes the intent durable under the lease, before the site is touched; false when the lease is lost.
    async fn intend(&mut self, checkout: &Checkout) -> Result<bool, Halt> {
        let before = self.held.attempt.clone();
        self.held.attempt.state = State::Sent;
        self.held.attempt.tries += 1;
        self.held.attempt.since_ms = self.bench.vault.now_ms();
        match self.bench.vault.save_items(checkout, &[self.held.change()]).await {
            Ok(()) => {
                self.held.written();
                Ok(true)
            }
            Err(CheckInError::Account(AccountError::Store(error))) => Err(error.into()),
            Err(_) => {
                self.held.attempt = before;
                Ok(false)
            }
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

    /// The site holds the account back. The page that says so may be the answer to a post that was taken.
    async fn challenged(&mut self, checkout: &mut Checkout, block: Block, evidence: Evidence) -> Driven {
        checkout.discard_cookies();
        let standing = standing_of(block, &evidence, self.bench.vault.now_ms());
        if matches!(standing.state, AccountState::Cooling { .. }) {
            // Looked up once the pause that the site asks for is over.
            let driven = self.again(evidence.mark, evidence.retry_after.unwrap_or(RETRY_AFTER), true);
            return Driven { standing: Some(standing), ..driven };
        }
        let reason = blocked_reason(&standing);
        let driven = match self.find(checkout).await {
            Found::Yes { link } => done(link),
            Found::No => failed(reason),
            // It stays in doubt, whatever the manager makes of the fail: the next attempt looks first.
            Found::Inconclusive(_) => Driven { state: State::Sent, ..failed(reason) },
        };
        Driven { standing: Some(standing), ..driven }
    }

    /// Looks the post up; where the session is not good for that, makes it fresh and looks once more.
    async fn look_up(&self, checkout: &mut Checkout) -> Result<Found, Halt> {
        if checkout.needs_probe() && !self.by_app_password && self.refresh(checkout).await?.is_some() {
            return Ok(Found::Inconclusive("the session from before the restore could not be probed".into()));
        }
        let found = self.find(checkout).await;
        if !matches!(found, Found::Inconclusive(_)) {
            return Ok(found);
        }
        checkout.discard_cookies();
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
            refreshed = self.bench.vault.refresh(checkout.account().id, &ask) => refreshed,
            () = self.kept.lost.cancelled() => {
                return Ok(Some(self.again("the lease was lost".into(), RETRY_AFTER, true)));
            }
        };
        match refreshed {
            Ok(refreshed) => {
                if refreshed.how == RefreshedBy::Login {
                    (self.bench.watch)(Event::LoggedIn { account: checkout.account().id });
                }
                match checkout.reload(&self.bench.vault).await {
                    Ok(()) => Ok(None),
                    Err(ReadError::Store(error)) => Err(error.into()),
                    Err(lost) => Ok(Some(self.again(lost.to_string(), RETRY_AFTER, true))),
                }
            }
            Err(RefreshError::Blocked { standing, .. }) => match standing.state {
                AccountState::Cooling { .. } => Ok(Some(self.again(standing.evidence, RETRY_AFTER, true))),
                _ => Ok(Some(failed(blocked_reason(&standing)))),
            },
            Err(RefreshError::Account(AccountError::Store(error))) => Err(error.into()),
            Err(other) => Ok(Some(self.again(other.to_string(), RETRY_AFTER, true))),
        }
    }

    /// Later again. Where the post may exist it is only looked up; where nothing was done, the last try is failed.
    fn again(&self, reason: String, after: Duration, counts: bool) -> Driven {
        let after = after.clamp(HELD_MIN, AGAIN_MAX);
        if self.held.attempt.state == State::Sent {
            return Driven { standing: None, state: State::Sent, says: None, next: Next::InDoubt { after, reason } };
        }
        if self.last_try && counts {
            return failed(reason);
        }
        Driven { standing: None, state: State::Nothing, says: None, next: Next::Again { after, reason, counts } }
    }
}

fn borrowed(checkout: &mut Checkout, by_app_password: bool) -> BorrowedSession<'_> {
    let (Account { record, .. }, jar) = checkout.parts();
    BorrowedSession {
        jar,
        // EXPOSE: the driver names the user to the site.
        username: record.login_name().map(Secret::expose),
        app_password: record.app_password.as_ref().filter(|_| by_app_password),
    }
}

fn done(link: String) -> Driven {
    let (says, ending) = (Says::Complete { link: link.clone() }, Ending::Done { link: link.clone() });
    Driven { standing: None, state: State::Done { link }, says: Some(says), next: Next::Ended(ending) }
}

fn failed(reason: String) -> Driven {
    let (says, ending) = (Says::Fail { message: reason.clone() }, Ending::Failed { reason: reason.clone() });
    Driven { standing: None, state: State::Failed { reason }, says: Some(says), next: Next::Ended(ending) }
}

/// Posts within one checkout: each after the first only once a look-up has shown that there is none.
const POSTS_MAX: usize = 5;
/// Refreshes within one checkout: a session that is refused right after a login is a case for later.
const REFRESHES_MAX: u32 = 2;
/// A refresh may wait for another's login and for a TOTP step.
const REFRESH_WITHIN: Duration = Duration::from_secs(140);
/// How long a site may take until it shows a post whose answer was lost.
const SETTLE: Duration = Duration::from_secs(2);
