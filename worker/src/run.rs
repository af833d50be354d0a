//! The run: pulling, working and reporting side by side, until told to stop or until nothing is left.
//!
//! What is begun when is [`dispatch`]'s; how a task is worked on and how reports are sent is not known here.

mod dispatch;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use latchkey_vault::{
    Clock, Owing, Vault,
    account_api::AccountApi,
    manager_http::ManagerClient,
    site_http::{Transport, TransportError},
    sites::Sites,
    store::StoreError,
};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Ending, Event},
    report::Reporter,
    site_desk::Desks,
    sources::social::SocialSource,
    work::{Bench, Halt},
};
use dispatch::Dispatch;

/// Who is told what happens.
pub(crate) type Watch = Arc<dyn Fn(Event) + Send + Sync>;

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
    /// Elements of one pull that were no tasks and have no id to fail them by; the most that one pull brought.
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

/// Pulls and works until `stop`, or until idle where the configuration says so.
///
/// After `stop` nothing is begun; what runs may go on for the grace, then it is parked: its attempt is durable and is
/// taken up by the next run.
///
/// # Errors
/// [`RunError`]; whatever happened by then is durable.
pub async fn run(
    vault: Arc<Vault>,
    sites: Arc<Sites>,
    manager: Arc<ManagerClient>,
    config: RunConfig,
    stop: CancellationToken,
    watch: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Summary, RunError> {
    check(&config)?;
    let transport = Transport::new(config.extra_roots_pem.as_deref())?;
    let clock: Arc<dyn Clock> = vault.clock();
    let tally = Arc::new(Tally::default());
    let counted = Arc::clone(&tally);
    let watch: Watch = Arc::new(move |event| {
        counted.count(&event);
        watch(event);
    });
    let bench = Arc::new(Bench {
        vault: Arc::clone(&vault),
        desks: Desks::new(sites, &transport, &clock),
        api: Arc::new(AccountApi::new(Arc::clone(&manager))),
        source: Arc::new(SocialSource::new(manager)),
        bell: Arc::new(Notify::new()),
        watch: Arc::clone(&watch),
        // A child, so that a fatal error of the reporter ends the work as a stop does.
        stop: stop.child_token(),
    });
    let reporter = Reporter {
        vault: Arc::clone(&vault),
        api: Arc::clone(&bench.api),
        source: Arc::clone(&bench.source),
        bell: Arc::clone(&bench.bell),
        watch,
        fatal: bench.stop.clone(),
    };
    let checking = tokio::spawn(check_all(Arc::clone(&vault), bench.stop.clone()));
    let last_round = CancellationToken::new();
    let until = last_round.clone();
    let mut reporting = tokio::spawn(async move { reporter.run(&until).await });
    let mut dispatch = Dispatch::new(bench, config);
    let worked = dispatch.run().await;
    last_round.cancel();
    let reported = match tokio::time::timeout(LAST_REPORTS, &mut reporting).await {
        Ok(Ok(reported)) => reported,
        Ok(Err(panicked)) => {
            tracing::error!(%panicked, "the reporter ended badly; what is owed stays owed");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("reports are left owed: the manager did not take them in time");
            // Nothing may be sent once the run has ended; a report that was under way is in doubt, and durably so.
            reporting.abort();
            let _ = reporting.await;
            Ok(())
        }
    };
    worked?;
    reported?;
    if checking.is_finished() {
        checking.await.unwrap_or(Ok(()))?;
    } else {
        checking.abort();
    }
    let Owing { owed, stuck } = vault.owing().await?;
    let mut summary = tally.summary();
    summary.parked = dispatch.left() as u64;
    summary.malformed = dispatch.malformed();
    (summary.owed, summary.stuck) = (owed as u64, stuck as u64);
    Ok(summary)
}

/// Checks the whole vault beside the work: what is used is checked before its use, so this finds what nobody asks for,
/// a deleted account among it. A finding ends the run.
async fn check_all(vault: Arc<Vault>, end: CancellationToken) -> Result<(), StoreError> {
    let findings = vault.verify(Box::new(|_, _| ())).await?;
    let Some(first) = findings.first() else { return Ok(()) };
    tracing::error!(findings = findings.len(), first = %first.what, "the vault was tampered with; the run is ended");
    end.cancel();
    Err(StoreError::tampered(first.class, first.row))
}

/// Whether a failed read or write of the vault may go better later.
pub(crate) fn passes(error: &StoreError) -> bool {
    matches!(error, StoreError::Full | StoreError::Unknown | StoreError::Io { .. } | StoreError::Database { .. })
}

impl From<Halt> for RunError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::KeyRefused => Self::KeyRefused,
            Halt::Vault(error) => Self::Vault(error),
        }
    }
}

/// Counts of a run.
#[derive(Default)]
struct Tally(Mutex<Summary>);

impl Tally {
    fn count(&self, event: &Event) {
        let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::LoggedIn { .. } => summary.logins += 1,
            Event::Delivered { messages } => summary.delivered += *messages as u64,
            Event::Ended { ending: Ending::Done { .. }, .. } => summary.done += 1,
            Event::Ended { ending: Ending::Failed { .. }, .. } => summary.failed += 1,
            _ => {}
        }
    }

    fn summary(&self) -> Summary {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn check(config: &RunConfig) -> Result<(), RunError> {
    if !(1..=CONCURRENCY_MAX).contains(&config.concurrency) {
        return Err(RunError::Config { field: "concurrency", bounds: "1 to 256" });
    }
    if !(1..=PULL_MAX).contains(&config.pull_limit) {
        return Err(RunError::Config { field: "pull_limit", bounds: "1 to 1000" });
    }
    Ok(())
}

/// Tasks at a time: beyond this the manager and the sites are the limit.
const CONCURRENCY_MAX: usize = 256;
/// The contract's largest `limit`.
const PULL_MAX: u32 = 1000;
/// How long the last reports may take after the work has ended.
const LAST_REPORTS: Duration = Duration::from_secs(20);
