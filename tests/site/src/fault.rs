//! Faults to order: what goes wrong at which form, and how often.
//!
//! It does not know how a connection is closed or an answer made.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::limits::MAX_QUEUED_FAULTS;

/// Where a fault strikes: the next requests of one kind, whoever sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultPoint {
    /// `POST /login`.
    Login,
    /// `POST /login/totp`.
    Totp,
    /// `POST /post`.
    Post,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed; nothing was done.
    CloseBefore,
    /// The work is done, then the connection is closed without an answer.
    CloseAfter,
    /// A 500; nothing was done.
    ErrorBefore,
    /// The work is done, then a 500 hides it.
    ErrorAfter,
    /// A 429 with `Retry-After`; nothing was done.
    TooManyRequests {
        /// Seconds in `Retry-After`.
        retry_after_s: u32,
    },
}

/// The queue of faults of one place is full; nothing was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the place already has {MAX_QUEUED_FAULTS} entries of faults")]
pub struct FaultQueueFull;

/// The faults that are still to come.
#[derive(Default)]
pub(crate) struct Faults {
    queues: BTreeMap<FaultPoint, VecDeque<(Fault, u32)>>,
}

impl Faults {
    pub(crate) fn add(&mut self, point: FaultPoint, fault: Fault, times: u32) -> Result<(), FaultQueueFull> {
        let queue = self.queues.entry(point).or_default();
        if queue.len() >= MAX_QUEUED_FAULTS {
            return Err(FaultQueueFull);
        }
        if times > 0 {
            queue.push_back((fault, times));
        }
        Ok(())
    }

    /// Takes the next fault of this place, if one is due.
    pub(crate) fn take(&mut self, point: FaultPoint) -> Option<Fault> {
        let queue = self.queues.get_mut(&point)?;
        let (fault, times) = queue.front_mut()?;
        let fault = *fault;
        *times -= 1;
        if *times == 0 {
            queue.pop_front();
        }
        Some(fault)
    }

    pub(crate) fn clear(&mut self) {
        self.queues.clear();
    }
}
