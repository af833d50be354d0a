//! Every way in which the API refuses a call: its words and its HTTP status.
//!
//! The words are the contract's where it has any; the rest is ours, in English. Deliberately knows
//! nothing of how a refusal is put on the wire.

use thiserror::Error;

use crate::limits::{LIST_MAX, MAX_BODY_BYTES, MAX_ERROR_MESSAGE_CHARS};
use crate::task::TaskStatus;

/// Why a call was refused; its `Display` is the answer's `message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("invalid or missing API key")]
    Key,
    #[error("task not found")]
    TaskNotFound,
    #[error("account id required")]
    AccountIdRequired,
    #[error("account không tồn tại hoặc đã xoá")]
    AccountNotFound,
    #[error("không có field nào để update")]
    NothingToUpdate,
    #[error("status không hợp lệ")]
    Status,
    #[error("{0} không được dùng giá trị mẫu (placeholder)")]
    Placeholder(&'static str),
    #[error("body is not a JSON object")]
    Json,
    #[error("content-type must be application/json")]
    ContentType,
    #[error("{0} is required")]
    Missing(&'static str),
    #[error("{0} must be a string")]
    NotText(&'static str),
    #[error("link_post must be an http or https URL")]
    Link,
    #[error("error_message is longer than {MAX_ERROR_MESSAGE_CHARS} characters")]
    MessageTooLong,
    #[error("limit must be a whole number from 1 to {LIST_MAX}")]
    Limit,
    #[error("task is {0}")]
    TaskState(TaskStatus),
    #[error("body is larger than {MAX_BODY_BYTES} bytes")]
    BodyTooLarge,
    #[error("body could not be read")]
    BodyUnreadable,
    #[error("no such endpoint")]
    NoEndpoint,
    #[error("method not allowed")]
    Method,
}

impl Refusal {
    /// The HTTP status that goes with the words.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Key => 401,
            Self::TaskNotFound | Self::AccountNotFound | Self::NoEndpoint => 404,
            Self::Method => 405,
            Self::TaskState(_) => 409,
            Self::BodyTooLarge => 413,
            Self::AccountIdRequired
            | Self::NothingToUpdate
            | Self::Status
            | Self::Placeholder(_)
            | Self::Json
            | Self::ContentType
            | Self::Missing(_)
            | Self::NotText(_)
            | Self::Link
            | Self::MessageTooLong
            | Self::Limit
            | Self::BodyUnreadable => 400,
        }
    }
}
