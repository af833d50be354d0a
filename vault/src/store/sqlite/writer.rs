//! The writer: one thread drains a bounded queue into one transaction and one sync, then answers everyone.
//!
//! Processes take turns for each group. A failed commit answers `Unknown` and the connection is opened anew.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    database,
    known::{Known, Verified},
    profile,
    turn::Turns,
    tx::{Keep, Tx},
};
use crate::store::{Binder, FileError, Head, StoreError, Tampering};

/// How an operation's answer is delivered once it is known whether the commit is durable.
type Answer = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;
/// An operation: runs in the group's transaction, unless there is none, and leaves its answer for after the commit.
type Operation = Box<dyn FnOnce(Option<&mut Tx<'_>>) -> Answer + Send>;
/// What is done to the file in this process' turn, outside of any transaction of the writer's.
type Maintenance = Box<dyn FnOnce(Result<&Path, StoreError>) + Send>;

/// What waits for the writer.
enum Job {
    /// Joins a group.
    Shared(Operation),
    /// Is a group of its own, under new keys.
    Alone(Operation, Successor),
    /// Is no commit.
    Maintain(Maintenance),
}

/// New keys: a commit is made under them, and once it is durable they are the keys of this process.
pub(super) struct Successor {
    pub(super) binder: Arc<dyn Binder>,
    pub(super) installed: Box<dyn FnOnce() + Send>,
}

/// The handle in front of the writer's thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    head: watch::Receiver<Head>,
    anchored: Arc<AtomicU64>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What the writer's thread owns.
pub(super) struct Desk {
    pub(super) path: PathBuf,
    /// Which file that was when it was opened.
    pub(super) identity: profile::Identity,
    pub(super) conn: Connection,
    pub(super) turns: Arc<Turns>,
    pub(super) binder: Arc<dyn Binder>,
    pub(super) verified: Arc<Verified>,
    /// What the newest header says; none after a failure, until the file has been read again.
    pub(super) known: Option<Known>,
    /// The newest commit seen: the file may never be behind it.
    pub(super) floor: Head,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(desk: Desk) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (publish, head) = watch::channel(desk.floor);
        let anchored = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&anchored);
        let thread = std::thread::Builder::new()
            .name("vault-writer".into())
            .spawn(move || run(desk, jobs, &publish, &seen))
            .map_err(|source| StoreError::Io { during: "starting the writer's thread", source })?;
        Ok(Self { queue: Mutex::new(Some(queue)), head, anchored, thread: Mutex::new(Some(thread)) })
    }

    /// Runs an operation in the next group commit; returns when that is durable.
    ///
    /// Waits while the queue is full.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<(T, Keep), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = operation_of(operation);
        self.send(Job::Shared(job)).await?;
        answer.await.map_err(|_| StoreError::Unknown)?
    }

    /// Runs an operation in a commit of its own, under new keys.
    pub(super) async fn submit_under<T: Send + 'static>(
        &self,
        successor: Successor,
        operation: impl FnOnce(&mut Tx<'_>) -> Result<(T, Keep), StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = operation_of(operation);
        self.send(Job::Alone(job, successor)).await?;
        answer.await.map_err(|_| StoreError::Unknown)?
    }

    /// Runs `work` on the file while no process writes to it.
    pub(super) async fn maintain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work: Maintenance = Box::new(move |path| {
            let _ = reply.send(path.and_then(work));
        });
        self.send(Job::Maintain(work)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue.ok_or(StoreError::Closed)?.send(job).await.map_err(|_| StoreError::Closed)
    }

    /// Follows the newest commit.
    pub(super) fn watch(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }

    /// The newest commit that this process made or saw.
    pub(super) fn head(&self) -> Head {
        *self.head.borrow()
    }

    /// Header hashes before this counter may be forgotten.
    pub(super) fn anchored(&self, counter: u64) {
        self.anchored.fetch_max(counter, Ordering::AcqRel);
    }

    /// Ends the thread after what was accepted. Blocking.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the vault's writer had panicked");
        }
    }
}

fn operation_of<T: Send + 'static>(
    operation: impl FnOnce(&mut Tx<'_>) -> Result<(T, Keep), StoreError> + Send + 'static,
) -> (Operation, oneshot::Receiver<Result<T, StoreError>>) {
    let (reply, answer) = oneshot::channel();
    let job: Operation = Box::new(move |tx| {
        let result = tx.map(|tx| tx.operation(operation));
        Box::new(move |committed: Result<(), &StoreError>| {
            let result = match (result, committed) {
                (Some(Err(error)), _) => Err(error),
                (_, Err(failed)) => Err(failed.duplicate()),
                (Some(Ok(value)), Ok(())) => Ok(value),
                (None, Ok(())) => Err(StoreError::Closed),
            };
            // Whoever asked may have gone; the write stands all the same.
            let _ = reply.send(result);
        })
    });
    (job, answer)
}

/// What was accepted and has not had its turn yet.
struct Waiting {
    jobs: mpsc::Receiver<Job>,
    taken: VecDeque<Job>,
}

impl Waiting {
    /// The next job; waits for one, and is none once the queue is closed and empty.
    fn next(&mut self) -> Option<Job> {
        if self.taken.is_empty() {
            let mut batch = Vec::with_capacity(BATCH);
            self.jobs.blocking_recv_many(&mut batch, BATCH);
            self.taken.extend(batch);
        }
        self.taken.pop_front()
    }

