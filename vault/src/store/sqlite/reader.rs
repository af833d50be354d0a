//! Readers beside the writer: a small pool of read-only connections.
//!
//! A row is handed out only after its MAC was checked and its bucket compared, once per process, with the digest.

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Row, params};

use super::{
    database,
    known::{Known, Verified, bucket_sum},
    profile, snapshot,
    tables::{Table, int, one, uint},
    verbs,
};
use crate::{
    crypto::{Header, Sealed},
    model::{AccountId, BootStamp},
    store::{
        AccountRow, AuditRow, BUCKETS, Binder, EntriesHasher, FindAccounts, FindItems, FindOutbox, Finding,
        HeldAccount, Hold, ItemRow, KeyMaterial, LeaseRow, OutboxRow, Owed, Progress, RowName, SessionRow, StoreError,
        Tampering, Token, bucket_of, entry_hash, same_mac,
    },
};

/// The pool.
pub(super) struct Readers {
    path: PathBuf,
    binder: Arc<dyn Binder>,
    verified: Arc<Verified>,
    idle: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    idle: Vec<Connection>,
    lent: usize,
    /// Threads that wait for a connection: waking nobody would still be a system call, in every read.
    waiting: usize,
    closed: bool,
}

/// A connection on loan, or the right to open one; it comes back when this is dropped, after a panic too.
struct Lent<'a> {
    readers: &'a Readers,
    conn: Option<Connection>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, binder: Arc<dyn Binder>, verified: Arc<Verified>) -> Self {
        let idle = Mutex::new(Pool { idle: Vec::new(), lent: 0, waiting: 0, closed: false });
        Self { path, binder, verified, idle, returned: Condvar::new() }
    }

    /// Closes the connections; those that are lent close when they come back.
    pub(super) fn close(&self) {
        let mut pool = self.pool();
        pool.closed = true;
        pool.idle.clear();
        self.returned.notify_all();
    }

    pub(super) fn account(&self, id: AccountId) -> Result<Option<(AccountRow, Option<SessionRow>)>, StoreError> {
        let key = id.as_bytes();
        self.read(|conn| {
            self.check_bucket(conn, bucket_of(key))?;
            let binder = self.binder.as_ref();
            // The session belongs to the account's revision beside it.
            AccountRow::load_then(conn, binder, key, |account| {
                let Some(account) = account else { return Ok(None) };
                Ok(Some((account, SessionRow::load(conn, binder, key)?)))
            })
        })
    }

    /// The account of a lease, where the hold is live at the time that `now` gives once the lease was read.
    pub(super) fn account_held(&self, hold: &Hold, now: impl FnOnce() -> BootStamp) -> Result<HeldAccount, StoreError> {
        let key = &hold.resource;
        self.read(|conn| {
            self.check_bucket(conn, bucket_of(key))?;
            let binder = self.binder.as_ref();
            LeaseRow::load_then(conn, binder, key, |lease| {
                if !lease.is_some_and(|lease| lease.is_live(hold.token, hold.holder, now())) {
                    return Ok(HeldAccount::Fenced);
                }
                Ok(AccountRow::load(conn, binder, key)?.map_or(HeldAccount::Removed, HeldAccount::Row))
            })
        })
    }

    pub(super) fn accounts(
        &self,
        find: FindAccounts,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountRow>, StoreError> {
        let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        self.read(|conn| {
            let (column, index) = match find {
                FindAccounts::All => {
                    return self.page(conn, params![after, limit]);
                }
                FindAccounts::Site(index) => ("ix_site", index),
                FindAccounts::Login(index) => ("ix_login", index),
                FindAccounts::Manager(index) => ("ix_manager", index),
            };
            let rest = format!("WHERE {column} = ?1 AND {{key}} > ?2 ORDER BY {{key}} LIMIT ?3");
            self.select(conn, &rest, params![index.as_slice(), after, limit], |row: &AccountRow| match find {
                FindAccounts::All => true,
                FindAccounts::Site(index) => row.ix_site == index,
                FindAccounts::Login(index) => row.ix_login == Some(index),
                FindAccounts::Manager(index) => row.ix_manager == Some(index),
            })
        })
    }

    pub(super) fn lease(&self, resource: [u8; 16]) -> Result<Option<LeaseRow>, StoreError> {
        self.read(|conn| {
            self.check_bucket(conn, bucket_of(&resource))?;
            LeaseRow::load(conn, self.binder.as_ref(), &resource)
        })
    }

    pub(super) fn items(&self, find: FindItems, limit: u32) -> Result<Vec<ItemRow>, StoreError> {
        self.read(|conn| match find {
            FindItems::Id(tag, id) => {
                self.check_bucket(conn, bucket_of(&id))?;
                let row = ItemRow::load(conn, self.binder.as_ref(), &id)?;
                Ok(row.into_iter().filter(|row| row.tag == tag).take(limit as usize).collect())
            }
            FindItems::Index(tag, ix) => {
                let rest = "WHERE tag = ?1 AND ix = ?2 ORDER BY {key} LIMIT ?3";
                let asked = |row: &ItemRow| row.tag == tag && row.ix == Some(ix);
                self.select(conn, rest, params![tag, ix.as_slice(), limit], asked)
            }
            FindItems::Open(tag) => {
                let rest = "WHERE tag = ?1 AND open = 1 ORDER BY {key} LIMIT ?2";
                self.select(conn, rest, params![tag, limit], |row: &ItemRow| row.tag == tag && row.open)
            }
            FindItems::All(tag) => {
                let rest = "WHERE tag = ?1 ORDER BY {key} LIMIT ?2";
                self.select(conn, rest, params![tag, limit], |row: &ItemRow| row.tag == tag)
            }
        })
    }

    pub(super) fn outbox(&self, find: FindOutbox, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(|conn| match find {
            FindOutbox::All => self.select(conn, "ORDER BY seq LIMIT ?1", params![limit], |_: &OutboxRow| true),
            FindOutbox::DueBy(lane, ms) => {
                let rest = "WHERE lane = ?1 AND state IN (1, 2) AND due_ms <= ?2 ORDER BY seq LIMIT ?3";
                let asked = |row: &OutboxRow| row.lane == lane && row.state != Owed::Stuck && row.due_ms <= ms;
                self.select(conn, rest, params![lane as u8, ms, limit], asked)
            }
            FindOutbox::Subject(subject) => {
                let rest = "WHERE subject = ?1 ORDER BY seq LIMIT ?2";
                self.select(conn, rest, params![subject.as_slice(), limit], |row: &OutboxRow| row.subject == subject)
            }
        })
    }

    pub(super) fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let rows = |conn: &Connection| {
            conn.prepare_cached(&format!("{AUDIT_ROWS} WHERE seq > ?1 ORDER BY seq, writer LIMIT ?2"))?
                .query_map(params![int(after), limit], audit_row)?
                .collect::<rusqlite::Result<_>>()
        };
        self.read(|conn| rows(conn).map_err(|e| database("reading the audit", &e)))
    }

    pub(super) fn key_material(&self) -> Result<KeyMaterial, StoreError> {
        self.read(|conn| verbs::read_keys(conn).map_err(|e| database("reading the key slots", &e)))
    }

    /// The full check, in one snapshot.
    pub(super) fn verify(&self, progress: &Progress) -> Result<Vec<Finding>, StoreError> {
        self.read(|conn| snapshot(conn, |conn| self.verify_snapshot(conn, progress)))
    }

    fn verify_snapshot(&self, conn: &Connection, progress: &Progress) -> Result<Vec<Finding>, StoreError> {
        let binder = self.binder.as_ref();
        let mut findings = Vec::new();
        let mut known = match Known::load(conn, binder) {
            Ok(known) => known,
            Err(error) => return Ok(vec![finding(&error, "the header or the digest's top")?]),
        };
        let pages: Result<String, _> = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        let pages = pages.map_err(|e| database("checking the pages", &e)).unwrap_or_else(|e| e.to_string());
        if pages != "ok" {
            findings.push(Finding {
                class: Tampering::Substitution,
                row: None,
                what: format!("damaged pages: {pages}"),
            });
        }
        let buckets = BUCKETS as u64;
        for bucket in 0..u16::try_from(BUCKETS).unwrap_or(u16::MAX) {
            let checked = known.sum(conn, binder, bucket).and_then(|expected| {
                let same = bucket_sum(conn, binder, bucket)? == expected;
                if same { Ok(()) } else { Err(StoreError::tampered(Tampering::Digest, None)) }
            });
            match checked {
                Ok(()) => self.verified.add(bucket),
                Err(error) => findings.push(finding(&error, &format!("bucket {bucket}"))?),
            }
            if findings.len() >= FINDINGS_MAX {
                return Ok(findings);
            }
            progress(u64::from(bucket) + 1, buckets);
        }
        let keys = verbs::read_keys(conn).map_err(|e| database("reading the key slots", &e));
        for (at, checked) in [
            ("the log of past headers", known.check_log(conn, binder)),
            ("the key slots", keys.and_then(|keys| known.check_keys(&keys))),
            ("the audit chain", check_audit(conn, binder, &known.header)),
        ] {
            if let Err(error) = checked {
                findings.push(finding(&error, at)?);
            }
        }
        Ok(findings)
    }

    fn check_bucket(&self, conn: &Connection, bucket: u16) -> Result<(), StoreError> {
        if self.verified.has(bucket) {
            return Ok(());
        }
        let binder = self.binder.as_ref();
        let (expected, found) = snapshot(conn, |conn| {
            Ok((Known::load(conn, binder)?.sum(conn, binder, bucket)?, bucket_sum(conn, binder, bucket)?))
        })?;
        if found != expected {
            return Err(StoreError::tampered(Tampering::Digest, None));
        }
        self.verified.add(bucket);
        Ok(())
    }

    /// The rows whose keys SQLite's indexes lead to. No index is authenticated: a forged one may lead to a stale row that
    /// the index of the keys does not list, and no bucket counts. So a row is taken by its key, as the check of its bucket
    /// takes it, and `asked` says whether it is one that was asked for.
    fn select<T: Table>(
        &self,
        conn: &Connection,
        rest: &str,
        args: impl rusqlite::Params,
        asked: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, StoreError> {
        let binder = self.binder.as_ref();
        let rows = snapshot(conn, |conn| {
            let keys = T::keys(conn, rest, args)?;
            let load = |key| match T::load(conn, binder, &key)? {
                Some(row) if asked(&row) => Ok(row),
                row => {
                    let row = row.as_ref().map(RowName::of);
                    Err(StoreError::tampered(Tampering::Substitution, row))
                }
            };
            keys.into_iter().map(load).collect::<Result<Vec<T>, _>>()
        })?;
        rows.iter().try_for_each(|row| self.check_bucket(conn, bucket_of(&row.place().id)))?;
        Ok(rows)
    }

    /// The rows after a key, in the order of their keys: the way that the check of a bucket goes as well.
    fn page<T: Table>(&self, conn: &Connection, after_and_limit: impl rusqlite::Params) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        let rest = "WHERE {key} > ?1 ORDER BY {key} LIMIT ?2";
        T::each(conn, self.binder.as_ref(), rest, after_and_limit, |row: T, _| {
            rows.push(row);
            Ok(())
        })?;
        rows.iter().try_for_each(|row| self.check_bucket(conn, bucket_of(&row.place().id)))?;
        Ok(rows)
    }

    fn read<T>(&self, run: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut lent = self.lend()?;
        let conn = match lent.conn.take() {
            Some(conn) => conn,
            None => profile::connect(&self.path, false)?,
        };
        run(lent.conn.insert(conn))
    }

    fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let mut pool = self.pool();
        while !pool.closed {
            if pool.lent < READERS {
                pool.lent += 1;
                return Ok(Lent { readers: self, conn: pool.idle.pop() });
            }
            pool.waiting += 1;
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
            pool.waiting -= 1;
        }
        Err(StoreError::Closed)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.lent -= 1;
        // A connection that failed in the middle of a transaction is not lent again.
        let sound = self.conn.take().filter(|conn| !pool.closed && conn.is_autocommit());
        pool.idle.extend(sound);
        let waited_for = pool.waiting > 0;
        drop(pool);
        if waited_for {
            self.readers.returned.notify_one();
        }
    }
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let token = match (row.get::<_, Option<u32>>(3)?, row.get::<_, Option<i64>>(4)?) {
        (Some(incarnation), Some(n)) => Some(Token { incarnation, n: n.cast_unsigned() }),
        _ => None,
    };
    let sealed = Sealed::from_bytes(row.get(5)?);
    Ok(AuditRow { writer: uint(row, 0)?, seq: uint(row, 1)?, id: row.get(2)?, token, sealed })
}

