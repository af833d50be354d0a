//! The one place where keys and rows meet: making, unlocking and closing a vault.
//!
//! What is done in an open vault lives beside this: accounts, checkout, refresh, outbox, audit. No site and no manager
//! is known here.

mod backup;
mod incarnation;
mod rescue;
mod restore;
mod unlock;

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use backup::{BackedUp, BackupError};
use incarnation::{Beginning, Former};
pub use rescue::{Rescue, RescuedAccount, RescuedSession};
pub use restore::{Change, Counts, Inventory, Present, Restore, RestoreError, RestorePlan, Restored};
use thiserror::Error;
pub(crate) use unlock::checked_slots;
use unlock::{
    MissingPin, check_anchor, head_of, header_of, knows_pin, load, load_known, pin_to_adopt, rolled_back, unlock,
};

use crate::{
    age_plugin::PluginKey,
    anchor_file::{AnchorFile, AnchorFileError, Keeper},
    checkout::Lines,
    crypto::{Header, Keyring, SealError, SlotError, SlotRecord},
    inspect::Records,
    key_slots::{NewSlot, SlotListError, check_list},
    keys::KeyBinder,
    model::{Action, Actor, Clock, IdError, Secret, VaultId},
    pin::{Pin, PinError, PinPlace},
    refresh::LoginQueues,
    store::{
        Binder, Finding, KeyMaterial, Progress, Store, StoreError,
        sqlite::{SCHEMA_VERSION, SqliteFile, SqliteStore, refuse_in_use},
    },
};

/// Where a vault lies.
#[derive(Clone, Debug)]
pub struct VaultPaths {
    /// The vault file; its folder has mode 0700.
    pub file: PathBuf,
    /// The folder of anchors: another than the vault's own, so that copying the one back does not bring the other.
    pub anchors: PathBuf,
    /// Where the vault is pinned as well; none: nowhere. Once set, a vault without a pin that agrees is not opened.
    pub pin: Option<Arc<dyn PinPlace>>,
}

/// Who opens a vault, by which clock.
#[derive(Clone)]
pub struct Opener {
    /// Who stands in the audit.
    pub actor: Actor,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

/// What a vault is unlocked with.
pub enum UnlockWith {
    /// The passphrase of a slot.
    Passphrase(Secret),
    /// The text of an age identity file, or of what a keyring of the system holds.
    Identity(Secret),
    /// The passphrase of a combined slot, and the text of the key that a keyring of the system holds for it.
    Both {
        /// The passphrase.
        passphrase: Secret,
        /// The keyring's half.
        half: Secret,
    },
    /// An identity file that names keys of age plugins.
    Plugin(PluginKey),
}

/// An open vault; shared behind an `Arc`, ended by [`Vault::close`].
pub struct Vault {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) binder: Arc<KeyBinder>,
    pub(crate) opener: Opener,
    pub(crate) logins: LoginQueues,
    pub(crate) lines: Lines,
    paths: VaultPaths,
    pub(crate) keeper: Arc<Keeper>,
}

/// Why a vault was not made. Nothing that was there before is changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitError {
    /// The slots do not go together: there is none, or too many, or what one needs is missing.
    #[error(transparent)]
    Slots(#[from] SlotListError),
    /// The anchor would lie with the vault.
    #[error("the folder of anchors must not be the vault's own: a rollback would take the anchor along")]
    AnchorBesideVault,
    /// A slot could not be made.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The operating system gave no randomness.
    #[error("the operating system's random source failed")]
    NoRandomness,
    /// The folder could not be made.
    #[error("the vault's folder cannot be made: {0}")]
    Folder(std::io::Error),
    /// The file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The anchor could not be written.
    #[error(transparent)]
    Anchor(#[from] AnchorFileError),
}

/// Why a vault was not opened. Nothing is changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// Wrong passphrase or identity, or a slot that was tampered with: before the root key is authenticated nothing
    /// more is said.
    #[error("cannot be unlocked: wrong passphrase or identity, or the key slots were tampered with")]
    CannotUnlock,
    /// The anchor is missing, damaged or another vault's.
    #[error(transparent)]
    Anchor(#[from] AnchorFileError),
    /// The file is no vault, or not what its header and anchor vouch for.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The full check found something; the anchor was not adopted.
    #[error("the check found {} problem(s); the first: {}", .0.len(), .0.first().map_or("", |f| f.what.as_str()))]
    Findings(Vec<Finding>),
    /// There is a sound anchor, of a commit that the vault does not know.
    #[error(
        "rollback: the anchor has seen commit {anchored}, which this file, at {found}, does not know; if that is meant \
         (a restored backup), adopt it explicitly with --accept-rollback"
    )]
    RolledBack {
        /// The anchor's counter.
        anchored: u64,
        /// The file's counter.
        found: u64,
    },
    /// There is an anchor of this vault, and it knows another root key than the slots hold: whoever knows a slot's
    /// recipient can wrap a root key of their own.
    #[error(
        "the anchor knows another root key than the one that the key slots hold: the slots may have been exchanged; if \
         you know that the anchor is from before a change of keys, take its file away and adopt the vault again"
    )]
    OtherRoot,
}

