//! Sessions as files of other programs have them: Playwright's storageState, Netscape's cookies.txt, a `Cookie` header, and a
//! JSON form of our own that loses nothing.
//!
//! Pure: knows no vault, no file and no clock. What is read is scoped by the same rules as a response's cookies.

mod json;
mod netscape;
mod storage_state;
mod tree;

use thiserror::Error;
use url::Url;

use crate::{
    Secret,
    cookies::{FlatError, Jar, Refusal, ScopedCookie},
    limits::{SESSION_FILE_MAX_BYTES, SESSION_STORAGE_MAX_BYTES},
};

/// A form that sessions are read and written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionFormat {
    /// Playwright's `storageState`: cookies and web storage; fields that are not known survive.
    StorageState,
    /// Netscape's cookies.txt, as curl, wget and Python's `MozillaCookieJar` read it; no web storage.
    Netscape,
    /// The value of a `Cookie` header for the site's origin; no scopes, no ends, no web storage.
    Header,
    /// Our own JSON: every cookie with its whole scope, and the web storage.
    Json,
}

/// What a session consists of, apart from its login.
#[derive(Debug, Default)]
pub struct SessionFile {
    /// The cookies.
    pub jar: Jar,
    /// Whatever else a storageState says: origins with their web storage, and fields that are not known; JSON text.
    pub(crate) storage: Option<Secret>,
    left_out: usize,
}

/// Why a text is no session of a format, or a session cannot be written in it. No message holds any of the text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionFormatError {
    /// It is longer than any session.
    #[error("the session has {bytes} bytes, more than {max}", max = SESSION_FILE_MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// What is in it beside cookies is too long to be kept.
    #[error("the session's web storage has {bytes} bytes, more than {max}", max = SESSION_STORAGE_MAX_BYTES)]
    StorageTooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not JSON.
    #[error("the session is not JSON")]
    NotJson,
    /// It is JSON of another shape.
    #[error("the session's {what} is not what the format has there")]
    Shape {
        /// Which part.
        what: &'static str,
    },
    /// A cookie of it has another shape than the format gives cookies.
    #[error("cookie {cookie} of the session is not what the format has there")]
    Cookie {
        /// Which, from 1.
        cookie: usize,
    },
    /// A line of cookies.txt has not the seven fields, or others than the format has.
    #[error("line {line} is not a line of cookies.txt")]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// It is a `Cookie` header that cannot be taken.
    #[error(transparent)]
    Header(#[from] FlatError),
    /// It holds no cookie that could be kept.
    #[error("the session holds no cookie that can be kept")]
    Empty,
    /// A value with a tab cannot be written as a line of cookies.txt.
    #[error("a cookie holds a tab, which cookies.txt has no way to write")]
    Tab,
}

impl SessionFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::StorageState, Self::Netscape, Self::Header, Self::Json];

    /// Reads a session; cookies that are over or break a rule of their names or domains are left out and counted.
    ///
    /// `origin` is the site's: a header has no scope of its own and gets it.
    ///
    /// # Errors
    /// [`SessionFormatError`].
    pub fn read(self, text: &Secret, origin: &Url, now_ms: i64) -> Result<SessionFile, SessionFormatError> {
        // EXPOSE: its length is looked at, then it is taken apart into the values that the jar is for.
        let text = text.expose();
        if text.len() > SESSION_FILE_MAX_BYTES {
            return Err(SessionFormatError::TooLong { bytes: text.len() });
        }
        let file = match self {
            Self::StorageState => storage_state::read(text, now_ms)?,
            Self::Netscape => netscape::read(text, now_ms)?,
            Self::Json => json::read(text, now_ms)?,
            Self::Header => {
                let text = text.trim();
                let named = text.get(..HEADER_NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(HEADER_NAME));
                let flat = if named { &text[HEADER_NAME.len()..] } else { text };
                let mut file = SessionFile::default();
                file.jar.import_flat(origin, &Secret::copy_of(flat), now_ms)?;
                file
            }
        };
        if file.jar.is_empty() {
            return Err(SessionFormatError::Empty);
        }
        match file.storage.as_ref().map(Secret::len) {
            Some(bytes) if bytes > SESSION_STORAGE_MAX_BYTES => Err(SessionFormatError::StorageTooLong { bytes }),
            _ => Ok(file),
        }
    }

    /// Writes a session; cookies that are over at `now_ms` are left out.
    ///
    /// # Errors
    /// [`SessionFormatError::Empty`], [`SessionFormatError::Tab`], [`SessionFormatError::Shape`].
    pub fn write(self, file: &SessionFile, origin: &Url, now_ms: i64) -> Result<Secret, SessionFormatError> {
        match self {
            Self::StorageState => storage_state::write(file, now_ms),
            Self::Netscape => netscape::write(file, now_ms),
            Self::Header => file.jar.header_for(origin, now_ms).ok_or(SessionFormatError::Empty),
            Self::Json => json::write(file, now_ms),
        }
    }
}

impl SessionFile {
    /// A session of these parts.
    pub(crate) fn new(jar: Jar, storage: Option<Secret>) -> Self {
        Self { jar, storage, left_out: 0 }
    }

    /// Cookies of the text that were over, or broke a rule, and were not taken.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether there is more than cookies.
    #[must_use]
    pub fn has_storage(&self) -> bool {
        self.storage.is_some()
    }

    fn take(&mut self, cookie: ScopedCookie<'_>, now_ms: i64) {
        let taken: Result<(), Refusal> = self.jar.insert(cookie, now_ms);
        self.left_out += usize::from(taken.is_err());
    }
}

const HEADER_NAME: &str = "Cookie:";

#[cfg(test)]
mod tests;
