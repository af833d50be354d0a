//! A running manager: its state behind one mutex, its two servers, and the handle to both.
//!
//! Deliberately knows nothing of single calls: `api` and `control` serve those.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::account::AccountState;
use crate::book::{AddError, Book};
use crate::config::{Clock, ManagerConfig, StartError};
use crate::fault::{Fault, FaultError, Faults};
use crate::gate::{Connection, Gate, GatedListener};
use crate::ledger::{Ledger, LedgerEntry};
use crate::limits::SHUTDOWN_GRACE;
use crate::seed::{NewAccount, NewTask, Seed};
use crate::task::TaskState;
use crate::{api, control};

/// A handle to a running manager; when the last clone is dropped, the manager stops.
#[derive(Clone)]
pub struct Manager {
    shared: Arc<Shared>,
    base_url: Arc<str>,
    control_url: Arc<str>,
    servers: Arc<Servers>,
}

impl Manager {
    /// Listens on both addresses and serves from then on, in tasks of the current runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] where an address cannot be listened on or a key is unfit; nothing listens then.
    pub async fn start(config: ManagerConfig) -> Result<Self, StartError> {
        let (gate, control_gate) = (Gate::new(), Gate::new());
        let api_listener = bind(config.listen).await?;
        let control_listener = bind(config.control_listen).await?;
        let base_url = url_of(&api_listener, config.listen)?;
        let control_url = url_of(&control_listener, config.control_listen)?;
        let shared = Arc::new(Shared {
            api_key: key_or_random(config.api_key)?,
            control_token: key_or_random(config.control_token)?,
            clock: config.clock,
            gate: gate.clone(),
            state: Mutex::new(State {
                book: Book::new(config.max_retries, config.repeat),
                ledger: Ledger::default(),
                faults: Faults::new(config.seed),
            }),
            newest: watch::Sender::new(0),
        });
        let servers = Servers::new([gate.clone(), control_gate.clone()]);
        servers.serve(GatedListener::new(api_listener, gate), api::router(Arc::clone(&shared)));
        servers.serve(GatedListener::new(control_listener, control_gate), control::router(Arc::clone(&shared)));
        Ok(Self {
            shared,
            base_url: base_url.into(),
            control_url: format!("{control_url}/_control").into(),
            servers: Arc::new(servers),
        })
    }

