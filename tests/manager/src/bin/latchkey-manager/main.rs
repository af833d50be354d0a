//! `latchkey-manager`: the reference manager, run by hand.
//!
//! Prints its URLs and keys as `name=value` lines, serves until SIGTERM or Ctrl-C, and ends clean.
//! Deliberately knows nothing of the contract: the library does.

mod args;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use latchkey_manager::{AddError, Manager, Seed, StartError};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use args::{Args, Command, UsageError};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even the error cannot be written, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "latchkey-manager: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Why the binary ends in failure.
#[derive(Debug, Error)]
enum RunError {
    #[error("{0}\n\n{help}", help = args::HELP)]
    Usage(#[from] UsageError),
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge(PathBuf),
    #[error("{0} is no seed")]
    Seed(PathBuf, #[source] serde_json::Error),
    #[error("the seed cannot be added")]
    Add(#[from] AddError),
    #[error("cannot start")]
    Start(#[from] StartError),
    #[error("cannot wait for signals or write to standard output")]
    Io(#[from] io::Error),
}

async fn run() -> Result<(), RunError> {
    let args = match args::parse(std::env::args().skip(1))? {
        Command::Help => return Ok(io::stdout().write_all(args::HELP.as_bytes())?),
        Command::Serve(args) => *args,
    };
    let Args { mut config, api_key_file, seed_file } = args;
    // Before anything listens, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate())?;
    if let Some(path) = &api_key_file {
        config.api_key = Some(read_file(path)?.trim().to_owned());
    }
    let seed = match seed_file {
        Some(path) => serde_json::from_str(&read_file(&path)?).map_err(|error| RunError::Seed(path, error))?,
        None => Seed::default(),
    };
    let manager = Manager::start(config).await?;
    manager.sow(seed)?;
    announce(&manager, api_key_file.is_none())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    manager.shutdown().await;
    Ok(())
}

/// Prints what a client needs; a key that came from a file is not repeated.
fn announce(manager: &Manager, with_key: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "base_url={}", manager.base_url())?;
    writeln!(out, "control_url={}", manager.control_url())?;
    writeln!(out, "control_token={}", manager.control_token())?;
    if with_key {
        writeln!(out, "api_key={}", manager.api_key())?;
    }
    out.flush()
}

fn read_file(path: &Path) -> Result<String, RunError> {
    let failed = |error| RunError::Read(path.to_owned(), error);
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)).map_err(failed)?;
    if read as u64 > MAX_FILE_BYTES { Err(RunError::TooLarge(path.to_owned())) } else { Ok(text) }
}

/// An error with its causes, on one line.
fn chain(error: &RunError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// As much as the control plane takes in one body.
const MAX_FILE_BYTES: u64 = 64 << 20;
