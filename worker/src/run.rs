//! The run's face: its configuration, its summary, and its end.

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    Owing, Vault, manager_http::ManagerClient, site_http::TransportError, sites::Sites, store::StoreError,
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::event::Event;

/// How a run goes.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Tasks at a time: 1 to 256.
    pub concurrency: usize,
    /// Tasks asked for in one pull: 1 to 1000.
    pub pull_limit: u32,
    /// The pause between pulls that bring nothing new.
    pub poll: Duration,
    /// Ends once nothing is left to do and nothing is owed.
    pub until_idle: bool,
    /// How long running tasks may go on after a stop before they are parked.
    pub grace: Duration,
    /// Further root certificates for sites, PEM.
    pub extra_roots_pem: Option<Vec<u8>>,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tasks whose post exists.
    pub done: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Logins sent that succeeded.
    pub logins: u64,
    /// Messages delivered to the manager.
    pub delivered: u64,
    /// Tasks that were put off and not ended in this run.
    pub parked: u64,
    /// Elements of pulls that were no tasks and have no id to fail them by.
    pub malformed: u64,
    /// What is owed at the end.
    pub owed: u64,
    /// What is stuck at the end.
    pub stuck: u64,
}

/// Why a run ended before it was told to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration is out of bounds.
    #[error("{field} must be {bounds}")]
    Config {
        /// Which setting.
        field: &'static str,
        /// What it may be.
        bounds: &'static str,
    },
    /// The client for sites could not be made.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The manager refuses the API key. Everything is kept; nothing was pulled after that.
    #[error("the manager refuses the API key (401): pulling is stopped, everything is kept; check the key")]
    KeyRefused,
    /// The vault cannot go on.
    #[error(transparent)]
    Vault(#[from] StoreError),
}

/// Waits until `stop`, or until idle where the configuration says so, and says what is owed.
///
/// # Errors
/// [`RunError`].
pub async fn run(
    vault: Arc<Vault>,
    _sites: Arc<Sites>,
    _manager: Arc<ManagerClient>,
    config: RunConfig,
    stop: CancellationToken,
    _watch: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Summary, RunError> {
    if !config.until_idle {
        stop.cancelled().await;
    }
    let Owing { owed, stuck } = vault.owing().await?;
    Ok(Summary { owed: owed as u64, stuck: stuck as u64, ..Summary::default() })
}
