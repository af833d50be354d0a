//! The store on one SQLite file: a writer thread with group commit, readers beside it, several processes in turn.
//!
//! Path to disk: verb → `Writer::submit` → savepoint in a group → digest, audit link, header → one sync.
//! Knows rows, never what is sealed in them.

mod chain;
mod check;
mod checkpoint;
mod copy;
#[cfg(test)]
pub(crate) mod killing;
mod known;
mod leasing;
mod names;
mod presence;
mod profile;
mod reader;
mod rekey;
mod replace;
mod salvage;
mod schema;
mod scrub;
mod tables;
#[cfg(test)]
mod testing;
mod turn;
mod tx;
mod verbs;
mod writer;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
pub(crate) use profile::{check_local, check_private, create_private, parent, with_suffix};
pub(crate) use replace::{free_name, refuse_in_use, remove_copy, replace, sync_folder};
use rusqlite::{Connection, ErrorCode, params};
pub use schema::SCHEMA_VERSION;

use super::{
    AccountRow, AuditLink, AuditRow, BUCKETS, Begun, Binder, Changes, FileError, FindAccounts, FindItems, FindOutbox,
    Finding, Head, HeldAccount, HeldRows, Hold, Inspect, ItemRow, KeyMaterial, LeaseAsk, LeaseRow, NewAudit,
    NewIncarnation, NewKeys, OutboxRow, Progress, Rekeying, Renewed, ResealAsk, Reserved, Saved, SessionRow, Settle,
    StepAsk, Store, StoreError, Taken, Tampering, WaiterRow,
};
use crate::{
    crypto::{AuditHead, Header, RekeyStage},
    model::{AccountId, Clock, HolderId, VaultId},
};

/// A vault file that was checked and opened, before any key is there.
pub struct SqliteFile {
    path: PathBuf,
    conn: Connection,
    identity: profile::Identity,
    vault: VaultId,
    keys: KeyMaterial,
}

/// The store on one SQLite file.
pub struct SqliteStore {
    clock: Arc<dyn Clock>,
    writer: Arc<writer::Writer>,
    readers: Arc<reader::Readers>,
    checkpoints: Arc<checkpoint::Checkpoints>,
    presence: Arc<presence::Presence>,
    incarnation_since_ms: AtomicI64,
    /// The next rows of a change of keys, being prepared while those before them are written.
    prepared: tokio::sync::Mutex<Option<Preparing>>,
}

type Preparing = tokio::task::JoinHandle<Result<rekey::Prepared, StoreError>>;

