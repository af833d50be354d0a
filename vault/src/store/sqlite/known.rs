//! What the newest header vouches for, read from the file and authenticated: header, its log, the sums of the digest.
//!
//! Knows no operation; what changes these is the group commit.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::atomic::{AtomicU64, Ordering},
};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    SCHEMA_VERSION, database,
    tables::{Table, int, one},
    verbs,
};
use crate::{
    crypto::{Header, Sum},
    store::{
        AccountRow, BUCKETS, Binder, BoundRow, Group, Head, ItemRow, KeyMaterial, LeaseRow, NotAuthentic, OutboxRow,
        Reloaded, SessionRow, StoreError, Tampering, Top, TotpRow, WaiterRow, bucket_range, group_hash, group_of,
        same_mac,
    },
};

/// The state that the newest header vouches for, as this process knows it.
pub(super) struct Known {
    pub(super) header: Header,
    pub(super) head: Head,
    pub(super) top: Top,
    groups: BTreeMap<usize, Group>,
}

/// Which buckets this process has checked against the digest since it opened the vault.
pub(super) struct Verified([AtomicU64; BUCKETS / 64]);

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
    /// The state of a vault that has no rows and no commits yet.
    pub(super) fn blank(header: Header) -> Self {
        Self { header, head: Head { counter: 0, hash: [0; 32] }, top: Top::empty(), groups: BTreeMap::new() }
    }

    /// As [`Known::load`], once the keys are those that the file is under.
    pub(super) fn follow(conn: &Connection, binder: &dyn Binder) -> Result<Self, StoreError> {
        follow_keys(conn, binder)?;
        Self::load(conn, binder)
    }

    /// Reads and authenticates header and top of the digest, in the caller's transaction.
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
        let sealed: Option<Vec<u8>> =
            one(conn, "SELECT sealed FROM header WHERE counter = ?1", [int(self.head.counter)])
                .map_err(|e| database("reading the header", &e))?;
        Ok(sealed.is_some_and(|sealed| Header::hash(&sealed) == self.head.hash))
    }

    /// The sum that the digest has for a bucket.
    pub(super) fn sum(&mut self, conn: &Connection, binder: &dyn Binder, bucket: u16) -> Result<Sum, StoreError> {
        Ok(self.group(conn, binder, group_of(bucket))?.sum(bucket))
    }

    pub(super) fn group(
        &mut self,
        conn: &Connection,
        binder: &dyn Binder,
        no: usize,
    ) -> Result<&mut Group, StoreError> {
        match self.groups.entry(no) {
            Entry::Occupied(group) => Ok(group.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(read_group(conn, binder, no, self.top.group(no))?)),
        }
    }

    /// Checks slots and data keys that lie beside the header.
    pub(super) fn check_keys(&self, keys: &KeyMaterial) -> Result<(), StoreError> {
        let slots = (self.header.slots_generation, self.header.slots_mac);
        if slots != (keys.generation, keys.slots_mac) || self.header.schema_version != SCHEMA_VERSION {
            return Err(StoreError::tampered(Tampering::Header, None));
        }
        Ok(())
    }

    /// Checks the log of past headers against the header.
    pub(super) fn check_log(&self, conn: &Connection, binder: &dyn Binder) -> Result<(), StoreError> {
        self.knows(conn, binder, self.head).map(|_| ())
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

/// The sum over all rows of a bucket, each authenticated.
pub(super) fn bucket_sum(conn: &Connection, binder: &dyn Binder, bucket: u16) -> Result<Sum, StoreError> {
    let mut sum = Sum::ZERO;
    add_rows::<AccountRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<SessionRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<LeaseRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<WaiterRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<TotpRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<OutboxRow>(conn, binder, bucket, &mut sum)?;
    add_rows::<ItemRow>(conn, binder, bucket, &mut sum)?;
    Ok(sum)
}

/// Takes up what another process has made of the keys; says whether there was anything.
///
/// # Errors
/// [`StoreError::Rekeyed`] where another root key was installed; [`Tampering::Header`] where older keys were put back.
pub(super) fn follow_keys(conn: &Connection, binder: &dyn Binder) -> Result<bool, StoreError> {
    let db = |e| database("reading the keys", &e);
    let Some(held) = binder.generation() else { return Ok(false) };
    if generation(conn)? == held {
        return Ok(false);
    }
    let keys = verbs::read_keys(conn).map_err(db)?;
    let (counter, sealed): (i64, Vec<u8>) = conn
        .prepare_cached("SELECT counter, sealed FROM header WHERE one = 1")
        .and_then(|mut select| select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(db)?;
    match binder.reload(&keys, counter.cast_unsigned(), &sealed) {
        Ok(Reloaded::Nothing) => Ok(false),
        Ok(Reloaded::TakenUp) => Ok(true),
        Ok(Reloaded::OtherRoot) => Err(StoreError::Rekeyed),
        Err(NotAuthentic) => Err(StoreError::tampered(Tampering::Header, None)),
    }
}

/// The slot generation that the file claims; not authenticated.
pub(super) fn generation(conn: &Connection) -> Result<u64, StoreError> {
    let generation: Option<i64> =
        one(conn, "SELECT generation FROM key_meta WHERE one = 1", []).map_err(|e| database("reading the keys", &e))?;
    Ok(generation.unwrap_or(0).cast_unsigned())
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

/// What a row with this hash adds to the digest.
pub(super) fn element<T: BoundRow>(binder: &dyn Binder, row: &T, hash: &[u8; 32]) -> Result<Sum, StoreError> {
    binder.element(row.epoch(), row.place(), hash).map_err(|_| StoreError::Rekeyed)
}

/// A group's number as it is stored.
pub(super) fn group_no(no: usize) -> u8 {
    no.to_le_bytes()[0]
}

fn add_rows<T: Table>(conn: &Connection, binder: &dyn Binder, bucket: u16, sum: &mut Sum) -> Result<(), StoreError> {
    let add = |row: T, hash: [u8; 32]| {
        *sum = sum.add(element(binder, &row, &hash)?);
        Ok(())
    };
    let (first, next) = bucket_range(bucket);
    // What is planted under a key of another length lies in the first or last bucket, where reading it fails.
    let first = if bucket == 0 { &[] } else { first.as_slice() };
    match next {
        Some(next) => T::each(conn, binder, "WHERE {key} >= ?1 AND {key} < ?2", params![first, next.as_slice()], add),
        None => T::each(conn, binder, "WHERE {key} >= ?1", params![first], add),
    }
}
