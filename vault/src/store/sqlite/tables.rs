//! How each row lies in its table, and that none is handed out before its MAC was checked.
//!
//! Whether a row may be written is decided elsewhere.

mod waiter;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::database;
use crate::{
    crypto::{Place, Sealed},
    model::{AccountId, HolderId, MessageId},
    store::{
        AccountRow, Binder, BoundRow, ItemRow, Lane, LeaseRow, NotAuthentic, OutboxRow, Owed, RowName, SessionRow,
        StoreError, Tampering, Token, TotpRow, same_mac,
    },
};

/// A row with the MAC that stood beside it, not checked yet.
pub(super) struct Stored<T> {
    row: T,
    mac: Vec<u8>,
}

impl<T: BoundRow> Stored<T> {
    /// Where it claims to stand.
    pub(super) fn place(&self) -> Place {
        self.row.place()
    }
}

/// A kind of row that lies in a table of its own under a 16-byte key.
pub(super) trait Table: BoundRow + PartialEq + Sized {
    /// The table's name.
    const NAME: &'static str;
    /// The column of its key.
    const KEY: &'static str;
    /// Its columns, the MAC last.
    const COLUMNS: &'static str;
    /// The query of the row with key `?1`, whole: putting it together costs as much as a tenth of the read.
    const LOAD: &'static str;

    /// Which of its rows of an older epoch are bound again where they lie, as a further condition.
    const REBOUND_WHERE: &'static str = "";

    /// How many sealed bytes it has.
    fn bytes(&self) -> usize;

    /// Reads a row of [`Table::COLUMNS`].
    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>>;

    /// Inserts the row or replaces the one with its key.
    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()>;

    /// A row of an older epoch as it is under the current one.
    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic>;

    /// The row with this key.
    fn load(conn: &Connection, binder: &dyn Binder, key: &[u8; 16]) -> Result<Option<Self>, StoreError> {
        Self::load_then(conn, binder, key, None, Ok)
    }

