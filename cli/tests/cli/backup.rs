//! Backups, restores and rescues as an operator makes them, and a vault changed by plain tools.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use latchkey_vault::{Secret, crypto::generate_identity};
use serde_json::Value;

use crate::home::{CANARY, Home, mode};

fn accounts(home: &Home) -> usize {
    home.run(&["account", "list", "--json"]).ok().json()["accounts"].as_array().unwrap().len()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_is_written_once_and_brings_back_what_it_holds() {
    let home = Home::with_vault();
    home.add("ann");
    let made = home.run(&["backup", "create", "monday.db", "--json"]).ok();
    made.hides_secrets();
    assert!(made.json()["counter"].as_u64().unwrap() > 0);
    assert_eq!(mode(&home.path("monday.db")), 0o600);
    home.run(&["backup", "create", "monday.db", "--json"]).refused(2, "usage", "already");
    let beside = home.anchors().join("monday.db");
    home.run(&["backup", "create", text(&beside), "--json"]).refused(2, "usage", "anchors");
    home.add("bob");

    home.run(&["backup", "restore", "monday.db", "--json"]).refused(2, "usage", "yes");
    assert_eq!(accounts(&home), 2, "nothing was changed");
    let done = home.run(&["backup", "restore", "monday.db", "--yes", "--json"]).ok();
    done.hides_secrets();
    let done = done.json();
    assert_eq!(done["rolled_back"]["accounts"], serde_json::json!({"lost": 1, "changed": 0, "back": 0}));
    assert!(done["incarnation"].as_u64().unwrap() > 1);
    assert!(PathBuf::from(done["kept"].as_str().unwrap()).exists());
    assert_eq!(accounts(&home), 1);
    home.run(&["verify"]).ok();
    home.add("cleo");
    // A person is told the same in words.
    let told = home.run(&["backup", "restore", "monday.db", "--yes"]).ok();
    assert!(told.stderr.contains("accounts: 1 lost"), "{told:?}");
}

#[test]
fn a_backup_that_is_damaged_or_anothers_is_refused_in_words() {
    let home = Home::with_vault();
    home.add("ann");
    home.run(&["backup", "create", "monday.db"]).ok();
    let whole = fs::read(home.path("monday.db")).unwrap();
    let before = fs::read(home.vault_file()).unwrap();
    fs::write(home.path("cut.db"), &whole[..10_000]).unwrap();
    home.run(&["backup", "restore", "cut.db", "--yes", "--json"]).refused(3, "vault_damaged", "the backup: ");
    home.run(&["backup", "restore", "none.db", "--yes", "--json"]).refused(1, "restore", "backup");
    let plain = rusqlite::Connection::open(home.path("monday.db")).unwrap();
    plain.execute("DELETE FROM session", []).unwrap();
    drop(plain);
    home.run(&["backup", "restore", "monday.db", "--yes", "--json"]).refused(5, "findings", "problem");
    assert_eq!(fs::read(home.vault_file()).unwrap(), before);

    let other = Home::with_vault();
    fs::copy(home.path("identity.txt"), other.path("theirs.txt")).unwrap();
    fs::write(other.path("sunday.db"), &whole).unwrap();
    let restore = ["backup", "restore", "sunday.db", "--yes", "--json", "--identity", "theirs.txt"];
    other.run(&restore).refused(3, "backup_foreign", "another vault");
    other.run(&["verify"]).ok();
}

#[test]
fn a_rescue_takes_out_what_verifies_seals_it_and_says_what_it_leaves() {
    let home = Home::with_vault();
    let mut ids: Vec<_> = ["ann", "bob", "cleo"].into_iter().map(|name| (home.add(name), name)).collect();
    ids.sort();
    let (first, left) = (ids[0].0.clone(), [ids[1].1, ids[2].1]);
    let plain = rusqlite::Connection::open(home.vault_file()).unwrap();
    plain.execute("UPDATE account SET mac = zeroblob(32) WHERE id = (SELECT min(id) FROM account)", []).unwrap();
    plain.execute_batch("DELETE FROM digest_group; DELETE FROM audit").unwrap();
    drop(plain);
    fs::remove_dir_all(home.anchors()).unwrap();
    home.run(&["rescue", "out.age", "--json"]).refused(2, "usage", "sealed");
    assert!(!home.path("out.age").exists());
    let (identity, recipient) = generate_identity();
    let ended = home.run(&["rescue", "out.age", "--to", &recipient, "--json"]);
    ended.refused(5, "rescued_in_part", "left out");
    let told: Value = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((told["accounts"].as_u64(), told["left_out"].as_array().unwrap().len()), (Some(2), 1));
    let sealed = fs::read(home.path("out.age")).unwrap();
    assert_eq!(mode(&home.path("out.age")), 0o600);
    assert!(sealed.starts_with(b"age-encryption.org/v1\n") && !contains(&sealed, CANARY));
    home.run(&["rescue", "out.age", "--plain", "--json"]).refused(2, "usage", "already");
    assert!(opened(&sealed, &age_identity(&generate_identity().0)).is_err(), "another identity");
    let inside = opened(&sealed, &age_identity(&identity)).unwrap();
    let plain = home.run(&["rescue", "out.jsonl", "--plain"]);
    assert!(plain.code == 5 && plain.stderr.contains("plain text"), "{plain:?}");
    assert_eq!(mode(&home.path("out.jsonl")), 0o600);
    let lines: Vec<Value> =
        fs::read_to_string(home.path("out.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["rescue", "account", "account", "left_out", "end"]);
    assert_eq!(lines[0]["vouched_for"], false);
    assert_eq!(lines[1]["password"], format!("pw-{CANARY}"));
    // What is sealed is the same, record by record; only the moment of the export differs.
    let sealed: Vec<Value> = inside.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sealed[1..], lines[1..]);
    for (account, name) in lines[1..3].iter().zip(&left) {
        assert_eq!((&account["username"], &account["site"]), (&Value::from(*name), &"blog.example".into()));
        for (field, part) in
            [("password", "pw"), ("app_password", "ap"), ("mail_password", "mp"), ("mail_app_password", "ma")]
        {
            assert_eq!(account[field], format!("{part}-{CANARY}"), "{name} {field}");
        }
        assert_eq!(account["totp"], "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(account["cookie"], format!("sid=ck-{CANARY}; theme=dark"));
        let cookies = account["session"]["cookies"].as_array().unwrap();
        let values: Vec<_> = cookies.iter().map(|cookie| cookie["value"].as_str().unwrap()).collect();
        assert_eq!(values, [format!("ck-{CANARY}"), "dark".to_owned()]);
    }
    assert_eq!((&lines[3]["what"], &lines[3]["id"]), (&"account".into(), &first.into()));
    assert_eq!((&lines[4]["accounts"], &lines[4]["left_out"]), (&2.into(), &1.into()));
}

#[test]
fn a_rescue_sealed_by_a_passphrase_is_read_back_with_it_and_with_no_other() {
    let home = Home::with_vault();
    let id = home.add("ann");
    home.write("words", "a long passphrase for the safe");
    home.run_with_fd3("words", &["rescue", "out.age", "--to-passphrase-fd", "3"]).ok().hides_secrets();
    let sealed = fs::read(home.path("out.age")).unwrap();
    let by = |words: &str| age::scrypt::Identity::new(age::secrecy::SecretString::from(words));
    assert!(opened(&sealed, &by("another one")).is_err());
    let inside = opened(&sealed, &by("a long passphrase for the safe")).unwrap();
    let lines: Vec<Value> = inside.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| &line["type"]).collect::<Vec<_>>(), ["rescue", "account", "end"]);
    assert_eq!((&lines[1]["id"], &lines[1]["password"]), (&id.into(), &format!("pw-{CANARY}").into()));
}

/// An export as its holder reads it, by age's own reader.
fn opened(sealed: &[u8], with: &dyn age::Identity) -> Result<String, age::DecryptError> {
    let mut plain = String::new();
    age::Decryptor::new(sealed)?.decrypt(std::iter::once(with))?.read_to_string(&mut plain)?;
    Ok(plain)
}

fn age_identity(text: &Secret) -> age::x25519::Identity {
    text.expose().parse().unwrap()
}

/// Changed by plain SQLite, by a byte editor, and by a copy of yesterday's file: `verify`, an ordinary command.
#[test]
fn what_plain_tools_did_to_the_vault_is_told_in_words_that_say_what_to_do() {
    let home = Home::with_vault();
    home.add("ann");
    let yesterday = fs::read(home.vault_file()).unwrap();
    home.add("bob");
    let today = fs::read(home.vault_file()).unwrap();
    let sqlite = |sql: &str| {
        fs::write(home.vault_file(), &today).unwrap();
        let plain = rusqlite::Connection::open(home.vault_file()).unwrap();
        plain.execute_batch(sql).unwrap();
    };
    let check = |piece: &str, verify: &str, list: &str| {
        for (args, code) in [(["verify", "--json"].as_slice(), verify), (&["account", "list", "--json"], list)] {
            let ended = home.run(args);
            assert_eq!(ended.code, 5, "{args:?} {ended:?}");
            let error: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
            assert_eq!(error["error"]["code"], code, "{args:?} {ended:?}");
            // What was found stands in the findings of the one and in the message of the other.
            assert!(ended.stderr.contains(piece) || ended.stdout.contains("findings"), "{piece}: {ended:?}");
            assert!(!error["error"]["hint"].as_str().unwrap().is_empty());
        }
        assert!(home.run(&["rescue", "rescued.age", "--plain"]).stdout.contains("accounts"));
        fs::remove_file(home.path("rescued.age")).unwrap();
    };
    sqlite("DELETE FROM session WHERE account = (SELECT min(id) FROM account)");
    check("deletion", "findings", "tampered");
    sqlite("UPDATE account SET rev = rev + 1");
    check("substitution", "findings", "tampered");
    sqlite("UPDATE header SET sealed = zeroblob(2000)");
    check("header", "tampered", "tampered");
    fs::write(home.vault_file(), &yesterday).unwrap();
    check("rollback", "rollback", "rollback");
    // A byte editor, on the sealed bytes of an account.
    sqlite("");
    let sealed: Vec<u8> = {
        let plain = rusqlite::Connection::open(home.vault_file()).unwrap();
        plain.query_row("SELECT sealed FROM account ORDER BY id LIMIT 1", [], |row| row.get(0)).unwrap()
    };
    let mut bytes = today.clone();
    let at = bytes.windows(64).position(|window| window == &sealed[100..164]).unwrap();
    bytes[at] ^= 1;
    fs::write(home.vault_file(), bytes).unwrap();
    check("substitution", "findings", "tampered");
    fs::write(home.vault_file(), &today).unwrap();
    home.run(&["verify"]).ok();
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
