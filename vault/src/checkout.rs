//! Borrowing a session: check out, work, check in. The value in hand is the proof that the lease was granted.
//!
//! A checkout is not cloned and is consumed by its check-in; dropping it does no I/O, its time to live is the truth.
//! Knows no site: what is done with the session is the borrower's.

mod holders;
mod line;
mod read;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use holders::{LeaseOn, LeaseView, Leases, WaiterView};
pub(crate) use line::Lines;
pub use read::ReadError;
use thiserror::Error;
use url::Url;

use crate::{
    Vault,
    account_api::{AccountUpdate, UpdateField},
    accounts::{AccountError, RETRIES, standing_update},
    cookies::Jar,
    items::ItemChange,
    kept::KeptWhy,
    model::{Account, AccountId, Action, Field, HolderId, Secret, Standing},
    names::{Again, Named},
    outbox::NewReport,
    record::SessionRecord,
    store::{Changes, HeldAccount, HeldRows, Hold, LeaseMode, Renewed, Resource, Saved, StoreError, Token},
};

/// How a session is to be lent.
#[derive(Clone, Debug)]
pub struct CheckOutAsk {
    /// How long the lease lasts unless renewed.
    pub ttl: Duration,
    /// How long the account rests after an unclean end: longer than a request to the site can take.
    pub quarantine: Duration,
    /// How long to wait for an account that somebody else has.
    pub wait: Duration,
    /// Alone, or beside others: then the cookies of all are merged as they come back.
    pub mode: LeaseMode,
    /// What it is for, for the audit; no secret.
    pub purpose: String,
}

/// A lent session, lent to nobody else while its lease lasts unless it was asked for shared; ended by [`Vault::check_in`].
#[derive(Debug)]
#[must_use = "an account that is not checked in stays taken until its lease expires"]
pub struct Checkout {
    account: Account,
    /// The cookies; what is changed here is merged at check-in.
    pub jar: Jar,
    login_epoch: u64,
    since_ms: i64,
    is_from_earlier: bool,
    base: Jar,
    lease: LeaseHandle,
    /// Secrets read under the lease; the audit hears of them at check-in.
    reads: AtomicU64,
    /// The rows that the newest of those reads found authentic.
    known: Mutex<Option<Arc<HeldRows>>>,
}

/// Renews the lease of a checkout, from a task beside the one that works.
#[derive(Clone, Debug)]
pub struct LeaseHandle {
    what: Leased,
    /// Which place of it: 0 for an exclusive hold.
    place: u8,
    token: Token,
    holder: HolderId,
    ttl: Duration,
    until_ms: u64,
}

/// What a lease is on. A name is kept as what it is made of, since the keys may change while it is held.
#[derive(Clone, Debug)]
pub(crate) enum Leased {
    Account(AccountId),
    Named(Arc<Named>),
}

/// What the borrower brings back.
#[derive(Debug, Default)]
pub struct CheckIn {
    /// How the account stands now, where that was learnt.
    pub standing: Option<Standing>,
    /// Where the flat string for the manager is projected from; none: the manager's cookie is not touched.
    pub flat_url: Option<Url>,
    /// The reports that follow from the work.
    pub reports: Vec<NewReport>,
    /// The caller's own items that end or change with it.
    pub items: Vec<ItemChange>,
    /// How it went, for the audit; no secret.
    pub note: String,
}

/// The proof of a check-in: everything that was brought back is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose session it was.
    pub account: AccountId,
    /// Under which token.
    pub token: Token,
}

