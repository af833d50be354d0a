//! The seam under the vault: a [`Store`] keeps rows, each verb one transaction.
//!
//! It sees ids, times, revisions and sealed bytes. Deliberately absent: keys, plaintext, sites, the manager.
//! A back end binds every row it writes, the digest, the audit chain and the header through the [`Binder`] it was given.

mod binder;
mod digest;
mod inspect;
mod lease;
mod rows;
pub mod sqlite;
mod waiter;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
pub use binder::{AccountNames, Binder, NotAuthentic, Reloaded, same_mac};
pub use digest::{BUCKETS, GROUPS, Group, Top, bucket_of, bucket_range, group_hash, group_of};
pub use inspect::Inspect;
pub use lease::{Claim, Claimant, LEASE_PLACES_MAX, claim, free_place, lease_place, lease_places, place_of_lease};
pub use rows::{
    AccountRow, AuditLink, AuditRow, BlindIndex, BoundRow, EntriesHasher, ItemRow, Lane, LeaseRow, Name, OutboxRow,
    Owed, Resource, RowHasher, SessionRow, Token, TotpRow, entry_hash,
};
use thiserror::Error;
pub use waiter::WaiterRow;

use crate::{
    crypto::{AuditHead, Rekey, Sealed},
    model::{AccountId, BootStamp, HolderId, MessageId},
};

