//! With a manager and a site: pulls, refreshes, and what a refused key or a blocked account looks like.

use latchkey_manager::{Manager, ManagerConfig, NewAccount as ManagerAccount};
use latchkey_practice_site::{AccountState, NewAccount as SiteAccount, Site, SiteConfig, SiteHandle};

use crate::home::{CANARY, Ended, Home};

/// A home whose settings name a manager and whose sites file names a practice site.
struct World {
    home: Home,
    manager: Manager,
    site: SiteHandle,
}

impl World {
    async fn new() -> Self {
        let home = Home::with_vault();
        let manager = Manager::start(ManagerConfig::default()).await.unwrap();
        let site = Site::start(SiteConfig::default()).await.unwrap();
        home.write("key", manager.api_key());
        home.write(
            ".config/latchkey/config.toml",
            &format!("[manager]\nbase_url = \"{}\"\nkey_file = \"../../key\"\n", manager.base_url()),
        );
        home.write(".config/latchkey/sites.toml", &sites(&site.origin()));
        Self { home, manager, site }
    }

    /// Runs the binary while the servers go on.
    fn run(&self, args: &[&str]) -> Ended {
        tokio::task::block_in_place(|| self.home.run(args))
    }

    fn feed(&self, input: &str, args: &[&str]) -> Ended {
        tokio::task::block_in_place(|| self.home.feed(input, args))
    }

    async fn end(self) {
        self.manager.shutdown().await;
        self.site.shutdown().await.unwrap();
    }
}