    /// The row with this key; what `then` reads after it, where there is one, is read from the same snapshot.
    ///
    /// `known` was authentic when it was read under this key: while the row is the same, it is not authenticated again.
    ///
    /// The query is still active while `then` runs, and SQLite's implicit transaction ends with the last active query
    /// (sqlite.org/lang_transaction.html): two statements less than to begin and end one.
    fn load_then<R>(
        conn: &Connection,
        binder: &dyn Binder,
        key: &[u8; 16],
        known: Option<&Self>,
        then: impl FnOnce(Option<Self>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let db = |e| database("reading a row", &e);
        let mut select = conn.prepare_cached(Self::LOAD).map_err(db)?;
        let mut rows = select.query([key.as_slice()]).map_err(db)?;
        let Some(row) = rows.next().map_err(db)? else { return then(None) };
        let stored = Self::read(row).map_err(db)?;
        if stored.place().id != *key {
            // The index of the keys is no more authenticated than any other.
            return Err(StoreError::tampered(Tampering::Substitution, Some(RowName::of(&stored.row))));
        }
        let is_same = known.is_some_and(|known| *known == stored.row);
        // Whoever has seen it: under a key that was retired since, nothing is stored any more.
        let is_known = is_same && binder.is_stored(stored.row.epoch());
        then(Some(if is_known { stored.row } else { authentic(binder, stored)?.0 }))
    }

    /// The keys of the rows that satisfy a condition, in which `{key}` stands for the key column.
    fn keys(conn: &Connection, rest: &str, args: impl rusqlite::Params) -> Result<Vec<[u8; 16]>, StoreError> {
        let db = |e| database("looking rows up", &e);
        let sql = format!("SELECT {} FROM {} {}", Self::KEY, Self::NAME, rest.replace("{key}", Self::KEY));
        let mut select = conn.prepare_cached(&sql).map_err(db)?;
        let keys = select.query_map(args, |row| row.get(0)).map_err(db)?;
        keys.collect::<rusqlite::Result<_>>().map_err(db)
    }

    /// Gives the rows of a condition, in which `{key}` stands for the key column, to `take`, with their hashes.
    ///
    /// The first row that is not authentic ends it: a planted file makes us hold one false row at a time.
    fn each(
        conn: &Connection,
        binder: &dyn Binder,
        rest: &str,
        args: impl rusqlite::Params,
        mut take: impl FnMut(Self, [u8; 32]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let db = |e| database("reading rows", &e);
        let rest = rest.replace("{key}", Self::KEY);
        let sql = format!("SELECT {} FROM {} {rest}", Self::COLUMNS, Self::NAME);
        let mut select = conn.prepare_cached(&sql).map_err(db)?;
        let mut rows = select.query(args).map_err(db)?;
        while let Some(row) = rows.next().map_err(db)? {
            let (row, hash) = authentic(binder, Self::read(row).map_err(db)?)?;
            take(row, hash)?;
        }
        Ok(())
    }

    /// The MAC of the row with this key, not checked.
    fn mac(conn: &Connection, key: &[u8; 16]) -> rusqlite::Result<Option<Vec<u8>>> {
        one(conn, &format!("SELECT mac FROM {} WHERE {} = ?1", Self::NAME, Self::KEY), [key.as_slice()])
    }

    /// Deletes the row with this key.
    fn delete(conn: &Connection, key: &[u8; 16]) -> rusqlite::Result<()> {
        let sql = format!("DELETE FROM {} WHERE {} = ?1", Self::NAME, Self::KEY);
        conn.prepare_cached(&sql)?.execute(params![key.as_slice()])?;
        Ok(())
    }
}

/// The names of a table, and the query of one row.
macro_rules! table {
    ($name:literal, $key:literal, $columns:literal) => {
        const NAME: &'static str = $name;
        const KEY: &'static str = $key;
        const COLUMNS: &'static str = $columns;
        const LOAD: &'static str = concat!("SELECT ", $columns, " FROM ", $name, " WHERE ", $key, " = ?1");
    };
}

impl Table for AccountRow {
    table!("account", "id", "id, rev, epoch, ix_site, ix_login, ix_manager, sealed, mac");

    fn bytes(&self) -> usize {
        self.sealed.as_bytes().len()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>> {
        let account = Self {
            id: AccountId::from_bytes(row.get(0)?),
            rev: uint(row, 1)?,
            epoch: row.get(2)?,
            ix_site: row.get(3)?,
            ix_login: row.get(4)?,
            ix_manager: row.get(5)?,
            sealed: Sealed::from_bytes(row.get(6)?),
        };
        Ok(Stored { row: account, mac: row.get(7)? })
    }

    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic> {
        binder.rebind_account(self).map(|(row, _)| row)
    }

    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()> {
        // Not OR REPLACE: that would delete another account with the same login.
        conn.prepare_cached(
            "INSERT INTO account VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET rev = ?2,
             epoch = ?3, ix_site = ?4, ix_login = ?5, ix_manager = ?6, sealed = ?7, mac = ?8",
        )?
        .execute(params![
            self.id.as_bytes().as_slice(),
            int(self.rev),
            self.epoch,
            self.ix_site.as_slice(),
            self.ix_login.as_ref().map(<[u8; 16]>::as_slice),
            self.ix_manager.as_ref().map(<[u8; 16]>::as_slice),
            self.sealed.as_bytes(),
            mac.as_slice()
        ])?;
        Ok(())
    }
}

impl Table for SessionRow {
    table!("session", "account", "account, rev, epoch, login_epoch, sealed, mac");

    fn bytes(&self) -> usize {
        self.sealed.as_bytes().len()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>> {
        let session = Self {
            account: AccountId::from_bytes(row.get(0)?),
            rev: uint(row, 1)?,
            epoch: row.get(2)?,
            login_epoch: uint(row, 3)?,
            sealed: Sealed::from_bytes(row.get(4)?),
        };
        Ok(Stored { row: session, mac: row.get(5)? })
    }

    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic> {
        let sealed = binder.reseal(self.place(), &self.sealed)?.unwrap_or_else(|| self.sealed.clone());
        Ok(Self { epoch: binder.epoch(), sealed, ..self.clone() })
    }

    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()> {
        // Here and below not OR REPLACE: that would delete the row and append another, page by page to the file's end.
        conn.prepare_cached(
            "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account) DO UPDATE SET rev = ?2,
             epoch = ?3, login_epoch = ?4, sealed = ?5, mac = ?6",
        )?
        .execute(params![
            self.account.as_bytes().as_slice(),
            int(self.rev),
            self.epoch,
            int(self.login_epoch),
            self.sealed.as_bytes(),
            mac.as_slice()
        ])?;
        Ok(())
    }
}

impl Table for LeaseRow {
    table!(
        "lease",
        "resource",
        "resource, rev, epoch, incarnation, n, held, holder, boot_id, until_ms, free_at_ms, mac"
    );
    // Those of names are moved where their names are known. The places of an account have all but its last byte.
    const REBOUND_WHERE: &'static str = "AND (SELECT substr(account.id, 1, 15) FROM account
        WHERE account.id >= substr(lease.resource, 1, 15) ORDER BY account.id LIMIT 1) = substr(lease.resource, 1, 15)";

    fn bytes(&self) -> usize {
        0
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>> {
        let lease = Self {
            resource: row.get(0)?,
            rev: uint(row, 1)?,
            epoch: row.get(2)?,
            token: Token { incarnation: row.get(3)?, n: uint(row, 4)? },
            held: row.get(5)?,
            holder: HolderId::from_bytes(row.get(6)?),
            boot_id: row.get(7)?,
            until_ms: uint(row, 8)?,
            free_at_ms: uint(row, 9)?,
        };
        Ok(Stored { row: lease, mac: row.get(10)? })
    }

    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic> {
        Ok(Self { epoch: binder.epoch(), ..self.clone() })
    }

    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()> {
        conn.prepare_cached("INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?
            .execute(params![
                self.resource.as_slice(),
                int(self.rev),
                self.epoch,
                self.token.incarnation,
                int(self.token.n),
                self.held,
                self.holder.as_bytes().as_slice(),
                self.boot_id.as_slice(),
                int(self.until_ms),
                int(self.free_at_ms),
                mac.as_slice()
            ])?;
        Ok(())
    }
}

impl Table for TotpRow {
    table!("totp", "secret", "secret, rev, epoch, last_step, mac");

    fn bytes(&self) -> usize {
        0
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>> {
        let totp = Self { secret: row.get(0)?, rev: uint(row, 1)?, epoch: row.get(2)?, last_step: uint(row, 3)? };
        Ok(Stored { row: totp, mac: row.get(4)? })
    }

    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic> {
        Ok(Self { epoch: binder.epoch(), ..self.clone() })
    }

    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()> {
        conn.prepare_cached("INSERT OR REPLACE INTO totp VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
            self.secret.as_slice(),
            int(self.rev),
            self.epoch,
            int(self.last_step),
            mac.as_slice()
        ])?;
        Ok(())
    }
}

impl Table for OutboxRow {
    table!("outbox", "id", "id, rev, epoch, lane, subject, after, seq, due_ms, tries, state, sealed, mac");

    fn bytes(&self) -> usize {
        self.sealed.as_bytes().len()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>> {
        let lane: u8 = row.get(3)?;
        let state: u8 = row.get(9)?;
        let after: Option<[u8; 16]> = row.get(5)?;
        let message = Self {
            id: MessageId::from_bytes(row.get(0)?),
            rev: uint(row, 1)?,
            epoch: row.get(2)?,
            lane: Lane::from_u8(lane).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, lane.into()))?,
            subject: row.get(4)?,
            after: after.map(AccountId::from_bytes),
            seq: uint(row, 6)?,
            due_ms: row.get(7)?,
            tries: row.get(8)?,
            state: Owed::from_u8(state).ok_or(rusqlite::Error::IntegralValueOutOfRange(9, state.into()))?,
            sealed: Sealed::from_bytes(row.get(10)?),
        };
        Ok(Stored { row: message, mac: row.get(11)? })
    }

    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic> {
        binder.rebind_message(self)
    }

    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()> {
        conn.prepare_cached(
            "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (id) DO UPDATE
             SET rev = ?2, epoch = ?3, lane = ?4, subject = ?5, after = ?6, seq = ?7, due_ms = ?8, tries = ?9,
             state = ?10, sealed = ?11, mac = ?12",
        )?
        .execute(params![
            self.id.as_bytes().as_slice(),
            int(self.rev),
            self.epoch,
            self.lane as u8,
            self.subject.as_slice(),
            self.after.as_ref().map(|id| id.as_bytes().as_slice()),
            int(self.seq),
            self.due_ms,
            self.tries,
            self.state as u8,
            self.sealed.as_bytes(),
            mac.as_slice()
        ])?;
        Ok(())
    }
}

impl Table for ItemRow {
    table!("item", "id", "id, tag, rev, epoch, ix, open, sealed, mac");

    fn bytes(&self) -> usize {
        self.sealed.as_bytes().len()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Stored<Self>> {
        let item = Self {
            id: row.get(0)?,
            tag: row.get(1)?,
            rev: uint(row, 2)?,
            epoch: row.get(3)?,
            ix: row.get(4)?,
            open: row.get(5)?,
            sealed: Sealed::from_bytes(row.get(6)?),
        };
        Ok(Stored { row: item, mac: row.get(7)? })
    }

    fn rebound(&self, binder: &dyn Binder) -> Result<Self, NotAuthentic> {
        binder.rebind_item(self)
    }

    fn write(&self, conn: &Connection, mac: &[u8; 32]) -> rusqlite::Result<()> {
        conn.prepare_cached(
            "INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET tag = ?2, rev = ?3,
             epoch = ?4, ix = ?5, open = ?6, sealed = ?7, mac = ?8",
        )?
        .execute(params![
            self.id.as_slice(),
            self.tag,
            int(self.rev),
            self.epoch,
            self.ix.as_ref().map(<[u8; 16]>::as_slice),
            self.open,
            self.sealed.as_bytes(),
            mac.as_slice()
        ])?;
        Ok(())
    }
}

/// The row and its hash, if its MAC is right.
pub(super) fn authentic<T: BoundRow>(binder: &dyn Binder, stored: Stored<T>) -> Result<(T, [u8; 32]), StoreError> {
    let hash = stored.row.row_hash();
    match binder.row_mac(stored.row.epoch(), stored.row.place(), &hash) {
        Ok(mac) if same_mac(&mac, &stored.mac) => Ok((stored.row, hash)),
        _ => Err(StoreError::tampered(Tampering::Substitution, Some(RowName::of(&stored.row)))),
    }
}

/// One value by a query that finds at most one row.
pub(super) fn one<T: rusqlite::types::FromSql>(
    conn: &Connection,
    sql: &str,
    args: impl rusqlite::Params,
) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached(sql)?.query_row(args, |row| row.get(0)).optional()
}

/// Unsigned numbers are stored in SQLite's signed ones bit for bit.
pub(super) fn int(n: u64) -> i64 {
    n.cast_signed()
}

/// Reads what [`int`] stored.
pub(super) fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}
