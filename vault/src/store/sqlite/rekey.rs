//! A change of keys, part by part: rows, what nobody leads to any more, the audit, and last the old key itself.
//!
//! Batches of rows are prepared beside the writer; its transaction only compares that a row is still the one that was
//! prepared. What was changed in between is bound under the new key already. Knows no key and no plaintext.

mod audit;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, params};

use super::{
    database,
    known::element,
    names,
    tables::{Table, one},
    tx::{Keep, Tx},
    verbs::{record_all, write_keys},
};
use crate::{
    crypto::{Header, Rekey, RekeyStage, Sum},
    store::{
        AccountRow, BUCKETS, Begun, Binder, ItemRow, KeyMaterial, LeaseRow, Name, NewAudit, NotAuthentic, OutboxRow,
        ResealAsk, SessionRow, StoreError, TotpRow, WaiterRow, bucket_of, bucket_range,
    },
};

/// Rows of some buckets, bound under the new key and not written yet.
pub(super) struct Prepared {
    /// The first bucket.
    pub(super) from: u16,
    /// Every row of the buckets before this one is here.
    pub(super) to: u16,
    accounts: Vec<Ready<AccountRow>>,
    sessions: Vec<Ready<SessionRow>>,
    leases: Vec<Ready<LeaseRow>>,
    waiters: Vec<Ready<WaiterRow>>,
    messages: Vec<Ready<OutboxRow>>,
    items: Vec<Ready<ItemRow>>,
    /// Leases and spent steps that still lie under names of the epoch before.
    moved_leases: Vec<Name>,
    moved_steps: Vec<Name>,
    rows: usize,
    bytes: usize,
}

/// A row under the new key, and what it takes the place of.
struct Ready<T> {
    row: T,
    mac: [u8; 32],
    element: Sum,
    /// The MAC that the row had, which tells whether it is still the same.
    old_mac: [u8; 32],
    old_element: Sum,
}

/// Installs new keys and begins to bind everything under them; runs alone, with the binder of the new keys.
pub(super) fn begin(tx: &mut Tx<'_>, keys: &KeyMaterial, audit: &[NewAudit]) -> Result<(Begun, Keep), StoreError> {
    let header = tx.header();
    if header.rekey.is_some() {
        return Ok((Begun::Running, Keep::No));
    }
    if keys.generation != header.slots_generation + 1 {
        return Ok((Begun::Stale, Keep::No));
    }
    install(tx, keys)?;
    tx.header_mut().rekey = Some(Rekey::begun());
    record_all(tx, audit, None)?;
    Ok((Begun::Done, Keep::Yes))
}

/// Binds the rows of buckets from `from` on under the new key, in a reader's snapshot; their buckets have been checked.
pub(super) fn prepare(
    conn: &Connection,
    binder: &dyn Binder,
    from: u16,
    check: impl Fn(u16) -> Result<(), StoreError>,
) -> Result<Prepared, StoreError> {
    let mut prepared = Prepared::empty(from);
    while usize::from(prepared.to) < BUCKETS && !prepared.is_full() {
        check(prepared.to)?;
        prepared.add_bucket(conn, binder)?;
        if !prepared.is_overfull() {
            prepared.to += 1;
        }
    }
    Ok(prepared)
}

/// Writes what was prepared; false where it does not follow what is done already.
pub(super) fn write(tx: &mut Tx<'_>, prepared: &Prepared) -> Result<(bool, Keep), StoreError> {
    let Some(rekey) = tx.header().rekey.clone() else { return Ok((false, Keep::No)) };
    if rekey.stage != RekeyStage::Rows || rekey.bucket != prepared.from {
        return Ok((false, Keep::No));
    }
    put_all(tx, &prepared.accounts)?;
    put_all(tx, &prepared.sessions)?;
    put_all(tx, &prepared.leases)?;
    put_all(tx, &prepared.waiters)?;
    put_all(tx, &prepared.messages)?;
    put_all(tx, &prepared.items)?;
    prepared.moved_leases.iter().try_for_each(|name| names::move_lease(tx, name))?;
    prepared.moved_steps.iter().try_for_each(|name| names::move_totp(tx, name))?;
    let mut bucket = rekey.bucket;
    while bucket < prepared.to && !has_older_rows(tx, bucket)? {
        bucket += 1;
    }
    let is_last = usize::from(bucket) == BUCKETS;
    let (stage, bucket) = if is_last { (RekeyStage::Leftovers, 0) } else { (RekeyStage::Rows, bucket) };
    tx.header_mut().rekey = Some(Rekey { stage, bucket, ..rekey });
    Ok((true, Keep::Yes))
}

