//! The settings file: refused with a line that exists, or taken with every number in its range.

#![no_main]

use std::{path::PathBuf, sync::LazyLock};

use latchkey_worker::settings::{Folders, Place, Settings, SettingsArgs, SettingsError};
use libfuzzer_sys::fuzz_target;

/// Settings are read from a file; this one is in memory where the machine has such a place.
static FILE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let file = folder.path().join("config.toml");
    (folder, file)
});

fuzz_target!(|bytes: &[u8]| {
    let path = &FILE.1;
    std::fs::write(path, bytes).unwrap();
    let args = SettingsArgs { config: Some(path.clone()), ..SettingsArgs::default() };
    let folders = Folders { config: "/c".into(), data: "/d".into(), state: "/s".into() };
    match Settings::load(&args, &folders) {
        Ok(settings) => {
            let worker = &settings.worker;
            assert!((1..=256).contains(&worker.concurrency) && (1..=1000).contains(&worker.pull_limit));
            assert!((1..=3600).contains(&worker.poll.as_secs()) && !worker.name.is_empty());
            for path in [&settings.vault.file, &settings.vault.anchors, &settings.sites] {
                assert!(path.is_absolute());
            }
            if let Some(manager) = &settings.manager {
                assert!((1..=600).contains(&manager.timeout.as_secs()));
            }
        }
        Err(SettingsError::Invalid { place: Place::File { line, .. }, .. }) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
        }
        Err(error) => assert!(matches!(error, SettingsError::Unreadable { .. }), "{error}"),
    }
});
