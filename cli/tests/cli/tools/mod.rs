//! A closed vault that was made by the program itself, changed by plain tools, and what the program says of it then.
//!
//! Knows what a verdict has to have: a class that is named, what it means, what to do, an exit code that is not 0, and
//! nothing changed.

mod bytes;
mod copies;
mod rows;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use latchkey_practice_site::{NewAccount, Site, SiteConfig};
use latchkey_vault::{AccountId, Edit, Opener, Secret, SystemClock, UnlockWith, Vault, VaultPaths, model::Actor};

use crate::home::{CANARY, Ended, Home};

/// The files of vault and anchors with their bytes.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A vault with rows of every kind: three accounts, two of them with pages of their own for long notes, a login with a
/// code, something owed to the manager, and an audit of some pages.
struct Prey {
    home: Home,
    ann: AccountId,
    bob: AccountId,
    cleo: AccountId,
    /// As it was before the last changes, and as it is.
    yesterday: Files,
    today: Files,
}

/// What has to be said of one edit.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    /// How `latchkey verify` ends.
    code: i32,
    /// The class of one of its findings; the word of the error, where it ends before anything is authenticated.
    word: &'static str,
    /// What kind of row that finding names, where it names one, and whose: an account's, or that of no known one.
    row: Option<(&'static str, Option<AccountId>)>,
    /// How reading an account that was not touched ends.
    another: i32,
    /// How many accounts `latchkey rescue` takes out, of three; none where it takes none.
    rescued: Option<u64>,
}

impl Prey {
    async fn new() -> Self {
        let home = Home::with_vault();
        let site = Site::start(SiteConfig::default()).await.unwrap();
        home.write(".config/latchkey/sites.toml", &SITES.replace("ORIGIN", &site.origin()));
        site.add_account(NewAccount::new("ann", format!("pw-{CANARY}")).totp(TOTP)).unwrap();
        let (home, ids) = tokio::task::spawn_blocking(|| {
            let ids = ["ann", "bob", "cleo"].map(|name| home.add(name));
            for name in ["ann", "bob"] {
                let (account, notes) = (format!("blog.example/{name}"), "x".repeat(9000));
                home.run(&["account", "edit", &account, "--manager-id", name, "--notes", &notes]).ok();
            }
            // Owed to the manager from here on.
            home.run(&["account", "edit", "blog.example/bob", "--email", "bob@mail.example"]).ok();
            (home, ids)
        })
        .await
        .unwrap();
        let home = tokio::task::spawn_blocking(|| {
            home.run(&["session", "refresh", "blog.example/ann", "--force"]).ok();
            home
        })
        .await
        .unwrap();
        site.shutdown().await.unwrap();
        let yesterday = files(&home);
        home.run(&["account", "edit", "blog.example/ann", "--notes", &"y".repeat(9000)]).ok();
        home.run(&["account", "edit", "blog.example/bob", "--email", "bob@new.example"]).ok();
        home.run(&["totp", "blog.example/cleo"]).ok();
        let today = files(&home);
        let [ann, bob, cleo] = ids.map(|id| id.parse().unwrap());
        Self { home, ann, bob, cleo, yesterday, today }
    }