/// Takes away leases and spent steps that no account leads to any more: their names cannot be computed again.
pub(super) fn leftovers(tx: &mut Tx<'_>, ask: &ResealAsk, now_ms: i64) -> Result<((), Keep), StoreError> {
    let Some(rekey) = tx.header().rekey.clone().filter(|rekey| rekey.stage == RekeyStage::Leftovers) else {
        return Ok(((), Keep::No));
    };
    if ask.lanes.iter().any(|lane| lane.epoch != tx.binder.epoch()) {
        return Err(StoreError::Rekeyed);
    }
    ask.lanes.iter().try_for_each(|lane| names::move_lease(tx, lane))?;
    let (mut bucket, mut removed) = (rekey.bucket, 0);
    while usize::from(bucket) < BUCKETS && removed < ROWS_MAX {
        let leases = remove_older::<LeaseRow>(tx, bucket)?;
        let waiters = remove_older::<WaiterRow>(tx, bucket)?;
        let steps = remove_older::<TotpRow>(tx, bucket)?;
        if steps > 0 {
            // Whatever secret comes back under another name: no step that may have been sent is sent again.
            let header = tx.header_mut();
            header.steps_spent_until_ms = header.steps_spent_until_ms.max(now_ms);
        }
        removed += leases + waiters + steps;
        if leases.max(waiters).max(steps) < ROWS_MAX {
            bucket += 1;
        }
    }
    let is_last = usize::from(bucket) == BUCKETS;
    let (stage, bucket) = if is_last { (RekeyStage::Audit, 0) } else { (RekeyStage::Leftovers, bucket) };
    tx.header_mut().rekey = Some(Rekey { stage, bucket, ..rekey });
    Ok(((), Keep::Yes))
}

/// Seals and links the next entries of the audit again; behind the last of them the old key goes, with all under it.
pub(super) fn audit(tx: &mut Tx<'_>, ask: &ResealAsk) -> Result<((), Keep), StoreError> {
    let Some(rekey) = tx.header().rekey.clone().filter(|rekey| rekey.stage == RekeyStage::Audit) else {
        return Ok(((), Keep::No));
    };
    let rekey = audit::relink(tx, rekey)?;
    let is_last = rekey.links == tx.audit_head().links;
    tx.header_mut().rekey = Some(rekey);
    if let Some(keys) = ask.finish.as_ref().filter(|_| is_last) {
        let fits = matches!(&keys.data_keys[..], [(epoch, _)] if *epoch == tx.binder.epoch());
        // Slots that were added since the asker looked: it looks again.
        if fits && keys.generation == tx.header().slots_generation + 1 {
            finish(tx, keys)?;
            record_all(tx, &ask.audit, None)?;
        }
    }
    Ok(((), Keep::Yes))
}

/// The old bytes are out of the file: the change of keys has ended.
pub(super) fn scrubbed(tx: &mut Tx<'_>) -> Result<((), Keep), StoreError> {
    if tx.header().rekey.as_ref().is_none_or(|rekey| rekey.stage != RekeyStage::Scrub) {
        return Ok(((), Keep::No));
    }
    tx.header_mut().rekey = None;
    Ok(((), Keep::Yes))
}

/// Everything that is sealed or bound as one goes over to the new key, and the old one goes.
fn finish(tx: &mut Tx<'_>, keys: &KeyMaterial) -> Result<(), StoreError> {
    tx.reseal_groups();
    tx.rebind_log()?;
    install(tx, keys)?;
    if let Some(rekey) = &mut tx.header_mut().rekey {
        rekey.stage = RekeyStage::Scrub;
    }
    Ok(())
}