impl SqliteFile {
    /// Opens a vault file: path, owner, modes, magic, version and schema are checked; nothing is authenticated yet.
    ///
    /// # Errors
    /// [`StoreError::File`] when the file must not be taken for a vault; [`Tampering::Schema`] when its tables are not
    /// ours; [`StoreError::Io`] and [`StoreError::Database`] when it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        profile::check_path(path)?;
        let identity = profile::identity(path)?;
        let has_log = fs::metadata(with_suffix(path, "-wal")).is_ok_and(|log| log.len() > 0);
        let conn = profile::connect(path, true)?;
        // Until it is authenticated: a file that is refused is evidence, and its log with it.
        profile::keep_log(&conn, has_log)?;
        profile::check_schema(&conn)?;
        // The file that SQLite has opened is the one that was looked at.
        if profile::identity(path)? != identity {
            return Err(FileError::Replaced.into());
        }
        let vault: [u8; 16] = conn
            .query_row("SELECT vault FROM meta WHERE one = 1", [], |row| row.get(0))
            .map_err(|e| database("reading the vault's id", &e))?;
        let keys = verbs::read_keys(&conn).map_err(|e| database("reading the key slots", &e))?;
        Ok(Self { path: path.to_owned(), conn, identity, vault: VaultId::from_bytes(vault), keys })
    }

    /// Makes a new vault file (mode 0600), complete or not at all, and opens it.
    ///
    /// # Errors
    /// [`FileError::Exists`] when there is one already: it is left as it is.
    pub fn create(
        path: &Path,
        vault: VaultId,
        created_ms: i64,
        binder: &dyn Binder,
        header: Header,
        keys: &KeyMaterial,
    ) -> Result<Self, StoreError> {
        let io = |during| move |source| StoreError::Io { during, source };
        if fs::symlink_metadata(path).is_ok() {
            return Err(FileError::Exists.into());
        }
        check_private(&parent(path), "vault folder", true)?;
        check_local(&parent(path))?;
        let making = with_suffix(path, ".new");
        if let Err(error) = fs::remove_file(&making)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(StoreError::Io { during: "removing what an interrupted init left", source: error });
        }
        create_private(&making)?;
        fill(&making, vault, created_ms, binder, header, keys)?;
        // Renaming refuses to replace: of two inits that race one wins and the other is told.
        let cwd = rustix::fs::CWD;
        match rustix::fs::renameat_with(cwd, &making, cwd, path, rustix::fs::RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(FileError::Exists.into()),
            Err(errno) => return Err(io("naming the vault file")(errno.into())),
        }
        let folder = fs::File::open(parent(path)).map_err(io("opening the vault folder"))?;
        folder.sync_all().map_err(io("syncing the vault folder"))?;
        Self::open(path)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The vault's id, as the file says.
    #[must_use]
    pub fn vault(&self) -> VaultId {
        self.vault
    }

    /// The newest header, sealed, and the counter that it claims.
    ///
    /// # Errors
    /// [`Tampering::Header`] when there is none; [`StoreError::Database`] when it cannot be read.
    pub fn header(&self) -> Result<(u64, Vec<u8>), StoreError> {
        self.conn
            .query_row("SELECT counter, sealed FROM header WHERE one = 1", [], |row| {
                Ok((tables::uint(row, 0)?, row.get(1)?))
            })
            .map_err(|e| match e {
                rusqlite::Error::QueryReturnedNoRows => StoreError::tampered(Tampering::Header, None),
                e => database("reading the header", &e),
            })
    }

    /// The newest commit, not authenticated yet.
    ///
    /// # Errors
    /// As [`SqliteFile::header`].
    pub fn head(&self) -> Result<Head, StoreError> {
        let (counter, sealed) = self.header()?;
        Ok(Head { counter, hash: Header::hash(&sealed) })
    }

    /// Slots and data keys, as the file says.
    #[must_use]
    pub fn key_material(&self) -> &KeyMaterial {
        &self.keys
    }

    /// Whether a commit is the newest one, or among the past ones that the header vouches for.
    ///
    /// # Errors
    /// The kinds of [`Tampering`] when what the header vouches for is not what lies beside it.
    pub fn knows(&self, binder: &dyn Binder, head: Head) -> Result<bool, StoreError> {
        snapshot(&self.conn, |conn| known::Known::load(conn, binder)?.knows(conn, binder, head))
    }

    /// Authenticates header, header log, slot list and the top of the digest with the keys, and starts the store.
    ///
    /// Whether the file is as new as its anchor is for [`SqliteFile::knows`] to say.
    ///
    /// # Errors
    /// The kinds of [`Tampering`] when what the header vouches for is not what lies beside it.
    pub fn start(self, binder: Arc<dyn Binder>, clock: Arc<dyn Clock>) -> Result<SqliteStore, StoreError> {
        let known = snapshot(&self.conn, |conn| {
            let known = known::Known::load(conn, binder.as_ref())?;
            known.check_log(conn, binder.as_ref())?;
            known.check_keys(&self.keys)?;
            Ok(known)
        })?;
        profile::keep_log(&self.conn, false)?;
        let verified = Arc::new(known::Verified::new());
        let readers = Arc::new(reader::Readers::new(self.path.clone(), Arc::clone(&binder), Arc::clone(&verified)));
        let incarnation_since_ms = AtomicI64::new(known.header.incarnation_since_ms);
        let desk = writer::Desk {
            identity: self.identity,
            turns: Arc::new(turn::Turns::open(&self.path)?),
            floor: known.head,
            known: Some(known),
            path: self.path.clone(),
            conn: self.conn,
            binder,
            verified,
        };
        let presence = Arc::new(presence::Presence::announce(&self.path)?);
        let writer = Arc::new(writer::Writer::start(desk)?);
        let checkpoints = Arc::new(checkpoint::Checkpoints::start(self.path, writer.watch())?);
        let prepared = tokio::sync::Mutex::new(None);
        Ok(SqliteStore { clock, writer, readers, checkpoints, presence, incarnation_since_ms, prepared })
    }
}

