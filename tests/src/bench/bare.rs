//! The other side: plain rusqlite on the same file with the same pragmas, and ring. None of the vault's code.

use std::{cell::RefCell, collections::BTreeMap, hint::black_box, path::Path};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use rusqlite::{Connection, OpenFlags, types::ValueRef};

use super::Failure;

/// A plain connection, and what opening a blob of the vault's sizes costs ring.
pub(super) struct Bare {
    pub(super) conn: Connection,
    ring: RingOpen,
}

impl Bare {
    /// Opens a vault's file as any program could.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        Ok(Self { conn: connect(file)?, ring: RingOpen::new() })
    }

    /// SELECT one account's blob, and open one like it.
    pub(super) fn read_account(&self, id: &[u8; 16]) -> Result<(), Failure> {
        self.read("SELECT rev, sealed FROM account WHERE id = ?1", id)
    }

    /// SELECT one session's blob, and open one like it.
    pub(super) fn read_session(&self, id: &[u8; 16]) -> Result<(), Failure> {
        self.read("SELECT rev, sealed FROM session WHERE account = ?1", id)
    }

    /// Reads every column of every row that a digest counts, and of the audit; returns how many rows there were.
    ///
    /// Rows come in the order of their keys, which is the order that the digest has to be checked in.
    pub(super) fn read_everything(&self) -> Result<u64, Failure> {
        let mut rows = 0;
        for (table, order) in [
            ("account", "id"),
            ("session", "account"),
            ("lease", "resource"),
            ("totp", "secret"),
            ("outbox", "id"),
            ("item", "id"),
            ("audit", "writer, seq"),
            ("audit_link", "writer, no"),
        ] {
            let mut select = self.conn.prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))?;
            let columns = select.column_count();
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                for column in 0..columns {
                    match row.get_ref(column)? {
                        ValueRef::Blob(bytes) => drop(black_box(bytes.to_vec())),
                        other => drop(black_box(other)),
                    }
                }
                rows += 1;
            }
        }
        Ok(rows)
    }

    fn read(&self, sql: &str, id: &[u8; 16]) -> Result<(), Failure> {
        let mut select = self.conn.prepare_cached(sql)?;
        let mut rows = select.query([id.as_slice()])?;
        let row = rows.next()?.ok_or("a row is not there")?;
        let _: i64 = black_box(row.get(0)?);
        self.ring.open(row.get_ref(1)?.as_blob()?)
    }
}

/// A plain connection with the pragmas that the vault's have.
pub(super) fn connect(file: &Path) -> Result<Connection, Failure> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    for (name, value) in [("cell_size_check", 1), ("secure_delete", 1), ("mmap_size", 0), ("wal_autocheckpoint", 0)] {
        conn.pragma_update(None, name, value)?;
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

/// Opens blobs with ring, at the cost of opening the one at hand.
///
/// The bench has no key of the vault: the key is derived from the salt of the blob that was read, and a ciphertext of the
/// bench's own, as long as the one that was read, is opened in its place.
struct RingOpen {
    prk: Prk,
    bodies: RefCell<BTreeMap<usize, Vec<u8>>>,
}

impl RingOpen {
    fn new() -> Self {
        Self { prk: Salt::new(HKDF_SHA256, b"bench").extract(&KEY), bodies: RefCell::default() }
    }

    fn open(&self, sealed: &[u8]) -> Result<(), Failure> {
        let failed = |_| Failure::from("ring refused");
        let salt = sealed.get(HEAD_BYTES..BODY_AT).ok_or("a blob is too short")?;
        let mut keys = [0; 64];
        self.prk
            .expand(&[b"latchkey/v1/seal", salt, &CONTEXT], Length)
            .and_then(|okm| okm.fill(&mut keys))
            .map_err(failed)?;
        black_box(&keys);
        let mut bodies = self.bodies.borrow_mut();
        let body = match bodies.entry(sealed.len() - BODY_AT) {
            std::collections::btree_map::Entry::Occupied(body) => body.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let mut body = vec![7; sealed.len() - BODY_AT - AES_256_GCM.tag_len()];
                aes()?.seal_in_place_append_tag(nonce(), Aad::from(CONTEXT), &mut body).map_err(failed)?;
                place.insert(body)
            }
        };
        let mut text = body.clone();
        black_box(aes()?.open_in_place(nonce(), Aad::from(CONTEXT), &mut text).map_err(failed)?);
        Ok(())
    }
}

fn aes() -> Result<LessSafeKey, Failure> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).map_err(|_| "ring refused")?))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        64
    }
}

/// Any key will do.
const KEY: [u8; 32] = [5; 32];
/// As long as what a blob of the vault is bound to (FORMAT.md, Sealed blob).
const CONTEXT: [u8; 51] = [3; 51];
/// Version, algorithm, epoch, incarnation.
const HEAD_BYTES: usize = 10;
/// Behind head, salt and commitment.
const BODY_AT: usize = 74;