impl Vault {
    /// Makes a vault: file (0600), folder (0700), anchor, key slots.
    ///
    /// # Errors
    /// [`InitError`]; a vault that is there already is refused and left as it is.
    pub async fn init(paths: &VaultPaths, opener: Opener, slots: Vec<NewSlot>) -> Result<Self, InitError> {
        let paths = paths.clone();
        let vault = blocking(move || make(&paths, opener, slots)).await?;
        vault.note(Action::Init, None, "vault made").await.map_err(InitError::from)?;
        Ok(vault)
    }

    /// Opens a vault: checks file and anchor, unlocks a slot, authenticates slots, header and digest.
    ///
    /// # Errors
    /// [`UnlockError`]; nothing is changed.
    pub async fn open(paths: &VaultPaths, opener: Opener, with: UnlockWith) -> Result<Self, UnlockError> {
        Self::open_as(paths, opener, with, MissingPin::Refused).await
    }

    /// Opens a vault as [`Vault::open`] does, but accepts that it has no pin, and makes one: a person's decision.
    ///
    /// # Errors
    /// [`UnlockError`]: also where there is a pin and it does not agree. Where [`VaultPaths::pin`] is none, nothing is pinned.
    pub async fn open_and_pin(paths: &VaultPaths, opener: Opener, with: UnlockWith) -> Result<Self, UnlockError> {
        let vault = Self::open_as(paths, opener, with, MissingPin::Accepted).await?;
        vault.note(Action::AdoptAnchor, None, "pinned by a person").await?;
        let keeper = Arc::clone(&vault.keeper);
        blocking(move || keeper.pin_now()).await.map_err(AnchorFileError::from)?;
        Ok(vault)
    }

    /// Accepts the vault as it is and makes its anchor anew: a person's decision, after a full check.
    ///
    /// Unless a sound anchor shows that nothing was lost, a new incarnation begins: what the lost time may have granted,
    /// sent or spent is then fenced, looked up or waited for.
    ///
    /// # Errors
    /// [`UnlockError::Findings`] when the check finds anything; [`UnlockError::RolledBack`] when a sound anchor knows a
    /// later or another state and `accept_rollback` is not set; [`UnlockError::OtherRoot`] when an anchor is there that
    /// knows another root key. Nothing is changed then.
    pub async fn adopt_anchor(
        paths: &VaultPaths,
        opener: Opener,
        with: UnlockWith,
        accept_rollback: bool,
        progress: Progress,
    ) -> Result<Self, UnlockError> {
        let paths = paths.clone();
        let (vault, anchor_file, beginning) = blocking(move || {
            let file = SqliteFile::open(&paths.file)?;
            let anchor_file = AnchorFile::of(&paths, file.vault());
            let present = anchor_file.read(file.vault()).ok();
            let pinned = pin_to_adopt(&anchor_file)?;
            let root = unlock(&file, &with)?;
            if let Some((anchor, _)) = &present
                && !anchor.may_be(&root.commitment(file.vault()))
            {
                return Err(UnlockError::OtherRoot);
            }
            if let Some((pinned, _)) = &pinned
                && !pinned.may_be(&root.commitment(file.vault()))
            {
                return Err(AnchorFileError::from(PinError::OtherRoot).into());
            }
            let keys = Arc::new(load(&file, root)?);
            let pinned = pinned.filter(|(pinned, mac)| pinned.check(&keys, mac).is_ok()).map(|(pinned, _)| pinned);
            let sound = present.filter(|(anchor, mac)| anchor.check(&keys, mac).is_ok()).map(|(anchor, _)| anchor);
            let binder = KeyBinder::new(Arc::clone(&keys));
            let pin_is_known = knows_pin(&file, &binder, pinned.as_ref(), sound.as_ref())?;
            let is_whole = match &sound {
                Some(anchor) => pin_is_known && file.knows(&binder, head_of(anchor))?,
                None => false,
            };
            drop(binder);
            if let Some(pinned) = pinned.filter(|_| !pin_is_known && !accept_rollback) {
                return Err(rolled_back(&file, &pinned)?);
            }
            if let Some(anchor) = sound.filter(|_| !is_whole && !accept_rollback) {
                return Err(UnlockError::RolledBack { anchored: anchor.counter, found: file.head()?.counter });
            }
            let (keys, beginning) = if is_whole {
                (keys, None)
            } else {
                refuse_in_use(file.path())?;
                let header = header_of(&file, &keys)?;
                let (keys, beginning) = Beginning::after(keys, &header, Former::default(), opener.clock.wall_ms())?;
                (keys, Some(beginning))
            };
            let vault = Self::start(file, Some((anchor_file.clone(), paths.anchors)), keys, opener)?;
            Ok((vault, anchor_file, beginning))
        })
        .await?;
        let findings = vault.verify(progress).await?;
        if !findings.is_empty() {
            return Err(UnlockError::Findings(findings));
        }
        // In front of the anchor: should a crash come between, the vault is adopted once more.
        match beginning {
            Some(beginning) => beginning.begin(&vault, Action::AdoptAnchor, "anchor adopted by a person").await?,
            None => vault.note(Action::AdoptAnchor, None, "anchor adopted by a person").await?,
        }
        let (keys, head) = (vault.keys(), vault.store.head());
        blocking(move || anchor_file.write_first(&keys, head)).await?;
        Ok(vault)
    }