impl SqliteStore {
    /// Follows the newest commit of this process.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::watch::Receiver<Head> {
        self.writer.watch()
    }

    /// Binds the next rows under the new key, in a thread beside the writer's.
    fn prepare(&self, from: u16) -> Preparing {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || readers.prepare(from))
    }

    async fn reseal_rows(&self, bucket: u16) -> Result<(), StoreError> {
        let mut preparing = self.prepared.lock().await;
        let preparing_now = preparing.take().unwrap_or_else(|| self.prepare(bucket));
        let rows = preparing_now.await.map_err(|_| StoreError::Closed)??;
        if usize::from(rows.to) < BUCKETS {
            *preparing = Some(self.prepare(rows.to));
        }
        // What does not follow is prepared anew: another process was faster.
        if !self.writer.submit(move |tx| rekey::write(tx, &rows)).await? {
            *preparing = None;
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&reader::Readers) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || run(&readers)).await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn save(&self, changes: Changes) -> Result<Saved, StoreError> {
        self.writer.submit(move |tx| verbs::save(tx, &changes)).await
    }

    async fn remove_account(&self, id: AccountId, rev: u64, audit: Vec<NewAudit>) -> Result<Saved, StoreError> {
        self.writer.submit(move |tx| verbs::remove_account(tx, id, rev, &audit)).await
    }

    async fn take_lease(&self, ask: LeaseAsk, audit: Vec<NewAudit>) -> Result<Taken, StoreError> {
        let (clock, presence) = (Arc::clone(&self.clock), Arc::clone(&self.presence));
        let take = move |tx: &mut tx::Tx<'_>| {
            let look = leasing::Look { now: clock.boot(), presence: presence.as_ref() };
            leasing::take(tx, &ask, &audit, look)
        };
        self.writer.submit(take).await
    }

    async fn leave_line(&self, waiter: [u8; 16]) -> Result<(), StoreError> {
        self.writer.submit(move |tx| leasing::leave_line(tx, &waiter)).await
    }

    async fn renew_lease(&self, hold: Hold, ttl: Duration) -> Result<Renewed, StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writer.submit(move |tx| verbs::renew_lease(tx, &hold, ttl, clock.boot())).await
    }

    async fn save_held(&self, holds: Vec<Hold>, changes: Changes) -> Result<Saved, StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writer.submit(move |tx| verbs::save_held(tx, &holds, &changes, clock.boot())).await
    }

    async fn check_in(&self, holds: Vec<Hold>, changes: Changes) -> Result<Saved, StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writer.submit(move |tx| verbs::check_in(tx, &holds, &changes, clock.boot())).await
    }

    async fn revoke_lease(&self, resource: [u8; 16], audit: Vec<NewAudit>) -> Result<(), StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writer.submit(move |tx| leasing::revoke(tx, &resource, &audit, clock.boot())).await
    }

    async fn reserve_step(&self, ask: StepAsk, changes: Changes) -> Result<Reserved, StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writer.submit(move |tx| verbs::reserve_step(tx, &ask, &changes, clock.boot())).await
    }

    async fn settle(&self, settled: Vec<Settle>, changes: Changes) -> Result<Saved, StoreError> {
        self.writer.submit(move |tx| verbs::settle(tx, &settled, &changes)).await
    }

    async fn install_keys(&self, keys: KeyMaterial, audit: Vec<NewAudit>) -> Result<Saved, StoreError> {
        self.writer.submit(move |tx| verbs::install_keys(tx, &keys, &audit)).await
    }

    async fn begin_incarnation(&self, begin: NewIncarnation, audit: Vec<NewAudit>) -> Result<Saved, StoreError> {
        let saved = self.writer.submit(move |tx| verbs::begin_incarnation(tx, begin, &audit)).await?;
        if saved == Saved::Done {
            self.incarnation_since_ms.store(begin.since_ms, Ordering::Release);
        }
        Ok(saved)
    }

    fn incarnation_since_ms(&self) -> i64 {
        self.incarnation_since_ms.load(Ordering::Acquire)
    }

    async fn copy_to(&self, to: PathBuf, progress: Progress) -> Result<Head, StoreError> {
        self.blocking(move |readers| readers.copy_to(&to, &progress)).await
    }

    async fn begin_rekey(&self, new: NewKeys) -> Result<Begun, StoreError> {
        let NewKeys { keys, binder, installed, audit } = new;
        let successor = writer::Successor { binder, installed };
        self.writer.submit_under(successor, move |tx| rekey::begin(tx, &keys, &audit)).await
    }

    async fn rekeying(&self) -> Result<Option<Rekeying>, StoreError> {
        self.blocking(reader::Readers::rekeying).await
    }

    async fn reseal(&self, ask: ResealAsk) -> Result<(), StoreError> {
        let Some(Rekeying { rekey, .. }) = self.rekeying().await? else { return Ok(()) };
        let now_ms = self.clock.wall_ms();
        match rekey.stage {
            RekeyStage::Rows => self.reseal_rows(rekey.bucket).await,
            RekeyStage::Leftovers => self.writer.submit(move |tx| rekey::leftovers(tx, &ask, now_ms)).await,
            RekeyStage::Audit => self.writer.submit(move |tx| rekey::audit(tx, &ask)).await,
            RekeyStage::Scrub => {
                self.writer.maintain(scrub::scrub).await?;
                self.writer.submit(rekey::scrubbed).await
            }
        }
    }

    // A point read takes microseconds: handing it to another thread would cost more than it does.
    async fn account(&self, id: AccountId) -> Result<Option<(AccountRow, Option<SessionRow>)>, StoreError> {
        self.readers.account(id)
    }

    async fn account_held(&self, hold: Hold, known: Option<Arc<HeldRows>>) -> Result<HeldAccount, StoreError> {
        self.readers.account_held(&hold, known.as_deref(), || self.clock.boot())
    }

    async fn accounts(
        &self,
        find: FindAccounts,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountRow>, StoreError> {
        self.blocking(move |readers| readers.accounts(find, after, limit)).await
    }

    async fn held_leases(&self, of: Option<[u8; 16]>, limit: u32) -> Result<Vec<LeaseRow>, StoreError> {
        self.blocking(move |readers| readers.held_leases(of, limit)).await
    }

    async fn waiters(&self, limit: u32) -> Result<Vec<WaiterRow>, StoreError> {
        self.blocking(move |readers| readers.waiters(limit)).await
    }

    async fn lease(&self, resource: [u8; 16]) -> Result<Option<LeaseRow>, StoreError> {
        self.readers.lease(resource)
    }

    async fn items(&self, find: FindItems, limit: u32) -> Result<Vec<ItemRow>, StoreError> {
        self.blocking(move |readers| readers.items(find, limit)).await
    }

    async fn outbox(&self, find: FindOutbox, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
        self.blocking(move |readers| readers.outbox(find, limit)).await
    }

    async fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.blocking(move |readers| readers.audit(after, limit)).await
    }

    async fn audit_links(&self, after: u64, limit: u32) -> Result<Vec<AuditLink>, StoreError> {
        self.blocking(move |readers| readers.audit_links(after, limit)).await
    }

    async fn audit_heads(&self) -> Result<Vec<AuditHead>, StoreError> {
        self.blocking(reader::Readers::audit_heads).await
    }

    async fn verify_audit(
        &self,
        look: Arc<dyn Inspect>,
        progress: Progress,
    ) -> Result<(Vec<AuditHead>, Vec<Finding>), StoreError> {
        self.blocking(move |readers| readers.verify_audit(look.as_ref(), &progress)).await
    }

    async fn key_material(&self) -> Result<KeyMaterial, StoreError> {
        self.blocking(reader::Readers::key_material).await
    }

    fn holder(&self) -> HolderId {
        self.presence.id()
    }

    fn head(&self) -> Head {
        self.writer.head()
    }

    fn anchored(&self, counter: u64) {
        self.writer.anchored(counter);
    }

    async fn verify(&self, look: Arc<dyn Inspect>, progress: Progress) -> Result<Vec<Finding>, StoreError> {
        self.blocking(move |readers| readers.verify(look.as_ref(), &progress)).await
    }

    async fn close(&self) -> Result<Head, StoreError> {
        let (writer, readers) = (Arc::clone(&self.writer), Arc::clone(&self.readers));
        let (checkpoints, presence) = (Arc::clone(&self.checkpoints), Arc::clone(&self.presence));
        tokio::task::spawn_blocking(move || {
            readers.close();
            checkpoints.stop();
            // Last, since it can write: SQLite moves the whole log into the file and removes it with the last connection.
            writer.close();
            presence.leave();
            writer.head()
        })
        .await
        .map_err(|_| StoreError::Closed)
    }
}

