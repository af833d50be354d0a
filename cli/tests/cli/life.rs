//! An account's life on the command line, and how results are printed.

use std::{io, path::Path};

use crate::home::{CANARY, Home};

#[test]
fn an_account_lives_from_its_adding_to_its_removal() {
    let home = Home::with_vault();
    let id = home.add("ann");

    let listed = home.run(&["account", "list", "--json"]).ok();
    assert_eq!(listed.json()["accounts"][0]["id"], id.as_str());
    assert_eq!(listed.json()["accounts"][0]["login"], "ann");
    let table = home.run(&["account", "list", "--site", "blog.example", "--tag", "new", "--state", "ready"]).ok();
    assert!(table.stdout.contains("ann") && table.stdout.contains(&id[..10]), "{table:?}");
    assert!(home.run(&["account", "list", "--tag", "other"]).ok().stdout.contains("No account"));

    let code = home.run(&["totp", "blog.example/ann", "--json"]).ok().json();
    let (digits, left) = (code["code"].as_str().unwrap(), code["seconds_left"].as_u64().unwrap());
    assert!(digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()) && (1..=30).contains(&left), "{code}");

    home.run(&["account", "tag", "blog.example/ann", "+team-a", "-new"]).ok();
    home.run(&["account", "edit", &id, "--email", "ann@example.org", "--notes", "a note"]).ok();
    home.feed("changed", &["account", "edit", &id, "--password-stdin"]).ok();
    let shown = home.run(&["account", "show", &id, "--reveal", "password", "--json"]).ok().json();
    assert_eq!(shown["tags"], serde_json::json!(["team-a"]));
    assert_eq!((&shown["email"], &shown["notes"]), (&"ann@example.org".into(), &"a note".into()));
    assert_eq!(shown["secrets"]["password"]["value"], "changed");

    let verified = home.run(&["verify", "--json"]).ok().json();
    assert_eq!((&verified["ok"], &verified["findings"]), (&true.into(), &serde_json::json!([])));

    home.run(&["account", "remove", &id, "--json"]).refused(2, "usage", "yes");
    home.run(&["account", "remove", &id, "--yes"]).ok();
    home.run(&["account", "show", &id, "--json"]).refused(6, "account_unknown", &id);
}

#[test]
fn secrets_are_masked_unless_they_are_asked_for_and_the_audit_says_so_first() {
    let home = Home::with_vault();
    let id = home.add("ann");
    for args in [
        &["account", "show", &id][..],
        &["account", "show", &id, "--json"],
        &["account", "list", "--json"],
        &["session", "status", &id],
        &["session", "status", "--json"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "export", "-"],
        &["outbox", "list"],
        &["verify"],
        &["account", "show", &id, "--log", "trace"],
    ] {
        home.run(args).ok().hides_secrets();
    }
    let masked = home.run(&["account", "show", &id, "--json"]).ok().json();
    assert_eq!(masked["secrets"]["password"], serde_json::json!({ "set": true }));
    assert_eq!(words(&home, "reveal"), 0);

    let one = home.run(&["account", "show", &id, "--reveal", "app_password"]).ok();
    assert!(one.stdout.contains(&format!("ap-{CANARY}")) && !one.stdout.contains(&format!("pw-{CANARY}")), "{one:?}");
    let all = home.run(&["account", "show", &id, "--reveal"]).ok().stdout;
    for part in ["pw", "ap", "mp", "ma", "sid=ck"] {
        assert!(all.contains(&format!("{part}-{CANARY}")), "{part}: {all}");
    }
    assert_eq!(words(&home, "reveal"), 2);
}

#[test]
fn accounts_are_found_by_id_by_its_beginning_and_by_login() {
    let home = Home::with_vault();
    let (ann, bob) = (home.add("ann"), home.add("bob"));
    for named in [&ann[..], &ann[..12], "blog.example/ann", "BLOG.example/ann"] {
        assert_eq!(home.run(&["account", "show", named, "--json"]).ok().json()["id"], ann.as_str(), "{named}");
    }
    assert_eq!(home.run(&["account", "show", "blog.example/bob", "--json"]).ok().json()["id"], bob.as_str());
    home.run(&["account", "show", "blog.example/eve", "--json"]).refused(6, "account_unknown", "blog.example/eve");
    home.run(&["account", "show", "0000", "--json"]).refused(6, "account_unknown", "0000...");
}

