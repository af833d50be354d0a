//! The ledger: every call that reached the API, in order, with what it asked and what became of it.
//!
//! Deliberately knows nothing of how calls are answered; it keeps what it is told, within bounds.

use std::collections::VecDeque;
use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::fault::Injected;
use crate::limits::{MAX_LEDGER_BYTES, MAX_LEDGER_ENTRIES};
use crate::words::Route;

/// One call, as it ended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// Position in the ledger, from 1, without gaps.
    pub seq: u64,
    /// When the call was dealt with.
    pub at: Timestamp,
    /// Which call it was.
    pub route: Route,
    /// The task or account in the path; empty for a list.
    pub id: String,
    /// What the call sent: `limit`, `link_post`, `error_message`, or the fields of a PUT. Empty where
    /// the key was wrong or the body could not be read.
    pub sent: Sent,
    /// Whether the call did something: a read found its record, a write changed it. A repeat that was
    /// accepted and changed nothing did not.
    pub applied: bool,
    /// The HTTP status of the answer; `None` where the connection was closed without one.
    pub status: Option<u16>,
    /// The fault that was injected into the call.
    pub fault: Option<Injected>,
}

impl LedgerEntry {
    /// An entry for a call that has sent nothing and done nothing yet.
    pub(crate) fn new(at: Timestamp, route: Route, id: &str) -> Self {
        Self { seq: 0, at, route, id: id.to_owned(), sent: Sent::default(), applied: false, status: None, fault: None }
    }
}

/// Names and values that a call sent. `Debug` shows the names only, since cookies are among the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sent(Vec<(String, String)>);

impl Sent {
    /// The value of a field, where it was sent as text; other JSON is shown as JSON.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }

    /// The names of the fields, in the order in which they were sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl FromIterator<(String, String)> for Sent {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Serialize for Sent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A copy of the ledger at one moment. Values are in the entries; `Debug` shows no value that was sent.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: VecDeque<LedgerEntry>,
    dropped: u64,
    bytes: usize,
}

impl Ledger {
    /// Every entry that is still held, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &LedgerEntry> {
        self.entries.iter()
    }

    /// How many entries were dropped, oldest first, to stay within the bounds.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The entries of one call with one id, in any outcome.
    pub fn calls<'a>(&'a self, route: Route, id: &'a str) -> impl DoubleEndedIterator<Item = &'a LedgerEntry> {
        self.entries().filter(move |entry| entry.route == route && entry.id == id)
    }

    /// How often a task went from waiting to running.
    #[must_use]
    pub fn starts_of(&self, task: &str) -> usize {
        self.applied(Route::Start, task)
    }

    /// How often a `link_post` was recorded for a task: 0 or 1.
    #[must_use]
    pub fn completes_of(&self, task: &str) -> usize {
        self.applied(Route::Complete, task)
    }

    /// How often a failure was recorded for a task.
    #[must_use]
    pub fn fails_of(&self, task: &str) -> usize {
        self.applied(Route::Fail, task)
    }

    /// How often an account was read.
    #[must_use]
    pub fn reads_of(&self, account: &str) -> usize {
        self.applied(Route::AccountRead, account)
    }

    /// How often an account was written.
    #[must_use]
    pub fn puts_of(&self, account: &str) -> usize {
        self.applied(Route::AccountPut, account)
    }

    fn applied(&self, route: Route, id: &str) -> usize {
        self.calls(route, id).filter(|entry| entry.applied).count()
    }

    /// Adds an entry under the next number, dropping the oldest ones beyond the bounds.
    pub(crate) fn push(&mut self, mut entry: LedgerEntry) {
        entry.seq = self.last_seq() + 1;
        self.bytes += entry.sent.bytes();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_LEDGER_ENTRIES || self.bytes > MAX_LEDGER_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.sent.bytes();
            self.dropped += 1;
        }
    }

    /// The number of the newest entry; 0 before the first.
    pub(crate) fn last_seq(&self) -> u64 {
        // Numbers have no gaps, so the count of all entries is the newest one's number.
        self.dropped + self.entries.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sent: Sent) -> LedgerEntry {
        LedgerEntry { sent, ..LedgerEntry::new(Timestamp::UNIX_EPOCH, Route::AccountPut, "a1") }
    }

    #[test]
    fn the_oldest_entries_are_dropped_and_counted_beyond_the_bound() {
        let mut ledger = Ledger::default();
        for _ in 0..MAX_LEDGER_ENTRIES + 3 {
            ledger.push(entry(Sent::default()));
        }
        assert_eq!(ledger.entries().count(), MAX_LEDGER_ENTRIES);
        assert_eq!(ledger.dropped(), 3);
        assert_eq!(ledger.entries().next().map(|entry| entry.seq), Some(4));
        assert_eq!(ledger.last_seq(), MAX_LEDGER_ENTRIES as u64 + 3);
    }

    #[test]
    fn large_values_are_bounded_in_bytes() {
        let mut ledger = Ledger::default();
        let large = "x".repeat(MAX_LEDGER_BYTES / 4);
        for _ in 0..6 {
            ledger.push(entry([("cookie".to_owned(), large.clone())].into_iter().collect()));
        }
        assert_eq!(ledger.entries().count(), 3);
        assert_eq!(ledger.dropped(), 3);
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let mut ledger = Ledger::default();
        ledger.push(entry([("cookie".to_owned(), "sid=canary".to_owned())].into_iter().collect()));
        let shown = format!("{ledger:?}");
        assert!(shown.contains("cookie"));
        assert!(!shown.contains("canary"));
    }
}
