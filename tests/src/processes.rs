//! Runs the workspace's own programs as processes: clean environment, input fed, output captured, signals, deadlines.
//!
//! The programs are those that Cargo built beside the running test. A test build brings along only the programs of its
//! own package, so `./scripts/test` builds all of them first; whoever runs nextest by hand does
//! `cargo build --release --workspace --bins` before. What a program is asked to do is deliberately not known here.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;

pub use rustix::process::Signal;

use crate::process_group::{ProcessGroup, SYSTEM_PATH};

/// What can go wrong with a process under test, apart from what the test asserts about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The program is not where Cargo puts it.
    #[error("{} is not built: run `cargo build --release --workspace --bins` or ./scripts/test", path.display())]
    NotBuilt {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// It did not end, or did not print, in time; it still runs.
    #[error("no {what} within {} ms; stderr ends: {stderr_tail}", limit.as_millis())]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
        /// The last of what it said.
        stderr_tail: String,
    },
    /// It closed the stream without printing what was waited for.
    #[error("the output ended without it; stderr ends: {stderr_tail}")]
    OutputEnded {
        /// The last of what it said.
        stderr_tail: String,
    },
    /// It has ended already, so its process id may belong to another.
    #[error("the process has ended")]
    Ended,
}

/// How to start a program: an empty environment but for `PATH` and `HOME`, no input, the home as current folder.
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    home: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
}

impl Launch {
    /// The `latchkey` that was built along with this test, with `home` as its home.
    ///
    /// # Errors
    ///
    /// As [`program`].
    pub fn latchkey(home: &Path) -> Result<Launch, ProcessError> {
        Ok(Launch::of(program("latchkey")?, home))
    }

    /// Any program, with `home` as its home.
    #[must_use]
    pub fn of(program: PathBuf, home: &Path) -> Launch {
        Launch { program, home: home.to_owned(), arguments: Vec::new(), environment: Vec::new(), input: Vec::new() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Launch {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Launch {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Feeds `input` to its standard input, which then ends.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Launch {
        self.input = input.into();
        self
    }

    /// Starts it and returns while it runs. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Io`]; then nothing is left running.
    pub fn start(self) -> Result<Running, ProcessError> {
        let group = ProcessGroup::start(None).map_err(|source| ProcessError::Io { doing: "start a keeper", source })?;
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", SYSTEM_PATH)
            .env("HOME", &self.home)
            .envs(self.environment)
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        group.adopt(&mut command);
        let mut child = Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ProcessError::Io { doing: "start the program", source })?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program may end without reading its input; what it did is then seen in its exit status.
            tokio::spawn(async move { drop(stdin.write_all(&self.input).await) });
        }
        let stdout = Output::capture(child.stdout.take());
        let stderr = Output::capture(child.stderr.take());
        Ok(Running { child, stdout, stderr, group })
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`Launch::start`] and [`Running::wait`].
    pub async fn run(self, limit: Duration) -> Result<Finished, ProcessError> {
        self.start()?.wait(limit).await
    }
}

/// A process under test; dropping it kills it and everything that it started in its group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Output,
    stderr: Output,
    group: ProcessGroup,
}

impl Running {
    /// Its process id, as long as it has not been seen to end.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its process group, for [`crate::process_group::members`].
    #[must_use]
    pub fn group(&self) -> i32 {
        self.group.id()
    }

    /// Sends it a signal: SIGTERM to ask, SIGKILL for a crash, SIGSTOP and SIGCONT for a stall.
    ///
    /// # Errors
    ///
    /// [`ProcessError::Ended`] when it was seen to end, [`ProcessError::Io`] when the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let pid = self.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).ok_or(ProcessError::Ended)?;
        kill_process(pid, signal).map_err(|errno| ProcessError::Io { doing: "send a signal", source: errno.into() })
    }

    /// Waits for the first whole line of its standard output that contains `text`, the lines already printed included.
    ///
    /// # Errors
    ///
    /// [`ProcessError::TimedOut`] after `limit`, [`ProcessError::OutputEnded`] when none will come.
    pub async fn stdout_line(&mut self, text: &str, limit: Duration) -> Result<String, ProcessError> {
        let found = tokio::time::timeout(limit, self.stdout.line(text)).await;
        self.explain(found, limit)
    }

