//! The run: pull, hand out, wait, report; until told to stop, or until nothing is left.
//!
//! Everything is bounded: tasks at a time, tasks known, pulls, waits. Knows nothing of how a task is worked on.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use latchkey_vault::{
    Clock, ItemKind, Owing, Vault,
    account_api::AccountApi,
    manager_http::{Class, ManagerClient},
    site_http::{Transport, TransportError},
    sites::Sites,
    store::StoreError,
};
use thiserror::Error;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    attempt::{Held, State},
    event::{Ending, Event},
    report::Reporter,
    site_desk::Desks,
    sources::social::{OneError, PostTask, SocialSource},
    work::{Bench, Halt, Next},
};

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
        stop: stop.clone(),
    });
    let reporter = Reporter {
        vault: Arc::clone(&vault),
        api: Arc::clone(&bench.api),
        source: Arc::clone(&bench.source),
        bell: Arc::clone(&bench.bell),
        watch,
    };
    let done_reporting = CancellationToken::new();
    let until = done_reporting.clone();
    let reporting = tokio::spawn(async move { reporter.run(&until).await });
    let mut dispatch = Dispatch::new(Arc::clone(&bench), config.clone());
    let ended = dispatch.run().await;
    done_reporting.cancel();
    match tokio::time::timeout(LAST_REPORTS, reporting).await {
        Ok(Ok(reported)) => reported?,
        Ok(Err(panicked)) => tracing::error!(%panicked, "the reporter ended badly; what is owed stays owed"),
        Err(_) => tracing::warn!("reports are left owed: the manager did not take them in time"),
    }
    ended?;
    let Owing { owed, stuck } = vault.owing().await?;
    let mut summary = tally.summary();
    summary.parked = dispatch.waiting() as u64;
    summary.malformed = dispatch.malformed;
    (summary.owed, summary.stuck) = (owed as u64, stuck as u64);
    Ok(summary)
}

/// Counts of a run.
#[derive(Default)]
struct Tally(std::sync::Mutex<Summary>);

/// A task that is known to this run.
struct Waiting {
    task: Arc<PostTask>,
    /// Not before this time.
    due: Instant,
    /// Tries that counted.
    tries: u32,
}

/// What a worked task leaves behind.
struct Worked {
    waiting: Waiting,
    next: Result<Next, Halt>,
}

struct Dispatch {
    bench: Arc<Bench>,
    config: RunConfig,
    queue: VecDeque<Waiting>,
    running: JoinSet<Worked>,
    /// Task and account of what runs, by the runtime's id of it.
    at_work: HashMap<tokio::task::Id, (String, String)>,
    /// Ids that are queued or running.
    known: HashSet<String>,
    /// When a task ended in this run: the manager's list may show it until its report has arrived.
    ended: HashMap<String, Instant>,
    pull_at: Instant,
    failures: u32,
    malformed: u64,
    key_refused: bool,
    /// Whether the last pull brought nothing new.
    dry: bool,
}

impl Dispatch {
    fn new(bench: Arc<Bench>, config: RunConfig) -> Self {
        Self {
            bench,
            config,
            queue: VecDeque::new(),
            running: JoinSet::new(),
            at_work: HashMap::new(),
            known: HashSet::new(),
            ended: HashMap::new(),
            pull_at: Instant::now(),
            failures: 0,
            malformed: 0,
            key_refused: false,
            dry: false,
        }
    }

    fn waiting(&self) -> usize {
        self.queue.len() + self.at_work.len()
    }

    async fn run(&mut self) -> Result<(), RunError> {
        let stop = self.bench.stop.clone();
        self.take_up().await?;
        while !stop.is_cancelled() && !self.key_refused {
            if Instant::now() >= self.pull_at && self.queue.len() < self.config.concurrency * QUEUE_PER_PLACE {
                self.pull().await?;
            }
            self.hand_out();
            if self.config.until_idle && self.is_idle().await? {
                return Ok(());
            }
            let wake = self.wake_at();
            tokio::select! {
                Some(worked) = self.running.join_next_with_id(), if !self.running.is_empty() => self.took(worked)?,
                () = tokio::time::sleep_until(wake) => {}
                () = stop.cancelled() => {}
            }
        }
        self.wind_down().await?;
        if self.key_refused { Err(RunError::KeyRefused) } else { Ok(()) }
    }

    /// Takes up what an earlier run left in doubt: the manager is asked for those tasks by their ids.
    async fn take_up(&mut self) -> Result<(), RunError> {
        let open = self.bench.vault.open_items(ItemKind::Attempt, TAKEN_UP_MAX).await?;
        for mut held in open.iter().filter_map(Held::read) {
            match self.bench.source.one(&held.attempt.task).await {
                Ok(task) => self.enqueue(task),
                Err(OneError::Call(error)) if error.class() == Class::Permanent => {
                    tracing::warn!(task = %held.attempt.task, "a task whose outcome is unknown is gone at the manager");
                    held.attempt.state = State::Failed { reason: "gone at the manager, outcome unknown".into() };
                    // Another process may be at it: then this write finds the item changed, and that is right.
                    let _ = self.bench.vault.put_items(&[held.change()]).await?;
                }
                // It stays open, and comes with a pull or the next run.
                Err(error) => tracing::warn!(task = %held.attempt.task, %error, "a task in doubt could not be read"),
            }
        }
        Ok(())
    }

