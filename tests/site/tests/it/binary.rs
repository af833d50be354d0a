//! The binary by hand: what it prints, serves, refuses, and that a signal stops it cleanly.
//!
//! It does not look at pages beyond one of each kind.

use std::process::{Output, Stdio};

use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::browser::client;

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-practice-site"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn it_serves_its_seed_and_stops_on_each_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (seed, token) = (folder.path().join("seed.json"), folder.path().join("token"));
    std::fs::write(
        &seed,
        r#"{"behaviour": {"login_wall": "page"}, "accounts": [{"username": "ada", "password": "right"}]}"#,
    )
    .unwrap();
    std::fs::write(&token, "a control token\n").unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut child = binary().arg("--seed").arg(&seed).arg("--control-token-file").arg(&token).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let site = lines.next_line().await.unwrap().unwrap();
        let origin = site.strip_prefix("site    ").unwrap();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("control a control token"));

        let wall = client().get(format!("{origin}/home")).send().await.unwrap();
        assert_eq!(wall.status(), StatusCode::OK);
        let account = client().get(format!("{origin}/_control/accounts/ada"));
        let account = account.header("x-control-token", "a control token").send().await.unwrap();
        assert_eq!(account.status(), StatusCode::OK);

        let id = i32::try_from(child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
        assert!(child.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn it_says_what_is_wrong_and_how_it_is_used() {
    let run = async |arguments: &[&str]| -> Output { binary().args(arguments).output().await.unwrap() };
    for (arguments, complaint) in [
        (&["--listen"][..], "--listen needs a value"),
        (&["--listen", "nowhere"], "invalid socket address"),
        (&["--seed", "/nonexistent/seed.json"], "No such file"),
        (&["--moat", "wide"], "there is no flag --moat"),
    ] {
        let output = run(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(complaint), "{said}");
        assert!(said.contains("usage:") && output.stdout.is_empty());
    }
    let help = run(&["--help"]).await;
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().starts_with("usage:"));
}
