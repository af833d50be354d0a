//! The demo's world: 40 accounts in every state that matters, 200 tasks, and the servers that keep the ledgers.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use latchkey_manager::{Manager, ManagerConfig, NewAccount as ManagerAccount, NewTask};
use latchkey_practice_site::{AccountState, Behaviour, NewAccount as SiteAccount, Site, SiteConfig, SiteHandle};
use latchkey_vault::{
    AccountId, NewAccount, NewSlot, Opener, Secret, SystemClock, Vault, VaultPaths,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    model::Fields,
    sites::Sites,
};

use super::{DemoError, DemoOptions, during};

/// Accounts in all.
pub const ACCOUNTS: usize = 40;
/// Tasks in all: five for each account.
pub const TASKS: usize = ACCOUNTS * TASKS_EACH;

/// What an account is there to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Its cookie lives: no login.
    Fresh,
    /// Its cookie has expired: one login.
    Expired,
    /// Its cookie has expired, and it has a second factor: one login with TOTP.
    Totp,
    /// It posts by the site's app password: no session, no login.
    AppPassword,
    /// The site has locked it.
    Locked,
    /// The site has banned it.
    Banned,
}

/// One account of the demo.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) share: Share,
    pub(super) username: String,
    pub(super) manager_id: String,
    pub(super) id: AccountId,
}

/// Servers, vault and accounts.
pub struct World {
    pub(super) manager: Manager,
    pub(super) site: SiteHandle,
    pub(super) vault: Arc<Vault>,
    pub(super) sites: Arc<Sites>,
    pub(super) members: Vec<Member>,
    folder: PathBuf,
}

impl World {
    /// Starts the servers, makes the vault, and fills all three.
    ///
    /// # Errors
    /// [`DemoError`].
    pub async fn build(options: &DemoOptions) -> Result<Self, DemoError> {
        let manager = Manager::start(manager_config()).await.map_err(during("starting the manager"))?;
        let site = Site::start(site_config()).await.map_err(during("starting the practice site"))?;
        let files = Files::write(&options.folder, &manager, &site)?;
        let sites = Sites::parse(&files.sites).map_err(during("reading the sites file"))?;
        let recipient = SlotRecipient::of_identity(&files.identity).map_err(during("reading the identity"))?;
        let slot = NewSlot::Identity { label: "demo".into(), kind: SlotKind::Identity, recipient };
        let clock = Arc::new(SystemClock::new().map_err(during("reading the clock"))?);
        let paths = VaultPaths {
            file: options.folder.join("vault/vault.db"),
            anchors: options.folder.join("anchors"),
            pin: None,
        };
        let opener = Opener { actor: options.actor.clone(), clock };
        let vault = Vault::init(&paths, opener, vec![slot]).await.map_err(during("making the vault"))?;
        let (vault, sites) = (Arc::new(vault), Arc::new(sites));
        let mut world = Self { manager, site, vault, sites, members: Vec::new(), folder: options.folder.clone() };
        for (number, share) in shares().enumerate() {
            let member = world.add(number, share).await?;
            world.members.push(member);
        }
        world.add_tasks()?;
        Ok(world)
    }

    /// Where everything lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the site answers.
    #[must_use]
    pub fn site_origin(&self) -> String {
        self.site.origin().to_string()
    }

    /// Where the manager answers.
    #[must_use]
    pub fn manager_url(&self) -> &str {
        self.manager.base_url()
    }

    /// Closes the vault, so that other commands see its last state, and keeps the servers.
    ///
    /// # Errors
    /// [`DemoError`].
    pub async fn close_vault(&self) -> Result<(), DemoError> {
        self.vault.close().await.map_err(during("closing the vault"))
    }

    /// Ends the servers.
    pub async fn shutdown(self) {
        self.manager.shutdown().await;
        if let Err(error) = self.site.shutdown().await {
            tracing::warn!(%error, "the practice site did not end cleanly");
        }
    }

    async fn add(&self, number: usize, share: Share) -> Result<Member, DemoError> {
        let username = format!("user{number:02}");
        let manager_id = format!("account-{number:02}");
        let email = format!("{username}@demo.test");
        let password = format!("Demo-{number:02}!pass");
        let totp = (share == Share::Totp).then(|| totp_secret(number));
        let app_password = (share == Share::AppPassword).then(|| format!("app pass {number:02} word"));
        let mut at_site = SiteAccount::new(&username, &password).email(&email);
        if let Some(totp) = &totp {
            at_site = at_site.totp(totp);
        }
        if let Some(app_password) = &app_password {
            at_site = at_site.app_password(app_password);
        }
        self.site.add_account(at_site).map_err(during("adding an account to the site"))?;
        let cookie = self.cookie(&username, share)?;
        let at_manager = ManagerAccount::new(&manager_id)
            .with("site_name", DOMAIN)
            .with("email", email.as_str())
            .with("username", username.as_str())
            .with("password", password.as_str())
            .with("twofa", totp.clone().unwrap_or_default())
            .with("cookie", cookie.clone().unwrap_or_default());
        self.manager.add_account(at_manager).map_err(during("adding an account to the manager"))?;
        let new = NewAccount {
            site: DOMAIN.into(),
            manager_id: Some(manager_id.clone()),
            fields: Fields {
                username: Some(Secret::copy_of(&username)),
                email: Some(Secret::new(email)),
                password: Some(Secret::new(password)),
                totp: totp.map(Secret::new),
                cookie: cookie.map(Secret::new),
                ..Fields::default()
            },
            app_password: app_password.map(Secret::new),
            tags: vec![format!("{share:?}").to_lowercase()],
            notes: String::new(),
            origin: self.sites.find(DOMAIN).map(|site| site.canonical_origin().clone()),
        };
        let id = self.vault.add_account(new).await.map_err(during("adding an account to the vault"))?;
        Ok(Member { share, username, manager_id, id })
    }

