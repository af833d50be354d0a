//! The demo: a vault, a manager and a site on loopback, and the real worker between them, checked against both ledgers.
//!
//! Prints nothing: it tells a watcher what happens and returns a table. Knows no terminal and no settings.

mod outcome;
mod world;

use std::{path::PathBuf, sync::Arc, time::Duration};

use latchkey_vault::{
    manager_http::{BaseUrl, ManagerClient, ManagerConfig},
    model::Actor,
};
use latchkey_worker::{Event, RunConfig, Summary, run};
pub use outcome::{Check, Outcome};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
pub use world::{ACCOUNTS, Share, TASKS, World};

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where vault, sites file and settings are put; a new folder that must not exist, or be empty.
    pub folder: PathBuf,
    /// Tasks at a time.
    pub concurrency: usize,
    /// Who stands in the audit.
    pub actor: Actor,
}

/// Why the demo could not be run.
#[derive(Debug, Error)]
#[error("{during}: {source}")]
pub struct DemoError {
    during: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// What `map_err` needs to say during what something failed.
fn during<E: Into<Box<dyn std::error::Error + Send + Sync>>>(during: &'static str) -> impl FnOnce(E) -> DemoError {
    move |source| DemoError { during, source: source.into() }
}

impl World {
    /// Runs the real worker until nothing is left, and compares what the ledgers say with what must have happened.
    ///
    /// # Errors
    /// [`DemoError`] when the run itself could not be made; figures that are off are in the outcome.
    pub async fn work(
        &self,
        concurrency: usize,
        stop: CancellationToken,
        watch: impl Fn(Event) + Send + Sync + 'static,
    ) -> Result<Outcome, DemoError> {
        let config = ManagerConfig {
            base_url: BaseUrl::parse(self.manager.base_url(), false).map_err(during("reading the manager's URL"))?,
            key: latchkey_vault::Secret::copy_of(self.manager.api_key()),
            timeout: Duration::from_secs(30),
            user_agent: concat!("Latchkey/", env!("CARGO_PKG_VERSION"), " (demo)").into(),
            extra_roots_pem: None,
        };
        let client = Arc::new(ManagerClient::new(config).map_err(during("making the manager's client"))?);
        let config = RunConfig {
            concurrency,
            pull_limit: 50,
            poll: Duration::from_millis(200),
            until_idle: true,
            grace: Duration::from_secs(30),
            extra_roots_pem: None,
        };
        let ran: Summary = run(Arc::clone(&self.vault), Arc::clone(&self.sites), client, config, stop, watch)
            .await
            .map_err(during("running the worker"))?;
        self.compare(ran).await
    }
}
