//! One login, however many ask: tasks of one process, processes of one machine, accounts of one TOTP secret.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use latchkey_manager::ManagerConfig;
use latchkey_practice_site::SiteConfig;
use latchkey_tests::{
    processes::Launch,
    world::{Author, DOMAIN, World, sites_file},
};
use latchkey_vault::{
    AccountId, BootStamp, CheckOutAsk, Clock, LeaseMode, NewAccount, Opener, RefreshAsk, RefreshError, RefreshedBy,
    Secret, SystemClock, UnlockWith, Vault, VaultPaths,
    cookies::Jar,
    login::{Evidence, LoginIdentity, LoginOutcome, SiteAuth, TotpSource, Verdict, build_auth},
    model::{Actor, Fields},
    site_http::{SiteClient, Transport},
    sites::Sites,
};
use serde_json::{Value, json};

/// An author in the vault with a session that is over, at epoch 1.
async fn expired(world: &World, name: &str) -> (Author, AccountId) {
    let author = world.author(name);
    let cookie = world.site.give_expired_session(name).unwrap();
    let fields = Fields {
        username: Some(Secret::copy_of(name)),
        password: Some(Secret::copy_of(&latchkey_tests::world::password(name))),
        cookie: Some(Secret::copy_of(&cookie)),
        ..Fields::default()
    };
    let new = account(fields, Some(world.site.origin().parse().unwrap()));
    (author, world.vault.add_account(new).await.unwrap())
}

fn account(fields: Fields, origin: Option<url::Url>) -> NewAccount {
    NewAccount {
        site: DOMAIN.into(),
        manager_id: None,
        fields,
        app_password: None,
        tags: Vec::new(),
        notes: String::new(),
        origin,
    }
}