    fn cookie(&self, username: &str, share: Share) -> Result<Option<String>, DemoError> {
        let no_account = "the site lost an account";
        Ok(match share {
            Share::Fresh => Some(self.site.give_session(username).map_err(during(no_account))?),
            Share::AppPassword => None,
            Share::Expired | Share::Totp | Share::Locked | Share::Banned => {
                let cookie = self.site.give_expired_session(username).map_err(during(no_account))?;
                let state = match share {
                    Share::Locked => AccountState::Locked,
                    Share::Banned => AccountState::Banned,
                    _ => AccountState::Active,
                };
                self.site.set_state(username, state).map_err(during(no_account))?;
                Some(cookie)
            }
        })
    }

    fn add_tasks(&self) -> Result<(), DemoError> {
        let origin = self.site_origin();
        let origin = origin.trim_end_matches('/');
        let tasks = (0..TASKS).map(|number| {
            let member = &self.members[number % ACCOUNTS];
            let mut task = NewTask::new(format!("task-{number:03}"), &member.manager_id)
                .with("domain", DOMAIN)
                .with("website", "https://customer.test")
                .with("title", format!("Bài viết số {number:03}"))
                .with(
                    "about",
                    format!("<p>Nội dung {number:03} với <a href=\"https://customer.test\">liên kết</a></p>"),
                )
                .max_retries(0);
            if number % 5 == 0 {
                let url = format!("{origin}/media/{number}.png");
                task = task.with("images", serde_json::json!([{ "id": format!("image-{number}"), "url": url }]));
            }
            task
        });
        self.manager.add_tasks(tasks).map_err(during("adding tasks to the manager"))
    }
}

/// What lies in the demo's folder beside the vault, so that the other commands can be tried on it.
struct Files {
    sites: String,
    identity: Secret,
}

impl Files {
    fn write(folder: &Path, manager: &Manager, site: &SiteHandle) -> Result<Self, DemoError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(during("making the demo's folder"))?;
        let (identity, recipient) = generate_identity();
        let origin = site.origin().to_string();
        let sites = SITES.replace("ORIGIN", origin.trim_end_matches('/'));
        let path = |name: &str| toml::Value::String(folder.join(name).display().to_string()).to_string();
        let settings = format!(
            "vault = {}\nanchors = {}\nsites = {}\n\n[unlock]\nidentity_file = {}\n\n[manager]\nbase_url = {:?}\nkey_file = {}\n",
            path("vault/vault.db"),
            path("anchors"),
            path("sites.toml"),
            path("identity.txt"),
            manager.base_url(),
            path("manager.key"),
        );
        // EXPOSE: the demo's identity is written where its user finds it; it opens nothing but the demo's vault.
        let identity_file = format!("# public key: {recipient}\n{}\n", identity.expose());
        for (name, text) in [
            ("identity.txt", identity_file.as_str()),
            ("manager.key", manager.api_key()),
            ("sites.toml", &sites),
            ("config.toml", &settings),
        ] {
            private_file(&folder.join(name), text)?;
        }
        Ok(Self { sites, identity })
    }
}

fn private_file(path: &Path, text: &str) -> Result<(), DemoError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(during("writing the demo's files"))
}

fn manager_config() -> ManagerConfig {
    let mut config = ManagerConfig::default();
    config.max_retries = 0;
    config
}

fn site_config() -> SiteConfig {
    let behaviour = Behaviour { one_session_per_account: true, ..Behaviour::default() };
    SiteConfig { behaviour, ..SiteConfig::default() }
}

fn shares() -> impl Iterator<Item = Share> {
    let groups = [
        (Share::Fresh, 16),
        (Share::Expired, 12),
        (Share::Totp, 6),
        (Share::AppPassword, 4),
        (Share::Locked, 1),
        (Share::Banned, 1),
    ];
    groups.into_iter().flat_map(|(share, count)| std::iter::repeat_n(share, count))
}

/// Distinct Base32 secrets of 20 bytes.
fn totp_secret(number: usize) -> String {
    let bytes: Vec<u8> = (0..20).map(|place| (number * 37 + place * 11 + 5).to_le_bytes()[0]).collect();
    data_encoding::BASE32_NOPAD.encode(&bytes)
}

/// The site's name in tasks and in the sites file.
const DOMAIN: &str = "practice.test";
/// Tasks of each account.
const TASKS_EACH: usize = 5;
/// The practice site as an operator would describe it.
const SITES: &str = r##"# The practice site of the demo.
[[site]]
domain = "practice.test"
origins = ["ORIGIN"]
media_origins = ["ORIGIN"]
twofa_at_site = true
limits = { concurrency = 16 }

[site.login]
driver = "form"
page = "/login"
form = "form#login"
username_field = "username"
password_field = "password"
probe = "/home"
logged_in = { selector = "#whoami" }
logged_out = [{ selector = "form#login" }, { location = "/login" }]
refused = { selector = ".error" }
locked = { selector = ".locked" }
banned = { selector = ".banned" }
challenge = { selector = ".challenge" }
totp = { form = "form#totp", field = "code" }

[site.post]
driver = "form"
page = "/post/new"
form = "form#post"
title_field = "title"
body_field = "body"
image_field = "image"
posted = "/u/*/post/*"
app_password = true
refused = { selector = ".error" }

[site.post.find]
page = "/u/{username}/posts?marker={title}"
list = { selector = "#posts" }
links = "#posts a"
"##;
