//! Questions to the person at the terminal: secrets without echo, yes or no, and those of age plugins. Asks nobody else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    sync::Arc,
};

use latchkey_vault::{Asks, Nobody, Secret};

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

/// Whom an age plugin asks: the person at the terminal, or nobody where there is none.
#[must_use]
pub fn for_plugins() -> Arc<dyn Asks> {
    if is_possible() { Arc::new(Person) } else { Arc::new(Nobody) }
}

/// The person at the terminal. What a plugin says has been made fit for it.
struct Person;

impl Asks for Person {
    fn tell(&self, message: &str) {
        // Where even this cannot be written, the plugin waits in vain, and its time ends.
        let _ = writeln!(io::stderr(), "{message}");
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let question = format!("{message} (y: {yes}, n: {}) [y/N]: ", no.unwrap_or("no"));
        line(&question).ok().map(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }

    fn public(&self, message: &str) -> Option<String> {
        line(&format!("{message}: ")).ok()
    }

    fn secret(&self, message: &str) -> Option<Secret> {
        secret(message).ok()
    }
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
