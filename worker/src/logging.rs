//! Logs to standard error, as text or as JSON lines. Results never go this way, and no field of a log is a secret.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Logs")]
pub struct LogArgs {
    /// What is logged: error, warn, info, debug, trace, or by module
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_LOG",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILTER"
    )]
    pub log: Option<String>,
    /// How logs are written
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_LOG_FORMAT",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FORMAT"
    )]
    pub log_format: Option<LogFormat>,
}

/// The form of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter is not one.
#[derive(Debug, Error)]
#[error("--log (or LATCHKEY_LOG) is not a filter: write `info`, or `latchkey_vault=debug,warn`")]
pub struct NotAFilter;

/// Starts logging for the whole process; `default` where the arguments name no filter.
///
/// # Errors
/// [`NotAFilter`].
pub fn start(args: &LogArgs, default: &str) -> Result<(), NotAFilter> {
    let filter = EnvFilter::builder().parse(args.log.as_deref().unwrap_or(default)).map_err(|_| NotAFilter)?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ansi = !no_color && io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(ansi);
    // A second start, in tests that run commands in one process, keeps the first.
    let _ = match args.log_format.unwrap_or_default() {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