    /// What can join a group at once, up to the first job that cannot.
    fn join(&mut self, batch: &mut Vec<Operation>) {
        while batch.len() < BATCH {
            let job = self.taken.pop_front().or_else(|| self.jobs.try_recv().ok());
            match job {
                Some(Job::Shared(operation)) => batch.push(operation),
                Some(other) => return self.taken.push_front(other),
                None => return,
            }
        }
    }
}

fn run(mut desk: Desk, jobs: mpsc::Receiver<Job>, publish: &watch::Sender<Head>, anchored: &AtomicU64) {
    let mut waiting = Waiting { jobs, taken: VecDeque::new() };
    while let Some(job) = waiting.next() {
        let (first, successor) = match job {
            Job::Shared(operation) => (operation, None),
            Job::Alone(operation, successor) => (operation, Some(successor)),
            Job::Maintain(work) => {
                let turns = Arc::clone(&desk.turns);
                let turn = turns.take();
                work(turn.as_ref().map(|_| desk.path.as_path()).map_err(StoreError::duplicate));
                continue;
            }
        };
        let (mut batch, mut answers) = (vec![first], Vec::new());
        let joining = if successor.is_none() { Some(&mut waiting) } else { None };
        let under = successor.as_ref().map(|successor| Arc::clone(&successor.binder));
        let outcome = group(&mut desk, &mut batch, joining, &mut answers, under, anchored.load(Ordering::Acquire));
        // Those that did not get to run (the turn or the header could not be had) hear why.
        answers.extend(batch.drain(..).map(|operation| operation(None)));
        match &outcome {
            Ok(head) => {
                if let Some(successor) = successor.filter(|_| *head != desk.floor) {
                    (successor.installed)();
                }
                desk.floor = *head;
                publish.send_replace(*head);
            }
            // The keys are gone, the file is as it was.
            Err(StoreError::Rekeyed) => desk.known = None,
            Err(error) => {
                tracing::error!(%error, "a group commit failed; opening the vault file anew");
                reopen(&mut desk);
            }
        }
        for answer in answers {
            answer(outcome.as_ref().map(|_| ()));
        }
    }
}

fn group(
    desk: &mut Desk,
    batch: &mut Vec<Operation>,
    joining: Option<&mut Waiting>,
    answers: &mut Vec<Answer>,
    under: Option<Arc<dyn Binder>>,
    anchored: u64,
) -> Result<Head, StoreError> {
    let turns = Arc::clone(&desk.turns);
    let _turn = turns.take()?;
    // A commit to a file that no longer has the vault's name would be lost without a word.
    if profile::identity(&desk.path)? != desk.identity {
        return Err(FileError::Replaced.into());
    }
    // What arrived while this process waited for its turn joins the group.
    if let Some(waiting) = joining {
        waiting.join(batch);
    }
    desk.conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| database("beginning a commit", &e))?;
    let result = perform(desk, batch, answers, under, anchored);
    match result {
        Ok(Some(head)) => desk.conn.execute_batch("COMMIT").map(|()| head).map_err(|error| {
            tracing::error!(%error, "the commit failed");
            StoreError::Unknown
        }),
        // Every operation was refused: there is nothing to commit and no header to write.
        Ok(None) => {
            desk.conn.execute_batch("ROLLBACK").map_err(|e| database("ending a commit", &e))?;
            Ok(desk.floor)
        }
        Err(error) => {
            // SQLite may have rolled back by itself already (a full disk); then this one has nothing to do.
            let _ = desk.conn.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

fn perform(
    desk: &mut Desk,
    batch: &mut Vec<Operation>,
    answers: &mut Vec<Answer>,
    under: Option<Arc<dyn Binder>>,
    anchored: u64,
) -> Result<Option<Head>, StoreError> {
    let (conn, binder) = (&desk.conn, desk.binder.as_ref());
    let known = match desk.known.take() {
        Some(known) if known.is_current(conn)? => known,
        _ => Known::follow(conn, binder)?,
    };
    if known.head.counter < desk.floor.counter || (known.head.counter == desk.floor.counter && known.head != desk.floor)
    {
        return Err(StoreError::tampered(Tampering::Rollback, None));
    }
    if known.header.incarnation > binder.incarnation() {
        // A backup was restored, or a rollback accepted: what this process holds is of an earlier life of the vault.
        return Err(StoreError::Rekeyed);
    }
    desk.floor = known.head;
    let binder = under.as_deref().unwrap_or(binder);
    let mut tx = Tx::new(conn, binder, &desk.verified, desk.known.insert(known));
    for operation in batch.drain(..) {
        answers.push(operation(Some(&mut tx)));
    }
    if let Some(error) = tx.lost() {
        return Err(error);
    }
    if tx.has_written() { tx.seal(anchored).map(Some) } else { Ok(None) }
}

/// After a failure: a new connection, and the state as the file has it.
fn reopen(desk: &mut Desk) {
    desk.known = None;
    match profile::connect(&desk.path, true) {
        Ok(conn) => desk.conn = conn,
        // The next group tries again with the connection that there is.
        Err(error) => tracing::error!(%error, "the vault file could not be opened anew"),
    }
}

/// Operations that may wait for the writer; whoever comes then waits to be queued.
const QUEUE: usize = 1024;
/// Operations in one commit: beyond a few hundred the sync no longer matters, the wait of the first one does.
const BATCH: usize = 512;