/// Why a session was not lent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckOutError {
    /// The account may not be worked with.
    #[error("account {id} is {}{}", .standing.state.word(), evidence(.standing))]
    NotUsable {
        /// Which account.
        id: AccountId,
        /// How it stands, since when and by what evidence.
        standing: Standing,
    },
    /// Somebody else has it, or it rests after an unclean end.
    #[error("account {id} is in use; it may be free in {retry_in:?}")]
    Held {
        /// Which account.
        id: AccountId,
        /// When it is worth asking again.
        retry_in: Duration,
    },
    /// The account or the store.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Why a check-in did not take. Nothing of it was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckInError {
    /// The lease had expired, or was taken away: somebody else may have the account.
    #[error("the lease on account {0} is lost; what was brought back is not written")]
    Fenced(AccountId),
    /// The account or the store.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl Vault {
    /// Lends an account's session; the grant is in the audit before any secret is handed out.
    ///
    /// Who has to wait stands in line, first in, first out, over all processes. Dropping the future gives the standing up.
    ///
    /// # Errors
    /// [`CheckOutError`].
    pub async fn check_out(&self, id: AccountId, ask: &CheckOutAsk) -> Result<Checkout, CheckOutError> {
        let usable = |standing: &Standing| {
            if standing.state.is_usable(self.opener.clock.wall_ms()) {
                return Ok(());
            }
            Err(CheckOutError::NotUsable { id, standing: standing.clone() })
        };
        usable(&self.account(id).await?.standing)?;
        let lease = self.take(Leased::Account(id), ask, Some(id)).await.map_err(AccountError::from)?;
        let lease = lease.map_err(|retry_in| CheckOutError::Held { id, retry_in })?;
        let (account, session) = self.account_and_session(id).await?;
        if let Err(refused) = usable(&account.record.standing) {
            // It changed while we waited: give it back unused.
            let _ = self.release(&lease, Some(id), "not usable any more").await;
            return Err(refused);
        }
        let is_from_earlier = self.session_is_from_earlier(id).await.map_err(AccountError::from)?;
        let session = session.map(|(_, session)| session);
        let (login_epoch, since_ms) = session.as_ref().map_or((0, 0), |s| (s.login_epoch, s.since_ms));
        let jar = session.map_or_else(Jar::new, |session| session.jar);
        let base = jar.duplicate();
        let (reads, known) = (AtomicU64::new(0), Mutex::new(None));
        Ok(Checkout { account, jar, login_epoch, since_ms, is_from_earlier, base, lease, reads, known })
    }

    /// Ends a checkout: session, standing, reports, items and the freed lease in one transaction.
    ///
    /// Cookies are merged three ways with what the vault has by then, never across logins. What was changed of a session
    /// that is over, or under a lease that is lost, is kept aside ([`Vault::kept_sessions`]).
    ///
    /// # Errors
    /// [`CheckInError`].
    pub async fn check_in(&self, checkout: Checkout, back: &CheckIn) -> Result<Receipt, CheckInError> {
        let id = checkout.account.id;
        for _ in 0..RETRIES {
            let changes = self.changes_of(&checkout, back).await?;
            let hold = self.hold(&checkout.lease).map_err(AccountError::from)?;
            match self.store.check_in(vec![hold], changes).await.map_err(AccountError::from)? {
                Saved::Done => {
                    self.lines.ring(&checkout.lease.what);
                    return Ok(Receipt { account: id, token: checkout.lease.token });
                }
                Saved::Fenced(_) => {
                    self.keep_fenced(&checkout).await.map_err(AccountError::from)?;
                    return Err(CheckInError::Fenced(id));
                }
                Saved::Duplicate(other) => return Err(AccountError::Duplicate(other).into()),
                Saved::Stale(_) => {}
            }
        }
        Err(AccountError::Busy(id).into())
    }

    /// Writes the caller's items while the checkout goes on.
    ///
    /// # Errors
    /// [`CheckInError`]; [`CheckInError::Fenced`] when the lease is lost.
    pub async fn save_items(&self, checkout: &Checkout, items: &[ItemChange]) -> Result<(), CheckInError> {
        let id = checkout.account.id;
        let changes = Changes { items: self.item_rows(items).map_err(AccountError::from)?, ..Changes::default() };
        let hold = self.hold(&checkout.lease).map_err(AccountError::from)?;
        match self.store.save_held(vec![hold], changes).await.map_err(AccountError::from)? {
            Saved::Done => Ok(()),
            Saved::Fenced(_) => Err(CheckInError::Fenced(id)),
            Saved::Stale(_) | Saved::Duplicate(_) => Err(AccountError::Busy(id).into()),
        }
    }

    /// Extends the lease by its time to live from now; false when it is lost.
    ///
    /// # Errors
    /// [`StoreError`]; the lease then lasts as long as it did.
    pub async fn renew(&self, lease: &mut LeaseHandle) -> Result<bool, StoreError> {
        let mut again = Again::new();
        loop {
            match self.store.renew_lease(self.hold(lease)?, lease.ttl).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                Ok(Renewed::Until(until)) => {
                    lease.until_ms = until.ms;
                    return Ok(true);
                }
                renewed => return renewed.map(|_| false),
            }
        }
    }

    /// Gives a lease back with nothing changed.
    pub(crate) async fn release(
        &self,
        lease: &LeaseHandle,
        account: Option<AccountId>,
        why: &str,
    ) -> Result<(), StoreError> {
        let audit = vec![self.event(Action::CheckIn, account, why)?];
        self.end_lease(lease, Changes { audit, ..Changes::default() }).await.map(|_| ())
    }

    /// Ends a lease with what its holder brings back.
    pub(crate) async fn end_lease(&self, lease: &LeaseHandle, changes: Changes) -> Result<Saved, StoreError> {
        let mut again = Again::new();
        loop {
            match self.store.check_in(vec![self.hold(lease)?], changes.clone()).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                saved => {
                    self.lines.ring(&lease.what);
                    return saved;
                }
            }
        }
    }

    /// Writes under a lease that goes on.
    pub(crate) async fn save_under(&self, lease: &LeaseHandle, changes: Changes) -> Result<Saved, StoreError> {
        let mut again = Again::new();
        loop {
            match self.store.save_held(vec![self.hold(lease)?], changes.clone()).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                saved => return saved,
            }
        }
    }

    /// The hold as the store knows it under the keys as they are now.
    pub(crate) fn hold(&self, lease: &LeaseHandle) -> Result<Hold, StoreError> {
        Ok(Hold { resource: self.resource(&lease.what)?, place: lease.place, token: lease.token, holder: lease.holder })
    }

    fn resource(&self, what: &Leased) -> Result<Resource, StoreError> {
        match what {
            Leased::Account(id) => Ok(Resource::Id(*id.as_bytes())),
            Leased::Named(named) => self.name_of(named).map(Resource::Named),
        }
    }

    async fn changes_of(&self, checkout: &Checkout, back: &CheckIn) -> Result<Changes, AccountError> {
        let id = checkout.account.id;
        let (account, session) = self.account_and_session(id).await?;
        let (rev, mut record) = (account.rev, account.record);
        let mut changes = Changes::default();
        let mut update = AccountUpdate::new();
        let current = session.as_ref().map_or(0, |(_, session)| session.login_epoch);
        let mut changed = false;
        let mut aside = None;
        if checkout.is_from_earlier {
            // Nobody has probed it: it stays as it is, so that whoever borrows it next still knows that.
            aside = self.kept_row(checkout, KeptWhy::Restored).await?;
        } else if current == checkout.login_epoch {
            let stored = session.as_ref().map(|(_, session)| session.jar.duplicate()).unwrap_or_default();
            let jar = Jar::merge(&checkout.base, &checkout.jar, &stored);
            if let Some(url) = &back.flat_url {
                let flat = jar.export_flat(url, self.opener.clock.wall_ms());
                changed |= take_cookie(&mut record, &mut update, flat);
            }
            let session_rev = session.as_ref().map_or(0, |(rev, _)| *rev);
            if !jar.is_empty() || session_rev > 0 {
                let storage = session.as_ref().and_then(|(_, session)| session.storage.as_ref());
                let storage = storage.map(Secret::duplicate);
                let kept = SessionRecord { login_epoch: current, jar, since_ms: checkout.since_ms, storage };
                changes.sessions.push(self.session_row(id, session_rev + 1, &kept)?);
            }
        } else {
            // Somebody logged in meanwhile: these cookies are of a session that is over.
            aside = self.kept_row(checkout, KeptWhy::Older).await?;
            tracing::warn!(account = %id, kept = aside.is_some(), "a newer login exists; these cookies are not merged");
        }
        if let Some(standing) = back.standing.as_ref().filter(|standing| standing.state != record.standing.state) {
            record.standing = standing.clone();
            update = standing_update(standing).merge_over(update);
            changed = true;
        }
        if changed {
            record.updated_ms = self.opener.clock.wall_ms();
            changes.accounts.push(self.account_row(id, rev + 1, &record)?);
            self.owe_account(&mut changes, id, &record, update).await?;
        }
        let owes_account = record.manager_id.is_some().then_some(id);
        for report in &back.reports {
            changes.outbox.push(self.report_row(report, owes_account)?);
        }
        changes.items = self.item_rows(&back.items)?;
        let went = match aside {
            Some(aside) => {
                changes.items.push(aside);
                format!("{}; cookies kept aside", back.note)
            }
            None => back.note.clone(),
        };
        let went = match checkout.reads.load(Ordering::Relaxed) {
            0 => went,
            reads => format!("{went}; secrets read: {reads}"),
        };
        changes.audit.push(self.event(Action::CheckIn, Some(id), went)?);
        Ok(changes)
    }
}

