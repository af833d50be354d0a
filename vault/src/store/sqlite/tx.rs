//! One group commit: bound rows in, digest, audit chain and header kept in step, each operation in a savepoint.
//!
//! Every row that is changed is authenticated first, and so is the bucket it lies in, unless this process has done so.
//! Knows no verbs; they are written over it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rusqlite::{Connection, params};

use super::{
    database,
    known::{Known, Verified, bucket_sum, element, group_no},
    tables::{Table, int},
};
use crate::{
    crypto::{AuditHead, Header, Kind, Place, Sum},
    store::{
        Binder, EntriesHasher, GROUPS, Head, NewAudit, StoreError, Tampering, Token, bucket_of, entry_hash, group_hash,
        group_of,
    },
};

/// A group commit in the making.
pub(super) struct Tx<'a> {
    pub(super) conn: &'a Connection,
    pub(super) binder: &'a dyn Binder,
    verified: &'a Verified,
    known: &'a mut Known,
    dirty: [bool; GROUPS],
    undo: Undo,
    audit: Vec<[u8; 32]>,
    serial: u64,
    kept: usize,
    /// Why the transaction is no longer there; set once, it refuses everything that would follow.
    lost: Option<StoreError>,
}

/// What the present operation has changed in memory.
#[derive(Default)]
struct Undo {
    /// Sums as they were.
    sums: Vec<(u16, Sum)>,
    /// Audit entries before it.
    audit: usize,
    /// The header as it was, where it changed.
    header: Option<Header>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        conn: &'a Connection,
        binder: &'a dyn Binder,
        verified: &'a Verified,
        known: &'a mut Known,
    ) -> Self {
        Self {
            conn,
            binder,
            verified,
            known,
            dirty: [false; GROUPS],
            undo: Undo::default(),
            audit: Vec::new(),
            serial: 0,
            kept: 0,
            lost: None,
        }
    }

    /// Whether any operation so far was kept.
    pub(super) fn has_written(&self) -> bool {
        self.kept > 0
    }

    /// Runs one operation in a savepoint of its own; what it did is undone, digest and audit included, unless it keeps it.
    pub(super) fn operation<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<(T, Keep), StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(error) = &self.lost {
            return Err(error.duplicate());
        }
        self.savepoint("SAVEPOINT operation")?;
        self.undo = Undo { audit: self.audit.len(), ..Undo::default() };
        let result = run(self);
        if matches!(&result, Ok((_, Keep::Yes))) {
            self.savepoint("RELEASE operation")?;
            self.kept += 1;
        } else if let Err(error) = self.roll_back() {
            // Some failures (a full disk) make SQLite end the whole transaction: the savepoint has gone with it, and
            // whatever ran now would be committed on its own, without digest and header.
            let cause = result.as_ref().err().unwrap_or(&error).duplicate();
            self.lost = Some(cause);
        }
        result.map(|(value, _)| value)
    }

    /// Why nothing of this transaction can be committed, should that be so.
    pub(super) fn lost(&mut self) -> Option<StoreError> {
        self.lost.take()
    }

    /// The authentic row with this key; its bucket has been checked.
    pub(super) fn load<T: Table>(&mut self, key: &[u8; 16]) -> Result<Option<T>, StoreError> {
        self.check_bucket(bucket_of(key))?;
        T::load(self.conn, self.binder, key)
    }

    /// Writes `new` in place of `old`, which [`Tx::load`] gave.
    pub(super) fn put<T: Table + Clone>(&mut self, old: Option<&T>, new: &T) -> Result<(), StoreError> {
        let new = self.current(new)?;
        let new = new.as_ref();
        let bucket = bucket_of(&new.place().id);
        self.check_bucket(bucket)?;
        let (hash, place) = (new.row_hash(), new.place());
        let mac = self.binder.row_mac(new.epoch(), place, &hash).map_err(|_| StoreError::Rekeyed)?;
        let mut sum = self.known.sum(self.conn, self.binder, bucket)?;
        if let Some(old) = old {
            sum = sum.sub(element(self.binder, old, &old.row_hash())?);
        }
        self.set_sum(bucket, sum.add(element(self.binder, new, &hash)?))?;
        new.write(self.conn, &mac).map_err(|e| database("writing a row", &e))
    }

    /// The row under the current epoch: whoever made it may not have known that the keys have changed.
    pub(super) fn current<'r, T: Table + Clone>(&self, row: &'r T) -> Result<Cow<'r, T>, StoreError> {
        if row.epoch() == self.binder.epoch() {
            return Ok(Cow::Borrowed(row));
        }
        row.rebound(self.binder).map(Cow::Owned).map_err(|_| StoreError::Rekeyed)
    }

    /// Removes a row that [`Tx::load`] gave.
    pub(super) fn remove<T: Table>(&mut self, old: &T) -> Result<(), StoreError> {
        let id = old.place().id;
        let sum = self.known.sum(self.conn, self.binder, bucket_of(&id))?;
        self.set_sum(bucket_of(&id), sum.sub(element(self.binder, old, &old.row_hash())?))?;
        T::delete(self.conn, &id).map_err(|e| database("removing a row", &e))
    }

    /// Writes a row that was bound under the current key beside this transaction, in place of what was authenticated there.
    pub(super) fn replace<T: Table>(
        &mut self,
        row: &T,
        mac: &[u8; 32],
        old: &Sum,
        new: &Sum,
        bucket: u16,
    ) -> Result<(), StoreError> {
        self.check_bucket(bucket)?;
        let sum = self.known.sum(self.conn, self.binder, bucket)?;
        self.set_sum(bucket, sum.sub(*old).add(*new))?;
        row.write(self.conn, mac).map_err(|e| database("writing a row", &e))
    }

    /// Has every group that was ever written sealed again with this commit.
    pub(super) fn reseal_groups(&mut self) {
        for (no, dirty) in self.dirty.iter_mut().enumerate() {
            *dirty |= self.known.top.group(no) != &[0; 32];
        }
    }

    /// Binds the log of past headers under the current key.
    pub(super) fn rebind_log(&mut self) -> Result<(), StoreError> {
        let db = |e| database("writing the header log", &e);
        let epoch = self.binder.epoch();
        let older: Vec<(i64, u32, [u8; 32])> = self
            .conn
            .prepare_cached("SELECT counter, epoch, hash FROM header_log WHERE epoch <> ?1")
            .and_then(|mut select| {
                select.query_map([epoch], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
            })
            .map_err(db)?;
        let mut sum = Sum::from_bytes(self.known.header.log_sum);
        for (counter, was, hash) in &older {
            let of = |epoch| {
                let element = self.binder.log_element(epoch, counter.cast_unsigned(), hash);
                element.map_err(|_| StoreError::tampered(Tampering::Header, None))
            };
            sum = sum.sub(of(*was)?).add(of(epoch)?);
        }
        self.conn
            .prepare_cached("UPDATE header_log SET epoch = ?1 WHERE epoch <> ?1")
            .and_then(|mut put| put.execute([epoch]))
            .map_err(db)?;
        self.header_mut().log_sum = *sum.as_bytes();
        Ok(())
    }

    /// Puts an entry at the end of the audit chain.
    pub(super) fn record(&mut self, entry: &NewAudit, token: Option<Token>) -> Result<(), StoreError> {
        let seq = self.audit_head().last_seq + self.audit.len() as u64 + 1;
        let place = Place { kind: Kind::Audit, id: entry.id, rev: 1 };
        let resealed = self.binder.reseal(place, &entry.sealed).map_err(|_| StoreError::Rekeyed)?;
        let sealed = resealed.as_ref().unwrap_or(&entry.sealed);
        self.audit.push(entry_hash(seq, &entry.id, token, sealed.as_bytes()));
        self.conn
            .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .and_then(|mut insert| {
                insert.execute(params![
                    int(WRITER),
                    int(seq),
                    entry.id.as_slice(),
                    token.map(|token| token.incarnation),
                    token.map(|token| int(token.n)),
                    sealed.as_bytes()
                ])
            })
            .map_err(|e| database("writing an audit entry", &e))?;
        Ok(())
    }

    /// A number that grows with every call, over all commits.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        ((self.known.head.counter + 1) << 20) + self.serial
    }

    /// The header as it stands.
    pub(super) fn header(&self) -> &Header {
        &self.known.header
    }

    /// The header as it stands, to be changed by what this commit does.
    pub(super) fn header_mut(&mut self) -> &mut Header {
        self.undo.header.get_or_insert_with(|| self.known.header.clone());
        &mut self.known.header
    }

    /// Checks a bucket against the digest, once in the life of this process.
    pub(super) fn check_bucket(&mut self, bucket: u16) -> Result<(), StoreError> {
        if self.verified.has(bucket) {
            return Ok(());
        }
        let expected = self.known.sum(self.conn, self.binder, bucket)?;
        if bucket_sum(self.conn, self.binder, bucket)? != expected {
            return Err(StoreError::tampered(Tampering::Digest, None));
        }
        // Within a transaction that may yet fail the rows are still those that were checked, plus our own changes.
        self.verified.add(bucket);
        Ok(())
    }

    /// Writes digest, audit link, header log and header. The commit itself is the caller's.
    pub(super) fn seal(mut self, forget_below: u64) -> Result<Head, StoreError> {
        let db = |e| database("writing the header", &e);
        let refused = |_| StoreError::Rekeyed;
        let epoch = self.binder.epoch();
        let counter = self.known.head.counter + 1;
        for no in (0..GROUPS).filter(|no| self.dirty[*no]) {
            let group = self.known.group(self.conn, self.binder, no)?;
            let sealed = self.binder.seal_group(group_no(no), counter, &group.to_bytes()).map_err(refused)?;
            self.known.top.set(no, group_hash(sealed.as_bytes()));
            self.conn
                .prepare_cached("INSERT OR REPLACE INTO digest_group VALUES (?1, ?2, ?3)")
                .and_then(|mut put| put.execute(params![group_no(no), int(counter), sealed.as_bytes()]))
                .map_err(db)?;
        }
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO digest_top VALUES (1, ?1)")
            .and_then(|mut put| put.execute([self.known.top.as_bytes()]))
            .map_err(db)?;
        self.link_audit(epoch)?;
        self.log_previous(epoch, forget_below)?;
        let header = &mut self.known.header;
        header.counter = counter;
        header.data_epoch = epoch;
        header.digest_top = self.binder.digest_root(epoch, self.known.top.as_bytes()).map_err(refused)?;
        let sealed = self.binder.seal_header(header).map_err(refused)?;
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO header VALUES (1, ?1, ?2)")
            .and_then(|mut put| put.execute(params![int(header.counter), sealed.as_bytes()]))
            .map_err(db)?;
        self.known.head = Head { counter: header.counter, hash: Header::hash(sealed.as_bytes()) };
        Ok(self.known.head)
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        self.savepoint("ROLLBACK TO operation; RELEASE operation")?;
        while let Some((bucket, sum)) = self.undo.sums.pop() {
            self.known.group(self.conn, self.binder, group_of(bucket))?.set(bucket, sum);
        }
        self.audit.truncate(self.undo.audit);
        if let Some(header) = self.undo.header.take() {
            self.known.header = header;
        }
        Ok(())
    }

    fn savepoint(&mut self, sql: &str) -> Result<(), StoreError> {
        self.conn.execute_batch(sql).map_err(|e| {
            let error = database("moving between savepoints", &e);
            self.lost = Some(error.duplicate());
            error
        })
    }

    fn set_sum(&mut self, bucket: u16, sum: Sum) -> Result<(), StoreError> {
        let group = self.known.group(self.conn, self.binder, group_of(bucket))?;
        self.undo.sums.push((bucket, group.sum(bucket)));
        group.set(bucket, sum);
        self.dirty[group_of(bucket)] = true;
        Ok(())
    }

    /// Where the audit chain ends; entries of this commit have no link yet.
    pub(super) fn audit_head(&self) -> AuditHead {
        let head = self.known.header.audit.iter().find(|head| head.writer == WRITER);
        head.cloned().unwrap_or(AuditHead { writer: WRITER, links: 0, last_seq: 0, link: [0; 32] })
    }

    fn link_audit(&mut self, epoch: u32) -> Result<(), StoreError> {
        if self.audit.is_empty() {
            return Ok(());
        }
        let mut head = self.audit_head();
        let (first, last) = (head.last_seq + 1, head.last_seq + self.audit.len() as u64);
        let mut entries = EntriesHasher::default();
        self.audit.iter().for_each(|entry| entries.add(entry));
        let link = self
            .binder
            .audit_link(epoch, &head.link, WRITER, first, last, &entries.finish())
            .map_err(|_| StoreError::Rekeyed)?;
        head = AuditHead { writer: WRITER, links: head.links + 1, last_seq: last, link };
        self.conn
            .prepare_cached("INSERT INTO audit_link VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .and_then(|mut insert| {
                insert.execute(params![int(WRITER), int(head.links), int(first), int(last), epoch, link.as_slice()])
            })
            .map_err(|e| database("writing an audit link", &e))?;
        let heads = &mut self.known.header.audit;
        heads.retain(|head| head.writer != WRITER);
        heads.push(head);
        Ok(())
    }

    fn log_previous(&mut self, epoch: u32, forget_below: u64) -> Result<(), StoreError> {
        let db = |e| database("writing the header log", &e);
        let refused = |_| StoreError::Rekeyed;
        let (previous, header) = (self.known.head, &mut self.known.header);
        let mut sum = Sum::from_bytes(header.log_sum);
        let mut old = self
            .conn
            .prepare_cached("DELETE FROM header_log WHERE counter < ?1 RETURNING counter, epoch, hash")
            .map_err(db)?;
        let mut rows = old.query([int(forget_below)]).map_err(db)?;
        while let Some(row) = rows.next().map_err(db)? {
            let (counter, epoch, hash): (i64, u32, [u8; 32]) =
                (|| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))().map_err(db)?;
            sum = sum.sub(self.binder.log_element(epoch, counter.cast_unsigned(), &hash).map_err(refused)?);
        }
        if previous.counter > 0 {
            self.conn
                .prepare_cached("INSERT INTO header_log VALUES (?1, ?2, ?3)")
                .and_then(|mut put| put.execute(params![int(previous.counter), epoch, previous.hash.as_slice()]))
                .map_err(db)?;
            sum = sum.add(self.binder.log_element(epoch, previous.counter, &previous.hash).map_err(refused)?);
        }
        header.log_sum = *sum.as_bytes();
        Ok(())
    }
}

/// Whether an operation's writes stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
}

/// SQLite commits one group at a time, so one chain serves all processes; other back ends have one per writer.
pub(super) const WRITER: u64 = 1;
