//! Key slots: looked at, added, used; keyrings of the system and age plugins for real.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use latchkey_worker::{keyring::Keyring, unlock::KEYRING_SERVICE};

use crate::home::Home;

#[test]
fn a_slot_of_each_kind_is_added_listed_and_opens_the_vault() {
    let home = Home::with_vault();
    let added = home.run(&["key", "add", "--recovery-out", "paper.txt", "--json"]).ok();
    assert_eq!(added.json()["slots"][0]["kind"], "recovery");
    home.feed("correct horse", &["key", "add", "--new-passphrase-stdin", "--scrypt-log-n", "15"]).ok();
    home.write("pass", "other horse");
    let args = ["key", "add", "--new-passphrase-fd", "3", "--scrypt-log-n", "15", "--label", "second"];
    home.run_with_fd3("pass", &args).ok();
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    home.run(&["key", "add", "--identity-recipient", recipient]).ok();

    let listed = home.run(&["key", "slots", "--json"]).ok().json();
    let slots = listed["slots"].as_array().unwrap();
    let seen: Vec<_> =
        slots.iter().map(|slot| (slot["kind"].as_str().unwrap(), slot["label"].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ("identity", "identity file"),
            ("recovery", "recovery"),
            ("passphrase", "passphrase"),
            ("passphrase", "second"),
            ("identity", "identity"),
        ]
    );
    assert_eq!(slots[2]["scrypt_log_n"], 15);
    assert_eq!(slots[4]["public_key"], recipient);
    home.run(&["account", "list", "--identity", "paper.txt"]).ok();
    home.feed("correct horse", &["account", "list", "--passphrase-stdin"]).ok();
    home.feed("other horse", &["account", "list", "--passphrase-stdin"]).ok();
    let audited = home.run(&["audit", "list"]).ok().stdout;
    assert_eq!(audited.matches("added slot").count(), 4, "{audited}");
}

#[test]
fn what_is_no_one_slot_is_refused_and_nothing_is_left_behind() {
    let home = Home::with_vault();
    let add = |args: &[&str]| home.run(&[&["key", "add", "--json"], args].concat());
    add(&[]).refused(2, "usage", "exactly one");
    add(&["--recovery-out", "a.txt", "--keyring"]).refused(2, "usage", "exactly one");
    home.run(&["key", "add", "--recovery-out", "a.txt"]).ok();
    add(&["--recovery-out", "b.txt"]).refused(2, "usage", "label already");
    add(&["--plugin-recipient", "age1none1qqqqqq"]).refused(1, "plugin", "age-plugin-none is in no folder");
    add(&["--identity-recipient", "age1x"]).refused(2, "usage", "identity-recipient");
    assert!(!home.path("b.txt").exists());
    let listed = home.run(&["key", "slots", "--json"]).ok().json();
    assert_eq!(listed["slots"].as_array().unwrap().len(), 2);
}

#[test]
fn the_kernels_keyring_opens_the_vault_without_asking() {
    let home = Home::new().env("LATCHKEY_KEYRING", "keyutils");
    let made = home.run_in_session(&["init", "--keyring", "--recovery-out", "paper.txt", "--json"]);
    assert_eq!(made.code, 0, "this test needs the kernel's keyring (add_key, keyctl): permit them. {made:?}");
    let public = made.json()["slots"][0]["public_key"].as_str().unwrap().to_owned();
    // Each run has another session; what they share is the user's persistent keyring.
    home.run_in_session(&["account", "list", "--unlock-by-keyring"]).ok();
    home.write(".config/latchkey/config.toml", "keyring = \"keyutils\"\n[unlock]\nkeyring = true\n");
    home.run_in_session(&["account", "list"]).ok();
    let seen = home.run(&["doctor", "--offline"]);
    assert!(seen.stdout.contains("the kernel's keyring"), "{seen:?}");

    let entry = format!("keyring:{public}@{KEYRING_SERVICE}");
    let forget = format!("keyctl get_persistent @s && keyctl invalidate $(keyctl search @s user {entry})");
    let forgotten = Command::new("/usr/bin/keyctl").args(["session", "-", "/bin/sh", "-c", &forget]).output().unwrap();
    assert!(forgotten.status.success(), "{forgotten:?}");
    home.run_in_session(&["account", "list", "--json"]).refused(4, "unlock_source", "no such entry");
    home.run(&["account", "list", "--identity", "paper.txt"]).ok();
}

