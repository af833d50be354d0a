//! Questions to the person at the terminal: secrets without echo, and yes or no. Asks nobody else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
};

use latchkey_vault::Secret;

use crate::failure::Failure;

/// Whether there is a person to ask: a terminal that shows questions, and one that answers come from.
#[must_use]
pub fn is_possible() -> bool {
    io::stderr().is_terminal() && File::open(TERMINAL).is_ok()
}

/// Asks for a secret; what is typed is not shown. The answer may be empty.
///
/// # Errors
/// Where the terminal cannot be read, or the person interrupts.
pub fn secret(question: &str) -> Result<Secret, Failure> {
    rpassword::prompt_password(format!("{question}: ")).map(Secret::new).map_err(|error| refused(&error))
}

/// Asks for a yes; everything else is a no.
///
/// # Errors
/// As [`secret`].
pub async fn confirm(question: &str) -> Result<bool, Failure> {
    let question = format!("{question} [y/N]: ");
    // Beside the runtime's threads, so that Ctrl-C is heard while the answer is waited for.
    let answer = tokio::task::spawn_blocking(move || line(&question)).await;
    let answer = answer.unwrap_or_else(|stopped| Err(io::Error::other(stopped))).map_err(|error| refused(&error))?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// A person's yes, by `--yes` or by an answer.
///
/// # Errors
/// Where there is neither: nothing is to be done then.
pub async fn insist(yes: bool, question: &str) -> Result<(), Failure> {
    if yes || (is_possible() && confirm(question).await?) {
        return Ok(());
    }
    Err(Failure::usage("this needs a person's yes", "look again, then add --yes; nothing was changed"))
}

fn line(question: &str) -> io::Result<String> {
    write!(io::stderr(), "{question}")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    BufReader::new(File::open(TERMINAL)?.take(LINE_MAX_BYTES)).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

fn refused(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::Interrupted => Failure::interrupted(),
        _ => Failure::io("asking on the terminal", error),
    }
}

const TERMINAL: &str = "/dev/tty";
/// A terminal's line has at most 4096 bytes (termios(3), canonical mode).
const LINE_MAX_BYTES: u64 = 4096;
