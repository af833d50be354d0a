//! Sessions as files, and messages in a person's hand: private, audited, and the same again when they come back.

use std::fs;

use crate::home::{CANARY, Home, mode};

#[test]
fn a_session_goes_to_a_private_file_and_comes_back_as_a_newer_one() {
    let home = Home::with_vault();
    home.add("ann");
    for format in ["json", "storage-state", "netscape", "header"] {
        let name = format!("{format}.session");
        home.run(&["session", "export", "blog.example/ann", "--format", format, "--out", &name]).ok().hides_secrets();
        assert_eq!(mode(&home.path(&name)), 0o600, "{format}");
        let text = fs::read_to_string(home.path(&name)).unwrap();
        assert!(text.contains(&format!("ck-{CANARY}")), "{format}");
        let args = ["session", "import", "blog.example/ann", "--format", format, &name, "--json"];
        let imported = home.run(&args).ok();
        imported.hides_secrets();
        assert_eq!((&imported.json()["cookies"], &imported.json()["left_out"]), (&2.into(), &0.into()), "{format}");
        let again = ["session", "export", "blog.example/ann", "--format", format, "--out", "again", "--json"];
        home.run(&again).ok();
        assert_eq!(fs::read_to_string(home.path("again")).unwrap(), text, "{format}");
        fs::remove_file(home.path("again")).unwrap();
    }
    let status = home.run(&["session", "status", "blog.example/ann", "--json"]).ok().json();
    assert_eq!(status["sessions"][0]["epoch"], 5);
    let entries = home.run(&["audit", "list", "--action", "reveal", "--json"]).ok().stdout;
    assert_eq!(entries.matches("\"detail\":\"session\"").count(), 8, "{entries}");
    home.run(&["verify"]).ok();
}

#[test]
fn a_session_shows_only_where_it_is_asked_for_and_overwrites_nothing() {
    let home = Home::with_vault();
    home.add("ann");
    let refused = home.run(&["session", "export", "blog.example/ann"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    refused.hides_secrets();
    let shown = home.run(&["session", "export", "blog.example/ann", "--format", "header", "--reveal"]).ok();
    assert_eq!(shown.stdout, format!("sid=ck-{CANARY}; theme=dark\n"));
    let there = home.write("there", "mine");
    let args = ["session", "export", "blog.example/ann", "--out", "there", "--json"];
    home.run(&args).refused(2, "usage", "exists already");
    assert_eq!(fs::read_to_string(there).unwrap(), "mine");

    let args = ["session", "import", "blog.example/ann", "--format", "header", "-", "--json"];
    home.feed(&format!("Cookie: fresh={CANARY}"), &args).ok().hides_secrets();
    home.feed(CANARY, &args).refused(2, "not_a_session", "no name");
    home.write("state", &format!("{{\"cookies\": \"{CANARY}\"}}"));
    let args = ["session", "import", "blog.example/ann", "--format", "storage-state", "state", "--json"];
    home.run(&args).refused(2, "not_a_session", "cookies");
    assert!(home.run(&["session", "kept", "blog.example/ann"]).ok().stdout.contains("Nothing"));
    let kept = home.run(&["session", "kept", "blog.example/ann", "--forget", "--json"]).ok().json();
    assert_eq!((&kept["forgotten"], &kept["kept"]), (&0.into(), &serde_json::json!([])));
}

#[test]
fn what_is_owed_is_shown_with_its_age_and_dropped_by_a_yes_alone() {
    let home = Home::with_vault();
    let id = home.add("ann");
    home.run(&["account", "edit", &id, "--manager-id", "m-1"]).ok();
    home.feed("changed", &["account", "edit", &id, "--password-stdin"]).ok();
    let owed = home.run(&["outbox", "list", "--json"]).ok().json();
    assert_eq!((&owed["owed"], &owed["stuck"]), (&1.into(), &0.into()));
    assert!(owed["oldest_owed_ms"].as_i64().unwrap() > 0 && owed["messages"][0]["reason"].is_null(), "{owed}");
    let message = owed["messages"][0]["id"].as_str().unwrap();
    home.run(&["outbox", "retry", &message[..8]]).ok();
    home.run(&["outbox", "retry", "--stuck"]).ok();
    home.run(&["outbox", "drop", message, "--json"]).refused(2, "usage", "yes");
    home.run(&["outbox", "drop", message, "--yes"]).ok();
    home.run(&["outbox", "drop", message, "--yes", "--json"]).refused(2, "message_unknown", &message[..8]);
    let table = home.run(&["outbox", "list"]).ok().stdout;
    assert!(table.starts_with("0 owed, 0 stuck"), "{table}");
    let said = home.run(&["audit", "list", "--action", "report", "--json"]).ok().stdout;
    assert!(said.contains("dropped by a person") && said.contains("tried again by a person"), "{said}");
}
