//! The anchor on disk: outside the vault's folder, preallocated, two slots written in turn.
//!
//! It says which commit the vault had reached, so that yesterday's file is not taken for today's. A keeper advances it
//! at once when idle, at least once a second under load, and at close; what was committed since is the stated window.
//! Where a pin is set, the same is kept there, by the same rules but less often.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::watch;

use crate::{
    KeyBinder, VaultPaths,
    crypto::{ANCHOR_FILE_BYTES, ANCHOR_SLOT_BYTES, Anchor, AnchorError, Announcement, Keyring},
    model::VaultId,
    pin::{Pin, PinError},
    store::{Head, StoreError, sqlite::check_private},
};

/// Why the anchor cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnchorFileError {
    /// There is none for this vault.
    #[error(
        "the anchor of this vault is missing ({}): whether the vault was rolled back cannot be told; if you know why it \
         is gone (a new machine, a restored home), check and accept the vault with `latchkey anchor adopt`",
        .path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It is there and cannot be read as one.
    #[error("the anchor is damaged ({source}); after a look at how that came, `latchkey anchor adopt` makes a new one")]
    Damaged {
        /// What is wrong with it.
        source: AnchorError,
    },
    /// It belongs to another vault.
    #[error("the anchor belongs to another vault")]
    Foreign,
    /// It follows another root key by now: the vault's keys were changed by another process.
    #[error("the anchor follows another root key by now: the vault's keys were changed by another process")]
    OtherRoot,
    /// It or its folder is open to others.
    #[error(transparent)]
    Unsafe(StoreError),
    /// The pin, which says the same in another place, does not agree or cannot be used.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// It cannot be read or written.
    #[error("the anchor cannot be {during}: {source}")]
    Io {
        /// What was being done.
        during: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// The anchor file of one vault, and its pin where one is set.
#[derive(Clone, Debug)]
pub(crate) struct AnchorFile {
    path: PathBuf,
    pin: Option<Pin>,
}

/// Keeps the anchor at the newest commit.
pub(crate) struct Keeper {
    /// None for a copy of the vault, which has no anchor of its own and must not move the vault's.
    file: Option<AnchorFile>,
    keys: Arc<KeyBinder>,
    head: watch::Receiver<Head>,
    running: Mutex<Vec<Running>>,
}

/// A thread, and what ends it when it is dropped.
type Running = (SyncSender<()>, JoinHandle<()>);

impl AnchorFile {
    /// The file for `vault` in the folder of anchors, and its pin.
    pub(crate) fn of(paths: &VaultPaths, vault: VaultId) -> Self {
        let pin = paths.pin.as_ref().map(|place| Pin::of(place, &paths.anchors, vault));
        Self { path: paths.anchors.join(format!("{vault}.anchor")), pin }
    }

    /// The pin, where one is set.
    pub(crate) const fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// Reads and checks everything that can be checked without keys. The MAC is returned for the check with them.
    pub(crate) fn read(&self, vault: VaultId) -> Result<(Anchor, [u8; 32]), AnchorFileError> {
        if let Some(folder) = self.path.parent()
            && folder.exists()
        {
            check_private(folder, "folder of anchors", true).map_err(AnchorFileError::Unsafe)?;
        }
        if !fs::symlink_metadata(&self.path).is_ok_and(|meta| !meta.is_symlink()) {
            return Err(AnchorFileError::Missing { path: self.path.clone() });
        }
        check_private(&self.path, "anchor", false).map_err(AnchorFileError::Unsafe)?;
        let file = File::open(&self.path).map_err(|source| AnchorFileError::Io { during: "opened", source })?;
        let (_, anchor, mac) = decode(&file)?;
        if anchor.vault != vault {
            return Err(AnchorFileError::Foreign);
        }
        Ok((anchor, mac))
    }

    /// Makes the file (mode 0600, its folder 0700), or replaces it: the first anchor of a vault, or an adopted one. Then the
    /// same with its pin.
    pub(crate) fn write_first(&self, keys: &Keyring, head: Head) -> Result<(), AnchorFileError> {
        let io = |during| move |source| AnchorFileError::Io { during, source };
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("given a folder"))?;
            check_private(folder, "folder of anchors", true).map_err(AnchorFileError::Unsafe)?;
        }
        let making = self.path.with_extension("new");
        let _ = fs::remove_file(&making);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&making).map_err(io("created"))?;
        let mut bytes = [0; ANCHOR_FILE_BYTES];
        bytes[..ANCHOR_SLOT_BYTES].copy_from_slice(&anchor(keys, head, 1, None).encode_slot(keys));
        file.write_all_at(&bytes, 0).and_then(|()| file.sync_all()).map_err(io("written"))?;
        fs::rename(&making, &self.path).map_err(io("named"))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("synced"))?;
        self.pin.as_ref().map_or(Ok(()), |pin| Ok(pin.write_first(keys, &anchor(keys, head, 1, None))?))
    }

    /// Moves the anchor forward to `head`, never back. Processes that share the vault take turns by a lock on the file.
    ///
    /// An anchor that announces the root key of these keys is written under it from here on.
    ///
    /// # Errors
    /// [`AnchorFileError::OtherRoot`] where it follows another root key, which it does not announce.
    pub(crate) fn advance(&self, keys: &Keyring, head: Head) -> Result<(), AnchorFileError> {
        self.rewrite(keys, |now| advanced(now, keys, head))
    }

    /// Moves the pin, where one is set, in the same way.
    fn advance_pin(&self, keys: &Keyring, head: Head) -> Result<(), PinError> {
        self.pin.as_ref().map_or(Ok(()), |pin| pin.try_rewrite(keys, |now| advanced(now, keys, head)))
    }

    /// Tells anchor and pin which root key is about to be installed; durable when this returns.
    fn announce(&self, keys: &Keyring, next: &Keyring) -> Result<(), AnchorFileError> {
        self.rewrite(keys, |now| announcing(now, keys, next))?;
        self.pin.as_ref().map_or(Ok(()), |pin| Ok(pin.rewrite(keys, |now| announcing(now, keys, next))?))
    }

    /// Writes what `change` makes of the anchor, where it makes something of it, while no other process does.
    fn rewrite(&self, keys: &Keyring, change: impl FnOnce(&Anchor) -> Option<Anchor>) -> Result<(), AnchorFileError> {
        let io = |during| move |source| AnchorFileError::Io { during, source };
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&self.path)
            .map_err(io("opened"))?;
        file.lock().map_err(io("locked"))?;
        let (index, now, mac) = decode(&file)?;
        if !now.may_be(&keys.commitment()) {
            return Err(AnchorFileError::OtherRoot);
        }
        now.check(keys, &mac).map_err(|source| AnchorFileError::Damaged { source })?;
        let Some(next) = change(&now) else { return Ok(()) };
        let slot = next.encode_slot(keys);
        // The other slot keeps the older anchor whole should this write be torn.
        let at = ANCHOR_SLOT_BYTES as u64 * (1 - index as u64);
        file.write_all_at(&slot, at).and_then(|()| file.sync_data()).map_err(io("written"))
    }
}

