//! The bench runs, on little data, and prints each row with both sides and its demand. No time is judged here.

use std::{path::Path, process::Command};

use serde_json::Value;

#[test]
fn the_bench_prints_every_row_with_both_sides_and_its_demand() {
    let folder = tempfile::tempdir().unwrap();
    let figures = bench(folder.path(), &[]);
    for row in ["1", "2", "3", "9", "11", "12", "verify"] {
        let of_row: Vec<_> = figures.iter().filter(|figure| figure["row"] == row).collect();
        assert!(of_row.iter().any(|figure| figure["demand"].is_object()), "{row}: {figures:#?}");
        for figure in of_row {
            assert!(figure["ratio"].as_f64().unwrap() > 0.0, "{figure}");
            assert!(["yardstick", "ours"].iter().all(|side| !figure[side].as_str().unwrap().is_empty()), "{figure}");
        }
    }

    // The data set is kept and used again; one of another format is made anew.
    let marker = folder.path().join("1200/complete.json");
    let made = || std::fs::metadata(&marker).unwrap().modified().unwrap();
    let first = made();
    assert!(bench(folder.path(), &["9"]).iter().all(|figure| figure["row"] == "9"));
    assert_eq!(made(), first);
    std::fs::write(&marker, "{}").unwrap();
    bench(folder.path(), &["9"]);
    assert_ne!(std::fs::read_to_string(&marker).unwrap(), "{}");
}

#[test]
fn a_row_that_does_not_exist_is_refused_and_the_others_are_named() {
    let ran = Command::new(env!("CARGO_BIN_EXE_bench")).arg("99").output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("verify"), "{said}");
}

/// The figures; whether their demands are met is not asked.
fn bench(folder: &Path, rows: &[&str]) -> Vec<Value> {
    let ran = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--json", "--large", "1200", "--effort", "0", "--dir"])
        .arg(folder)
        .args(rows)
        .output()
        .unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    report["figures"].as_array().unwrap().clone()
}
