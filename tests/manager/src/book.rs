//! The book: all tasks and accounts, and the work of the seven calls on them.
//!
//! Deliberately knows nothing of HTTP, faults or the ledger: a call comes in read, an answer goes out
//! as data.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::account::{Account, AccountState, Patch};
use crate::config::RepeatRule;
use crate::limits::{MAX_ACCOUNTS, MAX_TASKS};
use crate::refusal::Refusal;
use crate::seed::{NewAccount, NewTask};
use crate::task::{Change, Task, TaskState};

/// A call, read and checked as far as words go. No `Debug`: it carries credentials.
pub(crate) enum Call {
    List { limit: usize },
    One { id: String },
    Start { id: String },
    Complete { id: String, link_post: String },
    Fail { id: String, error_message: String },
    AccountRead { id: String },
    AccountPut { id: String, patch: Patch },
}

/// What a call that was not refused has done. No `Debug`: it carries credentials.
pub(crate) struct Done {
    /// The fields of the answer beside `success`.
    pub(crate) answer: Map<String, Value>,
    /// Whether it did something, as the ledger means it.
    pub(crate) applied: bool,
}

/// Why something was not added; what was there is as before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddError {
    /// Ids are not empty.
    #[error("an id must not be empty")]
    EmptyId,
    /// The id is taken, even if what had it was deleted.
    #[error("the id {0:?} is taken")]
    Taken(String),
    /// The bound is reached.
    #[error("the manager holds {0} of them and takes no more")]
    Full(usize),
}

pub(crate) struct Book {
    /// By position, which is the order of age.
    tasks: BTreeMap<u64, Task>,
    next_position: u64,
    position_of: HashMap<String, u64>,
    /// Positions of tasks that lists show, so that a list costs what it shows.
    open: BTreeSet<u64>,
    accounts: BTreeMap<String, Account>,
    /// Ids of what was soft-deleted: gone for every call, and not to be used again.
    deleted_tasks: BTreeSet<String>,
    deleted_accounts: BTreeSet<String>,
    max_retries: u32,
    repeat: RepeatRule,
}

impl Book {
    pub(crate) fn new(max_retries: u32, repeat: RepeatRule) -> Self {
        Self {
            tasks: BTreeMap::new(),
            next_position: 0,
            position_of: HashMap::new(),
            open: BTreeSet::new(),
            accounts: BTreeMap::new(),
            deleted_tasks: BTreeSet::new(),
            deleted_accounts: BTreeSet::new(),
            max_retries,
            repeat,
        }
    }

    pub(crate) fn perform(&mut self, call: &Call, now: Timestamp) -> Result<Done, Refusal> {
        match call {
            Call::List { limit } => Ok(data(Value::Array(self.list(*limit)))),
            Call::One { id } => {
                let task = self.task(id).ok_or(Refusal::TaskNotFound)?;
                Ok(data(self.to_wire(task)))
            }
            Call::Start { id } => {
                let (task, account) = self.task_and_account(id)?;
                let change = task.start(now)?;
                if let (Change::Applied, Some(account)) = (change, account) {
                    account.posting(id, now);
                }
                Ok(changed(change))
            }
            Call::Complete { id, link_post } => self.complete(id, link_post, now),
            Call::Fail { id, error_message } => self.fail(id, error_message, now),
            Call::AccountRead { id } => {
                let account = self.accounts.get(id).ok_or(Refusal::AccountNotFound)?;
                Ok(data(Value::Object(account.to_wire())))
            }
            Call::AccountPut { id, patch } => {
                let account = self.accounts.get_mut(id).ok_or(Refusal::AccountNotFound)?;
                let updated = account.apply(patch, now);
                let applied = !updated.is_empty();
                let answer = [("updated".to_owned(), Value::from(updated))].into_iter().collect();
                Ok(Done { answer, applied })
            }
        }
    }

    pub(crate) fn add_task(&mut self, task: NewTask) -> Result<(), AddError> {
        if task.id.is_empty() {
            return Err(AddError::EmptyId);
        }
        self.insert_task(Task::new(task, self.max_retries))
    }

    pub(crate) fn add_raw_task(&mut self, value: Value) -> Result<(), AddError> {
        self.insert_task(Task::raw(value, self.max_retries))
    }

    pub(crate) fn add_account(&mut self, account: NewAccount, now: Timestamp) -> Result<(), AddError> {
        if account.id.is_empty() {
            return Err(AddError::EmptyId);
        }
        if self.accounts.contains_key(&account.id) || self.deleted_accounts.contains(&account.id) {
            return Err(AddError::Taken(account.id));
        }
        if self.accounts.len() + self.deleted_accounts.len() >= MAX_ACCOUNTS {
            return Err(AddError::Full(MAX_ACCOUNTS));
        }
        self.accounts.insert(account.id.clone(), Account::new(account, now));
        Ok(())
    }

