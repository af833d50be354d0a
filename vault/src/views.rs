//! What a person may see of sessions and of the outbox, and the one session that a person may set: from a cookie string.
//!
//! No view holds a secret: cookies have names here, messages have states. No site is contacted and no lease is taken.

use url::Url;

use crate::{
    Vault,
    account_api::AccountUpdate,
    accounts::{AccountError, RETRIES},
    checkout::take_cookie,
    cookies::{CookieEntry, Jar},
    model::{AccountId, Action, MessageId, Secret},
    record::SessionRecord,
    store::{Changes, FindOutbox, Lane, OutboxRow, Owed, Saved, StoreError},
};

/// A session without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// How many logins led to it.
    pub login_epoch: u64,
    /// Since when it is held, Unix milliseconds.
    pub since_ms: i64,
    /// Its cookies, oldest first.
    pub cookies: Vec<CookieView>,
}

/// A cookie without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieView {
    /// Its name.
    pub name: String,
    /// The host it goes to.
    pub domain: String,
    /// The path it goes to.
    pub path: String,
    /// When it ends, Unix milliseconds; none where it ends with the site's session.
    pub expires_ms: Option<i64>,
}

/// A message of the outbox without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedMessage {
    /// Which message.
    pub id: MessageId,
    /// Whether it is about an account's record or a task.
    pub lane: Lane,
    /// The account that it is about; none for a report on a task.
    pub account: Option<AccountId>,
    /// Deliveries tried so far.
    pub tries: u32,
    /// Where it stands.
    pub state: Owed,
    /// Not before this wall-clock time, Unix milliseconds.
    pub due_ms: i64,
    /// Since when it is owed, Unix milliseconds; one that stands for several has the time of the oldest.
    pub since_ms: Option<i64>,
    /// Why it was refused for good, where it was.
    pub stuck: Option<String>,
}

impl Vault {
    /// What may be seen of an account's session; none where it has none.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Store`].
    pub async fn session_view(&self, id: AccountId) -> Result<Option<SessionView>, AccountError> {
        let session = self.account_and_session(id).await?.1;
        Ok(session.map(|(_, session)| SessionView {
            login_epoch: session.login_epoch,
            since_ms: session.since_ms,
            cookies: cookie_views(&session.jar),
        }))
    }

    /// Makes the cookies of a flat string the account's session, in place of the one it has; says its epoch.
    ///
    /// Whoever works with the old session finds at check-in that there is a newer one, and leaves it alone. The manager is
    /// owed the new cookie from the same transaction on.
    ///
    /// # Errors
    /// [`AccountError`]; [`AccountError::Invalid`] where the string holds no cookies.
    pub async fn import_session(&self, id: AccountId, origin: &Url, flat: &Secret) -> Result<u64, AccountError> {
        for _ in 0..RETRIES {
            let (account, session) = self.account_and_session(id).await?;
            let (rev, mut record) = (account.rev, account.record);
            let now_ms = self.opener.clock.wall_ms();
            let mut jar = Jar::new();
            let invalid = |problem| AccountError::Invalid { field: "cookie", problem };
            jar.import_flat(origin, flat, now_ms).map_err(|error| invalid(error.to_string()))?;
            if jar.is_empty() {
                return Err(invalid("holds no cookie".to_owned()));
            }
            let (session_rev, epoch) = session.map_or((0, 0), |(rev, session)| (rev, session.login_epoch));
            let mut update = AccountUpdate::new();
            take_cookie(&mut record, &mut update, jar.export_flat(origin, now_ms));
            record.updated_ms = now_ms;
            let fresh = SessionRecord { login_epoch: epoch + 1, jar, since_ms: now_ms, storage: None };
            let mut changes = Changes {
                accounts: vec![self.account_row(id, rev + 1, &record)?],
                sessions: vec![self.session_row(id, session_rev + 1, &fresh)?],
                audit: vec![self.event(Action::Edit, Some(id), "cookie")?],
                ..Changes::default()
            };
            self.owe_account(&mut changes, id, &record, update).await?;
            match self.store.save(changes).await? {
                Saved::Done => return Ok(epoch + 1),
                Saved::Duplicate(other) => return Err(AccountError::Duplicate(other)),
                Saved::Stale(_) | Saved::Fenced(_) => {}
            }
        }
        Err(AccountError::Busy(id))
    }

    /// Up to `limit` messages of the outbox, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owed_messages(&self, limit: u32) -> Result<Vec<OwedMessage>, StoreError> {
        let rows = self.store.outbox(FindOutbox::All, limit).await?;
        let view = |row: &OutboxRow| {
            let record = self.open_message(row)?;
            Ok::<_, StoreError>(OwedMessage {
                id: row.id,
                lane: row.lane,
                account: (row.lane == Lane::Account).then(|| AccountId::from_bytes(row.subject)),
                tries: row.tries,
                state: row.state,
                due_ms: row.due_ms,
                since_ms: record.since_ms,
                stuck: record.stuck,
            })
        };
        rows.iter().map(view).collect()
    }
}

/// What may be seen of the cookies of a jar, oldest first.
pub(crate) fn cookie_views(jar: &Jar) -> Vec<CookieView> {
    let view = |entry: CookieEntry<'_>| CookieView {
        name: entry.name.to_owned(),
        domain: entry.domain.to_owned(),
        path: entry.path.to_owned(),
        expires_ms: entry.expires_ms,
    };
    jar.entries().map(view).collect()
}
