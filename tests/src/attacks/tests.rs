//! Every row has its test and its patch, and every patch fits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeSet, fs, process::Command};

use super::{AttackError, Mutant, ROWS, Row, patched_copy, root, test_names};

#[test]
fn every_patch_applies_in_its_turn() {
    let (root, copy) = (root().unwrap(), tempfile::tempdir().unwrap());
    let mutants = Mutant::all(&root).unwrap();
    patched_copy(&root, &mutants, copy.path()).unwrap_or_else(|error| panic!("{error}"));
    let vault = fs::read_to_string(copy.path().join("vault/src/store/lease.rs")).unwrap();
    assert!(vault.contains("mutant::is("), "the copy is patched");
    assert!(!fs::read_to_string(root.join("vault/src/store/lease.rs")).unwrap().contains("mutant::is("));
}

#[test]
fn a_patch_that_does_not_fit_is_named() {
    let (root, folder) = (root().unwrap(), tempfile::tempdir().unwrap());
    let patch = folder.path().join("stale.patch");
    fs::write(&patch, "--- a/README.md\n+++ b/README.md\n@@ -1,1 +1,1 @@\n-not this line\n+another\n").unwrap();
    let stale = Mutant { name: "stale".into(), what: String::new(), shown: Vec::new(), patch };
    let refused = patched_copy(&root, &[stale], &folder.path().join("tree"));
    assert!(matches!(refused, Err(AttackError::Stale { name, .. }) if name == "stale"));
}

#[test]
fn what_was_not_changed_is_not_written_again_and_what_is_gone_goes() {
    let (root, copy) = (root().unwrap(), tempfile::tempdir().unwrap());
    patched_copy(&root, &[], copy.path()).unwrap();
    let written = || fs::metadata(copy.path().join("Cargo.toml")).unwrap().modified().unwrap();
    let first = written();
    fs::write(copy.path().join("vault/more.rs"), "").unwrap();
    patched_copy(&root, &[], copy.path()).unwrap();
    assert_eq!(written(), first);
    assert!(!copy.path().join("vault/more.rs").exists());
    let same = Command::new("cmp").arg(root.join("Cargo.lock")).arg(copy.path().join("Cargo.lock")).status();
    assert!(same.unwrap().success());
}

#[test]
fn every_row_has_a_test_and_a_patch_without_which_it_fails() {
    let root = root().unwrap();
    let (names, mutants) = (test_names(&root).unwrap(), Mutant::all(&root).unwrap());
    let shown: Vec<_> = mutants.iter().flat_map(|mutant| &mutant.shown).collect();
    let missing: Vec<_> = ROWS
        .into_iter()
        .filter(|row| {
            let tested = names.iter().any(|name| Row::of_test(name).as_ref() == Some(row));
            !tested || !shown.iter().any(|shown| Row::of_test(&shown.test).as_ref() == Some(row))
        })
        .collect();
    assert_eq!(missing, []);
    // One name, one test: a patch names its tests without their modules.
    let named: BTreeSet<_> = shown.iter().map(|shown| &shown.test).collect();
    let wrong: Vec<_> =
        named.into_iter().filter(|test| names.iter().filter(|name| name == test).count() != 1).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_rows_are_numbered_without_a_gap_and_tests_find_theirs() {
    assert!(ROWS.iter().zip(1..).all(|(row, no)| row.no == no));
    assert_eq!(Row::of_test("attack_07_a_copy").map(|row| row.no), Some(7));
    for other in ["attack_7_a", "attack_00_a", "attack_44_a", "an_attack_07_a", "attack_"] {
        assert_eq!(Row::of_test(other), None, "{other}");
    }
}
