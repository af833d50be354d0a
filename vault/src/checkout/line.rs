//! Standing in line for a lease: asked for again when somebody in this process gives it back, and every now and then.
//!
//! Whose turn it is the store decides, in the transaction that grants; what is here says only when to ask. Knows no account.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{CheckOutAsk, LeaseHandle, Leased};
use crate::{
    Vault,
    audit::no_randomness,
    model::{AccountId, Action, MessageId},
    names::Again,
    store::{LeaseAsk, Line, Store, StoreError, Taken},
};

/// Who waits in this process, by what is waited for and in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<Waiters>);

#[derive(Debug, Default)]
struct Waiters {
    arrivals: u64,
    bells: HashMap<Key, BTreeMap<u64, Arc<Notify>>>,
}

/// What tells one resource from another whatever the keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account(AccountId),
    Named([u8; 32]),
}

/// One who waits. Its standing is given up when this is dropped; should nobody be left to write that, its deadline ends it.
pub(crate) struct Waiting<'a> {
    vault: &'a Vault,
    what: Leased,
    id: [u8; 16],
    deadline: Instant,
    /// Where it hears that somebody gave the lease back; none before it had to wait.
    bell: Option<(u64, Arc<Notify>)>,
    /// Whether a row may say that it stands in line.
    may_stand: bool,
}

impl Vault {
    /// Takes a lease, waiting up to `ask.wait` for it; else says when it is worth asking again.
    pub(crate) async fn take(
        &self,
        what: Leased,
        ask: &CheckOutAsk,
        account: Option<AccountId>,
    ) -> Result<Result<LeaseHandle, Duration>, StoreError> {
        self.wait_for(what, ask.wait)?.take(ask, account).await
    }

    /// Begins to wait for a lease; nobody hears of it before the first [`Waiting::take`].
    pub(crate) fn wait_for(&self, what: Leased, wait: Duration) -> Result<Waiting<'_>, StoreError> {
        let id = *MessageId::generate().map_err(|_| no_randomness())?.as_bytes();
        let deadline = Instant::now() + wait.min(WAIT_MAX);
        Ok(Waiting { vault: self, what, id, deadline, bell: None, may_stand: false })
    }
}

impl Waiting<'_> {
    /// Takes the lease, waiting up to `ask.wait` for it; else says when it is worth asking again. The place in line is kept
    /// for the next call.
    pub(crate) async fn take(
        &mut self,
        ask: &CheckOutAsk,
        account: Option<AccountId>,
    ) -> Result<Result<LeaseHandle, Duration>, StoreError> {
        let (vault, holder) = (self.vault, self.vault.store.holder());
        let until = self.deadline.min(Instant::now() + ask.wait.min(WAIT_MAX));
        let mut again = Again::new();
        loop {
            let now = Instant::now();
            let audit = vault.event(Action::Grant, account, ask.purpose.clone())?;
            let line = Line { id: self.id, wait: self.deadline.saturating_duration_since(now) };
            let lease = LeaseAsk {
                resource: vault.resource(&self.what)?,
                holder,
                ttl: ask.ttl,
                quarantine: ask.quarantine,
                mode: ask.mode,
                line: (!line.wait.is_zero()).then_some(line),
            };
            // Before the answer: it may never be heard.
            self.may_stand |= lease.line.is_some();
            let (pause, retry_in) = match vault.store.take_lease(lease, vec![audit]).await {
                Err(StoreError::Rekeyed) if again.once_more() => continue,
                Err(error) => return Err(error),
                Ok(Taken::Granted { place, token, until }) => {
                    self.may_stand = false;
                    let what = self.what.clone();
                    return Ok(Ok(LeaseHandle { what, place, token, holder, ttl: ask.ttl, until_ms: until.ms }));
                }
                Ok(Taken::Waiting { ahead, retry_in }) => (POLL_MIN.saturating_mul(ahead.saturating_add(1)), retry_in),
                Ok(Taken::Held { retry_in }) => (POLL_MAX, retry_in),
            };
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Ok(Err(retry_in));
            }
            let bell = self.bell();
            tokio::select! {
                () = bell.notified() => {}
                // Holders of other processes ring no bell here.
                () = tokio::time::sleep(pause.min(POLL_MAX).min(left)) => {}
            }
        }
    }

    fn bell(&mut self) -> Arc<Notify> {
        let (vault, what) = (self.vault, &self.what);
        Arc::clone(&self.bell.get_or_insert_with(|| vault.lines.enter(Key::of(what))).1)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some((number, _)) = &self.bell {
            self.vault.lines.leave(Key::of(&self.what), *number);
        }
        if let (true, Ok(runtime)) = (self.may_stand, tokio::runtime::Handle::try_current()) {
            let (store, id): (Arc<dyn Store>, _) = (Arc::clone(&self.vault.store), self.id);
            runtime.spawn(async move {
                if let Err(error) = store.leave_line(id).await {
                    tracing::debug!(%error, "a standing in line was not given up; its deadline ends it");
                }
            });
        }
    }
}

impl Lines {
    /// Tells whoever came first that the lease may be free.
    pub(crate) fn ring(&self, what: &Leased) {
        if let Some((_, bell)) = self.waiters().bells.get(&Key::of(what)).and_then(BTreeMap::first_key_value) {
            bell.notify_one();
        }
    }

    fn enter(&self, key: Key) -> (u64, Arc<Notify>) {
        let (mut waiters, bell) = (self.waiters(), Arc::new(Notify::new()));
        waiters.arrivals += 1;
        let number = waiters.arrivals;
        waiters.bells.entry(key).or_default().insert(number, Arc::clone(&bell));
        (number, bell)
    }

    /// Whoever is the first from here on is told: what was rung for the one who leaves may be for it, and a shared lease may
    /// have room for both.
    fn leave(&self, key: Key, number: u64) {
        let mut waiters = self.waiters();
        let Some(bells) = waiters.bells.get_mut(&key) else { return };
        bells.remove(&number);
        match bells.first_key_value() {
            Some((_, bell)) => bell.notify_one(),
            None => drop(waiters.bells.remove(&key)),
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn of(what: &Leased) -> Self {
        match what {
            Leased::Account(id) => Self::Account(*id),
            Leased::Named(named) => Self::Named(named.fingerprint()),
        }
    }
}

/// The longest standing in line: whether a process has died is known for at least this long.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Between two questions of the first in line: a holder of another process may check in at any moment.
const POLL_MIN: Duration = Duration::from_millis(20);
/// Between two questions of anybody in line: those before it may have fallen out.
const POLL_MAX: Duration = Duration::from_millis(250);
