//! Restoring a backup: looked at first, told in full what that rolls back, then put in the vault's place.
//!
//! ```text
//! copy beside the vault ► unlocked by its own slots ► checked whole ► compared with the present vault ► a person
//!   ► new incarnation committed in the copy ► present file kept aside ► copy takes its name ► anchor made anew
//! ```
//!
//! A kill at any point leaves the present vault, or the new one with the old anchor, which is refused as a rollback until
//! the restore is made once more. Asks nobody: whether it is meant is the caller's to find out.

mod inventory;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use inventory::{Change, Counts, Inventory};
use thiserror::Error;

use super::{
    Opener, UnlockError, UnlockWith, Vault, VaultPaths,
    backup::{BackupError, WorkingCopy, copy_bytes},
    blocking,
    incarnation::{Beginning, Former},
    unlock::{MissingPin, check_anchor, header_of, load, load_known, pin_to_adopt, unlock},
};
use crate::{
    anchor_file::{AnchorFile, AnchorFileError},
    model::{Action, VaultId},
    store::{
        FileError, Finding, Progress, StoreError,
        sqlite::{SqliteFile, check_local, check_private, free_name, parent, refuse_in_use, replace, with_suffix},
    },
};

/// A backup that was checked and may be put in the vault's place.
#[must_use = "nothing is restored until it is carried out"]
pub struct Restore {
    paths: VaultPaths,
    copy: WorkingCopy,
    vault: Vault,
    beginning: Beginning,
    plan: RestorePlan,
}

/// What a restore would roll back.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    /// The vault that both are.
    pub vault: VaultId,
    /// What the backup holds.
    pub backup: Inventory,
    /// What the vault holds at present.
    pub present: Present,
    /// Whether the backup's keys are older than those that the anchor knows: a key slot that was removed since opens the
    /// restored vault again.
    pub has_old_keys: bool,
    /// Labels of slots that the backup has and the present vault has not: they come back.
    pub slots_back: Vec<String>,
    /// Labels of slots that the present vault has and the backup has not: they are lost.
    pub slots_lost: Vec<String>,
    /// The incarnation that begins.
    pub incarnation: u32,
}

/// The vault that a backup would replace.
#[derive(Clone, Debug)]
pub enum Present {
    /// There is none.
    Missing,
    /// It does not open, for this reason: what is lost with it cannot be told.
    Unreadable(String),
    /// It opens.
    Known {
        /// What it holds.
        holds: Inventory,
        /// What the backup lacks, has otherwise, and brings back.
        difference: Counts,
    },
}

/// A restore that is done.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The restored vault's newest commit.
    pub counter: u64,
    /// The incarnation that began.
    pub incarnation: u32,
    /// Where the replaced file is kept; none where there was none.
    pub kept: Option<PathBuf>,
}

