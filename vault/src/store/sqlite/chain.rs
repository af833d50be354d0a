//! The audit chains as they lie in their tables: read page by page, and checked from the first entry to the sealed heads.
//!
//! Knows no event: what an entry says is sealed.

#[cfg(test)]
mod tests;

use rusqlite::{Connection, Row, params};

use super::{
    database,
    tables::{int, one, uint},
    tx::WRITER,
};
use crate::{
    crypto::{AuditHead, Header, Rekey, Sealed},
    store::{AuditLink, AuditRow, Binder, EntriesHasher, Finding, StoreError, Tampering, Token, entry_hash, same_mac},
};

/// Entries after `after`, in order.
pub(super) fn entries(conn: &Connection, after: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let rows = || {
        conn.prepare_cached(&format!("{ENTRIES} WHERE writer = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"))?
            .query_map(params![int(WRITER), int(after), limit], entry)?
            .collect::<rusqlite::Result<_>>()
    };
    rows().map_err(|e| database("reading the audit", &e))
}

/// Links after link number `after`, in order.
pub(super) fn links(conn: &Connection, after: u64, limit: u32) -> Result<Vec<AuditLink>, StoreError> {
    let rows = || {
        conn.prepare_cached(&format!("{LINKS} WHERE writer = ?1 AND no > ?2 ORDER BY no LIMIT ?3"))?
            .query_map(params![int(WRITER), int(after), limit], link)?
            .collect::<rusqlite::Result<_>>()
    };
    rows().map_err(|e| database("reading the audit's links", &e))
}

/// Every link against its entries and its predecessor, the last against the sealed head; one entry in memory at a time.
///
/// `each` gets every entry that a link covers, before the link is checked. Of each chain the first thing that is wrong is
/// said: what follows it hangs on it.
pub(super) fn check(
    conn: &Connection,
    binder: &dyn Binder,
    header: &Header,
    mut each: impl FnMut(AuditRow),
) -> Result<Vec<Finding>, StoreError> {
    let db = |e| database("reading the audit chain", &e);
    let mut findings = Vec::new();
    let (mut all_links, mut all_entries) = (0, 0);
    for head in &header.audit {
        let seam = header.rekey.as_ref().filter(|rekey| rekey.links > 0 && head.writer == WRITER);
        findings.extend(check_one(conn, binder, head, seam, &mut each)?);
        (all_links, all_entries) = (all_links + head.links, all_entries + head.last_seq);
    }
    if !findings.is_empty() {
        return Ok(findings);
    }
    // What is beyond the heads, or of writers that have none, was planted.
    for (table, what, all) in [("audit_link", "links", all_links), ("audit", "entries", all_entries)] {
        let found = one::<i64>(conn, &format!("SELECT count(*) FROM {table}"), []).map_err(db)?.unwrap_or(0);
        if found.cast_unsigned() != all {
            findings.push(broken(format!("there are {found} {what} where the header vouches for {all}")));
        }
    }
    Ok(findings)
}

fn check_one(
    conn: &Connection,
    binder: &dyn Binder,
    head: &AuditHead,
    seam: Option<&Rekey>,
    each: &mut impl FnMut(AuditRow),
) -> Result<Option<Finding>, StoreError> {
    let db = |e| database("reading the audit chain", &e);
    let mut links = conn.prepare_cached(&format!("{LINKS} WHERE writer = ?1 ORDER BY no")).map_err(db)?;
    let mut links = links.query([int(head.writer)]).map_err(db)?;
    let mut entries = conn.prepare_cached(&format!("{ENTRIES} WHERE writer = ?1 ORDER BY seq")).map_err(db)?;
    let mut entries = entries.query([int(head.writer)]).map_err(db)?;
    let (mut no, mut seq, mut before) = (0, 0, [0; 32]);
    while let Some(row) = links.next().map_err(db)? {
        let this = link(row).map_err(db)?;
        let (first, last) = (this.first, this.last);
        if this.no != no + 1 || first != seq + 1 || last < first {
            return Ok(Some(broken(format!(
                "link {} is not there, or not as it was: entry {} has none",
                no + 1,
                seq + 1
            ))));
        }
        let mut hasher = EntriesHasher::default();
        while seq < last {
            seq += 1;
            let found = entries.next().map_err(db)?.map(entry).transpose().map_err(db)?;
            let Some(entry) = found.filter(|entry| entry.seq == seq) else {
                return Ok(Some(broken(format!("entry {seq} is missing"))));
            };
            hasher.add(&entry_hash(seq, &entry.id, entry.token, entry.sealed.as_bytes()));
            each(entry);
        }
        let made = binder.audit_link(this.epoch, &before, head.writer, first, last, &hasher.finish());
        if !made.is_ok_and(|made| same_mac(&made, &this.mac)) {
            let which =
                if first == last { format!("entry {first}") } else { format!("one of the entries {first} to {last}") };
            return Ok(Some(broken(format!("{which}, or its link, was edited or exchanged"))));
        }
        (no, before) = (this.no, this.mac);
        // Up to here the links were made again under new keys; the rest follows the link that stood here.
        if let Some(seam) = seam.filter(|seam| seam.links == no) {
            if !same_mac(&before, &seam.new_link) {
                return Ok(Some(broken(format!("link {no} is not the one up to which the keys were changed"))));
            }
            before = seam.old_link;
        }
    }
    if no == head.links && seq == head.last_seq && same_mac(&before, &head.link) {
        return Ok(None);
    }
    Ok(Some(broken(format!(
        "the chain ends with entry {seq}, the header vouches for {}: its tail was cut or changed",
        head.last_seq
    ))))
}

fn broken(what: String) -> Finding {
    Finding { class: Tampering::Audit, row: None, what }
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let token = match (row.get::<_, Option<u32>>(3)?, row.get::<_, Option<i64>>(4)?) {
        (Some(incarnation), Some(n)) => Some(Token { incarnation, n: n.cast_unsigned() }),
        _ => None,
    };
    let sealed = Sealed::from_bytes(row.get(5)?);
    Ok(AuditRow { writer: uint(row, 0)?, seq: uint(row, 1)?, id: row.get(2)?, token, sealed })
}

fn link(row: &Row<'_>) -> rusqlite::Result<AuditLink> {
    Ok(AuditLink {
        writer: uint(row, 0)?,
        no: uint(row, 1)?,
        first: uint(row, 2)?,
        last: uint(row, 3)?,
        epoch: row.get(4)?,
        mac: row.get(5)?,
    })
}

/// What [`entry`] reads.
pub(super) const ENTRIES: &str = "SELECT writer, seq, id, incarnation, n, sealed FROM audit";
const LINKS: &str = "SELECT writer, no, first, last, epoch, mac FROM audit_link";
