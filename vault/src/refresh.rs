//! Refresh: one login, however many ask.
//!
//! ```text
//! refused epoch < stored epoch ──────────────────────────► adopted (somebody was faster)
//!   └► login lease (per credential) ► manager's GET ► probe ► live ► kept or adopted
//!        └► expired/absent ► intent durable ► TOTP step reserved ► login sent
//!             ├► logged in  ► session, record, message, closed intent, freed lease: one transaction
//!             ├► blocked    ► standing and message, the same way
//!             ├► not sent   ► intent closed
//!             └► ambiguous  ► intent stays open: the next one probes, then may log in once more
//! ```
//!
//! Knows how to ask a [`SiteAuth`], not how a site works; never decides to try again by itself.

mod steps;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use steps::Steps;
use thiserror::Error;
use tokio::time::Instant;
use url::Url;

use crate::{
    Vault,
    account_api::{AccountApi, AccountStatus, AccountUpdate},
    accounts::{AccountError, RETRIES, standing_update},
    checkout::{CheckOutAsk, LeaseHandle, Leased, take_cookie},
    cookies::Jar,
    items::{ItemChange, ItemKind},
    login::{Block, Evidence, LoginIdentity, LoginOutcome, SiteAuth, Verdict},
    model::{Account, AccountId, AccountState, Action, Outcome, Secret, Standing},
    names::Named,
    record::{LoginIntent, SessionRecord},
    store::{Changes, LeaseMode, Saved, StoreError},
    totp::Totp,
};

/// What a refresh needs to know of the site.
#[derive(Clone)]
pub struct RefreshAsk {
    /// How to log in to the site.
    pub auth: Arc<dyn SiteAuth>,
    /// Where flat cookie strings are scoped to.
    pub origin: Url,
    /// Where the flat string for the manager is projected from.
    pub flat_url: Url,
    /// Whether the account's TOTP secret is meant for this site.
    pub totp_at_site: bool,
    /// The manager, where there is one to be asked first.
    pub manager: Option<Arc<AccountApi>>,
    /// The epoch that the site refused.
    pub refused_epoch: u64,
    /// How long this may take in all, waiting for another's login included.
    pub within: Duration,
}

/// How a session became fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The session's epoch now.
    pub login_epoch: u64,
    /// Where it is from.
    pub how: RefreshedBy,
}

/// Where a fresh session is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshedBy {
    /// Another caller had logged in already.
    Another,
    /// The manager had a cookie that lives.
    Manager,
    /// The refused session lives after all.
    Probe,
    /// A login was sent, and it succeeded.
    Login,
}

/// Why there is no fresh session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The account is, or has just become, one that may not be worked with.
    #[error("account {id} is {}: {}", .standing.state.word(), .standing.evidence)]
    Blocked {
        /// Which account.
        id: AccountId,
        /// How it stands.
        standing: Standing,
    },
    /// Neither a logged-in nor a logged-out mark was seen: no login was sent.
    #[error("whether the session lives cannot be told ({mark}); no login was sent")]
    Unclear {
        /// What was seen instead.
        mark: String,
    },
    /// No credential left us.
    #[error("the login was not sent: {reason}")]
    NotSent {
        /// Why.
        reason: String,
    },
    /// The login was sent and its answer lost; the next refresh probes first.
    #[error("the login's answer was lost ({mark}); it is probed before another is sent")]
    Ambiguous {
        /// What was seen instead.
        mark: String,
    },
    /// Another's login took too long.
    #[error("another login of this credential did not end in time")]
    TooLong,
    /// The account or the store.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Who waits for whose login, within this process: first in, first out.
#[derive(Debug, Default)]
pub(crate) struct LoginQueues(Mutex<HashMap<[u8; 32], Weak<tokio::sync::Mutex<()>>>>);

struct Turn<'a> {
    vault: &'a Vault,
    id: AccountId,
    ask: &'a RefreshAsk,
    /// What identifies the credential: two records of one login share it.
    credential: Arc<Named>,
    lease: LeaseHandle,
    deadline: Instant,
    /// Whether the lease was given back together with the login's end.
    ended: AtomicBool,
}

