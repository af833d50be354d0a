//! Makes every attack twice: with all defences in place, and in a patched copy with the attack's defence taken away.
//!
//! The first time each test has to pass, the second time it has to fail: otherwise it shows nothing. It knows the rows and
//! the patches, not what an attack or a defence is.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use latchkey_tests::attacks::{AttackError, Build, Mutant, Outcome, ROWS, Row, Shown, patched_copy, root, test_names};

/// Make the attacks that the vault has to survive, with each defence in place and taken away.
///
/// Prints a table of rows and ends with `N passed, M failed`. The second side is a copy of the sources below
/// `target/attacks`, with the patches of `tests/mutants` applied; the first build of it takes minutes.
#[derive(Debug, Parser)]
#[command(name = "attacks", after_help = "Examples:\n  attacks\n  attacks 5 16 36\n  attacks --list")]
struct Args {
    /// Rows, by number; all where none is given
    #[arg(value_name = "ROW", value_parser = clap::value_parser!(u8).range(1..=ROWS.len() as i64))]
    rows: Vec<u8>,
    /// List rows, tests and patches, and make no attack
    #[arg(long)]
    list: bool,
}

/// What is run for one row.
struct Case<'a> {
    row: Option<Row>,
    tests: Vec<String>,
    shown: Vec<(&'a Mutant, &'a Shown)>,
}

/// How a row went.
struct Verdict {
    passed: usize,
    noticed: usize,
    /// What went wrong, a paragraph each.
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Where even the error cannot be written, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "attacks: {error}");
            ExitCode::from(2)
        }
    }
}

/// The number of rows that failed.
fn run(args: &Args) -> Result<usize, AttackError> {
    let root = root()?;
    let mutants = Mutant::all(&root)?;
    let names = test_names(&root)?;
    let cases = cases(args, &mutants, &names);
    if args.list {
        return list(&cases).map(|()| 0);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let own = target.join("attacks");
    patched_copy(&root, &mutants, &own.join("tree"))?;
    let with = Build::make(&root, &target, &[])?;
    // Only the dependencies are optimised here: the build takes half as long, and no test is about speed.
    let plain: Vec<_> = CRATES.iter().map(|name| format!("profile.release.package.{name}.opt-level=0")).collect();
    let without = Build::make(&own.join("tree"), &own.join("build"), &plain)?;
    let mut failed = 0;
    say(format_args!("{:>3}  {:<32} {:>8} {:>9}", "row", "attack", "with", "without"))?;
    for case in &cases {
        let verdict = judge(case, &with, &without)?;
        let sound = verdict.wrong.is_empty();
        failed += usize::from(!sound);
        let (no, attack) = case.row.map_or(("-".to_owned(), "beside the rows"), |row| (row.no.to_string(), row.attack));
        let stood = format!("{}/{}", verdict.passed, case.tests.len());
        let fell = format!("{}/{}", verdict.noticed, case.shown.len());
        say(format_args!("{no:>3}  {attack:<32} {stood:>8} {fell:>9}  {}", if sound { "ok" } else { "FAILED" }))?;
        for wrong in verdict.wrong {
            say(format_args!("     {}", wrong.trim().replace('\n', "\n     ")))?;
        }
    }
    say(format_args!("with: tests that pass; without: defences whose tests fail once they are out"))?;
    say(format_args!("{} passed, {failed} failed", cases.len() - failed))?;
    Ok(failed)
}

/// The rows asked for, and what is beside the rows where all are.
fn cases<'a>(args: &Args, mutants: &'a [Mutant], names: &[String]) -> Vec<Case<'a>> {
    let asked = ROWS.into_iter().filter(|row| args.rows.is_empty() || args.rows.contains(&row.no)).map(Some);
    let beside = args.rows.is_empty().then_some(None);
    asked
        .chain(beside)
        .map(|row| {
            let shown: Vec<_> = mutants
                .iter()
                .flat_map(|mutant| mutant.shown.iter().map(move |shown| (mutant, shown)))
                .filter(|(_, shown)| Row::of_test(&shown.test) == row)
                .collect();
            let tests: BTreeSet<_> = match row {
                Some(_) => names.iter().filter(|name| Row::of_test(name) == row).cloned().collect(),
                None => shown.iter().map(|(_, shown)| shown.test.clone()).collect(),
            };
            Case { row, tests: tests.into_iter().collect(), shown }
        })
        .collect()
}

fn judge(case: &Case<'_>, with: &Build, without: &Build) -> Result<Verdict, AttackError> {
    let mut verdict = Verdict { passed: 0, noticed: 0, wrong: Vec::new() };
    for name in &case.tests {
        match with.find(name)?.run(&[])? {
            Outcome::Passed => verdict.passed += 1,
            Outcome::Failed(why) => verdict.wrong.push(format!("{name} fails with every defence in place:\n{why}")),
        }
    }
    let mut sound = BTreeSet::new();
    for (mutant, shown) in &case.shown {
        let test = without.find(&shown.test)?;
        // A test that fails in the copy anyway would show nothing.
        if sound.insert(&shown.test)
            && let Outcome::Failed(why) = test.run(&[])?
        {
            verdict.wrong.push(format!("{} fails in the copy with every defence in place:\n{why}", shown.test));
        }
        let out: Vec<_> = [mutant.name.as_str()].into_iter().chain(shown.also.iter().map(String::as_str)).collect();
        match test.run(&out)? {
            Outcome::Failed(_) => verdict.noticed += 1,
            Outcome::Passed => {
                verdict.wrong.push(format!("{} passes without its defence: {}", shown.test, out.join(", ")));
            }
        }
    }
    if case.tests.is_empty() || case.shown.is_empty() {
        verdict.wrong.push("nothing shows it".into());
    }
    Ok(verdict)
}

fn list(cases: &[Case<'_>]) -> Result<(), AttackError> {
    for case in cases {
        match case.row {
            Some(row) => say(format_args!("{:>3}  {}", row.no, row.attack))?,
            None => say(format_args!("  -  beside the rows"))?,
        }
        for name in &case.tests {
            say(format_args!("       {name}"))?;
        }
        let patches: BTreeSet<_> = case.shown.iter().map(|(mutant, _)| (&mutant.name, &mutant.what)).collect();
        for (name, what) in patches {
            say(format_args!("       {name}.patch: {what}"))?;
        }
    }
    Ok(())
}

/// One line of standard output, at once.
fn say(line: std::fmt::Arguments<'_>) -> Result<(), AttackError> {
    let mut out = io::stdout().lock();
    let io = |source| AttackError::Io { doing: "write the table", source };
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(io)
}

/// The workspace's own crates.
const CRATES: [&str; 6] = [
    "latchkey-vault",
    "latchkey-worker",
    "latchkey-cli",
    "latchkey-manager",
    "latchkey-practice-site",
    "latchkey-tests",
];
