//! What a run tells whoever watches it: for progress bars, logs and tests. No secret, and nothing to act upon.

use latchkey_vault::AccountId;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A pull brought this many tasks that were not known yet.
    Pulled {
        /// How many.
        new: usize,
    },
    /// Work on a task began.
    Started {
        /// The task's id.
        task: String,
    },
    /// A session was made fresh by a login.
    LoggedIn {
        /// Whose.
        account: AccountId,
    },
    /// Work on a task ended.
    Ended {
        /// The task's id.
        task: String,
        /// The task's site.
        domain: String,
        /// How.
        ending: Ending,
    },
    /// Reports and account updates were delivered.
    Delivered {
        /// How many.
        messages: usize,
    },
    /// The manager refused the key: nothing is pulled or reported until a person mends that.
    KeyRefused,
    /// The manager could not be reached; it is asked again.
    ManagerAway {
        /// Why, in words.
        why: String,
    },
}

/// How work on a task ended, for now or for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The post exists at this link; the report is owed.
    Done {
        /// Where.
        link: String,
    },
    /// It failed for this reason; the report is owed.
    Failed {
        /// Why, as it is told to the manager.
        reason: String,
    },
    /// Not now: it is tried again.
    Parked {
        /// Why.
        reason: String,
    },
    /// Another attempt had ended it already.
    Known,
}
