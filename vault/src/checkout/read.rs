//! Reading one secret under a live lease, as it stands now: no commit, counted at check-in.
//!
//! Knows neither what the secret is for nor how a lease is renewed.

use std::sync::{PoisonError, atomic::Ordering};

use thiserror::Error;

use super::Checkout;
use crate::{
    Vault,
    model::{AccountId, Field, Secret},
    store::{HeldAccount, StoreError},
};

/// Why a secret was not read. Nothing of it was handed out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The lease had expired, or was taken away: somebody else may have the account.
    #[error("the lease on account {0} is lost; no secret is read under it any more")]
    Fenced(AccountId),
    /// The account was removed while it was lent.
    #[error("account {0} was removed while it was lent")]
    Removed(AccountId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vault {
    /// Reads one field of a lent account as it stands now; none where the account has no such value.
    ///
    /// The grant of the lease is in the audit already, so a read writes nothing; the check-in says how many there were.
    /// The fencing token is compared in the snapshot that the value is read from.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_secret(&self, checkout: &Checkout, field: Field) -> Result<Option<Secret>, ReadError> {
        let id = checkout.account.id;
        let known = || checkout.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().clone();
        match self.store.account_held(self.hold(&checkout.lease)?, before).await? {
            HeldAccount::Rows(rows) => {
                checkout.reads.fetch_add(1, Ordering::Relaxed);
                let secret = self.open_field(&rows.account, field)?;
                *known() = Some(rows);
                Ok(secret)
            }
            HeldAccount::Removed => Err(ReadError::Removed(id)),
            HeldAccount::Fenced => Err(ReadError::Fenced(id)),
        }
    }
}
