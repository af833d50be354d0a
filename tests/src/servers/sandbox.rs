//! Where a real server lives: a folder of its own and one process group, as a user without rights.
//!
//! Which server it is, and what it serves, is deliberately not known here.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

use super::FixtureError;
use crate::process_group::{ProcessGroup, SYSTEM_PATH};

/// A folder and a process group; dropping it kills every process, then removes the folder.
///
/// When the test runs as root, programs run as `nobody` the owner of that folder.
#[derive(Debug)]
pub(super) struct Sandbox {
    // Dropped in this order: processes first, then what they wrote.
    group: ProcessGroup,
    folder: TempDir,
}

/// A server that runs until its sandbox is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    program: &'static str,
    log: PathBuf,
}

impl Sandbox {
    pub(super) fn new(name: &str) -> Result<Sandbox, FixtureError> {
        if geteuid().is_root() {
            find("setpriv", "util-linux")?;
        }
        let folder = tempfile::Builder::new()
            .prefix(&format!("latchkey-{name}-"))
            .tempdir()
            .map_err(FixtureError::io("make the server's folder"))?;
        let group = ProcessGroup::start(Some(folder.path())).map_err(FixtureError::io("start a keeper"))?;
        let sandbox = Sandbox { group, folder };
        sandbox.hand_over(sandbox.path())?;
        Ok(sandbox)
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The process group that everything in it runs in.
    pub(super) fn group(&self) -> i32 {
        self.group.id()
    }

    /// Makes a folder for the server.
    pub(super) fn make_folder(&self, name: &str) -> Result<PathBuf, FixtureError> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).map_err(FixtureError::io("make a folder for the server"))?;
        self.hand_over(&path)?;
        Ok(path)
    }

    /// Writes a file for the server.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<PathBuf, FixtureError> {
        let path = self.path().join(name);
        fs::write(&path, content).map_err(FixtureError::io("write a file for the server"))?;
        self.hand_over(&path)?;
        Ok(path)
    }

    /// Copies a folder with everything in it; links are followed, and those that lead nowhere are left out.
    pub(super) fn copy(&self, from: &Path, name: impl AsRef<Path>) -> Result<PathBuf, FixtureError> {
        let failed = || FixtureError::io("copy the server's files");
        let to = self.path().join(name);
        fs::create_dir(&to).map_err(failed())?;
        self.hand_over(&to)?;
        for entry in fs::read_dir(from).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let target = to.join(entry.file_name());
            match fs::metadata(entry.path()) {
                Ok(kind) if kind.is_dir() => drop(self.copy(&entry.path(), target)?),
                Ok(_) => {
                    fs::copy(entry.path(), &target).map_err(failed())?;
                    self.hand_over(&target)?;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed()(error)),
            }
        }
        Ok(to)
    }

    /// A command in this sandbox, with nothing of the test's environment.
    pub(super) fn command(&self, program: &'static str, package: &'static str) -> Result<Command, FixtureError> {
        let path = find(program, package)?;
        let mut command = if geteuid().is_root() {
            let id = NOBODY.to_string();
            let mut command = Command::new(find("setpriv", "util-linux")?);
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        self.group.adopt(&mut command);
        command.env_clear().env("PATH", SYSTEM_PATH).env("HOME", self.path()).env("LC_ALL", "C.UTF-8");
        command.current_dir(self.path()).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command to its end and returns what it printed.
    pub(super) async fn run(
        &self,
        program: &'static str,
        mut command: Command,
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, FixtureError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(FixtureError::io("start a program of the server's"))?;
        let stdin = child.stdin.take();
        let work = async {
            if let Some(mut stdin) = stdin {
                // A program that ends without reading is judged by its exit status.
                let _ = stdin.write_all(input).await;
            }
            child.wait_with_output().await
        };
        let output = timeout(limit, work)
            .await
            .map_err(|_| FixtureError::TimedOut { program, limit, log: String::new() })?
            .map_err(FixtureError::io("wait for a program of the server's"))?;
        if !output.status.success() {
            let log = tail(&[output.stdout, output.stderr].concat());
            return Err(FixtureError::Failed { program, status: output.status, log });
        }
        Ok(output.stdout)
    }

    /// Starts a server that writes to `<program>.log` and goes on running.
    pub(super) fn serve(&self, program: &'static str, mut command: Command) -> Result<Server, FixtureError> {
        let log = self.path().join(program).with_extension("log");
        let file = fs::File::create(&log).map_err(FixtureError::io("create a log"))?;
        let other = file.try_clone().map_err(FixtureError::io("create a log"))?;
        let child = command.stdout(file).stderr(other).spawn().map_err(FixtureError::io("start a server"))?;
        Ok(Server { child, program, log })
    }

    fn hand_over(&self, path: &Path) -> Result<(), FixtureError> {
        if geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).map_err(FixtureError::io("hand a file to nobody"))?;
        }
        Ok(())
    }
}