#[test]
fn a_passphrase_with_the_keyrings_half_opens_the_vault_and_neither_does_alone() {
    let service = SecretService::start();
    let home = service.home();
    let init = ["init", "--combined", "--passphrase-stdin", "--scrypt-log-n", "15", "--json"];
    home.feed("correct horse", &init).refused(2, "usage", "recovery");
    home.feed("correct horse", &[&init[..], &["--recovery-out", "paper.txt"]].concat()).ok();
    home.feed("correct horse", &["account", "list", "--passphrase-stdin"]).ok();
    home.feed("wrong horse", &["account", "list", "--passphrase-stdin", "--json"]).refused(4, "cannot_unlock", "wrong");
    home.run(&["account", "list", "--unlock-by-keyring", "--json"]).refused(4, "unlock_source", "no key slot");

    // Nobody is left with a slot that is lost with its keyring.
    let remove = ["key", "remove", "recovery", "--yes", "--passphrase-stdin", "--json"];
    home.feed("correct horse", &remove).refused(2, "key_slot", "add a recovery slot first");
    let slots = home.feed("correct horse", &["key", "slots", "--passphrase-stdin", "--json"]).ok().json();
    assert_eq!(slots["slots"].as_array().unwrap().len(), 2, "{slots}");

    // The file and the passphrase, on a machine whose keyring is another one.
    let stolen = home.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let list = ["account", "list", "--passphrase-stdin", "--json"];
    stolen.feed("correct horse", &list).refused(4, "unlock_source", "Secret Service");
    stolen.run(&["account", "list", "--identity", "paper.txt"]).ok();
}

#[test]
fn the_secret_service_holds_the_key_of_a_slot_and_that_of_the_manager() {
    let service = SecretService::start();
    let home = service.home();
    home.run(&["init", "--keyring", "--recovery-out", "paper.txt"]).ok();
    home.run(&["account", "list", "--unlock-by-keyring"]).ok();
    // A key that no vault has taken is not left in the keyring, and the entry there is left as it is.
    home.run(&["key", "add", "--keyring", "--json", "--unlock-by-keyring"]).refused(2, "usage", "label already");
    home.run(&["account", "list", "--unlock-by-keyring"]).ok();

    let settings = "[manager]\nbase_url = \"http://127.0.0.1:1\"\nkey_keyring = { service = \"l\", user = \"m\" }\n";
    home.write(".config/latchkey/config.toml", settings);
    let doctor = |home: &Home| home.run(&["doctor"]).stdout;
    let without = doctor(&home);
    assert!(without.contains("the Secret Service has no such entry"), "{without}");
    service.store("l", "m", "manager-key");
    let with = doctor(&home);
    assert!(!with.contains("no such entry") && !with.contains("manager-key"), "{with}");
}