/// The rows of one vault. Every verb is one transaction; when it returns `Ok`, what it wrote is durable.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes accounts, sessions, items and messages that no lease guards, with their audit entries.
    async fn save(&self, changes: Changes) -> Result<Saved, StoreError>;

    /// Removes an account and its session at the given revision; its lease row stays, so that no token comes again.
    async fn remove_account(&self, id: AccountId, rev: u64, audit: Vec<NewAudit>) -> Result<Saved, StoreError>;

    /// Takes a lease that is free or whose holder's time and quarantine are over, where nobody waits who came before.
    ///
    /// Who cannot have it stands in line from then on, where the ask says so, until it has it, leaves the line, or its time is
    /// over; it asks again with the same line. The audit entries get the granted token and are durable before this returns.
    async fn take_lease(&self, ask: LeaseAsk, audit: Vec<NewAudit>) -> Result<Taken, StoreError>;

    /// Takes a waiter out of line; nothing happens where it stands there no more.
    async fn leave_line(&self, waiter: [u8; 16]) -> Result<(), StoreError>;

    /// Extends a lease that is still held: from now on for `ttl`.
    async fn renew_lease(&self, hold: Hold, ttl: Duration) -> Result<Renewed, StoreError>;

    /// Writes what the holder of all of `holds` did; a stale hold among them changes nothing.
    async fn save_held(&self, holds: Vec<Hold>, changes: Changes) -> Result<Saved, StoreError>;

    /// Ends the first of `holds` and writes the holder's changes, in the same transaction.
    async fn check_in(&self, holds: Vec<Hold>, changes: Changes) -> Result<Saved, StoreError>;

    /// Takes a lease away from all who hold it; the resource rests for the lease's quarantine first.
    async fn revoke_lease(&self, resource: [u8; 16], audit: Vec<NewAudit>) -> Result<(), StoreError>;

    /// Reserves a TOTP step that is later than every reserved one, with the changes that record the intent.
    async fn reserve_step(&self, ask: StepAsk, changes: Changes) -> Result<Reserved, StoreError>;

    /// Ends or postpones messages of the outbox, with the changes that follow from their delivery.
    async fn settle(&self, settled: Vec<Settle>, changes: Changes) -> Result<Saved, StoreError>;

    /// Replaces slots and data keys under a new slot generation.
    async fn install_keys(&self, keys: KeyMaterial, audit: Vec<NewAudit>) -> Result<Saved, StoreError>;

    /// Begins the incarnation that the binder binds for, which has to be later than the stored one: from then on whatever
    /// was granted before is fenced, and processes of the earlier incarnation are refused.
    async fn begin_incarnation(&self, begin: NewIncarnation, audit: Vec<NewAudit>) -> Result<Saved, StoreError>;

    /// When the present incarnation began, Unix milliseconds; 0 for the first.
    fn incarnation_since_ms(&self) -> i64;

    /// Writes a consistent copy of everything into a file that is there and empty, while others go on writing.
    ///
    /// `progress` gets (done, all) in pages. Returns the commit that was copied.
    async fn copy_to(&self, to: PathBuf, progress: Progress) -> Result<Head, StoreError>;
    /// Installs new keys, in a commit of its own and under them, and begins to bind everything under them.
    async fn begin_rekey(&self, new: NewKeys) -> Result<Begun, StoreError>;

    /// How far a change of keys has come; none where none runs.
    async fn rekeying(&self) -> Result<Option<Rekeying>, StoreError>;

    /// Does the next part of a change of keys: one commit, or the end's work on the file. Others go on in between.
    async fn reseal(&self, ask: ResealAsk) -> Result<(), StoreError>;

    /// An account and its session.
    async fn account(&self, id: AccountId) -> Result<Option<(AccountRow, Option<SessionRow>)>, StoreError>;

    /// The account that a hold is on: hold and row are looked at in one snapshot.
    ///
    /// `known` is what an earlier read under this hold answered. What is still the same in the file is authentic, then as
    /// now, and not authenticated again; everything else is.
    async fn account_held(&self, hold: Hold, known: Option<Arc<HeldRows>>) -> Result<HeldAccount, StoreError>;

    /// Up to `limit` accounts after `after`, in the order of their ids.
    async fn accounts(
        &self,
        find: FindAccounts,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<AccountRow>, StoreError>;

    /// The leases that somebody holds, expired holders included, at most `limit`: all, or those of one resource.
    async fn held_leases(&self, of: Option<[u8; 16]>, limit: u32) -> Result<Vec<LeaseRow>, StoreError>;

    /// Who stands in line, for whatever, in order of arrival, at most `limit`.
    async fn waiters(&self, limit: u32) -> Result<Vec<WaiterRow>, StoreError>;

    /// A lease.
    async fn lease(&self, resource: [u8; 16]) -> Result<Option<LeaseRow>, StoreError>;

    /// Items of a kind, by what is asked for, at most `limit`.
    async fn items(&self, find: FindItems, limit: u32) -> Result<Vec<ItemRow>, StoreError>;

    /// Messages of the outbox, in order of arrival.
    async fn outbox(&self, find: FindOutbox, limit: u32) -> Result<Vec<OutboxRow>, StoreError>;

    /// Audit entries after `after`, oldest first.
    async fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError>;

    /// Links of the audit chain after link number `after`, oldest first.
    async fn audit_links(&self, after: u64, limit: u32) -> Result<Vec<AuditLink>, StoreError>;

    /// Where the audit chains end, as the newest header has it.
    async fn audit_heads(&self) -> Result<Vec<AuditHead>, StoreError>;

    /// Checks the audit chains alone; each of their entries is given to `look`. Says where they end.
    ///
    /// `progress` gets (done, all) in entries.
    async fn verify_audit(
        &self,
        look: Arc<dyn Inspect>,
        progress: Progress,
    ) -> Result<(Vec<AuditHead>, Vec<Finding>), StoreError>;

    /// Slots, data keys and their generation; [`StoreError::Rekeyed`] where they are of another root key by now.
    async fn key_material(&self) -> Result<KeyMaterial, StoreError>;

    /// Who this process is as a holder of leases; a lease of a process that is known to have ended need not wait for
    /// its time to live, only for its quarantine.
    fn holder(&self) -> HolderId;

    /// The newest commit: its counter and the hash of its header.
    fn head(&self) -> Head;

    /// Tells that an anchor holds the header of this counter, so that older ones need not be kept.
    fn anchored(&self, counter: u64);

    /// Checks every row against its MAC, every bucket against the digest, every audit link against the chain; what is
    /// authentic is given to `look`.
    ///
    /// `progress` gets (done, all) in rows.
    async fn verify(&self, look: Arc<dyn Inspect>, progress: Progress) -> Result<Vec<Finding>, StoreError>;

    /// Refuses further verbs, finishes those that were accepted, and closes.
    async fn close(&self) -> Result<Head, StoreError>;
}

/// Called with (done, all).
pub type Progress = Box<dyn Fn(u64, u64) + Send + Sync>;

/// What one transaction writes beside its own business. Each row's `rev` is one above the stored one (1: not there yet).
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Accounts.
    pub accounts: Vec<AccountRow>,
    /// Sessions.
    pub sessions: Vec<SessionRow>,
    /// Items.
    pub items: Vec<ItemRow>,
    /// Messages; the store gives `seq` to those whose `seq` is 0.
    pub outbox: Vec<OutboxRow>,
    /// Messages that others of these changes stand in for, at the revisions they were read at: these rows go.
    pub replaced: Vec<(MessageId, u64)>,
    /// Audit entries; the store gives their place in the chain.
    pub audit: Vec<NewAudit>,
}

