//! The contract's vocabulary: routes, field names in their order, status words, placeholders, times.
//!
//! Deliberately knows nothing of state: it answers questions about words only.

use std::fmt;

use jiff::{Timestamp, tz};
use serde::{Deserialize, Serialize};

/// One of the seven calls of the social contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Route {
    /// `GET /links`
    List,
    /// `GET /links/{id}`
    One,
    /// `POST /links/{id}/start`
    Start,
    /// `POST /links/{id}/complete`
    Complete,
    /// `POST /links/{id}/fail`
    Fail,
    /// `GET /accounts/{id}`
    AccountRead,
    /// `PUT /accounts/{id}`
    AccountPut,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::One => "one",
            Self::Start => "start",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::AccountRead => "account_read",
            Self::AccountPut => "account_put",
        })
    }
}

/// Values that the documents show where a real one belongs; PUT refuses them in every field but
/// `status`, `note` and `error_message`, which are words, not values.
pub const PLACEHOLDERS: [&str; 9] = [
    "...",
    "xxxx xxxx xxxx xxxx",
    "JBSWY3DPEHPK3PXP",
    "pwReal!",
    "socactive@seed.com",
    "sid=abc",
    "sid=abc123; csrf=xyz",
    "sid=newvalue; csrf=...",
    "https://sutori.com/u/socactive",
];

/// Writes a moment as the contract does: `2026-04-28T13:05:58+0700`, whole seconds, offset without a colon.
#[must_use]
pub fn wire_time(at: Timestamp) -> String {
    at.to_zoned(tz::TimeZone::fixed(tz::offset(7))).strftime("%Y-%m-%dT%H:%M:%S%z").to_string()
}

/// Whether PUT refuses `value` for `field` because the documents show it as a sample.
pub(crate) fn is_placeholder(field: &str, value: &str) -> bool {
    !matches!(field, "status" | "note" | "error_message") && PLACEHOLDERS.contains(&value.trim())
}

/// A task's fields in the order of the document.
pub(crate) const TASK_FIELDS: [&str; 15] = [
    "id",
    "request_id",
    "account_id",
    "domain",
    "website",
    "email",
    "username",
    "password",
    "pass_mail",
    "twofa",
    "app_password",
    "cookie",
    "title",
    "about",
    "images",
];

/// Fields of a task that are its account's, and follow it.
pub(crate) const JOINED_FIELDS: [&str; 7] =
    ["email", "username", "password", "pass_mail", "twofa", "app_password", "cookie"];

/// An account's fields in the order of the document, without `cookie`, which is always the last.
pub(crate) const ACCOUNT_FIELDS: [&str; 20] = [
    "id",
    "post_id",
    "register_id",
    "group_id",
    "site_id",
    "site_name",
    "status",
    "posting_status",
    "post_task_id",
    "post_link",
    "email",
    "username",
    "password",
    "pass_mail",
    "twofa",
    "app_password",
    "link_profile",
    "created_at",
    "updated_at",
    "last_used_at",
];

/// What PUT may write, in the order in which the document names it and `updated` lists it.
/// `username` is not among them: it follows the register record.
pub(crate) const PUT_FIELDS: [&str; 10] = [
    "cookie",
    "email",
    "password",
    "pass_mail",
    "twofa",
    "app_password",
    "link_profile",
    "status",
    "note",
    "error_message",
];

/// The words that PUT takes as `status`.
pub(crate) const ACCOUNT_STATUSES: [&str; 22] = [
    "pending",
    "queued",
    "running",
    "completed",
    "failed",
    "cancel",
    "final_failed",
    "register",
    "registering",
    "registered",
    "register_failed",
    "profile",
    "profiling",
    "profiled",
    "profile_failed",
    "connect",
    "connecting",
    "connect_failed",
    "active",
    "inactive",
    "banned",
    "dead",
];
