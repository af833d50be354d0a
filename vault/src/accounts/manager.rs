//! What the manager and its tasks say of an account, merged in: against what was said last, never over what is owed.
//!
//! One bad value costs that value, not the account. Asks nobody: what was said is an argument.

use url::Url;

use super::{AccountError, RETRIES};
use crate::{
    Vault,
    account_api::{ManagerAccount, wire_name},
    cookies::Jar,
    limits,
    model::{AccountId, AccountRecord, AccountState, Action, Field, Fields, Secret, Standing, Winner, merge},
    record::SessionRecord,
    store::{Changes, Saved, SessionRow, StoreError},
    text::escape_bounded,
    totp::Totp,
};

/// How a merge with the manager's record ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Fields on which both sides differed, and whose value was kept.
    pub won: Vec<(Field, Winner)>,
    /// Whether the manager gave another cookie, which is now the session.
    pub new_cookie: bool,
    /// What the manager gave that cannot be kept, by the manager's names; ours stayed as it was.
    pub left_out: Vec<&'static str>,
}

/// Values of others, those that cannot be kept taken out.
#[derive(Debug)]
pub struct Admissible {
    /// What can be kept.
    pub fields: Fields,
    /// The fields whose values are left out.
    pub left_out: Vec<Field>,
}

impl Vault {
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
            let unkept = theirs.left_out.iter().map(|field| wire_name(*field));
            let left_out: Vec<_> = said.unusable.iter().copied().chain(unkept).collect();
            let merged = merge(record.base, record.fields, theirs.fields, &record.owed);
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
            changes.audit.push(self.event(Action::Pull, Some(id), outcome(&merged.won, &left_out))?);
            match self.store.save(changes).await? {
                Saved::Done => return Ok(Pulled { won: merged.won, new_cookie, left_out }),
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
            let mut payload = admissible(payload.duplicate()).fields;
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
        // What is there beside cookies goes with those that the string does not name.
        let storage = old.and_then(|(_, session)| session.storage.as_ref()).map(Secret::duplicate);
        let session = SessionRecord { login_epoch: login_epoch + 1, jar, since_ms: now_ms, storage };
        self.session_row(id, rev + 1, &session).map(Some)
    }
}

/// What comes from the manager or a task is not refused as a whole for one bad value: that value is left out.
#[must_use]
pub fn admissible(mut fields: Fields) -> Admissible {
    let mut left_out = Vec::new();
    for field in Field::ALL {
        let value = fields.value_mut(field);
        if value.as_ref().is_some_and(|value| !can_be_kept(field, value)) {
            tracing::warn!(field = field.name(), "a value from the manager cannot be kept and is left out");
            *value = None;
            left_out.push(field);
        }
    }
    Admissible { fields, left_out }
}

fn can_be_kept(field: Field, value: &Secret) -> bool {
    // EXPOSE: lengths and characters are checked.
    let text = value.expose();
    let (max_bytes, reads) = match field {
        Field::Username | Field::Email => (limits::NAME_MAX_BYTES, !text.is_empty()),
        Field::Totp => (limits::SECRET_MAX_BYTES, Totp::parse(value).is_ok()),
        Field::Cookie => (limits::SECRET_MAX_BYTES, is_cookie_string(value)),
        _ => (limits::SECRET_MAX_BYTES, true),
    };
    reads && text.len() <= max_bytes && !text.chars().any(char::is_control)
}

/// Whether a jar of any site would take it.
fn is_cookie_string(cookie: &Secret) -> bool {
    Url::parse("https://any.invalid").is_ok_and(|origin| Jar::new().import_flat(&origin, cookie, 0).is_ok())
}

fn outcome(won: &[(Field, Winner)], left_out: &[&str]) -> String {
    let left_out = (!left_out.is_empty()).then(|| format!("left out: {}", left_out.join(", ")));
    let words = won.iter().map(|(field, winner)| {
        let winner = if *winner == Winner::Local { "ours" } else { "the manager's" };
        format!("{}: {winner}", field.name())
    });
    words.chain(left_out).collect::<Vec<_>>().join(", ")
}
