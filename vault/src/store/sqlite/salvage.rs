//! What SQLite can still read of a damaged file: by every way that leads to a row, one row at a time.
//!
//! Authenticates each row by its MAC, and nothing beyond: neither digest nor header is asked for. Writes nothing.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::{
    SqliteFile, database, profile,
    tables::{Table, authentic},
    verbs,
};
use crate::{
    model::{AccountId, VaultId},
    store::{AccountRow, Binder, FileError, SessionRow, StoreError},
};

/// Which accounts a damaged file still shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// Their ids, from the tables and from an index of them.
    pub(crate) accounts: BTreeSet<[u8; 16]>,
    /// Ways that broke off before their end: what lies behind the damage on each of them may be missing.
    pub(crate) broken: Vec<&'static str>,
}

impl SqliteFile {
    /// Opens a file for reading whatever its tables hold: neither its schema nor its version is compared.
    ///
    /// # Errors
    /// [`StoreError::File`] where it must not be taken for a vault; [`StoreError::Database`] where SQLite cannot read
    /// its key slots.
    pub fn open_damaged(path: &std::path::Path) -> Result<Self, StoreError> {
        profile::check_path(path)?;
        let identity = profile::identity(path)?;
        let conn = profile::connect(path, false)?;
        let vault: [u8; 16] = conn
            .query_row("SELECT vault FROM meta WHERE one = 1", [], |row| row.get(0))
            .map_err(|_| StoreError::File(FileError::Damaged))?;
        let keys = verbs::read_keys(&conn).map_err(|_| StoreError::File(FileError::Damaged))?;
        Ok(Self { path: path.to_owned(), conn, identity, vault: VaultId::from_bytes(vault), keys })
    }

    /// Every account id that the file still shows.
    pub(crate) fn shown(&self) -> Shown {
        let mut shown = Shown::default();
        for (way, sql) in WAYS {
            if walk(&self.conn, sql, &mut shown.accounts).is_err() {
                shown.broken.push(way);
            }
        }
        shown
    }

    /// The authentic row of an account.
    pub(crate) fn salvage_account(&self, binder: &dyn Binder, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
        self.salvage(binder, id.as_bytes())
    }

    /// The authentic row of an account's session.
    pub(crate) fn salvage_session(&self, binder: &dyn Binder, id: AccountId) -> Result<Option<SessionRow>, StoreError> {
        self.salvage(binder, id.as_bytes())
    }

    /// A row by its key; where the index of the keys is damaged, by a pass over the table for each row that it hides.
    fn salvage<T: Table>(&self, binder: &dyn Binder, key: &[u8; 16]) -> Result<Option<T>, StoreError> {
        let led = T::load(&self.conn, binder, key);
        if matches!(led, Ok(Some(_))) {
            return led;
        }
        match self.look_through(binder, key) {
            Ok(Some(row)) => Ok(Some(row)),
            _ => led,
        }
    }

    fn look_through<T: Table>(&self, binder: &dyn Binder, key: &[u8; 16]) -> Result<Option<T>, StoreError> {
        let db = |e| database("looking through a table", &e);
        let sql = format!("SELECT {} FROM {} NOT INDEXED WHERE {} = ?1", T::COLUMNS, T::NAME, T::KEY);
        let mut select = self.conn.prepare_cached(&sql).map_err(db)?;
        let mut rows = select.query([key.as_slice()]).map_err(db)?;
        let Some(row) = rows.next().map_err(db)? else { return Ok(None) };
        Ok(Some(authentic(binder, T::read(row).map_err(db)?)?.0))
    }
}

/// Takes ids until the end or the first page that cannot be read.
fn walk(conn: &Connection, sql: &str, ids: &mut BTreeSet<[u8; 16]>) -> Result<(), StoreError> {
    let db = |e| database("reading ids", &e);
    let mut select = conn.prepare(sql).map_err(db)?;
    let mut rows = select.query([]).map_err(db)?;
    while let Some(row) = rows.next().map_err(db)? {
        // What is no id was planted, and names nothing.
        if let Ok(id) = row.get(0) {
            ids.insert(id);
        }
    }
    Ok(())
}

/// A damaged page ends a walk: from both ends, and along an index, others lie in front of it.
const WAYS: [(&str, &str); 5] = [
    ("accounts", "SELECT id FROM account NOT INDEXED ORDER BY id"),
    ("accounts, from the end", "SELECT id FROM account NOT INDEXED ORDER BY id DESC"),
    ("accounts by site", "SELECT id FROM account INDEXED BY account_site ORDER BY ix_site, id"),
    ("sessions", "SELECT account FROM session NOT INDEXED ORDER BY account"),
    ("sessions, from the end", "SELECT account FROM session NOT INDEXED ORDER BY account DESC"),
];