impl Vault {
    /// Makes an account's session fresh: exactly one login per expiry, however many ask in however many processes.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, id: AccountId, ask: &RefreshAsk) -> Result<Refreshed, RefreshError> {
        let deadline = Instant::now() + ask.within;
        let (account, session) = self.account_and_session(id).await?;
        if let Some(newer) = newer_than(ask, session.as_ref().map(|(_, s)| s.login_epoch)) {
            return Ok(newer);
        }
        usable(self, &account)?;
        let credential = Arc::new(Named::credential(id, &account.record));
        let queue = self.logins.of(credential.fingerprint());
        let Ok(_turn) = tokio::time::timeout_at(deadline, queue.lock()).await else {
            return Err(RefreshError::TooLong);
        };
        let lease = self.login_lease(&credential, id, ask, deadline).await?;
        let lease = match lease {
            Ok(lease) => lease,
            Err(newer) => return Ok(newer),
        };
        // Whatever the caller allows: what is sent has ended before another may have the lease.
        let deadline = deadline.min(Instant::now() + LOGIN_TURN);
        let turn = Turn { vault: self, id, ask, credential, lease, deadline, ended: AtomicBool::new(false) };
        let result = turn.run().await;
        // A login that ended has freed the lease in its own transaction.
        if !turn.ended.load(Ordering::Acquire) {
            self.release(&turn.lease, Some(id), "login lease ended").await.map_err(AccountError::from)?;
        }
        result
    }

    /// Waits for the login lease of a credential; ends early when another's login has made the session newer.
    async fn login_lease(
        &self,
        credential: &Arc<Named>,
        id: AccountId,
        ask: &RefreshAsk,
        deadline: Instant,
    ) -> Result<Result<LeaseHandle, Refreshed>, RefreshError> {
        let what = Leased::Named(Arc::clone(credential));
        let left = deadline.saturating_duration_since(Instant::now());
        let mut waiting = self.wait_for(what, left).map_err(AccountError::from)?;
        loop {
            let session = self.account_and_session(id).await?.1;
            if let Some(newer) = newer_than(ask, session.map(|(_, session)| session.login_epoch)) {
                return Ok(Err(newer));
            }
            let lease_ask = CheckOutAsk {
                ttl: LOGIN_TTL,
                quarantine: LOGIN_QUARANTINE,
                wait: LOOK_AGAIN.min(deadline.saturating_duration_since(Instant::now())),
                mode: LeaseMode::Exclusive,
                purpose: LOGIN_PURPOSE.into(),
            };
            match waiting.take(&lease_ask, Some(id)).await.map_err(AccountError::from)? {
                Ok(lease) => return Ok(Ok(lease)),
                Err(_) if Instant::now() < deadline => {}
                Err(_) => return Err(RefreshError::TooLong),
            }
        }
    }
}