impl Server {
    /// Looks again and again until `ready` finds something in the server's log, or the server has ended.
    pub(super) async fn ready<T>(
        &mut self,
        limit: Duration,
        ready: impl Fn(&str) -> Option<T>,
    ) -> Result<T, FixtureError> {
        let deadline = Instant::now() + limit;
        loop {
            let log = fs::read(&self.log).map_err(FixtureError::io("read a log"))?;
            if let Some(found) = ready(&String::from_utf8_lossy(&log)) {
                return Ok(found);
            }
            let program = self.program;
            if let Some(status) = self.child.try_wait().map_err(FixtureError::io("look after a server"))? {
                return Err(FixtureError::Failed { program, status, log: tail(&log) });
            }
            if Instant::now() >= deadline {
                return Err(FixtureError::TimedOut { program, limit, log: tail(&log) });
            }
            sleep(POLL_EVERY).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its sandbox kills the rest of what it started; this one is a child to be reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program is, or which package to install.
pub(super) fn find(program: &'static str, package: &'static str) -> Result<PathBuf, FixtureError> {
    SYSTEM_PATH
        .split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
        .ok_or(FixtureError::Missing { program, package })
}

fn tail(log: &[u8]) -> String {
    let start = log.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned()
}

/// User and group `nobody` of every Linux distribution (the kernel's overflow id).
const NOBODY: u32 = 65534;

/// How much of a log goes into an error: a screenful.
const TAIL_BYTES: usize = 2000;

/// How often a log is looked at while a server starts.
const POLL_EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn shell(sandbox: &Sandbox, script: &str) -> Command {
        let mut command = sandbox.command("sh", "dash").unwrap();
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_missing_program_is_refused_with_its_package() {
        assert!(find("sh", "dash").unwrap().is_absolute());
        let missing = find("no-such-program", "the-package").unwrap_err();
        let message = missing.to_string();
        assert!(message.contains("no-such-program") && message.contains("the-package"), "{message}");
    }

    #[tokio::test]
    async fn a_program_runs_without_rights_and_may_write_to_its_folder_only() {
        let sandbox = Sandbox::new("test").unwrap();
        let folder = sandbox.make_folder("inside").unwrap();
        let id = sandbox.run("sh", shell(&sandbox, "echo x >inside/file; id -u"), b"", LIMIT).await.unwrap();
        assert_ne!(String::from_utf8(id).unwrap().trim(), "0");
        assert!(folder.join("file").exists());

        let outside = sandbox.run("sh", shell(&sandbox, "echo x >/etc/latchkey-sandbox-test"), b"", LIMIT).await;
        assert!(matches!(outside, Err(FixtureError::Failed { .. })), "{outside:?}");
    }

    #[tokio::test]
    async fn a_failed_program_and_a_hanging_one_are_told_apart() {
        let sandbox = Sandbox::new("test").unwrap();
        let failed = sandbox.run("sh", shell(&sandbox, "cat; echo trouble >&2; exit 3"), b"given ", LIMIT).await;
        let Err(FixtureError::Failed { status, log, .. }) = failed else { panic!("{failed:?}") };
        assert_eq!((status.code(), log.as_str()), (Some(3), "given trouble\n"));

        let hanging = sandbox.run("sh", shell(&sandbox, "exec sleep 600"), b"", Duration::from_millis(1)).await;
        assert!(matches!(hanging, Err(FixtureError::TimedOut { .. })), "{hanging:?}");
    }

    #[tokio::test]
    async fn a_server_is_ready_by_its_log_and_given_up_when_it_ends() {
        let sandbox = Sandbox::new("test").unwrap();
        let find = |log: &str| log.contains("listening").then_some(());
        let mut server = sandbox.serve("sh", shell(&sandbox, "echo listening; exec sleep 600")).unwrap();
        server.ready(LIMIT, find).await.unwrap();

        let mut server = sandbox.serve("sh", shell(&sandbox, "echo no; exit 4")).unwrap();
        let ended = server.ready(LIMIT, find).await;
        let Err(FixtureError::Failed { status, log, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!((status.code(), log.as_str()), (Some(4), "no\n"));
    }
}
