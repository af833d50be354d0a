//! Key slots: looked at, added, used, removed; keyrings of the system for real.

use std::{
    fs,
    io::{BufRead, BufReader},
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

    // A key of which the vault has a slot no more is no use in the keyring.
    home.run_in_session(&["key", "add", "--keyring", "--label", "second", "--identity", "paper.txt"]).ok();
    home.run_in_session(&["account", "list"]).ok();
    let second = home.run(&["key", "slots", "--json", "--identity", "paper.txt"]).ok().json()["slots"][2].clone();
    let second = second["public_key"].as_str().unwrap().to_owned();
    assert!(in_kernel(&second, "true") && in_kernel(&public, "true"));
    let removed = home.run_in_session(&["key", "remove", "second", "--yes", "--json"]).ok();
    assert_eq!(removed.json()["keyring_entry_removed"], true);
    assert!(!in_kernel(&second, "true") && in_kernel(&public, "true"));

    assert!(in_kernel(&public, "keyctl invalidate $key"));
    home.run_in_session(&["account", "list", "--json"]).refused(4, "unlock_source", "no such entry");
    home.run(&["account", "list", "--identity", "paper.txt"]).ok();
}

/// Whether the kernel's keyring has the key of the slot with this public key, and the command with it as `$key` succeeds.
fn in_kernel(public: &str, command: &str) -> bool {
    let search = format!("keyctl search @s user keyring:{public}@{KEYRING_SERVICE}");
    let script = format!("keyctl get_persistent @s >/dev/null && key=$({search}) && {command}");
    Command::new("/usr/bin/keyctl").args(["session", "-", "/bin/sh", "-c", &script]).output().unwrap().status.success()
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

    // The half goes with its slot; where it cannot be reached, the slot goes all the same.
    let add = ["key", "add", "--combined", "--new-passphrase-stdin", "--scrypt-log-n", "15", "--identity", "paper.txt"];
    for (label, reached) in [("second", true), ("third", false)] {
        home.feed("correct horse", &[&add[..], &["--label", label]].concat()).ok();
        let half = home.run(&["key", "slots", "--json", "--identity", "paper.txt"]).ok().json()["slots"][2].clone();
        let half = half["public_key"].as_str().unwrap().to_owned();
        assert!(service.has(KEYRING_SERVICE, &half));
        let remove = ["key", "remove", label, "--yes", "--identity", "paper.txt"];
        let removed = if reached {
            home.run(&remove).ok()
        } else {
            home.run(&[&remove[..], &["--keyring-store", "keyutils"]].concat()).ok()
        };
        assert_eq!(service.has(KEYRING_SERVICE, &half), !reached, "{removed:?}");
        assert_eq!(removed.stderr.contains(&half), !reached, "the entry that stays is named: {removed:?}");
        home.feed("correct horse", &["account", "list", "--passphrase-stdin"]).ok();
    }

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

/// A session bus of the test's own, which starts a Secret Service when the first asks for one, and ends it with itself.
pub(crate) struct SecretService {
    bus: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl SecretService {
    pub(crate) fn start() -> Self {
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
    pub(crate) fn home(&self) -> Home {
        Home::new().env("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }

    /// Puts an entry there, with the libraries that read it.
    fn store(&self, service: &str, user: &str, text: &str) {
        assert!(self.with_entry(&format!("{service} {user} {text}")), "it was not stored");
    }

    /// Whether there is such an entry.
    fn has(&self, service: &str, user: &str) -> bool {
        self.with_entry(&format!("{service} {user}"))
    }

    /// Works on an entry in a process that has this session.
    fn with_entry(&self, entry: &str) -> bool {
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keys::an_entry_is_stored_where_a_session_is_given", "--nocapture"])
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("LATCHKEY_TEST_ENTRY", entry)
            .output()
            .unwrap();
        assert!(self.dir.path().exists());
        ended.status.success()
    }
}

impl Drop for SecretService {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

/// Called again by [`SecretService::with_entry`]; by itself it shows that a session that is not there is named.
#[test]
fn an_entry_is_stored_where_a_session_is_given() {
    match std::env::var("LATCHKEY_TEST_ENTRY") {
        Ok(entry) => {
            let parts: Vec<_> = entry.split(' ').collect();
            let Some(text) = parts.get(2) else {
                Keyring::SecretService.read(parts[0], parts[1]).unwrap();
                return;
            };
            let text = latchkey_vault::Secret::copy_of(text);
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
