//! The binary's arguments, read by hand: six of them need no parser.
//!
//! Deliberately reads no file and starts nothing.

use std::path::PathBuf;

use latchkey_manager::{ManagerConfig, RepeatRule};
use thiserror::Error;

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print the help and end.
    Help,
    /// Run a manager.
    Serve(Box<Args>),
}

/// A manager's settings, and the files that complete them.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) config: ManagerConfig,
    pub(crate) api_key_file: Option<PathBuf>,
    pub(crate) seed_file: Option<PathBuf>,
}

/// Why the arguments were not understood.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum UsageError {
    #[error("unknown argument {0:?}")]
    Unknown(String),
    #[error("{0} needs a value")]
    NoValue(&'static str),
    #[error("{0} does not take this value")]
    BadValue(&'static str),
}

/// Reads the arguments, without the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
    let mut arguments = arguments.into_iter();
    let mut args = Args::default();
    while let Some(name) = arguments.next() {
        let mut value = |flag: &'static str| arguments.next().ok_or(UsageError::NoValue(flag));
        match name.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "--listen" => args.config.listen = read("--listen", &value("--listen")?)?,
            "--control-listen" => args.config.control_listen = read("--control-listen", &value("--control-listen")?)?,
            "--max-retries" => args.config.max_retries = read("--max-retries", &value("--max-retries")?)?,
            "--api-key-file" => args.api_key_file = Some(value("--api-key-file")?.into()),
            "--seed" => args.seed_file = Some(value("--seed")?.into()),
            "--repeat" => {
                args.config.repeat = match value("--repeat")?.as_str() {
                    "accept" => RepeatRule::Accept,
                    "refuse" => RepeatRule::Refuse,
                    _ => return Err(UsageError::BadValue("--repeat")),
                };
            }
            _ => return Err(UsageError::Unknown(name)),
        }
    }
    Ok(Command::Serve(Box::new(args)))
}

fn read<T: std::str::FromStr>(flag: &'static str, value: &str) -> Result<T, UsageError> {
    value.parse().map_err(|_| UsageError::BadValue(flag))
}

pub(crate) const HELP: &str = "\
The reference manager of the social contract, for tests and practice.

Usage: latchkey-manager [OPTIONS]

  --listen ADDR           address of the API [127.0.0.1:0]
  --control-listen ADDR   address of the control plane [127.0.0.1:0]
  --api-key-file FILE     file with the API key [a random key, printed]
  --seed FILE             JSON with accounts, tasks and raw_tasks to begin with
  --repeat accept|refuse  what a repeated report gets [accept]
  --max-retries N         fails that re-queue a task [3]
  -h, --help              this text
";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_argument_reaches_the_settings() {
        let line = "--listen 127.0.0.1:8 --control-listen 127.0.0.1:9 --api-key-file k --seed s --repeat refuse --max-retries 7";
        let Command::Serve(args) = parsed(line).unwrap() else { panic!("not a serve") };
        assert_eq!(args.config.listen.port(), 8);
        assert_eq!(args.config.control_listen.port(), 9);
        assert_eq!(args.config.max_retries, 7);
        assert_eq!(args.config.repeat, RepeatRule::Refuse);
        assert_eq!(args.api_key_file, Some("k".into()));
        assert_eq!(args.seed_file, Some("s".into()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        fn check(line: &str, expected: UsageError) {
            assert_eq!(parsed(line).unwrap_err(), expected);
        }
        check("--listen", UsageError::NoValue("--listen"));
        check("--listen here", UsageError::BadValue("--listen"));
        check("--repeat maybe", UsageError::BadValue("--repeat"));
        check("--max-retries -1", UsageError::BadValue("--max-retries"));
        check("--verbose", UsageError::Unknown("--verbose".to_owned()));
    }

    #[test]
    fn help_wins_over_what_follows() {
        assert!(matches!(parsed("--help --nonsense").unwrap(), Command::Help));
    }
}
