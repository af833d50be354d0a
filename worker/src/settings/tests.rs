//! Tables for the settings file: what is read, and for each thing refused the line, the key and the advice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::Path, time::Duration};

use proptest::{collection, prelude::*, sample::Index};

use super::{Folders, Place, Settings, SettingsArgs, SettingsError, SitesFileError, file};
use crate::{
    api_key::KeySource,
    keyring::Keyring,
    unlock::{CredentialName, UnlockSource},
};

const WHOLE: &str = r#"vault = "v/team.db"
anchors = "/var/lib/anchors"
sites = "sites.toml"
sites_ca_file = "ca.pem"
keyring = "keyutils"
pin = "secret-service"

[unlock]
credential = "team"

[manager]
base_url = "https://manager.example/below"
key_keyring = { service = "latchkey", user = "team" }
timeout_s = 5

[worker]
name = "worker-7"
concurrency = 32
pull_limit = 1000
poll_s = 1
"#;

struct Home(tempfile::TempDir);

impl Home {
    fn new(text: Option<&str>) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir(home.0.path().join("config")).unwrap();
        if let Some(text) = text {
            fs::write(home.file(), text).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn file(&self) -> std::path::PathBuf {
        self.path("config/config.toml")
    }

    fn load(&self, args: &SettingsArgs) -> Result<Settings, SettingsError> {
        let folders = Folders { config: self.path("config"), data: self.path("data"), state: self.path("state") };
        Settings::load(args, &folders)
    }
}

#[test]
fn without_a_file_everything_has_a_default() {
    let home = Home::new(None);
    let settings = home.load(&SettingsArgs::default()).unwrap();
    assert_eq!(settings.file, None);
    assert_eq!(settings.vault.file, home.path("data/vault.db"));
    assert_eq!(settings.vault.anchors, home.path("state/anchors"));
    assert_eq!(settings.sites, home.path("config/sites.toml"));
    assert!(settings.unlock.is_none() && settings.manager.is_none());
    assert!(settings.pin.is_none() && settings.vault.pin.is_none());
    let worker = settings.worker;
    assert_eq!((worker.concurrency, worker.pull_limit, worker.poll), (8, 50, Duration::from_secs(10)));
}

#[test]
fn a_whole_file_is_read_and_its_paths_are_relative_to_it() {
    let home = Home::new(Some(WHOLE));
    let settings = home.load(&SettingsArgs::default()).unwrap();
    assert_eq!(settings.file, Some(home.file()));
    assert_eq!(settings.vault.file, home.path("config/v/team.db"));
    assert_eq!(settings.vault.anchors, Path::new("/var/lib/anchors"));
    assert_eq!(settings.sites_ca_file, Some(home.path("config/ca.pem")));
    assert_eq!((settings.keyring, settings.pin), (Some(Keyring::Keyutils), Some(Keyring::SecretService)));
    assert!(format!("{:?}", settings.vault.pin).contains("SecretService"));
    let name = CredentialName::try_from("team".to_owned()).unwrap();
    assert_eq!(settings.unlock, Some(UnlockSource::Credential(name)));
    let manager = settings.manager.unwrap();
    assert_eq!(manager.base_url.to_string(), "https://manager.example/below");
    assert_eq!(
        manager.key,
        KeySource::Keyring { keyring: Some(Keyring::Keyutils), service: "latchkey".into(), user: "team".into() }
    );
    assert_eq!(manager.timeout, Duration::from_secs(5));
    assert_eq!((settings.worker.name.as_str(), settings.worker.concurrency), ("worker-7", 32));
}

#[test]
fn flags_stand_above_the_file() {
    let home = Home::new(Some(WHOLE));
    let args = SettingsArgs {
        vault: Some("elsewhere.db".into()),
        identity: Some("id.txt".into()),
        manager_url: Some("http://127.0.0.1:9".into()),
        manager_key_file: Some("key".into()),
        ..SettingsArgs::default()
    };
    let settings = home.load(&args).unwrap();
    assert_eq!(settings.vault.file, Path::new("elsewhere.db"));
    assert_eq!(settings.unlock, Some(UnlockSource::IdentityFile("id.txt".into())));
    let manager = settings.manager.unwrap();
    assert_eq!(manager.base_url.to_string(), "http://127.0.0.1:9/");
    assert_eq!(manager.key, KeySource::File("key".into()));
    assert_eq!(manager.timeout, Duration::from_secs(5));
}

#[test]
fn a_bad_file_is_refused_with_line_key_and_advice() {
    for (text, line, key, problem) in [
        ("vault = ", 1, "", "string"),
        ("\nvalut = \"x\"", 2, "valut", "unknown field"),
        ("vault = 7", 1, "vault", "expected a string"),
        ("pin = \"gnome\"", 1, "pin", "unknown variant"),
        ("pin = true", 1, "pin", "wanted string"),
        ("vault = \"\"", 1, "vault", "a path is expected"),
        ("vault = \"~/v.db\"", 1, "vault", "shell"),
        ("[worker]\n\nconcurrency = 0", 3, "worker.concurrency", "from 1 to 256"),
        ("[worker]\nconcurrency = 257", 2, "worker.concurrency", "from 1 to 256"),
        ("[worker]\npull_limit = 1001", 2, "worker.pull_limit", "from 1 to 1000"),
        ("[worker]\nname = \"\"", 2, "worker.name", "1 to 64"),
        ("[unlock]\n", 1, "unlock", "exactly one"),
        ("[unlock]\ncredential = \"a\"\npassphrase_fd = 3", 1, "unlock", "exactly one"),
        ("[unlock]\ncredential = \"../a\"", 2, "unlock.credential", "credential's name"),
        ("[manager]\nkey_env = \"K\"", 1, "manager", "base_url"),
        ("[manager]\nbase_url = \"manager.example\"\nkey_env = \"K\"", 2, "manager.base_url", "not a URL"),
        ("[manager]\nbase_url = \"http://manager.example\"\nkey_env = \"K\"", 2, "manager.base_url", "allow_http"),
        (
            "[manager]\nbase_url = \"https://m.example/api/v1\"\nkey_env = \"K\"",
            2,
            "manager.base_url",
            "before /api/v1",
        ),
        ("[manager]\nbase_url = \"https://m.example\"", 2, "manager.base_url", "no key"),
        ("[manager]\nbase_url = \"https://m.example\"\nkey_env = \"K\"\nkey_file = \"k\"", 1, "manager", "only one"),
        ("[manager]\nbase_url = \"https://m.example\"\nkey = \"canary\"", 3, "manager.key", "unknown field"),
        ("[manager]\ntimeout_s = 601", 2, "manager.timeout_s", "from 1 to 600"),
    ] {
        let home = Home::new(Some(text));
        let error = home.load(&SettingsArgs::default()).unwrap_err().to_string();
        let place = format!("{}, line {line}", home.file().display());
        let place = if key.is_empty() { format!("{place}: ") } else { format!("{place}, {key}: ") };
        assert!(error.starts_with(&place), "{text:?}: {error}");
        assert!(error.contains(problem), "{text:?}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn a_bad_flag_is_named_and_a_named_file_has_to_be_there() {
    let home = Home::new(None);
    let url = SettingsArgs { manager_url: Some("ftp://x".into()), ..SettingsArgs::default() };
    assert!(home.load(&url).unwrap_err().to_string().starts_with("--manager-url"));
    let keyless = SettingsArgs { manager_url: Some("https://x.example".into()), ..SettingsArgs::default() };
    assert!(home.load(&keyless).unwrap_err().to_string().contains("no key"));
    let config = SettingsArgs { config: Some(home.path("nowhere.toml")), ..SettingsArgs::default() };
    assert!(matches!(home.load(&config), Err(SettingsError::Missing(_))));
}

#[test]
fn a_sites_file_that_is_absent_or_wrong_is_told_with_its_path() {
    let home = Home::new(None);
    let settings = home.load(&SettingsArgs::default()).unwrap();
    assert!(matches!(settings.read_sites(), Err(SitesFileError::Missing(_))));
    fs::write(&settings.sites, "[[site]]\ndomain = \"a.example\"\norigins = []\n").unwrap();
    let error = settings.read_sites().unwrap_err().to_string();
    assert!(error.contains("sites.toml") && error.contains("line 1"), "{error}");
    fs::write(&settings.sites, "").unwrap();
    assert!(settings.read_sites().unwrap().is_empty());
}

proptest! {
    #[test]
    fn a_file_is_taken_whole_or_refused_with_a_line_that_it_has(
        edits in collection::vec((any::<Index>(), "[\\]\\[={}\"'.,#a-z0-9 \n-]{0,3}"), 0..4),
        noise in "\\PC{0,40}",
    ) {
        let mut text = WHOLE.to_owned();
        for (at, piece) in edits {
            let at = at.index(text.len());
            text.replace_range(at..=at, &piece);
        }
        for text in [text, noise] {
            match file::parse(Path::new("config.toml"), &text) {
                Ok(read) => {
                    prop_assert!((1..=256).contains(&read.worker.concurrency));
                    prop_assert!((1..=1000).contains(&read.worker.pull_limit));
                    prop_assert!((1..=3600).contains(&read.worker.poll.as_secs()));
                }
                Err(SettingsError::Invalid { place: Place::File { line, .. }, .. }) => {
                    prop_assert!((1..=text.split('\n').count()).contains(&line), "{line} of {text:?}");
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }
}
