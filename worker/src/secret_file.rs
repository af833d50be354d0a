//! Reading a secret from a private file, a systemd credential, a descriptor or standard input: bounded, checked, wiped.
//!
//! Knows nothing of what the secret is for.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use latchkey_vault::{Secret, limits};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a secret was not read. No message holds any of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// There is no such file or descriptor.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// Others could read it, or it is not a plain file of its own.
    #[error("{} is not private: {why}; {mend}", .path.display())]
    Unsafe {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// It cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// It is longer than any secret.
    #[error("{} has more than {max} bytes", .path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How many are read.
        max: usize,
    },
    /// It is not UTF-8.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
}

/// Reads a file that only its owner can read (0600 or 0400), the owner being this user or root; no symbolic link.
///
/// # Errors
/// [`SecretFileError`].
pub fn read_private(path: &Path) -> Result<Secret, SecretFileError> {
    read_private_up_to(path, limits::SECRET_MAX_BYTES)
}

/// The same for a file of at most `max` bytes that holds many secrets.
///
/// # Errors
/// [`SecretFileError`].
pub fn read_private_up_to(path: &Path, max: usize) -> Result<Secret, SecretFileError> {
    // The modes of the owner alone: nobody else may read, and nobody else may have written.
    read_checked(path, 0o077, "chmod 600 it", max)
}

/// Reads a systemd credential: for another user than root systemd grants it by an ACL, whose mask shows as the group's
/// right to read (systemd.exec(5), CREDENTIALS).
///
/// # Errors
/// [`SecretFileError`].
pub fn read_credential(path: &Path) -> Result<Secret, SecretFileError> {
    let mend = "let systemd place it: LoadCredential= or LoadCredentialEncrypted=";
    read_checked(path, 0o037, mend, limits::SECRET_MAX_BYTES)
}

/// Reads an open descriptor of this process to its end.
///
/// # Errors
/// [`SecretFileError`].
pub fn read_fd(fd: u32) -> Result<Secret, SecretFileError> {
    let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
    let file = open(&path, 0)?;
    read_bounded(&path, file, limits::SECRET_MAX_BYTES)
}

/// Reads standard input to its end, at most `max` bytes.
///
/// # Errors
/// [`SecretFileError`].
pub fn read_stdin(max: usize) -> Result<Secret, SecretFileError> {
    read_bounded(Path::new("standard input"), io::stdin().lock(), max)
}

/// Whether a file of these modes and this owner is private, as [`read_private`] asks for.
#[must_use]
pub fn is_private(meta: &Metadata) -> bool {
    objection(meta, 0o077, "").is_none()
}

fn read_checked(path: &Path, others: u32, mend: &'static str, max: usize) -> Result<Secret, SecretFileError> {
    // Not blocking: a pipe in the file's place would stall the open.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = open(path, flags.bits().cast_signed())?;
    let meta = file.metadata().map_err(|source| SecretFileError::Io { path: path.to_owned(), source })?;
    if let Some((why, mend)) = objection(&meta, others, mend) {
        return Err(SecretFileError::Unsafe { path: path.to_owned(), why, mend });
    }
    read_bounded(path, file, max)
}

fn objection(meta: &Metadata, others: u32, mend: &'static str) -> Option<(&'static str, &'static str)> {
    let own = rustix::process::geteuid().as_raw();
    if !meta.is_file() {
        Some(("it is not a plain file", "check the path"))
    } else if meta.uid() != own && meta.uid() != 0 {
        Some(("it belongs to another user", "chown it to the user that runs latchkey"))
    } else if meta.mode() & others != 0 {
        Some(("others may read or write it", mend))
    } else {
        None
    }
}

fn open(path: &Path, flags: i32) -> Result<File, SecretFileError> {
    use rustix::io::Errno;
    File::options().read(true).custom_flags(flags).open(path).map_err(|source| match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => SecretFileError::Missing(path.to_owned()),
        // What O_NOFOLLOW answers to a link.
        Some(Errno::LOOP) => SecretFileError::Unsafe {
            path: path.to_owned(),
            why: "it is a symbolic link",
            mend: "give the path of the file itself",
        },
        _ => SecretFileError::Io { path: path.to_owned(), source },
    })
}

/// The text without the line break at its end.
fn read_bounded(path: &Path, from: impl Read, max: usize) -> Result<Secret, SecretFileError> {
    // Room for all of it at once, so that no half of it stays behind where the buffer was before it grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max + 1));
    from.take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| SecretFileError::Io { path: path.to_owned(), source })?;
    if bytes.len() > max {
        return Err(SecretFileError::TooLarge { path: path.to_owned(), max });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretFileError::NotText(path.to_owned()))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() { Err(SecretFileError::Empty(path.to_owned())) } else { Ok(Secret::copy_of(text)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::{SecretFileError, read_bounded, read_credential, read_private};

    #[test]
    fn only_private_plain_files_with_text_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (mode, bytes, private, credential) in [
            (0o600, &b"text\n"[..], true, true),
            (0o400, b"text\r\n", true, true),
            (0o440, b"text", false, true),
            (0o604, b"text", false, false),
            (0o620, b"text", false, false),
            (0o600, b"\n", false, false),
            (0o600, b"", false, false),
            (0o600, b"\xff\xfe", false, false),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            for (read, expected) in [(read_private(&path), private), (read_credential(&path), credential)] {
                assert_eq!(read.is_ok_and(|text| text.expose() == "text"), expected, "{mode:o} {bytes:?}");
            }
        }
    }

    #[test]
    fn links_folders_and_absent_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("key"), dir.path().join("link"));
        assert!(matches!(read_private(&path), Err(SecretFileError::Missing(_))));
        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&path, &link).unwrap();
        assert!(matches!(read_private(&link), Err(SecretFileError::Unsafe { why: "it is a symbolic link", .. })));
        assert!(matches!(read_private(dir.path()), Err(SecretFileError::Unsafe { .. })));
    }

    #[test]
    fn one_byte_more_than_allowed_is_refused() {
        let path = std::path::Path::new("input");
        assert_eq!(read_bounded(path, &b"abc"[..], 3).unwrap().expose(), "abc");
        assert!(matches!(read_bounded(path, &b"abcd"[..], 3), Err(SecretFileError::TooLarge { max: 3, .. })));
    }
}