fn sites(origin: &str) -> String {
    format!(
        r##"[[site]]
domain = "practice.example"
origins = ["{origin}"]
[site.login]
driver = "form"
page = "/login"
form = "form#login"
username_field = "username"
password_field = "password"
probe = "/home"
logged_in = {{ selector = "#whoami" }}
logged_out = {{ location = "/login" }}
refused = {{ selector = ".error" }}
locked = {{ selector = ".locked" }}
"##
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_manager_knows_is_brought_in_and_merged() {
    let world = World::new().await;
    let account = ManagerAccount::new("4711")
        .with("site_name", "practice.example")
        .with("username", "ann")
        .with("password", format!("pw-{CANARY}"))
        .with("cookie", format!("sid={CANARY}"));
    world.manager.add_account(account).unwrap();

    let brought = world.run(&["account", "pull", "--manager-id", "4711", "--json"]).ok();
    brought.hides_secrets();
    let pulled = &brought.json()["pulled"][0];
    assert_eq!((&pulled["brought_in"], &pulled["new_cookie"]), (&true.into(), &true.into()), "{pulled}");
    let shown = world.run(&["account", "show", "practice.example/ann", "--json"]).ok().json();
    assert_eq!((&shown["manager_id"], &shown["manager_status"]), (&"4711".into(), &"active".into()));
    assert_eq!(shown["secrets"]["password"]["set"], true);

    // What was changed here is owed, and is not overwritten by what the manager said before.
    world.feed("mine", &["account", "edit", "practice.example/ann", "--password-stdin"]).ok();
    assert_eq!(world.run(&["outbox", "list", "--json"]).ok().json()["owed"], 1);
    let again = world.run(&["account", "pull", "--all", "--json"]).ok().json();
    let won = serde_json::json!([{ "field": "password", "winner": "ours" }]);
    assert_eq!((&again["pulled"][0]["won"], &again["failed"]), (&won, &serde_json::json!([])));
    world.run(&["account", "pull", "--manager-id", "4712", "--json"]).refused(7, "manager_not_found", "404");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_kept_costs_that_value_and_is_named() {
    let world = World::new().await;
    let account = ManagerAccount::new("4711")
        .with("site_name", "practice.example")
        .with("username", "ann")
        .with("email", "ann@\u{1b}[31m.example")
        .with("twofa", "not Base32!")
        .with("password", format!("pw-{CANARY}"));
    world.manager.add_account(account).unwrap();

    let brought = world.run(&["account", "pull", "--manager-id", "4711", "--json"]).ok();
    brought.hides_secrets();
    assert_eq!(brought.json()["pulled"][0]["left_out"], serde_json::json!(["email", "twofa"]));
    let shown = world.run(&["account", "show", "practice.example/ann", "--json"]).ok().json();
    assert_eq!((&shown["email"], &shown["secrets"]["totp"]["set"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(shown["secrets"]["password"]["set"], true, "the rest is there");
    let again = world.run(&["account", "pull", "practice.example/ann"]).ok();
    assert!(again.stdout.contains("email, twofa; mend it at the manager"), "{again:?}");
    let audit = world.run(&["audit", "list", "--action", "pull", "--limit", "1", "--json"]).ok();
    assert!(audit.stdout.contains("left out: email, twofa"), "{audit:?}");

    // Ours stays when the manager's becomes unusable, and a record without any usable name is not taken.
    let mended = [("email".to_owned(), "ann@mail.example".into())].into_iter().collect();
    assert!(world.manager.edit_account("4711", mended));
    let mended = world.run(&["account", "pull", "practice.example/ann", "--json"]).ok().json();
    assert_eq!(mended["pulled"][0]["left_out"], serde_json::json!(["twofa"]));
    let spoilt = [("email".to_owned(), "x".repeat(2000).into())].into_iter().collect();
    assert!(world.manager.edit_account("4711", spoilt));
    let spoilt = world.run(&["account", "pull", "practice.example/ann", "--json"]).ok().json();
    assert_eq!(spoilt["pulled"][0]["left_out"], serde_json::json!(["email", "twofa"]));
    let shown = world.run(&["account", "show", "practice.example/ann", "--json"]).ok().json();
    assert_eq!(shown["email"], "ann@mail.example");
    let nameless =
        ManagerAccount::new("4712").with("site_name", "practice.example").with("email", "b\u{7}ob@mail.example");
    world.manager.add_account(nameless).unwrap();
    let refused = world.run(&["account", "pull", "--manager-id", "4712", "--json"]);
    refused.refused(6, "account_invalid", "email cannot be kept");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_41_what_a_manager_calls_an_account_steers_no_terminal() {
    let world = World::new().await;
    // Control characters are refused as they come in; what turns a line around is not.
    let name = "ann\u{202e}\u{2066}nna";
    for (id, name) in [("4711", name), ("4712", "bob\u{1b}[31m"), ("4713", "eve\u{9b}2J")] {
        let account = ManagerAccount::new(id).with("site_name", "practice.example").with("username", name);
        world.manager.add_account(account.with("status", "act\u{1b}[31mive")).unwrap();
    }
    let mut said: Vec<_> =
        ["4711", "4712", "4713"].map(|id| world.run(&["account", "pull", "--manager-id", id])).into();
    assert_eq!(said.iter().map(|ended| ended.code).collect::<Vec<_>>(), [0, 6, 6]);
    let json = world.run(&["account", "list", "--json"]).ok();
    let id = json.json()["accounts"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(json.json()["accounts"][0]["login"], name, "it is told word for word, in escapes");
    said.push(json);
    for command in [
        &["account", "list"][..],
        &["account", "show", &id],
        &["account", "show", &id, "--json"],
        &["session", "status"],
        &["audit", "list"],
        &["account", "add", "practice.example", "--username", name],
        &["account", "show", &format!("practice.example/{name}")],
        &["session", "refresh", &id],
    ] {
        said.push(world.run(command));
    }
    for ended in said {
        let steering = |text: &str| text.chars().any(|c| c != '\n' && latchkey_vault::text::steers(c));
        assert!(!steering(&ended.stdout) && !steering(&ended.stderr), "{ended:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_becomes_fresh_by_login_by_probe_and_by_force() {
    let world = World::new().await;
    let password = format!("pw-{CANARY}");
    world.site.add_account(SiteAccount::new("ann", &*password)).unwrap();
    world.feed(&password, &["account", "add", "practice.example", "--username", "ann", "--password-stdin"]).ok();
    let refresh = ["session", "refresh", "practice.example/ann", "--json"];

    for (args, how, epoch, logins) in [
        (&refresh[..], "login", 1, 1),
        (&refresh, "probe", 1, 1),
        (&[&refresh[..], &["--force"]].concat(), "login", 2, 2),
    ] {
        let fresh = world.run(args).ok();
        fresh.hides_secrets();
        assert_eq!((&fresh.json()["how"], &fresh.json()["epoch"]), (&how.into(), &epoch.into()));
        assert_eq!(world.site.logins("ann"), logins);
    }
    let status = world.run(&["session", "status", "practice.example/ann", "--json"]).ok().json();
    assert!(!status["sessions"][0]["cookies"].as_array().unwrap().is_empty(), "{status}");

    world.site.expire_all();
    world.site.set_state("ann", AccountState::Locked).unwrap();
    world.run(&refresh).refused(8, "blocked", "locked");
    world.run(&refresh).refused(8, "blocked", "locked");
    let listed = world.run(&["account", "list", "--state", "locked", "--json"]).ok().json();
    assert_eq!(listed["accounts"][0]["login"], "ann");
    world.site.set_state("ann", AccountState::Active).unwrap();
    world.run(&["account", "reset", "practice.example/ann"]).ok();
    assert_eq!(world.run(&refresh).ok().json()["how"], "login");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_and_an_unreachable_manager_are_told() {
    let world = World::new().await;
    world.manager.add_account(ManagerAccount::new("4711").with("username", "ann")).unwrap();
    let pull = ["account", "pull", "--manager-id", "4711", "--site", "practice.example", "--json"];
    world.run(&["doctor", "--json"]).ok();

    world.home.write("key", CANARY);
    world.run(&pull).refused(7, "manager_key", "refuses the API key");
    let ended = world.run(&["doctor", "--json"]);
    ended.refused(1, "unwell", "1 check(s) failed");
    assert!(ended.stdout.contains("refuses the API key"), "{ended:?}");

    world.home.write("key", "two words");
    world.run(&pull).refused(2, "manager_settings", "visible ASCII");
    std::fs::remove_file(world.home.path("key")).unwrap();
    world.run(&pull).refused(2, "manager_settings", "does not exist");

    world.home.write("key", world.manager.api_key());
    world.manager.shutdown().await;
    world.run(&pull).refused(7, "manager_unreachable", "not reached");
    assert!(world.home.run(&["account", "list", "--json"]).ok().json()["accounts"].as_array().unwrap().is_empty());
    world.site.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_tasks_ends_when_it_is_idle() {
    let world = World::new().await;
    let ran = world.run(&["worker", "run", "--until-idle", "--json"]).ok().json();
    assert_eq!((&ran["done"], &ran["failed"], &ran["owed"]), (&0.into(), &0.into(), &0.into()));
    std::fs::remove_file(world.home.path(".config/latchkey/config.toml")).unwrap();
    world.run(&["worker", "run", "--until-idle", "--json"]).refused(2, "manager_unset", "no manager");
    world.end().await;
}