impl Turn<'_> {
    async fn run(&self) -> Result<Refreshed, RefreshError> {
        let session = self.vault.account_and_session(self.id).await?.1;
        if let Some(newer) = newer_than(self.ask, session.map(|(_, session)| session.login_epoch)) {
            return Ok(newer);
        }
        let from_manager = self.ask_manager().await?;
        let (account, session) = self.vault.account_and_session(self.id).await?;
        usable(self.vault, &account)?;
        let epoch = session.as_ref().map_or(0, |(_, session)| session.login_epoch);
        if let Some((_, session)) = &session
            && !session.jar.is_empty()
        {
            let mut jar = session.jar.duplicate();
            let evidence = self.ask.auth.probe(&mut jar, &identity(&account, self.ask)).await;
            match evidence.verdict {
                Verdict::Live => {
                    self.keep_session(epoch).await?;
                    let how = if from_manager { RefreshedBy::Manager } else { RefreshedBy::Probe };
                    return Ok(Refreshed { login_epoch: epoch, how });
                }
                Verdict::Expired => {}
                Verdict::Blocked(block) => return Err(self.block(block, &evidence, None).await?),
                // A network fault, a 5xx or a surprise never leads to a login.
                Verdict::Unknown => return Err(RefreshError::Unclear { mark: evidence.mark }),
            }
        }
        self.log_in(&account, epoch).await
    }

    /// A session from before the vault was restored lives: from here on it is one of this incarnation.
    async fn keep_session(&self, epoch: u64) -> Result<(), RefreshError> {
        let vault = self.vault;
        for _ in 0..RETRIES {
            if !vault.session_is_from_earlier(self.id).await.map_err(AccountError::from)? {
                return Ok(());
            }
            let session = vault.account_and_session(self.id).await?.1;
            let Some((rev, session)) = session.filter(|(_, session)| session.login_epoch == epoch) else {
                return Ok(());
            };
            let sessions = vec![vault.session_row(self.id, rev + 1, &session).map_err(AccountError::from)?];
            let changes = Changes { sessions, ..Changes::default() };
            match vault.save_under(&self.lease, changes).await.map_err(AccountError::from)? {
                Saved::Done => return Ok(()),
                Saved::Stale(_) => {}
                Saved::Fenced(_) | Saved::Duplicate(_) => return Err(RefreshError::TooLong),
            }
        }
        Err(AccountError::Busy(self.id).into())
    }

    /// Merges what the manager says; says whether it gave another cookie. Its failure is noted and does not stop us.
    async fn ask_manager(&self) -> Result<bool, RefreshError> {
        let (Some(api), account) = (&self.ask.manager, self.vault.opened(self.id).await?) else { return Ok(false) };
        let Some(manager_id) = account.record.manager_id else { return Ok(false) };
        let said = match tokio::time::timeout(MANAGER_WITHIN, api.read(&manager_id)).await {
            Ok(Ok(said)) => said,
            failed => {
                let why = failed.map_or_else(
                    |_| "it took too long".to_owned(),
                    |f| f.map_or_else(|e| e.to_string(), |_| String::new()),
                );
                let detail = format!("the manager could not be asked before a login: {why}");
                self.vault
                    .note_of(Action::Pull, Outcome::Failed, Some(self.id), detail)
                    .await
                    .map_err(AccountError::from)?;
                return Ok(false);
            }
        };
        let pulled = self.vault.merge_manager(self.id, &said, Some(&self.ask.origin)).await?;
        Ok(pulled.new_cookie)
    }

    async fn log_in(&self, account: &Account, epoch: u64) -> Result<Refreshed, RefreshError> {
        if account.record.fields.password.is_none() || account.record.login_name().is_none() {
            let mark = "no password or no login name is known".to_owned();
            return Err(self.block(Block::MissingCredential, &Evidence::new(Verdict::Expired, &mark), None).await?);
        }
        let left = self.deadline.saturating_duration_since(Instant::now()).min(LOGIN_WITHIN);
        if left.is_zero() {
            return Err(RefreshError::NotSent { reason: "no time was left for a login".into() });
        }
        let intent = self.write_intent(account, epoch).await?;
        if intent.says.lost_before > LOST_LOGINS_MAX {
            let mark = format!("the answers of {LOST_LOGINS_MAX} logins in a row were lost");
            let evidence = Evidence::new(Verdict::Unknown, &mark);
            return Err(self.block(Block::Unexplained, &evidence, Some(&intent)).await?);
        }
        let mut jar = Jar::new();
        let mut source = Steps { turn: self, totp: totp_of(account, self.ask), intent: &intent, offset_ms: 0, rev: 0 };
        let who = identity(account, self.ask);
        let outcome = tokio::time::timeout(left, self.ask.auth.log_in(&who, &mut jar, &mut source)).await;
        let intent = OpenIntent { rev: intent.rev + source.rev, ..intent };
        match outcome {
            Ok(LoginOutcome::LoggedIn(evidence)) => self.commit(jar, epoch, &intent, &evidence).await,
            Ok(LoginOutcome::Blocked(block, evidence)) => Err(self.block(block, &evidence, Some(&intent)).await?),
            Ok(LoginOutcome::NotSent(reason)) => {
                self.close_intent(&intent).await?;
                Err(RefreshError::NotSent { reason })
            }
            // The intent stays open: whoever comes next knows that a login may have happened.
            Ok(LoginOutcome::Ambiguous(evidence)) => Err(RefreshError::Ambiguous { mark: evidence.mark }),
            Err(_) => Err(RefreshError::Ambiguous { mark: "the login took too long".into() }),
        }
    }

    /// Makes the intent durable before anything is sent. One that is still open is of a login whose answer was lost.
    ///
    /// Where a code is asked for, a login that had not got one cannot have happened, and does not count as lost.
    async fn write_intent(&self, account: &Account, epoch: u64) -> Result<OpenIntent, RefreshError> {
        let vault = self.vault;
        let key = self.intent_key();
        let old = vault.items_by_key(ItemKind::LoginIntent, &key).await.map_err(AccountError::from)?.pop();
        let lost_before = match old.as_ref().filter(|old| old.open) {
            Some(old) => LoginIntent::from_bytes(&old.body).map_or(1, |intent| {
                let may_have_happened = intent.totp_step.is_some() || totp_of(account, self.ask).is_none();
                intent.lost_before + u32::from(may_have_happened)
            }),
            None => 0,
        };
        let at_ms = vault.opener.clock.wall_ms();
        let says = LoginIntent { account: self.id, login_epoch: epoch, totp_step: None, at_ms, lost_before };
        let (id, rev) = match &old {
            Some(old) => (old.id, old.rev + 1),
            None => (vault.new_item_id().map_err(AccountError::from)?, 1),
        };
        let intent = OpenIntent { id, rev, says };
        let detail = format!("a login for epoch {} is about to be sent", epoch + 1);
        let audit = vault.event_of(Action::LoginIntent, Outcome::Begun, Some(self.id), detail);
        let audit = vec![audit.map_err(AccountError::from)?];
        let items = vault.item_rows(&[self.intent_item(&intent, true)]).map_err(AccountError::from)?;
        self.save(Changes { items, audit, ..Changes::default() }).await?;
        Ok(intent)
    }

    async fn commit(
        &self,
        jar: Jar,
        epoch: u64,
        intent: &OpenIntent,
        evidence: &Evidence,
    ) -> Result<Refreshed, RefreshError> {
        let vault = self.vault;
        let now_ms = vault.opener.clock.wall_ms();
        let login_epoch = epoch + 1;
        for _ in 0..RETRIES {
            let (account, session) = vault.account_and_session(self.id).await?;
            let (rev, mut record) = (account.rev, account.record);
            let mut update = AccountUpdate::new().status(AccountStatus::Active);
            take_cookie(&mut record, &mut update, jar.export_flat(&self.ask.flat_url, now_ms));
            record.updated_ms = now_ms;
            // A pause that is over has been outlived; every other standing would have stopped the login.
            record.standing = Standing::ready(now_ms);
            let fresh = SessionRecord { login_epoch, jar: jar.duplicate(), since_ms: now_ms, storage: None };
            let session_rev = session.map_or(0, |(rev, _)| rev);
            let mut changes = (|| {
                Ok::<_, StoreError>(Changes {
                    accounts: vec![vault.account_row(self.id, rev + 1, &record)?],
                    sessions: vec![vault.session_row(self.id, session_rev + 1, &fresh)?],
                    items: vault.item_rows(&[self.intent_item(intent, false)])?,
                    audit: vec![vault.event(Action::Login, Some(self.id), format!("logged in: {}", evidence.mark))?],
                    ..Changes::default()
                })
            })()
            .map_err(AccountError::from)?;
            vault.owe_account(&mut changes, self.id, &record, update).await.map_err(AccountError::from)?;
            if self.end(changes).await? {
                return Ok(Refreshed { login_epoch, how: RefreshedBy::Login });
            }
        }
        Err(AccountError::Busy(self.id).into())
    }

    /// Stops the account: standing, message, closed intent and freed lease in one transaction.
    async fn block(
        &self,
        block: Block,
        evidence: &Evidence,
        intent: Option<&OpenIntent>,
    ) -> Result<RefreshError, RefreshError> {
        let vault = self.vault;
        let standing = standing_of(block, evidence, vault.opener.clock.wall_ms());
        for _ in 0..RETRIES {
            let account = vault.opened(self.id).await?;
            let (rev, mut record) = (account.rev, account.record);
            record.standing = standing.clone();
            let update = standing_update(&standing);
            let detail = format!("{}: {}", standing.state.word(), standing.evidence);
            let mut changes = (|| {
                Ok::<_, StoreError>(Changes {
                    accounts: vec![vault.account_row(self.id, rev + 1, &record)?],
                    items: match intent {
                        Some(intent) => vault.item_rows(&[self.intent_item(intent, false)])?,
                        None => Vec::new(),
                    },
                    audit: vec![vault.event_of(Action::Login, Outcome::Failed, Some(self.id), detail)?],
                    ..Changes::default()
                })
            })()
            .map_err(AccountError::from)?;
            vault.owe_account(&mut changes, self.id, &record, update).await.map_err(AccountError::from)?;
            if self.end(changes).await? {
                return Ok(RefreshError::Blocked { id: self.id, standing });
            }
        }
        Err(AccountError::Busy(self.id).into())
    }

    async fn close_intent(&self, intent: &OpenIntent) -> Result<(), RefreshError> {
        let items = self.vault.item_rows(&[self.intent_item(intent, false)]).map_err(AccountError::from)?;
        self.save(Changes { items, ..Changes::default() }).await
    }

    async fn save(&self, changes: Changes) -> Result<(), RefreshError> {
        match self.vault.save_under(&self.lease, changes).await.map_err(AccountError::from)? {
            Saved::Done => Ok(()),
            // The lease ran out under us: nothing was sent yet, or what was sent is in the intent.
            _ => Err(RefreshError::TooLong),
        }
    }

    /// Writes the end of a login and frees its lease; false when the account was changed in between.
    async fn end(&self, changes: Changes) -> Result<bool, RefreshError> {
        match self.vault.end_lease(&self.lease, changes).await.map_err(AccountError::from)? {
            Saved::Done => {
                self.ended.store(true, Ordering::Release);
                Ok(true)
            }
            Saved::Stale(_) => Ok(false),
            Saved::Fenced(_) | Saved::Duplicate(_) => Err(RefreshError::TooLong),
        }
    }

    /// What the credential's intents are found by, whatever the keys are.
    fn intent_key(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.credential.fingerprint())
    }

    fn intent_item(&self, intent: &OpenIntent, open: bool) -> ItemChange {
        // A closing write follows the opening one.
        let rev = if open { intent.rev } else { intent.rev + 1 };
        let (key, body) = (self.intent_key(), intent.says.to_bytes());
        ItemChange { kind: ItemKind::LoginIntent, id: intent.id, rev, key, open, body }
    }
}

