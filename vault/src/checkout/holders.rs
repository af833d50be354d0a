//! Who has which lease, who waits, and taking a lease away: for operators.
//!
//! A lease row says which process holds it by a random id only; who that is comes from the audit entry of the grant. Knows no
//! way to work with an account.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::LeaseHandle;
use crate::{
    Vault,
    accounts::AccountError,
    audit::AuditEntry,
    model::{AccountId, Action, Actor},
    names::Named,
    outbox::lane_purpose,
    refresh::LOGIN_PURPOSE,
    store::{LEASE_PLACES_MAX, Lane, LeaseMode, LeaseRow, StoreError, Token, WaiterRow, place_of_lease},
};

/// Leases that are held, and who waits for one.
#[derive(Clone, Debug)]
pub struct Leases {
    /// Those that are held, in no particular order.
    pub held: Vec<LeaseView>,
    /// Those who wait, in order of arrival.
    pub waiting: Vec<WaiterView>,
}

/// A lease that somebody holds.
#[derive(Clone, Debug)]
pub struct LeaseView {
    /// What it is on.
    pub on: LeaseOn,
    /// Which shared place it is; none for an exclusive hold.
    pub shared_place: Option<u8>,
    /// The holder's fencing token.
    pub token: Token,
    /// How long it lasts unless renewed; zero where it has expired and nobody has taken it since.
    pub left: Duration,
    /// Whose process holds it, by the audit entry of the grant; none where that lies too far back.
    pub holder: Option<Actor>,
    /// What it is for, by the same entry.
    pub purpose: Option<String>,
}

/// Somebody who waits for a lease.
#[derive(Clone, Debug)]
pub struct WaiterView {
    /// What is waited for.
    pub on: LeaseOn,
    /// Alone, or beside others.
    pub mode: LeaseMode,
    /// The order of waiters, over all leases.
    pub ticket: u64,
    /// How long it stands in line unless it asks again.
    pub left: Duration,
}

/// What a lease is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOn {
    /// An account.
    Account(AccountId),
    /// The login of an account, and of every other one that shares its credential; none where the grant's audit entry lies
    /// too far back to say whose.
    Login(Option<AccountId>),
    /// A lane of the outbox.
    Lane(Lane),
}

