//! The sources: where they are, which tests they have, and a copy of them with every patch applied.
//!
//! Nothing is ever patched in place.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{AttackError, Mutant, tail};

/// The checkout that this program was built from.
///
/// # Errors
/// [`AttackError::NoCheckout`] where it is not there any more.
pub fn root() -> Result<PathBuf, AttackError> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().unwrap_or(here);
    let present = ["Cargo.toml", "tests/mutants", ".git"].iter().all(|name| root.join(name).exists());
    if present { Ok(root.to_owned()) } else { Err(AttackError::NoCheckout { path: root.to_owned() }) }
}

/// Makes `tree` a copy of the sources with every patch applied, and leaves what has not changed since the last time as it
/// is, so that Cargo builds the difference only.
///
/// # Errors
/// [`AttackError::Stale`] for a patch that does not fit.
pub fn patched_copy(root: &Path, mutants: &[Mutant], tree: &Path) -> Result<(), AttackError> {
    let fresh = tempfile::tempdir().map_err(|source| AttackError::Io { doing: "make a folder", source })?;
    let files = tracked(root)?;
    for file in &files {
        let text = match fs::read(root.join(file)) {
            // Deleted, but not yet in the index.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(|source| AttackError::Io { doing: "read a source", source })?,
        };
        write(&fresh.path().join(file), &text)?;
    }
    for mutant in mutants {
        apply(fresh.path(), mutant)?;
    }
    let wanted = files_below(fresh.path())?;
    for file in &wanted {
        let text =
            fs::read(fresh.path().join(file)).map_err(|source| AttackError::Io { doing: "read a copy", source })?;
        if fs::read(tree.join(file)).ok().as_ref() != Some(&text) {
            write(&tree.join(file), &text)?;
        }
    }
    for file in files_below(tree)?.difference(&wanted) {
        fs::remove_file(tree.join(file)).map_err(|source| AttackError::Io { doing: "remove a copy", source })?;
    }
    Ok(())
}

/// The names of all tests in the sources: the functions that follow a test's attribute, or stand among properties.
///
/// # Errors
/// [`AttackError::Io`].
pub fn test_names(root: &Path) -> Result<Vec<String>, AttackError> {
    let mut names = Vec::new();
    for file in tracked(root)?.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for after in text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1)) {
            let name = after.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            names.extend(name.map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

fn apply(tree: &Path, mutant: &Mutant) -> Result<(), AttackError> {
    // No fuzz: a line that moved is found, a line that changed is not guessed at.
    let words = ["-p1", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-", "-i"];
    let output = Command::new("patch")
        .args(words)
        .arg(&mutant.patch)
        .current_dir(tree)
        .output()
        .map_err(|source| AttackError::Io { doing: "run `patch`", source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(AttackError::Stale { name: mutant.name.clone(), tail: tail(&output.stdout) })
}

/// What belongs to the sources: what Git tracks, and what it does not ignore.
fn tracked(root: &Path) -> Result<BTreeSet<PathBuf>, AttackError> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|source| AttackError::Io { doing: "run `git`", source })?;
    if !output.status.success() {
        return Err(AttackError::Program { program: "git ls-files", tail: tail(&output.stderr) });
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

/// Every file below a folder, relative to it; none where the folder is not there.
fn files_below(folder: &Path) -> Result<BTreeSet<PathBuf>, AttackError> {
    let io = |source| AttackError::Io { doing: "list a copy", source };
    let (mut files, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop().filter(|next| next.exists()) {
        for entry in fs::read_dir(next).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(file) = path.strip_prefix(folder) {
                files.insert(file.to_owned());
            }
        }
    }
    Ok(files)
}

fn write(path: &Path, text: &[u8]) -> Result<(), AttackError> {
    let io = |source| AttackError::Io { doing: "write a copy", source };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(io)?;
    fs::write(path, text).map_err(io)
}
