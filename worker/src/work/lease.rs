//! A checkout's lease, renewed beside the work under it. Knows no task and no site.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey_vault::{Checkout, Vault};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::drivers::Deadline;

/// Renews a checkout's lease while it is worked with; ends when dropped.
pub(super) struct KeptLease {
    /// Until when the site may be sent something.
    pub(super) deadline: Deadline,
    /// Cancelled once the lease is lost.
    pub(super) lost: CancellationToken,
    _renewing: DropGuard,
}

impl KeptLease {
    /// Renews the lease of `checkout`, which was asked for at `asked`, from now on.
    pub(super) fn start(vault: &Arc<Vault>, checkout: &Checkout, asked: Instant) -> Self {
        let mut lease = checkout.lease();
        let ttl = lease.ttl();
        let margin = ttl / 10;
        let deadline = Deadline::new(asked + ttl - margin);
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let (vault, moved, told, stopped) = (Arc::clone(vault), deadline.clone(), lost.clone(), stop.clone());
        tokio::spawn(async move {
            let mut renew_at = asked + ttl / 3;
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY.min(ttl / 3)) => {}
                }
                // Counted from before the store was asked: it may have stamped the renewal any time since.
                let before = Instant::now();
                if before < renew_at {
                    match vault.is_held(&lease).await {
                        Ok(false) => return told.cancel(),
                        // Where the vault cannot be read, the renewal will tell.
                        Ok(true) | Err(_) => continue,
                    }
                }
                match vault.renew(&mut lease).await {
                    Ok(true) => {
                        moved.extend(before + ttl - margin);
                        renew_at = before + ttl / 3;
                    }
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

/// How soon the work stops once a person took the lease away: one read of a row each time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use latchkey_vault::{
        CheckOutAsk, LeaseMode, NewAccount, NewSlot, Opener, SystemClock, UnlockWith, VaultPaths,
        crypto::{SlotKind, SlotRecipient, generate_identity},
        model::{Actor, Fields},
    };

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn work_stops_when_its_lease_is_taken_away_long_before_the_next_renewal() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path()).await;
        let site = "site.test".to_owned();
        let (fields, tags) = (Fields::default(), Vec::new());
        let new =
            NewAccount { site, manager_id: None, fields, app_password: None, tags, notes: String::new(), origin: None };
        let id = vault.add_account(new).await.unwrap();
        let ask = CheckOutAsk {
            ttl: Duration::from_secs(24 * 3600),
            quarantine: Duration::ZERO,
            wait: Duration::ZERO,
            mode: LeaseMode::Exclusive,
            purpose: "test".into(),
        };
        let lent = vault.check_out(id, &ask).await.unwrap();
        let kept = KeptLease::start(&vault, &lent, Instant::now());
        assert!(!kept.lost.is_cancelled() && vault.is_held(&lent.lease()).await.unwrap());
        vault.revoke_lease(id).await.unwrap();
        assert!(!vault.is_held(&lent.lease()).await.unwrap());
        // The renewal that would tell as well is hours away.
        kept.lost.cancelled().await;
    }

    async fn vault(dir: &std::path::Path) -> Arc<Vault> {
        let (identity, _) = generate_identity();
        let recipient = SlotRecipient::of_identity(&identity).unwrap();
        let slot = NewSlot::Identity { label: "test".into(), kind: SlotKind::Identity, recipient };
        let paths = VaultPaths { file: dir.join("vault/vault.db"), anchors: dir.join("anchors"), pin: None };
        let actor = Actor { uid: 0, user: "test".into(), pid: 1, name: "test".into() };
        let opener = Opener { actor, clock: Arc::new(SystemClock::new().unwrap()) };
        Vault::init(&paths, opener.clone(), vec![slot]).await.unwrap().close().await.unwrap();
        Arc::new(Vault::open(&paths, opener, UnlockWith::Identity(identity)).await.unwrap())
    }
}
