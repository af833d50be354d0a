//! Leases on the command line: who has an account, who waits for it, and taking it away from a process that lives.

use std::{fs, sync::Arc, time::Duration};

use latchkey_vault::{
    AccountId, CheckIn, CheckInError, CheckOutAsk, LeaseMode, Opener, Secret, SystemClock, UnlockWith, Vault,
    VaultPaths, model::Actor,
};

use crate::home::Home;

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_listed_shown_and_taken_away_from_whoever_holds_it() {
    let home = Home::with_vault();
    let (ann, bob) = (home.add("ann"), home.add("bob"));
    let vault = Arc::new(open(&home).await);
    let id: AccountId = ann.parse().unwrap();
    let none = home.run(&["lease", "list", "--json"]).ok().json();
    assert_eq!((&none["held"], &none["waiting"]), (&serde_json::json!([]), &serde_json::json!([])));

    let lent = vault.check_out(id, &ask(Duration::ZERO)).await.unwrap();
    let waiting = Arc::clone(&vault);
    let waiting = tokio::spawn(async move { waiting.check_out(id, &ask(Duration::from_secs(600))).await.map(|_| ()) });
    let shown = loop {
        let shown = home.run(&["lease", "show", "blog.example/ann", "--json"]).ok().json();
        if shown["waiting"][0].is_object() {
            break shown;
        }
    };
    let held = &shown["held"][0];
    assert_eq!((&held["on"], &held["account"], &held["token"]), (&"account".into(), &ann.as_str().into(), &1.into()));
    assert_eq!((&held["process"], &held["worker"], &held["purpose"]), (&77.into(), &"w-1".into(), &"post".into()));
    assert!(held["left_ms"].as_u64().unwrap() > 0 && held["shared_place"].is_null());
    assert_eq!((&shown["waiting"][0]["account"], &shown["waiting"][0]["on"]), (&held["account"], &"account".into()));
    assert!(home.run(&["lease", "show", &bob, "--json"]).ok().json()["held"].as_array().unwrap().is_empty());
    let table = home.run(&["lease", "list"]).ok().stdout;
    assert!(table.starts_with("1 held, 1 waiting") && table.contains("w-1") && table.contains(&ann[..10]), "{table}");

    home.run(&["lease", "revoke", &ann, "--json"]).refused(2, "usage", "yes");
    assert!(vault.renew(&mut lent.lease()).await.unwrap(), "nobody said yes");
    let revoked = home.run(&["lease", "revoke", &ann, "--yes", "--json"]).ok().json();
    assert_eq!(revoked["revoked"], 1);
    assert!(!vault.renew(&mut lent.lease()).await.unwrap());
    assert!(matches!(vault.check_in(lent, &CheckIn::default()).await, Err(CheckInError::Fenced(_))));
    assert_eq!(home.run(&["lease", "revoke", &ann, "--yes", "--json"]).ok().json()["revoked"], 0);
    home.run(&["lease", "show", "blog.example/eve", "--json"]).refused(6, "account_unknown", "eve");
    waiting.abort();
}

async fn open(home: &Home) -> Vault {
    let paths = VaultPaths { file: home.vault_file(), anchors: home.anchors(), pin: None };
    let key = Secret::new(fs::read_to_string(home.path("identity.txt")).unwrap());
    let actor = Actor { uid: 7, user: "ops".into(), pid: 77, name: "w-1".into() };
    let opener = Opener { actor, clock: Arc::new(SystemClock::new().unwrap()) };
    Vault::open(&paths, opener, UnlockWith::Identity(key)).await.unwrap()
}

fn ask(wait: Duration) -> CheckOutAsk {
    let (ttl, quarantine) = (Duration::from_secs(600), Duration::from_secs(600));
    CheckOutAsk { ttl, quarantine, wait, mode: LeaseMode::Exclusive, purpose: "post".into() }
}
