//! One group commit: bound rows in, digest, audit chain and header kept in step, each operation in a savepoint.
//!
//! Every row that is changed is authenticated first, and so is the bucket it lies in, unless this process has done so.
//! Knows no verbs; they are written over it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::atomic::{AtomicU64, Ordering},
};

use ring::digest::{Context, SHA256};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    database,
    tables::{Table, int, one},
};
use crate::{
    crypto::{AuditHead, Header, Sum},
    store::{
        AccountRow, BUCKETS, Binder, BoundRow, GROUPS, Group, Head, ItemRow, LeaseRow, NewAudit, OutboxRow, RowName,
        SessionRow, StoreError, Tampering, Token, Top, TotpRow, bucket_of, bucket_range, group_hash, group_of, same_mac,
    },
};

/// The state that the newest header vouches for, as this process knows it.
pub(super) struct Known {
    pub(super) header: Header,
    pub(super) head: Head,
    top: Top,
    groups: BTreeMap<usize, Group>,
}

/// Which buckets this process has checked against the digest since it opened the vault.
pub(super) struct Verified([AtomicU64; BUCKETS / 64]);

/// A group commit in the making.
pub(super) struct Tx<'a> {
    pub(super) conn: &'a Connection,
    pub(super) binder: &'a dyn Binder,
    verified: &'a Verified,
    known: &'a mut Known,
    dirty: [bool; GROUPS],
    /// Sums as they were before the present operation changed them.
    undo: Vec<(u16, Sum)>,
    audit: Vec<[u8; 32]>,
    audit_mark: usize,
    serial: u64,
    kept: usize,
}

impl Verified {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(super) fn has(&self, bucket: u16) -> bool {
        self.0[usize::from(bucket) / 64].load(Ordering::Acquire) & (1 << (bucket % 64)) != 0
    }

    pub(super) fn add(&self, bucket: u16) {
        self.0[usize::from(bucket) / 64].fetch_or(1 << (bucket % 64), Ordering::AcqRel);
    }
}

