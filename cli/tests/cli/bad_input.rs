//! Bad input: each with its exit code, its word and a message that says what to change; nothing is lost by it.

use std::{fs, path::Path};

use crate::home::{CANARY, Home, SITES};

#[test]
fn files_that_are_no_vault_are_told_apart_and_left_as_they_are() {
    let home = Home::with_vault();
    let whole = fs::read(home.vault_file()).unwrap();
    // SQLite file format, section 1.3: the user version stands at byte 60.
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    for (bytes, word, piece) in [
        (&b""[..], "vault_empty", "empty"),
        (&b"a letter to my aunt, longer than a hundred bytes, as letters to aunts are, and then some more of the same"[..],
         "vault_foreign", "not a Latchkey vault"),
        (&whole[..whole.len() / 2], "vault_damaged", "truncated"),
        (&whole[..40], "vault_damaged", "truncated"),
        (&newer, "vault_newer", "999"),
    ] {
        fs::write(home.vault_file(), bytes).unwrap();
        home.run(&["account", "list", "--json"]).refused(3, word, piece);
        home.run(&["init", "--identity", "other.txt", "--json"]).refused(3, "vault_exists", "left as it is");
        assert_eq!(fs::read(home.vault_file()).unwrap(), bytes, "{word}");
    }
    fs::write(home.vault_file(), &whole).unwrap();
    home.run(&["account", "list"]).ok();
    fs::remove_file(home.vault_file()).unwrap();
    home.run(&["account", "list", "--json"]).refused(3, "vault_missing", "vault.db");
}

#[test]
fn a_wrong_way_to_unlock_is_refused() {
    let home = Home::with_vault();
    home.run(&["init", "--identity", "stranger.txt", "--vault", "s/v.db", "--anchors", "sa"]).ok();
    home.run(&["account", "list", "--identity", "stranger.txt", "--json"]).refused(4, "cannot_unlock", "unlocked");
    home.run(&["account", "list", "--identity", "nowhere.txt", "--json"]).refused(4, "unlock_source", "does not exist");
    home.write("words.txt", CANARY);
    home.run(&["account", "list", "--identity", "words.txt", "--json"]).refused(4, "cannot_unlock", "unlocked");
    home.feed("guess", &["account", "list", "--passphrase-stdin", "--json"]).refused(4, "cannot_unlock", "unlocked");
    home.run(&["account", "list", "--passphrase-fd", "77", "--json"]).refused(2, "secret_input", "77");
}

#[test]
fn settings_and_sites_are_refused_with_line_and_key() {
    let home = Home::with_vault();
    let config = ".config/latchkey/config.toml";
    for (text, piece) in [
        ("vault = [", "config.toml, line 1"),
        ("\n[worker]\nconcurrency = 0\n", "line 3, worker.concurrency: a number from 1 to 256"),
        ("\nvalut = \"x\"\n", "line 2, valut"),
        (
            "[manager]\nbase_url = \"manager.example\"\nkey_env = \"K\"\n",
            "line 2, manager.base_url: the manager's base URL is not",
        ),
        ("[manager]\nbase_url = \"https://m.example/?k=1\"\nkey_env = \"K\"\n", "query"),
    ] {
        home.write(config, text);
        home.run(&["account", "list", "--json"]).refused(2, "settings", piece);
    }
    home.run(&["account", "list", "--config", "nowhere.toml", "--json"]).refused(2, "settings", "does not exist");
    fs::remove_file(home.path(config)).unwrap();

    let add = ["account", "add", "blog.example", "--username", "ann", "--json"];
    for (text, word, piece) in [
        (
            &SITES.replace("login.driver = \"none\"", "login.driver = \"magic\"")[..],
            "sites_invalid",
            "line 5, site[0].login.driver: unknown driver",
        ),
        (&SITES.replace("domain", "domian"), "sites_invalid", "line 2, site[0].domian"),
        ("[[site]", "sites_invalid", "line 1"),
        ("", "site_unknown", "blog.example is not in"),
    ] {
        home.write(".config/latchkey/sites.toml", text);
        home.run(&add).refused(2, word, piece);
    }
    fs::remove_file(home.path(".config/latchkey/sites.toml")).unwrap();
    home.run(&add).refused(2, "sites_missing", "sites.toml");
}