impl Keeper {
    /// Starts the threads that follow `head`; `reached` is told which commit the anchor holds.
    pub(crate) fn start(
        file: AnchorFile,
        keys: Arc<KeyBinder>,
        head: watch::Receiver<Head>,
        reached: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = {
            let (file, keys, mut head) = (file.clone(), Arc::clone(&keys), head.clone());
            std::thread::Builder::new().name("vault-anchor".into()).spawn(move || {
                let mut last = Instant::now();
                let (mut owed, mut failed) = (false, false);
                while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    let moving = head.has_changed().unwrap_or(false);
                    let now = *head.borrow_and_update();
                    owed |= moving;
                    // Under load, and after a failure, once in a while; else as soon as nothing moves.
                    if owed && (last.elapsed() >= AT_LEAST_EVERY || !moving && !failed) {
                        match file.advance(&keys.keys(), now) {
                            Ok(()) => {
                                reached(now.counter);
                                owed = false;
                            }
                            // Nothing that this process does can be anchored any more, and nothing it does is taken.
                            Err(AnchorFileError::OtherRoot) => return,
                            Err(error) => tracing::error!(%error, "the anchor could not be advanced; trying again"),
                        }
                        (failed, last) = (owed, Instant::now());
                    }
                }
            })?
        };
        let mut running = vec![(stop, thread)];
        if file.pin.is_some() {
            running.push(follow_with_pin(file.clone(), Arc::clone(&keys), head.clone(), PIN_AT_MOST_EVERY)?);
        }
        Ok(Self { file: Some(file), keys, head, running: Mutex::new(running) })
    }

    /// For a copy of the vault that is looked at: there is no anchor to be kept.
    pub(crate) fn of_a_copy(keys: Arc<KeyBinder>, head: watch::Receiver<Head>) -> Self {
        Self { file: None, keys, head, running: Mutex::default() }
    }

    /// Ends the threads and moves anchor and pin to the last commit. Blocking.
    pub(crate) fn close(&self) -> Result<(), AnchorFileError> {
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for (stop, thread) in running {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the anchor's keeper had panicked");
            }
        }
        match self.move_now() {
            Err(AnchorFileError::OtherRoot) => Ok(()),
            moved => moved,
        }
    }

    /// Moves anchor and pin to the newest commit. Blocking.
    pub(crate) fn move_now(&self) -> Result<(), AnchorFileError> {
        let (keys, head) = (self.keys.keys(), *self.head.borrow());
        let Some(file) = &self.file else { return Ok(()) };
        file.advance(&keys, head)?;
        Ok(file.advance_pin(&keys, head)?)
    }

    /// Makes the pin anew at the newest commit, whatever was there. Blocking.
    pub(crate) fn pin_now(&self) -> Result<(), PinError> {
        let (keys, head) = (self.keys.keys(), *self.head.borrow());
        let pin = self.file.as_ref().and_then(AnchorFile::pin);
        pin.map_or(Ok(()), |pin| pin.write_first(&keys, &anchor(&keys, head, 1, None)))
    }

    /// Tells anchor and pin which root key is about to be installed. Blocking; durable when this returns.
    pub(crate) fn announce(&self, next: &Keyring) -> Result<(), AnchorFileError> {
        self.file.as_ref().map_or(Ok(()), |file| file.announce(&self.keys.keys(), next))
    }
}

