//! The command line: arguments, settings, one command, one printer. What is done to a vault is the vault's.
//!
//! One verb, one file, in [`commands`]. Only [`printer`] writes to standard output; [`failure`] says what went wrong.

pub mod account_ref;
pub mod commands;
pub mod context;
#[cfg(feature = "demo")]
pub mod demo;
pub mod exit;
pub mod failure;
pub mod printer;
pub mod prompt;
pub mod secret_input;
pub mod time;

use std::ffi::OsString;

use clap::{
    CommandFactory, FromArgMatches, Parser,
    builder::StyledStr,
    error::{ContextKind, ContextValue},
};
use latchkey_worker::logging;

use crate::{
    commands::Command,
    context::Globals,
    exit::Exit,
    failure::Failure,
    printer::{Printer, safe},
};

/// An encrypted vault for the credentials and live sessions of a team's accounts
///
/// Latchkey seals credentials, lends sessions instead of passwords, and logs in once however many workers need it. It acts
/// only on sites that you list as authorised, and stops at every challenge, lock and ban.
#[derive(Debug, Parser)]
#[command(name = "latchkey", version, max_term_width = 110, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    globals: Globals,
}

/// Runs one command line (the program's name first) and says how it ended; prints whatever there is to print.
///
/// Needs a multi-threaded Tokio runtime.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, args.iter().any(|arg| arg == "--json")),
    };
    let printer = Printer::new(cli.globals.json);
    let started =
        logging::start(&cli.globals.logs, "warn").map_err(|error| Failure::usage(error.to_string(), "mend it"));
    let ended = match started {
        Ok(()) => until_interrupted(cli).await,
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit
        }
    }
}

/// Runs the command; Ctrl-C ends those that only touch the vault. What runs a worker ends itself in order.
async fn until_interrupted(cli: Cli) -> Result<(), Failure> {
    use Command::{Account, Anchor, Audit, Doctor, Init, Key, Lease, Outbox, Session, Totp, Verify};
    let only_vault = matches!(
        cli.command,
        Init(_)
            | Key(_)
            | Account(_)
            | Totp(_)
            | Session(_)
            | Lease(_)
            | Outbox(_)
            | Audit(_)
            | Verify(_)
            | Anchor(_)
            | Doctor(_)
    );
    let running = commands::run(cli.globals, cli.command);
    if !only_vault {
        return running.await;
    }
    tokio::select! {
        // First, so that no signal is missed.
        biased;
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        ended = running => ended,
    }
}

fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = Cli::command().after_long_help(exit::help()).try_get_matches_from(args).map_err(escaped)?;
    Cli::from_arg_matches(&matches).map_err(escaped)
}

/// What clap repeats of the arguments, with what could steer a terminal escaped; its own colours stay.
fn escaped(mut error: clap::Error) -> clap::Error {
    let context: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in context {
        // Advice is told without its colours: they cannot be told from those of an argument that it repeats.
        let plain = |text: StyledStr| StyledStr::from(safe(&text.to_string()));
        let value = match value {
            ContextValue::String(text) => ContextValue::String(safe(&text)),
            ContextValue::Strings(texts) => ContextValue::Strings(texts.iter().map(|text| safe(text)).collect()),
            ContextValue::StyledStr(text) if kind != ContextKind::Usage => ContextValue::StyledStr(plain(text)),
            ContextValue::StyledStrs(texts) => ContextValue::StyledStrs(texts.into_iter().map(plain).collect()),
            other => other,
        };
        error.insert(kind, value);
    }
    error
}

/// What clap says: help and version are results, the rest are failures.
fn usage(error: &clap::Error, json: bool) -> Exit {
    let rendered = error.render();
    if !error.use_stderr() {
        return printer::print_help(rendered.ansi());
    }
    if json {
        let text = rendered.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Printer::new(true).failure(&Failure::usage(message, "see `latchkey --help`"));
    } else {
        // Where even this cannot be written, the exit code is all that is left.
        let _ = error.print();
    }
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_arguments_do_not_contradict_one_another() {
        Cli::command().debug_assert();
    }
}
