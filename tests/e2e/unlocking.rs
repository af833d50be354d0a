//! Workers that unlock without anybody: by a keyring of the system, by an age plugin. As processes, from the key to the post.

use std::{
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use latchkey_manager::{Manager, ManagerConfig, NewAccount as ManagerAccount, NewTask};
use latchkey_practice_site::{NewAccount, Site, SiteConfig, SiteHandle};
use latchkey_tests::{
    install::{Install, RUN_LIMIT, result},
    processes::{Finished, Launch, program},
    world::{DOMAIN, body, sites_file, title},
};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_unlocked_and_its_vault_pinned_by_the_kernels_keyring() {
    let stage = Stage::new().await;
    let added = stage.keyring(&["key", "add", "--keyring", "--json"]).await;
    assert_eq!(
        added.status.code(),
        Some(0),
        "this test needs the kernel's keyring (add_key, keyctl): permit them. {}",
        added.stderr
    );
    stage.set("pin = \"keyutils\"\n");
    result(&stage.keyring(&["anchor", "pin", "--yes", "--json"]).await);
    let recovery = fs::read(stage.path("identity.txt")).unwrap();
    fs::remove_file(stage.path("identity.txt")).unwrap();

    stage.add_task("first");
    let ended = stage.worker_by_keyring().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    stage.posted(&["first"]);
    // It closed the vault, and moved its pin.
    let check = check_of(&stage.keyring(&["doctor", "--offline", "--json"]).await, "pin");
    let commits = rusqlite::Connection::open(stage.path("vault/vault.db")).unwrap();
    let newest: i64 = commits.query_row("SELECT counter FROM header", [], |row| row.get(0)).unwrap();
    assert_eq!(check["detail"], format!("commit {newest}, in the kernel's keyring"), "{check}");
    commits.close().unwrap();

    // Without the pin it does not begin, nor without its key.
    stage.add_task("second");
    result(&stage.keyring(&["anchor", "unpin", "--yes", "--json"]).await);
    let refused = stage.worker_by_keyring().await;
    assert!(
        !refused.status.success() && refused.stderr.contains("the pin of this vault is missing"),
        "{}",
        refused.stderr
    );
    stage.set("");
    private(&stage.path("identity.txt"), &recovery);
    let removed = result(&stage.keyring(&["key", "remove", "keyring", "--yes", "--json"]).await);
    assert_eq!(removed["keyring_entry_removed"], true);
    let refused = stage.worker_by_keyring().await;
    assert!(!refused.status.success() && refused.stderr.contains("no key slot for a keyring"), "{}", refused.stderr);
    stage.posted(&["first"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_unlocked_by_an_age_plugin_that_wraps_by_its_own_key() {
    let stage = Stage::new().await;
    let plugin = program("age-plugin-practice").unwrap();
    let made = Launch::of(plugin.clone(), stage.folder()).run(RUN_LIMIT).await.unwrap();
    let line = |start: &str| {
        let mut lines = made.stdout.lines().filter_map(|line| line.strip_prefix(start));
        lines.next().unwrap_or_else(|| panic!("{start}: {made:?}")).to_owned()
    };
    let recipient = line("# recipient: ");
    private(&stage.path("plugin.txt"), made.stdout.as_bytes());
    let with_plugin = |launch: Launch| launch.env("PATH", path_with(&plugin)).env("MANAGER_KEY", "canary");
    let add = stage.install.latchkey(["key", "add", "--plugin-recipient", &recipient]);
    result(&with_plugin(add).run(RUN_LIMIT).await.unwrap());
    fs::remove_file(stage.path("identity.txt")).unwrap();

    stage.add_task("first");
    let by_plugin = || with_plugin(stage.worker(["--identity", "plugin.txt"]));
    let ended = by_plugin().run(RUN_LIMIT).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    stage.posted(&["first"]);
    // Asked once to wrap and once to unwrap, with what a plugin needs of the environment and no more.
    let calls = fs::read_to_string(stage.path("age-plugin-practice.log")).unwrap();
    assert_eq!(calls.lines().collect::<Vec<_>>(), ["recipient-v1 HOME PATH", "identity-v1 HOME PATH"]);

    // Another key of the same plugin opens nothing, and without its program there is a clear word.
    stage.add_task("second");
    let own = fs::read(stage.path("age-plugin-practice.key")).unwrap();
    fs::remove_file(stage.path("age-plugin-practice.key")).unwrap();
    let other = Launch::of(plugin.clone(), stage.folder()).run(RUN_LIMIT).await.unwrap();
    private(&stage.path("other.txt"), other.stdout.as_bytes());
    for identity in ["plugin.txt", "other.txt"] {
        let refused = with_plugin(stage.worker(["--identity", identity])).run(RUN_LIMIT).await.unwrap();
        assert!(!refused.status.success() && refused.stderr.contains("cannot be unlocked"), "{}", refused.stderr);
    }
    let by_hand = stage.install.latchkey(["account", "list", "--identity", "plugin.txt"]);
    for (launch, code) in [(stage.worker(["--identity", "plugin.txt"]), 1), (by_hand, 4)] {
        let missing = launch.run(RUN_LIMIT).await.unwrap();
        assert_eq!(missing.status.code(), Some(code), "{}", missing.stderr);
        assert!(missing.stderr.contains("age-plugin-practice is in no folder"), "{}", missing.stderr);
    }
    stage.posted(&["first"]);

    fs::remove_file(stage.path("age-plugin-practice.key")).unwrap();
    private(&stage.path("age-plugin-practice.key"), &own);
    let ended = by_plugin().run(RUN_LIMIT).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    stage.posted(&["first", "second"]);
    stage.end().await;
}

/// A manager, a site with one account, and an installation whose vault an identity file unlocks.
struct Stage {
    manager: Manager,
    site: SiteHandle,
    install: Install,
    settings: String,
}

impl Stage {
    async fn new() -> Self {
        let site = Site::start(SiteConfig::default()).await.unwrap();
        let manager = Manager::start(ManagerConfig::default()).await.unwrap();
        let install = Install::new(&manager, &sites_file(&site.origin())).await;
        site.add_account(NewAccount::new("ann", "pass")).unwrap();
        let account = ManagerAccount::new("acc-ann").with("site_name", DOMAIN).with("username", "ann");
        manager.add_account(account.with("password", "pass")).unwrap();
        let settings = fs::read_to_string(install.folder().join("config.toml")).unwrap();
        Self { manager, site, install, settings }
    }

    fn folder(&self) -> &Path {
        self.install.folder()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Puts lines in front of the settings.
    fn set(&self, lines: &str) {
        fs::write(self.path("config.toml"), format!("{lines}{}", self.settings)).unwrap();
    }

    fn add_task(&self, id: &str) {
        let task = NewTask::new(id, "acc-ann").with("domain", DOMAIN);
        self.manager.add_task(task.with("title", title(id)).with("about", body(id))).unwrap();
    }

    /// The worker's own program, until nothing is left to do.
    fn worker<const N: usize>(&self, arguments: [&str; N]) -> Launch {
        let worker = Launch::of(program("latchkey-worker").unwrap(), self.folder());
        worker.args(["--config", "config.toml", "--until-idle"]).args(arguments)
    }

    async fn worker_by_keyring(&self) -> Finished {
        let worker = program("latchkey-worker").unwrap();
        self.in_session(&worker, &["--until-idle", "--unlock-by-keyring"]).await
    }

    async fn keyring(&self, arguments: &[&str]) -> Finished {
        self.in_session(&program("latchkey").unwrap(), arguments).await
    }

    /// Runs a program in a session keyring of its own, as a systemd unit has one.
    async fn in_session(&self, program: &Path, arguments: &[&str]) -> Finished {
        let keyctl = Launch::of("/usr/bin/keyctl".into(), self.folder()).env("LATCHKEY_KEYRING", "keyutils");
        let keyctl = keyctl.args(["session".into(), "-".into(), OsString::from(program)]);
        keyctl.args(["--config", "config.toml"]).args(arguments.iter().copied()).run(RUN_LIMIT).await.unwrap()
    }

    /// Asserts that the posts of these tasks are at the site, each once, and reported.
    #[track_caller]
    fn posted(&self, tasks: &[&str]) {
        let titles: Vec<_> = self.site.posts("ann").iter().map(|post| post.title.clone()).collect();
        assert_eq!(titles, tasks.iter().map(|task| title(task)).collect::<Vec<_>>());
        assert!(tasks.iter().all(|task| self.manager.ledger().completes_of(task) == 1));
    }

    async fn end(self) {
        self.manager.shutdown().await;
        self.site.shutdown().await.unwrap();
    }
}

/// Where programs are, the plugin's among them.
fn path_with(plugin: &Path) -> OsString {
    let folders = [plugin.parent().unwrap().to_owned(), "/usr/bin".into(), "/bin".into()];
    std::env::join_paths(folders).unwrap()
}

/// One check of `doctor`, however it ended.
fn check_of(doctor: &Finished, name: &str) -> Value {
    let diagnosis: Value = serde_json::from_str(&doctor.stdout).unwrap();
    diagnosis["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
}

/// Writes a private file that is not there yet.
fn private(path: &Path, bytes: &[u8]) {
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}
