//! A checkout's lease, renewed beside the work under it. Knows no task and no site.

use std::{sync::Arc, time::Instant};

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
