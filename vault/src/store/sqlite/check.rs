//! The full check, in one snapshot: every row is read once and goes through everything that there is to check of it.
//!
//! One thread reads, the others authenticate, add up and open what was read; one more has SQLite look at its pages. What
//! waits between them is bounded, whatever the file holds. Knows no plaintext: that is the [`Inspect`]or's.

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use rusqlite::Connection;

use super::{
    chain, database,
    known::{Known, Verified, element},
    profile,
    tables::{Stored, Table, authentic, one},
    verbs,
};
use crate::{
    crypto::{Kind, Sum},
    store::{
        AccountRow, AuditRow, BUCKETS, Binder, FileError, Finding, GROUPS, Inspect, ItemRow, LeaseRow, OutboxRow,
        Progress, RowName, SessionRow, StoreError, Tampering, TotpRow, WaiterRow, bucket_of, group_of,
    },
};

/// Who checks what.
pub(super) struct Checks<'a> {
    pub(super) path: &'a Path,
    pub(super) binder: &'a dyn Binder,
    pub(super) look: &'a dyn Inspect,
    pub(super) verified: &'a Verified,
    pub(super) progress: &'a Progress,
}

/// Rows on their way from the reader to whoever checks them.
enum Batch {
    Accounts(Vec<Stored<AccountRow>>),
    Sessions(Vec<Stored<SessionRow>>),
    Leases(Vec<Stored<LeaseRow>>),
    Waiters(Vec<Stored<WaiterRow>>),
    Steps(Vec<Stored<TotpRow>>),
    Messages(Vec<Stored<OutboxRow>>),
    Items(Vec<Stored<ItemRow>>),
    Entries(Vec<AuditRow>),
}

/// What one thread has seen.
struct Seen {
    sums: Vec<Sum>,
    /// Buckets with a row that was named already: that their sum is off says nothing new.
    spoilt: Vec<bool>,
    findings: Vec<Finding>,
}

/// The thread that reads.
struct Reading<'a> {
    conn: &'a Connection,
    to: SyncSender<Batch>,
    progress: &'a Progress,
    done: u64,
    all: u64,
    findings: Vec<Finding>,
    /// Every table was read to its end.
    whole: bool,
}

impl Checks<'_> {
    /// All of it, in the snapshot that `conn` looks at.
    pub(super) fn run(&self, conn: &Connection) -> Result<Vec<Finding>, StoreError> {
        let mut known = match Known::load(conn, self.binder) {
            Ok(known) => known,
            Err(error) => return Ok(vec![finding(&error, "the header or the digest's top")?]),
        };
        let (to, from) = sync_channel(BATCHES_WAITING);
        let from = Mutex::new(from);
        let (read, mut seen) = thread::scope(|scope| {
            let pages = scope.spawn(|| self.pages());
            let checkers: Vec<_> = (0..checkers()).map(|_| scope.spawn(|| self.check(&from))).collect();
            let read = Reading::start(conn, to, self.progress).and_then(|reading| reading.all(self.binder, &known));
            let mut seen = Seen::new();
            for checker in checkers {
                seen.merge(joined(checker.join()));
            }
            (read.and_then(|read| Ok((read, joined(pages.join())?))), seen)
        });
        let ((read, whole), pages) = read?;
        seen.findings.extend(read);
        seen.findings.extend(pages);
        if whole {
            self.compare(conn, &mut known, &mut seen)?;
        }
        for (at, checked) in [
            ("the log of past headers", known.check_log(conn, self.binder)),
            ("the key slots", check_keys(conn, &known)),
        ] {
            if let Err(error) = checked {
                seen.findings.push(finding(&error, at)?);
            }
        }
        // The threads find in any order; a report is the same each time.
        seen.findings.sort_by(|a, b| (a.row, a.class as u8, &a.what).cmp(&(b.row, b.class as u8, &b.what)));
        seen.findings.truncate(FINDINGS_MAX);
        Ok(seen.findings)
    }

    /// Takes batches until there are no more.
    fn check(&self, from: &Mutex<Receiver<Batch>>) -> Seen {
        let mut seen = Seen::new();
        loop {
            let batch = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let (binder, look) = (self.binder, self.look);
            match batch {
                Err(_) => return seen,
                Ok(Batch::Accounts(rows)) => seen.rows(binder, rows, |row| look.account(row)),
                Ok(Batch::Sessions(rows)) => seen.rows(binder, rows, |row| look.session(row)),
                Ok(Batch::Leases(rows)) => seen.rows(binder, rows, |_| Ok(())),
                Ok(Batch::Waiters(rows)) => seen.rows(binder, rows, |_| Ok(())),
                Ok(Batch::Steps(rows)) => seen.rows(binder, rows, |_| Ok(())),
                Ok(Batch::Messages(rows)) => seen.rows(binder, rows, |row| look.message(row)),
                Ok(Batch::Items(rows)) => seen.rows(binder, rows, |row| look.item(row)),
                Ok(Batch::Entries(entries)) => entries.iter().for_each(|entry| {
                    if let Err(what) = look.entry(entry) {
                        let row = RowName { kind: Kind::Audit as u8, id: entry.id };
                        let what = format!("entry {}: {what}", entry.seq);
                        seen.find(Finding { class: Tampering::Audit, row: Some(row), what });
                    }
                }),
            }
        }
    }

    /// The sums of what was read against those of the digest.
    fn compare(&self, conn: &Connection, known: &mut Known, seen: &mut Seen) -> Result<(), StoreError> {
        for no in 0..GROUPS {
            if let Err(error) = known.group(conn, self.binder, no) {
                seen.find(finding(&error, &format!("group {no} of the digest"))?);
                continue;
            }
            for bucket in (0..BUCKETS).filter_map(|at| u16::try_from(at).ok()).filter(|at| group_of(*at) == no) {
                let at = usize::from(bucket);
                if known.sum(conn, self.binder, bucket)? == seen.sums[at] {
                    self.verified.add(bucket);
                } else if !seen.spoilt[at] {
                    let (class, row) = (Tampering::Digest, None);
                    let what = format!(
                        "bucket {bucket} of {BUCKETS}: rows are missing, were added or are older than they were"
                    );
                    seen.find(Finding { class, row, what });
                }
            }
        }
        Ok(())
    }

    /// What only SQLite can see: pages, the order in them, entries of its indexes; and sessions that nobody owns.
    fn pages(&self) -> Result<Vec<Finding>, StoreError> {
        let conn = profile::connect(self.path, false)?;
        let mut findings = Vec::new();
        let pages: Result<String, _> = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        let pages = pages.map_err(|e| database("checking the pages", &e)).unwrap_or_else(|e| e.to_string());
        if pages != "ok" {
            let what = format!("damaged pages: {pages}");
            findings.push(Finding { class: Tampering::Corruption, row: None, what });
        }
        let orphans = || -> rusqlite::Result<Vec<[u8; 16]>> {
            conn.prepare(ORPHANS)?.query_map([FINDINGS_MAX as i64], |row| row.get(0))?.collect()
        };
        for id in orphans().unwrap_or_default() {
            let row = Some(RowName { kind: Kind::Session as u8, id });
            findings.push(Finding { class: Tampering::Digest, row, what: "the session's account is not there".into() });
        }
        Ok(findings)
    }
}

