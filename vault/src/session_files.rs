//! A session out of the vault and into it, as a whole: for a person who moves it from or to another program.
//!
//! Knows no format and contacts no site.

use url::Url;

use crate::{
    CheckOutAsk, CheckOutError, Vault,
    account_api::AccountUpdate,
    accounts::{AccountError, RETRIES},
    checkout::{LeaseHandle, Leased, take_cookie},
    model::{AccountId, Action, Secret},
    record::SessionRecord,
    session_formats::SessionFile,
    store::{Changes, Saved},
};

impl Vault {
    /// An account's session with its secrets, once the audit has durably that it is handed out; none where there is none.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Store`].
    pub async fn export_session(&self, id: AccountId) -> Result<Option<SessionFile>, AccountError> {
        if self.account_and_session(id).await?.1.is_none() {
            return Ok(None);
        }
        self.note(Action::Reveal, Some(id), "session").await?;
        let session = self.account_and_session(id).await?.1;
        Ok(session.map(|(_, session)| SessionFile::new(session.jar, session.storage)))
    }

    /// Makes what a file says the account's session, in place of the one it has, under the account's lease; says its epoch.
    ///
    /// The manager is owed the new cookie, as it is for `origin`, from the same transaction on.
    ///
    /// # Errors
    /// [`CheckOutError::Held`] while somebody works with the account; [`CheckOutError::Account`].
    pub async fn import_session_file(
        &self,
        id: AccountId,
        ask: &CheckOutAsk,
        origin: &Url,
        file: &SessionFile,
    ) -> Result<u64, CheckOutError> {
        self.opened(id).await?;
        let lease = self.take(Leased::Account(id), ask, Some(id)).await.map_err(AccountError::from)?;
        let lease = lease.map_err(|retry_in| CheckOutError::Held { id, retry_in })?;
        let imported = self.import_under(&lease, id, origin, file).await;
        if imported.is_err() {
            // Nothing was written; if this fails as well, the lease ends by its time.
            let _ = self.release(&lease, Some(id), "session not imported").await;
        }
        imported.map_err(CheckOutError::from)
    }

    async fn import_under(
        &self,
        lease: &LeaseHandle,
        id: AccountId,
        origin: &Url,
        file: &SessionFile,
    ) -> Result<u64, AccountError> {
        for _ in 0..RETRIES {
            let (account, session) = self.account_and_session(id).await?;
            let (rev, mut record) = (account.rev, account.record);
            let now_ms = self.opener.clock.wall_ms();
            let (session_rev, epoch) = session.map_or((0, 0), |(rev, session)| (rev, session.login_epoch));
            let mut update = AccountUpdate::new();
            take_cookie(&mut record, &mut update, file.jar.export_flat(origin, now_ms));
            record.updated_ms = now_ms;
            let (jar, storage) = (file.jar.duplicate(), file.storage.as_ref().map(Secret::duplicate));
            let fresh = SessionRecord { login_epoch: epoch + 1, jar, since_ms: now_ms, storage };
            let mut changes = Changes {
                accounts: vec![self.account_row(id, rev + 1, &record)?],
                sessions: vec![self.session_row(id, session_rev + 1, &fresh)?],
                audit: vec![self.event(Action::Edit, Some(id), format!("session imported, epoch {}", epoch + 1))?],
                ..Changes::default()
            };
            self.owe_account(&mut changes, id, &record, update).await?;
            match self.end_lease(lease, changes).await? {
                Saved::Done => return Ok(epoch + 1),
                Saved::Duplicate(other) => return Err(AccountError::Duplicate(other)),
                Saved::Fenced(_) => break,
                Saved::Stale(_) => {}
            }
        }
        Err(AccountError::Busy(id))
    }
}
