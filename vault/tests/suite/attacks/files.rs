//! Files that others can read, write or point elsewhere: refused, with what is wrong and what to do.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use latchkey_vault::{AnchorFileError, UnlockError, store::StoreError};

use super::Sample;
use crate::common::{Folder, assert_clean};

#[tokio::test(flavor = "multi_thread")]
async fn attack_35_a_file_or_folder_that_others_have_a_hand_in_is_refused_and_says_why() {
    let sample = Sample::new().await;
    let mode = |path: fn(&Folder) -> PathBuf, mode| {
        move |folder: &Folder| fs::set_permissions(path(folder), fs::Permissions::from_mode(mode)).unwrap()
    };
    let link = |path: fn(&Folder) -> PathBuf| {
        move |folder: &Folder| {
            let (path, real) = (path(folder), folder.path().join("real"));
            fs::rename(&path, &real).unwrap();
            symlink(&real, &path).unwrap();
        }
    };
    let fifo = |path: fn(&Folder) -> PathBuf| {
        move |folder: &Folder| {
            let path = path(folder);
            fs::remove_file(&path).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }
    };
    let others = "others may read or write it";
    let attacks: Vec<(&str, Attack, &str)> = vec![
        ("a vault that others read", Box::new(mode(vault, 0o644)), others),
        ("a vault that a group writes", Box::new(mode(vault, 0o620)), others),
        ("a folder that others list", Box::new(mode(folder, 0o755)), others),
        ("a folder that all write", Box::new(mode(folder, 0o777)), others),
        ("a lock file that all write", Box::new(mode(hold, 0o666)), others),
        ("an anchor that others read", Box::new(mode(anchor, 0o604)), others),
        ("a folder of anchors that all write", Box::new(mode(anchors, 0o777)), others),
        ("a link to the vault", Box::new(link(vault)), "symbolic link"),
        ("a link to the folder", Box::new(link(folder)), "symbolic link"),
        ("a link to a lock file", Box::new(link(queue)), "symbolic link"),
        ("a link to the folder of anchors", Box::new(link(anchors)), "symbolic link"),
        ("a link to the anchor", Box::new(link(anchor)), "missing"),
        ("a pipe in place of the vault", Box::new(fifo(vault)), "not a plain file"),
        ("a pipe in place of a lock file", Box::new(fifo(hold)), "not a plain file"),
        ("a pipe in place of the anchor", Box::new(fifo(anchor)), "not a plain file"),
    ];
    for (name, attack, why) in attacks {
        refused(&sample, name, &attack, why).await;
    }
    // Only root can give a file away.
    if rustix::process::geteuid().is_root() {
        for path in [vault, folder, hold, anchor, anchors] {
            let attack = |folder: &Folder| chown(path(folder), Some(12_345), None).unwrap();
            refused(&sample, "another owner", &attack, "it belongs to another user").await;
        }
    }
    assert_clean(&sample.folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_35_no_vault_is_made_where_others_have_a_hand_in() {
    let folder = Folder::new();
    fs::create_dir(folder.paths.file.parent().unwrap()).unwrap();
    fs::set_permissions(folder.paths.file.parent().unwrap(), fs::Permissions::from_mode(0o770)).unwrap();
    let made = latchkey_vault::Vault::init(&folder.paths, folder.opener(), vec![folder.slot()]).await;
    assert!(made.err().unwrap().to_string().contains("others may read or write it"));
    assert!(fs::read_dir(folder.paths.file.parent().unwrap()).unwrap().next().is_none());
}

type Attack = Box<dyn Fn(&Folder)>;

async fn refused(sample: &Sample, name: &str, attack: &dyn Fn(&Folder), why: &str) {
    let attacked = sample.folder.copy();
    attack(&attacked);
    let error = attacked.open().await.err().unwrap_or_else(|| panic!("{name}"));
    let kind = matches!(
        &error,
        UnlockError::Store(StoreError::File(_))
            | UnlockError::Anchor(AnchorFileError::Unsafe(_) | AnchorFileError::Missing { .. })
    );
    assert!(kind && error.to_string().contains(why), "{name}: {error}");
}

fn vault(folder: &Folder) -> PathBuf {
    folder.paths.file.clone()
}

fn folder(folder: &Folder) -> PathBuf {
    folder.paths.file.parent().map(Path::to_owned).unwrap()
}

fn queue(folder: &Folder) -> PathBuf {
    folder.path().join("vault/vault.db.queue")
}

fn hold(folder: &Folder) -> PathBuf {
    folder.path().join("vault/vault.db.hold")
}

fn anchor(folder: &Folder) -> PathBuf {
    folder.anchor()
}

fn anchors(folder: &Folder) -> PathBuf {
    folder.paths.anchors.clone()
}
