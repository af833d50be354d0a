//! Readers beside the writer: a small pool of read-only connections.
//!
//! A row is handed out only after its MAC was checked and its bucket compared, once per process, with the digest.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, params};

use super::{
    database, profile,
    tables::{Table, int, uint},
    tx::{Known, Verified, WRITER, authentic, bucket_sum, entry_hash, hash_of_hashes},
    verbs,
};
use crate::{
    crypto::{AuditHead, Header, Sealed},
    model::AccountId,
    store::{
        AccountRow, AuditRow, BUCKETS, Binder, FindAccounts, FindItems, FindOutbox, Finding, ItemRow, KeyMaterial,
        LeaseRow, OutboxRow, Progress, RowName, SessionRow, StoreError, Tampering, Token, bucket_of, same_mac,
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
    closed: bool,
}

impl Readers {
    pub(super) fn new(path: PathBuf, binder: Arc<dyn Binder>, verified: Arc<Verified>) -> Self {
        let idle = Mutex::new(Pool { idle: Vec::new(), lent: 0, closed: false });
        Self { path, binder, verified, idle, returned: Condvar::new() }
    }

    /// Closes the connections; those that are lent close when they come back.
    pub(super) fn close(&self) {
        let mut pool = self.pool();
        pool.closed = true;
        pool.idle.clear();
    }

    pub(super) fn account(&self, id: AccountId) -> Result<Option<(AccountRow, Option<SessionRow>)>, StoreError> {
        let key = id.as_bytes();
        self.read(|conn| {
            self.check_bucket(conn, bucket_of(key))?;
            // One snapshot: the session belongs to the account's revision beside it.
            let db = |e| database("reading an account", &e);
            conn.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(db)?;
            let rows = (|| {
                let Some(account) = self.load::<AccountRow>(conn, key)? else { return Ok(None) };
                Ok(Some((account, self.load::<SessionRow>(conn, key)?)))
            })();
            conn.prepare_cached("COMMIT").and_then(|mut end| end.execute([])).map_err(db)?;
            rows
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
                    return self.select(conn, "WHERE {key} > ?1 ORDER BY {key} LIMIT ?2", params![after, limit]);
                }
                FindAccounts::Site(index) => ("ix_site", index),
                FindAccounts::Login(index) => ("ix_login", index),
                FindAccounts::Manager(index) => ("ix_manager", index),
            };
            let rest = format!("WHERE {column} = ?1 AND {{key}} > ?2 ORDER BY {{key}} LIMIT ?3");
            self.select(conn, &rest, params![index.as_slice(), after, limit])
        })
    }

    pub(super) fn lease(&self, resource: [u8; 16]) -> Result<Option<LeaseRow>, StoreError> {
        self.read(|conn| {
            self.check_bucket(conn, bucket_of(&resource))?;
            self.load(conn, &resource)
        })
    }

    pub(super) fn items(&self, find: FindItems, limit: u32) -> Result<Vec<ItemRow>, StoreError> {
        self.read(|conn| match find {
            FindItems::Id(tag, id) => {
                self.select(conn, "WHERE {key} = ?1 AND tag = ?2 LIMIT ?3", params![id.as_slice(), tag, limit])
            }
            FindItems::Index(tag, ix) => self.select(
                conn,
                "WHERE tag = ?1 AND ix = ?2 ORDER BY {key} LIMIT ?3",
                params![tag, ix.as_slice(), limit],
            ),
            FindItems::Open(tag) => {
                self.select(conn, "WHERE tag = ?1 AND open = 1 ORDER BY {key} LIMIT ?2", params![tag, limit])
            }
            FindItems::All(tag) => self.select(conn, "WHERE tag = ?1 ORDER BY {key} LIMIT ?2", params![tag, limit]),
        })
    }

    pub(super) fn outbox(&self, find: FindOutbox, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(|conn| match find {
            FindOutbox::All => self.select(conn, "ORDER BY seq LIMIT ?1", params![limit]),
            FindOutbox::DueBy(lane, ms) => self.select(
                conn,
                "WHERE lane = ?1 AND state IN (1, 2) AND due_ms <= ?2 ORDER BY seq LIMIT ?3",
                params![lane as u8, ms, limit],
            ),
            FindOutbox::Subject(subject) => {
                self.select(conn, "WHERE subject = ?1 ORDER BY seq LIMIT ?2", params![subject.as_slice(), limit])
            }
        })
    }

    pub(super) fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.read(|conn| audit_rows(conn, after, limit).map_err(|e| database("reading the audit", &e)))
    }

    pub(super) fn key_material(&self) -> Result<KeyMaterial, StoreError> {
        self.read(|conn| verbs::read_keys(conn).map_err(|e| database("reading the key slots", &e)))
    }

    /// The full check, in one snapshot.
    pub(super) fn verify(&self, progress: &Progress) -> Result<Vec<Finding>, StoreError> {
        self.read(|conn| {
            conn.execute_batch("BEGIN").map_err(|e| database("beginning a check", &e))?;
            let findings = self.verify_snapshot(conn, progress);
            conn.execute_batch("COMMIT").map_err(|e| database("ending a check", &e))?;
            findings
        })
    }

    fn verify_snapshot(&self, conn: &Connection, progress: &Progress) -> Result<Vec<Finding>, StoreError> {
        let binder = self.binder.as_ref();
        let mut findings = Vec::new();
        let mut known = match Known::load(conn, binder) {
            Ok(known) => known,
            Err(error) => return Ok(vec![finding(&error, "the header or the digest's top")?]),
        };
        let pages: String = conn
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|e| database("checking the pages", &e))?;
        if pages != "ok" {
            findings.push(Finding { class: Tampering::Substitution, row: None, what: format!("damaged pages: {pages}") });
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
        if let Err(error) = check_audit(conn, binder, &known.header) {
            findings.push(finding(&error, "the audit chain")?);
        }
        Ok(findings)
    }

    fn check_bucket(&self, conn: &Connection, bucket: u16) -> Result<(), StoreError> {
        if self.verified.has(bucket) {
            return Ok(());
        }
        let db = |e| database("reading a bucket", &e);
        conn.execute_batch("BEGIN").map_err(db)?;
        let same = Known::load(conn, self.binder.as_ref()).and_then(|mut known| {
            Ok(known.sum(conn, self.binder.as_ref(), bucket)? == bucket_sum(conn, self.binder.as_ref(), bucket)?)
        });
        conn.execute_batch("COMMIT").map_err(db)?;
        if !same? {
            return Err(StoreError::tampered(Tampering::Digest, None));
        }
        self.verified.add(bucket);
        Ok(())
    }

    fn load<T: Table>(&self, conn: &Connection, key: &[u8; 16]) -> Result<Option<T>, StoreError> {
        let stored = T::load(conn, key).map_err(|e| database("reading a row", &e))?;
        stored.map(|stored| authentic(self.binder.as_ref(), stored)).transpose()
    }

    fn select<T: Table>(
        &self,
        conn: &Connection,
        rest: &str,
        args: impl rusqlite::Params,
    ) -> Result<Vec<T>, StoreError> {
        let rows = T::select(conn, rest, args).map_err(|e| database("reading rows", &e))?;
        rows.into_iter()
            .map(|stored| {
                let row = authentic(self.binder.as_ref(), stored)?;
                self.check_bucket(conn, bucket_of(&row.place().id))?;
                Ok(row)
            })
            .collect()
    }

    fn read<T>(&self, run: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let conn = self.borrow()?;
        let result = run(&conn);
        let mut pool = self.pool();
        pool.lent -= 1;
        // A connection that failed in the middle of a transaction is not lent again.
        if !pool.closed && conn.is_autocommit() {
            pool.idle.push(conn);
        }
        drop(pool);
        self.returned.notify_one();
        result
    }

    fn borrow(&self) -> Result<Connection, StoreError> {
        let mut pool = self.pool();
        loop {
            if pool.closed {
                return Err(StoreError::Closed);
            }
            if let Some(conn) = pool.idle.pop() {
                pool.lent += 1;
                return Ok(conn);
            }
            if pool.lent < READERS {
                pool.lent += 1;
                drop(pool);
                return profile::connect(&self.path, false).inspect_err(|_| self.pool().lent -= 1);
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn audit_rows(conn: &Connection, after: u64, limit: u32) -> rusqlite::Result<Vec<AuditRow>> {
    conn.prepare_cached(
        "SELECT writer, seq, id, incarnation, n, sealed FROM audit WHERE seq > ?1 ORDER BY seq, writer LIMIT ?2",
    )?
    .query_map(params![int(after), limit], |row| {
        let token = match (row.get::<_, Option<u32>>(3)?, row.get::<_, Option<i64>>(4)?) {
            (Some(incarnation), Some(n)) => Some(Token { incarnation, n: n.cast_unsigned() }),
            _ => None,
        };
        Ok(AuditRow {
            writer: uint(row, 0)?,
            seq: uint(row, 1)?,
            id: row.get(2)?,
            token,
            sealed: Sealed::from_bytes(row.get(5)?),
        })
    })?
    .collect()
}

/// Every link against its entries and its predecessor, the last against the sealed head.
fn check_audit(conn: &Connection, binder: &dyn Binder, header: &Header) -> Result<(), StoreError> {
    let db = |e| database("reading the audit chain", &e);
    let bad = || StoreError::tampered(Tampering::Audit, None);
    let none = [AuditHead { writer: WRITER, links: 0, last_seq: 0, link: [0; 32] }];
    let heads = if header.audit.is_empty() { none.as_slice() } else { header.audit.as_slice() };
    for head in heads {
        let mut select = conn
            .prepare_cached("SELECT no, first, last, epoch, mac FROM audit_link WHERE writer = ?1 ORDER BY no")
            .map_err(db)?;
        let mut links = select.query([int(head.writer)]).map_err(db)?;
        let (mut no, mut seq, mut link) = (0, 0, [0; 32]);
        while let Some(row) = links.next().map_err(db)? {
            let (this, first, last, epoch, mac): (u64, u64, u64, u32, [u8; 32]) =
                (|| Ok((uint(row, 0)?, uint(row, 1)?, uint(row, 2)?, row.get(3)?, row.get(4)?)))().map_err(db)?;
            if this != no + 1 || first != seq + 1 || last < first || last - first > u64::from(u32::MAX) {
                return Err(bad());
            }
            let count = u32::try_from(last - first + 1).map_err(|_| bad())?;
            let entries = audit_rows(conn, seq, count).map_err(db)?;
            let hashes: Vec<[u8; 32]> =
                entries.iter().map(|e| entry_hash(e.seq, &e.id, e.token, e.sealed.as_bytes())).collect();
            link = binder
                .audit_link(epoch, &link, head.writer, first, last, &hash_of_hashes(&hashes))
                .map_err(|_| bad())?;
            if entries.len() != count as usize || !same_mac(&link, &mac) {
                return Err(bad());
            }
            (no, seq) = (this, last);
        }
        let beyond = audit_rows(conn, seq, 1).map_err(db)?;
        if no != head.links || seq != head.last_seq || !same_mac(&link, &head.link) || !beyond.is_empty() {
            return Err(bad());
        }
    }
    Ok(())
}

/// What is wrong, as a finding; errors that are no tampering go on as errors.
fn finding(error: &StoreError, at: &str) -> Result<Finding, StoreError> {
    match error {
        StoreError::Tampered { class, row } => Ok(Finding { class: *class, row: *row, what: format!("{at}: {error}") }),
        StoreError::Database { during, code } => Err(StoreError::Database { during, code: *code }),
        _ => Ok(Finding { class: Tampering::Substitution, row: None::<RowName>, what: format!("{at}: {error}") }),
    }
}

/// Connections for reading: reads take microseconds, so more than cores gain nothing.
const READERS: usize = 8;
/// A check that finds this much has shown enough; the report stays readable.
const FINDINGS_MAX: usize = 1000;
