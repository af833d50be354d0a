//! The tests of one tree, built by Cargo and run one at a time as processes of their own.
//!
//! Does not know what a test does, nor which tree has patches in it.

use std::{
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::{AttackError, tail};

/// The tests of a tree, ready to be run.
#[derive(Debug)]
pub struct Build {
    tests: Vec<TestId>,
}

/// One test: which program has it, and under which path.
#[derive(Clone, Debug)]
pub struct TestId {
    /// Its function's name.
    pub name: String,
    path: String,
    program: PathBuf,
    /// The folder of its package, in which Cargo runs tests.
    package: PathBuf,
}

/// How a test ended.
#[derive(Debug)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed, was killed, or did not end in time; the last of what it said.
    Failed(String),
}

impl Build {
    /// Builds the tests of `tree` into `target`, and lists them. Cargo's progress goes to standard error.
    ///
    /// # Errors
    /// [`AttackError::Program`] where they do not build.
    pub fn make(tree: &Path, target: &Path, config: &[String]) -> Result<Self, AttackError> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // The whole workspace: another selection would choose other features, and build the dependencies once more.
        command.args(["test", "--release", "--workspace", "--locked", "--no-run"]);
        command.arg("--message-format=json-render-diagnostics");
        command.args(config.iter().flat_map(|line| ["--config", line]));
        command.env("CARGO_TARGET_DIR", target).current_dir(tree).stdin(Stdio::null()).stderr(Stdio::inherit());
        let built = command.output().map_err(|source| AttackError::Io { doing: "run cargo", source })?;
        if !built.status.success() {
            return Err(AttackError::Program { program: "cargo test --no-run", tail: "it says why above".into() });
        }
        let mut tests = Vec::new();
        for (program, package) in String::from_utf8_lossy(&built.stdout).lines().filter_map(test_program) {
            tests.extend(list(&program, &package)?);
        }
        Ok(Self { tests })
    }

    /// Every test.
    #[must_use]
    pub fn tests(&self) -> &[TestId] {
        &self.tests
    }

    /// The one test of this name.
    ///
    /// # Errors
    /// [`AttackError::Test`] where there is none, or more than one.
    pub fn find(&self, name: &str) -> Result<&TestId, AttackError> {
        let mut found = self.tests.iter().filter(|test| test.name == name);
        match (found.next(), found.count()) {
            (Some(test), 0) => Ok(test),
            (first, more) => {
                Err(AttackError::Test { name: name.to_owned(), found: usize::from(first.is_some()) + more })
            }
        }
    }
}

impl TestId {
    /// Runs it, with these defences switched off; that has an effect in a patched tree only.
    ///
    /// # Errors
    /// [`AttackError::Io`] where it cannot be started.
    pub fn run(&self, out: &[&str]) -> Result<Outcome, AttackError> {
        let io = |source| AttackError::Io { doing: "run a test", source };
        let mut said = tempfile::tempfile().map_err(io)?;
        let mut command = Command::new(&self.program);
        command.args(["--exact", &self.path, "--test-threads=1"]);
        command.env("CARGO_MANIFEST_DIR", &self.package).current_dir(&self.package);
        command.env_remove(SWITCH).envs((!out.is_empty()).then(|| (SWITCH, out.join(","))));
        command.stdin(Stdio::null()).stdout(said.try_clone().map_err(io)?).stderr(said.try_clone().map_err(io)?);
        let mut child = command.process_group(0).spawn().map_err(io)?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let until = Instant::now() + TEST_LIMIT;
        let ended = loop {
            if let Some(status) = child.try_wait().map_err(io)? {
                break Some(status);
            }
            if Instant::now() > until {
                break None;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        // What it started goes with it; where nothing is left there is nobody to tell.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = child.wait();
        if ended.is_some_and(|status: ExitStatus| status.success()) {
            return Ok(Outcome::Passed);
        }
        let mut text = Vec::new();
        said.seek(SeekFrom::Start(0)).and_then(|_| said.take(SAID_MAX_BYTES).read_to_end(&mut text)).map_err(io)?;
        let why = if ended.is_some() { "" } else { "it did not end in time\n" };
        Ok(Outcome::Failed(format!("{why}{}", tail(&text))))
    }
}

/// The tests that a program has.
fn list(program: &Path, package: &Path) -> Result<Vec<TestId>, AttackError> {
    let listed = Command::new(program).args(["--list", "--format", "terse"]).current_dir(package).output();
    let listed = listed.map_err(|source| AttackError::Io { doing: "list the tests", source })?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let paths = text.lines().filter_map(|line| line.strip_suffix(": test"));
    let test = |path: &str| TestId {
        name: path.rsplit("::").next().unwrap_or(path).to_owned(),
        path: path.to_owned(),
        program: program.to_owned(),
        package: package.to_owned(),
    };
    Ok(paths.map(test).collect())
}

/// A test program and its package's folder, where a line of Cargo's JSON tells of one.
fn test_program(line: &str) -> Option<(PathBuf, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message.pointer("/profile/test") != Some(&Value::Bool(true)) {
        return None;
    }
    let text = |name| message.get(name).and_then(Value::as_str).map(PathBuf::from);
    Some((text("executable")?, text("manifest_path")?.parent()?.to_owned()))
}

/// The variable that the patched copy reads: the names of the defences that are out, with commas between.
const SWITCH: &str = "LATCHKEY_MUTANT";
/// The slowest test takes a minute on a busy machine; without its defence it may wait for what never comes.
const TEST_LIMIT: Duration = Duration::from_secs(240);
/// Tests last milliseconds to seconds.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What is read of a test's output.
const SAID_MAX_BYTES: u64 = 1 << 20;
