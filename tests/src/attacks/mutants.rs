//! The patches that take defences away, read by their heads.
//!
//! ```text
//! The MAC that every row carries is not compared.
//!
//! Test: attack_08_a_lease_cannot_be_edited
//! Test: attack_01_a_sealed_blob_of_another_record_is_refused (also out: seal-id, bucket-read)
//!
//! --- a/vault/src/store/sqlite/tables.rs
//! ```
//!
//! Each `Test` has to fail in a copy with every patch applied once the switch of this one is on, and those of the patches
//! named behind it: where several defences stand behind one another, a test sees only all of them go. Does not know what a
//! patch changes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::AttackError;

/// One patch: a defence that can be taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Its name: the file's, and the switch's in the patched copy.
    pub name: String,
    /// What is taken away, in a sentence.
    pub what: String,
    /// The tests that have to fail without it.
    pub shown: Vec<Shown>,
    /// The file.
    pub patch: PathBuf,
}

/// A test that has to fail once a defence is out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The test's name, without its modules.
    pub test: String,
    /// Which other defences have to be out for the test to see it.
    pub also: Vec<String>,
}

impl Mutant {
    /// Every patch of this checkout, in the order in which they apply: by name.
    ///
    /// # Errors
    /// [`AttackError::Head`] for a patch without a sentence or a test, or one that names a patch that is not there.
    pub fn all(root: &Path) -> Result<Vec<Self>, AttackError> {
        let io = |source| AttackError::Io { doing: "read the patches", source };
        let entries = fs::read_dir(root.join(FOLDER)).map_err(io)?;
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(io)?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
        files.sort();
        let mutants: Vec<Self> = files
            .into_iter()
            .map(|patch| {
                let text = fs::read_to_string(&patch).map_err(io)?;
                Self::read(patch, &text)
            })
            .collect::<Result<_, _>>()?;
        for mutant in &mutants {
            for also in mutant.shown.iter().flat_map(|shown| &shown.also) {
                if !mutants.iter().any(|other| other.name == *also) {
                    return Err(mutant.head("it names a patch that is not there"));
                }
            }
        }
        Ok(mutants)
    }

    /// Whether it is the one that brings the switch along and takes nothing away.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.name == SWITCH
    }

    fn read(patch: PathBuf, text: &str) -> Result<Self, AttackError> {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let head = text.split("\n--- ").next().unwrap_or_default();
        let what = head.lines().next().unwrap_or_default().to_owned();
        let shown = head.lines().filter_map(|line| line.strip_prefix("Test: ")).map(Shown::read).collect();
        let mutant = Self { name, what, shown, patch };
        if mutant.what.is_empty() || head.len() == text.len() {
            return Err(mutant.head("it has no sentence or changes nothing"));
        }
        if mutant.shown.is_empty() != mutant.is_switch() {
            return Err(mutant.head("each patch but the switch names the tests that fail with it"));
        }
        Ok(mutant)
    }

    fn head(&self, what: &'static str) -> AttackError {
        AttackError::Head { name: self.name.clone(), what }
    }
}

impl Shown {
    fn read(line: &str) -> Self {
        let (test, also) = line.split_once(" (also out: ").unwrap_or((line, ""));
        let also = also.trim_end_matches(')').split(", ").filter(|name| !name.is_empty());
        Self { test: test.trim().to_owned(), also: also.map(str::to_owned).collect() }
    }
}

/// Where the patches lie, below the root.
const FOLDER: &str = "tests/mutants";
/// The patch that the others build on: it adds the switch.
const SWITCH: &str = "00-switch";
