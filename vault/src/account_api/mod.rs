//! The manager's account records: reading one, and changing the fields that it takes from us.
//!
//! Deliberately knows no vault, no outbox and no merge: what is read is handed on, what is to be written is handed in.

mod account;
mod placeholder;
mod status;
mod time;
mod update;
mod wire;

use std::sync::Arc;

use thiserror::Error;

use crate::{
    manager_http::{CallError, Class, Json, ManagerClient},
    text::escape_bounded,
};

pub use account::ManagerAccount;
pub use placeholder::is_placeholder;
pub use status::AccountStatus;
pub use time::parse_time;
pub use update::{AccountUpdate, RefusedValue, UpdateCodecError, UpdateField};
#[cfg(feature = "fuzzing")]
pub(crate) use wire::account as read_account;
pub use wire::{FieldsRead, read_fields, wire_name};

/// Reads and changes account records over one manager's client.
#[derive(Clone, Debug)]
pub struct AccountApi {
    client: Arc<ManagerClient>,
}

/// Why an account's record was not read. Nothing was changed anywhere.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The call failed; [`CallError::NotFound`] where there is no such account, or it is soft-deleted.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer holds no object where the record belongs.
    #[error("the manager's answer holds no account")]
    NotAnAccount,
    /// The answer is another account's record.
    #[error("the manager's answer is another account's record")]
    OtherAccount,
}

impl ReadError {
    /// What to do about it; an answer that is no account's record is read again like one that was lost.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Call(error) => error.class(),
            Self::NotAnAccount | Self::OtherAccount => Class::Ambiguous,
        }
    }
}

/// Why an account's record may not have been changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The update holds no field; nothing was sent.
    #[error("the update holds no field")]
    Empty,
    /// The call failed; after [`Class::Ambiguous`] the record may have been changed, and sending it again is harmless.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl UpdateError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Empty => Class::Permanent,
            Self::Call(error) => error.class(),
        }
    }
}

/// What the manager says that it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The names in its answer: at most 64, each of at most 64 characters, among them names that we do not know.
    pub written: Vec<String>,
    /// The names that were sent and are not in its answer.
    pub missing: Vec<&'static str>,
}

impl AccountApi {
    /// The account calls of this manager.
    #[must_use]
    pub fn new(client: Arc<ManagerClient>) -> Self {
        Self { client }
    }

    /// Reads the record of the account `id` (the manager's id: 1 to 200 bytes).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, id: &str) -> Result<ManagerAccount, ReadError> {
        let answer = self.client.get(&[AREA, ACCOUNTS, id], &[]).await?;
        let account = answer.member("data").and_then(|data| wire::account(id, data)).ok_or(ReadError::NotAnAccount)?;
        if account.id == id { Ok(account) } else { Err(ReadError::OtherAccount) }
    }

    /// Writes the fields of `update` into the record of the account `id`, and no others.
    ///
    /// # Errors
    /// See [`UpdateError`].
    pub async fn update(&self, id: &str, update: &AccountUpdate) -> Result<Updated, UpdateError> {
        if update.is_empty() {
            return Err(UpdateError::Empty);
        }
        let answer = self.client.put(&[AREA, ACCOUNTS, id], update.to_body()?).await?;
        let written = written(answer.member("updated"));
        let missing = update.names().filter(|name| !written.iter().any(|own| own == name)).collect();
        Ok(Updated { written, missing })
    }
}

fn written(updated: Option<&Json>) -> Vec<String> {
    let Some(Json::List(names)) = updated else { return Vec::new() };
    // EXPOSE: names of fields are no secrets.
    let texts = names.iter().filter_map(Json::text).map(|name| escape_bounded(name.expose(), WRITTEN_NAME_MAX_CHARS));
    texts.take(WRITTEN_MAX).collect()
}

const AREA: &str = "social";
const ACCOUNTS: &str = "accounts";
/// Most names kept of `updated`: the contract has ten.
const WRITTEN_MAX: usize = 64;
/// Longest name kept of `updated`, in characters: the contract's longest has 13.
const WRITTEN_NAME_MAX_CHARS: usize = 64;

#[cfg(test)]
mod tests;
