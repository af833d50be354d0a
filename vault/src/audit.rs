//! Who did what: events are sealed here and chained by the store. Knows no chain.

use std::sync::Arc;

use crate::{
    Vault,
    crypto::{AuditHead, Kind, Place},
    inspect::{Records, open_entry},
    model::{AccountId, Action, AuditEvent, MessageId, Outcome},
    store::{AuditLink, Changes, Finding, NewAudit, Progress, RowName, StoreError, Tampering, Token, entry_hash},
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
    /// What it adds to the link that covers it (FORMAT.md, "Audit chains"), 32 bytes.
    pub hash: [u8; 32],
}

/// Where the chain of the audit ends: whoever knows this tells whether entries were cut off or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditEnd {
    /// How many links the chain has.
    pub links: u64,
    /// The number of the last entry.
    pub entries: u64,
    /// The last link.
    pub link: [u8; 32],
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
                let name = RowName { kind: Kind::Audit as u8, id: row.id };
                let event = open_entry(&self.keys(), &row);
                let event = event.map_err(|_| StoreError::tampered(Tampering::Audit, Some(name)))?;
                let hash = entry_hash(row.seq, &row.id, row.token, row.sealed.as_bytes());
                Ok(AuditEntry { seq: row.seq, token: row.token, event, hash })
            })
            .collect()
    }

    /// Up to `limit` links of the chain after link number `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub async fn audit_links(&self, after: u64, limit: u32) -> Result<Vec<AuditLink>, StoreError> {
        self.store.audit_links(after, limit.min(AUDIT_PAGE_MAX)).await
    }

    /// Where the audit ends now, as the sealed header has it.
    ///
    /// # Errors
    /// [`StoreError`] when the header cannot be read.
    pub async fn audit_end(&self) -> Result<AuditEnd, StoreError> {
        Ok(AuditEnd::of(&self.store.audit_heads().await?))
    }

    /// Checks the chain of the audit alone: every link, and that every entry opens. Says where it ends, and what is wrong.
    ///
    /// `progress` gets (done, all) in entries.
    ///
    /// # Errors
    /// [`StoreError`] when the check itself could not be made; what it found is the value.
    pub async fn verify_audit(&self, progress: Progress) -> Result<(AuditEnd, Vec<Finding>), StoreError> {
        let look = Arc::new(Records(Arc::clone(&self.binder)));
        let (heads, findings) = self.store.verify_audit(look, progress).await?;
        Ok((AuditEnd::of(&heads), findings))
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

impl AuditEnd {
    /// On one file all processes write one chain; a vault without an entry has none yet.
    fn of(heads: &[AuditHead]) -> Self {
        let end = |head: &AuditHead| Self { links: head.links, entries: head.last_seq, link: head.link };
        heads.first().map_or(Self { links: 0, entries: 0, link: [0; 32] }, end)
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
