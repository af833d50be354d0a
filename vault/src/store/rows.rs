//! The rows as a store sees them: ids, revisions, times, blind indexes and sealed bytes.
//!
//! Also the canonical form of each row that its MAC and its digest element cover. Deliberately knows no SQL, no key
//! and no plaintext.

#[cfg(test)]
mod tests;

use ring::digest::{Context, SHA256};

use crate::{
    crypto::{Kind, Place, Sealed},
    model::{AccountId, HolderId, MessageId},
};

/// A keyed blind index: equal within one vault for equal values, meaningless without the key.
pub type BlindIndex = [u8; 16];

/// A blind index together with the key epoch that it was computed in.
///
/// While the keys change, what it names may still lie under the index of the epoch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The epoch of `index`.
    pub epoch: u32,
    /// The index under that epoch.
    pub index: BlindIndex,
    /// The index under the epoch before, while rows of that one may be there.
    pub former: Option<BlindIndex>,
}

/// What can be leased, or is the subject of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Something with an id of its own: an account.
    Id([u8; 16]),
    /// Something that is known by a blind index: a login, a lane, a task.
    Named(Name),
}

impl Resource {
    /// The id, or the index as it is now.
    #[must_use]
    pub const fn id(&self) -> [u8; 16] {
        match self {
            Self::Id(id) => *id,
            Self::Named(name) => name.index,
        }
    }

    /// The name, where it has one.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Id(_) => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl From<[u8; 16]> for Resource {
    fn from(id: [u8; 16]) -> Self {
        Self::Id(id)
    }
}

/// An account's sealed record and the indexes by which it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Which account.
    pub id: AccountId,
    /// Grows by one with every write; the first is 1.
    pub rev: u64,
    /// Key epoch of the indexes and the MAC.
    pub epoch: u32,
    /// Index of the site.
    pub ix_site: BlindIndex,
    /// Index of site and username (or email), where there is one.
    pub ix_login: Option<BlindIndex>,
    /// Index of the manager's account id, where there is one.
    pub ix_manager: Option<BlindIndex>,
    /// The record.
    pub sealed: Sealed,
}

/// An account's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose session.
    pub account: AccountId,
    /// Grows by one with every write; the first is 1.
    pub rev: u64,
    /// Key epoch of the MAC.
    pub epoch: u32,
    /// How many logins made this session; 0 before the first.
    pub login_epoch: u64,
    /// Cookies and verdict.
    pub sealed: Sealed,
}

/// A lease; the row is never deleted and its token only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// What is leased: an account or a place of it, a login, a lane of the outbox.
    pub resource: [u8; 16],
    /// Grows by one with every write; the first is 1.
    pub rev: u64,
    /// Key epoch of the MAC.
    pub epoch: u32,
    /// The newest fencing token granted.
    pub token: Token,
    /// Whether somebody holds it (an expired holder included, until the next grant).
    pub held: bool,
    /// Who holds or held it last.
    pub holder: HolderId,
    /// The boot that `until_ms` and `free_at_ms` count in.
    pub boot_id: [u8; 16],
    /// When the hold expires, in milliseconds of that boot.
    pub until_ms: u64,
    /// When another may have it after an unclean end, in milliseconds of that boot.
    pub free_at_ms: u64,
}

/// The order of holders of one resource: never reused, compared as a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Incarnation of the vault that granted it; grows when a backup is restored.
    pub incarnation: u32,
    /// Counts the grants of this resource.
    pub n: u64,
}

/// The last TOTP step that was reserved for a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpRow {
    /// Blind index of the normalised secret.
    pub secret: BlindIndex,
    /// Grows by one with every write; the first is 1.
    pub rev: u64,
    /// Key epoch of the MAC.
    pub epoch: u32,
    /// RFC 6238 time step; it and all before it are spent.
    pub last_step: u64,
}

/// Which lane of the outbox a message travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Updates of account records: coalesced per account.
    Account = 1,
    /// Reports on tasks: in order per task.
    Task = 2,
}

