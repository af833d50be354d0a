//! Making a vault: every way to unlock it, and what is refused without leaving anything behind.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::home::{Home, mode};

#[test]
fn a_passphrase_makes_a_vault_and_opens_it_from_stdin_and_from_a_descriptor() {
    let home = Home::new();
    let made = home.feed("correct horse\n", &["init", "--passphrase-stdin", "--scrypt-log-n", "15", "--json"]).ok();
    assert_eq!(made.json()["slots"][0]["kind"], "passphrase");
    assert_eq!(mode(&home.vault_file()), 0o600);
    assert_eq!(mode(home.vault_file().parent().unwrap()), 0o700);
    assert_eq!(mode(&home.anchors()), 0o700);

    home.feed("correct horse", &["account", "list", "--passphrase-stdin"]).ok();
    home.write("pass", "correct horse\n");
    home.run_with_fd3("pass", &["account", "list", "--passphrase-fd", "3"]).ok();
    home.feed("wrong horse", &["account", "list", "--passphrase-stdin", "--json"]).refused(4, "cannot_unlock", "wrong");
}

#[test]
fn a_weak_passphrase_is_warned_of_and_an_empty_one_refused() {
    let home = Home::new();
    home.feed("\n", &["init", "--passphrase-stdin", "--json"]).refused(2, "secret_input", "empty");
    assert!(!home.vault_file().exists());
    let made = home.feed("short", &["init", "--passphrase-stdin", "--scrypt-log-n", "15"]).ok();
    assert!(made.stderr.contains("weak"), "{made:?}");
    assert!(!made.stdout.contains("short") && !made.stderr.contains("short"), "{made:?}");
}

#[test]
fn an_identity_file_is_made_and_opens_the_vault() {
    let home = Home::new();
    let made = home.run(&["init", "--identity", "id.txt", "--json"]).ok();
    let public = made.json()["slots"][0]["public_key"].as_str().unwrap().to_owned();
    let identity = fs::read_to_string(home.path("id.txt")).unwrap();
    assert!(identity.contains(&public) && identity.contains("AGE-SECRET-KEY-1"));
    assert!(!made.stdout.contains("AGE-SECRET-KEY-1"));
    assert_eq!(mode(&home.path("id.txt")), 0o600);
    home.run(&["account", "list", "--identity", "id.txt"]).ok();

    // Open to others, it is not used.
    fs::set_permissions(home.path("id.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    home.run(&["account", "list", "--identity", "id.txt", "--json"]).refused(4, "unlock_source", "not private");
}

#[test]
fn a_systemd_credential_opens_the_vault_without_any_flag() {
    let home = Home::new().env("CREDENTIALS_DIRECTORY", "creds");
    let args = ["init", "--credential", "latchkey", "--credential-out", "latchkey.cred"];
    let made = home.run(&args).ok();
    assert!(
        made.stdout.contains("systemd-creds encrypt") && made.stdout.contains("LoadCredentialEncrypted="),
        "{made:?}"
    );
    home.run(&["account", "list", "--json"]).refused(4, "nothing_to_unlock_with", "locked");
    home.write("creds/latchkey", &fs::read_to_string(home.path("latchkey.cred")).unwrap());
    home.run(&["account", "list"]).ok();
}

#[test]
fn a_recovery_key_opens_the_vault_and_is_never_shown_to_a_pipe() {
    let home = Home::new();
    home.run(&["init", "--identity", "id.txt", "--recovery", "--json"]).refused(2, "usage", "terminal");
    assert!(!home.vault_file().exists() && !home.path("id.txt").exists(), "nothing is left behind");
    home.run(&["init", "--identity", "id.txt", "--recovery-out", "recovery.txt"]).ok();
    assert_eq!(mode(&home.path("recovery.txt")), 0o600);
    home.run(&["account", "list", "--identity", "recovery.txt"]).ok();
}

#[test]
fn a_second_init_is_refused_and_changes_nothing() {
    let home = Home::new();
    home.run(&["init", "--identity", "id.txt"]).ok();
    let before = (fs::read(home.vault_file()).unwrap(), fs::read(home.path("id.txt")).unwrap());
    home.run(&["init", "--identity", "other.txt", "--json"]).refused(3, "vault_exists", "vault.db");
    assert!(!home.path("other.txt").exists());
    assert_eq!((fs::read(home.vault_file()).unwrap(), fs::read(home.path("id.txt")).unwrap()), before);
}

#[test]
fn an_init_that_cannot_be_finished_leaves_no_key_behind() {
    let home = Home::new();
    home.write("id.txt", "something of mine");
    home.run(&["init", "--identity", "id.txt", "--json"]).refused(2, "usage", "exists already");
    assert_eq!(fs::read_to_string(home.path("id.txt")).unwrap(), "something of mine");

    fs::create_dir(home.path("open")).unwrap();
    fs::set_permissions(home.path("open"), fs::Permissions::from_mode(0o755)).unwrap();
    let args = ["init", "--identity", "new.txt", "--vault", "open/vault.db", "--json"];
    home.run(&args).refused(3, "vault_unsafe", "others may read");
    assert!(!home.path("new.txt").exists() && !home.path("open/vault.db").exists());

    let args = ["init", "--identity", "new.txt", "--vault", "v/vault.db", "--anchors", "v", "--json"];
    home.run(&args).refused(2, "usage", "anchors");
    home.run(&["init", "--json"]).refused(2, "usage", "no terminal");
}
