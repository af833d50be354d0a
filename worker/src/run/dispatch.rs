//! Dispatch: what is begun when, and what comes after each task.
//!
//! Everything is bounded: tasks at a time, tasks known, waits. Knows nothing of how a task is worked on, nor (that is
//! [`pull`]'s) of where it comes from.

mod pull;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use latchkey_vault::ItemKind;
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

use super::{RunConfig, RunError, passes};
use crate::{
    attempt::Held,
    event::{Ending, Event},
    sources::social::PostTask,
    work::{Bench, Halt, Next},
};

pub(super) struct Dispatch {
    bench: Arc<Bench>,
    config: RunConfig,
    queue: VecDeque<Waiting>,
    running: JoinSet<Worked>,
    /// Task and account of what runs, by the runtime's id of it.
    at_work: HashMap<Id, (String, String)>,
    /// Ids that are queued or running.
    known: HashSet<String>,
    /// What ended in this run: the manager's list may show it until its report has arrived, or again after a fail.
    ended: HashMap<String, Past>,
    /// Attempts that an earlier run left in doubt and that are not taken up yet.
    doubts: VecDeque<Held>,
    pull_at: Instant,
    failures: u32,
    /// Elements of the last pull without an id, and the most of any pull.
    nameless: u32,
    nameless_max: u32,
    key_refused: bool,
    /// Whether the last pull showed that nothing is left to be done.
    dry: bool,
}

/// A task that ended, or was put off, in this run.
struct Past {
    /// Until when it is passed over.
    until: Instant,
    /// Whether the manager may want it tried again, so that the run is not idle as long as the list shows it.
    may_return: bool,
}

/// A task that is known to this run.
struct Waiting {
    task: Arc<PostTask>,
    /// Not before this time.
    due: Instant,
    /// Tries that counted.
    tries: u32,
    /// Tries that ended in doubt.
    doubts: u32,
}

/// What a worked task leaves behind.
struct Worked {
    waiting: Waiting,
    next: Result<Next, Halt>,
}

impl Dispatch {
    pub(super) fn new(bench: Arc<Bench>, config: RunConfig) -> Self {
        Self {
            bench,
            config,
            queue: VecDeque::new(),
            running: JoinSet::new(),
            at_work: HashMap::new(),
            known: HashSet::new(),
            ended: HashMap::new(),
            doubts: VecDeque::new(),
            pull_at: Instant::now(),
            failures: 0,
            nameless: 0,
            nameless_max: 0,
            key_refused: false,
            dry: false,
        }
    }

    /// Tasks that are not ended.
    pub(super) fn left(&self) -> usize {
        self.queue.len() + self.at_work.len()
    }

    /// The most elements of one pull that were no tasks and had no id.
    pub(super) fn malformed(&self) -> u64 {
        self.nameless_max.into()
    }

    pub(super) async fn run(&mut self) -> Result<(), RunError> {
        let stop = self.bench.stop.clone();
        let open = self.bench.vault.open_items(ItemKind::Attempt, TAKEN_UP_MAX).await?;
        self.doubts = open.iter().filter_map(Held::read).collect();
        while !stop.is_cancelled() && !self.key_refused {
            if Instant::now() >= self.pull_at && self.queue.len() < self.config.concurrency * QUEUE_PER_PLACE {
                self.pull().await?;
            }
            if self.key_refused {
                break;
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

    fn refuse_key(&mut self) {
        (self.bench.watch)(Event::KeyRefused);
        self.key_refused = true;
    }

    fn note_ended(&mut self, task: String, domain: String, ending: Ending) {
        let may_return = matches!(ending, Ending::Failed { .. });
        self.ended.insert(task.clone(), Past { until: Instant::now() + ENDED_FOR, may_return });
        (self.bench.watch)(Event::Ended { task, domain, ending });
    }

    fn enqueue(&mut self, task: PostTask) {
        if self.known.insert(task.id.clone()) {
            self.queue.push_back(Waiting { task: Arc::new(task), due: Instant::now(), tries: 0, doubts: 0 });
        }
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

    fn took(&mut self, worked: Result<(Id, Worked), JoinError>) -> Result<(), RunError> {
        let (id, Worked { mut waiting, next }) = match worked {
            Ok(worked) => worked,
            Err(panicked) => {
                // Its attempt is durable: it is looked up when the task is pulled again.
                if let Some((task, _)) = self.at_work.remove(&panicked.id()) {
                    tracing::error!(%task, "the work on a task panicked");
                    self.known.remove(&task);
                    self.ended.insert(task, Past { until: Instant::now() + ENDED_FOR, may_return: true });
                }
                return Ok(());
            }
        };
        self.at_work.remove(&id);
        let task = waiting.task.id.clone();
        match next {
            Ok(Next::Ended(ending)) => {
                self.known.remove(&task);
                self.note_ended(task, waiting.task.domain.clone(), ending);
            }
            Ok(Next::Again { after, reason, counts }) => {
                waiting.tries += u32::from(counts);
                self.put_off(waiting, after, reason);
            }
            Ok(Next::InDoubt { after, reason }) => {
                let after = after.max(latchkey_vault::backoff(waiting.doubts));
                waiting.doubts += 1;
                let after = if waiting.is_for_a_person() { DOUBT_PAUSE } else { after };
                self.put_off(waiting, after, reason);
            }
            Err(Halt::KeyRefused) => {
                self.refuse_key();
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

    fn put_off(&mut self, mut waiting: Waiting, after: Duration, reason: String) {
        let (task, domain) = (waiting.task.id.clone(), waiting.task.domain.clone());
        waiting.due = Instant::now() + after;
        self.queue.push_back(waiting);
        (self.bench.watch)(Event::Ended { task, domain, ending: Ending::Parked { reason } });
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
        let waits_for_people = self.queue.iter().all(Waiting::is_for_a_person);
        if !self.dry || !waits_for_people || !self.running.is_empty() {
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

impl Waiting {
    /// Whether it was looked up so often in vain that only a person can tell; a run until idle does not wait for that.
    fn is_for_a_person(&self) -> bool {
        self.doubts >= DOUBTS_MAX
    }
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

/// Tasks queued for each place at work: enough to pass over busy accounts.
const QUEUE_PER_PLACE: usize = 16;
/// Attempts in doubt that are taken up at a start.
const TAKEN_UP_MAX: u32 = 1000;
/// Tries that count before a task is failed.
const TRIES_MAX: u32 = 5;
/// Look-ups without a clear answer before a post in doubt is left to a person.
const DOUBTS_MAX: u32 = 4;
/// The pause before such a post is looked up again all the same.
const DOUBT_PAUSE: Duration = Duration::from_secs(600);
/// How long a task that ended is passed over, should the manager's list still show it, or again.
const ENDED_FOR: Duration = Duration::from_secs(2);
/// The pause after the vault could not take a write.
const VAULT_PAUSE: Duration = Duration::from_secs(2);
/// The shortest sleep of the loop.
const WAKE_MIN: Duration = Duration::from_millis(5);
/// The longest sleep of the loop.
const WAKE_MAX: Duration = Duration::from_secs(1);
