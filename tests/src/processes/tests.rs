//! How processes under test are run, fed, signalled and given up on.
//!
//! The programs here are the system's; the workspace's own are for the end-to-end tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::os::unix::process::ExitStatusExt;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

fn shell(home: &Path, script: &str) -> Launch {
    Launch::of("/bin/sh".into(), home).args(["-c", script])
}

#[tokio::test]
async fn input_arrives_and_both_outputs_and_the_code_come_back() {
    let home = tempfile::tempdir().unwrap();
    let finished = shell(home.path(), "cat; echo trouble >&2; exit 3").input("given").run(LIMIT).await.unwrap();
    assert_eq!(finished.status.code(), Some(3));
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("given", "trouble\n"));
}

#[tokio::test]
async fn the_environment_is_only_what_was_given() {
    let home = tempfile::tempdir().unwrap();
    let finished = Launch::of("/usr/bin/env".into(), home.path()).env("GIVEN", "yes").run(LIMIT).await.unwrap();
    let mut names: Vec<_> = finished.stdout.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["GIVEN", "HOME", "PATH"]);
}

#[tokio::test]
async fn a_line_is_found_when_it_is_there_and_missed_when_the_output_ends() {
    let home = tempfile::tempdir().unwrap();
    let mut running = shell(home.path(), "echo one; echo 'port 17'; exec sleep 600").start().unwrap();
    assert_eq!(running.stdout_line("port", LIMIT).await.unwrap(), "port 17");

    let mut running = shell(home.path(), "echo one; printf 'port 17 unfinished'").start().unwrap();
    let missed = running.stdout_line("port", LIMIT).await;
    assert!(matches!(missed, Err(ProcessError::OutputEnded { .. })), "{missed:?}");
}

#[tokio::test]
async fn a_signal_ends_a_running_process_and_is_refused_to_an_ended_one() {
    let home = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::KILL] {
        let running = shell(home.path(), "exec sleep 600").start().unwrap();
        running.signal(signal).unwrap();
        let finished = running.wait(LIMIT).await.unwrap();
        assert_eq!(finished.status.signal(), Some(signal.as_raw()));
    }

    let mut running = shell(home.path(), "exit 0").start().unwrap();
    running.child.wait().await.unwrap();
    assert!(matches!(running.signal(Signal::TERM), Err(ProcessError::Ended)));
}

#[tokio::test]
async fn a_process_that_does_not_end_in_time_is_killed_and_says_what_it_last_said() {
    let home = tempfile::tempdir().unwrap();
    let mut running = shell(home.path(), "echo stuck >&2; sleep 600").start().unwrap();
    running.stderr_line("stuck", LIMIT).await.unwrap();
    let group = running.group();

    let Err(ProcessError::TimedOut { stderr_tail, .. }) = running.wait(Duration::from_millis(1)).await else {
        panic!("it ended");
    };

    assert_eq!(stderr_tail, "stuck\n");
    assert_eq!(crate::process_group::members(group).unwrap(), Vec::<u32>::new());
}

#[test]
fn a_program_that_was_not_built_is_named_with_its_place() {
    let Err(ProcessError::NotBuilt { path }) = program("no-such-program") else {
        panic!("it was found");
    };
    assert!(path.ends_with("no-such-program"), "{path:?}");
    assert!(!path.parent().unwrap().ends_with("deps"), "{path:?}");
}

#[test]
fn latchkey_is_found_beside_the_test() {
    assert!(program("latchkey").unwrap().is_absolute());
}