impl Known {
    /// Reads and authenticates header, header log and top of the digest, in the caller's transaction.
    pub(super) fn load(conn: &Connection, binder: &dyn Binder) -> Result<Self, StoreError> {
        let db = |e| database("reading the header", &e);
        let bad = || StoreError::tampered(Tampering::Header, None);
        let (counter, sealed): (i64, Vec<u8>) = conn
            .prepare_cached("SELECT counter, sealed FROM header WHERE one = 1")
            .and_then(|mut select| select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(|e| if e == rusqlite::Error::QueryReturnedNoRows { bad() } else { db(e) })?;
        let counter = counter.cast_unsigned();
        let header = binder.open_header(counter, &sealed).map_err(|_| bad())?;
        let hashes: Vec<u8> =
            one(conn, "SELECT hashes FROM digest_top WHERE one = 1", []).map_err(db)?.ok_or_else(bad)?;
        let top = Top::from_bytes(&hashes).ok_or_else(bad)?;
        let root = binder.digest_root(header.data_epoch, top.as_bytes()).map_err(|_| bad())?;
        if !same_mac(&root, &header.digest_top) {
            return Err(StoreError::tampered(Tampering::Digest, None));
        }
        let head = Head { counter, hash: Header::hash(&sealed) };
        Ok(Self { header, head, top, groups: BTreeMap::new() })
    }

    /// Whether the file still holds the header that this was loaded from.
    pub(super) fn is_current(&self, conn: &Connection) -> Result<bool, StoreError> {
        let sealed: Option<Vec<u8>> = one(conn, "SELECT sealed FROM header WHERE counter = ?1", [int(self.head.counter)])
            .map_err(|e| database("reading the header", &e))?;
        Ok(sealed.is_some_and(|sealed| Header::hash(&sealed) == self.head.hash))
    }

    /// The sum that the digest has for a bucket.
    pub(super) fn sum(&mut self, conn: &Connection, binder: &dyn Binder, bucket: u16) -> Result<Sum, StoreError> {
        Ok(self.group(conn, binder, group_of(bucket))?.sum(bucket))
    }

    fn group(&mut self, conn: &Connection, binder: &dyn Binder, no: usize) -> Result<&mut Group, StoreError> {
        match self.groups.entry(no) {
            Entry::Occupied(group) => Ok(group.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(read_group(conn, binder, no, self.top.group(no))?)),
        }
    }

    /// Whether the header log, which the header vouches for, or the header itself has this commit.
    pub(super) fn knows(&self, conn: &Connection, binder: &dyn Binder, head: Head) -> Result<bool, StoreError> {
        let db = |e| database("reading the header log", &e);
        let mut select =
            conn.prepare_cached("SELECT counter, epoch, hash FROM header_log ORDER BY counter").map_err(db)?;
        let mut rows = select.query([]).map_err(db)?;
        let mut sum = Sum::ZERO;
        let mut found = self.head == head;
        while let Some(row) = rows.next().map_err(db)? {
            let (counter, epoch, hash): (i64, u32, [u8; 32]) =
                (|| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))().map_err(db)?;
            let past = Head { counter: counter.cast_unsigned(), hash };
            found |= past == head;
            let element = binder.log_element(epoch, past.counter, &past.hash);
            sum = sum.add(element.map_err(|_| StoreError::tampered(Tampering::Header, None))?);
        }
        if !same_mac(sum.as_bytes(), &self.header.log_sum) {
            return Err(StoreError::tampered(Tampering::Header, None));
        }
        Ok(found)
    }
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
            undo: Vec::new(),
            audit: Vec::new(),
            audit_mark: 0,
            serial: 0,
            kept: 0,
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
        let db = |e| database("opening a savepoint", &e);
        self.conn.execute_batch("SAVEPOINT operation").map_err(db)?;
        self.undo.clear();
        self.audit_mark = self.audit.len();
        match run(self) {
            Ok((value, Keep::Yes)) => {
                self.conn.execute_batch("RELEASE operation").map_err(db)?;
                self.kept += 1;
                Ok(value)
            }
            refused => {
                self.roll_back()?;
                refused.map(|(value, _)| value)
            }
        }
    }

    /// The authentic row with this key; its bucket has been checked.
    pub(super) fn load<T: Table>(&mut self, key: &[u8; 16]) -> Result<Option<T>, StoreError> {
        self.check_bucket(bucket_of(key))?;
        let stored = T::load(self.conn, key).map_err(|e| database("reading a row", &e))?;
        stored.map(|stored| authentic(self.binder, stored)).transpose()
    }

    /// Writes `new` in place of `old`, which [`Tx::load`] gave.
    pub(super) fn put<T: Table>(&mut self, old: Option<&T>, new: &T) -> Result<(), StoreError> {
        let bucket = bucket_of(&new.place().id);
        self.check_bucket(bucket)?;
        let (mac, mut sum) = (self.mac_of(new)?, self.known.sum(self.conn, self.binder, bucket)?);
        if let Some(old) = old {
            sum = sum.sub(self.element_of(old)?);
        }
        sum = sum.add(self.element_of(new)?);
        self.set_sum(bucket, sum)?;
        new.write(self.conn, &mac).map_err(|e| database("writing a row", &e))
    }

    /// Removes a row that [`Tx::load`] gave.
    pub(super) fn remove<T: Table>(&mut self, old: &T) -> Result<(), StoreError> {
        let id = old.place().id;
        let sum = self.known.sum(self.conn, self.binder, bucket_of(&id))?.sub(self.element_of(old)?);
        self.set_sum(bucket_of(&id), sum)?;
        T::delete(self.conn, &id).map_err(|e| database("removing a row", &e))
    }

    /// Puts an entry at the end of the audit chain.
    pub(super) fn record(&mut self, entry: &NewAudit, token: Option<Token>) -> Result<(), StoreError> {
        let seq = self.audit_head().last_seq + self.audit.len() as u64 + 1;
        self.audit.push(entry_hash(seq, &entry.id, token, entry.sealed.as_bytes()));
        self.conn
            .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .and_then(|mut insert| {
                insert.execute(params![
                    int(WRITER),
                    int(seq),
                    entry.id.as_slice(),
                    token.map(|token| token.incarnation),
                    token.map(|token| int(token.n)),
                    entry.sealed.as_bytes()
                ])
            })
            .map_err(|e| database("writing an audit entry", &e))?;
        Ok(())
    }

    /// A number that grows with every call, over all commits.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        (self.known.head.counter + 1) << 20 | self.serial
    }

    /// The header as it stands, to be changed by what this commit does.
    pub(super) fn header_mut(&mut self) -> &mut Header {
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
        self.conn
            .execute_batch("ROLLBACK TO operation; RELEASE operation")
            .map_err(|e| database("rolling an operation back", &e))?;
        while let Some((bucket, sum)) = self.undo.pop() {
            self.known.group(self.conn, self.binder, group_of(bucket))?.set(bucket, sum);
        }
        self.audit.truncate(self.audit_mark);
        Ok(())
    }

    fn set_sum(&mut self, bucket: u16, sum: Sum) -> Result<(), StoreError> {
        let group = self.known.group(self.conn, self.binder, group_of(bucket))?;
        self.undo.push((bucket, group.sum(bucket)));
        group.set(bucket, sum);
        self.dirty[group_of(bucket)] = true;
        Ok(())
    }

    fn mac_of<T: BoundRow>(&self, row: &T) -> Result<[u8; 32], StoreError> {
        self.binder.row_mac(row.epoch(), row.place(), &row.row_hash()).map_err(|_| StoreError::Rekeyed)
    }

    fn element_of<T: BoundRow>(&self, row: &T) -> Result<Sum, StoreError> {
        self.binder.element(row.epoch(), row.place(), &row.row_hash()).map_err(|_| StoreError::Rekeyed)
    }

    fn audit_head(&self) -> AuditHead {
        let head = self.known.header.audit.iter().find(|head| head.writer == WRITER);
        head.cloned().unwrap_or(AuditHead { writer: WRITER, links: 0, last_seq: 0, link: [0; 32] })
    }

    fn link_audit(&mut self, epoch: u32) -> Result<(), StoreError> {
        if self.audit.is_empty() {
            return Ok(());
        }
        let mut head = self.audit_head();
        let (first, last) = (head.last_seq + 1, head.last_seq + self.audit.len() as u64);
        let link = self
            .binder
            .audit_link(epoch, &head.link, WRITER, first, last, &hash_of_hashes(&self.audit))
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

/// The state of a vault that has no rows and no commits yet.
pub(super) fn blank(header: Header) -> Known {
    Known { header, head: Head { counter: 0, hash: [0; 32] }, top: Top::empty(), groups: BTreeMap::new() }
}

/// A row whose MAC is right.
pub(super) fn authentic<T: Table>(binder: &dyn Binder, stored: super::tables::Stored<T>) -> Result<T, StoreError> {
    let place = stored.row.place();
    let mac = binder.row_mac(stored.row.epoch(), place, &stored.row.row_hash());
    match mac {
        Ok(mac) if same_mac(&mac, &stored.mac) => Ok(stored.row),
        _ => {
            let row = RowName { kind: place.kind as u8, id: place.id };
            Err(StoreError::tampered(Tampering::Substitution, Some(row)))
        }
    }
}

/// The sum over all rows of a bucket, each authenticated.
pub(super) fn bucket_sum(conn: &Connection, binder: &dyn Binder, bucket: u16) -> Result<Sum, StoreError> {
    let mut sum = Sum::ZERO;
    add_rows::<AccountRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<SessionRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<LeaseRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<TotpRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<OutboxRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<ItemRow>(conn, binder, bucket, &mut sum)?;
    Ok(sum)
}

/// The sums of a group, authenticated by the hash that the top has for it.
fn read_group(conn: &Connection, binder: &dyn Binder, no: usize, hash: &[u8; 32]) -> Result<Group, StoreError> {
    let tampered = || StoreError::tampered(Tampering::Digest, None);
    let row: Option<(i64, Vec<u8>)> = conn
        .prepare_cached("SELECT counter, sealed FROM digest_group WHERE no = ?1")
        .and_then(|mut select| select.query_row([group_no(no)], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(|e| database("reading the digest", &e))?;
    let Some((counter, sealed)) = row else {
        return if hash == &[0; 32] { Ok(Group::empty()) } else { Err(tampered()) };
    };
    if !same_mac(&group_hash(&sealed), hash) {
        return Err(tampered());
    }
    let sums = binder.open_group(group_no(no), counter.cast_unsigned(), &sealed).map_err(|_| tampered())?;
    Group::from_bytes(&sums).ok_or_else(tampered)
}

fn group_no(no: usize) -> u8 {
    no.to_le_bytes()[0]
}

/// What an audit entry contributes to its link.
pub(super) fn entry_hash(seq: u64, id: &[u8; 16], token: Option<Token>, sealed: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&seq.to_be_bytes());
    context.update(id);
    match token {
        Some(token) => {
            context.update(&[1]);
            context.update(&token.incarnation.to_be_bytes());
            context.update(&token.n.to_be_bytes());
        }
        None => context.update(&[0]),
    }
    context.update(sealed);
    finish(context)
}

/// What the entries of one commit contribute together.
pub(super) fn hash_of_hashes(hashes: &[[u8; 32]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(hashes.as_flattened());
    finish(context)
}

fn add_rows<T: Table>(conn: &Connection, binder: &dyn Binder, bucket: u16, sum: &mut Sum) -> Result<(), StoreError> {
    let db = |e| database("reading a bucket", &e);
    let (first, next) = bucket_range(bucket);
    let upto = next.map_or_else(|| vec![0xff; 17], |next| next.to_vec());
    let sql = format!("SELECT {} FROM {} WHERE {} >= ?1 AND {} < ?2", T::COLUMNS, T::NAME, T::KEY, T::KEY);
    let mut select = conn.prepare_cached(&sql).map_err(db)?;
    let mut rows = select.query(params![first.as_slice(), upto]).map_err(db)?;
    while let Some(row) = rows.next().map_err(db)? {
        let row = authentic(binder, T::read(row).map_err(db)?)?;
        let element = binder.element(row.epoch(), row.place(), &row.row_hash()).map_err(|_| StoreError::Rekeyed)?;
        *sum = sum.add(element);
    }
    Ok(())
}

fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// SQLite commits one group at a time, so one chain serves all processes; other back ends have one per writer.
pub(super) const WRITER: u64 = 1;