    /// The same for its standard error.
    ///
    /// # Errors
    ///
    /// As [`Running::stdout_line`].
    pub async fn stderr_line(&mut self, text: &str, limit: Duration) -> Result<String, ProcessError> {
        let found = tokio::time::timeout(limit, self.stderr.line(text)).await;
        self.explain(found, limit)
    }

    /// Waits for its end and for the end of its output.
    ///
    /// # Errors
    ///
    /// [`ProcessError::TimedOut`] after `limit`, whereupon it is killed.
    pub async fn wait(mut self, limit: Duration) -> Result<Finished, ProcessError> {
        let ended = tokio::time::timeout(limit, async {
            let status = self.child.wait().await;
            self.stdout.ended().await;
            self.stderr.ended().await;
            status
        });
        match ended.await {
            Ok(Ok(status)) => Ok(Finished { status, stdout: self.stdout.text(), stderr: self.stderr.text() }),
            Ok(Err(source)) => Err(ProcessError::Io { doing: "wait for the program", source }),
            Err(_) => Err(self.timed_out("end of the process", limit)),
        }
    }

    fn explain<E>(&self, found: Result<Option<String>, E>, limit: Duration) -> Result<String, ProcessError> {
        match found {
            Ok(Some(line)) => Ok(line),
            Ok(None) => Err(ProcessError::OutputEnded { stderr_tail: self.stderr.tail() }),
            Err(_) => Err(self.timed_out("such line", limit)),
        }
    }

    fn timed_out(&self, what: &'static str, limit: Duration) -> ProcessError {
        ProcessError::TimedOut { what, limit, stderr_tail: self.stderr.tail() }
    }
}

/// What a process left behind. Output that is not UTF-8 has its odd bytes replaced.
#[derive(Debug)]
pub struct Finished {
    /// How it ended: an exit code or a signal.
    pub status: ExitStatus,
    /// Its standard output, at most the first 16 MiB.
    pub stdout: String,
    /// Its standard error, at most the first 16 MiB.
    pub stderr: String,
}

/// Where Cargo put the program called `name`, beside the running test.
///
/// # Errors
///
/// [`ProcessError::NotBuilt`] with the place, [`ProcessError::Io`] when the test cannot tell where it is itself.
pub fn program(name: &str) -> Result<PathBuf, ProcessError> {
    let test = std::env::current_exe().map_err(|source| ProcessError::Io { doing: "locate the test", source })?;
    // Tests are in `deps` of the folder in which programs are; bins that act as tests are in that folder itself.
    let beside = test.parent().unwrap_or(Path::new("."));
    let folder = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(ProcessError::NotBuilt { path }) }
}

/// A stream's bytes so far, and whether more can come.
#[derive(Debug)]
struct Output(watch::Receiver<Vec<u8>>);

impl Output {
    fn capture(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Output {
        let (sender, receiver) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let Some(mut stream) = stream else { return };
            let mut chunk = vec![0; CHUNK_BYTES];
            // Reading goes on beyond the bound, so that the program does not block on a full pipe.
            while let Ok(length @ 1..) = stream.read(&mut chunk).await {
                sender.send_modify(|bytes| {
                    let room = OUTPUT_BYTES.saturating_sub(bytes.len());
                    bytes.extend(chunk.iter().take(length.min(room)));
                });
            }
        });
        Output(receiver)
    }

    async fn line(&mut self, text: &str) -> Option<String> {
        let find = |bytes: &Vec<u8>| {
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
            let whole = String::from_utf8_lossy(bytes.get(..whole)?);
            whole.lines().find(|line| line.contains(text)).map(str::to_owned)
        };
        let seen = self.0.wait_for(|bytes| find(bytes).is_some()).await.ok()?;
        find(&seen)
    }

    async fn ended(&mut self) {
        // The task drops its end when the stream ends.
        while self.0.changed().await.is_ok() {}
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }

    fn tail(&self) -> String {
        let text = self.text();
        text.chars().skip(text.chars().count().saturating_sub(TAIL_CHARS)).collect()
    }
}

/// How much of a stream is kept: far more than a program prints, far less than would hurt.
const OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// One read of a pipe, whose capacity on Linux is 64 KiB.
const CHUNK_BYTES: usize = 64 * 1024;

/// How much of standard error goes into an error: a screenful.
const TAIL_CHARS: usize = 2000;

#[cfg(test)]
mod tests;
