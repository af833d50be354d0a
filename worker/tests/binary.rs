//! The service's binary: it never asks, and says what is missing.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::process::{Command, Output};

fn run(home: &tempfile::TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-worker"));
    command.args(args).env_clear().env("HOME", home.path()).current_dir(home.path()).output().unwrap()
}

#[test]
fn without_anything_that_unlocks_it_ends_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    for (args, code, piece) in [
        (&[][..], 1, "nothing is given that unlocks"),
        (&["--identity", "nowhere.txt"], 1, "nowhere.txt does not exist"),
        (&["--config", "nowhere.toml"], 1, "nowhere.toml does not exist"),
        (&["--concurrency", "0"], 2, "concurrency"),
        (&["--log", "=,="], 1, "not a filter"),
    ] {
        let output = run(&home, args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), &b""[..]), "{args:?}: {stderr}");
        assert!(stderr.contains(piece), "{args:?}: {stderr}");
    }
}
