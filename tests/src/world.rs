//! A whole small world in one process: a vault, a reference manager, a practice site, and runs of the worker between
//! them.
//!
//! Every address is a free loopback port, every clock is real unless a test brings its own. What a test makes of both
//! ledgers is deliberately not known here.

#![allow(clippy::unwrap_used, reason = "a fixture of tests: what fails here fails the test")]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use latchkey_manager::{Manager, ManagerConfig, NewAccount, NewTask};
use latchkey_practice_site::{self as practice, Site, SiteConfig, SiteHandle};
use latchkey_vault::{
    AccountSecret, AccountView, Clock, NewSlot, Opener, Restore, Restored, Secret, SystemClock, UnlockWith, Vault,
    VaultPaths,
    account_api::AccountApi,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    login::{SiteAuth, build_auth},
    manager_http::{BaseUrl, ManagerClient, ManagerConfig as ClientConfig},
    model::Actor,
    site_http::{SiteClient, Transport},
    sites::Sites,
};
use latchkey_worker::{Event, RunConfig, RunError, Summary};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::servers::install_tls_provider;

/// What tasks call the practice site.
pub const DOMAIN: &str = "practice.test";

/// A vault, a manager and a site, with nothing in them at first.
pub struct World {
    /// The reference manager.
    pub manager: Manager,
    /// The practice site.
    pub site: Arc<SiteHandle>,
    /// The open vault.
    pub vault: Arc<Vault>,
    /// How runs go; a test may change it.
    pub config: RunConfig,
    /// The sites file; a test may change it before a run.
    pub sites_file: String,
    /// How long the worker waits for an answer of the manager.
    pub manager_timeout: Duration,
    folder: TempDir,
    identity: Secret,
    clock: Arc<dyn Clock>,
}

/// How a run ended, and what was seen of it.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub ended: Result<Summary, RunError>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// An account that is at the site and at the manager, under the ids `name` and `acc-name`.
#[derive(Debug)]
pub struct Author {
    /// At the site: its user name.
    pub name: String,
    /// At the manager: its id.
    pub id: String,
}

impl World {
    /// A new world in which everything is as it should be.
    pub async fn new() -> Self {
        Self::with(ManagerConfig::default(), SiteConfig::default()).await
    }

    /// A new world with this manager and this site.
    pub async fn with(manager: ManagerConfig, site: SiteConfig) -> Self {
        Self::with_clock(manager, site, Arc::new(SystemClock::new().unwrap())).await
    }