impl Lane {
    /// The lane with this number.
    #[must_use]
    pub fn from_u8(n: u8) -> Option<Self> {
        match n {
            1 => Some(Self::Account),
            2 => Some(Self::Task),
            _ => None,
        }
    }
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Owed {
    /// Waiting for its due time or for a turn.
    Due = 1,
    /// Sent, the answer lost: to be looked up before it is sent again.
    Ambiguous = 2,
    /// Refused for good: kept and shown until a person decides.
    Stuck = 3,
}

impl Owed {
    /// The state with this number.
    #[must_use]
    pub fn from_u8(n: u8) -> Option<Self> {
        match n {
            1 => Some(Self::Due),
            2 => Some(Self::Ambiguous),
            3 => Some(Self::Stuck),
            _ => None,
        }
    }
}

/// A message owed to the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Which message.
    pub id: MessageId,
    /// Grows by one with every write; the first is 1.
    pub rev: u64,
    /// Key epoch of the MAC.
    pub epoch: u32,
    /// Its lane.
    pub lane: Lane,
    /// What it is about (an account's id, or a task's blind index); order is kept within a subject.
    pub subject: [u8; 16],
    /// The account whose messages must have been delivered before this one.
    pub after: Option<AccountId>,
    /// Order of arrival; given by the store.
    pub seq: u64,
    /// Not before this wall-clock time, Unix milliseconds.
    pub due_ms: i64,
    /// Deliveries tried so far.
    pub tries: u32,
    /// Where it stands.
    pub state: Owed,
    /// What to send.
    pub sealed: Sealed,
}

/// An opaque sealed item of a caller's own kind (attempts, login intents).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRow {
    /// The caller's kind.
    pub tag: u8,
    /// Which item.
    pub id: [u8; 16],
    /// Grows by one with every write; the first is 1.
    pub rev: u64,
    /// Key epoch of the index and the MAC.
    pub epoch: u32,
    /// Index by which it is found, where there is one.
    pub ix: Option<BlindIndex>,
    /// Whether it still waits for its end.
    pub open: bool,
    /// What it holds.
    pub sealed: Sealed,
}

/// An audit entry in its place of the chain.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// Whose chain.
    pub writer: u64,
    /// Place in the chain, from 1, without gaps.
    pub seq: u64,
    /// Names the entry; its sealed bytes are bound to it.
    pub id: [u8; 16],
    /// The fencing token that was granted, for a grant.
    pub token: Option<Token>,
    /// The event.
    pub sealed: Sealed,
}

/// A link of an audit chain: one group commit's entries, tied to all that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLink {
    /// Whose chain.
    pub writer: u64,
    /// Its number, from 1, without gaps.
    pub no: u64,
    /// The first entry that it covers.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Key epoch of its MAC.
    pub epoch: u32,
    /// The link itself.
    pub mac: [u8; 32],
}

/// A row that is covered by a MAC of its own and by the digest of the whole.
pub trait BoundRow {
    /// Where the row stands; binds kind, id and revision.
    fn place(&self) -> Place;

    /// The key epoch that its MAC and element are made under.
    fn epoch(&self) -> u32;

    /// Feeds every column, in the order FORMAT.md gives.
    fn feed(&self, hasher: &mut RowHasher);

    /// SHA-256 of the canonical row.
    fn row_hash(&self) -> [u8; 32] {
        let mut hasher = RowHasher::new();
        self.feed(&mut hasher);
        hasher.finish()
    }
}

/// Hashes columns unambiguously: integers as 8 bytes big-endian, byte strings behind their length, absent ones as such.
pub struct RowHasher(Context);

impl RowHasher {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// An integer column.
    pub fn int(&mut self, n: u64) -> &mut Self {
        self.0.update(&[1]);
        self.0.update(&n.to_be_bytes());
        self
    }

    /// A column of bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&[2]);
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// A column of bytes that may be NULL.
    pub fn optional(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => {
                self.0.update(&[0]);
                self
            }
        }
    }

    fn finish(self) -> [u8; 32] {
        digest(self.0)
    }
}

