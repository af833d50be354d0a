//! Secrets that can be recognised, in every field, through everything that the programs do: none of them shows in an output,
//! a log at its most talkative, an argument, an environment or a file.
//!
//! Programs are real processes here; what they hold in their memory is another test's.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL, HEXLOWER};
use latchkey_manager::{Manager, ManagerConfig, NewAccount as ManagerAccount, NewTask};
use latchkey_practice_site::{NewAccount, Site, SiteConfig, SiteHandle};
use latchkey_tests::{
    install::{Install, RUN_LIMIT},
    processes::{Finished, Launch},
    world::sites_file,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_42_no_canary_shows_from_the_first_add_to_the_last_check() {
    let stage = Stage::new().await;
    // In: by standard input, by the manager's record, by a task.
    stage.feed(&stage.secrets(), &["account", "add", DOMAIN, "--username", "ann", "--secrets-stdin"], 0).await;
    stage.feed(&stage.secrets(), &["account", "add", DOMAIN, "--username", "ann", "--secrets-stdin"], 6).await;
    stage
        .feed(&format!("{{\"password\":\"{}", stage.needles[0]), &["account", "edit", ANN, "--secrets-stdin"], 2)
        .await;
    stage.run(&["account", "pull", "--manager-id", "acc-bob"], 0).await;

    // Checked out, logged in, posted, checked in, reported: by a process that is looked at while it works.
    let mut seen = BTreeSet::new();
    let worker = stage.launch(&["worker", "run", "--until-idle"]).start().unwrap();
    let mut looks = 0;
    while let Some(id) = worker.id() {
        for name in ["cmdline", "environ"] {
            match fs::read(format!("/proc/{id}/{name}")) {
                Ok(text) if !text.is_empty() => {
                    looks += 1;
                    assert_eq!(stage.shown(&text), None, "{name}");
                }
                // It has ended, or is closed against looks of its own user.
                _ => {}
            }
        }
        seen.extend(files(stage.install.folder()));
        if stage.reported() || looks > LOOKS_MAX {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    stage.quiet(&worker.wait(RUN_LIMIT).await.unwrap(), 0);
    assert!(looks > 0 && stage.reported(), "it was seen at work, and did it");
    assert_eq!(stage.site.posts("ann").len() + stage.site.posts("bob").len(), 2);

    // Out: everything that shows an account, a session, a message or an entry; then a refused password.
    for command in [
        &["account", "list"][..],
        &["account", "show", ANN],
        &["session", "status"],
        &["outbox", "list"],
        &["audit", "list", "--limit", "1000"],
        &["key", "slots"],
        &["key", "rotate"],
        &["verify"],
    ] {
        stage.run(command, 0).await;
    }
    let mut wrong = stage.launch(&["account", "edit", ANN, "--password-stdin"]).input(WRONG);
    stage.quiet(&wrong.run(RUN_LIMIT).await.unwrap(), 0);
    stage.run(&["session", "refresh", ANN, "--force"], 8).await;
    wrong = stage.launch(&["account", "list", "--vault", "nowhere/vault.db"]);
    stage.quiet(&wrong.run(RUN_LIMIT).await.unwrap(), 3);

    // What is left behind, and what was there for a while.
    let left = files(stage.install.folder());
    assert!(left.iter().any(|file| file.ends_with("vault/vault.db")), "{left:?}");
    for file in left {
        let text = fs::read(&file).unwrap();
        assert_eq!(stage.shown(&text), None, "{}", file.display());
    }
    for gone in seen.iter().filter(|file| !file.exists()) {
        assert!(gone.starts_with(stage.install.folder().join("vault")), "{} is no file of SQLite's", gone.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_42_a_panic_tells_its_place_and_nothing_of_what_was_worked_on() {
    let home = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    let words = ["--exact", "canaries::a_program_panics_where_it_is_told_to", "--nocapture"];
    let ended = Launch::of(this, home.path()).args(words).env(PANICS, "yes").run(RUN_LIMIT).await.unwrap();
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("internal error at") && ended.stderr.contains("canaries.rs"), "{}", ended.stderr);
    let canary = canary("panic");
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!spellings(&canary).iter().any(|spelling| text.contains(spelling)), "{text}");
    }
}

/// Not told to, it has nothing to do.
#[test]
fn a_program_panics_where_it_is_told_to() {
    let unusable = if std::env::var_os(PANICS).is_some() { Err(canary("panic")) } else { Ok(()) };
    if unusable.is_err() {
        latchkey_worker::process::harden();
        latchkey_worker::process::quiet_panics("latchkey");
    }
    unusable.unwrap();
}

#[test]
fn the_search_finds_a_canary_in_every_spelling_and_nothing_where_there_is_none() {
    let canary = canary("search");
    let spelled = spellings(&canary);
    assert!(spelled.len() > 10, "{spelled:?}");
    for shift in 0..3 {
        let text = BASE64.encode(&[vec![b'x'; shift], canary.clone().into_bytes(), b"behind".to_vec()].concat());
        assert!(spelled.iter().any(|spelling| text.contains(spelling)), "{text}");
    }
    for text in [canary.clone(), format!("a={}&", url_encoded(&canary)), HEXLOWER.encode(canary.as_bytes())] {
        assert!(spelled.iter().any(|spelling| text.contains(spelling)), "{text}");
    }
    let other = self::canary("other");
    for text in [other.clone(), url_encoded(&other), BASE64.encode(other.as_bytes())] {
        assert!(!spelled.iter().any(|spelling| text.contains(spelling)), "{text}");
    }
}

/// A manager, a site and an installation, with canaries in every field of two accounts and their tasks.
struct Stage {
    manager: Manager,
    site: SiteHandle,
    install: Install,
    /// What may not show: ann's password first, her TOTP secret second.
    needles: Vec<String>,
}

impl Stage {
    async fn new() -> Self {
        let site = Site::start(SiteConfig::default()).await.unwrap();
        let manager = Manager::start(ManagerConfig::default()).await.unwrap();
        let install = Install::new(&manager, &sites_file(&site.origin())).await;
        let totp = BASE32_NOPAD.encode(b"a canary of 20 bytes");
        let mut needles = vec![canary("password"), totp];
        let more = ["mail", "mailapp", "app", "cookie", "bob", "title", "body"];
        needles.extend(more.map(canary));
        for (name, password, totp) in [("ann", &needles[0], Some(&needles[1])), ("bob", &needles[6], None)] {
            let mut at_site = NewAccount::new(name, password);
            at_site.totp = totp.cloned();
            site.add_account(at_site).unwrap();
            let account = ManagerAccount::new(format!("acc-{name}"))
                .with("site_name", DOMAIN)
                .with("username", name)
                .with("password", password.as_str())
                .with("pass_mail", canary("mail"))
                .with("app_password", canary("mailapp"))
                .with("twofa", totp.cloned().unwrap_or_default())
                .with("cookie", format!("sid={}", canary("cookie")));
            manager.add_account(account).unwrap();
            let task = NewTask::new(format!("task-{name}"), format!("acc-{name}")).with("domain", DOMAIN);
            let body = format!("<p>{} of {name}</p>", canary("body"));
            manager.add_task(task.with("title", canary("title")).with("about", body)).unwrap();
        }
        needles.push(manager.api_key().to_owned());
        Self { manager, site, install, needles }
    }

    /// Ann's secrets, as the command line takes them.
    fn secrets(&self) -> String {
        let secrets = serde_json::json!({
            "password": self.needles[0],
            "totp": self.needles[1],
            "mail_password": canary("mail"),
            "mail_app_password": canary("mailapp"),
            "cookie": format!("sid={}", canary("cookie")),
        });
        secrets.to_string()
    }

    /// A command at its most talkative, whose temporary files would lie in its home.
    fn launch(&self, command: &[&str]) -> Launch {
        self.install.latchkey(["--log", "trace"]).args(command).env("TMPDIR", self.install.folder())
    }

    async fn run(&self, command: &[&str], code: i32) {
        self.quiet(&self.launch(command).run(RUN_LIMIT).await.unwrap(), code);
    }

    async fn feed(&self, input: &str, command: &[&str], code: i32) {
        self.quiet(&self.launch(command).input(input).run(RUN_LIMIT).await.unwrap(), code);
    }

    /// Asserts how it ended, and that it said nothing that it must not.
    #[track_caller]
    fn quiet(&self, ended: &Finished, code: i32) {
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
        for text in [&ended.stdout, &ended.stderr] {
            assert_eq!(self.shown(text.as_bytes()), None, "{text}");
        }
    }

    fn reported(&self) -> bool {
        let ledger = self.manager.ledger();
        ["task-ann", "task-bob"].iter().all(|task| ledger.completes_of(task) == 1)
    }

    /// Which needle, by its place, some bytes show; the sessions that the site gave are among them.
    fn shown(&self, bytes: &[u8]) -> Option<usize> {
        let sessions = ["acc-ann", "acc-bob"].map(|id| {
            let cookie = self.manager.account(id).and_then(|account| account.text("cookie").map(str::to_owned));
            cookie.unwrap_or_default().trim_start_matches("sid=").to_owned()
        });
        let text = String::from_utf8_lossy(bytes);
        let mut needles = self.needles.iter().chain(sessions.iter().filter(|session| session.len() > 8));
        needles.position(|needle| spellings(needle).iter().any(|spelling| text.contains(spelling)))
    }
}

/// A secret that is different in plain, URL-encoded and JSON spelling.
fn canary(name: &str) -> String {
    format!("zq7+{name}/canary=4x9")
}

/// How a text may be spelt where it shows: as it is, escaped, percent-encoded, in hex, and in Base64 at any offset.
fn spellings(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut spelled = vec![text.to_owned(), url_encoded(text), url_encoded(text).to_lowercase()];
    spelled.extend([HEXLOWER.encode(bytes), HEXLOWER.encode(bytes).to_uppercase(), text.replace('/', "\\/")]);
    for shift in 0..3 {
        let shifted = [&vec![0; shift][..], bytes].concat();
        for encoding in [BASE64, BASE64URL] {
            let encoded = encoding.encode(&shifted);
            // The part that depends neither on what stands before nor on what stands behind.
            let (from, to) = (shift.div_ceil(3) * 4, (shift + bytes.len()) / 3 * 4);
            spelled.push(encoded[from..to].to_owned());
        }
    }
    spelled
}

fn url_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Every file below a folder but those that an operator put there to be read: the key and the identity.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        // Files come and go while a program is at work.
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !["manager.key", "identity.txt"].iter().any(|name| path.ends_with(name)) {
                found.insert(path);
            }
        }
    }
    found
}

const DOMAIN: &str = "practice.test";
const ANN: &str = "practice.test/ann";
/// A password that is wrong, and a secret all the same.
const WRONG: &str = "zq7+password/canary=4x9 wrong";
const PANICS: &str = "LATCHKEY_TEST_PANICS";
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(5);
/// So that a worker that is stuck fails the test by its own limit.
const LOOKS_MAX: usize = 40_000;
