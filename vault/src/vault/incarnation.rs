//! A new incarnation: the life of a vault after time was lost, when a backup was restored or a rollback accepted.
//!
//! What the lost time granted, sent or spent is unknown. So tokens of it are fenced (the store), what was in doubt or owed
//! is looked up first (attempts, outbox), sessions are probed (refresh), and TOTP waits. Here it is begun, and said how
//! long it casts doubt.

use std::sync::Arc;

use crate::{
    Vault,
    crypto::{Header, Keyring, Sealed},
    model::{AccountId, Action},
    store::{NewIncarnation, Saved, StoreError},
};

/// What is known of the vault's life that ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Former {
    /// The highest incarnation that was seen.
    pub(super) incarnation: u32,
    /// The latest time that stands in its audit, Unix milliseconds.
    pub(super) last_ms: i64,
}

/// An incarnation that is about to begin.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Beginning(NewIncarnation);

impl Beginning {
    /// The incarnation after `header`'s, in which `keys` seal from here on.
    pub(super) fn after(
        keys: Arc<Keyring>,
        header: &Header,
        former: Former,
        now_ms: i64,
    ) -> Result<(Arc<Keyring>, Self), StoreError> {
        // Nothing was started with them yet, so nobody else has them.
        let mut keys = Arc::into_inner(keys).ok_or(StoreError::Closed)?;
        let known = header.incarnation.max(former.incarnation);
        keys.set_incarnation(next(known, header.created_ms, now_ms));
        // A clock that was set back since must not bring back steps that were sent.
        let steps_spent_until_ms = now_ms.max(former.last_ms).saturating_add(STEPS_MARGIN_MS);
        Ok((Arc::new(keys), Self(NewIncarnation { since_ms: now_ms, steps_spent_until_ms })))
    }

    /// Makes it durable, with its audit entry.
    pub(super) async fn begin(self, vault: &Vault, action: Action, detail: &str) -> Result<(), StoreError> {
        let number = vault.keys().incarnation();
        let audit = vec![vault.event(action, None, format!("{detail}; incarnation {number} begins"))?];
        match vault.store.begin_incarnation(self.0, audit).await? {
            Saved::Done => Ok(()),
            // The file was changed since it was looked at.
            _ => Err(StoreError::Rekeyed),
        }
    }
}

impl Vault {
    /// Whether a blob that has been opened was sealed before the present incarnation began: then what it says may have been
    /// overtaken in the time that was lost.
    pub(crate) fn is_from_earlier(&self, sealed: &Sealed) -> bool {
        sealed.incarnation().is_none_or(|written| written < self.keys().incarnation())
    }

    /// Whether an account's session was sealed in an earlier incarnation: it is probed before it is used.
    pub(crate) async fn session_is_from_earlier(&self, id: AccountId) -> Result<bool, StoreError> {
        // A vault that was never restored has no earlier life, and its checkouts cost no further read.
        if self.store.incarnation_since_ms() == 0 {
            return Ok(false);
        }
        let session = self.store.account(id).await?.and_then(|(_, session)| session);
        Ok(session.is_some_and(|session| self.is_from_earlier(&session.sealed)))
    }

    /// Whether something may have been done that this vault does not remember: it was restored less than 30 days ago.
    ///
    /// The manager's tasks carry no time of their own, so that any task of that span may have been worked on in the time
    /// that was lost; it is looked up at the site before it is begun.
    #[must_use]
    pub fn has_lost_time(&self) -> bool {
        let since_ms = self.store.incarnation_since_ms();
        since_ms != 0 && self.opener.clock.wall_ms() < since_ms.saturating_add(DOUBT_MS)
    }
}

/// The number that follows: seconds of the vault's age where they are more, so that two restores of one backup, neither
/// of which knows of the other, do not share one.
fn next(known: u32, created_ms: i64, now_ms: i64) -> u32 {
    let age_s = u32::try_from(now_ms.saturating_sub(created_ms) / 1000).unwrap_or(0);
    known.saturating_add(1).max(age_s)
}

/// How long a task that the vault does not know may be one of the lost time: a task that nobody ended stays in the
/// manager's list, and one older than this is a person's case.
const DOUBT_MS: i64 = 30 * 24 * 3600 * 1000;
/// A site's offset is measured at each login, to within a request's time (at most 30 s) and the whole seconds of an HTTP
/// date: the same step may seem to begin this much earlier or later than when it was sent.
const STEPS_MARGIN_MS: i64 = 60_000;

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn an_incarnation_is_later_than_every_known_one_and_than_the_vaults_age_in_seconds() {
        for (known, created_ms, now_ms, expected) in [
            (1, 0, 0, 2),
            (1, 0, 1_999, 2),
            (1, 0, 2_000, 2),
            (1, 0, 3_000, 3),
            (1, 5_000, 65_000, 60),
            (100, 5_000, 65_000, 101),
            (1, 65_000, 5_000, 2),
            (1, i64::MIN, i64::MAX, 2),
            (u32::MAX, 0, 0, u32::MAX),
        ] {
            assert_eq!(next(known, created_ms, now_ms), expected, "{known} {created_ms} {now_ms}");
        }
    }
}
