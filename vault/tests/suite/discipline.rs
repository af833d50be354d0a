//! What every crate keeps to where secrets are concerned, asked of its types and of its sources.
//!
//! The sources are read as text: a rule that a compiler does not know.

use std::{
    borrow::Borrow,
    collections::BTreeSet,
    fmt::Display,
    fs,
    hash::Hash,
    ops::Deref,
    path::{Path, PathBuf},
};

use latchkey_vault::{
    AccountSecret, AccountView, Checkout, Edit, Item, ItemChange, NewAccount, NewSlot, Revealed, Secret, UnlockWith,
    cookies::Jar,
    model::{Account, AccountRecord, Fields},
    totp::Totp,
};
use serde::Serialize;
use static_assertions::assert_not_impl_any;

use crate::common::{Folder, account, ask};

/// A value that holds secrets: nothing copies, shows, compares or writes it by accident.
macro_rules! keeps_to_itself {
    ($($kept:ty),* $(,)?) => {$(
        assert_not_impl_any!($kept: Clone, Copy, Display, Serialize, PartialEq, Hash, Deref, AsRef<str>, AsRef<[u8]>);
        assert_not_impl_any!($kept: Borrow<str>, Into<String>, Into<Vec<u8>>);
    )*};
}

keeps_to_itself!(
    Secret,
    Fields,
    Account,
    AccountRecord,
    AccountView,
    Revealed,
    NewAccount,
    Edit,
    Checkout,
    Jar,
    Totp,
    Item,
    ItemChange,
    NewSlot,
    UnlockWith,
);

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_shows_in_the_debug_text_of_what_holds_it() {
    let new = account("ann");
    let mut texts = vec![format!("{new:?}")];
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(new).await.unwrap();
    texts.push(format!("{:?}", vault.reveal(id, &AccountSecret::ALL).await.unwrap()));
    texts.push(format!("{:?}", vault.check_out(id, &ask(0)).await.unwrap()));
    for text in texts {
        assert!(!text.contains("pass-canary") && !text.contains("cookie-canary"), "{text}");
    }
    vault.close().await.unwrap();
}

#[test]
fn every_exposure_of_a_secret_says_why() {
    let mut unsaid = Vec::new();
    let mut exposures = 0;
    for (path, text) in product_sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (no, line) in lines.iter().enumerate().filter(|(_, line)| exposes(line)) {
            exposures += 1;
            // The reason stands above it, in the same piece of code.
            let above = lines[..no].iter().rev().take(LINES_ABOVE).take_while(|line| !line.trim().is_empty());
            if !above.chain([line]).any(|line| line.contains("// EXPOSE: ")) {
                unsaid.push(format!("{}:{}: {}", path.display(), no + 1, line.trim()));
            }
        }
    }
    assert!(unsaid.is_empty(), "{unsaid:#?}");
    assert!(exposures > 30, "{exposures}");
}

#[test]
fn four_ways_lead_out_of_the_vault_to_a_secret_and_each_has_its_entry() {
    // In the audit before: what was asked for, by name; the grant; the grant that the lease is still held by.
    let ways = BTreeSet::from(["reveal", "check_out", "read_secret", "export_session"].map(str::to_owned));
    let mut open = BTreeSet::new();
    let mut functions = 0;
    for (_, text) in product_sources().into_iter().filter(|(path, _)| path.to_str().unwrap().contains("vault/src")) {
        for block in text.split("\nimpl Vault {").skip(1) {
            let block = block.split("\n}").next().unwrap();
            for function in block.split("\n    pub ").skip(1) {
                let Some((name, rest)) = function.split_once("fn ").and_then(|(_, rest)| rest.split_once(['(', '<']))
                else {
                    continue;
                };
                functions += 1;
                let signature = rest.split(" {\n").next().unwrap();
                let gives = signature.rsplit_once("-> ").map_or("", |(_, gives)| gives);
                let words = gives.split(|c: char| !c.is_alphanumeric() && c != '_');
                if words.into_iter().any(|word| HOLD_SECRETS.contains(&word)) {
                    open.insert(name.to_owned());
                }
            }
        }
    }
    assert!(functions > 50, "{functions}");
    assert_eq!(open, ways);
}

#[test]
fn a_program_that_is_started_gets_a_clean_environment() {
    let mut starts = 0;
    for (path, text) in product_sources() {
        assert!(!text.contains("posix_spawn") && !text.contains("fork("), "{}", path.display());
        let lines: Vec<&str> = text.lines().collect();
        for (no, _) in lines.iter().enumerate().filter(|(_, line)| line.contains("Command::new(")) {
            starts += 1;
            // A child inherits what it is not denied, the variable with the manager's key among it.
            let clean = lines[no..].iter().take(LINES_BELOW).any(|line| line.contains(".env_clear()"));
            assert!(clean, "{}:{}", path.display(), no + 1);
        }
    }
    // Plugins of age, in one place; whoever adds another place looks at this test first.
    assert_eq!(starts, 1);
}

#[test]
fn nothing_but_the_printers_writes_to_the_standard_streams() {
    for (path, text) in product_sources() {
        let writes = ["println!", "eprintln!", "print!(", "dbg!("].iter().any(|word| text.contains(word));
        assert!(!writes, "{}", path.display());
    }
}

fn exposes(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    [".expose()", "::expose)", "::expose_secret", ".expose_secret()"].iter().any(|word| code.contains(word))
}

/// The sources of what is delivered, without their tests.
fn product_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in ["vault/src", "worker/src", "cli/src"] {
        sources(&root.join(folder), &mut found);
    }
    assert!(found.len() > 150, "{}", found.len());
    found
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|is| is == "rs") && !["tests", "testing", "raw_server"].contains(&&*name)
        {
            let text = fs::read_to_string(&path).unwrap();
            // Tests stand at the end of a file.
            let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            found.push((path, code));
        }
    }
}

/// The types that an account's secrets lie open in.
const HOLD_SECRETS: [&str; 9] =
    ["Secret", "Fields", "Account", "AccountRecord", "Revealed", "Checkout", "Jar", "SessionRecord", "SessionFile"];
/// A reason covers the statement or the arms below it, and no more.
const LINES_ABOVE: usize = 12;
/// The environment is cleared with the first thing that is said about a child.
const LINES_BELOW: usize = 3;
