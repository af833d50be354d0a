//! Rescue: what still verifies of a damaged vault, record by record, for a person to take out.
//!
//! Needs the key slots and nothing else: no anchor, no digest, no header, no audit. So it vouches for each record (its row
//! MAC, its seal, its indexes) and for nothing beyond: not that all are there, nor that they are the newest. Writes nothing.

use std::{path::PathBuf, sync::Arc};

use super::{
    UnlockError, UnlockWith, VaultPaths, blocking,
    unlock::{checked_slots, header_of, unlock},
};
use crate::{
    anchor_file::{AnchorFile, AnchorFileError},
    cookies::Jar,
    crypto::Keyring,
    inspect::{open_account, open_session},
    keys::KeyBinder,
    model::{Account, AccountId, VaultId},
    pin::{Pin, PinError},
    store::{StoreError, Tampering, sqlite::SqliteFile},
};

/// A damaged vault, unlocked, from which records can be taken.
pub struct Rescue {
    file: SqliteFile,
    keys: Arc<Keyring>,
    binder: KeyBinder,
    accounts: Vec<AccountId>,
    doubts: Vec<String>,
    unread: Vec<String>,
}

/// An account that verifies, with its session.
#[derive(Debug)]
pub struct RescuedAccount {
    /// The account, secrets included.
    pub account: Account,
    /// Its session, where there is one that verifies.
    pub session: Option<RescuedSession>,
    /// Why it has none, where one was there.
    pub session_left_out: Option<String>,
}

/// A session that verifies.
#[derive(Debug)]
pub struct RescuedSession {
    /// How many logins led to it.
    pub login_epoch: u64,
    /// Since when it was held, Unix milliseconds.
    pub since_ms: i64,
    /// Its cookies.
    pub jar: Jar,
}

impl Rescue {
    /// Unlocks what is left of a vault.
    ///
    /// # Errors
    /// [`UnlockError::CannotUnlock`] where no slot opens or no data key does; [`UnlockError::OtherRoot`] where there is an
    /// anchor that knows another root key: then the slots, and all behind them, may be somebody else's work.
    pub async fn open(paths: &VaultPaths, with: UnlockWith) -> Result<Self, UnlockError> {
        let paths = paths.clone();
        blocking(move || Self::unlock(&paths, &with)).await
    }

    /// Which vault it is.
    #[must_use]
    pub fn vault(&self) -> VaultId {
        self.file.vault()
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }

    /// The accounts that the file still shows; whether they verify is seen when they are read.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    /// What was found wrong on the way, and what that means.
    #[must_use]
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// Where reading broke off at a damaged page: there may be more behind it, whose names nobody knows.
    #[must_use]
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Reads one account.
    ///
    /// # Errors
    /// Why it is left out, in words for a person.
    pub fn account(&self, id: AccountId) -> Result<RescuedAccount, String> {
        let row = self.file.salvage_account(&self.binder, id).map_err(|error| error.to_string())?;
        let row = row.ok_or("its row is gone, though an index or its session still names it")?;
        let account = open_account(&self.keys, &row)?;
        let session = match self.file.salvage_session(&self.binder, id) {
            Ok(None) => Ok(None),
            Ok(Some(row)) => open_session(&self.keys, &row).map(Some).map_err(str::to_owned),
            Err(error) => Err(error.to_string()),
        };
        let (session, session_left_out) = match session {
            Ok(session) => (session, None),
            Err(why) => (None, Some(why)),
        };
        let session = session.map(|session| RescuedSession {
            login_epoch: session.login_epoch,
            since_ms: session.since_ms,
            jar: session.jar,
        });
        Ok(RescuedAccount { account, session, session_left_out })
    }

    fn unlock(paths: &VaultPaths, with: &UnlockWith) -> Result<Self, UnlockError> {
        let file = SqliteFile::open_damaged(&paths.file)?;
        let mut doubts = Vec::new();
        let root = unlock(&file, with)?;
        let anchor_file = AnchorFile::of(paths, file.vault());
        match anchor_file.read(file.vault()) {
            Ok((anchor, _)) if anchor.may_be(&root.commitment(file.vault())) => {}
            Ok(_) => return Err(UnlockError::OtherRoot),
            Err(AnchorFileError::Missing { .. }) => doubts.push(
                "the anchor is missing: that the keys are this vault's own rests on the key slots alone".to_owned(),
            ),
            Err(error) => doubts.push(format!("{error}: that the keys are this vault's own rests on the slots alone")),
        }
        match anchor_file.pin().map(Pin::read).transpose() {
            Ok(Some((pinned, _))) if !pinned.may_be(&root.commitment(file.vault())) => {
                return Err(AnchorFileError::from(PinError::OtherRoot).into());
            }
            Ok(_) => {}
            Err(error) => doubts.push(format!("{error}: the pin was not compared with the keys")),
        }
        let data_keys = &file.key_material().data_keys;
        let keys = match Keyring::load(root, file.vault(), 1, data_keys) {
            Ok(keys) => keys,
            Err(_) => {
                // Each for itself: what was sealed in the epoch of a lost one is lost, and nothing else.
                let mut whole = Vec::new();
                for key in data_keys {
                    if Keyring::load(unlock(&file, with)?, file.vault(), 1, std::slice::from_ref(key)).is_ok() {
                        whole.push(key.clone());
                    }
                }
                doubts.push(format!("{} of {} data keys do not open", data_keys.len() - whole.len(), data_keys.len()));
                let keys = Keyring::load(unlock(&file, with)?, file.vault(), 1, &whole);
                keys.map_err(|_| UnlockError::CannotUnlock)?
            }
        };
        if checked_slots(&keys, file.key_material()).is_err() {
            doubts.push("the list of key slots is not the one that was written".to_owned());
        }
        if let Err(StoreError::Tampered { class: Tampering::Header, .. }) = header_of(&file, &keys) {
            doubts.push("the header does not open".to_owned());
        }
        let shown = file.shown();
        let unread = shown.broken.iter().map(|way| format!("reading {way} broke off at a damaged page")).collect();
        let keys = Arc::new(keys);
        let binder = KeyBinder::new(Arc::clone(&keys));
        let accounts = shown.accounts.into_iter().map(AccountId::from_bytes).collect();
        Ok(Self { file, keys, binder, accounts, doubts, unread })
    }
}