impl Checkout {
    /// The account with its secrets, as it was when it was lent, or after the last refresh.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What a driver works with: the account beside its cookies, which the site may change.
    pub fn parts(&mut self) -> (&Account, &mut Jar) {
        (&self.account, &mut self.jar)
    }

    /// Whether the cookies in hand are others than those that were lent.
    pub(crate) fn has_changed_cookies(&self) -> bool {
        *self.jar.to_bytes() != *self.base.to_bytes()
    }

    /// How many logins led to the session in hand; 0 where there is none yet.
    #[must_use]
    pub fn login_epoch(&self) -> u64 {
        self.login_epoch
    }

    /// Whether the session was kept from before the vault was restored, and not probed since: [`Vault::refresh`] does that,
    /// and it has to come before the first use.
    #[must_use]
    pub fn needs_probe(&self) -> bool {
        self.is_from_earlier
    }

    /// What renews the lease while the session is worked with.
    #[must_use]
    pub fn lease(&self) -> LeaseHandle {
        self.lease.clone()
    }

    /// The fencing token.
    #[must_use]
    pub fn token(&self) -> Token {
        self.lease.token
    }

    /// Forgets what the site set in this checkout: the cookies of a wall say nothing about the session.
    pub fn discard_cookies(&mut self) {
        self.jar = self.base.duplicate();
    }