    /// Puts these files in the place of those that are there.
    fn put(&self, put: &Files) {
        for path in files(&self.home).keys() {
            fs::remove_file(path).unwrap();
        }
        for (path, bytes) in put {
            fs::write(path, bytes).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// Has the real `sqlite3` do it; `$ann`, `$bob`, `$cleo` stand for their ids and `$yesterday` for a file.
    fn sqlite3(&self, sql: &str) -> String {
        let mut sql = sql.replace("$yesterday", &self.file_of(&self.yesterday, "yesterday.db"));
        for (name, id) in [("$ann", self.ann), ("$bob", self.bob), ("$cleo", self.cleo)] {
            sql = sql.replace(name, &format!("x'{}'", data_encoding::HEXLOWER.encode(id.as_bytes())));
        }
        let output = Command::new("sqlite3").arg("-bail").arg(self.home.vault_file()).arg(&sql).output();
        let output = output.unwrap_or_else(|error| panic!("sqlite3 (a package of this name): {error}"));
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The vault's file of `of`, laid down beside the home.
    fn file_of(&self, of: &Files, name: &str) -> String {
        let path = self.home.path(name);
        fs::write(&path, &of[&self.home.vault_file()]).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What is said of the files as they lie there, in both forms; what is left of them is what was there. Gives what is
    /// not as expected, so that one run shows all of it.
    fn check(&self, name: &str, expected: Verdict) -> Vec<String> {
        let before = files(&self.home);
        let Verdict { code, word, row, another, rescued } = expected;
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, what: &str, seen: &dyn std::fmt::Debug| {
            if !holds {
                wrong.push(format!("{name}: {what}: {seen:?}"));
            }
        };
        let ended = self.home.run(&["verify", "--json"]);
        ended.hides_secrets();
        expect(ended.code == code, "how it ends", &ended);
        expect(self.says(&ended, word, row), &format!("{word} {row:?}"), &ended);
        let told = self.home.run(&["verify"]);
        told.hides_secrets();
        expect(told.code == code, "how it ends", &told);
        expect(code == 0 || told.stderr.contains("\nnext:  "), "what to do", &told);
        expect(code != 5 || told.stdout.contains(word), "what it is", &told);
        let after = files(&self.home);
        let changed = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
        let changed: Vec<_> = changed.collect();
        expect(changed.is_empty(), "nothing is changed", &changed);

        let read = self.home.run(&["account", "show", &self.cleo.to_string(), "--json"]);
        expect(read.code == another, "another account", &(read.code, read.stderr));
        let ended = self.home.run(&["rescue", "rescued.jsonl", "--plain", "--json"]);
        let counted = (!ended.stdout.is_empty()).then(|| ended.json()["accounts"].as_u64().unwrap());
        expect(counted == rescued, "what is rescued", &ended);
        let _ = fs::remove_file(self.home.path("rescued.jsonl"));
        wrong
    }

    /// Whether one finding is of this class and about this row; where the vault cannot be told from another, the error.
    fn says(&self, ended: &Ended, word: &str, row: Option<(&str, Option<AccountId>)>) -> bool {
        if ended.stdout.is_empty() {
            let error: serde_json::Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
            return row.is_none() && error["error"]["code"] == word && error["error"]["hint"] != "";
        }
        let report = ended.json();
        let findings = report["findings"].as_array().unwrap();
        if ended.code == 0 {
            return word == "ok" && report["ok"] == true && findings.is_empty();
        }
        let whole = |key: &str| findings.iter().all(|found| !found[key].as_str().unwrap().is_empty());
        assert!(report["ok"] == false && whole("what") && whole("means") && whole("todo"), "{report}");
        let kind = row.map(|(kind, _)| kind);
        let id = row.and_then(|(_, id)| id).map(|id| id.to_string());
        findings.iter().any(|found| {
            found["class"] == word
                && found["kind"].as_str() == kind
                && id.as_deref().is_none_or(|id| found["id"] == id)
                && found["id"].is_null() == kind.is_none()
        })
    }

    /// The files as `cp` finds them while a worker has the vault open: its last commit, new notes of bob, is in the log.
    /// The anchor is that of the commit.
    async fn running(&self, notes: &str) -> Files {
        let paths = VaultPaths { file: self.home.vault_file(), anchors: self.home.anchors(), pin: None };
        let key = Secret::new(fs::read_to_string(self.home.path("identity.txt")).unwrap());
        let actor = Actor { uid: 7, user: String::new(), pid: 1, name: "w-1".into() };
        let opener = Opener { actor, clock: Arc::new(SystemClock::new().unwrap()) };
        let vault = Vault::open(&paths, opener, UnlockWith::Identity(key)).await.unwrap();
        // A reader that does not end keeps what follows in the log.
        let reader = rusqlite::Connection::open(self.home.vault_file()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM account").unwrap();
        let edit = Edit { notes: Some(notes.into()), ..Edit::default() };
        vault.edit_account(self.bob, &edit).await.unwrap();
        let mut running = files(&self.home);
        drop(reader);
        vault.close().await.unwrap();
        let closed = files(&self.home);
        running.extend(closed.into_iter().filter(|(path, _)| path.starts_with(self.home.anchors())));
        running
    }
}

/// Everything of vault and anchors but what only keeps processes apart.
fn files(home: &Home) -> Files {
    let folders = [home.vault_file().parent().unwrap().to_owned(), home.anchors()];
    let paths = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let keeps_apart = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        [".hold", ".queue", "-shm", ".lock"].iter().any(|end| name.ends_with(end)) || path.is_dir()
    };
    paths.filter(|path| !keeps_apart(path)).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// An edit that is seen as `word`, about this row, and leaves `rescued` accounts whole.
const fn found(word: &'static str, row: Option<(&'static str, Option<AccountId>)>, rescued: u64) -> Verdict {
    Verdict { code: 5, word, row, another: 0, rescued: Some(rescued) }
}

/// An edit that keeps the vault from being opened at all.
const fn shut(word: &'static str) -> Verdict {
    Verdict { code: 5, word, row: None, another: 5, rescued: Some(3) }
}

const TOTP: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SITES: &str = r##"[[site]]
domain = "blog.example"
origins = ["ORIGIN"]
twofa_at_site = true
[site.login]
driver = "form"
page = "/login"
form = "form#login"
username_field = "username"
password_field = "password"
probe = "/home"
logged_in = { selector = "#whoami" }
logged_out = [{ selector = "form#login" }, { location = "/login" }]
refused = { selector = ".error" }
totp = { form = "form#totp", field = "code" }
"##;