fn install(tx: &mut Tx<'_>, keys: &KeyMaterial) -> Result<(), StoreError> {
    write_keys(tx.conn, keys).map_err(|e| database("writing the key slots", &e))?;
    let header: &mut Header = tx.header_mut();
    (header.slots_generation, header.slots_mac) = (keys.generation, keys.slots_mac);
    Ok(())
}

impl Prepared {
    fn empty(from: u16) -> Self {
        Self {
            from,
            to: from,
            accounts: Vec::new(),
            sessions: Vec::new(),
            leases: Vec::new(),
            waiters: Vec::new(),
            messages: Vec::new(),
            items: Vec::new(),
            moved_leases: Vec::new(),
            moved_steps: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    /// Whether rows of the bucket at hand may have been left out.
    fn is_overfull(&self) -> bool {
        self.rows >= 2 * ROWS_MAX || self.bytes >= 2 * BYTES_MAX
    }

    fn add_bucket(&mut self, conn: &Connection, binder: &dyn Binder) -> Result<(), StoreError> {
        let mut accounts = Vec::new();
        self.add(conn, binder, &mut accounts, |row: &AccountRow| {
            let (bound, names) = binder.rebind_account(row)?;
            Ok((bound, Some(names)))
        })?;
        for (ready, names) in accounts {
            if let Some(names) = names {
                self.note_names(conn, names)?;
            }
            self.accounts.push(ready);
        }
        let mut sessions = std::mem::take(&mut self.sessions);
        let mut leases = std::mem::take(&mut self.leases);
        let mut waiters = std::mem::take(&mut self.waiters);
        let mut messages = std::mem::take(&mut self.messages);
        let mut items = std::mem::take(&mut self.items);
        self.add_plain(conn, binder, &mut sessions)?;
        self.add_plain(conn, binder, &mut leases)?;
        self.add_plain(conn, binder, &mut waiters)?;
        self.add_plain(conn, binder, &mut messages)?;
        self.add_plain(conn, binder, &mut items)?;
        (self.sessions, self.leases, self.waiters) = (sessions, leases, waiters);
        (self.messages, self.items) = (messages, items);
        Ok(())
    }

    fn add_plain<T: Table>(
        &mut self,
        conn: &Connection,
        binder: &dyn Binder,
        to: &mut Vec<Ready<T>>,
    ) -> Result<(), StoreError> {
        let mut found = Vec::new();
        self.add(conn, binder, &mut found, |row: &T| Ok((row.rebound(binder)?, ())))?;
        to.extend(found.into_iter().map(|(ready, ())| ready));
        Ok(())
    }

    /// The rows of a table in the bucket at hand that are of an older epoch, as far as they may be taken at once.
    fn add<T: Table, N>(
        &mut self,
        conn: &Connection,
        binder: &dyn Binder,
        to: &mut Vec<(Ready<T>, N)>,
        bind: impl Fn(&T) -> Result<(T, N), NotAuthentic>,
    ) -> Result<(), StoreError> {
        let refused = |_: NotAuthentic| StoreError::Rekeyed;
        let (first, next) = bucket_range(self.to);
        let next = next.map_or_else(|| vec![0xff; 17], |next| next.to_vec());
        let rest = format!("WHERE {{key}} >= ?1 AND {{key}} < ?2 AND epoch <> ?3 {} LIMIT ?4", T::REBOUND_WHERE);
        let left = (2 * ROWS_MAX).saturating_sub(self.rows);
        let args = params![first.as_slice(), next, binder.epoch(), left as i64];
        let (mut rows, mut bytes) = (self.rows, self.bytes);
        T::each(conn, binder, &rest, args, |old: T, hash| {
            if bytes >= 2 * BYTES_MAX {
                return Ok(());
            }
            let old_mac = binder.row_mac(old.epoch(), old.place(), &hash).map_err(refused)?;
            let old_element = element(binder, &old, &hash)?;
            let (row, beside) = bind(&old).map_err(refused)?;
            let hash = row.row_hash();
            let mac = binder.row_mac(row.epoch(), row.place(), &hash).map_err(refused)?;
            let element = element(binder, &row, &hash)?;
            (rows, bytes) = (rows + 1, bytes + row.bytes());
            to.push((Ready { row, mac, element, old_mac, old_element }, beside));
            Ok(())
        })?;
        (self.rows, self.bytes) = (rows, bytes);
        Ok(())
    }

    /// Remembers which of an account's names have rows under the epoch before: only those are moved.
    fn note_names(&mut self, conn: &Connection, names: crate::store::AccountNames) -> Result<(), StoreError> {
        let db = |e| database("looking for named rows", &e);
        let is_there = |sql, name: &Name| match name.former {
            Some(former) => one::<i64>(conn, sql, [former.as_slice()]).map(|found| found.is_some()).map_err(db),
            None => Ok(false),
        };
        if is_there("SELECT 1 FROM lease WHERE resource = ?1", &names.lease)? {
            self.moved_leases.push(names.lease);
        }
        if let Some(totp) = names.totp
            && is_there("SELECT 1 FROM totp WHERE secret = ?1", &totp)?
        {
            self.moved_steps.push(totp);
        }
        Ok(())
    }
}

fn put_all<T: Table>(tx: &mut Tx<'_>, ready: &[Ready<T>]) -> Result<(), StoreError> {
    for ready in ready {
        let place = ready.row.place();
        let mac = T::mac(tx.conn, &place.id).map_err(|e| database("comparing a row", &e))?;
        if mac.is_some_and(|mac| mac == ready.old_mac) {
            tx.replace(&ready.row, &ready.mac, &ready.old_element, &ready.element, bucket_of(&place.id))?;
        }
    }
    Ok(())
}

fn has_older_rows(tx: &Tx<'_>, bucket: u16) -> Result<bool, StoreError> {
    Ok(has_older::<AccountRow>(tx, bucket)?
        || has_older::<SessionRow>(tx, bucket)?
        || has_older::<LeaseRow>(tx, bucket)?
        || has_older::<WaiterRow>(tx, bucket)?
        || has_older::<OutboxRow>(tx, bucket)?
        || has_older::<ItemRow>(tx, bucket)?)
}

fn has_older<T: Table>(tx: &Tx<'_>, bucket: u16) -> Result<bool, StoreError> {
    Ok(!older::<T>(tx, bucket, T::REBOUND_WHERE, 1)?.is_empty())
}

/// Removes rows of another epoch than the current one, as many as may be at once; says how many.
fn remove_older<T: Table>(tx: &mut Tx<'_>, bucket: u16) -> Result<usize, StoreError> {
    let keys = older::<T>(tx, bucket, "", ROWS_MAX)?;
    for key in &keys {
        if let Some(row) = tx.load::<T>(key)? {
            tx.remove(&row)?;
        }
    }
    Ok(keys.len())
}

/// The keys of rows of another epoch than the current one.
fn older<T: Table>(tx: &Tx<'_>, bucket: u16, rest: &str, limit: usize) -> Result<Vec<[u8; 16]>, StoreError> {
    let (first, next) = bucket_range(bucket);
    let next = next.map_or_else(|| vec![0xff; 17], |next| next.to_vec());
    let (name, key) = (T::NAME, T::KEY);
    let sql = format!("SELECT {key} FROM {name} WHERE {key} >= ?1 AND {key} < ?2 AND epoch <> ?3 {rest} LIMIT ?4");
    let keys = |conn: &Connection| {
        let args = params![first.as_slice(), next, tx.binder.epoch(), limit as i64];
        conn.prepare_cached(&sql)?.query_map(args, |row| row.get(0))?.collect::<rusqlite::Result<_>>()
    };
    keys(tx.conn).map_err(|e| database("looking for rows of an older key", &e))
}

/// Rows in one commit of the pass: the sync is spread over them, and workers wait for some 20 ms at most.
const ROWS_MAX: usize = 2000;
/// Sealed bytes in one commit of the pass: keeps the log, and what is held in memory, small.
const BYTES_MAX: usize = 8 << 20;