/// An intent that is durable, at the revision it was written with.
struct OpenIntent {
    id: [u8; 16],
    rev: u64,
    says: LoginIntent,
}

impl LoginQueues {
    fn of(&self, credential: [u8; 32]) -> Arc<tokio::sync::Mutex<()>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Queues that nobody waits in are forgotten, so the map is as long as the logins going on.
        queues.retain(|_, queue| queue.strong_count() > 0);
        if let Some(queue) = queues.get(&credential).and_then(Weak::upgrade) {
            return queue;
        }
        let queue = Arc::new(tokio::sync::Mutex::new(()));
        queues.insert(credential, Arc::downgrade(&queue));
        queue
    }
}

fn newer_than(ask: &RefreshAsk, epoch: Option<u64>) -> Option<Refreshed> {
    let login_epoch = epoch.filter(|epoch| *epoch > ask.refused_epoch)?;
    Some(Refreshed { login_epoch, how: RefreshedBy::Another })
}

fn usable(vault: &Vault, account: &Account) -> Result<(), RefreshError> {
    let standing = &account.record.standing;
    if standing.state.is_usable(vault.opener.clock.wall_ms()) {
        return Ok(());
    }
    Err(RefreshError::Blocked { id: account.id, standing: standing.clone() })
}

fn identity<'a>(account: &'a Account, ask: &RefreshAsk) -> LoginIdentity<'a> {
    let fields = &account.record.fields;
    LoginIdentity {
        // EXPOSE: the login form is filled with them.
        username: fields.username.as_ref().map(Secret::expose),
        email: fields.email.as_ref().map(Secret::expose),
        password: fields.password.as_ref(),
        app_password: account.record.app_password.as_ref(),
        has_totp: ask.totp_at_site && fields.totp.is_some(),
    }
}

