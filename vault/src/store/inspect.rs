//! What a full check shows to whoever has the keys, since a store sees no plaintext.

use super::{AccountRow, AuditRow, ItemRow, OutboxRow, SessionRow};

/// Looks into rows whose MACs are right, each once, in no order, from several threads.
///
/// An error says in words for a person what is wrong with what is sealed in the row.
pub trait Inspect: Send + Sync + 'static {
    /// An account.
    ///
    /// # Errors
    /// What is wrong with it.
    fn account(&self, _: &AccountRow) -> Result<(), &'static str> {
        Ok(())
    }

    /// A session.
    ///
    /// # Errors
    /// What is wrong with it.
    fn session(&self, _: &SessionRow) -> Result<(), &'static str> {
        Ok(())
    }

    /// An item.
    ///
    /// # Errors
    /// What is wrong with it.
    fn item(&self, _: &ItemRow) -> Result<(), &'static str> {
        Ok(())
    }

    /// A message of the outbox.
    ///
    /// # Errors
    /// What is wrong with it.
    fn message(&self, _: &OutboxRow) -> Result<(), &'static str> {
        Ok(())
    }

    /// An audit entry; its place in the chain is checked by the store.
    ///
    /// # Errors
    /// What is wrong with it.
    fn entry(&self, _: &AuditRow) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Looks at nothing.
impl Inspect for () {}