fn ask(auth: Arc<dyn SiteAuth>, origin: &str) -> RefreshAsk {
    let origin: url::Url = origin.parse().unwrap();
    RefreshAsk {
        auth,
        flat_url: origin.join("/api/me").unwrap(),
        origin,
        totp_at_site: true,
        manager: None,
        refused_epoch: 1,
        within: Duration::from_secs(60),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_tasks_that_were_refused_the_same_session_cause_one_login() {
    let world = World::new().await;
    let (_, id) = expired(&world, "ann").await;
    let ask = Arc::new(ask(world.auth(), &world.site.origin()));
    let callers = (0..32).map(|_| {
        let (vault, ask) = (Arc::clone(&world.vault), Arc::clone(&ask));
        tokio::spawn(async move { vault.refresh(id, &ask).await.unwrap() })
    });
    let mut refreshed = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        refreshed.push(caller.await.unwrap());
    }

    assert_eq!(world.site.logins("ann"), 1);
    assert!(refreshed.iter().all(|one| one.login_epoch == 2));
    let by_login = refreshed.iter().filter(|one| one.how == RefreshedBy::Login).count();
    let adopted = refreshed.iter().filter(|one| one.how == RefreshedBy::Another).count();
    assert_eq!((by_login, adopted), (1, 31));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_login_that_is_refused_all_hear_so_after_one_attempt() {
    let world = World::new().await;
    let (_, id) = expired(&world, "ann").await;
    world.site.set_password("ann", "changed").unwrap();
    let ask = Arc::new(ask(world.auth(), &world.site.origin()));
    let callers = (0..8).map(|_| {
        let (vault, ask) = (Arc::clone(&world.vault), Arc::clone(&ask));
        tokio::spawn(async move { vault.refresh(id, &ask).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert!(matches!(caller.await.unwrap(), Err(RefreshError::Blocked { .. })));
    }

    assert_eq!(world.site.counts("ann").bad_logins, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_that_were_refused_the_same_session_cause_one_login() {
    if let Ok(scene) = std::env::var(SCENE) {
        return refresh_as_child(&serde_json::from_str(&scene).unwrap()).await;
    }
    let world = World::new().await;
    // Slow enough that all of them are there before the first has ended.
    world.site.configure(|behaviour| behaviour.delay_ms = 50);
    let (_, id) = expired(&world, "ann").await;
    let paths = world.paths();
    let name = "single_flight::four_processes_that_were_refused_the_same_session_cause_one_login";
    let answers = ["one", "two", "three", "four"].map(|child| world.folder().join(child));
    let start = |answer: &PathBuf| {
        let scene = json!({
            "file": paths.file, "anchors": paths.anchors, "origin": world.site.origin(), "account": id.to_string(),
            // EXPOSE: the child unlocks the vault with it.
            "identity": world.identity().expose(), "answer": answer,
        });
        let child = Launch::of(std::env::current_exe().unwrap(), world.folder());
        child.args(["--exact", name, "--nocapture"]).env(SCENE, scene.to_string()).start().unwrap()
    };
    let children = answers.each_ref().map(start);
    for child in children {
        let ended = child.wait(Duration::from_secs(120)).await.unwrap();
        assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    }
    let mut ways = answers.map(|answer| fs::read_to_string(answer).unwrap());

    assert_eq!(world.site.logins("ann"), 1, "{ways:?}");
    ways.sort();
    assert_eq!(ways, ["Another", "Another", "Another", "Login"]);
}

/// What each of the four does: refreshes once, and says how.
async fn refresh_as_child(scene: &Value) {
    latchkey_tests::servers::install_tls_provider();
    let text = |name: &str| scene[name].as_str().unwrap();
    let paths = VaultPaths { file: text("file").into(), anchors: text("anchors").into(), pin: None };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new().unwrap());
    let opener = Opener {
        actor: Actor { uid: 0, user: "root".into(), pid: std::process::id(), name: "child".into() },
        clock: Arc::clone(&clock),
    };
    let vault = Vault::open(&paths, opener, UnlockWith::Identity(Secret::copy_of(text("identity")))).await.unwrap();
    let site = Arc::clone(Sites::parse(&sites_file(text("origin"))).unwrap().find(DOMAIN).unwrap());
    let auth = build_auth(Arc::new(SiteClient::new(site, Transport::new(None).unwrap(), clock)));
    let refreshed = vault.refresh(text("account").parse().unwrap(), &ask(auth, text("origin"))).await.unwrap();
    assert_eq!(refreshed.login_epoch, 2);
    vault.close().await.unwrap();
    fs::write(text("answer"), format!("{:?}", refreshed.how)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_share_a_totp_secret_never_send_one_step_twice() {
    // The clocks of vault and code stand a little before the end of a step.
    let clock = Arc::new(ShiftedClock::new(1_795_305_600_000 + 26_500));
    let world = World::with_clock(ManagerConfig::default(), SiteConfig::default(), Arc::clone(&clock) as _).await;
    let mut ids = Vec::new();
    for name in ["ann", "bob"] {
        let fields = Fields {
            username: Some(Secret::copy_of(name)),
            password: Some(Secret::copy_of("pw")),
            totp: Some(Secret::copy_of("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ")),
            ..Fields::default()
        };
        ids.push(world.vault.add_account(account(fields, None)).await.unwrap());
    }
    let site = Arc::new(CodeKeeper::default());
    let mut ask = ask(Arc::clone(&site) as _, "https://codes.invalid");
    ask.refused_epoch = 0;
    let (first, second) = tokio::join!(world.vault.refresh(ids[0], &ask), world.vault.refresh(ids[1], &ask));

    assert_eq!([first.unwrap().how, second.unwrap().how], [RefreshedBy::Login, RefreshedBy::Login]);
    let codes = site.codes.lock().unwrap();
    assert_eq!(codes.len(), 2);
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 2, "two steps, two codes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_does_not_wait_for_a_checkout_of_the_same_account_and_changes_what_it_brings_back() {
    let world = World::new().await;
    let (author, id) = expired(&world, "ann").await;
    let lent = CheckOutAsk {
        ttl: Duration::from_secs(60),
        quarantine: Duration::from_secs(1),
        wait: Duration::ZERO,
        mode: LeaseMode::Exclusive,
        purpose: "test".into(),
    };
    let mut checkout = world.vault.check_out(id, &lent).await.unwrap();
    let stale = checkout.jar.duplicate();

    let refreshed = world.vault.refresh(id, &ask(world.auth(), &world.site.origin())).await.unwrap();

    assert_eq!((refreshed.how, refreshed.login_epoch), (RefreshedBy::Login, 2));
    // The borrower did not hear of it, and brings its old cookies back: they do not replace the new session.
    checkout.jar = stale;
    world.vault.check_in(checkout, &latchkey_vault::CheckIn::default()).await.unwrap();
    let again = world.vault.check_out(id, &lent).await.unwrap();
    let me: url::Url = format!("{}/api/me", world.site.origin()).parse().unwrap();
    let cookie = again.jar.export_flat(&me, world.vault.now_ms()).unwrap();
    assert_eq!(world.whoami(cookie.expose()).await, Some(author.name));
    world.vault.check_in(again, &latchkey_vault::CheckIn::default()).await.unwrap();
}

/// A site that lets everybody in and keeps their codes.
#[derive(Default)]
struct CodeKeeper {
    codes: Mutex<Vec<String>>,
}

#[async_trait]
impl SiteAuth for CodeKeeper {
    async fn probe(&self, _: &mut Jar, _: &LoginIdentity<'_>) -> Evidence {
        Evidence::new(Verdict::Expired, "never logged in")
    }

    async fn log_in(&self, _: &LoginIdentity<'_>, jar: &mut Jar, totp: &mut dyn TotpSource) -> LoginOutcome {
        let code = totp.code().await.unwrap();
        self.codes.lock().unwrap().push(code.expose().to_owned());
        let _ = jar.store(&"https://codes.invalid/".parse().unwrap(), b"sid=1", 0);
        LoginOutcome::LoggedIn(Evidence::new(Verdict::Live, "in"))
    }
}

/// The real clocks, with the wall clock set to another time at the start.
struct ShiftedClock {
    system: SystemClock,
    started: Instant,
    wall_ms: i64,
}

impl ShiftedClock {
    fn new(wall_ms: i64) -> Self {
        Self { system: SystemClock::new().unwrap(), started: Instant::now(), wall_ms }
    }
}

impl Clock for ShiftedClock {
    fn wall_ms(&self) -> i64 {
        self.wall_ms + i64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    fn boot(&self) -> BootStamp {
        self.system.boot()
    }
}

/// What tells a child of the test what to do.
const SCENE: &str = "LATCHKEY_TEST_SCENE";