/// An audit entry before it has its place in the chain.
#[derive(Clone, Debug)]
pub struct NewAudit {
    /// Names the entry; random.
    pub id: [u8; 16],
    /// The event, sealed for (`Audit`, id, revision 1).
    pub sealed: Sealed,
}

/// How a write ended that the store could decide on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// Durable.
    Done,
    /// A row is not at the revision that was expected; nothing was written.
    Stale(RowName),
    /// Another account has the same login or manager id; nothing was written.
    Duplicate(AccountId),
    /// A hold is no longer the newest of its resource, or has expired; nothing was written.
    Fenced([u8; 16]),
}

/// Names a row without saying what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowName {
    /// Its kind, as FORMAT.md numbers them.
    pub kind: u8,
    /// Its id.
    pub id: [u8; 16],
}

impl RowName {
    /// The name of this row.
    #[must_use]
    pub fn of(row: &impl BoundRow) -> Self {
        let place = row.place();
        Self { kind: place.kind as u8, id: place.id }
    }
}

/// Who asks for a lease, and how long it shall last.
#[derive(Clone, Debug)]
pub struct LeaseAsk {
    /// What is to be leased.
    pub resource: Resource,
    /// Who asks.
    pub holder: HolderId,
    /// How long it lasts unless renewed.
    pub ttl: Duration,
    /// How long the resource rests after an unclean end.
    pub quarantine: Duration,
    /// Alone or beside others.
    pub mode: LeaseMode,
    /// Where the asker waits for it; none: it does not wait.
    pub line: Option<Line>,
}

/// Whether a lease is held alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseMode {
    /// By one holder, beside nobody.
    #[default]
    Exclusive,
    /// Beside other shared holders.
    Shared {
        /// How many at once, this one included: 1 to [`LEASE_PLACES_MAX`].
        at_most: u8,
    },
}

impl LeaseMode {
    /// As a column: how many hold it at most, 0 where it is held alone.
    #[must_use]
    pub const fn at_most(self) -> u8 {
        match self {
            Self::Exclusive => 0,
            Self::Shared { at_most } => at_most,
        }
    }

    /// The mode of a column.
    #[must_use]
    pub const fn of(at_most: u8) -> Self {
        if at_most == 0 { Self::Exclusive } else { Self::Shared { at_most } }
    }
}

/// Somebody's standing in line, the same each time it asks.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Which waiter; random.
    pub id: [u8; 16],
    /// How long it waits from now on.
    pub wait: Duration,
}

/// A lease in hand: every write of a holder carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What is leased.
    pub resource: Resource,
    /// Which place of it: 0 for an exclusive hold.
    pub place: u8,
    /// The holder's fencing token.
    pub token: Token,
    /// Who holds it.
    pub holder: HolderId,
}

impl Hold {
    /// The id that its lease lies under.
    #[must_use]
    pub fn lease(&self) -> [u8; 16] {
        lease_place(&self.resource.id(), self.place)
    }
}

/// The answer to [`Store::take_lease`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// The lease is the asker's.
    Granted {
        /// Which place of the resource: 0 for an exclusive hold.
        place: u8,
        /// The fencing token.
        token: Token,
        /// When it ends unless renewed.
        until: BootStamp,
    },
    /// Somebody has it, or it rests; not before this time is it worth asking again.
    Held {
        /// Until the present hold or quarantine ends if nothing is renewed.
        retry_in: Duration,
    },
    /// As [`Taken::Held`], and the asker stands in line for it.
    Waiting {
        /// How many came before; roughly, it says how soon to ask again.
        ahead: u32,
        /// As above.
        retry_in: Duration,
    },
}

/// The answer to [`Store::renew_lease`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Renewed {
    /// Held until then.
    Until(BootStamp),
    /// No longer the asker's.
    Fenced,
}

/// What a live hold and its account were read from, both authentic.
#[derive(Debug)]
pub struct HeldRows {
    /// The lease.
    pub lease: LeaseRow,
    /// The account.
    pub account: AccountRow,
}

/// The answer to [`Store::account_held`].
#[derive(Debug)]
#[must_use]
pub enum HeldAccount {
    /// The hold is live, and this is its account.
    Rows(Arc<HeldRows>),
    /// The hold is live, and its account was removed.
    Removed,
    /// No longer the asker's.
    Fenced,
}

/// Which TOTP step is to be reserved, by the holder of which lease.
#[derive(Clone, Copy, Debug)]
pub struct StepAsk {
    /// The login lease under which the code will be sent.
    pub hold: Hold,
    /// The normalised secret.
    pub secret: Name,
    /// The step.
    pub step: u64,
    /// When the step begins by this machine's clock, in Unix milliseconds: step · period less the site's offset.
    pub begins_ms: i64,
}

