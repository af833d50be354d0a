//! The writer: one thread drains a bounded queue into one transaction and one sync, then answers everyone.
//!
//! Processes take turns for each group. A failed commit answers `Unknown` and the connection is opened anew.

use std::{
    path::PathBuf,
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
use crate::store::{Binder, Head, StoreError, Tampering};

/// How an operation's answer is delivered once it is known whether the commit is durable.
type Answer = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;
/// An operation: runs in the group's transaction, unless there is none, and leaves its answer for after the commit.
type Job = Box<dyn FnOnce(Option<&mut Tx<'_>>) -> Answer + Send>;

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
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
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
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue.ok_or(StoreError::Closed)?.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Unknown)?
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

fn run(mut desk: Desk, mut jobs: mpsc::Receiver<Job>, publish: &watch::Sender<Head>, anchored: &AtomicU64) {
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut answers = Vec::with_capacity(batch.len());
        let outcome = group(&mut desk, &mut batch, &mut jobs, &mut answers, anchored.load(Ordering::Acquire));
        // Those that did not get to run (the turn or the header could not be had) hear why.
        answers.extend(batch.drain(..).map(|job| job(None)));
        match &outcome {
            Ok(head) => {
                desk.floor = *head;
                publish.send_replace(*head);
            }
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
    batch: &mut Vec<Job>,
    jobs: &mut mpsc::Receiver<Job>,
    answers: &mut Vec<Answer>,
    anchored: u64,
) -> Result<Head, StoreError> {
    let turns = Arc::clone(&desk.turns);
    let _turn = turns.take()?;
    // What arrived while this process waited for its turn joins the group.
    while batch.len() < BATCH {
        match jobs.try_recv() {
            Ok(job) => batch.push(job),
            Err(_) => break,
        }
    }
    desk.conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| database("beginning a commit", &e))?;
    let result = perform(desk, batch, answers, anchored);
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
    batch: &mut Vec<Job>,
    answers: &mut Vec<Answer>,
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
    desk.floor = known.head;
    let mut tx = Tx::new(conn, binder, &desk.verified, desk.known.insert(known));
    for job in batch.drain(..) {
        answers.push(job(Some(&mut tx)));
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