    /// Reads the account and session anew, after a refresh.
    ///
    /// # Errors
    /// [`ReadError`]; what is in hand stays as it was.
    pub async fn reload(&mut self, vault: &Arc<Vault>) -> Result<(), ReadError> {
        let id = self.account.id;
        let read = vault.account_and_session(id).await;
        let is_from_earlier = vault.session_is_from_earlier(id).await?;
        // Held still, so it was held when that was read.
        match vault.store.account_held(vault.hold(&self.lease)?, None).await? {
            HeldAccount::Rows(_) => {}
            HeldAccount::Removed => return Err(ReadError::Removed(id)),
            HeldAccount::Fenced => return Err(ReadError::Fenced(id)),
        }
        let (account, session) = match read {
            Ok(read) => read,
            Err(AccountError::Store(error)) => return Err(error.into()),
            Err(_) => return Err(ReadError::Removed(id)),
        };
        (self.account, self.is_from_earlier) = (account, is_from_earlier);
        if let Some((_, session)) = session {
            self.login_epoch = session.login_epoch;
            self.since_ms = session.since_ms;
            self.base = session.jar.duplicate();
            self.jar = session.jar;
        }
        Ok(())
    }
}

impl LeaseHandle {
    /// When the lease ends unless renewed, on the boot clock, in milliseconds.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.until_ms
    }

    /// The lease's time to live.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }
}

/// Takes a new flat string into the record, and owes it to the manager; says whether it was new.
pub(crate) fn take_cookie(
    record: &mut crate::model::AccountRecord,
    update: &mut AccountUpdate,
    flat: Option<Secret>,
) -> bool {
    let Some(flat) = flat.filter(|flat| !record.fields.cookie.as_ref().is_some_and(|old| old.same(flat))) else {
        return false;
    };
    match std::mem::take(update).set(UpdateField::Cookie, flat.duplicate()) {
        Ok(with_cookie) => {
            *update = with_cookie;
            record.owe(Field::Cookie);
        }
        Err(refused) => tracing::warn!(%refused, "the cookie string cannot be told to the manager"),
    }
    record.fields.cookie = Some(flat);
    true
}

fn evidence(standing: &Standing) -> String {
    if standing.evidence.is_empty() { String::new() } else { format!(": {}", standing.evidence) }
}
