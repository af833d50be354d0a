//! Real processes on one vault: the test binary runs itself again, and is told by its environment what to do.
//!
//! A child says on standard output what is durable, line by line; whoever started it believes what was said, and kills
//! it whenever it likes.

use std::{
    io::{BufRead, BufReader, Write, stdin, stdout},
    path::Path,
    process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use latchkey_vault::{
    AccountId, AccountSecret, CheckIn, CheckOutAsk, LeaseMode, Opener, Secret, SystemClock, UnlockWith, Vault,
    VaultPaths, model::Actor,
};

use crate::common::{Folder, account};

/// A process that was started; killed when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    /// Whether somebody else has waited for it: then its number may be another process' by now.
    is_gone: bool,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Child {
    /// Runs this binary again to do `work` on the vault in `folder`.
    pub(crate) fn start(folder: &Folder, work: &str, args: &[&str]) -> Self {
        Self::from(Self::command(&[]), folder, work, args)
    }

    /// The command that runs this binary again, behind the words of `wrapper`.
    pub(crate) fn command(wrapper: &[&str]) -> Command {
        let this = std::env::current_exe().unwrap();
        let words = ["--exact", "child::a_child_does_what_it_is_told", "--nocapture", "--test-threads=1"];
        let mut command = match wrapper {
            [] => Command::new(&this),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(&this);
                command
            }
        };
        command.args(words);
        command
    }

    pub(crate) fn from(mut command: Command, folder: &Folder, work: &str, args: &[&str]) -> Self {
        // The identity is nobody's; a file of its own keeps it out of the environment all the same.
        let key = folder.path().join("identity");
        if !key.exists() {
            std::fs::write(&key, folder.identity.expose()).unwrap();
        }
        command
            .env(WORK, work)
            .env(ARGS, args.join(" "))
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let hears = process.stdin.take().unwrap();
        Self { process, is_gone: false, says, hears }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, what: &str) {
        self.hears.write_all(format!("{what}\n").as_bytes()).unwrap();
    }

    /// The next thing that it says; none when it has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.says.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The test harness writes to the same stream; a line without its end was cut off by the kill.
            if let Some(said) = line.find(MARK).map(|at| &line[at + MARK.len()..])
                && let Some(said) = said.strip_suffix('\n')
            {
                return Some(said.to_owned());
            }
        }
    }

    /// All that it still says.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// It has ended, and whoever traced it was told so.
    pub(crate) fn was_waited_for(&mut self) {
        self.is_gone = true;
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_gone {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Not told anything, it has nothing to do; told something that it does not know, it fails.
#[test]
fn a_child_does_what_it_is_told() {
    let Ok(work) = std::env::var(WORK) else {
        let mut unknown = Child::start(&Folder::new(), "something unknown", &[]);
        assert_eq!(unknown.rest(), [""; 0]);
        assert!(!unknown.wait().success());
        return;
    };
    let args = std::env::var(ARGS).unwrap();
    let args: Vec<_> = args.split_whitespace().collect();
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        match (work.as_str(), args.as_slice()) {
            // A killed holder keeps the others waiting for as long as its lease lasts.
            ("pairs", [id, pairs]) => pairs_of(folder, id.parse().unwrap(), pairs.parse().unwrap(), 8).await,
            // So long that a machine with 64 processes at work does not outlast it.
            ("pair", [id]) => pairs_of(folder, id.parse().unwrap(), 1, 600).await,
            ("hold", [seed]) => crate::memory::hold_and_let_go(folder, seed).await,
            ("release", [id]) => release_for_ever(folder, id.parse().unwrap()).await,
            ("add", [prefix]) => add_for_ever(folder, prefix).await,
            ("fill", [tmpfs]) => crate::full::fill_a_disk(folder, Path::new(tmpfs)).await,
            ("rotate", []) => crate::kills::rotate(folder).await,
            ("remove", [slot]) => crate::kills::remove(folder, slot).await,
            ("restore", [backup]) => crate::kills::restore(folder, Path::new(backup)).await,
            ("fill-to-limit", []) => crate::full::fill_to_a_limit(folder).await,
            other => panic!("{other:?}"),
        }
    });
}

