//! The pin: what the anchor says, kept once more where whoever puts files back does not reach.
//!
//! Vault and anchor are files: an older image of the disk brings back both, and they agree. A pin is in a keyring of the
//! system. It follows more slowly, for a keyring is slow: at close, and at most once a minute. So a pin that is older than
//! the anchor is in order, and one that is newer than the vault tells of a rollback. Knows no keyring, only a [`PinPlace`].

use std::{
    error::Error as StdError,
    fmt,
    fs::{File, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::BASE64;
use thiserror::Error;

use crate::{
    VaultId,
    crypto::{ANCHOR_SLOT_BYTES, Anchor, Keyring},
};

/// A place outside all files that keeps one short text for each vault.
///
/// The text is no secret, some 700 letters. Calls block, and have to end by themselves in bounded time.
pub trait PinPlace: fmt::Debug + Send + Sync {
    /// The text that is kept for this vault; `None` where there is none.
    ///
    /// # Errors
    /// Why the place cannot be asked: never that there is none.
    fn read(&self, vault: VaultId) -> Result<Option<String>, PinPlaceError>;

    /// Keeps this text for the vault, in place of the one before.
    ///
    /// # Errors
    /// Why it is not kept.
    fn write(&self, vault: VaultId, text: &str) -> Result<(), PinPlaceError>;
}

/// Why a place could not be asked, in its own words; free of secrets.
pub type PinPlaceError = Box<dyn StdError + Send + Sync>;

/// Why the pin does not let a vault be used, or could not be moved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PinError {
    /// There is none, though there is to be one.
    #[error(
        "the pin of this vault is missing: whether file and anchor were put back together cannot be told; if you know why \
         it is gone (the kernel's keyring forgets at a reboot), pin the vault again with `latchkey anchor pin`"
    )]
    Missing,
    /// It is there and is not what was written for this vault.
    #[error("the pin of this vault is damaged; after a look at how that came, `latchkey anchor adopt` makes a new one")]
    Damaged,
    /// It knows another root key than anchor and key slots.
    #[error(
        "the pin knows another root key than anchor and key slots do: they may have been put back together to before a \
         change of keys; if the keys were changed where no pin is set, `latchkey anchor unpin`, then pin the vault again"
    )]
    OtherRoot,
    /// It has seen a commit that the vault does not know.
    #[error(
        "rollback: the pin has seen commit {pinned}, which this file, at {found}, does not know: file and anchor were put \
         back together; if that is meant, adopt it explicitly with --accept-rollback"
    )]
    RolledBack {
        /// The pin's counter.
        pinned: u64,
        /// The file's counter.
        found: u64,
    },
    /// The place cannot be used: without it nobody can tell, so nothing is opened.
    #[error("the pin cannot be {during}: {source}")]
    Unreachable {
        /// What was being done.
        during: &'static str,
        /// In the place's words.
        source: PinPlaceError,
    },
}

/// The pin of one vault.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    place: Arc<dyn PinPlace>,
    vault: VaultId,
    lock: PathBuf,
}

/// The commit that the pin of a vault has seen; not authenticated, since no key is used.
///
/// # Errors
/// [`PinError::Missing`], [`PinError::Damaged`], [`PinError::Unreachable`].
pub fn pinned_commit(place: &Arc<dyn PinPlace>, vault: VaultId) -> Result<u64, PinError> {
    let pin = Pin { place: Arc::clone(place), vault, lock: PathBuf::new() };
    Ok(pin.read()?.0.counter)
}

impl Pin {
    /// The pin of `vault` in `place`; its writers take turns by a file in the folder of anchors.
    pub(crate) fn of(place: &Arc<dyn PinPlace>, anchors: &Path, vault: VaultId) -> Self {
        Self { place: Arc::clone(place), vault, lock: anchors.join(format!("{vault}.pin-lock")) }
    }

    /// Whether the place can be asked at all.
    pub(crate) fn check_place(&self) -> Result<(), PinError> {
        self.text().map(|_| ())
    }

    /// Reads it. Its MAC is returned for the check with keys.
    pub(crate) fn read(&self) -> Result<(Anchor, [u8; 32]), PinError> {
        let text = self.text()?.ok_or(PinError::Missing)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| PinError::Damaged)?;
        let slot = <&[u8; ANCHOR_SLOT_BYTES]>::try_from(&bytes[..]).map_err(|_| PinError::Damaged)?;
        let (anchor, mac) = Anchor::decode_slot(slot).map_err(|_| PinError::Damaged)?;
        if anchor.vault == self.vault { Ok((anchor, mac)) } else { Err(PinError::Damaged) }
    }

    /// Reads it and checks it with the keys of a vault that its anchor vouches for.
    pub(crate) fn read_with(&self, keys: &Keyring) -> Result<Anchor, PinError> {
        let (pinned, mac) = self.read()?;
        if !pinned.may_be(&keys.commitment()) {
            return Err(PinError::OtherRoot);
        }
        pinned.check(keys, &mac).map_err(|_| PinError::Damaged)?;
        Ok(pinned)
    }

    /// Writes `pinned`, whatever was there.
    pub(crate) fn write_first(&self, keys: &Keyring, pinned: &Anchor) -> Result<(), PinError> {
        let _turn = self.lock_file()?.wait()?;
        self.write(keys, pinned)
    }

    /// Writes what `change` makes of it, where it makes something of it, once no other process does.
    pub(crate) fn rewrite(
        &self,
        keys: &Keyring,
        change: impl FnOnce(&Anchor) -> Option<Anchor>,
    ) -> Result<(), PinError> {
        let _turn = self.lock_file()?.wait()?;
        self.change(keys, change)
    }

    /// The same, unless another process is at it: that one moves the pin as well, and a keyring that hangs is not to hold
    /// up the end of every process.
    pub(crate) fn try_rewrite(
        &self,
        keys: &Keyring,
        change: impl FnOnce(&Anchor) -> Option<Anchor>,
    ) -> Result<(), PinError> {
        let Some(_turn) = self.lock_file()?.at_once()? else { return Ok(()) };
        self.change(keys, change)
    }

    fn change(&self, keys: &Keyring, change: impl FnOnce(&Anchor) -> Option<Anchor>) -> Result<(), PinError> {
        match change(&self.read_with(keys)?) {
            Some(next) => self.write(keys, &next),
            None => Ok(()),
        }
    }

    fn write(&self, keys: &Keyring, pinned: &Anchor) -> Result<(), PinError> {
        let text = BASE64.encode(&pinned.encode_slot(keys));
        self.place.write(self.vault, &text).map_err(|source| PinError::Unreachable { during: "written", source })
    }

    fn text(&self) -> Result<Option<String>, PinError> {
        self.place.read(self.vault).map_err(|source| PinError::Unreachable { during: "read", source })
    }

    fn lock_file(&self) -> Result<Turn, PinError> {
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        options.open(&self.lock).map(Turn).map_err(unlocked)
    }
}

/// The file by which writers of a pin take turns; the turn ends when it is dropped.
struct Turn(File);

impl Turn {
    /// Waits for it; whoever has it gives it back within the bounds of its place, or with its end.
    fn wait(self) -> Result<Self, PinError> {
        self.0.lock().map(|()| self).map_err(unlocked)
    }

    fn at_once(self) -> Result<Option<Self>, PinError> {
        match self.0.try_lock() {
            Ok(()) => Ok(Some(self)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unlocked(error)),
        }
    }
}

fn unlocked(error: io::Error) -> PinError {
    PinError::Unreachable { during: "locked", source: error.into() }
}