/// How a new incarnation begins.
#[derive(Clone, Copy, Debug)]
pub struct NewIncarnation {
    /// When, Unix milliseconds.
    pub since_ms: i64,
    /// TOTP steps that begin at or before this time count as spent, Unix milliseconds.
    pub steps_spent_until_ms: i64,
}

/// The answer to [`Store::reserve_step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reserved {
    /// The step is the asker's alone.
    Step(u64),
    /// This step or a later one was reserved before, or may have been: it begins before steps count at all.
    Spent {
        /// The latest reserved step, or the one that was asked for, whichever is later.
        last: u64,
    },
    /// The lease is no longer the asker's.
    Fenced,
    /// An item of the changes is not at the revision that was expected.
    Stale(RowName),
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub struct Settle {
    /// Which message.
    pub id: MessageId,
    /// The revision it was read at.
    pub rev: u64,
    /// What became of it.
    pub how: Settlement,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Delivered, or dropped by a person: the row goes.
    Gone,
    /// Not delivered, or nobody knows: tried again at `due_ms` (Unix milliseconds), in this state.
    Later {
        /// Wall-clock time of the next try.
        due_ms: i64,
        /// Where it stands until then.
        state: Owed,
    },
    /// About to be sent: in doubt until it is settled again. No try is counted before its end is known.
    InDoubt,
    /// Put back by a person: due at `due_ms` (Unix milliseconds), as if it had not been tried.
    Again {
        /// Wall-clock time of the next try.
        due_ms: i64,
    },
}

/// Slots and data keys; authenticated by the vault through the slots' MAC.
#[derive(Clone, Debug)]
pub struct KeyMaterial {
    /// Grows with every change of the slots.
    pub generation: u64,
    /// MAC over generation and slots, under the root key.
    pub slots_mac: [u8; 32],
    /// Encoded slots.
    pub slots: Vec<Vec<u8>>,
    /// Data keys by epoch, sealed under the root key.
    pub data_keys: Vec<(u32, Sealed)>,
}

/// New keys to be installed.
pub struct NewKeys {
    /// Slots and data keys, the old one among them, of the generation that follows.
    pub keys: KeyMaterial,
    /// Binds under the new keys, and opens what is under the old ones.
    pub binder: Arc<dyn Binder>,
    /// Called once they are durable, before anything else is written.
    pub installed: Box<dyn FnOnce() + Send>,
    /// Audit entries.
    pub audit: Vec<NewAudit>,
}

/// The answer to [`Store::begin_rekey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Begun {
    /// The new keys are durable.
    Done,
    /// The slots were changed in between; nothing was written.
    Stale,
    /// The change of keys before this one has not ended; nothing was written.
    Running,
}

/// How far a change of keys has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekeying {
    /// What the header says.
    pub rekey: Rekey,
    /// Entries of the audit in all.
    pub entries: u64,
}

/// What a part of a change of keys needs to know.
#[derive(Debug, Default)]
pub struct ResealAsk {
    /// The names that no account leads to and that are in use all the same: the lanes of the outbox.
    pub lanes: Vec<Name>,
    /// Slots and data keys without the old one, for the end; it needs not be given before.
    pub finish: Option<KeyMaterial>,
    /// Audit entries of the end.
    pub audit: Vec<NewAudit>,
}

/// Which accounts are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindAccounts {
    /// All.
    All,
    /// Those of a site.
    Site(Name),
    /// The one with this site and username.
    Login(Name),
    /// The one with this manager's id.
    Manager(Name),
}

/// Which items are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindItems {
    /// The one with this id.
    Id(u8, [u8; 16]),
    /// Those with this index.
    Index(u8, Name),
    /// Those that still wait for their end.
    Open(u8),
    /// All of a kind.
    All(u8),
}

/// Which messages are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindOutbox {
    /// All.
    All,
    /// Those of a lane that are not stuck and due by this wall-clock time.
    DueBy(Lane, i64),
    /// All about one subject.
    Subject(Resource),
}

/// The newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Counts the commits.
    pub counter: u64,
    /// SHA-256 of the sealed header.
    pub hash: [u8; 32],
}

/// What a check found wrong, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of damage it is.
    pub class: Tampering,
    /// Where.
    pub row: Option<RowName>,
    /// What is wrong there.
    pub what: String,
}

