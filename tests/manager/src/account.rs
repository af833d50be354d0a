//! An account's record: what GET shows, what PUT may write, and the posting fields that tasks move.
//!
//! Deliberately knows nothing of tasks beyond an id, and nothing of HTTP.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::limits::MAX_ERROR_MESSAGE_CHARS;
use crate::refusal::Refusal;
use crate::seed::NewAccount;
use crate::words::{ACCOUNT_FIELDS, ACCOUNT_STATUSES, PUT_FIELDS, is_placeholder, wire_time};

/// An account as the manager sees it, read back by a test. Its `Debug` shows the fields' names only.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct AccountState {
    /// The fields as GET shows them, in order, `cookie` last.
    pub fields: Map<String, Value>,
    /// The note that PUT wrote; GET does not show it.
    pub note: String,
    /// Why the account fails, as PUT wrote it; GET does not show it.
    pub error_message: String,
}

impl AccountState {
    /// The text of a field; `None` where it is absent, null or no string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }
}

impl fmt::Debug for AccountState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountState").field("fields", &self.fields.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Serialize for AccountState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = self.fields.clone();
        map.insert("note".to_owned(), Value::from(self.note.as_str()));
        map.insert("error_message".to_owned(), Value::from(self.error_message.as_str()));
        map.serialize(serializer)
    }
}

/// The fields that a PUT sent, checked, in the order of the document. No `Debug`: it holds credentials.
pub(crate) struct Patch(Vec<(&'static str, String)>);

impl Patch {
    /// Checks a body. `username` and unknown fields are passed over in silence.
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let mut fields = Vec::new();
        for name in PUT_FIELDS {
            let Some(value) = body.get(name) else {
                continue;
            };
            let value = value.as_str().ok_or(Refusal::NotText(name))?;
            if name == "status" && !ACCOUNT_STATUSES.contains(&value) {
                return Err(Refusal::Status);
            }
            if is_placeholder(name, value) {
                return Err(Refusal::Placeholder(name));
            }
            if name == "error_message" && value.chars().count() > MAX_ERROR_MESSAGE_CHARS {
                return Err(Refusal::MessageTooLong);
            }
            fields.push((name, value.to_owned()));
        }
        if fields.is_empty() { Err(Refusal::NothingToUpdate) } else { Ok(Self(fields)) }
    }
}

/// One account, with the values that GET does not show.
pub(crate) struct Account {
    fields: Map<String, Value>,
    note: String,
    error_message: String,
}

impl Account {
    pub(crate) fn new(account: NewAccount, now: Timestamp) -> Self {
        let mut fields = account.fields;
        for name in ["created_at", "updated_at"] {
            if fields.get(name).is_some_and(|value| value == "") {
                fields.insert(name.to_owned(), Value::from(wire_time(now)));
            }
        }
        Self { fields, note: String::new(), error_message: String::new() }
    }

    /// The fields that are there, in no particular order.
    pub(crate) fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The account on the wire: the document's order, then unknown fields, then `cookie`.
    pub(crate) fn to_wire(&self) -> Map<String, Value> {
        let known = ACCOUNT_FIELDS.iter().filter_map(|name| self.fields.get_key_value(*name));
        let unknown =
            self.fields.iter().filter(|(name, _)| !ACCOUNT_FIELDS.contains(&name.as_str()) && *name != "cookie");
        known
            .chain(unknown)
            .chain(self.fields.get_key_value("cookie"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    pub(crate) fn state(&self) -> AccountState {
        AccountState { fields: self.to_wire(), note: self.note.clone(), error_message: self.error_message.clone() }
    }

    /// Writes a patch; returns the names of the fields that were really written.
    ///
    /// An empty `error_message` counts as written only where there was one to clear: the document's
    /// own example sends one and does not find it in `updated`.
    pub(crate) fn apply(&mut self, patch: &Patch, now: Timestamp) -> Vec<&'static str> {
        let mut updated = Vec::new();
        for (name, value) in &patch.0 {
            match *name {
                "note" => self.note.clone_from(value),
                "error_message" if value.is_empty() && self.error_message.is_empty() => continue,
                "error_message" => self.error_message.clone_from(value),
                _ => self.set(name, value.as_str()),
            }
            updated.push(*name);
        }
        if !updated.is_empty() {
            self.set("updated_at", wire_time(now));
        }
        updated
    }

    /// Writes any fields as they are, as if somebody else had changed the record.
    pub(crate) fn edit(&mut self, fields: Map<String, Value>, now: Timestamp) {
        self.set("updated_at", wire_time(now));
        self.fields.extend(fields);
    }

    /// A task with this account was started.
    pub(crate) fn posting(&mut self, task: &str, now: Timestamp) {
        self.set("posting_status", "posting");
        self.set("post_task_id", task);
        self.set("post_link", "");
        self.set("last_used_at", wire_time(now));
    }

    /// A task with this account was completed.
    pub(crate) fn posted(&mut self, task: &str, link: &str, now: Timestamp) {
        self.set("posting_status", "done");
        self.set("post_task_id", task);
        self.set("post_link", link);
        self.set("last_used_at", wire_time(now));
    }

    /// A task with this account failed; another one that has taken its place keeps it.
    pub(crate) fn idle(&mut self, task: &str) {
        if self.fields.get("post_task_id").is_some_and(|id| id == task) {
            self.set("posting_status", "idle");
        }
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }
}