    /// Finishes what was accepted, moves the anchor to the last commit and closes the file.
    ///
    /// # Errors
    /// [`UnlockError::Anchor`] when the anchor could not be moved: the vault is whole, the window of a rollback is wider.
    pub async fn close(&self) -> Result<(), UnlockError> {
        let head = self.store.close().await?;
        let keeper = Arc::clone(&self.keeper);
        blocking(move || keeper.close()).await?;
        tracing::debug!(counter = head.counter, "vault closed");
        Ok(())
    }

    /// The time by the vault's clock, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.opener.clock.wall_ms()
    }

    /// The vault's clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.opener.clock)
    }

    /// The vault's id.
    #[must_use]
    pub fn id(&self) -> VaultId {
        self.keys().vault()
    }

    /// Checks everything there is, each row once: rows, digest, references, audit chain, slots, pages, and that every record
    /// opens, reads, and is indexed by what it says.
    ///
    /// `progress` gets (done, all) in rows. At most 1,000 findings are told.
    ///
    /// # Errors
    /// [`StoreError`] when the check itself could not be made; what it found is the value.
    pub async fn verify(&self, progress: Progress) -> Result<Vec<Finding>, StoreError> {
        self.store.verify(Arc::new(Records(Arc::clone(&self.binder))), progress).await
    }

    /// The key slots, as they were authenticated.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read, or are not what the header vouches for.
    pub async fn slots(&self) -> Result<Vec<SlotRecord>, StoreError> {
        let material = self.store.key_material().await?;
        checked_slots(&self.keys(), &material)
    }

    /// The keys as they are now: they may change between two looks.
    pub(crate) fn keys(&self) -> Arc<Keyring> {
        self.binder.keys()
    }

    async fn open_as(
        paths: &VaultPaths,
        opener: Opener,
        with: UnlockWith,
        missing: MissingPin,
    ) -> Result<Self, UnlockError> {
        let paths = paths.clone();
        blocking(move || {
            let mut tries = 1;
            loop {
                let file = SqliteFile::open(&paths.file)?;
                let generation = file.key_material().generation;
                match Self::open_file(&paths, file, &opener, &with, missing) {
                    // Another process changed the keys while this one looked at those of before.
                    Err(_) if tries < OPEN_TRIES && has_other_keys(&paths.file, generation) => tries += 1,
                    opened => return opened,
                }
            }
        })
        .await
    }

    fn open_file(
        paths: &VaultPaths,
        file: SqliteFile,
        opener: &Opener,
        with: &UnlockWith,
        missing: MissingPin,
    ) -> Result<Self, UnlockError> {
        let anchor_file = AnchorFile::of(paths, file.vault());
        let (anchor, mac) = anchor_file.read(file.vault())?;
        let root = unlock(&file, with)?;
        // Anybody can wrap a root key of their own to a public recipient: the commitment tells it from ours.
        if !anchor.may_be(&root.commitment(file.vault())) {
            return Err(UnlockError::CannotUnlock);
        }
        let keys = load_known(&file, root)?;
        anchor.check(&keys, &mac).map_err(|source| AnchorFileError::Damaged { source })?;
        let is_only_announced = !anchor.commitment.check(&keys.commitment());
        let keys = Arc::new(keys);
        check_anchor(&file, &anchor_file, &keys, anchor, missing)?;
        let vault = Self::start(file, Some((anchor_file, paths.anchors.clone())), keys, opener.clone())?;
        if is_only_announced {
            // Whoever installed the root key did not come to write the anchor under it.
            vault.keeper.move_now()?;
        }
        Ok(vault)
    }

    /// Starts the store on an unlocked file; with the anchor, where it is the vault itself and not a copy of it.
    fn start(
        file: SqliteFile,
        anchor: Option<(AnchorFile, PathBuf)>,
        keys: Arc<Keyring>,
        opener: Opener,
    ) -> Result<Self, StoreError> {
        let path = file.path().to_owned();
        let binder = Arc::new(KeyBinder::following(keys, file.key_material().generation));
        let bound = Arc::clone(&binder) as Arc<dyn Binder>;
        let store: Arc<SqliteStore> = Arc::new(file.start(bound, Arc::clone(&opener.clock))?);
        let forget = Arc::clone(&store);
        let head = store.watch();
        let (anchor_file, anchors) = anchor.unzip();
        let keeper = match anchor_file {
            Some(anchor_file) => {
                Keeper::start(anchor_file, Arc::clone(&binder), head, move |counter| forget.anchored(counter))
                    .map_err(|source| StoreError::Io { during: "starting the anchor's keeper", source })?
            }
            None => Keeper::of_a_copy(Arc::clone(&binder), head),
        };
        // What is pinned, the anchor's keeper knows.
        let paths = VaultPaths { file: path, anchors: anchors.unwrap_or_default(), pin: None };
        Ok(Self {
            store,
            binder,
            opener,
            logins: LoginQueues::default(),
            lines: Lines::default(),
            paths,
            keeper: Arc::new(keeper),
        })
    }
}

