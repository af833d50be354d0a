//! Changes of keys and restores by a real process that is killed in front of each of its calls that change files.
//!
//! Each kill leaves a folder of its own; what is there must open, or say what to do, and go on to its end. The re-seal that
//! follows a change of keys is killed by instructions of SQLite's, beside its code.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use latchkey_vault::{
    NewSlot, PinPlace, PinPlaceError, Present, Restore, Secret, UnlockError, UnlockWith, Vault, VaultId, VaultPaths,
    crypto::{ANCHOR_SLOT_BYTES, SlotKind, generate_identity},
    model::SlotId,
};

use crate::{
    child::{hear, identity, open, opener, say},
    common::{Folder, account, assert_clean, verify},
    rekey::{check_filled, epochs, filled, quiet},
    tracer::{self, READY},
};

/// A pin in a file beside the anchor, so that each of its writes is a call that a kill may come before.
#[derive(Debug)]
struct FilePin(PathBuf);

impl PinPlace for FilePin {
    fn read(&self, _: VaultId) -> Result<Option<String>, PinPlaceError> {
        match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => Ok(Some(read?)),
        }
    }

    fn write(&self, _: VaultId, text: &str) -> Result<(), PinPlaceError> {
        let making = self.0.with_extension("new");
        fs::write(&making, text)?;
        Ok(fs::rename(making, &self.0)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_22_a_rotation_killed_in_front_of_any_call_has_begun_or_not_and_goes_on() {
    let folder = pinned(Folder::new());
    filled(&folder, ACCOUNTS).await.close().await.unwrap();
    let mut seen = BTreeSet::new();
    for (killed, at) in killed_anywhere(&folder, "rotate", &[]) {
        let vault = killed.open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(verify(&vault).await, [], "{at}");
        check_filled(&vault, ACCOUNTS).await;
        let has_begun = vault.resealing().await.unwrap().is_some();
        if !has_begun {
            vault.rotate_keys().await.unwrap();
        }
        vault.reseal(quiet()).await.unwrap();
        assert_eq!(verify(&vault).await, [], "{at}");
        check_filled(&vault, ACCOUNTS).await;
        vault.close().await.unwrap();
        assert_eq!(epochs(&killed), [2], "{at}");
        assert_clean(&killed).await;
        seen.insert(has_begun);
    }
    assert_eq!(seen, BTreeSet::from([false, true]), "kills before and after the commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_22_a_removal_killed_in_front_of_any_call_leaves_a_slot_that_is_valid_or_opens_nothing() {
    let folder = pinned(Folder::new());
    let vault = filled(&folder, ACCOUNTS).await;
    let (removed, recipient) = generate_identity();
    let gone =
        NewSlot::Identity { label: "gone".into(), kind: SlotKind::Identity, recipient: recipient.parse().unwrap() };
    let id = vault.add_slot(gone).await.unwrap();
    vault.close().await.unwrap();
    let mut seen = BTreeSet::new();
    for (killed, at) in killed_anywhere(&folder, "remove", &[&id.to_string()]) {
        let announces = announces(&killed);
        let by_removed = as_removed(&pinned(killed.copy()), &removed).await;
        let vault = killed.open().await.unwrap_or_else(|error| panic!("{at}: {error}"));
        let is_there = vault.slots().await.unwrap().len() == 2;
        assert_eq!(by_removed, if is_there { Ok(()) } else { Err(cannot_unlock()) }, "{at}");
        assert_eq!(verify(&vault).await, [], "{at}");
        check_filled(&vault, ACCOUNTS).await;
        if is_there {
            vault.remove_slot(id).await.unwrap();
        }
        vault.reseal(quiet()).await.unwrap();
        assert_eq!(verify(&vault).await, [], "{at}");
        check_filled(&vault, ACCOUNTS).await;
        vault.close().await.unwrap();
        assert_eq!(epochs(&killed), [2], "{at}");
        assert_eq!(as_removed(&killed, &removed).await, Err(cannot_unlock()), "{at}");
        assert_clean(&killed).await;
        seen.insert((is_there, announces));
    }
    let all = BTreeSet::from([(true, false), (true, true), (false, true), (false, false)]);
    assert_eq!(seen, all, "kills before the announcement, before the commit, before the anchor moves on, and after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_killed_in_front_of_any_call_keeps_what_was_there_and_the_same_restore_completes_it() {
    let used = pinned(Folder::new());
    let vault = used.init().await;
    let backup = used.path().join("backup.db");
    vault.add_account(account("ann")).await.unwrap();
    vault.back_up(&backup, Arc::new(|_, _| ())).await.unwrap();
    vault.add_account(account("bob")).await.unwrap();
    // The anchor has seen more than the backup, and the log has what came last: as a process leaves it that was killed.
    vault.close().await.unwrap();
    let vault = used.open().await.unwrap();
    vault.add_account(account("cleo")).await.unwrap();
    let folder = pinned(used.copy());
    vault.close().await.unwrap();
    let mut seen = BTreeSet::new();
    for (killed, at) in killed_anywhere(&folder, "restore", &[backup.to_str().unwrap()]) {
        let left = match killed.open().await {
            Ok(vault) => {
                assert_eq!(verify(&vault).await, [], "{at}");
                let names = names(&vault).await;
                vault.close().await.unwrap();
                names.join(" and ")
            }
            Err(error) => {
                assert!(error.to_string().starts_with("rollback: "), "{at}: {error}");
                "a rollback".to_owned()
            }
        };
        let restore = prepare(&killed, &backup).await;
        let is_known = matches!(restore.plan().present, Present::Known { .. });
        assert_eq!(is_known, left != "a rollback", "{at}");
        let _ = restore.carry_out().await.unwrap();
        let vault = killed.open().await.unwrap();
        assert_eq!(names(&vault).await, ["ann"], "{at}");
        vault.close().await.unwrap();
        assert_clean(&killed).await;
        let mut kept = Vec::new();
        for file in names_beside(&killed, ".before-restore-") {
            kept.push(kept_names(&folder, &file).await);
        }
        assert!(
            kept.iter().any(|kept| kept.as_ref().is_some_and(|names| *names == ["ann", "bob", "cleo"])),
            "{at}: {kept:?}"
        );
        assert!(names_beside(&killed, ".restoring").is_empty(), "{at}");
        seen.insert(left);
    }
    assert_eq!(seen, ["a rollback", "ann", "ann and bob and cleo"].map(str::to_owned).into());
}

/// What a child does: a new data key.
pub(crate) async fn rotate(folder: &Path) {
    let vault = open(folder, &paths(folder)).await;
    wait_to_be_told();
    vault.rotate_keys().await.unwrap();
    vault.close().await.unwrap();
}

/// What a child does: one slot less.
pub(crate) async fn remove(folder: &Path, slot: &str) {
    let vault = open(folder, &paths(folder)).await;
    let slots = vault.slots().await.unwrap();
    let id: SlotId = slots.iter().map(|slot| slot.id).find(|id| id.to_string() == slot).unwrap();
    wait_to_be_told();
    vault.remove_slot(id).await.unwrap();
    vault.close().await.unwrap();
}

/// What a child does: back to a backup.
pub(crate) async fn restore(folder: &Path, backup: &Path) {
    let (paths, key) = (paths(folder), UnlockWith::Identity(identity(folder)));
    wait_to_be_told();
    let restore = Restore::prepare(&paths, opener(), backup, key, false, quiet()).await.unwrap();
    let _ = restore.carry_out().await.unwrap();
}

/// The folder, its vault with a pin.
fn pinned(mut folder: Folder) -> Folder {
    folder.paths = paths(folder.path());
    folder
}

fn paths(folder: &Path) -> VaultPaths {
    let pin: Arc<dyn PinPlace> = Arc::new(FilePin(folder.join("anchors/pin")));
    VaultPaths { pin: Some(pin), ..crate::child::paths(folder) }
}

fn wait_to_be_told() {
    say(READY);
    hear();
}

/// A copy of the folder for each call that changes files, in which a child was killed in front of that call; last one in
/// which it came to its end.
///
/// Of a run of calls that differ in nothing but their place in one file only some are tried.
fn killed_anywhere<'a>(
    folder: &'a Folder,
    work: &'a str,
    args: &'a [&'a str],
) -> impl Iterator<Item = (Folder, String)> {
    let calls = tracer::run(&pinned(folder.copy()), work, args, usize::MAX);
    let all = calls.len();
    let is_tried = move |no: &usize| {
        let is_within = |run: &[String]| run.iter().all(|call| *call == run[0]);
        no.is_multiple_of(RUN_STEP) || !calls.get(no.wrapping_sub(1)..no + 2).is_some_and(is_within)
    };
    let limits = (0..all).filter(is_tried).chain([usize::MAX]);
    limits.map(move |limit| {
        let copy = pinned(folder.copy());
        let calls = tracer::run(&copy, work, args, limit);
        let at = format!("after {} calls, the last: {:?}", calls.len(), calls.last());
        (copy, at)
    })
}

/// Whether the newest of the anchor's two slots announces a root key.
fn announces(folder: &Folder) -> bool {
    let anchor = fs::read(folder.anchor()).unwrap();
    let newest = anchor.as_chunks::<ANCHOR_SLOT_BYTES>().0.iter().max_by_key(|slot| slot[32..40].to_vec()).unwrap();
    newest[144..176] != [0; 32]
}

async fn as_removed(folder: &Folder, removed: &Secret) -> Result<(), String> {
    let key = UnlockWith::Identity(removed.duplicate());
    let vault = Vault::open(&folder.paths, folder.opener(), key).await.map_err(|error| error.to_string())?;
    vault.close().await.map_err(|error| error.to_string())
}

fn cannot_unlock() -> String {
    UnlockError::CannotUnlock.to_string()
}

async fn prepare(folder: &Folder, backup: &Path) -> Restore {
    Restore::prepare(&folder.paths, folder.opener(), backup, folder.key(), false, quiet()).await.unwrap()
}

/// The accounts' names, in order.
async fn names(vault: &Vault) -> Vec<String> {
    let accounts = vault.accounts(None, None, 10).await.unwrap();
    let mut names: Vec<_> =
        accounts.iter().map(|account| account.username.as_ref().unwrap().expose().to_owned()).collect();
    names.sort();
    names
}

/// What lies beside the vault under its name and `suffix`, logs and locks aside.
fn names_beside(folder: &Folder, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.paths.file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    // A log is told by its file; what a dead process said of itself is empty, and swept after a day.
    let is_beside = |name: &str| ["-wal", ".alive"].iter().any(|end| name.ends_with(end));
    entries.filter(|path| name(path).contains(suffix) && !is_beside(&name(path))).collect()
}

/// The accounts in a file that was kept aside, where it is the vault of before: its anchor vouches for it.
async fn kept_names(before: &Folder, kept: &Path) -> Option<Vec<String>> {
    let again = pinned(before.copy());
    let beside = |path: &Path, suffix: &str| {
        let mut path = path.to_owned().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    fs::copy(kept, &again.paths.file).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(&again.paths.file, suffix));
    }
    if beside(kept, "-wal").exists() {
        fs::copy(beside(kept, "-wal"), beside(&again.paths.file, "-wal")).unwrap();
    }
    let vault = again.open().await.ok()?;
    assert_eq!(verify(&vault).await, []);
    let names = names(&vault).await;
    vault.close().await.unwrap();
    Some(names)
}

const ACCOUNTS: usize = 3;
/// Of a long run of writes to one file the first, the last, and each of so many are tried.
const RUN_STEP: usize = 6;
