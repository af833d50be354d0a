//! Accounts in an open vault: add, find, read, change, remove.
//!
//! Every change is one transaction with its audit entry and, where the manager keeps the account, the message that it
//! is owed. What is read here is a view without secrets; a secret comes out by `reveal`, after its audit entry. No site is
//! contacted and no lease is taken here.

mod manager;
mod sealing;

pub use manager::{Admissible, Pulled, admissible};

use thiserror::Error;
use url::Url;

use crate::{
    Vault,
    account_api::{AccountStatus, AccountUpdate, UpdateField},
    audit::no_randomness,
    cookies::Jar,
    limits,
    model::{
        Account, AccountId, AccountRecord, AccountSecret, AccountState, AccountView, Action, Field, Fields, Revealed,
        Secret, Standing,
    },
    names::{Again, Named},
    record::SessionRecord,
    store::{Changes, FindAccounts, Name, Saved, StoreError},
    totp::Totp,
};

/// An account to be added.
#[derive(Debug)]
pub struct NewAccount {
    /// The site's domain, as the sites file names it.
    pub site: String,
    /// The manager's id of it.
    pub manager_id: Option<String>,
    /// What is known of it; `cookie` becomes its session.
    pub fields: Fields,
    /// An app password of the site itself.
    pub app_password: Option<Secret>,
    /// Tags.
    pub tags: Vec<String>,
    /// Notes.
    pub notes: String,
    /// Where a cookie string is scoped to: the site's registered origin.
    pub origin: Option<Url>,
}

/// A change to an account; what is `None` stays as it is.
#[derive(Debug, Default)]
pub struct Edit {
    /// New values; an empty one takes the value away. The cookie is changed through the session, not here.
    pub fields: Vec<(Field, Secret)>,
    /// A new app password of the site; an empty one takes it away.
    pub app_password: Option<Secret>,
    /// The manager's id of it; an empty one takes it away.
    pub manager_id: Option<String>,
    /// Tags to add.
    pub add_tags: Vec<String>,
    /// Tags to take away.
    pub remove_tags: Vec<String>,
    /// New notes.
    pub notes: Option<String>,
    /// A person's word on how it stands.
    pub standing: Option<Standing>,
}

