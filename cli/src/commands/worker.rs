//! `latchkey worker run`: the worker in the foreground, stopped by Ctrl-C or SIGTERM.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use latchkey_worker::{
    Ending, Event, Summary, process,
    service::{self, ServeOptions, UNLOCKS_MAX},
};
use serde::Serialize;

use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Printer, Show, safe},
};

/// What is done with the worker.
#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// Pull tasks, work on them, report; until stopped
    Run(RunArgs),
}

/// Arguments of `worker run`.
#[derive(Args, Debug)]
#[command(after_help = "\
SIGTERM or Ctrl-C ends it in order: running tasks are finished or parked, reports are sent. A second Ctrl-C ends it at
once; nothing that was committed is lost.

Examples:
  latchkey worker run --until-idle
  latchkey worker run --concurrency 32 --log info")]
pub struct RunArgs {
    /// End once nothing is left to do and nothing is owed
    #[arg(long)]
    until_idle: bool,
    /// Tasks at a time, 1 to 256
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: Option<u16>,
}

#[derive(Serialize)]
struct Ran {
    vault: PathBuf,
    done: u64,
    failed: u64,
    logins: u64,
    delivered: u64,
    parked: u64,
    malformed: u64,
    owed: u64,
    stuck: u64,
}

/// Does what was asked.
///
/// # Errors
/// Where the worker cannot start, or cannot go on.
pub async fn run(cx: &Context, WorkerCommand::Run(args): WorkerCommand) -> Result<(), Failure> {
    // Before the vault is opened, so that no signal is missed.
    let stop = process::stop_on_signals(Exit::Interrupted as u8)
        .map_err(|error| Failure::io("waiting for signals", &error))?;
    let options = ServeOptions { concurrency: args.concurrency.map(usize::from), until_idle: args.until_idle };
    let printer = cx.printer;
    let mut unlocks = 0;
    let summary = loop {
        unlocks += 1;
        let ran = cx
            .with_vault(async |vault| {
                let watch = move |event| tell(printer, &event);
                match service::serve(&cx.settings, options, Arc::clone(vault), stop.clone(), watch).await {
                    Err(error) if error.is_rekeyed() && cx.unlocks_by_itself() && unlocks < UNLOCKS_MAX => Ok(None),
                    served => Ok(Some(served?)),
                }
            })
            .await?;
        match ran {
            Some(summary) => break summary,
            None => printer.note("the vault's keys were changed; unlocking it again"),
        }
    };
    let Summary { done, failed, logins, delivered, parked, malformed, owed, stuck } = summary;
    let vault = cx.settings.vault.file.clone();
    printer.print(&Ran { vault, done, failed, logins, delivered, parked, malformed, owed, stuck })
}

/// One line for each thing that happened.
fn tell(printer: Printer, event: &Event) {
    match event {
        Event::Pulled { new } => printer.note(format_args!("pulled {new} task(s)")),
        Event::LoggedIn { account } => printer.note(format_args!("logged in: account {account}")),
        Event::Ended { task, domain, ending } => {
            let (task, domain) = (safe(task), safe(domain));
            match ending {
                Ending::Done { link } => printer.note(format_args!("done: task {task} at {domain}: {}", safe(link))),
                Ending::Failed { reason } => {
                    printer.note(format_args!("failed: task {task} at {domain}: {}", safe(reason)))
                }
                Ending::Parked { reason } => {
                    printer.note(format_args!("later: task {task} at {domain}: {}", safe(reason)))
                }
                Ending::Known => printer.note(format_args!("known: task {task} at {domain} was ended before")),
            }
        }
        Event::KeyRefused => printer.warn("the manager refuses the API key"),
        Event::ManagerAway { why } => printer.warn(format_args!("the manager is not reached: {}", safe(why))),
        // Beginnings and deliveries are many and say little.
        _ => {}
    }
}

impl Show for Ran {
    fn show(&self, page: &mut Page) {
        for (name, count) in [
            ("done", self.done),
            ("failed", self.failed),
            ("parked", self.parked),
            ("malformed", self.malformed),
            ("logins", self.logins),
            ("delivered", self.delivered),
            ("still owed", self.owed),
            ("stuck", self.stuck),
        ] {
            page.pair(name, count);
        }
    }
}