fn totp_of(account: &Account, ask: &RefreshAsk) -> Option<Totp> {
    let secret = account.record.fields.totp.as_ref().filter(|_| ask.totp_at_site)?;
    Totp::parse(secret).ok()
}

/// How an account stands after the site blocked it.
#[must_use]
pub fn standing_of(block: Block, evidence: &Evidence, now_ms: i64) -> Standing {
    let state = match block {
        Block::RateLimited => {
            let pause = evidence.retry_after.unwrap_or(COOLING);
            let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
            AccountState::Cooling { until_ms: now_ms.saturating_add(pause_ms) }
        }
        Block::Locked => AccountState::Locked,
        Block::Banned => AccountState::Banned,
        _ => AccountState::NeedsHuman,
    };
    Standing { state, since_ms: now_ms, evidence: evidence.mark.clone() }
}

/// What a login's lease is for, as the audit says.
pub(crate) const LOGIN_PURPOSE: &str = "login";
/// The login lease: longer than a turn with it, so that it is never renewed.
const LOGIN_TTL: Duration = Duration::from_secs(150);
/// The manager's answer, the probe and the login together; the rest of the lease is for the last wait for it and the commit.
const LOGIN_TURN: Duration = Duration::from_secs(140);
/// A login may take this long, waiting for a TOTP step included.
const LOGIN_WITHIN: Duration = Duration::from_secs(120);
/// After a killed login nothing is sent for as long as its request may still be under way.
const LOGIN_QUARANTINE: Duration = Duration::from_secs(5);
/// How often a waiter looks whether another's login has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The manager's answer is waited for this long before a login goes ahead without it.
const MANAGER_WITHIN: Duration = Duration::from_secs(10);
/// The pause after a site asked for one without saying how long.
const COOLING: Duration = Duration::from_secs(300);
/// Logins in a row whose answers were lost, before a person is asked.
const LOST_LOGINS_MAX: u32 = 3;
