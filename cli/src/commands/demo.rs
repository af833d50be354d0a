//! `latchkey demo`: the main job on a vault, a manager and a site of its own, checked against both ledgers.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use latchkey_worker::{Ending, Event, process};
use serde::Serialize;

use crate::{
    context::Globals,
    demo::{ACCOUNTS, Check, DemoError, DemoOptions, Outcome, TASKS, World},
    exit::Exit,
    failure::Failure,
    printer::{Page, Printer, Show, safe},
};

/// Arguments of `demo`.
#[derive(Args, Debug)]
#[command(after_help = "\
Everything happens on loopback and below one folder; nothing of yours is read or changed.

Examples:
  latchkey demo
  latchkey demo --serve ./latchkey-demo     # then, elsewhere: latchkey --config ./latchkey-demo/config.toml account list")]
pub struct DemoArgs {
    /// Put everything into this new folder, and keep manager and site up until Ctrl-C
    #[arg(long, value_name = "DIR")]
    serve: Option<PathBuf>,
    /// Tasks at a time, 1 to 256
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
}

#[derive(Serialize)]
struct Shown {
    right: bool,
    checks: Vec<ShownCheck>,
    failures: BTreeMap<String, u64>,
    folder: PathBuf,
    vault: PathBuf,
    config: PathBuf,
    /// The command of this program, for the lines that tell what to try.
    #[serde(skip)]
    program: String,
    #[serde(skip)]
    serving: bool,
}

#[derive(Serialize)]
struct ShownCheck {
    what: &'static str,
    expected: u64,
    found: u64,
    right: bool,
}

/// Does what was asked.
///
/// # Errors
/// Where the demo could not be run, or a figure is off.
pub async fn run(globals: &Globals, args: DemoArgs) -> Result<(), Failure> {
    let printer = Printer::new(globals.json);
    let stop = process::stop_on_signals(Exit::Interrupted as u8)
        .map_err(|error| Failure::io("waiting for signals", &error))?;
    let folder = folder(args.serve.as_deref())?;
    let options = DemoOptions { folder, concurrency: usize::from(args.concurrency), actor: process::actor("demo") };
    printer.note(format_args!("making a vault with {ACCOUNTS} accounts, a manager with {TASKS} tasks, and a site"));
    let world = World::build(&options).await?;
    let bar = printer.progress("tasks");
    bar.set_length(TASKS as u64);
    let moving = bar.clone();
    let watch = move |event| {
        if let Event::Ended { ending: Ending::Done { .. } | Ending::Failed { .. }, .. } = event {
            moving.inc(1);
        }
    };
    let outcome = world.work(options.concurrency, stop.clone(), watch).await;
    bar.finish_and_clear();
    world.close_vault().await?;
    let outcome = outcome?;
    if stop.is_cancelled() {
        world.shutdown().await;
        return Err(Failure::new(Exit::Interrupted, "interrupted", "the demo was stopped", "run it again"));
    }
    let serving = args.serve.is_some();
    printer.print(&shown(&outcome, &world, serving))?;
    if serving {
        printer.note(format_args!("manager {}, site {}; Ctrl-C ends them", world.manager_url(), world.site_origin()));
        stop.cancelled().await;
    }
    world.shutdown().await;
    if outcome.is_right() {
        return Ok(());
    }
    let off = outcome.checks.iter().filter(|check| !check.is_right()).count();
    Err(Failure::new(
        Exit::Failure,
        "demo_off",
        format!("{off} figure(s) are off"),
        "see the table, and the vault that is kept",
    ))
}

/// The folder of the demo: a new or empty one, or a fresh one among the temporary files, which is kept.
fn folder(serve: Option<&std::path::Path>) -> Result<PathBuf, Failure> {
    let Some(folder) = serve else {
        let made = tempfile::Builder::new().prefix("latchkey-demo-").tempdir();
        return Ok(made.map_err(|error| Failure::io("making a temporary folder", &error))?.keep());
    };
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is not empty", folder.display());
        return Err(Failure::usage(message, "name a folder that is new or empty"));
    }
    std::path::absolute(folder).map_err(|error| Failure::io("reading the folder's path", &error))
}

fn shown(outcome: &Outcome, world: &World, serving: bool) -> Shown {
    let check = |check: &Check| ShownCheck {
        what: check.what,
        expected: check.expected,
        found: check.found,
        right: check.is_right(),
    };
    let folder = world.folder().to_owned();
    Shown {
        right: outcome.is_right(),
        checks: outcome.checks.iter().map(check).collect(),
        failures: outcome.failures.clone(),
        vault: folder.join("vault/vault.db"),
        config: folder.join("config.toml"),
        folder,
        program: std::env::args().next().unwrap_or_else(|| "latchkey".into()),
        serving,
    }
}

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let rows = self.checks.iter().map(|check| {
            let mark = if check.right { "ok" } else { "OFF" };
            vec![check.what.to_owned(), check.expected.to_string(), check.found.to_string(), mark.to_owned()]
        });
        page.table(&["checked against the ledgers", "expected", "found", ""], rows);
        page.line("");
        for (reason, count) in &self.failures {
            page.line(format_args!("{count} task(s) failed: {}", safe(reason)));
        }
        let (program, config) = (safe(&self.program), self.config.display());
        page.line("");
        page.pair("vault", self.vault.display());
        page.pair("settings", &config);
        page.line("\nTry next:");
        for command in
            ["account list", "account show practice.test/user20", "session status", "audit list --limit 20", "verify"]
        {
            page.line(format_args!("  {program} --config {config} {command}"));
        }
        if self.serving {
            page.line(format_args!("  {program} --config {config} session refresh practice.test/user20 --force"));
        } else {
            page.line(format_args!("  rm -r {}    # when you have seen enough", self.folder.display()));
        }
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::new(
            Exit::Failure,
            "demo",
            format!("the demo could not be run: {error}"),
            "see the message; nothing of yours was touched",
        )
    }
}