    /// `http://127.0.0.1:PORT`, to which `/api/v1/social/...` is added.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The value that `X-API-Key` must have.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.shared.api_key
    }

    /// `http://127.0.0.1:PORT/_control`, on a port of its own.
    #[must_use]
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The value that `X-Control-Token` must have.
    #[must_use]
    pub fn control_token(&self) -> &str {
        &self.shared.control_token
    }

    /// Adds a task, as the newest.
    ///
    /// # Errors
    ///
    /// [`AddError`] where the id is empty or taken, or the manager is full.
    pub fn add_task(&self, task: NewTask) -> Result<(), AddError> {
        self.shared.state().book.add_task(task)
    }

    /// Adds tasks, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Manager::add_task`]; the tasks before the refused one stay.
    pub fn add_tasks(&self, tasks: impl IntoIterator<Item = NewTask>) -> Result<(), AddError> {
        tasks.into_iter().try_for_each(|task| self.add_task(task))
    }

    /// Adds a task that lists show exactly as it is, well formed or not.
    ///
    /// Calls reach it by its `id` where that is a string or a number.
    ///
    /// # Errors
    ///
    /// [`AddError`] where the id is taken or the manager is full.
    pub fn add_raw_task(&self, task: Value) -> Result<(), AddError> {
        self.shared.state().book.add_raw_task(task)
    }

    /// Adds an account.
    ///
    /// # Errors
    ///
    /// [`AddError`] where the id is empty or taken, or the manager is full.
    pub fn add_account(&self, account: NewAccount) -> Result<(), AddError> {
        let now = self.shared.clock.now();
        self.shared.state().book.add_account(account, now)
    }

    /// Adds accounts.
    ///
    /// # Errors
    ///
    /// As [`Manager::add_account`]; the accounts before the refused one stay.
    pub fn add_accounts(&self, accounts: impl IntoIterator<Item = NewAccount>) -> Result<(), AddError> {
        accounts.into_iter().try_for_each(|account| self.add_account(account))
    }

    /// Adds what a seed file holds: accounts, then tasks, then raw tasks.
    ///
    /// # Errors
    ///
    /// [`AddError`] for the first that is refused; what came before it stays.
    pub fn sow(&self, seed: Seed) -> Result<(), AddError> {
        self.shared.sow(seed)
    }

    /// Soft-deletes a task: every call answers 404. False where there is none.
    pub fn delete_task(&self, id: &str) -> bool {
        self.shared.state().book.delete_task(id)
    }

    /// Soft-deletes an account: every call answers 404. False where there is none.
    pub fn delete_account(&self, id: &str) -> bool {
        self.shared.state().book.delete_account(id)
    }

    /// Writes fields of an account as if somebody else had, any values, without a ledger entry. False
    /// where there is no such account.
    pub fn edit_account(&self, id: &str, fields: Map<String, Value>) -> bool {
        let now = self.shared.clock.now();
        self.shared.state().book.edit_account(id, fields, now)
    }

    /// Where a task stands; `None` for an unknown or deleted one.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<TaskState> {
        self.shared.state().book.task_state(id)
    }

    /// What an account's record holds; `None` for an unknown or deleted one.
    #[must_use]
    pub fn account(&self, id: &str) -> Option<AccountState> {
        self.shared.state().book.account_state(id)
    }

    /// A copy of the ledger.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.state().ledger.clone()
    }

    /// Waits until the ledger satisfies a condition, which is asked now and after every new entry.
    ///
    /// It waits for ever; the caller brings the deadline. The condition must not call the manager.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Ledger) -> bool) {
        // Subscribed before the first look, so that no entry falls between the two.
        let mut newest = self.shared.newest.subscribe();
        while !condition(&self.shared.state().ledger) {
            if newest.changed().await.is_err() {
                return;
            }
        }
    }

    /// Lets a fault wait for its calls; several are tried in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`FaultError`] where the fault is out of bounds or too many wait.
    pub fn inject(&self, fault: Fault) -> Result<(), FaultError> {
        self.shared.state().faults.add(fault)
    }

    /// Forgets every fault that waits.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// The faults that wait, with the times that are left.
    #[must_use]
    pub fn waiting_faults(&self) -> Vec<Fault> {
        self.shared.state().faults.waiting().to_vec()
    }

    /// Takes the API down: every connection is cut, new ones are closed at once. The control plane stays.
    pub fn down(&self) {
        self.shared.gate.shut();
    }

    /// Brings the API up again.
    pub fn up(&self) {
        self.shared.gate.open();
    }

    /// Stops listening, lets calls in flight end, cuts those that take longer than two seconds, and
    /// returns when both servers have ended. Further shutdowns return as well.
    pub async fn shutdown(&self) {
        self.servers.shutdown().await;
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// What the servers share with the handle.
pub(crate) struct Shared {
    pub(crate) api_key: String,
    pub(crate) control_token: String,
    pub(crate) clock: Clock,
    pub(crate) gate: Gate,
    state: Mutex<State>,
    /// The number of the ledger's newest entry.
    newest: watch::Sender<u64>,
}

pub(crate) struct State {
    pub(crate) book: Book,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
}

impl Shared {
    /// The state, locked; never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere fails its own test; the state is plain data and stays usable for the others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry to the ledger and wakes who waits for it.
    pub(crate) fn note(&self, state: &mut State, entry: LedgerEntry) {
        tracing::debug!(route = %entry.route, id = entry.id, applied = entry.applied, status = entry.status, "call");
        state.ledger.push(entry);
        self.newest.send_replace(state.ledger.last_seq());
    }

    pub(crate) fn sow(&self, seed: Seed) -> Result<(), AddError> {
        let now = self.clock.now();
        let book = &mut self.state().book;
        seed.accounts.into_iter().try_for_each(|account| book.add_account(account, now))?;
        seed.tasks.into_iter().try_for_each(|task| book.add_task(task))?;
        seed.raw_tasks.into_iter().try_for_each(|task| book.add_raw_task(task))
    }
}

/// The two servers' tasks and the ways to end them.
struct Servers {
    tasks: TaskTracker,
    stop: CancellationToken,
    gates: [Gate; 2],
    _stop_on_drop: DropGuard,
}

impl Servers {
    fn new(gates: [Gate; 2]) -> Self {
        let stop = CancellationToken::new();
        Self { tasks: TaskTracker::new(), gates, _stop_on_drop: stop.clone().drop_guard(), stop }
    }

    fn serve(&self, listener: GatedListener, router: Router) {
        let service = router.into_make_service_with_connect_info::<Connection>();
        let server = axum::serve(listener, service).with_graceful_shutdown(self.stop.clone().cancelled_owned());
        self.tasks.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "a server ended");
            }
        });
    }

    async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_GRACE, self.tasks.wait()).await.is_err() {
            self.gates.iter().for_each(Gate::shut);
            self.tasks.wait().await;
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })
}

fn url_of(listener: &TcpListener, address: SocketAddr) -> Result<String, StartError> {
    let bound = listener.local_addr().map_err(|source| StartError::Bind { address, source })?;
    Ok(format!("http://{bound}"))
}

fn key_or_random(given: Option<String>) -> Result<String, StartError> {
    let Some(key) = given else {
        let mut bytes = [0; RANDOM_KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| StartError::Random)?;
        return Ok(HEXLOWER.encode(&bytes));
    };
    let fits = (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(key) } else { Err(StartError::Key) }
}

/// As strong as any key of the machine's own.
const RANDOM_KEY_BYTES: usize = 16;

/// Far above any key in use, far below a header's limit.
const MAX_KEY_CHARS: usize = 256;