/// Every link against its entries and its predecessor, the last against the sealed head; one entry in memory at a time.
fn check_audit(conn: &Connection, binder: &dyn Binder, header: &Header) -> Result<(), StoreError> {
    let db = |e| database("reading the audit chain", &e);
    let bad = || StoreError::tampered(Tampering::Audit, None);
    let count = |table| one::<i64>(conn, &format!("SELECT count(*) FROM {table}"), []).map_err(db);
    let (mut all_links, mut all_entries) = (0, 0);
    for head in &header.audit {
        let mut links = conn
            .prepare_cached("SELECT no, first, last, epoch, mac FROM audit_link WHERE writer = ?1 ORDER BY no")
            .map_err(db)?;
        let mut links = links.query([int(head.writer)]).map_err(db)?;
        let mut entries = conn.prepare_cached(&format!("{AUDIT_ROWS} WHERE writer = ?1 ORDER BY seq")).map_err(db)?;
        let mut entries = entries.query([int(head.writer)]).map_err(db)?;
        let (mut no, mut seq, mut link) = (0, 0, [0; 32]);
        while let Some(row) = links.next().map_err(db)? {
            let (this, first, last, epoch, mac): (u64, u64, u64, u32, [u8; 32]) =
                (|| Ok((uint(row, 0)?, uint(row, 1)?, uint(row, 2)?, row.get(3)?, row.get(4)?)))().map_err(db)?;
            if this != no + 1 || first != seq + 1 || last < first {
                return Err(bad());
            }
            let mut hasher = EntriesHasher::default();
            while seq < last {
                seq += 1;
                let entry = audit_row(entries.next().map_err(db)?.ok_or_else(bad)?).map_err(db)?;
                if entry.seq != seq {
                    return Err(bad());
                }
                hasher.add(&entry_hash(seq, &entry.id, entry.token, entry.sealed.as_bytes()));
            }
            link = binder.audit_link(epoch, &link, head.writer, first, last, &hasher.finish()).map_err(|_| bad())?;
            if !same_mac(&link, &mac) {
                return Err(bad());
            }
            no = this;
        }
        if no != head.links || seq != head.last_seq || !same_mac(&link, &head.link) {
            return Err(bad());
        }
        (all_links, all_entries) = (all_links + no, all_entries + seq);
    }
    // What is beyond the heads, or of writers that have none, was planted.
    let beyond = [("audit_link", all_links), ("audit", all_entries)].into_iter().map(|(table, all)| {
        let found = count(table)?.unwrap_or(0).cast_unsigned();
        if found == all { Ok(()) } else { Err(bad()) }
    });
    beyond.collect()
}

/// What is wrong, as a finding; errors that are no tampering go on as errors.
fn finding(error: &StoreError, at: &str) -> Result<Finding, StoreError> {
    match error {
        StoreError::Tampered { class, row } => Ok(Finding { class: *class, row: *row, what: format!("{at}: {error}") }),
        StoreError::Database { during, code } => Err(StoreError::Database { during, code: *code }),
        _ => Ok(Finding { class: Tampering::Substitution, row: None::<RowName>, what: format!("{at}: {error}") }),
    }
}

const AUDIT_ROWS: &str = "SELECT writer, seq, id, incarnation, n, sealed FROM audit";
/// Connections for reading: reads take microseconds, so more than cores gain nothing.
const READERS: usize = 8;
/// A check that finds this much has shown enough; the report stays readable.
const FINDINGS_MAX: usize = 1000;