impl<'a> Reading<'a> {
    fn start(conn: &'a Connection, to: SyncSender<Batch>, progress: &'a Progress) -> Result<Self, StoreError> {
        let mut all = 0;
        for table in TABLES {
            // A table that cannot be counted cannot be read either, which is said then.
            all += one::<i64>(conn, &format!("SELECT count(*) FROM {table}"), []).ok().flatten().unwrap_or(0);
        }
        let (done, all) = (0, all.cast_unsigned());
        Ok(Self { conn, to, progress, done, all, findings: Vec::new(), whole: true })
    }

    /// What was found while reading, and whether all tables were read to their ends.
    fn all(mut self, binder: &dyn Binder, known: &Known) -> Result<(Vec<Finding>, bool), StoreError> {
        self.table(Batch::Accounts)?;
        self.table(Batch::Sessions)?;
        self.table(Batch::Leases)?;
        self.table(Batch::Waiters)?;
        self.table(Batch::Steps)?;
        self.table(Batch::Messages)?;
        self.table(Batch::Items)?;
        let mut batch = Vec::new();
        let checked = chain::check(self.conn, binder, &known.header, |entry| {
            batch.push(entry);
            if batch.len() == BATCH_ROWS {
                let rows = std::mem::take(&mut batch);
                self.advance(rows.len());
                // Nobody takes them any more only where a checker has panicked, which is raised when it is joined.
                let _ = self.to.send(Batch::Entries(rows));
            }
        });
        match checked {
            Ok(findings) => self.findings.extend(findings),
            Err(error) => self.findings.push(finding(&error, "the audit chain")?),
        }
        let _ = self.to.send(Batch::Entries(batch));
        (self.progress)(self.all, self.all);
        Ok((self.findings, self.whole))
    }

    /// Every row of a table, as it lies in the file.
    fn table<T: Table>(&mut self, batch_of: fn(Vec<Stored<T>>) -> Batch) -> Result<(), StoreError> {
        let db = |e| database("reading rows", &e);
        let sql = format!("SELECT {} FROM {}", T::COLUMNS, T::NAME);
        let mut select = self.conn.prepare(&sql).map_err(db)?;
        let mut rows = select.query([]).map_err(db)?;
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        loop {
            let row = match rows.next() {
                Ok(row) => row,
                Err(error) => {
                    // Pages that cannot be read: what they held is unknown, and so is every sum.
                    self.whole = false;
                    self.findings
                        .push(finding(&db(error), &format!("the table {} cannot be read to its end", T::NAME))?);
                    None
                }
            };
            let Some(row) = row else { break };
            match T::read(row) {
                Ok(stored) => batch.push(stored),
                Err(error) if self.findings.len() < FINDINGS_MAX => {
                    self.findings
                        .push(finding(&db(error), &format!("a row of the table {} is not of this format", T::NAME))?);
                }
                Err(_) => {}
            }
            if batch.len() == BATCH_ROWS {
                self.advance(BATCH_ROWS);
                // As above.
                let _ = self.to.send(batch_of(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ROWS))));
            }
        }
        self.advance(batch.len());
        let _ = self.to.send(batch_of(batch));
        Ok(())
    }

    fn advance(&mut self, rows: usize) {
        // Rows that nobody counted are no reason to go beyond the end.
        self.done = self.all.min(self.done + rows as u64);
        (self.progress)(self.done, self.all);
    }
}

