//! The pin in real keyrings: made, checked, moved, adopted and removed by the binary.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    home::{Ended, Home, SITES},
    keys::SecretService,
};

#[test]
fn the_kernels_keyring_pins_a_vault() {
    let home = with_vault(Home::new());
    let first = pins_a_vault("keyutils", &home, |args| home.run_in_session(args));
    assert_eq!(first, 0, "this test needs the kernel's keyring (add_key, keyctl): permit them");
}

#[test]
fn the_secret_service_pins_a_vault() {
    let service = SecretService::start();
    let home = with_vault(service.home());
    assert_eq!(pins_a_vault("secret-service", &home, |args| home.run(args)), 0);

    // Whoever stops the keyring opens nothing.
    home.run(&["anchor", "pin", "--yes"]).ok();
    home.run(&["account", "list"]).ok();
    let cut_off = home.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    for args in [&["account", "list", "--json"][..], &["anchor", "pin", "--yes", "--json"]] {
        cut_off.run(args).refused(4, "pin_unreachable", "the Secret Service");
    }
    let adopt = ["anchor", "adopt", "--accept-rollback", "--yes", "--json"];
    cut_off.run(&adopt).refused(4, "pin_unreachable", "the Secret Service");
    assert_eq!(pin_check(&cut_off.run(&["doctor", "--offline", "--json"]))["status"], "fail");
}

#[test]
fn a_vault_is_pinned_from_its_beginning_where_the_settings_say_so() {
    let service = SecretService::start();
    let home = service.home().env("LATCHKEY_IDENTITY", "identity.txt");
    home.write(SETTINGS, "pin = \"secret-service\"\n");
    home.run(&["init", "--no-recovery"]).ok();
    home.run(&["account", "list"]).ok();
    let cut_off = Home::new().env("LATCHKEY_IDENTITY", "identity.txt");
    cut_off.write(SETTINGS, "pin = \"secret-service\"\n");
    let cut_off = cut_off.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    cut_off.run(&["init", "--no-recovery", "--json"]).refused(4, "pin_unreachable", "the Secret Service");
    assert!(!cut_off.vault_file().exists() && !cut_off.path("identity.txt").exists());
}

/// Pins the vault of `home` in this keyring, attacks it, and takes the pin away again; how the pinning ended.
fn pins_a_vault(keyring: &str, home: &Home, run: impl Fn(&[&str]) -> Ended) -> i32 {
    let list = ["account", "list", "--json"];
    run(&["anchor", "pin", "--yes", "--json"]).refused(2, "usage", "no keyring is set");
    home.write(SETTINGS, &format!("pin = \"{keyring}\"\n"));
    run(&["anchor", "pin", "--json"]).refused(2, "usage", "yes");
    run(&list).refused(5, "pin_missing", "missing");
    let made = run(&["anchor", "pin", "--yes", "--json"]);
    if made.code != 0 {
        return made.code;
    }
    assert_eq!(made.json()["pin"], keyring);
    run(&["account", "add", "blog.example", "--username", "ann"]).ok();
    let commit = made.json()["commit"].as_u64().unwrap();
    let seen = pin_check(&run(&["doctor", "--offline", "--json"]));
    assert_eq!(seen["status"], "ok", "{seen}");
    assert!(seen["detail"].as_str().unwrap().starts_with(&format!("commit {}", commit + 1)), "{seen}");

    // An older image of the disk: vault and anchor agree, and only the pin knows better.
    let image: Vec<_> = [home.vault_file().parent().unwrap(), &home.anchors()].into_iter().flat_map(files).collect();
    run(&["account", "add", "blog.example", "--username", "bob"]).ok();
    for (path, bytes) in image {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    home.write("unpinned.toml", "");
    run(&["account", "list", "--config", "unpinned.toml"]).ok();
    run(&list).refused(5, "rollback", "the pin has seen commit");
    let seen = pin_check(&run(&["doctor", "--offline", "--json"]));
    assert_eq!(seen["status"], "fail", "{seen}");
    run(&["anchor", "pin", "--yes", "--json"]).refused(5, "rollback", "the pin has seen commit");
    run(&["anchor", "adopt", "--yes", "--json"]).refused(5, "rollback", "the pin has seen commit");
    let adopted = run(&["anchor", "adopt", "--accept-rollback", "--yes", "--json"]).ok();
    assert_eq!(adopted.json()["pin"], keyring);
    assert_eq!(run(&list).ok().json()["accounts"].as_array().unwrap().len(), 1);

    for was_there in [true, false] {
        let removed = run(&["anchor", "unpin", "--yes", "--json"]).ok();
        assert_eq!(removed.json()["was_there"], was_there);
        run(&list).refused(5, "pin_missing", "missing");
    }
    0
}

const SETTINGS: &str = ".config/latchkey/config.toml";

/// The home with a vault that an identity unlocks, and one site.
fn with_vault(home: Home) -> Home {
    let home = home.env("LATCHKEY_IDENTITY", "identity.txt");
    home.run(&["init", "--no-recovery"]).ok();
    home.write(".config/latchkey/sites.toml", SITES);
    home
}

fn pin_check(diagnosis: &Ended) -> serde_json::Value {
    let checks = diagnosis.json()["checks"].as_array().unwrap().clone();
    checks.into_iter().find(|check| check["name"] == "pin").unwrap_or_else(|| panic!("{diagnosis:?}"))
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
