//! A vault file and a connection to it outside of any thread, for tests of what goes on within one transaction.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{path::PathBuf, sync::Arc};

use rusqlite::Connection;

use super::{
    SCHEMA_VERSION, SqliteFile,
    known::{Known, Verified},
    profile,
    tx::Tx,
};
use crate::{
    KeyBinder,
    crypto::{Header, Keyring, Kind, Place},
    model::VaultId,
    store::{KeyMaterial, NewAudit},
};

pub(super) struct File {
    dir: tempfile::TempDir,
    pub(super) conn: Connection,
    pub(super) keys: Arc<Keyring>,
    pub(super) binder: KeyBinder,
}

impl File {
    pub(super) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let path = dir.path().join("v.db");
        let vault = VaultId::from_bytes([3; 16]);
        let keys = Arc::new(Keyring::generate(vault).unwrap());
        let binder = KeyBinder::new(Arc::clone(&keys));
        let header = Header::first(SCHEMA_VERSION, [1; 32], 0);
        drop(SqliteFile::create(&path, vault, 0, &binder, header, &material(1)).unwrap());
        Self { conn: profile::connect(&path, true).unwrap(), dir, keys, binder }
    }

    /// The same file once more: from here on the two go their own ways.
    pub(super) fn fork(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.db");
        let plain = Connection::open(self.path()).unwrap();
        plain.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        let keys = Arc::clone(&self.keys);
        let binder = KeyBinder::new(Arc::clone(&keys));
        Self { conn: profile::connect(&path, true).unwrap(), dir, keys, binder }
    }

    /// The same file under the data key that follows, with a change of keys that nobody has begun.
    pub(super) fn rotated(self) -> Self {
        let keys = Arc::new(self.keys.with_new_data_key().unwrap());
        let binder = KeyBinder::new(Arc::clone(&keys));
        Self { keys, binder, ..self }
    }

    /// Runs `run` in a transaction of its own, which is rolled back.
    pub(super) fn transaction(&self, run: impl FnOnce(&mut Tx<'_>)) {
        self.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (verified, mut known) = (Verified::new(), self.known());
        run(&mut Tx::new(&self.conn, &self.binder, &verified, &mut known));
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK").unwrap();
        }
    }

    /// Runs `run` in a transaction of its own, which is committed with its digest and header.
    pub(super) fn commit<T>(&self, run: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        self.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (verified, mut known) = (Verified::new(), self.known());
        let mut tx = Tx::new(&self.conn, &self.binder, &verified, &mut known);
        let done = run(&mut tx);
        tx.seal(0).unwrap();
        self.conn.execute_batch("COMMIT").unwrap();
        done
    }

    /// A commit of this many audit entries, under one link.
    pub(super) fn link(&self, entries: u16) {
        let links = self.known().header.audit.first().map_or(0, |head| head.links);
        self.commit(|tx| {
            for n in 1..=entries {
                let id = id_in(u16::try_from(links).unwrap(), n);
                let sealed = self.keys.seal(Place { kind: Kind::Audit, id, rev: 1 }, b"event").unwrap();
                tx.record(&NewAudit { id, sealed }, None).unwrap();
            }
        });
    }

    /// What the file's header vouches for.
    pub(super) fn known(&self) -> Known {
        Known::load(&self.conn, &self.binder).unwrap()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("v.db")
    }

    /// How many rows a table has.
    pub(super) fn count(&self, table: &str) -> i64 {
        self.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

/// Slots and keys of a generation, of which nothing but the generation is looked at here.
pub(super) fn material(generation: u64) -> KeyMaterial {
    KeyMaterial { generation, slots_mac: [1; 32], slots: Vec::new(), data_keys: Vec::new() }
}

/// An id in a bucket: the `n`th.
pub(super) fn id_in(bucket: u16, n: u16) -> [u8; 16] {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&(bucket << 4).to_be_bytes());
    id[14..].copy_from_slice(&n.to_be_bytes());
    id
}