/// Whether the file has key slots of another generation by now.
fn has_other_keys(file: &Path, generation: u64) -> bool {
    SqliteFile::open(file).is_ok_and(|file| file.key_material().generation != generation)
}

fn make(paths: &VaultPaths, opener: Opener, slots: Vec<NewSlot>) -> Result<Vault, InitError> {
    let slots = slots.into_iter().map(NewSlot::draft).collect::<Result<Vec<_>, _>>()?;
    let folder = paths.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if same_folder(folder, &paths.anchors) {
        return Err(InitError::AnchorBesideVault);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(InitError::Folder)?;
    let now_ms = opener.clock.wall_ms();
    let vault = VaultId::generate().map_err(|_: IdError| InitError::NoRandomness)?;
    let anchor_file = AnchorFile::of(paths, vault);
    // Before anything is made: without its pin the vault would not be opened again.
    anchor_file.pin().map_or(Ok(()), Pin::check_place).map_err(AnchorFileError::from)?;
    let keys = Keyring::generate(vault).map_err(|_| InitError::NoRandomness)?;
    let slots = slots.iter().map(|slot| slot.seal(&keys, now_ms)).collect::<Result<Vec<_>, _>>()?;
    check_list(&slots)?;
    let material = KeyMaterial {
        generation: 1,
        slots_mac: keys.slots_mac(1, &slots),
        slots: slots.iter().map(SlotRecord::to_bytes).collect(),
        data_keys: keys.sealed_data_keys().map_err(|_: SealError| InitError::NoRandomness)?,
    };
    let header = Header::first(SCHEMA_VERSION, material.slots_mac, now_ms);
    let keys = Arc::new(keys);
    let binder = KeyBinder::new(Arc::clone(&keys));
    let file = SqliteFile::create(&paths.file, vault, now_ms, &binder, header, &material)?;
    let head = file.head()?;
    anchor_file.write_first(&keys, head)?;
    Ok(Vault::start(file, Some((anchor_file, paths.anchors.clone())), keys, opener)?)
}

/// Runs what may take long (scrypt, syncs) beside the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static, E: Send + 'static>(
    run: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(run).await {
        Ok(result) => result,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn same_folder(one: &Path, other: &Path) -> bool {
    one == other || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Unlocking takes half a second, a change of keys a person: two of them within one opening are a lot.
const OPEN_TRIES: usize = 4;