impl Seen {
    fn new() -> Self {
        Self { sums: vec![Sum::ZERO; BUCKETS], spoilt: vec![false; BUCKETS], findings: Vec::new() }
    }

    fn rows<T: Table>(
        &mut self,
        binder: &dyn Binder,
        rows: Vec<Stored<T>>,
        look: impl Fn(&T) -> Result<(), &'static str>,
    ) {
        for stored in rows {
            let bucket = usize::from(bucket_of(&stored.place().id));
            let checked = authentic(binder, stored).and_then(|(row, hash)| {
                let element = element(binder, &row, &hash)?;
                self.sums[bucket] = self.sums[bucket].add(element);
                Ok(row)
            });
            match checked {
                Ok(row) => {
                    if let Err(what) = look(&row) {
                        let (class, row) = (Tampering::Substitution, Some(RowName::of(&row)));
                        self.find(Finding { class, row, what: what.into() });
                    }
                }
                Err(error) => {
                    self.spoilt[bucket] = true;
                    let row = if let StoreError::Tampered { row, .. } = error { row } else { None };
                    let what = "the row is not as this vault wrote it: it was edited, exchanged or moved".into();
                    self.find(Finding { class: Tampering::Substitution, row, what });
                }
            }
        }
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    fn merge(&mut self, other: Self) {
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum = sum.add(more);
        }
        for (spoilt, also) in self.spoilt.iter_mut().zip(other.spoilt) {
            *spoilt |= also;
        }
        self.findings.extend(other.findings);
    }
}

/// The chain alone: what is wrong with it, and with the entries as `look` sees them.
pub(super) fn check_audit(
    conn: &Connection,
    binder: &dyn Binder,
    look: &dyn Inspect,
    progress: &Progress,
) -> Result<(Known, Vec<Finding>), StoreError> {
    let known = Known::load(conn, binder)?;
    let all = known.header.audit.iter().map(|head| head.last_seq).sum();
    let (mut done, mut unread) = (0, Vec::new());
    let mut findings = chain::check(conn, binder, &known.header, |entry| {
        done += 1;
        if done % PROGRESS_ENTRIES == 0 {
            progress(done.min(all), all);
        }
        if let Err(what) = look.entry(&entry)
            && unread.len() < FINDINGS_MAX
        {
            let row = RowName { kind: Kind::Audit as u8, id: entry.id };
            let what = format!("entry {}: {what}", entry.seq);
            unread.push(Finding { class: Tampering::Audit, row: Some(row), what });
        }
    })?;
    findings.extend(unread);
    progress(all, all);
    Ok((known, findings))
}

fn check_keys(conn: &Connection, known: &Known) -> Result<(), StoreError> {
    let keys = verbs::read_keys(conn).map_err(|e| database("reading the key slots", &e))?;
    known.check_keys(&keys)
}

/// What is wrong, as a finding; errors that are no tampering go on as errors.
fn finding(error: &StoreError, at: &str) -> Result<Finding, StoreError> {
    match error {
        StoreError::Tampered { class, row } => Ok(Finding { class: *class, row: *row, what: format!("{at}: {error}") }),
        StoreError::Database { during, code } => Err(StoreError::Database { during, code: *code }),
        StoreError::File(FileError::Damaged) => {
            Ok(Finding { class: Tampering::Corruption, row: None, what: format!("{at}: {error}") })
        }
        _ => Ok(Finding { class: Tampering::Substitution, row: None, what: format!("{at}: {error}") }),
    }
}

/// Threads beside the one that reads: checking a row takes about twice as long as reading it.
fn checkers() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1)).clamp(1, CHECKERS_MAX)
}

/// What a thread came to; its panic is ours.
fn joined<T>(ended: thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

const TABLES: [&str; 8] = ["account", "session", "lease", "waiter", "totp", "outbox", "item", "audit"];
const ORPHANS: &str =
    "SELECT s.account FROM session s WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = s.account)
    ORDER BY s.account LIMIT ?1";
/// Rows in a batch: enough that handing it over costs nothing, some 100 KiB as long as rows are as usual.
const BATCH_ROWS: usize = 64;
/// Batches that wait: a few, so that neither side stands still for the other's hiccups.
const BATCHES_WAITING: usize = 8;
/// The one that reads cannot feed more.
const CHECKERS_MAX: usize = 3;
/// How often the check of the chain alone says how far it is.
const PROGRESS_ENTRIES: u64 = 256;
/// A check that finds this much has shown enough; the report stays readable.
pub(super) const FINDINGS_MAX: usize = 1000;
