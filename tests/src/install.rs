//! `latchkey` set up in a folder of its own, as an operator would do it: settings, sites file, key file, `latchkey init`.
//!
//! From then on it is used as processes only. What a test makes of the ledgers is deliberately not known here.

#![allow(clippy::unwrap_used, reason = "a fixture of tests: what fails here fails the test")]

use std::{
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use latchkey_manager::Manager;
use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{Finished, Launch};

/// A folder with a vault in it and everything that `latchkey` needs; removed when dropped.
#[derive(Debug)]
pub struct Install {
    folder: TempDir,
}

impl Install {
    /// A new vault, unlocked by an identity file, for this manager and this sites file.
    pub async fn new(manager: &Manager, sites: &str) -> Install {
        let install = Install { folder: tempfile::tempdir().unwrap() };
        install.write("sites.toml", sites);
        install.write("manager.key", manager.api_key());
        let settings = SETTINGS.replace("MANAGER", manager.base_url());
        install.write("config.toml", &settings);
        install.run(["init", "--no-recovery", "--identity", "identity.txt"]).await;
        install
    }

    /// Its folder, which is the home and the current folder of what it runs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `latchkey --json` with further arguments, to be run in this folder.
    pub fn latchkey<A: Into<OsString>>(&self, arguments: impl IntoIterator<Item = A>) -> Launch {
        Launch::latchkey(self.folder()).unwrap().args(["--config", "config.toml", "--json"]).args(arguments)
    }

    /// Runs a command that has to end with 0, and answers its JSON.
    pub async fn run<A: Into<OsString>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        result(&self.latchkey(arguments).run(RUN_LIMIT).await.unwrap())
    }

    /// The worker, which ends once nothing is left to do.
    pub fn worker(&self) -> Launch {
        self.latchkey(["worker", "run", "--until-idle"])
    }

    fn write(&self, name: &str, text: &str) {
        let path: PathBuf = self.folder().join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }
}

/// The JSON that a command printed; it has to have ended with 0.
pub fn result(finished: &Finished) -> Value {
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

/// How long a command may take, a run of the worker included, on a busy machine.
pub const RUN_LIMIT: Duration = Duration::from_secs(240);

/// Paths are relative to the settings file.
const SETTINGS: &str = r#"
vault = "vault/vault.db"
anchors = "anchors"
sites = "sites.toml"

[unlock]
identity_file = "identity.txt"

[manager]
base_url = "MANAGER"
key_file = "manager.key"

[worker]
poll_s = 1
"#;