    async fn pull(&mut self) -> Result<(), RunError> {
        let now = Instant::now();
        self.ended.retain(|_, at| now.duration_since(*at) < ENDED_FOR);
        let known = u32::try_from(self.known.len() + self.ended.len()).unwrap_or(u32::MAX);
        let limit = self.config.pull_limit.saturating_add(known).min(PULL_MAX);
        match self.bench.source.list(limit).await {
            Ok(pulled) => {
                self.failures = 0;
                let mut new = 0;
                for malformed in pulled.malformed {
                    new += usize::from(self.malformed(malformed).await?);
                }
                for task in pulled.tasks {
                    if !self.known.contains(&task.id) && !self.ended.contains_key(&task.id) {
                        self.enqueue(task);
                        new += 1;
                    }
                }
                if new > 0 {
                    (self.bench.watch)(Event::Pulled { new });
                }
                self.dry = new == 0;
                self.pull_at = if self.dry { now + self.config.poll } else { now };
            }
            Err(error) if error.class() == Class::Stop => {
                (self.bench.watch)(Event::KeyRefused);
                self.key_refused = true;
            }
            Err(error) => {
                tracing::warn!(%error, "tasks could not be pulled");
                (self.bench.watch)(Event::ManagerAway { why: error.to_string() });
                let pause = error.retry_after().unwrap_or_else(|| latchkey_vault::backoff(self.failures));
                self.failures = self.failures.saturating_add(1);
                self.dry = false;
                self.pull_at = now + pause.min(PULL_PAUSE_MAX);
            }
        }
        Ok(())
    }

    /// An element that is no task costs no other: it is failed by its id, or counted where it has none.
    async fn malformed(&mut self, malformed: crate::sources::social::Malformed) -> Result<bool, RunError> {
        let Some(id) = malformed.id else {
            tracing::warn!(oddity = %malformed.oddity, "the manager's list holds something that is no task");
            self.malformed += 1;
            return Ok(false);
        };
        if self.known.contains(&id) || self.ended.contains_key(&id) {
            return Ok(false);
        }
        let reason = format!("the task cannot be worked on: {}", malformed.oddity);
        match self.bench.refuse_malformed(&id, reason).await {
            Ok(Next::Ended(ending)) => {
                self.ended.insert(id.clone(), Instant::now());
                (self.bench.watch)(Event::Ended { task: id, domain: String::new(), ending });
                Ok(true)
            }
            Ok(Next::Again { .. }) => Ok(false),
            Err(Halt::KeyRefused) => {
                self.key_refused = true;
                Ok(false)
            }
            Err(Halt::Vault(error)) => Err(error.into()),
        }
    }

    fn enqueue(&mut self, task: PostTask) {
        self.known.insert(task.id.clone());
        self.queue.push_back(Waiting { task: Arc::new(task), due: Instant::now(), tries: 0 });
    }

    /// Starts what may start: due, its account not at work, its site with a place left.
    fn hand_out(&mut self) {
        let now = Instant::now();
        let mut busy: HashSet<String> = self.at_work.values().map(|(_, account)| account.clone()).collect();
        let mut later = VecDeque::new();
        while let Some(waiting) = self.queue.pop_front() {
            let account = account_key(&waiting.task);
            let may = waiting.due <= now && self.running.len() < self.config.concurrency && !busy.contains(&account);
            match may.then(|| self.place(&waiting.task)).flatten() {
                Some(place) => {
                    busy.insert(account.clone());
                    self.start(waiting, account, place);
                }
                None => later.push_back(waiting),
            }
        }
        self.queue = later;
    }

    /// A place at the task's site; a site that is not listed has all the room there is, since it is never contacted.
    fn place(&self, task: &PostTask) -> Option<Option<OwnedSemaphorePermit>> {
        match self.bench.desks.find(&task.domain) {
            Some(desk) => Arc::clone(&desk.places).try_acquire_owned().ok().map(Some),
            None => Some(None),
        }
    }

    fn start(&mut self, waiting: Waiting, account: String, place: Option<OwnedSemaphorePermit>) {
        let bench = Arc::clone(&self.bench);
        let task = waiting.task.id.clone();
        (bench.watch)(Event::Started { task: task.clone() });
        let last_try = waiting.tries + 1 >= TRIES_MAX;
        let handle = self.running.spawn(async move {
            let next = bench.work(&waiting.task, last_try).await;
            drop(place);
            Worked { waiting, next }
        });
        self.at_work.insert(handle.id(), (task, account));
    }

