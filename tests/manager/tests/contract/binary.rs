//! The binary, as somebody runs it by hand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::Client;

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_latchkey-manager"))
}

#[tokio::test]
async fn it_announces_itself_serves_its_seed_and_ends_clean_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (key, seed) = (folder.path().join("key"), folder.path().join("seed.json"));
    std::fs::write(&key, "by-hand\n").unwrap();
    std::fs::write(&seed, r#"{"accounts":[{"id":"a1"}],"tasks":[{"id":"t1","account_id":"a1"}]}"#).unwrap();
    let mut child = binary()
        .args(["--listen", "127.0.0.1:0", "--repeat", "refuse", "--api-key-file"])
        .arg(&key)
        .arg("--seed")
        .arg(&seed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(3);
    let announced: HashMap<String, String> = lines
        .map(|line| line.unwrap().split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect();
    assert!(!announced.contains_key("api_key"), "a key from a file is not repeated");
    assert!(announced["control_url"].ends_with("/_control"));
    assert_eq!(announced["control_token"].len(), 32);
    let client = Client::new(&announced["base_url"], "by-hand");
    assert_eq!(client.listed("").await, ["t1"]);
    client.start("t1").await.ok();
    client.complete("t1", "https://blog.example/1").await.ok();
    client.complete("t1", "https://blog.example/1").await.refused(409, "task is completed");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_says_what_is_wrong_and_fails() {
    fn check(arguments: &[&str], expected: &str) {
        let output = binary().args(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(error.contains(expected), "{error}");
        assert!(output.stdout.is_empty());
    }
    check(&["--repeat", "maybe"], "--repeat does not take this value");
    check(&["--seed", "/nonexistent/seed.json"], "cannot read /nonexistent/seed.json");
    check(&["--api-key-file", "/dev/null"], "the API key and the control token must be");
    check(&["--seed", "/dev/null"], "is no seed");
}
