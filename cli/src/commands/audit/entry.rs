//! An entry of the audit as it is printed. Knows no filter and no chain.

use latchkey_vault::AuditEntry;
use serde::Serialize;

use crate::time::rfc3339;

/// One entry.
#[derive(Serialize)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) at: String,
    at_ms: i64,
    pub(super) actor: String,
    pub(super) user: String,
    pub(super) uid: u32,
    pub(super) pid: u32,
    pub(super) action: &'static str,
    pub(super) outcome: &'static str,
    pub(super) account: Option<String>,
    token: Option<Fencing>,
    pub(super) detail: String,
}

/// The fencing token that a grant gave.
#[derive(Serialize)]
struct Fencing {
    incarnation: u32,
    n: u64,
}

impl From<&AuditEntry> for Entry {
    fn from(entry: &AuditEntry) -> Self {
        let event = &entry.event;
        Self {
            seq: entry.seq,
            at: rfc3339(event.at_ms),
            at_ms: event.at_ms,
            actor: event.actor.name.clone(),
            user: event.actor.user.clone(),
            uid: event.actor.uid,
            pid: event.actor.pid,
            action: event.action.word(),
            outcome: event.outcome.word(),
            account: event.account.map(|id| id.to_string()),
            token: entry.token.map(|token| Fencing { incarnation: token.incarnation, n: token.n }),
            detail: event.detail.clone(),
        }
    }
}