/// What an edit from outside amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Tampering {
    /// The whole is older than what the anchor saw.
    #[error("rollback: the vault is older than its anchor")]
    Rollback,
    /// A row was altered or exchanged.
    #[error("substitution: a row was altered or exchanged")]
    Substitution,
    /// Pages of the file are damaged: SQLite itself cannot make sense of them.
    #[error("corruption: pages of the file are damaged")]
    Corruption,
    /// Rows are missing, added or stale.
    #[error("deletion or replay: rows are missing, added or older than they were")]
    Digest,
    /// The audit chain has a gap or an edited entry.
    #[error("audit: the chain has a gap or an edited entry")]
    Audit,
    /// The table definitions are not ours.
    #[error("schema: the table definitions are not those of this format")]
    Schema,
    /// The header does not belong to the rows.
    #[error("header: it does not belong to the rows beside it")]
    Header,
}

/// Why a store could not do what it was asked. Unless it says otherwise, nothing was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The commit failed half-way: it may or may not be on disk. Read before you write again.
    #[error("the commit's outcome is unknown (a write or sync failed); read the state again before repeating")]
    Unknown,
    /// The disk is full.
    #[error("the disk is full; free some space and try again, nothing was written")]
    Full,
    /// Somebody edited the vault's files.
    #[error("{class}{}", place(.row))]
    Tampered {
        /// What the edit amounts to.
        class: Tampering,
        /// The row that shows it, where one does.
        row: Option<RowName>,
    },
    /// The vault's keys were changed by another process: a name was computed in an epoch that is over, and is to be
    /// computed again; or the root key was replaced, or a new incarnation begun, and only unlocking gives what is new.
    #[error("the vault was re-keyed or restored by another process; unlock it again")]
    Rekeyed,
    /// A reader held the write-ahead log for as long as was waited for it.
    #[error("somebody has been reading the vault for long; what was to be done is still owed, try again")]
    Busy,
    /// The store was closed.
    #[error("the vault is closed")]
    Closed,
    /// An operation on the file failed.
    #[error("{during}: {source}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// SQLite failed.
    #[error("database error {code} in {during}")]
    Database {
        /// What was being done.
        during: &'static str,
        /// SQLite's extended result code.
        code: i32,
    },
    /// A file that cannot be opened as a vault.
    #[error(transparent)]
    File(#[from] FileError),
}

impl StoreError {
    /// Somebody edited the vault's files; the row that shows it, where one does.
    #[must_use]
    pub fn tampered(class: Tampering, row: Option<RowName>) -> Self {
        Self::Tampered { class, row }
    }

    /// The same error once more, for the other operations of a group that shared its fate.
    fn duplicate(&self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Full => Self::Full,
            Self::Tampered { class, row } => Self::Tampered { class: *class, row: *row },
            Self::Rekeyed => Self::Rekeyed,
            Self::Busy => Self::Busy,
            Self::Closed => Self::Closed,
            Self::Io { during, source } => {
                let source = source.raw_os_error().map_or_else(|| source.kind().into(), io::Error::from_raw_os_error);
                Self::Io { during, source }
            }
            Self::Database { during, code } => Self::Database { during, code: *code },
            Self::File(error) => Self::File(*error),
        }
    }
}

/// Why a path is not taken for a vault.
#[derive(Clone, Copy, Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// There is nothing.
    #[error("there is no vault at this path; make one with `latchkey init`")]
    Missing,
    /// There is one already.
    #[error("there is a vault already; it was left as it is")]
    Exists,
    /// The file has no bytes.
    #[error("the file is empty: not a vault; restore it from a backup")]
    Empty,
    /// The file is something else.
    #[error("the file is not a Latchkey vault")]
    Foreign,
    /// The file is shorter than its own header says, or its pages are malformed.
    #[error("the file is truncated or damaged; restore it from a backup")]
    Damaged,
    /// Another file lies at the path than the one that was opened.
    #[error("the vault's file was replaced while this process had it open; start again")]
    Replaced,
    /// Somebody works with it.
    #[error("another process uses the vault; stop all workers and commands first; nothing was changed")]
    InUse,
    /// A newer version made it.
    #[error("the vault has format {found}, this version reads up to {known}; use a newer latchkey")]
    Newer {
        /// The file's format.
        found: i64,
        /// The newest format that this version reads.
        known: i64,
    },
    /// Somebody else could read or write it.
    #[error("unsafe {what}: {why}; {mend}")]
    Unsafe {
        /// The file or folder.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
        /// What to do.
        mend: &'static str,
    },
}

fn place(row: &Option<RowName>) -> String {
    row.map_or_else(String::new, |row| {
        format!(" (kind {}, id {})", row.kind, data_encoding::BASE32_DNSSEC.encode(&row.id))
    })
}
