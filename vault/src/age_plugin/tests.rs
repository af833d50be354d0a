//! Plugins that are shell scripts: what they are told, what they see of us, and how the bad ones end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, sync::Arc, thread, time::Duration};

use super::{AgePlugins, Asks, Nobody, PluginError, PluginKey, PluginRecipient};
use crate::Secret;

/// A recipient and an identity of the plugin `fake`; what stands behind the last `1` is the plugin's business.
const RECIPIENT: &str = "age1fake1qqqqqq";
const IDENTITY: &str = "AGE-PLUGIN-FAKE-1QQQQQQ";

fn plugins(dir: &Path, script: &str, asks: Arc<dyn Asks>) -> AgePlugins {
    let path = dir.join("age-plugin-fake");
    fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let env = [
        ("PATH", format!("{}:/usr/bin:/bin", dir.display())),
        ("HOME", "/nowhere".to_owned()),
        ("MANAGER_KEY", "canary".to_owned()),
    ];
    AgePlugins::new(env.map(|(name, value)| (name.into(), value.into())), asks)
}

#[track_caller]
fn refusal(script: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let plugins = plugins(dir.path(), script, Arc::new(Nobody));
    plugins.protect("x", &RECIPIENT.parse().unwrap()).unwrap_err().to_string()
}

#[test]
fn recipients_and_identities_name_their_plugin_and_other_texts_are_none() {
    for (text, name) in [
        (RECIPIENT, Some("fake")),
        ("age1a-b.c1qqqqqq", Some("a-b.c")),
        ("age1qqqqqqqqqqqq", None),
        ("age11qqqqqq", None),
        ("age1fake1qqqqq", None),
        ("age1fa/ke1qqqqqq", None),
        ("age1fake1bbbbbb", None),
        ("AGE1FAKE1QQQQQQ", None),
        ("", None),
    ] {
        let read = text.parse::<PluginRecipient>().ok();
        assert_eq!(read.as_ref().map(PluginRecipient::name), name, "{text}");
    }
    for (text, is_one) in [(IDENTITY, true), ("# x\n AGE-PLUGIN-A-B-1QQQQQQ", true), ("AGE-SECRET-KEY-1QQQQQQ", false)]
    {
        assert_eq!(PluginKey::is_one(&Secret::copy_of(text)), is_one, "{text}");
    }
}

#[test]
fn a_plugin_sees_neither_our_environment_nor_our_folder() {
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("seen");
    let script = format!("env > {0}; pwd >> {0}; exit 1", seen.display());
    let plugins = plugins(dir.path(), &script, Arc::new(Nobody));
    assert!(plugins.protect("x", &RECIPIENT.parse().unwrap()).is_err());
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("HOME=/nowhere") && seen.ends_with("\n/\n"), "{seen}");
    assert!(!seen.contains("canary") && !seen.contains("MANAGER_KEY"), "{seen}");
}

#[test]
fn a_plugin_that_is_missing_dies_babbles_or_refuses_is_named_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let none = AgePlugins::new([("PATH".into(), dir.path().into())], Arc::new(Nobody));
    let error = none.protect("x", &RECIPIENT.parse().unwrap()).unwrap_err();
    assert!(matches!(&error, PluginError::Missing { name } if name == "fake"), "{error}");

    let drain = "sed -n '/^-> done/q' >/dev/null\n";
    for (script, piece) in [
        ("exit 0".to_owned(), "ended early"),
        (format!("{drain}echo hello; echo"), "does not speak"),
        (format!("{drain}head -c 100000 /dev/zero | tr '\\0' x"), "too long"),
        (format!("{drain}while :; do printf -- '-> msg\\n\\n'; done"), "says too much"),
        (
            format!("{drain}printf -- '-> error internal\\nbm8bWzFt\\n'; read _; read _; printf -- '-> done\\n\\n'"),
            "refuses: no",
        ),
        (format!("{drain}printf -- '-> done\\n\\n'"), "answered nothing"),
    ] {
        let said = refusal(&script);
        assert!(said.contains("age-plugin-fake") && said.contains(piece), "{script}: {said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn a_plugin_that_never_ends_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = plugins(dir.path(), "sleep 600", Arc::new(Nobody)).within(Duration::from_millis(100));
    let error = plugins.protect("x", &RECIPIENT.parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("took too long"), "{error}");
}

#[test]
fn what_a_plugin_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let held = dir.path().join("held");
    assert!(Command::new("mkfifo").arg(&held).status().unwrap().success());
    let plugins = plugins(dir.path(), &format!("exec 3>{}; sleep 600 & echo no", held.display()), Arc::new(Nobody));
    // Reading ends when nobody holds the other side any more: neither the plugin nor what it left behind.
    let reading = thread::spawn(move || fs::read(held).unwrap());
    assert!(plugins.protect("x", &RECIPIENT.parse().unwrap()).is_err());
    assert!(reading.join().unwrap().is_empty());
}
