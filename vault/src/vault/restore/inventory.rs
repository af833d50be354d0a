//! What a vault holds, counted and compared with another state of it. Opens no record but the newest audit entry.

use std::collections::BTreeMap;

use crate::{
    Vault,
    items::ItemKind,
    model::AccountId,
    store::{FindAccounts, FindItems, FindOutbox, StoreError},
};

/// What a vault holds.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Its newest commit.
    pub counter: u64,
    /// When its newest audit entry was written, Unix milliseconds; 0 where there is none.
    pub last_ms: i64,
    /// How many accounts it has.
    pub accounts: usize,
    /// How many of them have a session.
    pub sessions: usize,
    /// How many attempts at tasks, and logins, it remembers.
    pub attempts: usize,
    /// How many messages it owes to the manager.
    pub owed: usize,
    rows: Box<Rows>,
}

/// How many records of each kind are lost, changed or come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts.
    pub accounts: Change,
    /// Sessions.
    pub sessions: Change,
    /// Attempts at tasks, and logins.
    pub attempts: Change,
    /// Messages to the manager.
    pub owed: Change,
}

/// Records of one kind in one state and in another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// In the present vault only.
    pub lost: usize,
    /// In both, and not the same.
    pub changed: usize,
    /// In the backup only.
    pub back: usize,
}

/// The revision of each record, by its id.
type Revisions = BTreeMap<[u8; 16], u64>;

#[derive(Clone, Debug, Default)]
struct Rows {
    accounts: Revisions,
    sessions: Revisions,
    attempts: Revisions,
    owed: Revisions,
}

impl Counts {
    /// From the present state to the one of a backup.
    #[must_use]
    pub fn between(present: &Inventory, backup: &Inventory) -> Self {
        let (from, to) = (&present.rows, &backup.rows);
        Self {
            accounts: Change::between(&from.accounts, &to.accounts),
            sessions: Change::between(&from.sessions, &to.sessions),
            attempts: Change::between(&from.attempts, &to.attempts),
            owed: Change::between(&from.owed, &to.owed),
        }
    }
}

impl Change {
    fn between(present: &Revisions, backup: &Revisions) -> Self {
        let mut change = Self::default();
        for (id, rev) in present {
            match backup.get(id) {
                None => change.lost += 1,
                Some(other) if other != rev => change.changed += 1,
                Some(_) => {}
            }
        }
        change.back = backup.keys().filter(|id| !present.contains_key(*id)).count();
        change
    }
}

/// Counts what an open vault holds.
pub(super) async fn take(vault: &Vault) -> Result<Inventory, StoreError> {
    let mut rows = Box::<Rows>::default();
    let mut after: Option<AccountId> = None;
    loop {
        let page = vault.store.accounts(FindAccounts::All, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for account in &page {
            rows.accounts.insert(*account.id.as_bytes(), account.rev);
            if let Some((_, Some(session))) = vault.store.account(account.id).await? {
                rows.sessions.insert(*account.id.as_bytes(), session.rev);
            }
        }
    }
    for kind in [ItemKind::LoginIntent, ItemKind::Attempt] {
        let items = vault.store.items(FindItems::All(kind as u8), MAX).await?;
        rows.attempts.extend(items.iter().map(|item| (item.id, item.rev)));
    }
    let owed = vault.store.outbox(FindOutbox::All, MAX).await?;
    rows.owed.extend(owed.iter().map(|message| (*message.id.as_bytes(), message.rev)));
    Ok(Inventory {
        counter: vault.store.head().counter,
        last_ms: last_ms(vault).await?,
        accounts: rows.accounts.len(),
        sessions: rows.sessions.len(),
        attempts: rows.attempts.len(),
        owed: rows.owed.len(),
        rows,
    })
}

async fn last_ms(vault: &Vault) -> Result<i64, StoreError> {
    let mut last = 0;
    loop {
        let page = vault.store.audit(last, PAGE).await?;
        match page.last() {
            Some(row) => last = row.seq,
            None => break,
        }
    }
    let entry = vault.audit_entries(last.saturating_sub(1), 1).await?;
    Ok(entry.last().map_or(0, |entry| entry.event.at_ms))
}

/// Rows read at a time.
const PAGE: u32 = 1000;
/// Attempts and messages that are compared; a vault with more has them counted up to here.
const MAX: u32 = 1_000_000;
