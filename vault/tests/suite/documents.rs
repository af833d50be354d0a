//! The documents say what the code does, as far as a program can tell: examples are read, named files and tests exist.
//!
//! Knows the documents by their code blocks and tables, not what they argue.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use latchkey_vault::sites::{Login, Post, Sites, SitesError};

const README: &str = include_str!("../../../README.md");
const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");
const SECURITY: &str = include_str!("../../../SECURITY.md");

#[test]
fn every_sites_file_of_the_readme_is_read() {
    let files: Vec<Sites> = sites_files().into_iter().map(|text| Sites::parse(text).unwrap()).collect();
    let has = |wanted: &dyn Fn(&Login, &Post) -> bool| {
        files.iter().flat_map(Sites::iter).any(|site| wanted(&site.login, &site.post))
    };
    assert!(has(&|login, post| matches!((login, post), (Login::Form(form), Post::Form(_)) if form.totp.is_some())));
    assert!(has(&|login, post| matches!((login, post), (Login::WordPress { .. }, Post::WordPress { .. }))));
}

#[test]
fn a_misspelt_key_in_the_readmes_sites_files_is_refused() {
    for text in sites_files() {
        let refused = Sites::parse(&text.replacen("origins", "origin", 1));
        assert!(matches!(refused, Err(SitesError::Invalid { line: 1.., .. })), "{text}");
    }
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    // A section may name its folder in its heading; a path is relative to that, to the vault's sources, or to the root.
    let mut folder = "";
    let mut missing = Vec::new();
    for line in ARCHITECTURE.lines() {
        if line.starts_with('#') {
            folder = quoted(line).next().unwrap_or_default();
        }
        for path in quoted(line).filter(|text| is_source_path(text)) {
            if ![folder, "vault/src", ""].iter().any(|base| root().join(base).join(path).exists()) {
                missing.push(format!("{folder}{path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(ARCHITECTURE.lines().flat_map(quoted).filter(|text| is_source_path(text)).count() > 100);
}

#[test]
fn every_test_that_shows_a_promise_exists() {
    let tests = test_names();
    let shown = |line: &&str| line.starts_with('|') && line.matches('|').count() == 4;
    let named: BTreeSet<&str> = SECURITY.lines().filter(shown).flat_map(quoted).filter(|t| is_test_name(t)).collect();
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named.len() > 40, "{}", named.len());
}

/// The texts of README's sites files: its TOML blocks, and the one that the tour writes.
fn sites_files() -> Vec<&'static str> {
    let blocks = README.split("```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let written = README.split("<<'END'\n").skip(1).filter_map(|rest| rest.split("\nEND\n").next());
    let files: Vec<_> = blocks.chain(written).filter(|text| text.contains("[[site]]")).collect();
    assert_eq!(files.len(), 3);
    files
}

/// The texts between single backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_source_path(text: &str) -> bool {
    text.ends_with(".rs") && !text.contains(['*', ' '])
}

/// Tests are named by sentences: many words, and nothing but words.
fn is_test_name(text: &str) -> bool {
    text.matches('_').count() >= 3 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The functions that follow a test attribute, or stand among properties, in every crate of the workspace.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["vault", "worker", "cli", "tests"] {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            for after in text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1)) {
                let name = after.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
                names.extend(name.map(str::to_owned));
            }
        }
    }
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true if path.file_name().is_some_and(|name| name == "target") => Vec::new(),
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