fn digest(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// What an audit entry contributes to the link that covers it: SHA-256 over its place, id, token and sealed bytes.
#[must_use]
pub fn entry_hash(seq: u64, id: &[u8; 16], token: Option<Token>, sealed: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(&seq.to_be_bytes());
    context.update(id);
    match token {
        Some(token) => {
            context.update(&[1]);
            context.update(&token.incarnation.to_be_bytes());
            context.update(&token.n.to_be_bytes());
        }
        None => context.update(&[0]),
    }
    context.update(sealed);
    digest(context)
}

/// What the entries of one link contribute together: SHA-256 over their hashes, in order.
pub struct EntriesHasher(Context);

impl Default for EntriesHasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl EntriesHasher {
    /// Adds the next entry's hash.
    pub fn add(&mut self, entry: &[u8; 32]) {
        self.0.update(entry);
    }

    /// The hash of all.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        digest(self.0)
    }
}

impl BoundRow for AccountRow {
    fn place(&self) -> Place {
        Place { kind: Kind::Account, id: *self.id.as_bytes(), rev: self.rev }
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn feed(&self, hasher: &mut RowHasher) {
        hasher
            .bytes(self.id.as_bytes())
            .int(self.rev)
            .int(self.epoch.into())
            .bytes(&self.ix_site)
            .optional(self.ix_login.as_ref().map(<[u8; 16]>::as_slice))
            .optional(self.ix_manager.as_ref().map(<[u8; 16]>::as_slice))
            .bytes(self.sealed.as_bytes());
    }
}

impl BoundRow for SessionRow {
    fn place(&self) -> Place {
        Place { kind: Kind::Session, id: *self.account.as_bytes(), rev: self.rev }
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn feed(&self, hasher: &mut RowHasher) {
        hasher
            .bytes(self.account.as_bytes())
            .int(self.rev)
            .int(self.epoch.into())
            .int(self.login_epoch)
            .bytes(self.sealed.as_bytes());
    }
}

impl BoundRow for LeaseRow {
    fn place(&self) -> Place {
        Place { kind: Kind::Lease, id: self.resource, rev: self.rev }
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn feed(&self, hasher: &mut RowHasher) {
        hasher
            .bytes(&self.resource)
            .int(self.rev)
            .int(self.epoch.into())
            .int(self.token.incarnation.into())
            .int(self.token.n)
            .int(self.held.into())
            .bytes(self.holder.as_bytes())
            .bytes(&self.boot_id)
            .int(self.until_ms)
            .int(self.free_at_ms);
    }
}

impl BoundRow for TotpRow {
    fn place(&self) -> Place {
        Place { kind: Kind::Totp, id: self.secret, rev: self.rev }
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn feed(&self, hasher: &mut RowHasher) {
        hasher.bytes(&self.secret).int(self.rev).int(self.epoch.into()).int(self.last_step);
    }
}

impl BoundRow for OutboxRow {
    fn place(&self) -> Place {
        Place { kind: Kind::Outbox, id: *self.id.as_bytes(), rev: self.rev }
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn feed(&self, hasher: &mut RowHasher) {
        hasher
            .bytes(self.id.as_bytes())
            .int(self.rev)
            .int(self.epoch.into())
            .int(self.lane as u64)
            .bytes(&self.subject)
            .optional(self.after.as_ref().map(|id| id.as_bytes().as_slice()))
            .int(self.seq)
            .int(self.due_ms.cast_unsigned())
            .int(self.tries.into())
            .int(self.state as u64)
            .bytes(self.sealed.as_bytes());
    }
}

impl BoundRow for ItemRow {
    fn place(&self) -> Place {
        Place { kind: Kind::Item, id: self.id, rev: self.rev }
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn feed(&self, hasher: &mut RowHasher) {
        hasher
            .int(self.tag.into())
            .bytes(&self.id)
            .int(self.rev)
            .int(self.epoch.into())
            .optional(self.ix.as_ref().map(<[u8; 16]>::as_slice))
            .int(self.open.into())
            .bytes(self.sealed.as_bytes());
    }
}
