//! What is done to the files while nobody looks, and how a person goes on from there.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::home::Home;

#[test]
fn an_older_file_in_the_vaults_place_is_found_and_accepted_only_on_a_persons_word() {
    let home = Home::with_vault();
    home.add("ann");
    let folder = home.vault_file().parent().unwrap().to_owned();
    let yesterday = files(&folder);
    home.add("bob");
    for (path, _) in files(&folder) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in yesterday {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    home.run(&["account", "list", "--json"]).refused(5, "rollback", "rollback");
    home.run(&["anchor", "adopt", "--json"]).refused(2, "usage", "yes");
    home.run(&["anchor", "adopt", "--yes", "--json"]).refused(5, "rollback", "rollback");
    home.run(&["anchor", "adopt", "--yes", "--accept-rollback"]).ok();
    assert_eq!(home.run(&["account", "list", "--json"]).ok().json()["accounts"].as_array().unwrap().len(), 1);
    home.add("cleo");
}

#[test]
fn a_lost_anchor_is_told_and_can_be_adopted() {
    let home = Home::with_vault();
    fs::remove_dir_all(home.anchors()).unwrap();
    home.run(&["account", "list", "--json"]).refused(5, "anchor_missing", "missing");
    home.run(&["anchor", "adopt", "--yes"]).ok();
    home.run(&["account", "list"]).ok();
}

#[test]
fn a_row_that_was_deleted_from_outside_is_a_finding() {
    let home = Home::with_vault();
    home.add("ann");
    home.add("bob");
    let file = rusqlite::Connection::open(home.vault_file()).unwrap();
    assert_eq!(file.execute("DELETE FROM account WHERE id = (SELECT min(id) FROM account)", []).unwrap(), 1);
    drop(file);
    let ended = home.run(&["verify", "--json"]);
    assert_eq!(ended.code, 5, "{ended:?}");
    ended.hides_secrets();
    let adopted = home.run(&["anchor", "adopt", "--yes", "--json"]);
    assert_eq!(adopted.code, 5, "{adopted:?}");
}

#[test]
fn doctor_finds_what_is_open_to_others_and_says_how_to_mend_it() {
    let home = Home::with_vault();
    let well = home.run(&["doctor", "--json"]).ok().json();
    let status = |diagnosis: &serde_json::Value, name: &str| {
        let checks = diagnosis["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {diagnosis}"))
    };
    for name in
        ["settings", "core dumps", "memory access", "umask", "permissions", "vault", "anchor", "unlocking", "sites"]
    {
        assert_eq!(status(&well, name)["status"], "ok", "{name}: {well}");
    }
    for name in ["memory lock", "ptrace", "swap"] {
        assert_ne!(status(&well, name)["status"], "fail", "{name}: {well}");
    }
    for name in ["slots", "manager"] {
        assert_eq!(status(&well, name)["status"], "warn", "{name}: {well}");
    }

    fs::set_permissions(home.vault_file(), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(home.path("identity.txt"), fs::Permissions::from_mode(0o604)).unwrap();
    home.write(".config/latchkey/sites.toml", "nonsense");
    let ended = home.run(&["doctor", "--json"]);
    ended.refused(1, "unwell", "check(s) failed");
    let unwell = ended.json();
    for name in ["permissions", "vault", "unlocking", "sites"] {
        let check = status(&unwell, name);
        assert_eq!(check["status"], "fail", "{name}: {unwell}");
        assert!(!check["mend"].as_str().unwrap().is_empty(), "{name}: {unwell}");
    }
    home.write(".config/latchkey/config.toml", "=");
    let ended = home.run(&["doctor"]);
    assert!(ended.code == 1 && ended.stdout.contains("settings") && ended.stdout.contains("line 1"), "{ended:?}");
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
