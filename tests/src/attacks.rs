//! The attacks that the vault has to survive, row by row: which tests make each of them, and which patches show that those
//! tests can fail.
//!
//! A test whose name begins with `attack_NN_` makes the attack of row NN. A patch of `tests/mutants` takes one defence
//! away, behind a switch that only a patched copy of the sources has. Knows neither the attacks nor the defences.

mod build;
mod mutants;
mod tree;

pub use build::{Build, Outcome, TestId};
pub use mutants::{Mutant, Shown};
pub use tree::{patched_copy, root, test_names};

use std::{io, path::PathBuf};

use thiserror::Error;

/// One row: what an attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number, which its tests have in their names.
    pub no: u8,
    /// The attack in a few words.
    pub attack: &'static str,
}

impl Row {
    /// The row that a test belongs to, by the test's name; none for a test of no row.
    #[must_use]
    pub fn of_test(name: &str) -> Option<Self> {
        let no: u8 = name.strip_prefix("attack_")?.get(..2)?.parse().ok()?;
        ROWS.into_iter().find(|row| row.no == no)
    }
}

/// Why the attacks were not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttackError {
    /// The program does not lie in a checkout of the sources any more.
    #[error("there is no checkout at {}: run it with `cargo run --release --bin attacks` from the sources", path.display())]
    NoCheckout {
        /// Where the sources were when this was built.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A program that is needed ended badly, or is not there.
    #[error("`{program}` failed: {tail}")]
    Program {
        /// Which one.
        program: &'static str,
        /// The last of what it said.
        tail: String,
    },
    /// A patch does not say what a patch has to say.
    #[error("{name}.patch: {what}")]
    Head {
        /// The patch.
        name: String,
        /// What is missing.
        what: &'static str,
    },
    /// A patch does not fit the sources any more.
    #[error("{name}.patch does not apply any more; make it again from the lines as they are now: {tail}")]
    Stale {
        /// The patch.
        name: String,
        /// What `patch` said.
        tail: String,
    },
    /// A patch names a test that is not there, or more than once.
    #[error("there are {found} tests called {name}, one is expected")]
    Test {
        /// The name.
        name: String,
        /// How many were found.
        found: usize,
    },
}

/// The last lines of a program's output, for an error.
fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let from = text.char_indices().rev().nth(TAIL_CHARS).map_or(0, |(at, _)| at);
    text.get(from..).unwrap_or_default().trim().to_owned()
}

/// How much of an output goes into an error: a screenful.
const TAIL_CHARS: usize = 2000;

/// Every row, by number.
pub const ROWS: [Row; 43] = [
    Row { no: 1, attack: "row swap" },
    Row { no: 2, attack: "field swap" },
    Row { no: 3, attack: "transplant from another vault" },
    Row { no: 4, attack: "stale row" },
    Row { no: 5, attack: "whole-file rollback" },
    Row { no: 6, attack: "silent deletion" },
    Row { no: 7, attack: "duplication" },
    Row { no: 8, attack: "lease forgery" },
    Row { no: 9, attack: "bit flips" },
    Row { no: 10, attack: "truncate, extend, empty" },
    Row { no: 11, attack: "format downgrade" },
    Row { no: 12, attack: "tag or MAC stripped" },
    Row { no: 13, attack: "algorithm swap" },
    Row { no: 14, attack: "key derivation weakened" },
    Row { no: 15, attack: "key derivation bomb" },
    Row { no: 16, attack: "root key substituted" },
    Row { no: 17, attack: "recipient injected" },
    Row { no: 18, attack: "removed recipient comes back" },
    Row { no: 19, attack: "slot list rolled back" },
    Row { no: 20, attack: "two-key ciphertext" },
    Row { no: 21, attack: "nonce reuse" },
    Row { no: 22, attack: "crash in a re-key" },
    Row { no: 23, attack: "forged re-key journal" },
    Row { no: 24, attack: "planted trigger" },
    Row { no: 25, attack: "planted view, CHECK or column" },
    Row { no: 26, attack: "schema version lowered" },
    Row { no: 27, attack: "crafted journal or log" },
    Row { no: 28, attack: "residue of old bytes" },
    Row { no: 29, attack: "metadata in the files" },
    Row { no: 30, attack: "blind index dictionary" },
    Row { no: 31, attack: "length of a password" },
    Row { no: 32, attack: "audit restamped" },
    Row { no: 33, attack: "audit truncated" },
    Row { no: 34, attack: "malformed pages" },
    Row { no: 35, attack: "planted files and modes" },
    Row { no: 36, attack: "checkout race" },
    Row { no: 37, attack: "stale holder" },
    Row { no: 38, attack: "clock set back, another boot" },
    Row { no: 39, attack: "import bombs" },
    Row { no: 40, attack: "cookie exfiltration" },
    Row { no: 41, attack: "hostile site or manager" },
    Row { no: 42, attack: "canaries in every output" },
    Row { no: 43, attack: "one half of a combined slot" },
];

#[cfg(test)]
mod tests;
