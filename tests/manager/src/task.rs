//! A task's life: its states, the moves between them, and how it looks on the wire.
//!
//! | from \ call    | start   | complete  | fail                      |
//! |----------------|---------|-----------|---------------------------|
//! | `pending`      | running | refused   | refused                   |
//! | `running`      | repeat  | completed | queued, or `final_failed` |
//! | `queued`       | running | refused   | by the rule               |
//! | `completed`    | refused | by the rule | refused                 |
//! | `final_failed` | refused | refused   | by the rule               |
//!
//! Deliberately knows nothing of accounts beyond an id: the book joins the two.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::RepeatRule;
use crate::refusal::Refusal;
use crate::seed::NewTask;
use crate::words::{JOINED_FIELDS, TASK_FIELDS};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskStatus {
    /// Nobody has started it.
    Pending,
    /// A worker has said that it works on it.
    Running,
    /// It failed and waits for another attempt.
    Queued,
    /// A `link_post` is recorded. Terminal.
    Completed,
    /// It failed and its retries are spent. Terminal.
    FinalFailed,
}

impl TaskStatus {
    /// Whether no further attempt will be made, so that lists leave the task out.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::FinalFailed)
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Completed => "completed",
            Self::FinalFailed => "final_failed",
        })
    }
}

/// A task as the manager sees it, read back by a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TaskState {
    /// The task's id; absent for a malformed task without one, which no call can reach.
    pub id: Option<String>,
    /// The account that it posts with.
    pub account_id: Option<String>,
    /// Where it stands.
    pub status: TaskStatus,
    /// When it was first started; repeats and retries do not move it.
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal state.
    pub closed_at: Option<Timestamp>,
    /// Re-queued so many times.
    pub retry_count: u32,
    /// `retry_count` at which a fail is final.
    pub max_retries: u32,
    /// What complete recorded.
    pub link_post: Option<String>,
    /// What the last fail recorded.
    pub error_message: Option<String>,
}

/// What a call did to a task that allowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The task moved.
    Applied,
    /// It was there already.
    Repeated,
}

pub(crate) struct Task {
    pub(crate) state: TaskState,
    shape: Shape,
}

/// What a list shows of a task.
enum Shape {
    /// Fields, joined with the account's.
    Fields { fields: Map<String, Value>, absent: BTreeSet<String> },
    /// Exactly this value, well formed or not.
    Raw(Value),
}

impl Task {
    pub(crate) fn new(task: NewTask, max_retries: u32) -> Self {
        let text = |name: &str| task.fields.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            state: TaskState::pending(Some(task.id), text("account_id"), task.max_retries.unwrap_or(max_retries)),
            shape: Shape::Fields { fields: task.fields, absent: task.absent },
        }
    }

    /// A task that is shown as it is; calls reach it by its `id` where that is a string or a number.
    pub(crate) fn raw(value: Value, max_retries: u32) -> Self {
        let id = match value.get("id") {
            Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
            Some(Value::Number(id)) => Some(id.to_string()),
            _ => None,
        };
        let account_id = value.get("account_id").and_then(Value::as_str).map(str::to_owned);
        Self { state: TaskState::pending(id, account_id, max_retries), shape: Shape::Raw(value) }
    }

    /// The task on the wire; `account` are its account's fields, where it has one.
    pub(crate) fn to_wire(&self, account: Option<&Map<String, Value>>) -> Value {
        let (fields, absent) = match &self.shape {
            Shape::Raw(value) => return value.clone(),
            Shape::Fields { fields, absent } => (fields, absent),
        };
        let mut wire = Map::new();
        for name in TASK_FIELDS {
            if absent.contains(name) {
                continue;
            }
            let value = match fields.get(name) {
                Some(own) => own.clone(),
                None if JOINED_FIELDS.contains(&name) => match account {
                    Some(account) => match account.get(name) {
                        Some(joined) => joined.clone(),
                        None => continue,
                    },
                    None => Value::from(""),
                },
                None if name == "images" => Value::Array(Vec::new()),
                None => Value::from(""),
            };
            wire.insert(name.to_owned(), value);
        }
        let extra = fields.iter().filter(|(name, _)| !TASK_FIELDS.contains(&name.as_str()));
        wire.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
        Value::Object(wire)
    }

    /// Sets it running; the first start's time stays.
    pub(crate) fn start(&mut self, now: Timestamp) -> Result<Change, Refusal> {
        match self.state.status {
            TaskStatus::Pending | TaskStatus::Queued => {
                self.state.status = TaskStatus::Running;
                self.state.started_at.get_or_insert(now);
                Ok(Change::Applied)
            }
            TaskStatus::Running => Ok(Change::Repeated),
            status @ (TaskStatus::Completed | TaskStatus::FinalFailed) => Err(Refusal::TaskState(status)),
        }
    }

    /// Records the post and closes it.
    pub(crate) fn complete(&mut self, link: &str, repeat: RepeatRule, now: Timestamp) -> Result<Change, Refusal> {
        match self.state.status {
            TaskStatus::Running => {
                self.state.status = TaskStatus::Completed;
                self.state.closed_at = Some(now);
                self.state.link_post = Some(link.to_owned());
                self.state.error_message = None;
                Ok(Change::Applied)
            }
            status @ TaskStatus::Completed => repeated(status, repeat),
            status => Err(Refusal::TaskState(status)),
        }
    }

    /// Records the failure and re-queues it while retries are left.
    pub(crate) fn fail(&mut self, message: &str, repeat: RepeatRule, now: Timestamp) -> Result<Change, Refusal> {
        match self.state.status {
            TaskStatus::Running => {
                self.state.error_message = Some(message.to_owned());
                if self.state.retry_count < self.state.max_retries {
                    self.state.retry_count += 1;
                    self.state.status = TaskStatus::Queued;
                } else {
                    self.state.status = TaskStatus::FinalFailed;
                    self.state.closed_at = Some(now);
                }
                Ok(Change::Applied)
            }
            status @ (TaskStatus::Queued | TaskStatus::FinalFailed) => repeated(status, repeat),
            status => Err(Refusal::TaskState(status)),
        }
    }
}

impl TaskState {
    fn pending(id: Option<String>, account_id: Option<String>, max_retries: u32) -> Self {
        Self {
            id,
            account_id,
            status: TaskStatus::Pending,
            started_at: None,
            closed_at: None,
            retry_count: 0,
            max_retries,
            link_post: None,
            error_message: None,
        }
    }
}

fn repeated(status: TaskStatus, repeat: RepeatRule) -> Result<Change, Refusal> {
    match repeat {
        RepeatRule::Accept => Ok(Change::Repeated),
        RepeatRule::Refuse => Err(Refusal::TaskState(status)),
    }
}