    /// A new world whose vault goes by this clock.
    pub async fn with_clock(manager: ManagerConfig, site: SiteConfig, clock: Arc<dyn Clock>) -> Self {
        install_tls_provider();
        // What the parts say goes to the test's output, which the runner shows of a test that fails.
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
            .try_init();
        let manager = Manager::start(manager).await.unwrap();
        let site = Arc::new(Site::start(site).await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let identity = generate_identity().0;
        let slot = NewSlot::Identity {
            label: "test".into(),
            kind: SlotKind::Identity,
            recipient: SlotRecipient::of_identity(&identity).unwrap(),
        };
        let vault = Vault::init(&paths(folder.path()), opener(&clock), vec![slot]).await.unwrap();
        let config = RunConfig {
            concurrency: 4,
            pull_limit: 5,
            poll: Duration::from_millis(50),
            until_idle: true,
            grace: Duration::from_secs(10),
            extra_roots_pem: None,
        };
        let sites_file = sites_file(&site.origin());
        let vault = Arc::new(vault);
        let manager_timeout = Duration::from_secs(20);
        Self { manager, site, vault, config, sites_file, manager_timeout, folder, identity, clock }
    }

    /// The folder of everything that belongs to this world.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the vault lies.
    #[must_use]
    pub fn paths(&self) -> VaultPaths {
        paths(self.folder())
    }

    /// The identity that unlocks the vault.
    #[must_use]
    pub fn identity(&self) -> &Secret {
        &self.identity
    }

    /// The vault, opened once more, as another process would.
    pub async fn open_again(&self) -> Vault {
        let with = UnlockWith::Identity(self.identity.duplicate());
        Vault::open(&self.paths(), opener(&self.clock), with).await.unwrap()
    }

    /// Puts a backup in the vault's place, as an operator would between two runs.
    pub async fn restore(&mut self, backup: &Path) -> Restored {
        self.vault.close().await.unwrap();
        let with = UnlockWith::Identity(self.identity.duplicate());
        let progress = Box::new(|_, _| ());
        let restore =
            Restore::prepare(&self.paths(), opener(&self.clock), backup, with, false, progress).await.unwrap();
        let restored = restore.carry_out().await.unwrap();
        self.vault = Arc::new(self.open_again().await);
        restored
    }

    /// An account at both sides: password `pw-NAME`, no session.
    pub fn author(&self, name: &str) -> Author {
        self.author_as(practice::NewAccount::new(name, password(name)), |account| account)
    }

    /// An account whose manager holds the cookie of a live session.
    pub fn author_in(&self, name: &str) -> Author {
        let author = self.author(name);
        self.give_cookie(&author, &self.site.give_session(name).unwrap());
        author
    }

    /// An account whose manager holds the cookie of a session that is over.
    pub fn author_out(&self, name: &str) -> Author {
        let author = self.author(name);
        self.give_cookie(&author, &self.site.give_expired_session(name).unwrap());
        author
    }

    /// An account at both sides as `at_site` and `at_manager` say.
    pub fn author_as(
        &self,
        at_site: practice::NewAccount,
        at_manager: impl FnOnce(NewAccount) -> NewAccount,
    ) -> Author {
        let (name, id) = (at_site.username.clone(), format!("acc-{}", at_site.username));
        let mut account = NewAccount::new(&id)
            .with("site_name", DOMAIN)
            .with("username", name.as_str())
            .with("password", at_site.password.as_str())
            .with("pass_mail", MAIL_CANARY)
            .with("app_password", MAIL_APP_CANARY);
        if let Some(totp) = &at_site.totp {
            account = account.with("twofa", totp.as_str());
        }
        self.site.add_account(at_site).unwrap();
        self.manager.add_account(at_manager(account)).unwrap();
        Author { name, id }
    }

    /// Writes a cookie into the manager's record, as somebody else would.
    pub fn give_cookie(&self, author: &Author, cookie: &str) {
        let fields = [("cookie".to_owned(), Value::from(cookie))].into_iter().collect();
        assert!(self.manager.edit_account(&author.id, fields));
    }

    /// A task to post with `author`: a Vietnamese title and HTML with a link, both with the task's id in them.
    #[must_use]
    pub fn task(&self, id: &str, author: &Author) -> NewTask {
        NewTask::new(id, &author.id)
            .with("domain", DOMAIN)
            .with("website", "https://khach-hang.invalid")
            .with("title", title(id))
            .with("about", body(id))
    }

    /// Adds tasks `PREFIX-1` to `PREFIX-COUNT` for `author`, and returns their ids.
    pub fn add_tasks(&self, prefix: &str, count: usize, author: &Author) -> Vec<String> {
        let ids: Vec<_> = (1..=count).map(|number| format!("{prefix}-{number}")).collect();
        self.manager.add_tasks(ids.iter().map(|id| self.task(id, author))).unwrap();
        ids
    }

    /// The images of a task, by their addresses.
    #[must_use]
    pub fn images(urls: &[String]) -> Value {
        urls.iter().map(|url| json!({"id": "img", "url": url})).collect()
    }

    /// Runs the worker until it is idle; a run that ends otherwise fails the test.
    pub async fn run(&self) -> Summary {
        self.try_run(CancellationToken::new(), |_| ()).await.ended.unwrap()
    }

    /// Runs the worker until it is idle, fails or is stopped; `watch` sees each event first.
    pub async fn try_run(&self, stop: CancellationToken, watch: impl Fn(&Event) + Send + Sync + 'static) -> Ran {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let watch = move |event| {
            tracing::info!(?event);
            watch(&event);
            seen.lock().unwrap().push(event);
        };
        let client = Arc::new(self.client(self.manager.api_key()));
        let ended =
            latchkey_worker::run(Arc::clone(&self.vault), self.sites(), client, self.config.clone(), stop, watch).await;
        let events = std::mem::take(&mut *events.lock().unwrap());
        Ran { ended, events }
    }

    /// Runs the worker with another API key.
    pub async fn run_with_key(&self, key: &str) -> Result<Summary, RunError> {
        let client = Arc::new(self.client(key));
        let (sites, stop) = (self.sites(), CancellationToken::new());
        latchkey_worker::run(Arc::clone(&self.vault), sites, client, self.config.clone(), stop, |_| ()).await
    }

    /// The sites file, read.
    #[must_use]
    pub fn sites(&self) -> Arc<Sites> {
        Arc::new(Sites::parse(&self.sites_file).unwrap())
    }

    /// How one logs in to the practice site.
    #[must_use]
    pub fn auth(&self) -> Arc<dyn SiteAuth> {
        let site = Arc::clone(self.sites().find(DOMAIN).unwrap());
        let client = SiteClient::new(site, Transport::new(None).unwrap(), Arc::clone(&self.clock));
        build_auth(Arc::new(client))
    }