/// Tells whoever started this process.
pub(crate) fn say(what: &str) {
    // One write, so that a line is whole or not there.
    stdout().lock().write_all(format!("{MARK}{what}\n").as_bytes()).unwrap();
    stdout().flush().unwrap();
}

/// Waits until whoever started this process says something.
pub(crate) fn hear() {
    assert!(stdin().read_line(&mut String::new()).unwrap() > 0);
}

/// Opens the vault of the parent, by the machine's clock.
pub(crate) async fn open(folder: &Path, paths: &VaultPaths) -> Vault {
    Vault::open(paths, opener(), UnlockWith::Identity(identity(folder))).await.unwrap()
}

pub(crate) fn opener() -> Opener {
    let actor = Actor { uid: 0, user: "root".into(), pid: std::process::id(), name: "child".into() };
    Opener { actor, clock: Arc::new(SystemClock::new().unwrap()) }
}

pub(crate) fn identity(folder: &Path) -> Secret {
    Secret::new(std::fs::read_to_string(folder.join("identity")).unwrap())
}

pub(crate) fn paths(folder: &Path) -> VaultPaths {
    VaultPaths { file: folder.join("vault/vault.db"), anchors: folder.join("anchors"), pin: None }
}

/// Takes the account again and again and counts in its session.
async fn pairs_of(folder: &Path, id: AccountId, pairs: u64, ttl_s: u64) {
    let vault = open(folder, &paths(folder)).await;
    let ask = CheckOutAsk {
        ttl: Duration::from_secs(ttl_s),
        quarantine: Duration::from_millis(100),
        wait: Duration::from_secs(240),
        mode: LeaseMode::Exclusive,
        purpose: "pair".into(),
    };
    let url = "https://site.test/".parse().unwrap();
    for _ in 0..pairs {
        let mut lent = vault.check_out(id, &ask).await.unwrap();
        let count = counted(&lent.jar.export_flat(&url, 0).unwrap()) + 1;
        let _ = lent.jar.store(&url, format!("n={count}; Path=/").as_bytes(), 0);
        let token = lent.token().n;
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
        say(&format!("{token}"));
    }
    vault.close().await.unwrap();
}

/// The count in a session's cookie `n`; 0 where there is none yet.
pub(crate) fn counted(cookies: &Secret) -> u64 {
    let n = cookies.expose().split("; ").find_map(|cookie| cookie.strip_prefix("n="));
    n.map_or(0, |n| n.parse().unwrap())
}

/// Adds accounts from several tasks until it is killed, and says which ones are durable.
async fn add_for_ever(folder: &Path, prefix: &str) {
    let vault = Arc::new(open(folder, &paths(folder)).await);
    say("open");
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let (vault, prefix) = (Arc::clone(&vault), prefix.to_owned());
        tasks.spawn(async move {
            for n in 0.. {
                let name = format!("{prefix}-{task}-{n}");
                vault.add_account(account(&name)).await.unwrap();
                say(&name);
            }
        });
    }
    tasks.join_all().await;
}

/// Reads an account's secrets without a lease and under one until it is killed, and says so each time it has them.
async fn release_for_ever(folder: &Path, id: AccountId) {
    let vault = open(folder, &paths(folder)).await;
    let ask = CheckOutAsk {
        ttl: Duration::from_secs(60),
        // The one before may have been killed with the account in hand.
        quarantine: Duration::ZERO,
        wait: Duration::from_secs(60),
        mode: LeaseMode::Exclusive,
        purpose: "release".into(),
    };
    loop {
        let revealed = vault.reveal(id, &[AccountSecret::Password]).await.unwrap();
        assert!(revealed.secret(AccountSecret::Password).is_some());
        say("revealed");
        let lent = vault.check_out(id, &ask).await.unwrap();
        assert!(lent.account().record.fields.password.is_some());
        say("granted");
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
    }
}

/// Before everything that a child says.
const MARK: &str = "child: ";
const WORK: &str = "LATCHKEY_TEST_CHILD";
const ARGS: &str = "LATCHKEY_TEST_CHILD_ARGS";
const FOLDER: &str = "LATCHKEY_TEST_CHILD_FOLDER";
