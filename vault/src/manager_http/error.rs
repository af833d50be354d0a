//! How a call to the manager fails, and what each failure asks of the caller. Decides nothing itself.

use std::time::Duration;

use thiserror::Error;

/// How a call to the manager failed.
///
/// [`CallError::class`] says what to do. Messages are the manager's, bounded in characters and with control characters
/// escaped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call cannot be put into a request; nothing was sent.
    #[error("the call cannot be sent: {what}")]
    Unsendable {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The manager does not take the key (401 or 403); nothing was done.
    #[error("the manager refuses the API key (HTTP {status})")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
    },
    /// The manager answers with a redirect, which is not followed; nothing was done.
    #[error("the manager redirects (HTTP {status}): is its base URL right?")]
    Redirected {
        /// 300 to 399.
        status: u16,
    },
    /// The manager knows no such task or account (404, in its own words); nothing was done.
    #[error("the manager does not find it (HTTP 404): {message}")]
    NotFound {
        /// Its words.
        message: String,
    },
    /// The manager refuses the call: another 4xx, or a 2xx with `success: false`; nothing was done.
    #[error("the manager refuses the call (HTTP {status}): {message}")]
    Rejected {
        /// The answer's status.
        status: u16,
        /// Its words, empty where it has none.
        message: String,
    },
    /// The manager asks for fewer calls (429); nothing was done.
    #[error("the manager limits the rate of calls (HTTP 429)")]
    RateLimited {
        /// For how long, where it says so; at most [`RETRY_AFTER_MAX`](crate::limits::RETRY_AFTER_MAX).
        retry_after: Option<Duration>,
    },
    /// The manager, or a proxy before it, failed (5xx, 408 or 425); whether the work was done depends on the status.
    #[error("the manager is unavailable (HTTP {status})")]
    Unavailable {
        /// 408, 425 or 500 to 599.
        status: u16,
        /// For how long, where it says so; at most [`RETRY_AFTER_MAX`](crate::limits::RETRY_AFTER_MAX).
        retry_after: Option<Duration>,
    },
    /// No connection came about (address, name or certificate); the manager saw nothing of the call.
    #[error("the manager is not reached; nothing was sent")]
    NotSent {
        /// What failed, without the URL.
        source: reqwest::Error,
    },
    /// The call was sent, and no answer came that says what became of it.
    #[error("the manager gave no usable answer: {reason}")]
    NoAnswer {
        /// The answer's status, where there was one.
        status: Option<u16>,
        /// What was wrong with the answer.
        reason: Unusable,
    },
}

/// Why an answer says nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// It did not come, or not all of it, within the timeout.
    #[error("it did not come in time")]
    Timeout,
    /// The connection was closed, or its framing broken, before the end of it.
    #[error("the connection broke before its end")]
    Closed,
    /// It has more bytes or more values than are read.
    #[error("it is too large")]
    TooLarge,
    /// It is not JSON in UTF-8.
    #[error("it is not JSON")]
    NotJson,
    /// It is JSON, but not what the contract says of this call.
    #[error("it is not what the contract says")]
    NotTheContract,
}

/// What to do after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No call will succeed until a person mends the configuration.
    Stop,
    /// Nothing was done; the same call may be made again, not before `after` where that is given.
    Retry {
        /// How long the manager asks to be left alone.
        after: Option<Duration>,
    },
    /// A write may have been done: look before it is sent again. A read is simply made again.
    Ambiguous,
    /// Nothing was done, and the same call will fail the same way.
    Permanent,
}

impl CallError {
    /// What to do about it.
    ///
    /// Of the statuses of [`CallError::Unavailable`], 408, 425 and 503 say that the request was not worked on
    /// (RFC 9110 sections 15.5.9 and 15.6.4, RFC 8470 section 5.2). Any other 5xx may come from a manager or a gateway
    /// that failed after the work, so it is ambiguous.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unauthorized { .. } | Self::Redirected { .. } => Class::Stop,
            Self::Unsendable { .. } | Self::NotFound { .. } | Self::Rejected { .. } => Class::Permanent,
            Self::RateLimited { retry_after } => Class::Retry { after: *retry_after },
            Self::Unavailable { status: 408 | 425 | 503, retry_after } => Class::Retry { after: *retry_after },
            Self::NotSent { .. } => Class::Retry { after: None },
            Self::Unavailable { .. } | Self::NoAnswer { .. } => Class::Ambiguous,
        }
    }

    /// How long the manager asks to be left alone, whatever the class.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
