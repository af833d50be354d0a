//! Questions to the person at the terminal: secrets without echo, lines, and yes or no. Asks nobody else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
};

use latchkey_vault::Secret;

use crate::{exit::Exit, failure::Failure};

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

/// Asks for a line.
///
/// # Errors
/// As [`secret`].
pub fn line(question: &str) -> Result<String, Failure> {
    let ask = || {
        write!(io::stderr(), "{question}: ")?;
        io::stderr().flush()?;
        let mut answer = String::new();
        BufReader::new(File::open(TERMINAL)?.take(LINE_MAX_BYTES)).read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    };
    ask().map_err(|error| refused(&error))
}

/// Asks for a yes; everything else is a no.
///
/// # Errors
/// As [`secret`].
pub fn confirm(question: &str) -> Result<bool, Failure> {
    let answer = line(&format!("{question} [y/N]"))?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// A person's yes, by `--yes` or by an answer.
///
/// # Errors
/// Where there is neither: nothing is to be done then.
pub fn insist(yes: bool, question: &str) -> Result<(), Failure> {
    if yes || (is_possible() && confirm(question)?) {
        return Ok(());
    }
    Err(Failure::usage("this needs a person's yes", "look again, then add --yes; nothing was changed"))
}

fn refused(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::Interrupted => {
            Failure::new(Exit::Interrupted, "interrupted", "interrupted at a question", "nothing was changed")
        }
        _ => Failure::io("asking on the terminal", error),
    }
}

const TERMINAL: &str = "/dev/tty";
/// A terminal's line has at most 4096 bytes (termios(3), canonical mode).
const LINE_MAX_BYTES: u64 = 4096;
