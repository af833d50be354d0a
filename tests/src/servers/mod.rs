//! Real servers, each private to the test that starts it: its own folder, port, process group and users.
//!
//! What a server needs is installed by `./scripts/test`. A missing program is an error that names the package, never a
//! reason to skip. How Latchkey talks to a server is deliberately not known here.

mod sandbox;
mod wordpress;

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

pub use wordpress::{Admin, LoginCount, Media, Post, WordPress};

/// Why a server could not be started or asked. Messages quote the server's own log, which holds no one's secrets but
/// the fixture's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FixtureError {
    /// Something that the server consists of is not installed.
    #[error("{program} is missing: run ./scripts/test, or as root apt-get install --no-install-recommends {package}")]
    Missing {
        /// The program, or the folder.
        program: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// A file or a process could not be handled.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A program of the server's ended with an error.
    #[error("{program} ended with {status}: {log}")]
    Failed {
        /// Which program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server did not get there in time.
    #[error("{program}: not done within {} ms: {log}", limit.as_millis())]
    TimedOut {
        /// Which program.
        program: &'static str,
        /// How long was waited.
        limit: Duration,
        /// The end of its log.
        log: String,
    },
    /// The server could not be reached over HTTP, or its answer was not read.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
    /// The server answered something else than expected.
    #[error("{program} gave an answer that is not understood: {what}")]
    Answer {
        /// Which program.
        program: &'static str,
        /// What about it.
        what: String,
    },
}

impl FixtureError {
    fn io(doing: &'static str) -> impl FnOnce(io::Error) -> FixtureError {
        move |source| FixtureError::Io { doing, source }
    }
}

/// Installs ring as this process's TLS provider, without which building an HTTP client panics.
pub fn install_tls_provider() {
    // An error means that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
