//! `latchkey-worker`: the worker as a service. Unlocks by identity or credential, never asks anybody.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use latchkey_vault::{Opener, SystemClock, Vault};
use latchkey_worker::{
    logging::{self, LogArgs},
    process,
    service::{self, ServeOptions},
    settings::{Folders, Settings, SettingsArgs},
    unlock::{self, UnlockSourceError},
};

/// Pulls tasks from the manager, works on them at authorised sites, reports.
///
/// It never prompts: give an identity file, or a systemd credential named `latchkey`. SIGTERM and SIGINT end it in
/// order; a second SIGINT ends it at once.
#[derive(Debug, Parser)]
#[command(name = "latchkey-worker", version)]
struct Args {
    /// End once nothing is left to do and nothing is owed
    #[arg(long)]
    until_idle: bool,
    /// Tasks at a time, 1 to 256
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: Option<u16>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    logs: LogArgs,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    process::harden();
    process::quiet_panics("latchkey-worker");
    let args = Args::parse();
    let ended = logging::start(&args.logs, "info")
        .map_err(Failure::from)
        .and_then(|()| tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&args)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even the error cannot be written, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "latchkey-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    // Before anything is opened, so that no signal is missed.
    let stop = process::stop_on_signals(INTERRUPTED)?;
    let settings = Settings::load(&args.settings, &Folders::of_user()?)?;
    let credentials = unlock::credentials_folder();
    let source = unlock::source(settings.unlock.as_ref(), credentials.as_deref()).ok_or(UnlockSourceError::Nothing)?;
    let with = source.read(credentials.as_deref())?;
    let opener = Opener { actor: process::actor(&settings.worker.name), clock: Arc::new(SystemClock::new()?) };
    let vault = Arc::new(Vault::open(&settings.vault, opener, with).await?);
    let options = ServeOptions { concurrency: args.concurrency.map(usize::from), until_idle: args.until_idle };
    let served = service::serve(&settings, options, Arc::clone(&vault), stop, |_| ()).await;
    let closed = vault.close().await;
    let summary = served?;
    closed?;
    tracing::info!(
        done = summary.done,
        failed = summary.failed,
        logins = summary.logins,
        delivered = summary.delivered,
        parked = summary.parked,
        owed = summary.owed,
        stuck = summary.stuck,
        "the worker has ended"
    );
    Ok(())
}

/// The exit code after a second SIGINT, as `latchkey` has it.
const INTERRUPTED: u8 = 9;
