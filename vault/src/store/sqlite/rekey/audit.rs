//! The audit under the new key: entries sealed again, links made again from the first on.
//!
//! Meanwhile the chain is a remade beginning and an old rest: the header holds both ends of the seam. Knows no event.

#[cfg(test)]
mod tests;

use rusqlite::{Connection, params};

use super::super::{
    chain, database,
    tables::{int, uint},
    tx::{Tx, WRITER},
};
use crate::{
    crypto::{Kind, Place, Rekey},
    store::{AuditRow, EntriesHasher, StoreError, Tampering, entry_hash, same_mac},
};

struct Link {
    no: u64,
    first: u64,
    last: u64,
    epoch: u32,
    mac: [u8; 32],
}

/// Makes the next links again, each after it was checked; at the end of the chain its head follows the new links.
pub(super) fn relink(tx: &mut Tx<'_>, mut rekey: Rekey) -> Result<Rekey, StoreError> {
    let bad = || StoreError::tampered(Tampering::Audit, None);
    let head = tx.audit_head();
    let stop = rekey.entries + ENTRIES_MAX;
    for link in links(tx.conn, rekey.links).map_err(|e| database("reading the audit chain", &e))? {
        if link.no != rekey.links + 1 || link.first != rekey.entries + 1 || link.last > head.last_seq {
            return Err(bad());
        }
        let [old, new] = entries(tx, &link)?;
        let sealed_by = |epoch, previous: &[u8; 32], entries: &[u8; 32]| {
            let made = tx.binder.audit_link(epoch, previous, WRITER, link.first, link.last, entries);
            made.map_err(|_| StoreError::tampered(Tampering::Audit, None))
        };
        if !same_mac(&sealed_by(link.epoch, &rekey.old_link, &old)?, &link.mac) {
            return Err(bad());
        }
        let epoch = tx.binder.epoch();
        rekey.new_link = sealed_by(epoch, &rekey.new_link, &new)?;
        (rekey.old_link, rekey.links, rekey.entries) = (link.mac, link.no, link.last);
        tx.conn
            .prepare_cached("UPDATE audit_link SET epoch = ?1, mac = ?2 WHERE writer = ?3 AND no = ?4")
            .and_then(|mut put| put.execute(params![epoch, rekey.new_link.as_slice(), int(WRITER), int(link.no)]))
            .map_err(|e| database("writing an audit link", &e))?;
        if rekey.entries >= stop {
            break;
        }
    }
    if rekey.links == head.links && head.links > 0 {
        if rekey.entries != head.last_seq || !same_mac(&rekey.old_link, &head.link) {
            return Err(bad());
        }
        // What is appended from now on follows the new links.
        rekey.old_link = rekey.new_link;
        let link = rekey.new_link;
        tx.header_mut().audit.iter_mut().filter(|head| head.writer == WRITER).for_each(|head| head.link = link);
    }
    Ok(rekey)
}

/// Seals the entries of a link again; the hashes of them all, as they were and as they are.
fn entries(tx: &Tx<'_>, link: &Link) -> Result<[[u8; 32]; 2], StoreError> {
    let bad = || StoreError::tampered(Tampering::Audit, None);
    let (mut old, mut new) = (EntriesHasher::default(), EntriesHasher::default());
    let rows = rows(tx.conn, link).map_err(|e| database("reading the audit", &e))?;
    if rows.len() as u64 != link.last + 1 - link.first {
        return Err(bad());
    }
    for (row, seq) in rows.iter().zip(link.first..) {
        if row.seq != seq {
            return Err(bad());
        }
        old.add(&entry_hash(seq, &row.id, row.token, row.sealed.as_bytes()));
        let resealed = tx.binder.reseal(Place { kind: Kind::Audit, id: row.id, rev: 1 }, &row.sealed);
        let resealed = resealed.map_err(|_| bad())?;
        let sealed = resealed.as_ref().unwrap_or(&row.sealed);
        new.add(&entry_hash(seq, &row.id, row.token, sealed.as_bytes()));
        if resealed.is_some() {
            tx.conn
                .prepare_cached("UPDATE audit SET sealed = ?1 WHERE writer = ?2 AND seq = ?3")
                .and_then(|mut put| put.execute(params![sealed.as_bytes(), int(WRITER), int(seq)]))
                .map_err(|e| database("writing an audit entry", &e))?;
        }
    }
    Ok([old.finish(), new.finish()])
}

fn links(conn: &Connection, after: u64) -> rusqlite::Result<Vec<Link>> {
    conn.prepare_cached(
        "SELECT no, first, last, epoch, mac FROM audit_link WHERE writer = ?1 AND no > ?2 ORDER BY no LIMIT ?3",
    )?
    .query_map(params![int(WRITER), int(after), LINKS_MAX], |row| {
        let (no, first, last) = (uint(row, 0)?, uint(row, 1)?, uint(row, 2)?);
        Ok(Link { no, first, last, epoch: row.get(3)?, mac: row.get(4)? })
    })?
    .collect()
}

fn rows(conn: &Connection, link: &Link) -> rusqlite::Result<Vec<AuditRow>> {
    conn.prepare_cached(&format!(
        "{} WHERE writer = ?1 AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
        chain::ENTRIES
    ))?
    .query_map(params![int(WRITER), int(link.first), int(link.last), ENTRIES_OF_A_LINK_MAX], chain::entry)?
    .collect()
}

/// Links in one commit; each has one entry at least.
const LINKS_MAX: i64 = 2000;
/// Entries in one commit, but for those of its last link.
const ENTRIES_MAX: u64 = 2000;
/// A link covers one group commit: 512 operations with a handful of entries each. What claims more is refused.
const ENTRIES_OF_A_LINK_MAX: i64 = 1 << 20;