#[test]
fn an_age_plugin_unlocks_after_it_protected_the_slot_and_is_not_asked_for_others() {
    let home = Home::with_vault();
    home.write("bin/age-plugin-plain", PLAIN_PLUGIN);
    fs::set_permissions(home.path("bin/age-plugin-plain"), fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
    let home = home.env("PATH", &path).env("MANAGER_KEY", "canary");
    home.run(&["key", "add", "--plugin-recipient", "age1plain1qqqqqq"]).ok();
    let key = home.write("plugin.txt", "# a token\nAGE-PLUGIN-PLAIN-1QQQQQQ\n");
    let list = ["account", "list", "--identity", key.to_str().unwrap(), "--json"];
    home.run(&list).ok();
    let runs = fs::read_to_string(home.path("plugin.log")).unwrap();
    assert_eq!(
        runs.lines().collect::<Vec<_>>(),
        ["--age-plugin=recipient-v1 MANAGER_KEY=", "--age-plugin=identity-v1 MANAGER_KEY="]
    );

    // No other slot asks it, and without its program there is a clear word.
    home.run(&["account", "list"]).ok();
    assert_eq!(fs::read_to_string(home.path("plugin.log")).unwrap(), runs);
    fs::remove_file(home.path("bin/age-plugin-plain")).unwrap();
    home.run(&list).refused(4, "unlock_source", "age-plugin-plain is in no folder");
}

/// A plugin that speaks the protocol and hides nothing: its stanza is the key itself.
const PLAIN_PLUGIN: &str = r#"#!/bin/sh
echo "$1 MANAGER_KEY=$MANAGER_KEY" >> "$HOME/plugin.log"
answer() { printf -- "$1"; read -r _; read -r _; }
while read -r head; do
    case $head in
        "-> wrap-file-key"*) read -r key; answer_with="-> recipient-stanza 0 plain\n$key\n" ;;
        "-> recipient-stanza 0 plain"*) read -r key; answer_with="-> file-key 0\n$key\n" ;;
        "-> done"*) read -r _; break ;;
    esac
done
[ -z "$answer_with" ] || answer "$answer_with"
printf -- '-> done\n\n'
"#;

/// A session bus of the test's own, which starts a Secret Service when the first asks for one, and ends it with itself.
struct SecretService {
    bus: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl SecretService {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (service, config) = (dir.path().join("secrets.service"), dir.path().join("bus.conf"));
        let daemon = "printf password | exec gnome-keyring-daemon --foreground --unlock --components=secrets";
        let unit = format!("[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/bin/sh -c \"{daemon}\"\n");
        fs::write(service, unit).unwrap();
        let folder = dir.path().display();
        fs::write(
            &config,
            format!(
                "<busconfig><type>session</type><listen>unix:dir={folder}</listen><auth>EXTERNAL</auth>\
                 <servicedir>{folder}</servicedir><policy context=\"default\">\
                 <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
                 </policy></busconfig>"
            ),
        )
        .unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.arg(format!("--config-file={}", config.display())).args(["--nofork", "--nopidfile", "--print-address=1"]);
        bus.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir.path()).env("XDG_RUNTIME_DIR", dir.path());
        bus.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut bus = bus.spawn().expect("dbus-daemon and gnome-keyring are needed: ./scripts/test installs them");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { bus, address: address.trim().to_owned(), dir }
    }

    /// A home whose session this is.
    fn home(&self) -> Home {
        Home::new().env("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }

    /// Puts an entry there, with the libraries that read it, in a process that has this session.
    fn store(&self, service: &str, user: &str, text: &str) {
        let stored = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keys::an_entry_is_stored_where_a_session_is_given", "--nocapture"])
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("LATCHKEY_TEST_ENTRY", format!("{service} {user} {text}"))
            .output()
            .unwrap();
        assert!(stored.status.success() && self.dir.path().exists(), "{stored:?}");
    }
}

impl Drop for SecretService {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

/// Called again by [`SecretService::store`]; by itself it shows that a session that is not there is named.
#[test]
fn an_entry_is_stored_where_a_session_is_given() {
    match std::env::var("LATCHKEY_TEST_ENTRY") {
        Ok(entry) => {
            let parts: Vec<_> = entry.split(' ').collect();
            let text = latchkey_vault::Secret::copy_of(parts[2]);
            Keyring::SecretService.add(parts[0], parts[1], &text).unwrap();
            assert!(Keyring::SecretService.add(parts[0], parts[1], &text).is_err(), "an entry is never overwritten");
        }
        Err(_) => {
            let home = Home::new().env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
            home.run(&["init", "--keyring", "--json"]).refused(1, "keyring", "Secret Service");
            assert!(!home.vault_file().exists());
        }
    }
}
