//! Which account a task is about: one that the vault knows, or one that is brought in and sealed at once.
//!
//! A task fills what is empty and overwrites nothing. Knows no site beyond its name and origin.

use latchkey_vault::{AccountError, AccountId, NewAccount, Secret, admissible, model::AccountView};

use super::{Bench, Halt, halt};
use crate::{site_desk::SiteDesk, sources::social::PostTask};

impl Bench {
    /// The account of a task, or why the task cannot be worked on.
    pub(super) async fn account_of(
        &self,
        task: &PostTask,
        desk: &SiteDesk,
    ) -> Result<Result<AccountView, String>, Halt> {
        let id = match self.known_account(task, desk).await? {
            Some(known) => self.fill_in(task, desk, &known).await?,
            None if task.fields.username.is_none() && task.fields.email.is_none() => {
                Err("the task names no account that the vault knows, and no username or email".into())
            }
            None => self.bring_in(task, desk).await?,
        };
        match id {
            Ok(id) => self.vault.account(id).await.map(Ok).map_err(halt),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// By the manager's id, else by site and login name.
    async fn known_account(&self, task: &PostTask, desk: &SiteDesk) -> Result<Option<AccountView>, Halt> {
        if let Some(manager_id) = &task.account_id
            && let Some(known) = self.vault.find_manager_id(manager_id).await.map_err(halt)?
        {
            return Ok(Some(known));
        }
        // EXPOSE: the login name is looked up by its blind index.
        match task.fields.username.as_ref().or(task.fields.email.as_ref()).map(Secret::expose) {
            Some(login) => self.vault.find_login(desk.site.domain.as_str(), login).await.map_err(halt),
            None => Ok(None),
        }
    }

    async fn fill_in(
        &self,
        task: &PostTask,
        desk: &SiteDesk,
        known: &AccountView,
    ) -> Result<Result<AccountId, String>, Halt> {
        let site = desk.site.domain.as_str();
        if known.site != site {
            return Ok(Err(format!("the task's account belongs to {}, not to {site}", known.site)));
        }
        let origin = Some(desk.site.canonical_origin());
        match self.vault.fill_account(known.id, &task.fields, task.account_id.as_deref(), origin).await {
            Ok(_) => Ok(Ok(known.id)),
            Err(AccountError::Store(error)) => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    async fn bring_in(&self, task: &PostTask, desk: &SiteDesk) -> Result<Result<AccountId, String>, Halt> {
        let new = NewAccount {
            site: desk.site.domain.as_str().to_owned(),
            manager_id: task.account_id.clone(),
            fields: admissible(task.fields.duplicate()).fields,
            app_password: None,
            tags: Vec::new(),
            notes: String::new(),
            origin: Some(desk.site.canonical_origin().clone()),
        };
        let id = match self.vault.add_account(new).await {
            // Another task, or another process, was faster.
            Ok(id) | Err(AccountError::Duplicate(id)) => id,
            Err(AccountError::Store(error)) => return Err(error.into()),
            Err(error) => return Ok(Err(format!("the task's account cannot be taken in: {error}"))),
        };
        let Some(manager_id) = &task.account_id else { return Ok(Ok(id)) };
        match self.api.read(manager_id).await {
            Ok(said) => {
                let origin = Some(desk.site.canonical_origin());
                match self.vault.merge_manager(id, &said, origin).await {
                    Ok(_) => {}
                    Err(AccountError::Store(error)) => return Err(error.into()),
                    Err(error) => tracing::warn!(account = %id, %error, "the manager's record was not merged"),
                }
            }
            // The task's own payload is enough to begin with; a login asks again.
            Err(error) => tracing::warn!(account = %id, %error, "the manager's record could not be read"),
        }
        Ok(Ok(id))
    }
}
