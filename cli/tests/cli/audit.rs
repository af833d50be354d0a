//! The audit on the command line: who did what, found by filters, checked alone, exported for somebody without a key.

use std::{fs, path::Path, sync::Arc};

use latchkey_vault::{
    AccountId, AccountSecret, Opener, Secret, SystemClock, UnlockWith, Vault, VaultPaths, model::Actor,
};
use serde_json::Value;

use crate::home::{Home, mode};

/// The `seq` of the entries that `audit list` gives with these flags.
fn listed(home: &Home, flags: &[&str]) -> Vec<u64> {
    let listed = home.run(&[&["audit", "list", "--json"], flags].concat()).ok().json();
    listed["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn entries_say_who_did_what_how_it_ended_and_when_and_filters_find_them() {
    let home = Home::with_vault();
    let (ann, bob) = (home.add("ann"), home.add("bob"));
    home.run(&["account", "show", &ann, "--reveal", "password"]).ok();
    home.run(&["account", "remove", &bob, "--yes"]).ok();

    let all = home.run(&["audit", "list", "--json"]).ok().json();
    let entry = |seq: u64| all["entries"].as_array().unwrap().iter().find(|e| e["seq"] == seq).unwrap().clone();
    let words: Vec<Value> = (1..=5).map(|seq| entry(seq)["action"].clone()).collect();
    assert_eq!(words, ["init", "add", "add", "reveal", "remove"]);
    let reveal = entry(4);
    for (name, expected) in [("actor", "cli"), ("outcome", "done"), ("account", &ann), ("detail", "password")] {
        assert_eq!(reveal[name], expected, "{reveal}");
    }
    let own = fs::metadata(home.vault_file()).unwrap();
    assert_eq!(reveal["uid"], std::os::unix::fs::MetadataExt::uid(&own), "{reveal}");
    assert!(reveal["pid"].as_u64().unwrap() > 0 && reveal["at_ms"].as_i64().unwrap() > 0, "{reveal}");
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = reveal["user"].as_str().unwrap();
    assert!(users.lines().any(|line| line.starts_with(&format!("{user}:"))), "{reveal}");

    for (flags, expected) in [
        (&[][..], &[5, 4, 3, 2, 1][..]),
        (&["--oldest"], &[1, 2, 3, 4, 5]),
        (&["--limit", "2"], &[5, 4]),
        (&["--oldest", "--limit", "2"], &[1, 2]),
        (&["--account", "blog.example/ann"], &[4, 2]),
        // It is there no more, and its entries are.
        (&["--account", &bob], &[5, 3]),
        (&["--account", &bob[..10], "--action", "add"], &[3]),
        (&["--action", "add", "--action", "init"], &[3, 2, 1]),
        (&["--actor", "cli", "--outcome", "done"], &[5, 4, 3, 2, 1]),
        (&["--actor", user, "--limit", "1"], &[5]),
        (&["--actor", "somebody"], &[]),
        (&["--outcome", "refused", "--outcome", "failed"], &[]),
        (&["--since", "1h"], &[5, 4, 3, 2, 1]),
        (&["--until", "1h"], &[]),
        (&["--since", "2026-01-01", "--until", "9999-01-01T00:00:00Z", "--action", "init"], &[1]),
    ] {
        assert_eq!(listed(&home, flags), expected, "{flags:?}");
    }
    let text = home.run(&["audit", "list", "--limit", "1"]).ok().stdout;
    assert!(text.contains("remove") && text.contains("There are more"), "{text}");
    for flags in [&["--since", "soon"][..], &["--action", "dance"], &["--outcome", "maybe"], &["--limit", "0"]] {
        let refused = home.run(&[&["audit", "list", "--json"], flags].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
    }
}

#[test]
fn an_export_has_every_entry_in_its_place_and_ends_where_the_chain_does() {
    let home = Home::with_vault();
    let ann = home.add("ann");
    home.run(&["totp", &ann]).ok();
    let verified = home.run(&["audit", "verify", "--json"]).ok().json();
    assert_eq!((&verified["ok"], &verified["end"]["entries"]), (&true.into(), &3.into()));

    let exported = home.run(&["audit", "export", "audit.jsonl", "--json"]).ok().json();
    assert_eq!(exported["exported"], 3);
    assert_eq!(mode(&home.path("audit.jsonl")), 0o600);
    let written = fs::read_to_string(home.path("audit.jsonl")).unwrap();
    let entries = lines(&written);
    let (end, entries) = entries.split_last().unwrap();
    for field in ["entries", "links", "link"] {
        assert_eq!(end["end"][field], verified["end"][field], "{end}");
    }
    let places: Vec<&Value> = entries.iter().map(|line| &line["seq"]).collect();
    assert_eq!(places, [1, 2, 3]);
    // Each command is a commit of its own here, and each commit a link; the last is the end that was checked.
    for (line, no) in entries.iter().zip(1..) {
        assert_eq!((&line["link"]["no"], &line["link"]["last"]), (&no.into(), &line["seq"]), "{line}");
        assert_eq!(line["hash"].as_str().unwrap().len(), 64, "{line}");
    }
    assert_eq!(entries[2]["link"]["mac"], verified["end"]["link"]);

    // The same on standard output; a filter leaves gaps, and what is left has the same places.
    assert_eq!(home.run(&["audit", "export", "-"]).ok().stdout, written);
    let some = lines(&home.run(&["audit", "export", "-", "--action", "reveal"]).ok().stdout);
    assert_eq!((&some[0], &some[1]["end"]["exported"], some.len()), (&entries[2], &1.into(), 2));
    home.run(&["audit", "export", "audit.jsonl", "--json"]).refused(2, "usage", "exists already");
    assert_eq!(fs::read_to_string(home.path("audit.jsonl")).unwrap(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_entries_than_a_page_are_listed_and_exported_once_each() {
    let home = Home::with_vault();
    let ann: AccountId = home.add("ann").parse().unwrap();
    let paths = VaultPaths { file: home.vault_file(), anchors: home.anchors(), pin: None };
    let key = Secret::new(fs::read_to_string(home.path("identity.txt")).unwrap());
    let actor = Actor { uid: 7, user: String::new(), pid: 1, name: "w-1".into() };
    let opener = Opener { actor, clock: Arc::new(SystemClock::new().unwrap()) };
    let vault = Arc::new(Vault::open(&paths, opener, UnlockWith::Identity(key)).await.unwrap());
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..MANY {
        let vault = Arc::clone(&vault);
        reads.spawn(async move { vault.reveal(ann, &[AccountSecret::Password]).await.map(|_| ()).unwrap() });
    }
    reads.join_all().await;
    vault.close().await.unwrap();

    let all: Vec<u64> = (1..=MANY + 2).collect();
    assert_eq!(listed(&home, &["--oldest", "--limit", "10000"]), all);
    let newest: Vec<u64> = all.iter().rev().copied().collect();
    assert_eq!(listed(&home, &["--limit", "10000"]), newest);
    assert_eq!(listed(&home, &["--actor", "7", "--limit", "3"]), newest[..3]);
    let lines = lines(&home.run(&["audit", "export", "-"]).ok().stdout);
    let places: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(places, all);
    // The links cover all entries between them, each one once.
    let mut covered = 0;
    let links: Vec<&Value> = lines.iter().map(|line| &line["link"]).filter(|link| !link.is_null()).collect();
    for link in &links {
        assert_eq!(link["first"], covered + 1, "{link}");
        covered = link["last"].as_u64().unwrap();
    }
    assert_eq!((covered, &lines[lines.len() - 1]["end"]["links"]), (MANY + 2, &links.len().into()));
}

#[test]
fn the_first_entry_that_is_not_as_it_was_written_is_named() {
    let home = Home::with_vault();
    let ann = home.add("ann");
    home.run(&["totp", &ann]).ok();
    home.run(&["totp", &ann]).ok();
    home.run(&["audit", "verify"]).ok();
    for (edit, named) in [
        ("UPDATE audit SET sealed = (SELECT sealed FROM audit WHERE seq = 4) WHERE seq = 3", "entry 3"),
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is missing"),
        ("DELETE FROM audit WHERE seq = 4", "entry 4 is missing"),
        ("DELETE FROM audit WHERE seq = 4; DELETE FROM audit_link WHERE last = 4", "ends with entry 3"),
    ] {
        let sound = fs::read(home.vault_file()).unwrap();
        edit_by_hand(&home.vault_file(), edit);
        let ended = home.run(&["audit", "verify", "--json"]);
        ended.refused(5, "findings", "the check found");
        let found = ended.json();
        let first = &found["findings"][0];
        assert_eq!((&found["ok"], &first["class"]), (&false.into(), &"audit".into()), "{found}");
        assert!(found["findings"].to_string().contains(named), "{named}: {found}");
        assert!(!first["means"].as_str().unwrap().is_empty() && !first["todo"].as_str().unwrap().is_empty(), "{found}");
        // The whole check finds it as well, and a person reads what it means.
        let whole = home.run(&["verify"]);
        assert!(whole.code == 5 && whole.stdout.contains(named) && whole.stdout.contains("who did what"), "{whole:?}");
        fs::write(home.vault_file(), sound).unwrap();
    }
    home.run(&["audit", "verify"]).ok();
}

/// What somebody does who has the file and a tool for it.
fn edit_by_hand(file: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(file).unwrap();
    conn.execute_batch(sql).unwrap();
    conn.close().unwrap();
}

/// More than two pages.
const MANY: u64 = 2100;
