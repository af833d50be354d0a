//! The tables, and the proof that a file has these and no others. Knows nothing of what the rows mean.

use ring::digest::{Context, SHA256};
use rusqlite::Connection;

/// `PRAGMA application_id`: "LKv1".
pub(super) const APPLICATION_ID: i64 = 0x4c4b_7631;
/// `PRAGMA user_version`; the sealed header repeats it, so lowering this one gains nothing.
pub const SCHEMA_VERSION: u32 = 1;

/// Makes the tables.
///
/// # Errors
/// SQLite's, when it cannot write.
pub(super) fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(TABLES)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Whether the file's schema is exactly ours: same objects, same text, nothing planted.
///
/// # Errors
/// SQLite's, when the schema cannot be read.
pub(super) fn is_ours(conn: &Connection) -> rusqlite::Result<bool> {
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(TABLES)?;
    Ok(fingerprint(conn)? == fingerprint(&ours)?)
}

fn fingerprint(conn: &Connection) -> rusqlite::Result<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    let mut rows =
        conn.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name, sql LIMIT 1000")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            let text: Option<String> = row.get(column)?;
            let text = text.unwrap_or_default();
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok(hash)
}

// Rows that hold a blob have a rowid: in a table without, SQLite keeps whole rows in inner pages too and moves what is
// beyond a quarter of a page to a page of its own (sqlite.org/withoutrowid.html, section 4). With 200,000 accounts the
// file is a third as large, and reads and writes take a third of the time (measured 2026-11-22).
const TABLES: &str = "
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), vault BLOB NOT NULL, created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), counter INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE TABLE header_log (counter INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE digest_top (one INTEGER PRIMARY KEY CHECK (one = 1), hashes BLOB NOT NULL) STRICT;
CREATE TABLE digest_group (no INTEGER PRIMARY KEY, counter INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE TABLE key_slot (no INTEGER PRIMARY KEY, slot BLOB NOT NULL) STRICT;
CREATE TABLE key_meta (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE TABLE data_key (epoch INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE account (id BLOB PRIMARY KEY, rev INTEGER NOT NULL, epoch INTEGER NOT NULL, ix_site BLOB NOT NULL,
  ix_login BLOB, ix_manager BLOB, sealed BLOB NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE INDEX account_site ON account (ix_site, id);
CREATE UNIQUE INDEX account_login ON account (ix_login) WHERE ix_login IS NOT NULL;
CREATE UNIQUE INDEX account_manager ON account (ix_manager) WHERE ix_manager IS NOT NULL;
CREATE TABLE session (account BLOB PRIMARY KEY, rev INTEGER NOT NULL, epoch INTEGER NOT NULL,
  login_epoch INTEGER NOT NULL, sealed BLOB NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE TABLE lease (resource BLOB PRIMARY KEY, rev INTEGER NOT NULL, epoch INTEGER NOT NULL,
  incarnation INTEGER NOT NULL, n INTEGER NOT NULL, held INTEGER NOT NULL, holder BLOB NOT NULL,
  boot_id BLOB NOT NULL, until_ms INTEGER NOT NULL, free_at_ms INTEGER NOT NULL, mac BLOB NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE waiter (id BLOB PRIMARY KEY, rev INTEGER NOT NULL, epoch INTEGER NOT NULL, resource BLOB NOT NULL,
  ticket INTEGER NOT NULL, at_most INTEGER NOT NULL, holder BLOB NOT NULL, boot_id BLOB NOT NULL,
  until_ms INTEGER NOT NULL, mac BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX waiter_line ON waiter (resource, ticket);
CREATE TABLE totp (secret BLOB PRIMARY KEY, rev INTEGER NOT NULL, epoch INTEGER NOT NULL,
  last_step INTEGER NOT NULL, mac BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (id BLOB PRIMARY KEY, rev INTEGER NOT NULL, epoch INTEGER NOT NULL, lane INTEGER NOT NULL,
  subject BLOB NOT NULL, after BLOB, seq INTEGER NOT NULL, due_ms INTEGER NOT NULL, tries INTEGER NOT NULL,
  state INTEGER NOT NULL, sealed BLOB NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE INDEX outbox_seq ON outbox (seq);
CREATE INDEX outbox_due ON outbox (lane, state, due_ms);
CREATE INDEX outbox_subject ON outbox (subject, seq);
CREATE TABLE item (id BLOB PRIMARY KEY, tag INTEGER NOT NULL, rev INTEGER NOT NULL, epoch INTEGER NOT NULL, ix BLOB,
  open INTEGER NOT NULL, sealed BLOB NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE INDEX item_ix ON item (tag, ix);
CREATE INDEX item_open ON item (tag, open);
CREATE TABLE audit (writer INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, incarnation INTEGER,
  n INTEGER, sealed BLOB NOT NULL, PRIMARY KEY (writer, seq)) STRICT;
CREATE TABLE audit_link (writer INTEGER NOT NULL, no INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  epoch INTEGER NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (writer, no)) STRICT, WITHOUT ROWID;
";
