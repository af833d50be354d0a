//! Who did what: events are sealed here and chained by the store. Knows no chain.

use crate::{
    Vault,
    crypto::{Kind, Place},
    model::{AccountId, Action, AuditEvent, MessageId, Outcome},
    record::Malformed,
    store::{Changes, NewAudit, StoreError, Tampering, Token},
};

/// An entry as it is read back.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Its place in the chain, from 1.
    pub seq: u64,
    /// The fencing token that a grant gave.
    pub token: Option<Token>,
    /// What happened.
    pub event: AuditEvent,
}

impl Vault {
    /// Up to `limit` entries after place `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read or do not open.
    pub async fn audit_entries(&self, after: u64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = self.store.audit(after, limit.min(AUDIT_PAGE_MAX)).await?;
        rows.into_iter()
            .map(|row| {
                let place = Place { kind: Kind::Audit, id: row.id, rev: 1 };
                let opened = self.keys().open(place, row.sealed.as_bytes());
                let opened = opened.map_err(|_| StoreError::tampered(Tampering::Audit, None))?;
                let event = AuditEvent::from_bytes(&opened);
                let event = event.map_err(|_: Malformed| StoreError::tampered(Tampering::Audit, None))?;
                Ok(AuditEntry { seq: row.seq, token: row.token, event })
            })
            .collect()
    }

    /// Seals an event of something that is done by the very transaction that it belongs to.
    pub(crate) fn event(
        &self,
        action: Action,
        account: Option<AccountId>,
        detail: impl Into<String>,
    ) -> Result<NewAudit, StoreError> {
        self.event_of(action, Outcome::Done, account, detail)
    }

    /// Seals an event, however it ended, for the transaction that it belongs to.
    pub(crate) fn event_of(
        &self,
        action: Action,
        outcome: Outcome,
        account: Option<AccountId>,
        detail: impl Into<String>,
    ) -> Result<NewAudit, StoreError> {
        let mut detail = detail.into();
        if let Some((cut, _)) = detail.char_indices().nth(DETAIL_MAX_CHARS) {
            detail.truncate(cut);
        }
        let at_ms = self.opener.clock.wall_ms();
        let event = AuditEvent { at_ms, actor: self.opener.actor.clone(), action, outcome, account, detail };
        let id = *MessageId::generate().map_err(|_| no_randomness())?.as_bytes();
        let sealed = self.keys().seal(Place { kind: Kind::Audit, id, rev: 1 }, &event.to_bytes());
        Ok(NewAudit { id, sealed: sealed.map_err(|_| no_randomness())? })
    }

    /// Writes an event of something done in a transaction of its own; when this returns, it is durable.
    pub(crate) async fn note(
        &self,
        action: Action,
        account: Option<AccountId>,
        detail: impl Into<String> + Send,
    ) -> Result<(), StoreError> {
        self.note_of(action, Outcome::Done, account, detail).await
    }

    /// Writes one event, however it ended, in a transaction of its own; when this returns, it is durable.
    pub(crate) async fn note_of(
        &self,
        action: Action,
        outcome: Outcome,
        account: Option<AccountId>,
        detail: impl Into<String> + Send,
    ) -> Result<(), StoreError> {
        let audit = vec![self.event_of(action, outcome, account, detail)?];
        // Nothing but the entry is written, so there is nothing that could be stale.
        self.store.save(Changes { audit, ..Changes::default() }).await.map(|_| ())
    }
}

/// The one reason for which sealing fails: the operating system gave no randomness.
pub(crate) fn no_randomness() -> StoreError {
    StoreError::Io { during: "sealing", source: std::io::Error::other("the operating system's random source failed") }
}

/// Entries in one page.
const AUDIT_PAGE_MAX: u32 = 10_000;
/// An entry names fields and outcomes, no texts.
const DETAIL_MAX_CHARS: usize = 500;
