//! From settings to a running worker: the one way that `latchkey worker run` and `latchkey-worker` both take.
//!
//! Knows no terminal; who unlocks the vault is the caller's business.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use latchkey_vault::{Vault, store::StoreError};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    Event, RunConfig, RunError, Summary,
    settings::{ManagerSetupError, Settings, SitesFileError},
};

/// What is asked of this run beside the settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServeOptions {
    /// Tasks at a time, in place of the settings' number.
    pub concurrency: Option<usize>,
    /// Ends once nothing is left to do and nothing is owed.
    pub until_idle: bool,
}

/// Why the worker did not run, or ended before it was told to. Whatever happened by then is durable.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Nobody gives it tasks.
    #[error("no manager is set")]
    NoManager,
    /// The sites file.
    #[error(transparent)]
    Sites(#[from] SitesFileError),
    /// The manager's client.
    #[error(transparent)]
    Manager(#[from] ManagerSetupError),
    /// The certificates for sites cannot be read.
    #[error("the certificates in {} cannot be read: {source}", .path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl ServeError {
    /// Whether it ended since the vault has another root key by now: unlocked again, it can go on.
    #[must_use]
    pub const fn is_rekeyed(&self) -> bool {
        matches!(self, Self::Run(RunError::Vault(StoreError::Rekeyed)))
    }
}

/// Runs the worker on an open vault until `stop`, or until idle; the vault is the caller's to close.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    settings: &Settings,
    options: ServeOptions,
    vault: Arc<Vault>,
    stop: CancellationToken,
    watch: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Summary, ServeError> {
    let sites = settings.read_sites()?;
    let manager = settings.manager.as_ref().ok_or(ServeError::NoManager)?.connect().await?;
    let worker = &settings.worker;
    let config = RunConfig {
        concurrency: options.concurrency.unwrap_or(worker.concurrency),
        pull_limit: worker.pull_limit,
        poll: worker.poll,
        until_idle: options.until_idle,
        grace: GRACE,
        extra_roots_pem: site_roots(settings)?,
    };
    Ok(crate::run(vault, sites, manager, config, stop, watch).await?)
}

/// The further root certificates for sites, PEM.
///
/// # Errors
/// [`ServeError::CaFile`].
pub fn site_roots(settings: &Settings) -> Result<Option<Vec<u8>>, ServeError> {
    let Some(path) = &settings.sites_ca_file else { return Ok(None) };
    fs::read(path).map(Some).map_err(|source| ServeError::CaFile { path: path.clone(), source })
}

/// How often a run is unlocked again: each time a person has removed a key slot in between.
pub const UNLOCKS_MAX: usize = 100;
/// How long running tasks may go on after a stop: less than the 90 s after which systemd kills (TimeoutStopSec).
const GRACE: Duration = Duration::from_secs(60);
