//! A new private file with an age identity; gone again unless it is kept. Knows no vault.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// A file that this process made, removed when it is dropped and not kept.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    kept: bool,
}

impl NewFile {
    /// Writes an identity to a new file, mode 0600, in the form of age-keygen; durable when this returns.
    ///
    /// # Errors
    /// Where there is a file already, which is left as it is, or it cannot be written.
    pub(super) fn identity(path: &Path, public: &str, identity: &str) -> Result<Self, Failure> {
        let failed = |error: &io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                let message = format!("{} exists already and is left as it is", path.display());
                Failure::usage(message, "name a file that does not exist yet; nothing was made")
            }
            _ => Failure::io(&format!("writing {}", path.display()), error),
        };
        let mut file =
            File::options().write(true).create_new(true).mode(0o600).open(path).map_err(|error| failed(&error))?;
        let made = Self { path: path.to_owned(), kept: false };
        // Piece by piece, so that no further copy of the identity is made on the way.
        let written = writeln!(file, "# public key: {public}").and_then(|()| {
            file.write_all(identity.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
        written.map_err(|error| failed(&error))?;
        Ok(made)
    }

    /// Leaves the file where it is.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // A key that opens nothing is only in the way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{fs, os::unix::fs::PermissionsExt};

    use super::NewFile;

    #[test]
    fn a_file_is_private_refuses_to_overwrite_and_goes_unless_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let made = NewFile::identity(&path, "age1x", "AGE-SECRET-KEY-1X").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# public key: age1x\nAGE-SECRET-KEY-1X\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(NewFile::identity(&path, "age1y", "AGE-SECRET-KEY-1Y").is_err());
        drop(made);
        assert!(!path.exists());
        NewFile::identity(&path, "age1z", "AGE-SECRET-KEY-1Z").unwrap().keep();
        assert!(fs::read_to_string(&path).unwrap().contains("1Z"));
    }
}