    /// Soft-deletes a task; false where there is none.
    pub(crate) fn delete_task(&mut self, id: &str) -> bool {
        let Some(position) = self.position_of.remove(id) else {
            return false;
        };
        self.tasks.remove(&position);
        self.open.remove(&position);
        self.deleted_tasks.insert(id.to_owned());
        true
    }

    /// Soft-deletes an account; false where there is none.
    pub(crate) fn delete_account(&mut self, id: &str) -> bool {
        if self.accounts.remove(id).is_none() {
            return false;
        }
        self.deleted_accounts.insert(id.to_owned());
        true
    }

    /// Writes fields of an account as they are; false where there is none.
    pub(crate) fn edit_account(&mut self, id: &str, fields: Map<String, Value>, now: Timestamp) -> bool {
        let Some(account) = self.accounts.get_mut(id) else {
            return false;
        };
        account.edit(fields, now);
        true
    }

    pub(crate) fn task_state(&self, id: &str) -> Option<TaskState> {
        Some(self.task(id)?.state.clone())
    }

    pub(crate) fn account_state(&self, id: &str) -> Option<AccountState> {
        Some(self.accounts.get(id)?.state())
    }

    /// All tasks, oldest first.
    pub(crate) fn task_states(&self) -> impl Iterator<Item = &TaskState> {
        self.tasks.values().map(|task| &task.state)
    }

    /// All accounts, by id.
    pub(crate) fn account_states(&self) -> impl Iterator<Item = AccountState> {
        self.accounts.values().map(Account::state)
    }

    fn list(&self, limit: usize) -> Vec<Value> {
        let open = self.open.iter().filter_map(|position| self.tasks.get(position));
        open.take(limit).map(|task| self.to_wire(task)).collect()
    }

    fn complete(&mut self, id: &str, link_post: &str, now: Timestamp) -> Result<Done, Refusal> {
        let repeat = self.repeat;
        let (task, account) = self.task_and_account(id)?;
        let change = task.complete(link_post, repeat, now)?;
        if change == Change::Applied {
            if let Some(account) = account {
                account.posted(id, link_post, now);
            }
            self.close_if_terminal(id);
        }
        Ok(changed(change))
    }

    fn fail(&mut self, id: &str, error_message: &str, now: Timestamp) -> Result<Done, Refusal> {
        let repeat = self.repeat;
        let (task, account) = self.task_and_account(id)?;
        let change = task.fail(error_message, repeat, now)?;
        if change == Change::Applied {
            if let Some(account) = account {
                account.idle(id);
            }
            self.close_if_terminal(id);
        }
        Ok(changed(change))
    }

    fn insert_task(&mut self, task: Task) -> Result<(), AddError> {
        if self.tasks.len() + self.deleted_tasks.len() >= MAX_TASKS {
            return Err(AddError::Full(MAX_TASKS));
        }
        if let Some(id) = &task.state.id {
            if self.position_of.contains_key(id) || self.deleted_tasks.contains(id) {
                return Err(AddError::Taken(id.clone()));
            }
            self.position_of.insert(id.clone(), self.next_position);
        }
        self.open.insert(self.next_position);
        self.tasks.insert(self.next_position, task);
        self.next_position += 1;
        Ok(())
    }

    fn close_if_terminal(&mut self, id: &str) {
        let Some(position) = self.position_of.get(id) else {
            return;
        };
        let task = self.tasks.get(position);
        if task.is_some_and(|task| task.state.status.is_terminal()) {
            self.open.remove(position);
        }
    }

    fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.get(self.position_of.get(id)?)
    }

    fn task_and_account(&mut self, id: &str) -> Result<(&mut Task, Option<&mut Account>), Refusal> {
        let position = self.position_of.get(id).ok_or(Refusal::TaskNotFound)?;
        let task = self.tasks.get_mut(position).ok_or(Refusal::TaskNotFound)?;
        let account = task.state.account_id.as_ref().and_then(|account| self.accounts.get_mut(account));
        Ok((task, account))
    }

    fn to_wire(&self, task: &Task) -> Value {
        let account = task.state.account_id.as_ref().and_then(|id| self.accounts.get(id));
        task.to_wire(account.map(Account::fields))
    }
}

fn data(value: Value) -> Done {
    Done { answer: [("data".to_owned(), value)].into_iter().collect(), applied: true }
}

fn changed(change: Change) -> Done {
    Done { answer: Map::new(), applied: change == Change::Applied }
}
