//! The social post API: pulling tasks, and telling the manager what became of them.
//!
//! Deliberately knows no vault, no site and no retry. A start may be repeated and is no claim; complete and fail are sent
//! once here, and whoever owes them decides what to do after an ambiguous answer.

mod task;

use std::sync::Arc;

use latchkey_vault::{
    limits::ERROR_MESSAGE_MAX_CHARS,
    manager_http::{CallError, Class, Json, JsonBody, ManagerClient},
    text::cut_chars,
};
use thiserror::Error;

pub use task::{IMAGES_MAX, Malformed, Oddity, PostTask, TaskImage, unresolved_spin};

/// The social area of one manager.
#[derive(Clone, Debug)]
pub struct SocialSource {
    client: Arc<ManagerClient>,
}

/// What one pull brought.
#[derive(Debug, Default)]
pub struct Pulled {
    /// The tasks, in the manager's order.
    pub tasks: Vec<PostTask>,
    /// What stood among them and is no task that can be worked on. It costs no other task.
    pub malformed: Vec<Malformed>,
}

/// Why a task was not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OneError {
    /// The call failed; [`CallError::NotFound`] where there is no such task, or it is soft-deleted.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer is no task that can be worked on.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The answer is another task.
    #[error("the manager's answer is another task")]
    OtherTask,
}

impl OneError {
    /// What to do about it; a malformed task stays as it is until a person mends it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Call(error) => error.class(),
            Self::Malformed(_) => Class::Permanent,
            Self::OtherTask => Class::Ambiguous,
        }
    }
}

impl SocialSource {
    /// The social calls of this manager.
    #[must_use]
    pub fn new(client: Arc<ManagerClient>) -> Self {
        Self { client }
    }

    /// Pulls up to `limit` open tasks, 1 to [`LIMIT_MAX`]; another number is brought into that range.
    ///
    /// # Errors
    /// See [`CallError`]; an answer whose `data` is neither a list nor `null` is [`CallError::NoAnswer`].
    pub async fn list(&self, limit: u32) -> Result<Pulled, CallError> {
        let limit = limit.clamp(1, LIMIT_MAX).to_string();
        let answer = self.client.get(&[AREA, LINKS], &[("limit", &limit)]).await?;
        let elements = match answer.member("data") {
            Some(Json::List(elements)) => elements.as_slice(),
            // Go writes an empty list as null.
            Some(Json::Null) => &[],
            _ => return Err(answer.unusable()),
        };
        let mut pulled = Pulled::default();
        for element in elements {
            match PostTask::read(element) {
                Ok(task) => pulled.tasks.push(task),
                Err(malformed) => pulled.malformed.push(malformed),
            }
        }
        Ok(pulled)
    }

    /// Reads the task `id`, whatever its state. Changes nothing.
    ///
    /// # Errors
    /// See [`OneError`].
    pub async fn one(&self, id: &str) -> Result<PostTask, OneError> {
        let answer = self.client.get(&[AREA, LINKS, id], &[]).await?;
        let task = PostTask::read(answer.member("data").unwrap_or(&Json::Null))?;
        if task.id == id { Ok(task) } else { Err(OneError::OtherTask) }
    }

    /// Tells the manager that the task `id` is being worked on. May be repeated.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn start(&self, id: &str) -> Result<(), CallError> {
        self.client.post(&[AREA, LINKS, id, "start"], None).await.map(drop)
    }

    /// Tells the manager that the post of the task `id` is at `link_post`.
    ///
    /// # Errors
    /// See [`CallError`]; after [`Class::Ambiguous`] the manager may have recorded it.
    pub async fn complete(&self, id: &str, link_post: &str) -> Result<(), CallError> {
        let body = JsonBody::object(&[("link_post", link_post)])?;
        self.client.post(&[AREA, LINKS, id, "complete"], Some(body)).await.map(drop)
    }

    /// Tells the manager that the task `id` failed, and why.
    ///
    /// The message is cut at [`ERROR_MESSAGE_MAX_CHARS`] characters; a blank one, which the manager would refuse, becomes
    /// a sentence that says so. It must hold no secret: it is shown to people.
    ///
    /// # Errors
    /// See [`CallError`]; after [`Class::Ambiguous`] the manager may have recorded it.
    pub async fn fail(&self, id: &str, error_message: &str) -> Result<(), CallError> {
        let said = cut_chars(error_message.trim(), ERROR_MESSAGE_MAX_CHARS);
        let said = if said.is_empty() { NO_REASON } else { said };
        let body = JsonBody::object(&[("error_message", said)])?;
        self.client.post(&[AREA, LINKS, id, "fail"], Some(body)).await.map(drop)
    }
}

/// The most tasks that one pull may ask for: the manager's own bound.
pub const LIMIT_MAX: u32 = 1000;
const AREA: &str = "social";
const LINKS: &str = "links";
const NO_REASON: &str = "no reason was given";

#[cfg(test)]
mod tests;
