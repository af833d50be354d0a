//! The main job on a real WordPress: the worker as a process, the reference manager, sessions that end under its hands.
//!
//! What happened is read from WordPress itself, from the manager's ledger, and by curl; the worker's word is only compared.

use std::time::Duration;

use latchkey_manager::{Fault, FaultKind, Manager, ManagerConfig, NewAccount, NewTask, Route, TaskStatus};
use latchkey_practice_site::{Site, SiteConfig, SiteHandle};
use latchkey_tests::install::{Install, RUN_LIMIT, result};
use latchkey_tests::processes::Launch;
use latchkey_tests::servers::{LoginCount, Media, Post, WordPress};
use serde_json::json;
use tokio::time::timeout;

/// An author, what it begins with, and how often it must log in.
struct Author {
    name: &'static str,
    begins: Begins,
    /// Its sessions are ended in mid-run, after its first post.
    killed: bool,
    logins: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// With the cookie of a session that is over.
    Expired,
    /// With the cookie of a session that lives.
    Live,
    /// With an application password that the operator has added.
    AppPassword,
}

const AUTHORS: [Author; 5] = [
    Author { name: "an", begins: Begins::Expired, killed: true, logins: 2 },
    Author { name: "binh", begins: Begins::Expired, killed: false, logins: 1 },
    Author { name: "chi", begins: Begins::Live, killed: true, logins: 1 },
    Author { name: "dung", begins: Begins::Live, killed: false, logins: 0 },
    Author { name: "giang", begins: Begins::AppPassword, killed: false, logins: 0 },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wordpress_gets_each_post_once_and_one_login_for_each_session_that_ended() {
    let site = WordPress::start().await.unwrap();
    let pictures = Site::start(SiteConfig::default()).await.unwrap();
    let manager = manager().await;
    let sites =
        SITES.replace("WORDPRESS", site.url().as_str().trim_end_matches('/')).replace("PICTURES", &pictures.origin());
    let install = Install::new(&manager, &sites).await;
    let mut ids = Vec::new();
    for author in &AUTHORS {
        ids.push(add_author(author, &site, &manager, &install).await);
    }
    manager.add_tasks(tasks(&pictures, |author, round| !(author.killed && round >= TASKS_EACH - HELD_BACK))).unwrap();
    let before: Vec<_> = AUTHORS.iter().map(|author| cookie(&manager, author)).collect();

    // As long as this report is refused something is owed, so that the run cannot end before its second half.
    let refused = FaultKind::Status { status: 503, retry_after_s: Some(1) };
    manager.inject(Fault::before(refused).on(Route::Complete).of(task_id(DUNG, 0)).times(u32::MAX)).unwrap();
    let run = install.worker().start().unwrap();
    let killed = || AUTHORS.iter().enumerate().filter(|(_, author)| author.killed);
    let posting = manager.wait_until(|ledger| killed().all(|(place, _)| ledger.completes_of(&task_id(place, 0)) == 1));
    timeout(RUN_LIMIT, posting).await.unwrap();
    for (place, _) in killed() {
        site.destroy_sessions(ids[place]).await.unwrap();
    }
    manager.add_tasks(tasks(&pictures, |author, round| author.killed && round >= TASKS_EACH - HELD_BACK)).unwrap();
    manager.clear_faults();
    let summary = result(&run.wait(RUN_LIMIT).await.unwrap());

    let logins: usize = AUTHORS.iter().map(|author| author.logins).sum();
    for (name, expected) in
        [("done", TASKS), ("failed", 0), ("owed", 0), ("stuck", 0), ("parked", 0), ("logins", logins)]
    {
        assert_eq!(summary[name], expected, "{name}: {summary}");
    }
    let media = site.media().await.unwrap();
    for (place, author) in AUTHORS.iter().enumerate() {
        let count = LoginCount { succeeded: author.logins, failed: 0 };
        assert_eq!(site.login_count(author.name).unwrap(), count, "{}", author.name);
        let posts = site.posts(ids[place]).await.unwrap();
        assert_eq!(posts.len(), TASKS_EACH, "{}: {posts:?}", author.name);
        for round in 0..TASKS_EACH {
            check_post(&manager, place, round, &posts);
            check_picture(&pictures, place, round, &posts, ids[place], &media).await;
        }
        check_cookie(&manager, &site, &install, author, &before[place]).await;
    }
    assert_eq!(install.run(["verify"]).await["ok"], true);
}

async fn manager() -> Manager {
    let mut config = ManagerConfig::default();
    config.max_retries = 0;
    Manager::start(config).await.unwrap()
}

/// Makes the author at WordPress and at the manager; into the vault it comes by its tasks, but for the one whose
/// application password only the operator knows.
async fn add_author(author: &Author, site: &WordPress, manager: &Manager, install: &Install) -> u64 {
    let (name, email) = (author.name, format!("{}@example.test", author.name));
    let password = format!("Mật khẩu of {name} & 9");
    let id = site.create_author(name, &email, &password).await.unwrap();
    let cookie = match author.begins {
        Begins::Expired => site.expired_cookie(name).await.unwrap(),
        Begins::Live => site.session_cookie(name).await.unwrap(),
        Begins::AppPassword => {
            let secrets = json!({"app_password": site.application_password(name).await.unwrap()}).to_string();
            let account = account_id(author);
            let add = ["account", "add", DOMAIN, "--username", name, "--manager-id", &account, "--secrets-stdin"];
            result(&install.latchkey(add).input(secrets).run(RUN_LIMIT).await.unwrap());
            String::new()
        }
    };
    let account = NewAccount::new(account_id(author)).with("site_name", DOMAIN).with("username", name);
    let account = account.with("email", email).with("password", password).with("cookie", cookie);
    manager.add_account(account).unwrap();
    id
}

fn tasks(pictures: &SiteHandle, wanted: impl Fn(&Author, usize) -> bool) -> Vec<NewTask> {
    let all =
        (0..TASKS_EACH).flat_map(|round| AUTHORS.iter().enumerate().map(move |(place, author)| (place, author, round)));
    let wanted = all.filter(|(_, author, round)| wanted(author, *round));
    let task = |(place, author, round): (usize, &Author, usize)| {
        NewTask::new(task_id(place, round), account_id(author))
            .with("domain", DOMAIN)
            .with("title", title(place, round))
            .with("about", about(place, round))
            .with("images", json!([{"id": "i1", "url": picture(pictures, place, round)}]))
    };
    wanted.map(task).collect()
}

/// The task is completed once, with the link of the one post that has its title and its text.
fn check_post(manager: &Manager, place: usize, round: usize, posts: &[Post]) {
    let post = the_post(place, round, posts);
    assert_eq!(post.status, "publish");
    assert!(post.content.starts_with(&about(place, round)), "{}", post.content);
    let id = task_id(place, round);
    let task = manager.task(&id).unwrap();
    assert_eq!((task.status, task.link_post.as_deref()), (TaskStatus::Completed, Some(post.link.as_str())));
    assert_eq!((manager.ledger().completes_of(&id), manager.ledger().fails_of(&id)), (1, 0), "{id}");
}

/// The post shows the author's own upload of the task's picture, byte for byte.
async fn check_picture(
    pictures: &SiteHandle,
    place: usize,
    round: usize,
    posts: &[Post],
    author: u64,
    media: &[Media],
) {
    let post = the_post(place, round, posts);
    let shown: Vec<_> =
        media.iter().filter(|medium| post.content.contains(&format!("src=\"{}\"", medium.source_url))).collect();
    assert_eq!(shown.len(), 1, "{}", post.content);
    assert_eq!((shown[0].author, shown[0].mime_type.as_str()), (author, "image/png"));
    assert_eq!(fetch(&shown[0].source_url).await, fetch(&picture(pictures, place, round)).await);
}

fn the_post(place: usize, round: usize, posts: &[Post]) -> &Post {
    // WordPress stores what an author may not write as HTML escaped.
    let title = title(place, round).replace('&', "&amp;");
    let found: Vec<_> = posts.iter().filter(|post| post.title == title).collect();
    assert_eq!(found.len(), 1, "{title}: {posts:?}");
    found[0]
}

/// The manager's cookie opens the site for curl; one that is over does not, and a login was told as the contract asks.
async fn check_cookie(manager: &Manager, site: &WordPress, install: &Install, author: &Author, before: &str) {
    let (now, puts) = (cookie(manager, author), manager.ledger().puts_of(&account_id(author)));
    let account = manager.account(&account_id(author)).unwrap();
    assert_eq!(account.text("status"), Some("active"));
    if author.begins == Begins::AppPassword {
        assert_eq!((now.as_str(), puts), ("", 0), "no session, nothing to tell");
        return;
    }
    assert_eq!(curl(site, install, &now).await, "200", "{}", author.name);
    if author.logins > 0 {
        assert_eq!(puts, author.logins, "{}", author.name);
        assert_eq!(curl(site, install, before).await, "302", "{}: the old session is over", author.name);
    }
}

/// The status that curl gets for a page of members, the cookie handed over by standard input.
async fn curl(site: &WordPress, install: &Install, cookie: &str) -> String {
    let config = format!("url = \"{}\"\nheader = \"Cookie: {cookie}\"\n", site.page("wp-admin/profile.php"));
    let arguments = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--config", "-"];
    let curl = Launch::of("curl".into(), install.folder()).args(arguments).input(config);
    let finished = curl.run(Duration::from_secs(60)).await.unwrap();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    finished.stdout
}

async fn fetch(url: &str) -> Vec<u8> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).send().await.unwrap().error_for_status().unwrap();
    answer.bytes().await.unwrap().to_vec()
}

