//! What happened to the site: counters that only grow, and the requests it saw.
//!
//! It does not know why anything happened, and keeps no secret: of cookies only the names, of
//! URLs only the path.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::limits::MAX_LOGGED_REQUESTS;

/// Effects counted for one account, or for all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Logins that succeeded, a code included where one was asked for.
    pub logins: u64,
    /// Wrong passwords, app passwords and codes.
    pub bad_logins: u64,
    /// Attempts on an account that was locked, banned or challenged.
    pub stopped_logins: u64,
    /// Codes of a step that was already spent.
    pub totp_replays: u64,
    /// Posts published.
    pub posts: u64,
}

/// Everything that is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ledger {
    /// All accounts together, unknown usernames included.
    pub total: Counts,
    /// Each account by its username.
    pub accounts: BTreeMap<String, Counts>,
    /// Forms refused because their hidden fields did not fit the cookie.
    pub forged_forms: u64,
    /// Fetches of each hosted picture, by its number.
    pub media_fetches: BTreeMap<u32, u64>,
    /// Fetches of hosted pictures that carried a cookie or an `Authorization` header.
    pub media_fetches_with_credentials: u64,
}

/// A request as the site saw it; texts are cut at 512 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Its place among all requests, from 1; a gap before the first kept one was forgotten.
    pub sequence: u64,
    /// The `Host` header.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The names of the cookies sent, in their order.
    pub cookie_names: Vec<String>,
    /// Whether an `Authorization` header was sent.
    pub has_authorization: bool,
}

/// The newest requests.
#[derive(Default)]
pub(crate) struct RequestLog {
    records: VecDeque<RequestRecord>,
    seen: u64,
}

impl Ledger {
    /// Counts something for an account, if it is known, and for the total.
    pub(crate) fn count(&mut self, username: Option<&str>, what: impl Fn(&mut Counts)) {
        what(&mut self.total);
        if let Some(username) = username {
            what(self.accounts.entry(username.to_owned()).or_default());
        }
    }

    /// What was counted for one account; zeros where nothing was.
    #[must_use]
    pub fn of(&self, username: &str) -> Counts {
        self.accounts.get(username).copied().unwrap_or_default()
    }
}

impl RequestLog {
    /// Appends a record under the next sequence number.
    pub(crate) fn append(&mut self, record: RequestRecord) {
        if self.records.len() >= MAX_LOGGED_REQUESTS {
            self.records.pop_front();
        }
        self.seen += 1;
        self.records.push_back(RequestRecord { sequence: self.seen, ..record });
    }

    pub(crate) fn newest(&self) -> Vec<RequestRecord> {
        self.records.iter().cloned().collect()
    }
}
