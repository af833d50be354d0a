//! How a reference manager is set up, and why it may fail to start.
//!
//! Deliberately knows nothing of files and arguments: the binary reads those.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::DEFAULT_MAX_RETRIES;

/// What a repeated report gets: a complete of a completed task, a fail of a failed one.
///
/// A complete after a fail and a fail after a complete are refused under either rule: accepting one
/// would tell a worker that something was recorded which was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatRule {
    /// 200, and nothing changes.
    #[default]
    Accept,
    /// 409, and nothing changes.
    Refuse,
}

/// Where the manager takes the time from; tests give their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's wall clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// A clock that asks `now` each time.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The settings of one manager; the default listens on free loopback ports with fresh keys.
#[derive(Clone)]
#[non_exhaustive]
pub struct ManagerConfig {
    /// Where the API listens; port 0 takes a free one. The traffic is in clear: keep it on loopback.
    pub listen: SocketAddr,
    /// Where the control plane listens.
    pub control_listen: SocketAddr,
    /// The value of `X-API-Key`; a random one when absent.
    pub api_key: Option<String>,
    /// The value of `X-Control-Token`; a random one when absent.
    pub control_token: Option<String>,
    /// Fails that re-queue a task before one is final, for tasks that bring no number of their own.
    pub max_retries: u32,
    /// What a repeated report gets.
    pub repeat: RepeatRule,
    /// Seed of the dice that faults with a probability throw; equal seeds and calls fail equally.
    pub seed: u64,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: loopback,
            control_listen: loopback,
            api_key: None,
            control_token: None,
            max_retries: DEFAULT_MAX_RETRIES,
            repeat: RepeatRule::default(),
            seed: 0,
            clock: Clock::system(),
        }
    }
}

impl fmt::Debug for ManagerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerConfig")
            .field("listen", &self.listen)
            .field("control_listen", &self.control_listen)
            .field("max_retries", &self.max_retries)
            .field("repeat", &self.repeat)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Why a manager did not start; nothing listens then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gave no random bytes for a key.
    #[error("no random bytes for a key")]
    Random,
    /// A key or token that was given cannot stand in a header.
    #[error("the API key and the control token must be 1 to 256 visible ASCII characters")]
    Key,
}
