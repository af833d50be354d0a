//! `latchkey-worker`: the worker as a service. Unlocks by identity or credential, never asks anybody.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use latchkey_vault::{Nobody, Opener, SystemClock, Vault};
use latchkey_worker::{
    logging::{self, LogArgs},
    process,
    service::{self, ServeOptions, UNLOCKS_MAX},
    settings::{Folders, Settings, SettingsArgs},
    unlock::{self, Around, UnlockSourceError},
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
    let around = Around {
        vault: &settings.vault.file,
        credentials: credentials.as_deref(),
        keyring: settings.keyring.unwrap_or_default(),
        asks: Arc::new(Nobody),
    };
    let opener = Opener { actor: process::actor(&settings.worker.name), clock: Arc::new(SystemClock::new()?) };
    let options = ServeOptions { concurrency: args.concurrency.map(usize::from), until_idle: args.until_idle };
    let mut unlocks = 0;
    let summary = loop {
        unlocks += 1;
        // Beside the runtime's threads: a keyring or an age plugin may take a while.
        let with = tokio::task::block_in_place(|| source.read(&around))?;
        let vault = Arc::new(Vault::open(&settings.vault, opener.clone(), with).await?);
        let served = service::serve(&settings, options, Arc::clone(&vault), stop.clone(), |_| ()).await;
        let closed = vault.close().await;
        match served {
            Err(error) if error.is_rekeyed() && source.can_be_read_again() && unlocks < UNLOCKS_MAX => {
                tracing::warn!("the vault's keys were changed; unlocking it again");
            }
            served => {
                let summary = served?;
                closed?;
                break summary;
            }
        }
    };
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
