//! What a manager is filled with: accounts and tasks, as clean or as nasty as real ones.
//!
//! A field is set with `with` (a value, null, `""`, a placeholder, a wrong type, an unknown name) and
//! removed with `without`. Deliberately knows nothing of what becomes of them.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value};

use crate::words::ACCOUNT_FIELDS;

/// An account to add: every field of the contract, `""` unless set. `Debug` shows the id only.
#[derive(Clone)]
pub struct NewAccount {
    pub(crate) id: String,
    pub(crate) fields: Map<String, Value>,
}

impl NewAccount {
    /// An active, idle account without credentials; its times are those of the adding.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let names = ACCOUNT_FIELDS.into_iter().chain(["cookie"]);
        let mut fields: Map<String, Value> = names.map(|name| (name.to_owned(), Value::from(""))).collect();
        fields.insert("id".to_owned(), Value::from(id.as_str()));
        fields.insert("status".to_owned(), Value::from("active"));
        fields.insert("posting_status".to_owned(), Value::from("idle"));
        Self { id, fields }
    }

    /// Sets a field to any value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a field out of every answer.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.shift_remove(name);
        self
    }
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A task to add: every field of the contract, `""` unless set. `Debug` shows the ids only.
///
/// Credentials that are not set are the account's, at the time of each pull.
#[derive(Clone)]
pub struct NewTask {
    pub(crate) id: String,
    pub(crate) fields: Map<String, Value>,
    pub(crate) absent: BTreeSet<String>,
    pub(crate) max_retries: Option<u32>,
}

impl NewTask {
    /// A pending task for an account.
    pub fn new(id: impl Into<String>, account_id: impl Into<String>) -> Self {
        let id = id.into();
        let fields = [("id", id.clone()), ("account_id", account_id.into())]
            .map(|(name, value)| (name.to_owned(), Value::from(value)));
        Self { id, fields: fields.into_iter().collect(), absent: BTreeSet::new(), max_retries: None }
    }

    /// Sets a field to any value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.absent.remove(name);
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a field out of every answer.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.absent.insert(name.to_owned());
        self.fields.shift_remove(name);
        self
    }

    /// Fails that re-queue this task before one is final; the manager's number unless set.
    #[must_use]
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }
}

impl fmt::Debug for NewTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewTask")
            .field("id", &self.id)
            .field("account_id", &self.fields.get("account_id"))
            .finish_non_exhaustive()
    }
}

/// Accounts and tasks together, as a seed file holds them.
///
/// ```json
/// {
///   "accounts": [{"id": "a1", "site_name": "blog.example", "username": "ann", "_absent": ["twofa"]}],
///   "tasks": [{"id": "t1", "account_id": "a1", "title": "Hello", "_max_retries": 1}],
///   "raw_tasks": [{"id": 7}]
/// }
/// ```
///
/// `Debug` shows how many there are.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Seed {
    /// Accounts; `_absent` names fields to leave out.
    pub accounts: Vec<NewAccount>,
    /// Tasks; `_absent` as above, `_max_retries` sets the task's own number.
    pub tasks: Vec<NewTask>,
    /// Values that lists show as they are, well formed or not.
    pub raw_tasks: Vec<Value>,
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("accounts", &self.accounts.len())
            .field("tasks", &self.tasks.len())
            .field("raw_tasks", &self.raw_tasks.len())
            .finish()
    }
}

impl<'de> Deserialize<'de> for NewAccount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = Row::deserialize(deserializer)?;
        let mut account =
            row.fields.into_iter().fold(Self::new(row.id), |account, (name, value)| account.with(&name, value));
        for name in &row.absent {
            account = account.without(name);
        }
        if row.max_retries.is_some() {
            return Err(D::Error::custom("_max_retries is a task's, not an account's"));
        }
        Ok(account)
    }
}

impl<'de> Deserialize<'de> for NewTask {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let row = Row::deserialize(deserializer)?;
        let task = Self::new(row.id, "").without("account_id");
        let mut task = row.fields.into_iter().fold(task, |task, (name, value)| task.with(&name, value));
        for name in &row.absent {
            task = task.without(name);
        }
        task.max_retries = row.max_retries;
        Ok(task)
    }
}

/// One object of a seed file.
#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(rename = "_absent", default)]
    absent: Vec<String>,
    #[serde(rename = "_max_retries")]
    max_retries: Option<u32>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}