/// Why an account was not written. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccountError {
    /// There is none with this id.
    #[error("there is no account {0}")]
    Unknown(AccountId),
    /// Another account has the same login or manager id.
    #[error("account {0} already has this site and login, or this manager id")]
    Duplicate(AccountId),
    /// A text is longer than it may be, or empty where it must not be.
    #[error("{field} {problem}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it, without its text.
        problem: String,
    },
    /// It was changed in between, again and again.
    #[error("account {0} is being changed by others; try again")]
    Busy(AccountId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vault {
    /// Adds an account; its cookie string, where it has one, becomes its first session.
    ///
    /// # Errors
    /// [`AccountError::Duplicate`], [`AccountError::Invalid`], [`AccountError::Store`].
    pub async fn add_account(&self, new: NewAccount) -> Result<AccountId, AccountError> {
        let now_ms = self.opener.clock.wall_ms();
        let id = AccountId::generate().map_err(|_| no_randomness())?;
        let mut record = AccountRecord::new(new.site.to_lowercase(), now_ms);
        record.manager_id = new.manager_id;
        record.fields = new.fields;
        record.app_password = new.app_password;
        record.tags = new.tags;
        record.notes = new.notes;
        check(&record)?;
        let mut changes = Changes::default();
        if let (Some(cookie), Some(origin)) = (&record.fields.cookie, &new.origin) {
            let mut jar = Jar::new();
            jar.import_flat(origin, cookie, now_ms).map_err(|error| invalid("cookie", error.to_string()))?;
            changes.sessions.push(self.session_row(
                id,
                1,
                &SessionRecord { login_epoch: 1, jar, since_ms: now_ms, storage: None },
            )?);
        } else {
            // Without a registered origin nothing says where a cookie may be sent: it is not kept.
            record.fields.cookie = None;
        }
        changes.accounts.push(self.account_row(id, 1, &record)?);
        changes.audit.push(self.event(Action::Add, Some(id), names_of(&record.fields))?);
        match self.store.save(changes).await? {
            Saved::Done => Ok(id),
            Saved::Duplicate(other) => Err(AccountError::Duplicate(other)),
            Saved::Stale(_) | Saved::Fenced(_) => Err(AccountError::Busy(id)),
        }
    }

    /// Reads an account, without its secrets: see [`Vault::reveal`] and [`Vault::check_out`].
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Store`].
    pub async fn account(&self, id: AccountId) -> Result<AccountView, AccountError> {
        Ok(self.opened(id).await?.into())
    }

    /// Reads these secrets of an account without a lease; the audit entry that names them is durable before they are handed
    /// out.
    ///
    /// # Errors
    /// As [`Vault::account`].
    pub async fn reveal(&self, id: AccountId, which: &[AccountSecret]) -> Result<Revealed, AccountError> {
        // Of an account that is not there nothing is read, and no entry says so.
        self.opened(id).await?;
        let names: Vec<_> = which.iter().map(|secret| secret.name()).collect();
        self.note(Action::Reveal, Some(id), &names.join(", ")).await?;
        Ok(Revealed::of(self.opened(id).await?, which))
    }

    /// Up to `limit` accounts after `after` (all, or those of one site), in the order of their ids, without their secrets.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn accounts(
        &self,
        site: Option<&str>,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountView>, AccountError> {
        let named = site.map(|site| Named::site(&site.to_lowercase()));
        let limit = limit.min(ACCOUNTS_PAGE_MAX);
        let mut again = Again::new();
        let rows = loop {
            let find = match &named {
                Some(named) => FindAccounts::Site(self.name_of(named)?),
                None => FindAccounts::All,
            };
            match self.store.accounts(find, after, limit).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                found => break found?,
            }
        };
        rows.iter().map(|row| Ok(self.open_account(row)?.into())).collect()
    }

    /// The account of `site` that logs in with `login` (username, or email where it has no username).
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn find_login(&self, site: &str, login: &str) -> Result<Option<AccountView>, AccountError> {
        self.find_one(&Named::login(&site.to_lowercase(), login), FindAccounts::Login).await
    }

    /// The account that the manager knows by `manager_id`.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn find_manager_id(&self, manager_id: &str) -> Result<Option<AccountView>, AccountError> {
        self.find_one(&Named::manager(manager_id), FindAccounts::Manager).await
    }

    /// Changes an account. What the manager keeps too is owed to it from the same transaction on.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn edit_account(&self, id: AccountId, edit: &Edit) -> Result<AccountView, AccountError> {
        self.change(id, Action::Edit, |record, now_ms| {
            let mut update = AccountUpdate::new();
            let mut names = Vec::new();
            for (field, value) in &edit.fields {
                let value = (!value.is_empty()).then(|| value.duplicate());
                if let (Some(value), Some(there)) = (&value, UpdateField::of(*field)) {
                    update = update
                        .set(there, value.duplicate())
                        .map_err(|refused| invalid(field.name(), refused.to_string()))?;
                    record.owe(*field);
                }
                *record.fields.value_mut(*field) = value;
                names.push(field.name());
            }
            if let Some(app_password) = &edit.app_password {
                record.app_password = (!app_password.is_empty()).then(|| app_password.duplicate());
                names.push("app_password");
            }
            if let Some(manager_id) = &edit.manager_id {
                record.manager_id = (!manager_id.is_empty()).then(|| manager_id.clone());
                names.push("manager_id");
            }
            if let Some(notes) = &edit.notes {
                record.notes.clone_from(notes);
                names.push("notes");
            }
            if !edit.add_tags.is_empty() || !edit.remove_tags.is_empty() {
                record.tags.retain(|tag| !edit.remove_tags.contains(tag) && !edit.add_tags.contains(tag));
                record.tags.extend(edit.add_tags.iter().cloned());
                names.push("tags");
            }
            if let Some(standing) = &edit.standing {
                record.standing = standing.clone();
                names.push("standing");
            }
            record.updated_ms = now_ms;
            Ok((update, names.join(", ")))
        })
        .await
    }

    /// Says how an account stands, and tells the manager in the words of its contract.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn set_standing(&self, id: AccountId, standing: Standing) -> Result<AccountView, AccountError> {
        self.change(id, Action::Edit, |record, _| {
            let detail = format!("{}: {}", standing.state.word(), standing.evidence);
            record.standing = standing.clone();
            Ok((standing_update(&standing), detail))
        })
        .await
    }

    /// Removes an account and its session; its lease row stays, so that no fencing token ever comes again.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn remove_account(&self, id: AccountId) -> Result<(), AccountError> {
        self.forget_kept(id).await?;
        for _ in 0..RETRIES {
            let account = self.opened(id).await?;
            let audit = vec![self.event(Action::Remove, Some(id), format!("site {}", account.record.site))?];
            if self.store.remove_account(id, account.rev, audit).await? == Saved::Done {
                return Ok(());
            }
        }
        Err(AccountError::Busy(id))
    }

    /// An account with its secrets: for what the vault does with them itself, under whatever entry says so.
    pub(crate) async fn opened(&self, id: AccountId) -> Result<Account, AccountError> {
        Ok(self.account_and_session(id).await?.0)
    }

    pub(crate) async fn account_and_session(
        &self,
        id: AccountId,
    ) -> Result<(Account, Option<(u64, SessionRecord)>), AccountError> {
        let (account, session) = self.store.account(id).await?.ok_or(AccountError::Unknown(id))?;
        let session = session.map(|row| Ok::<_, StoreError>((row.rev, self.open_session(&row)?))).transpose()?;
        Ok((self.open_account(&account)?, session))
    }

    /// Reads, changes and writes an account; again when somebody else was faster.
    async fn change(
        &self,
        id: AccountId,
        action: Action,
        apply: impl Fn(&mut AccountRecord, i64) -> Result<(AccountUpdate, String), AccountError>,
    ) -> Result<AccountView, AccountError> {
        for _ in 0..RETRIES {
            let mut account = self.opened(id).await?;
            let (update, detail) = apply(&mut account.record, self.opener.clock.wall_ms())?;
            check(&account.record)?;
            account.rev += 1;
            let mut changes = Changes::default();
            changes.accounts.push(self.account_row(id, account.rev, &account.record)?);
            self.owe_account(&mut changes, id, &account.record, update).await?;
            changes.audit.push(self.event(action, Some(id), detail)?);
            match self.store.save(changes).await? {
                Saved::Done => return Ok(account.into()),
                Saved::Duplicate(other) => return Err(AccountError::Duplicate(other)),
                Saved::Stale(_) | Saved::Fenced(_) => {}
            }
        }
        Err(AccountError::Busy(id))
    }

    async fn find_one(
        &self,
        named: &Named,
        find: impl Fn(Name) -> FindAccounts,
    ) -> Result<Option<AccountView>, AccountError> {
        let mut again = Again::new();
        loop {
            match self.store.accounts(find(self.name_of(named)?), None, 1).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                rows => return Ok(rows?.first().map(|row| self.open_account(row)).transpose()?.map(AccountView::from)),
            }
        }
    }
}

impl AccountRecord {
    /// Remembers that a field is owed to the manager; the username never is, and nothing is where there is no manager.
    pub(crate) fn owe(&mut self, field: Field) {
        if self.manager_id.is_some() && UpdateField::of(field).is_some() && !self.owed.contains(&field) {
            self.owed.push(field);
        }
    }
}

/// What the contract says is to be written for an account that stands so; nothing while it only cools down.
pub(crate) fn standing_update(standing: &Standing) -> AccountUpdate {
    let (status, field) = match standing.state {
        AccountState::Cooling { .. } => return AccountUpdate::new(),
        AccountState::Ready => return AccountUpdate::new().status(AccountStatus::Active),
        AccountState::Locked | AccountState::Dead => (AccountStatus::Dead, UpdateField::ErrorMessage),
        AccountState::Banned => (AccountStatus::Banned, UpdateField::ErrorMessage),
        AccountState::NeedsHuman => (AccountStatus::Failed, UpdateField::Note),
    };
    let words = format!("{}: {}", standing.state.word(), standing.evidence);
    let update = AccountUpdate::new().status(status);
    update.set(field, Secret::new(words)).unwrap_or_else(|_| AccountUpdate::new().status(status))
}

fn check(record: &AccountRecord) -> Result<(), AccountError> {
    let name = |field, text: &str| {
        if text.is_empty() || text.len() > limits::NAME_MAX_BYTES || text.chars().any(char::is_control) {
            let problem = format!("must have 1 to {} bytes and no control characters", limits::NAME_MAX_BYTES);
            return Err(invalid(field, problem));
        }
        Ok(())
    };
    name("site", &record.site)?;
    record.manager_id.as_deref().map_or(Ok(()), |id| name("manager id", id))?;
    for field in Field::ALL {
        let Some(value) = record.fields.value(field) else { continue };
        // EXPOSE: lengths and characters are checked.
        match field {
            Field::Username | Field::Email => name(field.name(), value.expose())?,
            _ if value.expose().len() > limits::SECRET_MAX_BYTES => {
                return Err(invalid(field.name(), format!("is longer than {} bytes", limits::SECRET_MAX_BYTES)));
            }
            _ => {}
        }
    }
    if let Some(totp) = &record.fields.totp {
        Totp::parse(totp).map_err(|error| invalid("totp", error.to_string()))?;
    }
    if record.tags.len() > limits::TAGS_MAX {
        return Err(invalid("tags", format!("are more than {}", limits::TAGS_MAX)));
    }
    record.tags.iter().try_for_each(|tag| name("tag", tag))?;
    if record.notes.len() > limits::NOTE_MAX_BYTES {
        return Err(invalid("notes", format!("are longer than {} bytes", limits::NOTE_MAX_BYTES)));
    }
    Ok(())
}

fn invalid(field: &'static str, problem: String) -> AccountError {
    AccountError::Invalid { field, problem }
}

fn names_of(fields: &Fields) -> String {
    let names: Vec<_> = Field::ALL.into_iter().filter(|f| fields.value(*f).is_some()).map(Field::name).collect();
    names.join(", ")
}

/// Accounts in one page: some 2 MiB of records.
const ACCOUNTS_PAGE_MAX: u32 = 1000;
/// Writers that were faster before a change gives up; each of them made progress.
pub(crate) const RETRIES: usize = 16;