/// Why a backup was not restored. Unless it says otherwise, the vault is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A process works with the vault.
    #[error(transparent)]
    InUse(FileError),
    /// There is a log beside the backup.
    #[error(
        "a write-ahead log lies beside the backup: it is a copy of a vault in use, not a backup, and may lack its last commits"
    )]
    LogBeside,
    /// It is no backup that can be opened.
    #[error("the backup: {0}")]
    Backup(UnlockError),
    /// The backup does not stand up to a full check.
    #[error("the check of the backup found {} problem(s); the first: {}", .0.len(), .0.first().map_or("", |f| f.what.as_str()))]
    Findings(Vec<Finding>),
    /// It is another vault's.
    #[error("the backup is of another vault ({backup}) than the one that lies there")]
    OtherVault {
        /// The backup's vault.
        backup: VaultId,
    },
    /// Its keys are not those that the anchor knows.
    #[error(
        "the backup's keys are not those that the anchor knows: they were changed since, and a key slot that was removed then would open the vault again"
    )]
    OldKeys,
    /// The anchor cannot be read, or not be made anew: then the backup is in its place and is refused until the anchor is.
    #[error(transparent)]
    Anchor(#[from] AnchorFileError),
    /// A working copy could not be made.
    #[error("{0}")]
    Copy(BackupError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{during}: {source}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// What was learnt of the vault that is there.
struct Seen {
    present: Present,
    former: Former,
    slots: Option<Slots>,
}

/// The backup's copy, open in the incarnation that is to begin.
struct Opened {
    vault: Vault,
    beginning: Beginning,
    has_old_keys: bool,
    slots: Slots,
}

/// Ids and labels of key slots.
type Slots = Vec<(Vec<u8>, String)>;

impl Restore {
    /// Looks at a backup: unlocked by its own slots, checked whole, compared with the vault that is there.
    ///
    /// `old_keys`: a backup from before a change of keys is meant, removed key slots included.
    ///
    /// # Errors
    /// [`RestoreError`]; nothing is changed.
    pub async fn prepare(
        paths: &VaultPaths,
        opener: Opener,
        backup: &Path,
        with: UnlockWith,
        old_keys: bool,
        progress: Progress,
    ) -> Result<Self, RestoreError> {
        let (paths, backup, with) = (paths.clone(), backup.to_owned(), Arc::new(with));
        let copy = {
            let paths = paths.clone();
            blocking(move || bring_in(&paths, &backup)).await?
        };
        let id = SqliteFile::open(copy.path()).map_err(|error| RestoreError::Backup(error.into()))?.vault();
        let seen = look_at_present(&paths, &opener, id, &with).await?;
        let Opened { vault, beginning, has_old_keys, slots } = {
            let (paths, path, former) = (paths.clone(), copy.path().to_owned(), seen.former);
            blocking(move || open_backup(&paths, &path, opener, &with, former)).await?
        };
        let prepared = async {
            if has_old_keys && !old_keys {
                return Err(RestoreError::OldKeys);
            }
            let findings = vault.verify(progress).await?;
            if !findings.is_empty() {
                return Err(RestoreError::Findings(findings));
            }
            Ok(inventory::take(&vault).await?)
        };
        let backup = match prepared.await {
            Ok(backup) => backup,
            Err(error) => {
                let _ = vault.store.close().await;
                return Err(error);
            }
        };
        let missing = |of: &Slots, from: &Slots| {
            let gone = of.iter().filter(|(id, _)| !from.iter().any(|(other, _)| other == id));
            gone.map(|(_, label)| label.clone()).collect::<Vec<_>>()
        };
        let (slots_back, slots_lost) = match &seen.slots {
            Some(present) => (missing(&slots, present), missing(present, &slots)),
            None => (Vec::new(), Vec::new()),
        };
        let incarnation = vault.keys().incarnation();
        let present = match seen.present {
            Present::Known { holds, .. } => {
                let difference = Counts::between(&holds, &backup);
                Present::Known { holds, difference }
            }
            other => other,
        };
        let plan = RestorePlan { vault: id, backup, present, has_old_keys, slots_back, slots_lost, incarnation };
        Ok(Self { paths, copy, vault, beginning, plan })
    }

    /// What it would roll back.
    #[must_use]
    pub fn plan(&self) -> &RestorePlan {
        &self.plan
    }

    /// Puts the backup in the vault's place; what was there is kept beside it, its log with it.
    ///
    /// # Errors
    /// [`RestoreError`]. After [`RestoreError::Anchor`] and where it was killed, the same restore made again completes it.
    pub async fn carry_out(self) -> Result<Restored, RestoreError> {
        let Self { paths, copy, vault, beginning, plan } = self;
        let detail = format!("a backup of commit {} was restored", plan.backup.counter);
        let begun = beginning.begin(&vault, Action::Restore, &detail).await;
        let head = vault.store.close().await?;
        begun?;
        let keys = vault.keys();
        drop(vault);
        blocking(move || {
            File::open(copy.path())
                .and_then(|file| file.sync_all())
                .map_err(|source| RestoreError::Io { during: "syncing the restored vault", source })?;
            let present = match &plan.present {
                Present::Known { holds, .. } => format!("{KEPT}{}", holds.counter),
                Present::Missing | Present::Unreadable(_) => format!("{KEPT}unread"),
            };
            let aside = free_name(&paths.file, &present);
            let there_was_one = fs::symlink_metadata(&paths.file).is_ok();
            replace(&paths.file, copy.path(), &aside)?;
            AnchorFile::of(&paths, plan.vault).write_first(&keys, head)?;
            let kept = there_was_one.then_some(aside);
            Ok(Restored { counter: head.counter, incarnation: plan.incarnation, kept })
        })
        .await
    }

    /// Leaves everything as it is.
    pub async fn abandon(self) {
        if let Err(error) = self.vault.store.close().await {
            tracing::debug!(%error, "the copy of a backup that is not restored was not closed");
        }
    }
}

/// Brings the backup's bytes to where nobody else can change them while they are looked at.
fn bring_in(paths: &VaultPaths, backup: &Path) -> Result<WorkingCopy, RestoreError> {
    let io = |during| move |source| RestoreError::Io { during, source };
    if !fs::metadata(backup).map_err(io("looking at the backup"))?.is_file() {
        let source = io::Error::other("it is no plain file");
        return Err(RestoreError::Io { during: "looking at the backup", source });
    }
    if fs::symlink_metadata(with_suffix(backup, "-wal")).is_ok() {
        return Err(RestoreError::LogBeside);
    }
    let folder = parent(&paths.file);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io("making the vault's folder"))?;
    check_private(&folder, "vault folder", true)?;
    check_local(&folder)?;
    refuse_in_use(&paths.file).map_err(in_use)?;
    let copy = WorkingCopy::make(&paths.file, COPY).map_err(RestoreError::Copy)?;
    let mut out = File::options().write(true).open(copy.path()).map_err(io("copying the backup"))?;
    copy_bytes(backup, &mut out).and_then(|_| out.sync_all()).map_err(io("copying the backup"))?;
    Ok(copy)
}

/// The vault that is there, as far as it opens; refused where it is another one.
async fn look_at_present(
    paths: &VaultPaths,
    opener: &Opener,
    backup: VaultId,
    with: &Arc<UnlockWith>,
) -> Result<Seen, RestoreError> {
    let unread = |why: String| Seen { present: Present::Unreadable(why), former: Former::default(), slots: None };
    if fs::symlink_metadata(&paths.file).is_err() {
        return Ok(Seen { present: Present::Missing, former: Former::default(), slots: None });
    }
    let opened = {
        let (paths, opener, with) = (paths.clone(), opener.clone(), Arc::clone(with));
        blocking(move || open_present(&paths, opener, backup, &with)).await
    };
    let vault = match opened {
        Ok(vault) => vault,
        Err(RestoreError::Backup(error)) => return Ok(unread(error.to_string())),
        Err(error) => return Err(error),
    };
    let looked = async {
        let holds = inventory::take(&vault).await?;
        let slots = vault.slots().await?.into_iter().map(|slot| (slot.id.as_bytes().to_vec(), slot.label)).collect();
        Ok::<_, StoreError>((holds, slots))
    };
    let looked = looked.await;
    let incarnation = vault.keys().incarnation();
    // With its last connection SQLite moves the log into the file, so that what is kept aside is one file.
    vault.store.close().await?;
    Ok(match looked {
        Ok((holds, slots)) => {
            let former = Former { incarnation, last_ms: holds.last_ms };
            let present = Present::Known { holds, difference: Counts::default() };
            Seen { present, former, slots: Some(slots) }
        }
        Err(error) => Seen { former: Former { incarnation, last_ms: 0 }, ..unread(error.to_string()) },
    })
}

fn open_present(paths: &VaultPaths, opener: Opener, backup: VaultId, with: &UnlockWith) -> Result<Vault, RestoreError> {
    let anchor_file = AnchorFile::of(paths, backup);
    let file = match SqliteFile::open(&paths.file) {
        Ok(file) if file.vault() != backup => return Err(RestoreError::OtherVault { backup }),
        Ok(file) => file,
        // Which vault it was cannot be told by itself any more, but by its anchor.
        Err(_) if matches!(anchor_file.read(backup), Err(AnchorFileError::Missing { .. })) => {
            return Err(RestoreError::OtherVault { backup });
        }
        Err(error) => return Err(RestoreError::Backup(error.into())),
    };
    let open = || {
        let (anchor, mac) = anchor_file.read(file.vault())?;
        let root = unlock(&file, with)?;
        if !anchor.may_be(&root.commitment(file.vault())) {
            return Err(UnlockError::CannotUnlock);
        }
        let keys = Arc::new(load_known(&file, root)?);
        anchor.check(&keys, &mac).map_err(|source| AnchorFileError::Damaged { source })?;
        check_anchor(&file, &anchor_file, &keys, anchor, MissingPin::Refused)?;
        Ok(keys)
    };
    let keys = open().map_err(RestoreError::Backup)?;
    Vault::start(file, None, keys, opener).map_err(|error| RestoreError::Backup(error.into()))
}

/// The copy of the backup, open in the incarnation that is to begin; whether its keys are older than the anchor's.
fn open_backup(
    paths: &VaultPaths,
    copy: &Path,
    opener: Opener,
    with: &UnlockWith,
    former: Former,
) -> Result<Opened, RestoreError> {
    let refused = |error: UnlockError| RestoreError::Backup(error);
    let file = SqliteFile::open(copy).map_err(|error| refused(error.into()))?;
    let root = unlock(&file, with).map_err(refused)?;
    let anchor_file = AnchorFile::of(paths, file.vault());
    let has_old_keys = match anchor_file.read(file.vault()) {
        Ok((anchor, _)) => !anchor.may_be(&root.commitment(file.vault())),
        // Where there is no anchor to be read, nothing says which keys are the newest.
        Err(AnchorFileError::Missing { .. } | AnchorFileError::Damaged { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    // An anchor may have been put back to before the change of keys; the pin was not.
    let pinned = pin_to_adopt(&anchor_file)?;
    let has_old_keys = has_old_keys || pinned.is_some_and(|(pinned, _)| !pinned.may_be(&root.commitment(file.vault())));
    let keys = Arc::new(load(&file, root).map_err(refused)?);
    let slots = super::checked_slots(&keys, file.key_material())?;
    let slots = slots.into_iter().map(|slot| (slot.id.as_bytes().to_vec(), slot.label)).collect();
    let header = header_of(&file, &keys)?;
    let (keys, beginning) = Beginning::after(keys, &header, former, opener.clock.wall_ms())?;
    let vault = Vault::start(file, None, keys, opener).map_err(|error| refused(error.into()))?;
    Ok(Opened { vault, beginning, has_old_keys, slots })
}

fn in_use(error: StoreError) -> RestoreError {
    match error {
        StoreError::File(error @ FileError::InUse) => RestoreError::InUse(error),
        error => RestoreError::Store(error),
    }
}

/// What the backup's copy is called until it takes the vault's name.
const COPY: &str = ".restoring";
/// What the replaced file is called from then on, with the number of its newest commit.
const KEPT: &str = ".before-restore-";