#[test]
fn a_new_cookie_is_a_new_session_and_its_names_alone_are_shown() {
    let home = Home::with_vault();
    home.add("ann");
    let before = home.run(&["session", "status", "blog.example/ann", "--json"]).ok().json();
    assert_eq!(before["sessions"][0]["epoch"], 1);
    let secrets = format!(r#"{{"cookie":"fresh={CANARY}"}}"#);
    home.feed(&secrets, &["account", "edit", "blog.example/ann", "--secrets-stdin"]).ok().hides_secrets();
    let after = home.run(&["session", "status", "blog.example/ann", "--json"]).ok();
    after.hides_secrets();
    let session = &after.json()["sessions"][0];
    assert_eq!((&session["epoch"], &session["cookies"][0]["name"]), (&2.into(), &"fresh".into()));
    assert!(session["held_for_ms"].is_null());
    assert!(home.run(&["session", "status"]).ok().stdout.contains("ann"));
}

#[test]
fn attack_41_what_could_steer_a_terminal_is_escaped_in_text_and_in_json() {
    let home = Home::with_vault();
    let notes = "red \x1b[31m back \u{9b}2J flip \u{202e}";
    home.run(&["account", "add", "blog.example", "--username", "ann", "--notes", notes]).ok();
    for args in [&["account", "show", "blog.example/ann"][..], &["account", "show", "blog.example/ann", "--json"]] {
        let shown = home.run(args).ok().stdout;
        assert!(!shown.trim_end().chars().any(|c| c != '\n' && latchkey_vault::text::steers(c)), "{shown:?}");
    }
    let json = home.run(&["account", "show", "blog.example/ann", "--json"]).ok().json();
    assert_eq!(json["notes"], notes);
    let unknown = home.run(&["account", "show", "blog.example/\x1b[31m"]);
    assert!(unknown.code == 6 && !unknown.stderr.contains('\x1b'), "{unknown:?}");
}

#[test]
fn a_reader_that_has_gone_away_ends_the_program_quietly() {
    let home = Home::with_vault();
    for args in [&["account", "list"][..], &["account", "list", "--json"], &["--help"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_latchkey")), args);
        let output = command.stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
}

#[test]
fn settings_come_from_the_file_the_environment_and_flags_in_rising_order() {
    let home = Home::new();
    home.write(".config/latchkey/config.toml", "vault = \"from-file/v.db\"\nanchors = \"anchors\"\n");
    home.run(&["init", "--identity", "id.txt"]).ok();
    assert!(home.path(".config/latchkey/from-file/v.db").exists());
    let home = home.env("LATCHKEY_VAULT", "from-env/v.db");
    home.run(&["init", "--identity", "id2.txt"]).ok();
    assert!(home.path("from-env/v.db").exists());
    home.run(&["init", "--identity", "id3.txt", "--vault", "from-flag/v.db"]).ok();
    assert!(home.path("from-flag/v.db").exists());
}

#[test]
fn the_help_tells_the_exit_codes_and_every_command_has_examples() {
    let home = Home::new();
    let help = home.run(&["--help"]).ok().stdout;
    assert!(help.contains("Exit codes:") && help.contains("5  the vault was edited"), "{help}");
    for command in [
        &["init"][..],
        &["account", "add"],
        &["account", "edit"],
        &["account", "tag"],
        &["account", "list"],
        &["account", "show"],
        &["account", "pull"],
        &["account", "reset"],
        &["account", "remove"],
        &["totp"],
        &["session", "status"],
        &["session", "refresh"],
        &["worker", "run"],
        &["outbox", "list"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "export"],
        &["verify"],
        &["anchor", "adopt"],
        &["doctor"],
    ] {
        let help = home.run(&[command, &["--help"]].concat()).ok().stdout;
        assert!(help.contains("Examples:\n  latchkey "), "{command:?}: {help}");
    }
}

/// How many of the audit's entries have this word.
fn words(home: &Home, word: &str) -> usize {
    let audit = home.run(&["audit", "list", "--json"]).ok().json();
    audit["entries"].as_array().unwrap().iter().filter(|entry| entry["action"] == word).count()
}
