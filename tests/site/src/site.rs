//! Starting a site, and the handle that a test or the binary holds it by.
//!
//! It does not know pages or forms; each verb of the handle is one step of the shared state, and
//! the control plane offers the same ones to other processes.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::account::{AccountState, AddAccountError, NewAccount, NoSuchAccount};
use crate::behaviour::Behaviour;
use crate::clock::{Clock, SystemClock};
use crate::connection::{CuttableListener, Wire};
use crate::fault::{Fault, FaultPoint, FaultQueueFull};
use crate::http;
use crate::ledger::{Counts, Ledger, RequestRecord};
use crate::limits::SHUTDOWN_WAIT;
use crate::posts::Post;
use crate::state::{App, State};
use crate::token::TokenMint;

/// How a site is started; the default listens on a free loopback port.
pub struct SiteConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What `X-Control-Token` must hold on `/_control`; `None` makes one up.
    pub control_token: Option<String>,
    /// The time for sessions, codes and the `Date` header.
    pub clock: Arc<dyn Clock>,
    /// How the site behaves at first.
    pub behaviour: Behaviour,
}

/// The practice site.
#[derive(Debug)]
pub struct Site;

/// A running site; dropping it stops the site without waiting for it.
pub struct SiteHandle {
    app: Arc<App>,
    address: SocketAddr,
    server: Option<JoinHandle<std::io::Result<()>>>,
}

/// Why a site did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the configuration.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no random bytes for session ids.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

/// How a site ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// Requests under way did not end in time; their connections were left to the runtime.
    #[error("requests were still under way after {} s", SHUTDOWN_WAIT.as_secs())]
    TimedOut,
    /// The server had failed before.
    #[error("the server had failed")]
    Failed,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control_token: None,
            clock: Arc::new(SystemClock),
            behaviour: Behaviour::default(),
        }
    }
}

/// Leaves out the control token.
impl fmt::Debug for SiteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteConfig")
            .field("listen", &self.listen)
            .field("behaviour", &self.behaviour)
            .finish_non_exhaustive()
    }
}

impl Site {
    /// Starts a site on the current Tokio runtime; it answers from now on.
    ///
    /// # Errors
    ///
    /// [`StartError`] where the address cannot be listened on or randomness is missing.
    pub async fn start(config: SiteConfig) -> Result<SiteHandle, StartError> {
        let listening = |source| StartError::Listen { address: config.listen, source };
        let mut mint = TokenMint::generate().map_err(|_| StartError::NoRandomness)?;
        let control_token = config.control_token.unwrap_or_else(|| mint.mint());
        let listener = CuttableListener::bind(config.listen).await.map_err(listening)?;
        let address = axum::serve::Listener::local_addr(&listener).map_err(listening)?;
        let app = Arc::new(App::new(State::new(config.behaviour, mint), config.clock, control_token));
        let service = http::router(Arc::clone(&app)).into_make_service_with_connect_info::<Wire>();
        let stopped = app.stop.clone().cancelled_owned();
        let server = tokio::spawn(async move { axum::serve(listener, service).with_graceful_shutdown(stopped).await });
        Ok(SiteHandle { app, address, server: Some(server) })
    }
}

impl SiteHandle {
    /// Scheme, address and port, without a slash at the end: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token of the control plane, for the header `X-Control-Token`.
    #[must_use]
    pub fn control_token(&self) -> &str {
        &self.app.control_token
    }

    /// Adds an account.
    ///
    /// # Errors
    ///
    /// [`AddAccountError`] where a field is unusable, the name is taken or the site is full.
    pub fn add_account(&self, account: NewAccount) -> Result<(), AddAccountError> {
        self.app.lock().add_account(account)
    }

