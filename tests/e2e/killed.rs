//! The worker as a process that dies: killed at moments that the ledgers of site and manager show, started again, and
//! told to stop in mid-run.
//!
//! What is claimed is read from both ledgers and from the vault's audit, never from the worker's own summary.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use latchkey_manager::{Manager, ManagerConfig, NewAccount as ManagerAccount, NewTask, TaskStatus};
use latchkey_practice_site::{Behaviour, Fault, FaultPoint, NewAccount, Site, SiteConfig, SiteHandle};
use latchkey_tests::install::{Install, RUN_LIMIT, result};
use latchkey_tests::processes::{Running, Signal};
use latchkey_tests::world::sites_file_within;
use serde_json::Value;
use tokio::time::timeout;

/// When the worker is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Right after the site has taken so many posts in this run.
    Posts(u64),
    /// Right after the manager has recorded so many completes in this run.
    Completes(usize),
    /// Right after the site has granted this account, whose session was over, a login.
    Login(usize),
    /// As `Posts(1)`, and the site's answer is lost as well.
    LostPost,
    /// As `Login`, and the site's answer is lost as well.
    LostLogin(usize),
}

/// The second factors come last, since a code that was cut off is followed by one of the next half minute.
const KILLS: [Moment; 11] = [
    Moment::Posts(1),
    Moment::Completes(3),
    Moment::LostPost,
    Moment::Posts(4),
    Moment::Login(4),
    Moment::LostLogin(5),
    Moment::Posts(2),
    Moment::LostPost,
    Moment::Completes(1),
    Moment::Login(TOTP.start),
    Moment::Login(TOTP.start + 1),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_again_and_again_posts_and_reports_everything_exactly_once() {
    let mut scene = Scene::new(2).await;
    for moment in KILLS {
        scene.add_tasks(TASKS_A_RUN);
        scene.kill_at(moment).await;
    }
    let summary = scene.run_to_the_end().await;
    assert_eq!(
        (&summary["owed"], &summary["stuck"], &summary["failed"]),
        (&0.into(), &0.into(), &0.into()),
        "{summary}"
    );
    scene.check_posts_and_reports();
    let lost = scene.check_logins().await;
    assert!(lost > 0, "a kill hit a login");
    assert_eq!(scene.install.run(["verify"]).await["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_told_to_stop_ends_in_order_and_the_next_run_does_the_rest() {
    let mut scene = Scene::new(30).await;
    scene.add_tasks(22);
    TOTP.for_each(|place| scene.add_task(place));
    let run = scene.install.worker().start().unwrap();
    scene.until(Moment::Completes(2), Seen::default()).await;
    run.signal(Signal::TERM).unwrap();
    let summary = result(&run.wait(RUN_LIMIT).await.unwrap());
    assert_eq!(
        (&summary["owed"], &summary["stuck"], &summary["failed"]),
        (&0.into(), &0.into(), &0.into()),
        "{summary}"
    );
    let posts = scene.site.all_posts().len();
    assert!((2..24).contains(&posts), "it was stopped in the middle: {posts} posts");
    // What was finished is reported, and nothing else.
    assert_eq!(scene.completes(), posts);

    scene.run_to_the_end().await;
    scene.check_posts_and_reports();
    assert_eq!(scene.check_logins().await, 0, "no login was cut off");
    assert_eq!(scene.install.run(["verify"]).await["ok"], true);
}

/// Manager, site and vault, and what was done to them.
struct Scene {
    manager: Manager,
    site: SiteHandle,
    install: Install,
    /// By the task's number, its account's place.
    tasks: Vec<usize>,
    /// Sessions that ended, by the account's place.
    expiries: BTreeMap<usize, u64>,
}

/// What the ledgers showed before a run.
#[derive(Clone, Copy, Default)]
struct Seen {
    posts: u64,
    completes: usize,
    logins: u64,
}

impl Scene {
    /// Accounts at site and manager, none in the vault: they come in by their tasks. After a kill an account
    /// rests for as long as a request to the site may take.
    async fn new(request_timeout_s: u32) -> Scene {
        let behaviour = Behaviour { delay_ms: SITE_DELAY_MS, ..Behaviour::default() };
        let site = Site::start(SiteConfig { behaviour, ..SiteConfig::default() }).await.unwrap();
        let mut config = ManagerConfig::default();
        config.max_retries = 0;
        let manager = Manager::start(config).await.unwrap();
        let limits = format!("concurrency = 4, request_timeout_s = {request_timeout_s}, lease_ttl_s = 30");
        let sites = sites_file_within(&site.origin(), &limits);
        let install = Install::new(&manager, &sites).await;
        let mut expiries = BTreeMap::new();
        for place in 0..ACCOUNTS {
            let (name, password) = (username(place), format!("pass-{place:02}"));
            let totp =
                TOTP.contains(&place).then(|| data_encoding::BASE32_NOPAD.encode(&[u8::try_from(place).unwrap(); 20]));
            let mut account = NewAccount::new(&name, &password);
            account.totp.clone_from(&totp);
            site.add_account(account).unwrap();
            let fresh = place < FRESH;
            let cookie = if fresh { site.give_session(&name) } else { site.give_expired_session(&name) }.unwrap();
            expiries.insert(place, u64::from(!fresh));
            let account = ManagerAccount::new(account_id(place)).with("username", name).with("password", password);
            let account = account.with("twofa", totp.unwrap_or_default()).with("cookie", cookie);
            manager.add_account(account.with("site_name", DOMAIN)).unwrap();
        }
        Scene { manager, site, install, tasks: Vec::new(), expiries }
    }

    /// Further tasks, for the accounts without a second factor in turn.
    fn add_tasks(&mut self, count: usize) {
        for _ in 0..count {
            self.add_task(self.tasks.len() % TOTP.start);
        }
    }

    fn add_task(&mut self, place: usize) {
        let number = self.tasks.len();
        let task = NewTask::new(task_id(number), account_id(place))
            .with("domain", DOMAIN)
            .with("title", title(number))
            .with("about", about(number));
        self.manager.add_task(task).unwrap();
        self.tasks.push(place);
    }

    /// Starts a worker and kills it at the moment.
    async fn kill_at(&mut self, moment: Moment) {
        match moment {
            Moment::Posts(_) | Moment::Completes(_) => {}
            Moment::LostPost => self.site.inject(FaultPoint::Post, Fault::CloseAfter, 1).unwrap(),
            Moment::Login(place) => self.expire(place),
            Moment::LostLogin(place) => {
                self.expire(place);
                self.site.inject(FaultPoint::Login, Fault::CloseAfter, 1).unwrap();
            }
        }
        let before = self.seen(moment);
        let run = self.install.worker().start().unwrap();
        self.until(moment, before).await;
        kill(run).await;
        self.site.clear_faults();
    }

    /// Ends an account's session, where it still has one, and gives it something to do.
    fn expire(&mut self, place: usize) {
        let ended = self.site.expire_sessions(&username(place)).unwrap();
        *self.expiries.entry(place).or_default() += u64::from(ended > 0);
        self.add_task(place);
    }

    fn seen(&self, moment: Moment) -> Seen {
        let logins = match moment {
            Moment::Login(place) | Moment::LostLogin(place) => self.site.logins(&username(place)),
            _ => 0,
        };
        Seen { posts: self.site.ledger().total.posts, completes: self.completes(), logins }
    }

    /// Waits until the ledgers show the moment.
    async fn until(&self, moment: Moment, before: Seen) {
        let come = |now: Seen| match moment {
            Moment::Posts(count) => now.posts >= before.posts + count,
            Moment::LostPost => now.posts > before.posts,
            Moment::Completes(count) => now.completes >= before.completes + count,
            Moment::Login(_) | Moment::LostLogin(_) => now.logins > before.logins,
        };
        let looking = async {
            while !come(self.seen(moment)) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        timeout(RUN_LIMIT, looking).await.unwrap_or_else(|_| panic!("{moment:?} does not come"));
    }

    async fn run_to_the_end(&self) -> Value {
        result(&self.install.worker().run(RUN_LIMIT).await.unwrap())
    }

    fn completes(&self) -> usize {
        (0..self.tasks.len()).filter(|number| self.status(*number) == TaskStatus::Completed).count()
    }

    fn status(&self, number: usize) -> TaskStatus {
        self.manager.task(&task_id(number)).unwrap().status
    }

    /// Each task has one post, by its account and as it was asked for, and one complete with that post's link.
    fn check_posts_and_reports(&self) {
        let (posts, ledger) = (self.site.all_posts(), self.manager.ledger());
        assert_eq!(posts.len(), self.tasks.len());
        for (number, place) in self.tasks.iter().enumerate() {
            let mine: Vec<_> = posts.iter().filter(|post| post.title == title(number)).collect();
            assert_eq!(mine.len(), 1, "task {number}");
            assert_eq!((&mine[0].username, &mine[0].body), (&username(*place), &about(number)));
            let id = task_id(number);
            assert_eq!((ledger.completes_of(&id), ledger.fails_of(&id)), (1, 0), "task {number}");
            let link = format!("{}/u/{}/post/{}", self.site.origin(), mine[0].username, mine[0].number);
            assert_eq!(self.manager.task(&id).unwrap().link_post, Some(link));
        }
    }

    /// At most one login was brought home for each expiry, and at most one more was sent for each that a kill cut off;
    /// no code was sent twice. Says how many were cut off.
    async fn check_logins(&self) -> u64 {
        let mut lost = 0;
        for (place, expiries) in &self.expiries {
            let name = username(*place);
            let (begun, ended) = self.audited_logins(&name).await;
            assert!(ended <= *expiries, "{name}: {ended} logins ended, {expiries} sessions had");
            let sent = self.site.logins(&name);
            assert!((ended..=begun).contains(&sent), "{name}: {sent} logins at the site, {ended} ended of {begun}");
            lost += begun - ended;
        }
        let total = self.site.ledger().total;
        assert_eq!((total.totp_replays, total.bad_logins, total.stopped_logins), (0, 0, 0));
        lost
    }

    /// Logins that were begun and ended by the vault's audit.
    async fn audited_logins(&self, name: &str) -> (u64, u64) {
        let account = format!("{DOMAIN}/{name}");
        let said = self.install.run(["audit", "list", "--limit", "10000", "--account", &account]).await;
        let count = |action: &str| {
            let entries = said["entries"].as_array().unwrap();
            entries.iter().filter(|entry| entry["action"] == action).count() as u64
        };
        (count("login-intent"), count("login"))
    }
}

async fn kill(run: Running) {
    run.signal(Signal::KILL).unwrap();
    let ended = run.wait(RUN_LIMIT).await.unwrap();
    assert_eq!(ended.status.signal(), Some(Signal::KILL.as_raw()), "it was still at work: {}", ended.stderr);
}

fn username(place: usize) -> String {
    format!("user{place:02}")
}

fn account_id(place: usize) -> String {
    format!("account-{place:02}")
}

fn task_id(number: usize) -> String {
    format!("task-{number:03}")
}

fn title(number: usize) -> String {
    format!("Bài viết số {number:03}")
}

fn about(number: usize) -> String {
    format!("<p>Nội dung {number:03}: <a href=\"https://khach-hang.test/{number}\">liên kết</a></p>")
}

const DOMAIN: &str = "practice.test";
const ACCOUNTS: usize = 12;
/// The first accounts begin with sessions that live, all others with sessions that are over.
const FRESH: usize = 3;
/// Accounts with a second factor, the last ones.
const TOTP: std::ops::Range<usize> = 10..12;
/// Tasks that are new in each run: more than any moment waits for, so that there is work left when it comes.
const TASKS_A_RUN: usize = 7;
/// Each answer of the site takes so long that a kill finds requests under way.
const SITE_DELAY_MS: u64 = 40;
/// Between two looks at the ledgers: shorter than any request.
const LOOK_EVERY: Duration = Duration::from_millis(2);
