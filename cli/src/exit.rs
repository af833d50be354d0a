//! The exit codes, documented once. Knows no error.

use std::process::ExitCode;

/// How the program ends; the numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed for a reason that none of the others names.
    Failure = 1,
    /// Arguments, settings or sites file have to be changed.
    Usage = 2,
    /// There is no vault, the file is none, or there is one already.
    Vault = 3,
    /// The vault cannot be unlocked.
    Locked = 4,
    /// Somebody edited or rolled back the vault, or its anchor is gone.
    Tampering = 5,
    /// The account is unknown, a duplicate, invalid or being changed.
    Account = 6,
    /// The manager refuses or is not reached.
    Manager = 7,
    /// The site blocks the account, or a person has to look.
    Site = 8,
    /// Interrupted by a person.
    Interrupted = 9,
}

impl Exit {
    /// All codes, in order.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Vault,
        Self::Locked,
        Self::Tampering,
        Self::Account,
        Self::Manager,
        Self::Site,
        Self::Interrupted,
    ];

    /// What it means, in the words of the help.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failure => "failed: disk, permissions of the system, or a failing check of `doctor`",
            Self::Usage => "arguments, settings or sites file have to be changed",
            Self::Vault => "no vault, not a vault, a newer vault, or one that exists already",
            Self::Locked => "the vault cannot be unlocked, or nothing was given to unlock it with",
            Self::Tampering => "the vault was edited or rolled back, or its anchor is missing",
            Self::Account => "the account is unknown, ambiguous, a duplicate, invalid or being changed",
            Self::Manager => "the manager refuses or is not reached",
            Self::Site => "the site blocks the account, it is in use, or a person has to look",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The end of the long help: exit codes, and where settings come from.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(HELP);
    for exit in Exit::ALL {
        text.push_str(&format!("\n  {}  {}", exit as u8, exit.meaning()));
    }
    text
}

const HELP: &str = "\
Examples:
  latchkey init --recovery                        make a vault, unlocked by a passphrase
  latchkey account add blog.example --username ann
  latchkey account list --state needs_human
  latchkey session refresh blog.example/ann
  latchkey worker run --until-idle
  latchkey doctor

Settings: flags stand above LATCHKEY_* variables, these above the settings file, that above defaults.
Results go to standard output (JSON with --json), everything else to standard error.

Exit codes:";

#[cfg(test)]
mod tests {
    use super::{Exit, help};

    #[test]
    fn the_codes_are_their_places_and_the_help_has_them_all() {
        let help = help();
        for (place, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(exit as u8), place);
            assert!(help.contains(&format!("\n  {place}  {}", exit.meaning())), "{exit:?}");
        }
    }
}