impl Vault {
    /// Takes the account away from all who hold it: their next call is fenced. For operators.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_lease(&self, id: AccountId) -> Result<(), StoreError> {
        let audit = vec![self.event(Action::Revoke, Some(id), "lease taken away")?];
        self.store.revoke_lease(*id.as_bytes(), audit).await
    }

    /// Whether a lease is still its holder's; a look, which writes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_held(&self, lease: &LeaseHandle) -> Result<bool, StoreError> {
        let hold = self.hold(lease)?;
        // What has a name may still lie under the one before, which has no other places.
        let former = hold.resource.name().and_then(|name| name.former);
        for id in std::iter::once(hold.lease()).chain(former) {
            let row = self.store.lease(id).await?;
            if row.is_some_and(|row| row.is_live(hold.token, hold.holder, self.opener.clock.boot())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How long an account is held from now on; none where nobody holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn held_for(&self, id: AccountId) -> Result<Option<Duration>, StoreError> {
        let held = self.store.held_leases(Some(*id.as_bytes()), LEASES_MAX).await?;
        Ok(held.iter().filter_map(|lease| self.left_of(lease)).max())
    }

    /// All leases that are held in this life of the vault, and all who wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leases(&self) -> Result<Leases, StoreError> {
        let rows = self.store.held_leases(None, LEASES_MAX).await?;
        let rows: Vec<_> = rows.into_iter().filter_map(|row| Some((self.left_of(&row)?, row))).collect();
        let grants = self.grants(rows.iter().map(|(_, row)| row.token).collect()).await?;
        let (mut held, mut known) = (Vec::with_capacity(rows.len()), HashMap::new());
        for (left, row) in rows {
            let (on, place, grant) = self.whose(&row.resource, row.token, &grants).await?;
            known.insert(row.resource, on);
            let shared_place = Some(place).filter(|place| *place > 0);
            let holder = grant.map(|grant| grant.event.actor.clone());
            let purpose = grant.map(|grant| grant.event.detail.clone());
            held.push(LeaseView { on, shared_place, token: row.token, left, holder, purpose });
        }
        let mut waiting = Vec::new();
        for waiter in self.store.waiters(LEASES_MAX).await? {
            let on = match known.get(&waiter.resource) {
                Some(on) => *on,
                None => self.on(&waiter.resource).await?.map_or(LeaseOn::Login(None), |(on, _)| on),
            };
            let Some(left) = self.waits(&waiter) else { continue };
            waiting.push(WaiterView { on, mode: waiter.mode, ticket: waiter.ticket, left });
        }
        Ok(Leases { held, waiting })
    }

    /// What a held lease is on, which place of it, and the entry of its grant.
    async fn whose<'g>(
        &self,
        resource: &[u8; 16],
        token: Token,
        grants: &'g [AuditEntry],
    ) -> Result<(LeaseOn, u8, Option<&'g AuditEntry>), StoreError> {
        for grant in grants.iter().filter(|grant| grant.token == Some(token)) {
            let Some(account) = grant.event.account else { continue };
            if let Some(place) = place_of_lease(account.as_bytes(), resource) {
                return Ok((LeaseOn::Account(account), place, Some(grant)));
            }
            if grant.event.detail == LOGIN_PURPOSE && self.logs_in_under(account, resource).await? {
                return Ok((LeaseOn::Login(Some(account)), 0, Some(grant)));
            }
        }
        let (on, place) = self.on(resource).await?.unwrap_or((LeaseOn::Login(None), 0));
        let of_lane = |grant: &&AuditEntry| {
            let is_lane = |lane: Lane| grant.event.detail == lane_purpose(lane);
            grant.token == Some(token) && matches!(on, LeaseOn::Lane(lane) if is_lane(lane))
        };
        Ok((on, place, grants.iter().find(of_lane)))
    }

    /// What is leased under an id, as far as that can be told without the entry of a grant.
    async fn on(&self, resource: &[u8; 16]) -> Result<Option<(LeaseOn, u8)>, StoreError> {
        for lane in [Lane::Account, Lane::Task] {
            if self.is_named(&Named::lane(lane), resource)? {
                return Ok(Some((LeaseOn::Lane(lane), 0)));
            }
        }
        for place in 0..=LEASE_PLACES_MAX {
            let mut id = *resource;
            id[15] = id[15].wrapping_sub(place);
            let id = AccountId::from_bytes(id);
            if self.store.account(id).await?.is_some() {
                return Ok(Some((LeaseOn::Account(id), place)));
            }
        }
        Ok(None)
    }

    /// Whether an account's credential is what is leased under an id.
    async fn logs_in_under(&self, id: AccountId, resource: &[u8; 16]) -> Result<bool, StoreError> {
        match self.account_and_session(id).await {
            Ok((account, _)) => self.is_named(&Named::credential(id, &account.record), resource),
            Err(AccountError::Store(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn is_named(&self, named: &Named, resource: &[u8; 16]) -> Result<bool, StoreError> {
        let name = self.name_of(named)?;
        Ok(name.index == *resource || name.former == Some(*resource))
    }

    /// The entries of the grants that gave these tokens, the newest first, as far back as it is worth looking.
    async fn grants(&self, tokens: HashSet<Token>) -> Result<Vec<AuditEntry>, StoreError> {
        let mut grants = Vec::new();
        let mut end = self.audit_end().await?.entries;
        let oldest = end.saturating_sub(LOOK_BACK_ENTRIES);
        while end > oldest && !tokens.is_empty() {
            let start = end.saturating_sub(PAGE_ENTRIES).max(oldest);
            let page = self.audit_entries(start, u32::try_from(end - start).unwrap_or(u32::MAX)).await?;
            for entry in page.into_iter().rev().filter(|entry| entry.event.action == Action::Grant) {
                // The same number may have been given for several resources, so none is crossed out.
                if entry.token.is_some_and(|token| tokens.contains(&token)) {
                    grants.push(entry);
                }
            }
            end = start;
        }
        Ok(grants)
    }

    /// How long a hold lasts; none where it is over.
    fn left_of(&self, lease: &LeaseRow) -> Option<Duration> {
        let now = self.opener.clock.boot();
        let this_life = lease.token.incarnation == self.keys().incarnation() && lease.boot_id == now.boot_id;
        let is_held = lease.held && this_life && now.ms < lease.until_ms;
        is_held.then(|| Duration::from_millis(lease.until_ms - now.ms))
    }

    /// How long somebody stands in line; none where it stands there no more.
    fn waits(&self, waiter: &WaiterRow) -> Option<Duration> {
        let now = self.opener.clock.boot();
        waiter.stands(now, || false).then(|| Duration::from_millis(waiter.until_ms - now.ms))
    }
}

/// Leases and waiters in one answer: more than anybody reads.
const LEASES_MAX: u32 = 10_000;
/// How far back the entry of a grant is looked for: a lease that is renewed for hours on a busy vault may be older.
const LOOK_BACK_ENTRIES: u64 = 20_000;
/// Entries that are read at once.
const PAGE_ENTRIES: u64 = 1000;
