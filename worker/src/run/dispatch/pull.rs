//! Pulling: what is new at the manager, what is in doubt from earlier, and what is no task at all.
//!
//! Knows no schedule: what is found is handed to [`Dispatch`].

use std::time::Duration;

use latchkey_vault::manager_http::{CallError, Class};
use tokio::time::Instant;

use super::{
    super::{PULL_MAX, RunError},
    Dispatch, Past,
};
use crate::{
    attempt::State,
    event::Event,
    sources::social::{Malformed, OneError},
    work::{Halt, Next},
};

/// What one round of pulling showed.
#[derive(Default)]
struct Brought {
    /// Tasks that were not known.
    new: usize,
    /// Whether there may be more beyond the list's end.
    was_cut: bool,
    /// Whether the list shows tasks that come back.
    returning: bool,
}

/// What stopped a round of pulling.
enum Stopped {
    Call(CallError),
    Halt(Halt),
}

impl Dispatch {
    /// One round: what is in doubt first, then what is new; a failure puts the next round off.
    pub(super) async fn pull(&mut self) -> Result<(), RunError> {
        match self.round().await {
            Ok(Brought { new, was_cut, returning }) => {
                self.failures = 0;
                let has_more = new > 0 || was_cut;
                self.dry = !has_more && !returning;
                self.pull_at = Instant::now() + if has_more { Duration::ZERO } else { self.config.poll };
                Ok(())
            }
            Err(Stopped::Halt(Halt::KeyRefused)) => {
                self.refuse_key();
                Ok(())
            }
            Err(Stopped::Halt(halt)) => Err(halt.into()),
            Err(Stopped::Call(error)) if error.class() == Class::Stop => {
                self.refuse_key();
                Ok(())
            }
            Err(Stopped::Call(error)) => {
                tracing::warn!(%error, "tasks could not be pulled");
                (self.bench.watch)(Event::ManagerAway { why: error.to_string() });
                let pause = error.retry_after().unwrap_or_else(|| latchkey_vault::backoff(self.failures));
                self.failures = self.failures.saturating_add(1);
                self.dry = false;
                self.pull_at = Instant::now() + pause.min(PULL_PAUSE_MAX);
                Ok(())
            }
        }
    }

    async fn round(&mut self) -> Result<Brought, Stopped> {
        self.take_up().await?;
        self.pull_new().await
    }

    /// Takes up what an earlier run left in doubt: the manager is asked for those tasks by their ids.
    async fn take_up(&mut self) -> Result<(), Stopped> {
        while let Some(mut held) = self.doubts.pop_front() {
            let task = held.attempt.task.clone();
            match self.bench.source.one(&task).await {
                Ok(task) => self.enqueue(task),
                Err(OneError::Call(error)) if error.class() == Class::Permanent => {
                    tracing::warn!(%task, "a task whose outcome is unknown is gone at the manager");
                    held.attempt.state = State::Failed { reason: "gone at the manager, outcome unknown".into() };
                    // Another process may be at it: then this write finds the item changed, and that is right.
                    let _ = self.bench.vault.put_items(&[held.change()]).await.map_err(Halt::from)?;
                }
                Err(OneError::Call(error)) => {
                    self.doubts.push_front(held);
                    return Err(error.into());
                }
                // Asking again would not change it: it stays open for the next run.
                Err(error) => tracing::warn!(%task, %error, "a task in doubt could not be read"),
            }
        }
        Ok(())
    }

    async fn pull_new(&mut self) -> Result<Brought, Stopped> {
        let now = Instant::now();
        self.ended.retain(|_, past| now < past.until);
        // What is known already, or is no task, must not fill the list.
        let known = u32::try_from(self.known.len() + self.ended.len()).unwrap_or(PULL_MAX);
        let limit = self.config.pull_limit.saturating_add(known).saturating_add(self.nameless).min(PULL_MAX);
        let pulled = self.bench.source.list(limit).await?;
        let (mut brought, mut nameless) = (Brought::default(), 0);
        for Malformed { id, oddity } in pulled.malformed {
            let Some(id) = id else {
                tracing::debug!(%oddity, "the manager's list holds something that is no task");
                nameless += 1;
                continue;
            };
            if !self.passes_over(&id, &mut brought) {
                let reason = format!("the task cannot be worked on: {oddity}");
                brought.new += usize::from(self.refuse(&id, reason).await?);
            }
        }
        for task in pulled.tasks {
            if !self.passes_over(&task.id, &mut brought) {
                self.enqueue(task);
                brought.new += 1;
            }
        }
        // A list that nameless elements filled up is asked for again, longer by their number.
        brought.was_cut = nameless > self.nameless && limit < PULL_MAX;
        self.nameless = nameless;
        if nameless > self.nameless_max {
            tracing::warn!(elements = nameless, "the manager's list holds elements that are no tasks");
            self.nameless_max = nameless;
        }
        if brought.new > 0 {
            (self.bench.watch)(Event::Pulled { new: brought.new });
        }
        Ok(brought)
    }

    /// Whether a listed task is nothing new.
    fn passes_over(&self, id: &str, brought: &mut Brought) -> bool {
        let past = self.ended.get(id);
        brought.returning |= past.is_some_and(|past| past.may_return);
        past.is_some() || self.known.contains(id)
    }

    /// An element that is no task costs no other: it is failed by its id. Says whether that was done now.
    async fn refuse(&mut self, id: &str, reason: String) -> Result<bool, Halt> {
        match self.bench.refuse_malformed(id, reason).await? {
            Next::Ended(ending) => {
                self.note_ended(id.to_owned(), String::new(), ending);
                Ok(true)
            }
            Next::Again { after, .. } | Next::InDoubt { after, .. } => {
                self.ended.insert(id.to_owned(), Past { until: Instant::now() + after, may_return: true });
                Ok(false)
            }
        }
    }
}

impl From<CallError> for Stopped {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<Halt> for Stopped {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// The longest pause between pulls while the manager is away.
const PULL_PAUSE_MAX: Duration = Duration::from_secs(30);