#[test]
fn accounts_that_cannot_be_kept_are_refused_and_nothing_is_written() {
    let home = Home::with_vault();
    home.add("ann");
    let add = |input: &str, more: &[&str]| {
        let args = [&["account", "add", "blog.example", "--json"], more].concat();
        home.feed(input, &args)
    };
    add("", &["--username", "ann"]).refused(6, "account_duplicate", "already has this site and login");
    add("", &[]).refused(6, "account_invalid", "no name");
    add("", &["--username", "a\tb"]).refused(6, "account_invalid", "control characters");
    let totp = format!(r#"{{"totp":"{CANARY}!"}}"#);
    add(&totp, &["--username", "bob", "--secrets-stdin"]).refused(6, "account_invalid", "not Base32");
    let short = r#"{"totp":"MFRGG"}"#;
    add(short, &["--username", "bob", "--secrets-stdin"]).refused(6, "account_invalid", "fewer than");
    add(CANARY, &["--username", "bob", "--secrets-stdin"]).refused(2, "usage", "not JSON");
    add(r#"{"pasword":"x"}"#, &["--username", "bob", "--secrets-stdin"]).refused(2, "usage", "not known");
    add("", &["--username", "bob", "--password-stdin"]).refused(2, "secret_input", "empty");
    add("x", &["--username", "bob", "--password-stdin", "--passphrase-stdin"]).refused(2, "usage", "standard input");
    home.feed(&totp, &["account", "edit", "blog.example/ann", "--secrets-stdin", "--json"]).refused(
        6,
        "account_invalid",
        "not Base32",
    );
    home.run(&["account", "edit", "blog.example/ann", "--json"]).refused(2, "usage", "nothing");
    assert_eq!(home.run(&["account", "list", "--json"]).ok().json()["accounts"].as_array().unwrap().len(), 1);
}

#[test]
fn arguments_that_are_wrong_end_with_two_in_both_forms() {
    let home = Home::new();
    for args in [
        &[][..],
        &["no-such-verb"],
        &["account", "show"],
        &["account", "show", "abc"],
        &["account", "list", "--limit", "0"],
        &["account", "list", "--state", "happy"],
        &["account", "tag", "blog.example/ann", "plain"],
        &["account", "pull"],
        &["account", "pull", "blog.example/ann", "--all"],
        &["init", "--scrypt-log-n", "14"],
        &["init", "--credential", "../x", "--credential-out", "f"],
        &["worker", "run", "--concurrency", "257"],
    ] {
        let text = home.run(args);
        assert_eq!((text.code, text.stdout.as_str()), (2, ""), "{args:?}: {text:?}");
        if !args.is_empty() {
            home.run(&[args, &["--json"]].concat()).refused(2, "usage", "");
        }
    }
    home.run(&["account", "list", "--log", "=,=", "--json"]).refused(2, "usage", "filter");
}

#[test]
fn attack_41_an_argument_that_steers_a_terminal_is_repeated_escaped() {
    let home = Home::new();
    for (args, escaped) in [
        (&["no\x1b[31mverb"][..], "no\\u{1b}[31mverb"),
        (&["account", "list", "--li\x1b]0;x\x07"], "\\u{1b}]0;x\\u{7}"),
        (&["account", "list", "--limit", "1\u{9b}2J"], "1\\u{9b}2J"),
        (&["account", "list", "--state", "ready\u{202e}"], "ready\\u{202e}"),
        (&["account", "list", "line\nnext"], "line\\u{a}next"),
        (&["account", "show", "\x1b[2J"], "\\u{1b}[2J"),
    ] {
        let told = home.run(args);
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{args:?}: {told:?}");
        assert!(!told.stderr.chars().any(|c| c != '\n' && latchkey_vault::text::steers(c)), "{args:?}: {told:?}");
        assert!(told.stderr.contains(escaped), "{args:?}: {told:?}");
        let json = home.run(&[args, &["--json"]].concat());
        json.refused(2, "usage", escaped);
        assert!(!json.stderr.trim_end().chars().any(latchkey_vault::text::steers), "{args:?}: {json:?}");
    }
    // On a terminal clap's own colours are there, and nothing else.
    let mut coloured = home.command(Path::new(env!("CARGO_BIN_EXE_latchkey")), &["no\x1b[5mverb", "--x\x1b[5my"]);
    let output = coloured.env("CLICOLOR_FORCE", "1").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains('\x1b') && !text.contains("\x1b[5m"), "{text:?}");
}

#[test]
fn an_error_for_people_says_what_happened_and_what_to_do_next() {
    let home = Home::new();
    let ended = home.run(&["account", "list"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("error: ") && lines[0].contains("there is no vault"), "{ended:?}");
    assert!(lines[1].starts_with("next:  ") && lines.len() == 2, "{ended:?}");
    assert!(!ended.stderr.contains('\x1b'), "no colours in a pipe: {ended:?}");
}

#[test]
fn attack_39_an_endless_line_is_refused_wherever_a_text_comes_in() {
    let home = Home::with_vault();
    let zeros = || fs::File::open("/dev/zero").unwrap();
    for args in [
        &["account", "add", "blog.example", "--username", "ann", "--password-stdin"][..],
        &["account", "add", "blog.example", "--username", "ann", "--secrets-stdin"],
        &["account", "list", "--passphrase-stdin"],
        &["account", "list", "--config", "/dev/zero"],
        &["account", "list", "--identity", "/dev/zero"],
        &["session", "refresh", "blog.example/ann", "--sites", "/dev/zero"],
    ] {
        let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_latchkey")), args);
        // No reader may wait for the end of what has none: with less memory than that, it would be killed.
        let output = command.stdin(zeros()).output().unwrap();
        assert!(matches!(output.status.code(), Some(1..=8)), "{args:?}: {output:?}");
        assert!(!output.stderr.is_empty() && output.stderr.len() < 4096, "{args:?}");
    }
    assert_eq!(home.run(&["account", "list", "--json"]).ok().json()["accounts"].as_array().unwrap().len(), 0);
}
