//! Readers beside the writer: a small pool of read-only connections.
//!
//! A row is handed out only after its MAC was checked and its bucket compared, once per process, with the digest.

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, params};

use super::{
    chain, check,
    copy::copy,
    database,
    known::{Known, Verified, bucket_sum, follow_keys, generation},
    profile,
    rekey::{self, Prepared},
    snapshot,
    tables::Table,
    verbs,
};
use crate::{
    crypto::AuditHead,
    model::{AccountId, BootStamp},
    store::{
        AccountRow, AuditLink, AuditRow, Binder, FindAccounts, FindItems, FindOutbox, Finding, Head, HeldAccount,
        HeldRows, Hold, Inspect, ItemRow, KeyMaterial, LeaseRow, Name, OutboxRow, Owed, Progress, Rekeying, RowName,
        SessionRow, StoreError, Tampering, WaiterRow, bucket_of, lease_places,
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
            AccountRow::load_then(conn, binder, key, None, |account| {
                let Some(account) = account else { return Ok(None) };
                Ok(Some((account, SessionRow::load(conn, binder, key)?)))
            })
        })
    }

    /// The account of a lease, where the hold is live at the time that `now` gives once the lease was read.
    pub(super) fn account_held(
        &self,
        hold: &Hold,
        known: Option<&HeldRows>,
        now: impl Fn() -> BootStamp,
    ) -> Result<HeldAccount, StoreError> {
        // An account is leased under its id, which no change of keys changes, and so are its places.
        let (key, held) = (&hold.resource.id(), &hold.lease());
        self.read(|conn| {
            self.check_bucket(conn, bucket_of(key))?;
            let binder = self.binder.as_ref();
            LeaseRow::load_then(conn, binder, held, known.map(|known| &known.lease), |lease| {
                let Some(lease) = lease.filter(|lease| lease.is_live(hold.token, hold.holder, now())) else {
                    return Ok(HeldAccount::Fenced);
                };
                AccountRow::load_then(conn, binder, key, known.map(|known| &known.account), |account| {
                    let Some(account) = account else { return Ok(HeldAccount::Removed) };
                    Ok(HeldAccount::Rows(Arc::new(HeldRows { lease, account })))
                })
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
            let (column, name) = match find {
                FindAccounts::All => {
                    return self.page(conn, params![after, limit]);
                }
                FindAccounts::Site(name) => ("ix_site", name),
                FindAccounts::Login(name) => ("ix_login", name),
                FindAccounts::Manager(name) => ("ix_manager", name),
            };
            let rest = format!("WHERE {column} = ?1 AND {{key}} > ?2 ORDER BY {{key}} LIMIT ?3");
            let mut rows = self.by_name(conn, &name, |index| {
                let asked = |row: &AccountRow| match find {
                    FindAccounts::All => true,
                    FindAccounts::Site(_) => row.ix_site == index,
                    FindAccounts::Login(_) => row.ix_login == Some(index),
                    FindAccounts::Manager(_) => row.ix_manager == Some(index),
                };
                self.select(conn, &rest, params![index.as_slice(), after, limit], asked)
            })?;
            rows.sort_by_key(|row| *row.id.as_bytes());
            rows.truncate(limit as usize);
            Ok(rows)
        })
    }

    pub(super) fn lease(&self, resource: [u8; 16]) -> Result<Option<LeaseRow>, StoreError> {
        self.read(|conn| {
            self.check_bucket(conn, bucket_of(&resource))?;
            LeaseRow::load(conn, self.binder.as_ref(), &resource)
        })
    }

    pub(super) fn held_leases(&self, of: Option<[u8; 16]>, limit: u32) -> Result<Vec<LeaseRow>, StoreError> {
        let (from, to) = of.map_or(([0; 16], [0xff; 17]), |resource| lease_places(&resource));
        let rest = "WHERE {key} >= ?1 AND {key} < ?2 AND held = 1 ORDER BY {key} LIMIT ?3";
        self.read(|conn| {
            self.select(conn, rest, params![from.as_slice(), to.as_slice(), limit], |row: &LeaseRow| row.held)
        })
    }

    pub(super) fn waiters(&self, limit: u32) -> Result<Vec<WaiterRow>, StoreError> {
        self.read(|conn| self.select(conn, "ORDER BY ticket LIMIT ?1", params![limit], |_: &WaiterRow| true))
    }

    pub(super) fn items(&self, find: FindItems, limit: u32) -> Result<Vec<ItemRow>, StoreError> {
        self.read(|conn| match find {
            FindItems::Id(tag, id) => {
                self.check_bucket(conn, bucket_of(&id))?;
                let row = ItemRow::load(conn, self.binder.as_ref(), &id)?;
                Ok(row.into_iter().filter(|row| row.tag == tag).take(limit as usize).collect())
            }
            FindItems::Index(tag, name) => {
                let rest = "WHERE tag = ?1 AND ix = ?2 ORDER BY {key} LIMIT ?3";
                let mut rows = self.by_name(conn, &name, |ix| {
                    let asked = |row: &ItemRow| row.tag == tag && row.ix == Some(ix);
                    self.select(conn, rest, params![tag, ix.as_slice(), limit], asked)
                })?;
                rows.sort_by_key(|row| row.id);
                rows.truncate(limit as usize);
                Ok(rows)
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
            FindOutbox::Subject(resource) => {
                let rest = "WHERE subject = ?1 ORDER BY seq LIMIT ?2";
                let find = |subject: [u8; 16]| {
                    let asked = |row: &OutboxRow| row.subject == subject;
                    self.select(conn, rest, params![subject.as_slice(), limit], asked)
                };
                let Some(name) = resource.name() else { return find(resource.id()) };
                let mut rows = self.by_name(conn, name, find)?;
                rows.sort_by_key(|row| row.seq);
                rows.truncate(limit as usize);
                Ok(rows)
            }
        })
    }

    pub(super) fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.read(|conn| chain::entries(conn, after, limit))
    }

    pub(super) fn audit_links(&self, after: u64, limit: u32) -> Result<Vec<AuditLink>, StoreError> {
        self.read(|conn| chain::links(conn, after, limit))
    }

    pub(super) fn audit_heads(&self) -> Result<Vec<AuditHead>, StoreError> {
        let known = self.read(|conn| snapshot(conn, |conn| Known::load(conn, self.binder.as_ref())))?;
        Ok(known.header.audit)
    }

    /// The audit chains alone, in one snapshot.
    pub(super) fn verify_audit(
        &self,
        look: &dyn Inspect,
        progress: &Progress,
    ) -> Result<(Vec<AuditHead>, Vec<Finding>), StoreError> {
        let check = |conn: &Connection| check::check_audit(conn, self.binder.as_ref(), look, progress);
        let (known, findings) = self.read(|conn| snapshot(conn, check))?;
        Ok((known.header.audit, findings))
    }

    pub(super) fn key_material(&self) -> Result<KeyMaterial, StoreError> {
        self.read(|conn| {
            snapshot(conn, |conn| {
                // Slots of another root key are no edit: whoever asks is told to unlock again.
                follow_keys(conn, self.binder.as_ref())?;
                verbs::read_keys(conn).map_err(|e| database("reading the key slots", &e))
            })
        })
    }

    /// A copy of one state of the file.
    pub(super) fn copy_to(&self, to: &Path, progress: &Progress) -> Result<Head, StoreError> {
        self.read(|conn| copy(conn, self.binder.as_ref(), to, progress))
    }

    /// How far a change of keys has come.
    pub(super) fn rekeying(&self) -> Result<Option<Rekeying>, StoreError> {
        let header = self.read(|conn| snapshot(conn, |conn| Ok(Known::follow(conn, self.binder.as_ref())?.header)))?;
        let entries = header.audit.iter().map(|head| head.last_seq).sum();
        Ok(header.rekey.map(|rekey| Rekeying { rekey, entries }))
    }

    /// The rows of buckets from `from` on, bound under the new key.
    pub(super) fn prepare(&self, from: u16) -> Result<Prepared, StoreError> {
        self.read(|conn| {
            snapshot(conn, |conn| {
                rekey::prepare(conn, self.binder.as_ref(), from, |bucket| self.check_bucket(conn, bucket))
            })
        })
    }

    /// The full check, in one snapshot.
    pub(super) fn verify(&self, look: &dyn Inspect, progress: &Progress) -> Result<Vec<Finding>, StoreError> {
        let (path, binder, verified) = (self.path.as_path(), self.binder.as_ref(), self.verified.as_ref());
        let checks = check::Checks { path, binder, look, verified, progress };
        let check = |conn: &Connection| {
            follow_keys(conn, binder)?;
            let before = binder.generation();
            Ok((checks.run(conn)?, binder.generation() == before))
        };
        self.read(|conn| match snapshot(conn, check)? {
            // Others have changed the keys while this looked at rows of before.
            (findings, false) if !findings.is_empty() => Ok(snapshot(conn, check)?.0),
            (findings, _) => Ok(findings),
        })
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

    /// What lies under a name: under its index, and under that of the epoch before while the keys change.
    ///
    /// That there is nothing must not come from keys that are over: the generation is compared in the same snapshot.
    fn by_name<T>(
        &self,
        conn: &Connection,
        name: &Name,
        find: impl Fn([u8; 16]) -> Result<Vec<T>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let Some(former) = name.former else {
            let found = find(name.index)?;
            if found.is_empty() {
                self.check_epoch(conn, name)?;
            }
            return Ok(found);
        };
        snapshot(conn, |conn| {
            self.check_epoch(conn, name)?;
            let mut found = find(name.index)?;
            found.extend(find(former)?);
            Ok(found)
        })
    }

    /// Refuses a name of keys that are not those of the file as this snapshot has it.
    fn check_epoch(&self, conn: &Connection, name: &Name) -> Result<(), StoreError> {
        let Some(held) = self.binder.generation() else { return Ok(()) };
        let is_current = name.epoch == self.binder.epoch() && generation(conn)? == held;
        if is_current { Ok(()) } else { Err(StoreError::Rekeyed) }
    }

    /// Reads with a connection of the pool; once more where the keys had changed under it.
    fn read<T>(&self, run: impl Fn(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut lent = self.lend()?;
        let conn = match lent.conn.take() {
            Some(conn) => conn,
            None => profile::connect(&self.path, false)?,
        };
        let conn = lent.conn.insert(conn);
        let before = self.binder.generation();
        match run(conn) {
            Err(error @ (StoreError::Tampered { .. } | StoreError::Rekeyed)) if conn.is_autocommit() => {
                snapshot(conn, |conn| follow_keys(conn, self.binder.as_ref()))?;
                if self.binder.generation() == before { Err(error) } else { run(conn) }
            }
            result => result,
        }
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

/// Connections for reading: reads take microseconds, so more than cores gain nothing.
const READERS: usize = 8;