    fn took(&mut self, worked: Result<(tokio::task::Id, Worked), tokio::task::JoinError>) -> Result<(), RunError> {
        let (id, worked) = match worked {
            Ok(worked) => worked,
            Err(panicked) => {
                // Its attempt is durable: it is looked up when the task is pulled again.
                if let Some((task, _)) = self.at_work.remove(&panicked.id()) {
                    tracing::error!(%task, "the work on a task panicked");
                    self.known.remove(&task);
                    self.ended.insert(task, Instant::now());
                }
                return Ok(());
            }
        };
        self.at_work.remove(&id);
        let Worked { mut waiting, next } = worked;
        let (task, domain) = (waiting.task.id.clone(), waiting.task.domain.clone());
        match next {
            Ok(Next::Ended(ending)) => {
                self.known.remove(&task);
                self.ended.insert(task.clone(), Instant::now());
                (self.bench.watch)(Event::Ended { task, domain, ending });
            }
            Ok(Next::Again { after, reason, counts }) => {
                waiting.tries += u32::from(counts);
                waiting.due = Instant::now() + after;
                self.queue.push_back(waiting);
                (self.bench.watch)(Event::Ended { task, domain, ending: Ending::Parked { reason } });
            }
            Err(Halt::KeyRefused) => {
                (self.bench.watch)(Event::KeyRefused);
                self.key_refused = true;
                self.queue.push_back(waiting);
            }
            Err(Halt::Vault(error)) if passes(&error) => {
                tracing::error!(%task, %error, "the vault could not take a write; the task is tried again");
                waiting.due = Instant::now() + VAULT_PAUSE;
                self.queue.push_back(waiting);
            }
            Err(Halt::Vault(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// Lets what runs finish within the grace; what does not is parked by its durable attempt.
    async fn wind_down(&mut self) -> Result<(), RunError> {
        let deadline = Instant::now() + self.config.grace;
        while !self.running.is_empty() {
            match tokio::time::timeout_at(deadline, self.running.join_next_with_id()).await {
                Ok(Some(worked)) => self.took(worked)?,
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(tasks = self.running.len(), "tasks are parked: the grace is over");
                    self.running.abort_all();
                    while self.running.join_next().await.is_some() {}
                }
            }
        }
        Ok(())
    }

    async fn is_idle(&self) -> Result<bool, RunError> {
        if !self.dry || !self.queue.is_empty() || !self.running.is_empty() {
            return Ok(false);
        }
        Ok(self.bench.vault.owing().await?.owed == 0)
    }

    fn wake_at(&self) -> Instant {
        let due = self.queue.iter().map(|waiting| waiting.due).filter(|due| *due > Instant::now()).min();
        let next = due.map_or(self.pull_at, |due| due.min(self.pull_at));
        next.max(Instant::now() + WAKE_MIN).min(Instant::now() + WAKE_MAX)
    }
}

impl Tally {
    fn count(&self, event: &Event) {
        let mut summary = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::LoggedIn { .. } => summary.logins += 1,
            Event::Delivered { messages } => summary.delivered += *messages as u64,
            Event::Ended { ending: Ending::Done { .. }, .. } => summary.done += 1,
            Event::Ended { ending: Ending::Failed { .. }, .. } => summary.failed += 1,
            _ => {}
        }
    }

    fn summary(&self) -> Summary {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
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

/// What tasks of one account share, before the account is known: two of them never run at a time.
fn account_key(task: &PostTask) -> String {
    match (&task.account_id, task.fields.username.as_ref().or(task.fields.email.as_ref())) {
        (Some(id), _) => format!("id {id}"),
        // EXPOSE: kept in memory while the task runs, to tell accounts apart.
        (None, Some(login)) => format!("login {} {}", task.domain, login.expose()),
        (None, None) => format!("task {}", task.id),
    }
}

/// Whether a failed write may go better later.
fn passes(error: &StoreError) -> bool {
    matches!(error, StoreError::Full | StoreError::Unknown | StoreError::Io { .. } | StoreError::Database { .. })
}

/// Tasks at a time: beyond this the manager and the sites are the limit.
const CONCURRENCY_MAX: usize = 256;
/// The contract's largest `limit`.
const PULL_MAX: u32 = 1000;
/// Tasks queued for each place at work: enough to pass over busy accounts.
const QUEUE_PER_PLACE: usize = 16;
/// Attempts in doubt that are taken up at a start.
const TAKEN_UP_MAX: u32 = 1000;
/// Tries that count before a task is failed.
const TRIES_MAX: u32 = 5;
/// How long a task that ended is not begun again, should the manager's list still show it.
const ENDED_FOR: Duration = Duration::from_secs(2);
/// The longest pause between pulls while the manager is away.
const PULL_PAUSE_MAX: Duration = Duration::from_secs(30);
/// The pause after the vault could not take a write.
const VAULT_PAUSE: Duration = Duration::from_secs(2);
/// The shortest sleep of the loop.
const WAKE_MIN: Duration = Duration::from_millis(5);
/// The longest sleep of the loop.
const WAKE_MAX: Duration = Duration::from_secs(1);
/// How long the last reports may take after the work has ended.
const LAST_REPORTS: Duration = Duration::from_secs(20);