    /// The manager's account calls.
    #[must_use]
    pub fn account_api(&self) -> Arc<AccountApi> {
        Arc::new(AccountApi::new(Arc::new(self.client(self.manager.api_key()))))
    }

    /// What the vault knows of an author.
    pub async fn account(&self, author: &Author) -> AccountView {
        self.vault.find_manager_id(&author.id).await.unwrap().unwrap()
    }

    /// A secret of an author's account, as a person would read it; `-` where there is none.
    pub async fn secret(&self, author: &Author, secret: AccountSecret) -> String {
        let revealed = self.vault.reveal(self.account(author).await.id, &[secret]).await.unwrap();
        // EXPOSE: tests compare it.
        revealed.secret(secret).map_or("-", Secret::expose).to_owned()
    }

    /// The cookie string in the manager's record.
    #[must_use]
    pub fn cookie(&self, author: &Author) -> String {
        self.manager.account(&author.id).unwrap().text("cookie").unwrap_or_default().to_owned()
    }

    /// Who the site takes the bearer of `cookie` for, asked by a plain client; none where it takes them for nobody.
    pub async fn whoami(&self, cookie: &str) -> Option<String> {
        let request =
            reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}/api/me", self.site.origin()));
        let answer = request.header("cookie", cookie).send().await.unwrap();
        let me: Value = answer.json().await.unwrap();
        me.get("username").and_then(Value::as_str).map(str::to_owned)
    }

    /// The details of the audit entries so far, oldest first.
    pub async fn audit(&self) -> Vec<String> {
        let entries = self.vault.audit_entries(0, 10_000).await.unwrap();
        entries.into_iter().map(|entry| entry.event.detail).collect()
    }

    fn client(&self, key: &str) -> ManagerClient {
        ManagerClient::new(ClientConfig {
            base_url: BaseUrl::parse(self.manager.base_url(), false).unwrap(),
            key: Secret::copy_of(key),
            timeout: self.manager_timeout,
            user_agent: "latchkey-tests".into(),
            extra_roots_pem: None,
        })
        .unwrap()
    }
}

/// The password of an author.
#[must_use]
pub fn password(name: &str) -> String {
    format!("pw-{name}")
}

/// The title of a task's post.
#[must_use]
pub fn title(task: &str) -> String {
    format!("Bài viết số {task} «đặc biệt»")
}

/// The HTML of a task's post.
#[must_use]
pub fn body(task: &str) -> String {
    format!("<p>Nội dung có <a href=\"https://khach-hang.invalid/{task}?a=1&amp;b=2\">liên kết</a> của {task}.</p>")
}

/// The sites file for a practice site at `origin`.
#[must_use]
pub fn sites_file(origin: &str) -> String {
    sites_file_within(origin, "request_timeout_s = 5, lease_ttl_s = 30")
}

/// The same with other limits, as the file has them between braces.
#[must_use]
pub fn sites_file_within(origin: &str, limits: &str) -> String {
    SITES_FILE.replace("{origin}", origin).replace("{domain}", DOMAIN).replace("{limits}", limits)
}

fn paths(folder: &Path) -> VaultPaths {
    VaultPaths { file: folder.join("vault/vault.db"), anchors: folder.join("anchors"), pin: None }
}

fn opener(clock: &Arc<dyn Clock>) -> Opener {
    Opener { actor: Actor { uid: 0, user: "root".into(), pid: 1, name: "test".into() }, clock: Arc::clone(clock) }
}

/// The mailbox's password of every author: no site may ever see it.
pub const MAIL_CANARY: &str = "mail-canary-4711";
/// The mailbox's app password of every author: no site may ever see it.
pub const MAIL_APP_CANARY: &str = "mail-app-canary-4711";

const SITES_FILE: &str = r##"
[[site]]
domain = "{domain}"
origins = ["{origin}"]
twofa_at_site = true
media_origins = ["{origin}"]
limits = { {limits} }

[site.login]
driver = "form"
page = "/login"
form = "#login"
username_field = "username"
password_field = "password"
totp = { page = "/login/totp", form = "#totp", field = "code" }
probe = "/api/me"
logged_in = [{ selector = "#whoami" }, { text = '"username":' }]
logged_out = { selector = "#login" }
refused = { selector = ".error" }
locked = { selector = ".locked" }
banned = [{ selector = ".banned" }, { status = 403, text = '"banned"' }]
challenge = [{ selector = ".challenge" }, { status = 403, text = '"challenged"' }]

[site.post]
driver = "form"
page = "/post/new"
form = "#post"
title_field = "title"
body_field = "body"
image_field = "image"
posted = "/u/*/post/*"
refused = { selector = ".error" }
find = { page = "/u/{username}/posts?marker={title}", list = { selector = "#posts" }, links = "#posts a" }
"##;