fn fill(
    making: &Path,
    vault: VaultId,
    created_ms: i64,
    binder: &dyn Binder,
    header: Header,
    keys: &KeyMaterial,
) -> Result<(), StoreError> {
    let db = |e| database("making the tables", &e);
    let conn = profile::connect(making, true)?;
    conn.execute_batch("BEGIN IMMEDIATE").map_err(db)?;
    schema::create(&conn).map_err(db)?;
    conn.execute("INSERT INTO meta VALUES (1, ?1, ?2)", params![vault.as_bytes().as_slice(), created_ms])
        .map_err(db)?;
    verbs::write_keys(&conn, keys).map_err(db)?;
    let (verified, mut known) = (known::Verified::new(), known::Known::blank(header));
    tx::Tx::new(&conn, binder, &verified, &mut known).seal(0)?;
    conn.execute_batch("COMMIT").map_err(db)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(db)?;
    if mode != "wal" {
        return Err(StoreError::Database {
            during: "switching to write-ahead logging (is this a local disk?)",
            code: 0,
        });
    }
    conn.close().map_err(|(_, e)| db(e))
}

/// Looks at one state of the file, however long it takes.
fn snapshot<T>(conn: &Connection, look: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    if !conn.is_autocommit() {
        // It is one state already: that of the look around this one.
        return look(conn);
    }
    let run = |sql| {
        let ran = conn.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        ran.map_err(|e| database("looking at one state of the file", &e))
    };
    run("BEGIN")?;
    let seen = look(conn);
    // Some errors make SQLite end the transaction by itself. Nothing was written, so nothing is committed: SQLite refuses
    // to commit once it has read a damaged page, and what was seen then says more than that.
    if !conn.is_autocommit() {
        run("ROLLBACK")?;
    }
    seen
}

/// SQLite's error as ours: full disk, damage and malformed values have names of their own.
fn database(during: &'static str, error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => StoreError::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => FileError::Damaged.into(),
            // No value that this format writes comes near the limit of a connection.
            ErrorCode::TooBig => StoreError::tampered(Tampering::Substitution, None),
            _ if failure.extended_code == IOERR_SHORT_READ => FileError::Damaged.into(),
            _ => StoreError::Database { during, code: failure.extended_code },
        },
        // A value that is not of the shape that this format writes: somebody else put it there.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::QueryReturnedNoRows => StoreError::tampered(Tampering::Substitution, None),
        _ => StoreError::Database { during, code: 0 },
    }
}

/// SQLite's code for a file that ends within a page (sqlite.org/rescode.html#ioerr_short_read).
const IOERR_SHORT_READ: i32 = 522;
