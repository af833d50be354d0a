//! A disk that runs full under a vault: an error, a whole vault, and work that goes on once there is room.

use std::{path::Path, sync::Arc};

use latchkey_vault::{
    AccountError, NewSlot, UnlockWith, Vault, VaultPaths,
    crypto::{SlotKind, SlotRecipient},
    store::StoreError,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    child::{Child, identity, open, opener, paths, say},
    common::{Folder, account, verify},
};

/// On a small file system of its own, in a namespace of its own, so that nothing is left mounted. Where the machine
/// allows no such thing, the limit on a file's size does instead.
#[test]
fn a_full_disk_is_an_error_and_the_vault_goes_on_when_there_is_room() {
    let folder = Folder::new();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let Some(unshare) = unshare() else { return limited(&folder) };
    let mount = r#"mount -t tmpfs -o size=1536k,mode=700 tmpfs "$0" && exec "$@""#;
    let wrapper = [&unshare[..], &["sh", "-c", mount, small.to_str().unwrap()]].concat();
    let mut child = Child::from(Child::command(&wrapper), &folder, "fill", &[small.to_str().unwrap()]);
    assert_eq!(child.rest().last().map(String::as_str), Some("whole"));
    assert!(child.wait().success());
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_the_vault_goes_on_when_it_may() {
    limited(&Folder::new());
}

fn limited(folder: &Folder) {
    // Without the trap the first write beyond the limit would kill the process.
    let mut child =
        Child::from(Child::command(&["sh", "-c", r#"trap '' XFSZ; exec "$0" "$@""#]), folder, "fill-to-limit", &[]);
    assert_eq!(child.rest().last().map(String::as_str), Some("whole"));
    assert!(child.wait().success());
}

/// The command that gives a process its own mounts, where the machine allows it.
fn unshare() -> Option<Vec<&'static str>> {
    [vec!["unshare", "--mount"], vec!["unshare", "--mount", "--map-root-user"]].into_iter().find(|words| {
        let try_it = "mount -t tmpfs tmpfs /mnt";
        let tried = std::process::Command::new(words[0]).args(&words[1..]).args(["sh", "-c", try_it]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// In the child: the vault lies on `small`, its anchor elsewhere.
pub(crate) async fn fill_a_disk(folder: &Path, small: &Path) {
    let ballast = small.join("ballast");
    std::fs::write(&ballast, vec![0; 512 * 1024]).unwrap();
    let at = VaultPaths { file: small.join("vault/vault.db"), anchors: folder.join("anchors"), pin: None };
    fill(folder, &at, || {
        std::fs::remove_file(&ballast).unwrap();
    })
    .await;
}

/// In the child: no file may grow beyond 600 kB, until it may.
pub(crate) async fn fill_to_a_limit(folder: &Path) {
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(600_000), ..limit }).unwrap();
    fill(folder, &paths(folder), || setrlimit(Resource::Fsize, limit).unwrap()).await;
}

/// Adds accounts until that fails, makes room, goes on, and checks that everything that was answered is there.
async fn fill(folder: &Path, at: &VaultPaths, make_room: impl FnOnce()) {
    let recipient = SlotRecipient::of_identity(&identity(folder)).unwrap();
    let slot = NewSlot::Identity { label: "test".into(), kind: SlotKind::Identity, recipient };
    let vault = Arc::new(Vault::init(at, opener(), vec![slot]).await.unwrap());
    let mut added = until_full(&vault).await;
    // A group was too much: now one by one, until not even the smallest fits.
    let last = loop {
        let name = format!("last-{}", added.len());
        match vault.add_account(account(&name)).await {
            Ok(_) => added.push(name),
            Err(error) => break error,
        }
    };
    refused(last);
    say(&format!("full after {}", added.len()));
    assert!(added.len() > 10);
    // Reading goes on.
    assert!(vault.find_login("site.test", &added[0]).await.unwrap().is_some());
    assert_eq!(verify(&vault).await, []);
    make_room();
    vault.add_account(account("after")).await.unwrap();
    let _ = vault.close().await;

    let vault = Vault::open(at, opener(), UnlockWith::Identity(identity(folder))).await.unwrap();
    assert_eq!(verify(&vault).await, []);
    for name in added.iter().map(String::as_str).chain(["after"]) {
        assert!(vault.find_login("site.test", name).await.unwrap().is_some(), "{name}");
    }
    vault.close().await.unwrap();
    let vault = open(folder, at).await;
    vault.close().await.unwrap();
    say("whole");
}

/// Adds accounts from several tasks, so that groups run full half-way, until each task was refused.
async fn until_full(vault: &Arc<Vault>) -> Vec<String> {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let vault = Arc::clone(vault);
        tasks.spawn(async move {
            let mut added = Vec::new();
            for n in 0.. {
                let mut new = account(&format!("user-{task}-{n}"));
                // Longer than a page, so that one of them fits and the next does not.
                new.notes = "n".repeat(1000 * (n % 15));
                match vault.add_account(new).await {
                    Ok(_) => added.push(format!("user-{task}-{n}")),
                    Err(error) => {
                        refused(error);
                        break;
                    }
                }
            }
            added
        });
    }
    tasks.join_all().await.concat()
}

/// A full disk is told as such, or as a commit whose end is not known, or as the failed write that a limit makes of it.
fn refused(error: AccountError) {
    let AccountError::Store(error) = error else { panic!("{error}") };
    let told = match &error {
        StoreError::Full | StoreError::Unknown => true,
        StoreError::Database { code, .. } => *code == IOERR_WRITE,
        _ => false,
    };
    assert!(told, "{error}");
}

/// SQLite's code for a write that the system refused.
const IOERR_WRITE: i32 = 778;
