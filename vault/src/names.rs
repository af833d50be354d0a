//! What blind indexes are made of: one label and one list of parts for each thing that is found or leased by name.
//!
//! A name is held as what it is made of where it has to outlive a change of keys. Knows no row.

use std::fmt;

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::{
    Vault,
    crypto::{Keyring, OpenError},
    model::{AccountId, AccountRecord},
    store::{BlindIndex, Lane, Name, StoreError},
    totp::Totp,
};

/// What a name is made of. Its `Debug` form shows the label only.
pub(crate) struct Named {
    label: &'static str,
    parts: Vec<Zeroizing<Vec<u8>>>,
}

/// How often something is asked again by a name that was computed anew.
pub(crate) struct Again(usize);

/// The indexes of an account: site, login, the manager's id.
pub(crate) type AccountIndexes = (BlindIndex, Option<BlindIndex>, Option<BlindIndex>);

impl Named {
    pub(crate) fn site(site: &str) -> Self {
        Self::of(IX_SITE, &[site.as_bytes()])
    }

    pub(crate) fn login(site: &str, login: &str) -> Self {
        Self::of(IX_LOGIN, &[site.as_bytes(), login.as_bytes()])
    }

    pub(crate) fn manager(manager_id: &str) -> Self {
        Self::of(IX_MANAGER, &[manager_id.as_bytes()])
    }

    /// The credential of an account, by which logins are leased: two records of one login share it.
    pub(crate) fn credential(id: AccountId, record: &AccountRecord) -> Self {
        match record.login_name() {
            // EXPOSE: the login name goes into a keyed index.
            Some(name) => Self::of(IX_CREDENTIAL, &[record.site.as_bytes(), name.expose().as_bytes()]),
            None => Self::of(IX_CREDENTIAL, &[id.as_bytes()]),
        }
    }

    pub(crate) fn totp(totp: &Totp) -> Self {
        Self { label: IX_TOTP, parts: vec![totp.normalised()] }
    }

    pub(crate) fn lane(lane: Lane) -> Self {
        Self::of(IX_LANE, &[&[lane as u8]])
    }

    pub(crate) fn task(task: &str) -> Self {
        Self::of(IX_TASK, &[task.as_bytes()])
    }

    pub(crate) fn item(tag: u8, key: &str) -> Self {
        Self::of(IX_ITEM, &[&[tag], key.as_bytes()])
    }

    /// The index under the data key of one epoch.
    pub(crate) fn index(&self, keys: &Keyring, epoch: u32) -> Result<BlindIndex, OpenError> {
        let parts: Vec<&[u8]> = self.parts.iter().map(|part| part.as_slice()).collect();
        keys.blind_index(epoch, self.label, &parts)
    }

    /// The name under the keys as they are: by the current one, and by the one before it while that is still in use.
    pub(crate) fn name(&self, keys: &Keyring) -> Result<Name, OpenError> {
        let former = keys.older_epoch().map(|older| self.index(keys, older)).transpose()?;
        Ok(Name { epoch: keys.epoch(), index: self.index(keys, keys.epoch())?, former })
    }

    /// What tells it from other names whatever the keys are. Not to be stored in clear: it is not keyed.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for part in std::iter::once(self.label.as_bytes()).chain(self.parts.iter().map(|part| part.as_slice())) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }

    fn of(label: &'static str, parts: &[&[u8]]) -> Self {
        Self { label, parts: parts.iter().map(|part| Zeroizing::new(part.to_vec())).collect() }
    }
}

impl Again {
    pub(crate) const fn new() -> Self {
        Self(TRIES)
    }

    /// Whether to ask once more, after [`StoreError::Rekeyed`]: the keys may have changed in between.
    pub(crate) const fn once_more(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

impl Vault {
    /// A name under the keys as they are now.
    pub(crate) fn name_of(&self, named: &Named) -> Result<Name, StoreError> {
        named.name(&self.keys()).map_err(|_| StoreError::Rekeyed)
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Named({})", self.label)
    }
}

/// The indexes that an account's row has in an epoch.
pub(crate) fn account_indexes(keys: &Keyring, epoch: u32, record: &AccountRecord) -> Result<AccountIndexes, OpenError> {
    let index = |label, parts: &[&[u8]]| keys.blind_index(epoch, label, parts);
    let site = record.site.as_bytes();
    // EXPOSE: the login name goes into a keyed index.
    let login = record.login_name().map(|name| index(IX_LOGIN, &[site, name.expose().as_bytes()])).transpose()?;
    let manager = record.manager_id.as_ref().map(|id| index(IX_MANAGER, &[id.as_bytes()])).transpose()?;
    Ok((index(IX_SITE, &[site])?, login, manager))
}

/// Two changes of keys within one call are a lot; a root key that is gone is told after as many tries.
const TRIES: usize = 4;

// Labels of the blind indexes; part of the format.
const IX_SITE: &str = "account.site";
const IX_LOGIN: &str = "account.login";
const IX_MANAGER: &str = "account.manager";
const IX_CREDENTIAL: &str = "login.credential";
const IX_TOTP: &str = "totp.secret";
const IX_LANE: &str = "outbox.lane";
const IX_TASK: &str = "outbox.task";
const IX_ITEM: &str = "item.key";