    /// Changes how the site behaves, from the next request on.
    pub fn configure(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.app.lock().behaviour);
    }

    /// How the site behaves now.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.app.lock().behaviour.clone()
    }

    /// Sets the state of an account, named by username or email.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`].
    pub fn set_state(&self, name: &str, state: AccountState) -> Result<(), NoSuchAccount> {
        self.app.lock().set_state(name, state)
    }

    /// The state of an account, which wrong passwords may have changed.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`].
    pub fn state(&self, name: &str) -> Result<AccountState, NoSuchAccount> {
        self.app.lock().accounts.find(name).map(|account| account.state).ok_or(NoSuchAccount)
    }

    /// Changes a password as the owner would elsewhere; the account's sessions end.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`].
    pub fn set_password(&self, name: &str, password: impl Into<String>) -> Result<(), NoSuchAccount> {
        self.app.lock().set_password(name, password.into())
    }

    /// Opens a session as though the account had logged in earlier, and answers it as
    /// `name=value; name=value`; it is counted as no login.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`].
    pub fn give_session(&self, name: &str) -> Result<String, NoSuchAccount> {
        let now = self.app.now_unix_s();
        self.app.lock().give_session(name, now)
    }

    /// As [`SiteHandle::give_session`], but the session is over already.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`].
    pub fn give_expired_session(&self, name: &str) -> Result<String, NoSuchAccount> {
        let now = self.app.now_unix_s();
        self.app.lock().give_expired_session(name, now)
    }

    /// Ends every session of an account; how many there were.
    ///
    /// # Errors
    ///
    /// [`NoSuchAccount`].
    pub fn expire_sessions(&self, name: &str) -> Result<usize, NoSuchAccount> {
        self.app.lock().expire_sessions(name)
    }

    /// Ends every session of the site; how many there were.
    pub fn expire_all(&self) -> usize {
        self.app.lock().sessions.end_all()
    }

    /// Ends the one session that a `Cookie` header belongs to; whether there was one.
    pub fn kill_session(&self, cookie_header: &str) -> bool {
        self.app.lock().kill_session(cookie_header)
    }

    /// Has the next `times` requests at `point` go wrong, after the faults ordered before.
    ///
    /// # Errors
    ///
    /// [`FaultQueueFull`].
    pub fn inject(&self, point: FaultPoint, fault: Fault, times: u32) -> Result<(), FaultQueueFull> {
        self.app.lock().faults.add(point, fault, times)
    }

    /// Forgets the faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.app.lock().faults.clear();
    }

    /// Everything that was counted so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.app.lock().ledger.clone()
    }

    /// What was counted for one username so far.
    #[must_use]
    pub fn counts(&self, username: &str) -> Counts {
        self.app.lock().ledger.of(username)
    }

    /// How often a username logged in successfully.
    #[must_use]
    pub fn logins(&self, username: &str) -> u64 {
        self.counts(username).logins
    }

    /// The posts of a username, oldest first.
    #[must_use]
    pub fn posts(&self, username: &str) -> Vec<Post> {
        let state = self.app.lock();
        state.board.all().iter().filter(|post| post.username == username).cloned().collect()
    }

    /// Every post of the site, oldest first.
    #[must_use]
    pub fn all_posts(&self) -> Vec<Post> {
        self.app.lock().board.all().to_vec()
    }

    /// The newest requests, oldest of them first; the control plane's own are not among them.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.app.lock().requests.newest()
    }

    /// Stops taking connections and waits, at most five seconds, for requests under way.
    ///
    /// # Errors
    ///
    /// [`StopError`] where they did not end in time, or the server had failed before.
    pub async fn shutdown(mut self) -> Result<(), StopError> {
        self.app.stop.cancel();
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        match timeout(SHUTDOWN_WAIT, &mut server).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(_) => Err(StopError::Failed),
            Err(_) => {
                server.abort();
                Err(StopError::TimedOut)
            }
        }
    }
}

impl Drop for SiteHandle {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

/// Shows where it listens.
impl fmt::Debug for SiteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteHandle").field("address", &self.address).finish_non_exhaustive()
    }
}