fn cookie(manager: &Manager, author: &Author) -> String {
    manager.account(&account_id(author)).unwrap().text("cookie").unwrap_or_default().to_owned()
}

fn account_id(author: &Author) -> String {
    format!("acc-{}", author.name)
}

fn task_id(place: usize, round: usize) -> String {
    format!("task-{place}-{round}")
}

fn title(place: usize, round: usize) -> String {
    format!("Bài viết {round} của {}: cà phê & phở ở Hà Nội", AUTHORS[place].name)
}

fn about(place: usize, round: usize) -> String {
    let name = AUTHORS[place].name;
    format!(
        "<p>Nội dung {round} của <strong>{name}</strong>, kèm <a href=\"https://khach-hang.test/{place}/{round}\">liên kết</a>.</p>"
    )
}

fn picture(pictures: &SiteHandle, place: usize, round: usize) -> String {
    format!("{}/media/{}.png", pictures.origin(), place * TASKS_EACH + round)
}

const DOMAIN: &str = "blog.test";
const TASKS_EACH: usize = 6;
const TASKS: usize = TASKS_EACH * AUTHORS.len();
/// Tasks of an author that the manager brings only after its sessions were ended.
const HELD_BACK: usize = 2;
/// The place of an author whose sessions are left alone.
const DUNG: usize = 3;

const SITES: &str = r#"
[[site]]
domain = "blog.test"
origins = ["WORDPRESS"]
media_origins = ["PICTURES"]
login = { driver = "wordpress" }
post = { driver = "wordpress" }
"#;
