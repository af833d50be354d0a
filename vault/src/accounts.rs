//! Accounts in an open vault: add, find, read, change, remove, and the merge with what the manager says.
//!
//! Every change is one transaction with its audit entry and, where the manager keeps the account, the message that it
//! is owed. No site is contacted and no lease is taken here.

use thiserror::Error;
use url::Url;

use crate::{
    Vault,
    account_api::{AccountStatus, AccountUpdate, ManagerAccount, UpdateField},
    audit::no_randomness,
    cookies::Jar,
    crypto::{Kind, Place},
    limits,
    model::{
        Account, AccountId, AccountRecord, AccountState, Action, Field, Fields, MessageId, Secret, Standing, Winner,
        merge,
    },
    record::{MESSAGE_REV, Malformed, MessageBody, SessionRecord},
    store::{
        AccountRow, BlindIndex, Changes, FindAccounts, Finding, Lane, OutboxRow, Owed, RowName, Saved, SessionRow,
        StoreError, Tampering,
    },
    text::escape_bounded,
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

/// How a merge with the manager's record ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Fields on which both sides differed, and whose value was kept.
    pub won: Vec<(Field, Winner)>,
    /// Whether the manager gave another cookie, which is now the session.
    pub new_cookie: bool,
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
            changes.sessions.push(self.session_row(id, 1, &SessionRecord { login_epoch: 1, jar, since_ms: now_ms })?);
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

    /// Reads an account. Its secrets stay sealed in memory: see [`Vault::reveal`].
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Store`].
    pub async fn account(&self, id: AccountId) -> Result<Account, AccountError> {
        Ok(self.account_and_session(id).await?.0)
    }

    /// Reads an account's secrets without a lease; the audit entry is durable before they are handed out.
    ///
    /// # Errors
    /// As [`Vault::account`].
    pub async fn reveal(&self, id: AccountId, what: &str) -> Result<Account, AccountError> {
        self.account(id).await?;
        self.note(Action::Reveal, Some(id), what).await?;
        self.account(id).await
    }

    /// Up to `limit` accounts after `after` (all, or those of one site), in the order of their ids.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn accounts(
        &self,
        site: Option<&str>,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, AccountError> {
        let find = match site {
            Some(site) => FindAccounts::Site(self.index(IX_SITE, &[site.to_lowercase().as_bytes()])?),
            None => FindAccounts::All,
        };
        let rows = self.store.accounts(find, after, limit.min(ACCOUNTS_PAGE_MAX)).await?;
        rows.iter().map(|row| Ok(self.open_account(row)?)).collect()
    }

    /// The account of `site` that logs in with `login` (username, or email where it has no username).
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn find_login(&self, site: &str, login: &str) -> Result<Option<Account>, AccountError> {
        let index = self.index(IX_LOGIN, &[site.to_lowercase().as_bytes(), login.as_bytes()])?;
        self.find_one(FindAccounts::Login(index)).await
    }

    /// The account that the manager knows by `manager_id`.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn find_manager_id(&self, manager_id: &str) -> Result<Option<Account>, AccountError> {
        let index = self.index(IX_MANAGER, &[manager_id.as_bytes()])?;
        self.find_one(FindAccounts::Manager(index)).await
    }

    /// Changes an account. What the manager keeps too is owed to it from the same transaction on.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn edit_account(&self, id: AccountId, edit: &Edit) -> Result<Account, AccountError> {
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
    pub async fn set_standing(&self, id: AccountId, standing: Standing) -> Result<Account, AccountError> {
        self.change(id, Action::Edit, |record, _| {
            let detail = format!("{}: {}", standing.state.word(), standing.evidence);
            record.standing = standing.clone();
            Ok((standing_update(&standing), detail))
        })
        .await
    }

    /// Merges what the manager says now with ours, against what it said last; a cookie that it won becomes the session.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn merge_manager(
        &self,
        id: AccountId,
        said: &ManagerAccount,
        origin: Option<&Url>,
    ) -> Result<Pulled, AccountError> {
        for _ in 0..RETRIES {
            let (account, session) = self.account_and_session(id).await?;
            let (rev, mut record) = (account.rev, account.record);
            let theirs = admissible(said.fields.duplicate());
            let merged = merge(record.base, record.fields, theirs, &record.owed);
            (record.fields, record.base) = (merged.fields, merged.base);
            if let Some(status) = said.status.as_ref().map(|status| escape_bounded(status, limits::NAME_MAX_BYTES)) {
                if record.manager_status.as_ref() != Some(&status) {
                    self.hear_status(&mut record, &status);
                }
                record.manager_status = Some(status);
            }
            let cookie_won = merged.won.contains(&(Field::Cookie, Winner::Manager));
            let mut changes = Changes::default();
            if let (true, Some(cookie), Some(origin)) = (cookie_won, &record.fields.cookie, origin) {
                changes.sessions.extend(self.session_from_flat(id, session.as_ref(), origin, cookie)?);
            }
            let new_cookie = !changes.sessions.is_empty();
            changes.accounts.push(self.account_row(id, rev + 1, &record)?);
            changes.audit.push(self.event(Action::Pull, Some(id), who_won(&merged.won))?);
            match self.store.save(changes).await? {
                Saved::Done => return Ok(Pulled { won: merged.won, new_cookie }),
                Saved::Duplicate(other) => return Err(AccountError::Duplicate(other)),
                Saved::Stale(_) | Saved::Fenced(_) => {}
            }
        }
        Err(AccountError::Busy(id))
    }

    /// Fills what is empty from a task's payload and overwrites nothing; says which fields were filled.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn fill_account(
        &self,
        id: AccountId,
        payload: &Fields,
        manager_id: Option<&str>,
        origin: Option<&Url>,
    ) -> Result<Vec<Field>, AccountError> {
        for _ in 0..RETRIES {
            let (account, session) = self.account_and_session(id).await?;
            let (rev, mut record) = (account.rev, account.record);
            let mut payload = admissible(payload.duplicate());
            if session.is_some() || origin.is_none() {
                payload.cookie = None;
            }
            let linked = record.manager_id.is_none() && manager_id.is_some();
            let filled = record.fields.fill_empty(payload);
            if filled.is_empty() && !linked {
                return Ok(filled);
            }
            if linked {
                record.manager_id = manager_id.map(str::to_owned);
            }
            let mut changes = Changes::default();
            if let (true, Some(cookie), Some(origin)) = (filled.contains(&Field::Cookie), &record.fields.cookie, origin)
            {
                changes.sessions.extend(self.session_from_flat(id, None, origin, cookie)?);
            }
            changes.accounts.push(self.account_row(id, rev + 1, &record)?);
            let names: Vec<_> = filled.iter().map(|field| field.name()).collect();
            changes.audit.push(self.event(Action::Pull, Some(id), format!("filled: {}", names.join(", ")))?);
            match self.store.save(changes).await? {
                Saved::Done => return Ok(filled),
                Saved::Duplicate(other) => return Err(AccountError::Duplicate(other)),
                Saved::Stale(_) | Saved::Fenced(_) => {}
            }
        }
        Err(AccountError::Busy(id))
    }

    /// Removes an account and its session; its lease row stays, so that no fencing token ever comes again.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn remove_account(&self, id: AccountId) -> Result<(), AccountError> {
        for _ in 0..RETRIES {
            let account = self.account(id).await?;
            let audit = vec![self.event(Action::Remove, Some(id), format!("site {}", account.record.site))?];
            if self.store.remove_account(id, account.rev, audit).await? == Saved::Done {
                return Ok(());
            }
        }
        Err(AccountError::Busy(id))
    }

    pub(crate) async fn account_and_session(
        &self,
        id: AccountId,
    ) -> Result<(Account, Option<(u64, SessionRecord)>), AccountError> {
        let (account, session) = self.store.account(id).await?.ok_or(AccountError::Unknown(id))?;
        let session = session.map(|row| Ok::<_, StoreError>((row.rev, self.open_session(&row)?))).transpose()?;
        Ok((self.open_account(&account)?, session))
    }

    /// Somebody else found the account banned or dead: that is a person's to undo. It counts when the manager begins to
    /// say so, not as long as it does: a person's word here is not overruled by what the manager has yet to be told.
    fn hear_status(&self, record: &mut AccountRecord, status: &str) {
        let state = match status {
            "banned" => AccountState::Banned,
            "dead" => AccountState::Dead,
            _ => return,
        };
        let evidence = "the manager's record says so".to_owned();
        record.standing = Standing { state, since_ms: self.opener.clock.wall_ms(), evidence };
    }

    /// Reads, changes and writes an account; again when somebody else was faster.
    async fn change(
        &self,
        id: AccountId,
        action: Action,
        apply: impl Fn(&mut AccountRecord, i64) -> Result<(AccountUpdate, String), AccountError>,
    ) -> Result<Account, AccountError> {
        for _ in 0..RETRIES {
            let mut account = self.account(id).await?;
            let (update, detail) = apply(&mut account.record, self.opener.clock.wall_ms())?;
            check(&account.record)?;
            account.rev += 1;
            let mut changes = Changes::default();
            changes.accounts.push(self.account_row(id, account.rev, &account.record)?);
            changes.outbox.extend(self.account_message(id, &account.record, &update)?);
            changes.audit.push(self.event(action, Some(id), detail)?);
            match self.store.save(changes).await? {
                Saved::Done => return Ok(account),
                Saved::Duplicate(other) => return Err(AccountError::Duplicate(other)),
                Saved::Stale(_) | Saved::Fenced(_) => {}
            }
        }
        Err(AccountError::Busy(id))
    }

    async fn find_one(&self, find: FindAccounts) -> Result<Option<Account>, AccountError> {
        let rows = self.store.accounts(find, None, 1).await?;
        Ok(rows.first().map(|row| self.open_account(row)).transpose()?)
    }

    /// The message that the manager is owed for `update`; none when it does not keep the account, or nothing is owed.
    pub(crate) fn account_message(
        &self,
        id: AccountId,
        record: &AccountRecord,
        update: &AccountUpdate,
    ) -> Result<Option<OutboxRow>, StoreError> {
        let Some(manager_id) = record.manager_id.clone().filter(|_| !update.is_empty()) else { return Ok(None) };
        let update = update.to_cbor().map_err(|_| no_randomness())?;
        self.message(Lane::Account, *id.as_bytes(), None, &MessageBody::Account { manager_id, update }).map(Some)
    }

    /// A message for the outbox, due at once.
    pub(crate) fn message(
        &self,
        lane: Lane,
        subject: [u8; 16],
        after: Option<AccountId>,
        body: &MessageBody,
    ) -> Result<OutboxRow, StoreError> {
        let id = MessageId::generate().map_err(|_| no_randomness())?;
        let place = Place { kind: Kind::Outbox, id: *id.as_bytes(), rev: MESSAGE_REV };
        let sealed = self.keys.seal(place, &body.to_bytes()).map_err(|_| no_randomness())?;
        Ok(OutboxRow {
            id,
            rev: 1,
            epoch: self.keys.epoch(),
            lane,
            subject,
            after,
            seq: 0,
            due_ms: self.opener.clock.wall_ms(),
            tries: 0,
            state: Owed::Due,
            sealed,
        })
    }

    pub(crate) fn account_row(
        &self,
        id: AccountId,
        rev: u64,
        record: &AccountRecord,
    ) -> Result<AccountRow, StoreError> {
        let place = Place { kind: Kind::Account, id: *id.as_bytes(), rev };
        let sealed = self.keys.seal(place, &record.to_bytes()).map_err(|_| no_randomness())?;
        let (ix_site, ix_login, ix_manager) = self.indexes(self.keys.epoch(), record)?;
        Ok(AccountRow { id, rev, epoch: self.keys.epoch(), ix_site, ix_login, ix_manager, sealed })
    }

    pub(crate) fn session_row(
        &self,
        account: AccountId,
        rev: u64,
        session: &SessionRecord,
    ) -> Result<SessionRow, StoreError> {
        let place = Place { kind: Kind::Session, id: *account.as_bytes(), rev };
        let sealed = self.keys.seal(place, &session.to_bytes()).map_err(|_| no_randomness())?;
        Ok(SessionRow { account, rev, epoch: self.keys.epoch(), login_epoch: session.login_epoch, sealed })
    }

    /// Opens an account's record and recomputes its indexes: a hit is believed only when the record agrees.
    fn open_account(&self, row: &AccountRow) -> Result<Account, StoreError> {
        let place = Place { kind: Kind::Account, id: *row.id.as_bytes(), rev: row.rev };
        let tampered = || {
            let name = RowName { kind: Kind::Account as u8, id: *row.id.as_bytes() };
            StoreError::tampered(Tampering::Substitution, Some(name))
        };
        let opened = self.keys.open(place, row.sealed.as_bytes()).map_err(|_| tampered())?;
        let record = AccountRecord::from_bytes(&opened).map_err(|_: Malformed| tampered())?;
        if self.indexes(row.epoch, &record)? != (row.ix_site, row.ix_login, row.ix_manager) {
            return Err(tampered());
        }
        Ok(Account { id: row.id, rev: row.rev, record })
    }

    fn open_session(&self, row: &SessionRow) -> Result<SessionRecord, StoreError> {
        let place = Place { kind: Kind::Session, id: *row.account.as_bytes(), rev: row.rev };
        let tampered = || {
            let name = RowName { kind: Kind::Session as u8, id: *row.account.as_bytes() };
            StoreError::tampered(Tampering::Substitution, Some(name))
        };
        let opened = self.keys.open(place, row.sealed.as_bytes()).map_err(|_| tampered())?;
        let session = SessionRecord::from_bytes(&opened).map_err(|_: Malformed| tampered())?;
        if session.login_epoch == row.login_epoch { Ok(session) } else { Err(tampered()) }
    }

    /// A new session of the cookies that the manager or a task gave, in place of `old`.
    fn session_from_flat(
        &self,
        id: AccountId,
        old: Option<&(u64, SessionRecord)>,
        origin: &Url,
        cookie: &Secret,
    ) -> Result<Option<SessionRow>, StoreError> {
        let now_ms = self.opener.clock.wall_ms();
        let mut jar = old.map_or_else(Jar::new, |(_, session)| session.jar.duplicate());
        if jar.import_flat(origin, cookie, now_ms).is_err() {
            // A string that is no cookie string is no session; the record keeps it, so that a person can look.
            tracing::warn!(account = %id, "the cookie string that was given cannot be taken as cookies");
            return Ok(None);
        }
        let (rev, login_epoch) = old.map_or((0, 0), |(rev, session)| (*rev, session.login_epoch));
        let session = SessionRecord { login_epoch: login_epoch + 1, jar, since_ms: now_ms };
        self.session_row(id, rev + 1, &session).map(Some)
    }

    /// Opens every record: what the store's own check cannot see.
    pub(crate) async fn check_records(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let mut after = None;
        loop {
            let rows = self.store.accounts(FindAccounts::All, after, ACCOUNTS_PAGE_MAX).await?;
            let Some(last) = rows.last() else { return Ok(findings) };
            after = Some(last.id);
            for row in &rows {
                let session = self.store.account(row.id).await?.and_then(|(_, session)| session);
                let opened = self
                    .open_account(row)
                    .and_then(|_| session.map_or(Ok(()), |session| self.open_session(&session).map(|_| ())));
                if let Err(StoreError::Tampered { class, row }) = opened {
                    findings.push(Finding {
                        class,
                        row,
                        what: "a record does not open, or its indexes disagree".into(),
                    });
                }
            }
        }
    }

    fn indexes(
        &self,
        epoch: u32,
        record: &AccountRecord,
    ) -> Result<(BlindIndex, Option<BlindIndex>, Option<BlindIndex>), StoreError> {
        let index =
            |label, parts: &[&[u8]]| self.keys.blind_index(epoch, label, parts).map_err(|_| StoreError::Rekeyed);
        let site = record.site.as_bytes();
        // EXPOSE: the login name goes into a keyed index.
        let login = record.login_name().map(|name| index(IX_LOGIN, &[site, name.expose().as_bytes()])).transpose()?;
        let manager = record.manager_id.as_ref().map(|id| index(IX_MANAGER, &[id.as_bytes()])).transpose()?;
        Ok((index(IX_SITE, &[site])?, login, manager))
    }

    pub(crate) fn index(&self, label: &str, parts: &[&[u8]]) -> Result<BlindIndex, StoreError> {
        self.keys.blind_index(self.keys.epoch(), label, parts).map_err(|_| StoreError::Rekeyed)
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

/// What comes from the manager or a task is not refused as a whole for one bad value: that value is left out.
#[must_use]
pub fn admissible(mut fields: Fields) -> Fields {
    if fields.totp.as_ref().is_some_and(|totp| Totp::parse(totp).is_err()) {
        tracing::warn!("a TOTP secret from the manager cannot be read and is left out");
        fields.totp = None;
    }
    if fields.cookie.as_ref().is_some_and(|cookie| !is_cookie_string(cookie)) {
        tracing::warn!("a cookie string from the manager cannot be read and is left out");
        fields.cookie = None;
    }
    for field in Field::ALL {
        let limit = match field {
            Field::Username | Field::Email => limits::NAME_MAX_BYTES,
            _ => limits::SECRET_MAX_BYTES,
        };
        let value = fields.value_mut(field);
        // EXPOSE: lengths and characters are checked.
        let bad = |text: &Secret| text.expose().len() > limit || text.expose().chars().any(char::is_control);
        if value.as_ref().is_some_and(bad) {
            tracing::warn!(
                field = field.name(),
                "a value from the manager is too long or has control characters; left out"
            );
            *value = None;
        }
    }
    fields
}

/// Whether a jar of any site would take it.
fn is_cookie_string(cookie: &Secret) -> bool {
    Url::parse("https://any.invalid").is_ok_and(|origin| Jar::new().import_flat(&origin, cookie, 0).is_ok())
}

fn invalid(field: &'static str, problem: String) -> AccountError {
    AccountError::Invalid { field, problem }
}

fn names_of(fields: &Fields) -> String {
    let names: Vec<_> = Field::ALL.into_iter().filter(|f| fields.value(*f).is_some()).map(Field::name).collect();
    names.join(", ")
}

fn who_won(won: &[(Field, Winner)]) -> String {
    let words = won.iter().map(|(field, winner)| {
        let winner = if *winner == Winner::Local { "ours" } else { "the manager's" };
        format!("{}: {winner}", field.name())
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Labels of the blind indexes; part of the format.
pub(crate) const IX_SITE: &str = "account.site";
pub(crate) const IX_LOGIN: &str = "account.login";
pub(crate) const IX_MANAGER: &str = "account.manager";
/// Accounts in one page: some 2 MiB of records.
const ACCOUNTS_PAGE_MAX: u32 = 1000;
/// Writers that were faster before a change gives up; each of them made progress.
pub(crate) const RETRIES: usize = 16;