/// Starts the thread that moves the pin once in a while. A keyring may take its time; the anchor does not wait for it.
fn follow_with_pin(
    file: AnchorFile,
    keys: Arc<KeyBinder>,
    head: watch::Receiver<Head>,
    every: Duration,
) -> io::Result<Running> {
    let (stop, stopped) = sync_channel(1);
    let thread = std::thread::Builder::new().name("vault-pin".into()).spawn(move || {
        let mut reached = None;
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let now = *head.borrow();
            if reached == Some(now.counter) {
                continue;
            }
            match file.advance_pin(&keys.keys(), now) {
                Ok(()) => reached = Some(now.counter),
                // As for the anchor.
                Err(PinError::OtherRoot) => return,
                Err(error) => tracing::error!(%error, "the pin could not be moved; trying again"),
            }
        }
    })?;
    Ok((stop, thread))
}

/// What follows `now` at `head`; none where that is no way forward.
fn advanced(now: &Anchor, keys: &Keyring, head: Head) -> Option<Anchor> {
    if !now.commitment.check(&keys.commitment()) {
        return now.announces(keys).then(|| anchor(keys, head, now.sequence + 1, None));
    }
    (now.counter < head.counter).then(|| anchor(keys, head, now.sequence + 1, now.next))
}

/// What follows `now` and announces the root key of `next`; none where it is not under these keys.
fn announcing(now: &Anchor, keys: &Keyring, next: &Keyring) -> Option<Anchor> {
    let ours = now.commitment.check(&keys.commitment());
    ours.then(|| Anchor { sequence: now.sequence + 1, ..now.clone() }.announcing(next))
}

fn anchor(keys: &Keyring, head: Head, sequence: u64, next: Option<Announcement>) -> Anchor {
    Anchor {
        vault: keys.vault(),
        sequence,
        commitment: keys.commitment(),
        counter: head.counter,
        header_hash: head.hash,
        next,
    }
}

fn decode(file: &File) -> Result<(usize, Anchor, [u8; 32]), AnchorFileError> {
    let mut bytes = Vec::with_capacity(ANCHOR_FILE_BYTES + 1);
    file.take(ANCHOR_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| AnchorFileError::Io { during: "read", source })?;
    Anchor::decode(&bytes).map_err(|source| AnchorFileError::Damaged { source })
}

/// How often the keeper looks; an idle vault's anchor is at most two looks behind.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The window under load: at most this much is lost to a rollback that nobody notices.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// A keyring writes its whole file, or asks another process: that is no matter of each second.
const PIN_AT_MOST_EVERY: Duration = Duration::from_secs(60);
