//! Checks of the vault's file, its slots, its anchor and what unlocks it. No key is used.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use latchkey_vault::{
    PinError, VaultId,
    crypto::{ScryptCost, SlotKind, SlotRecord},
    pinned_commit,
    store::sqlite::SqliteFile,
};
use latchkey_worker::{
    secret_file,
    settings::Settings,
    unlock::{self, UnlockSource},
};

use super::Check;
use crate::{commands::key::making::UNLOCK_MS, failure::Failure, printer::safe, time::ago};

/// All of them.
pub(super) fn checks(settings: &Settings, now_ms: i64) -> Vec<Check> {
    let paths = &settings.vault;
    let mut checks = vec![permissions(&paths.file, &paths.anchors)];
    match SqliteFile::open(&paths.file) {
        Ok(file) => {
            checks.push(Check::ok("vault", format!("{} ({})", paths.file.display(), file.vault())));
            let slots = &file.key_material().slots;
            let slots: Vec<_> = slots.iter().filter_map(|bytes| SlotRecord::from_bytes(bytes).ok()).collect();
            checks.push(listed(&slots));
            checks.extend(scrypt(&slots));
            checks.push(anchor(&paths.anchors, file.vault(), now_ms));
            checks.push(pin(settings, &file));
        }
        Err(error) => checks.push(Check::failed("vault", Failure::from(error).about_vault(&paths.file))),
    }
    checks.push(unlocking(settings));
    checks
}

/// Vault, what lies beside it, anchors: the user's own, and nobody else's to read.
fn permissions(vault: &Path, anchors: &Path) -> Check {
    let beside = ["-wal", "-shm", ".queue", ".hold"].map(|suffix| {
        let mut name = vault.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    let mut seen = 0;
    let mut open = Vec::new();
    let folder = vault.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let anchored = fs::read_dir(anchors).into_iter().flatten().flatten().map(|entry| entry.path());
    let paths = [folder.to_owned(), vault.to_owned(), anchors.to_owned()].into_iter().chain(beside);
    for path in paths.chain(anchored.take(ANCHORS_MAX)) {
        match is_open(&path) {
            Ok(Some(why)) => open.push(format!("{} {why}", path.display())),
            Ok(None) => seen += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => open.push(format!("{} cannot be looked at: {error}", path.display())),
        }
    }
    if open.is_empty() {
        return Check::ok("permissions", format!("{seen} files and folders, private"));
    }
    Check::fail("permissions", open.join("; "), "chown them to this user, chmod 700 the folders and 600 the files")
}

fn is_open(path: &Path) -> io::Result<Option<&'static str>> {
    let meta = path.symlink_metadata()?;
    Ok(if meta.is_symlink() {
        Some("is a symbolic link")
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        Some("belongs to another user")
    } else if meta.mode() & 0o077 != 0 {
        Some("is open to others")
    } else {
        None
    })
}

fn listed(records: &[SlotRecord]) -> Check {
    let names = records.iter().map(|slot| {
        let kind = SlotKind::from_u8(slot.kind).map_or("of a later version", SlotKind::word);
        format!("{kind} ({})", safe(&slot.label))
    });
    let detail = names.collect::<Vec<_>>().join(", ");
    if records.is_empty() {
        return Check::fail("slots", "nothing can unlock the vault", "restore it from a backup");
    }
    if records.len() == 1 {
        let mend = "keep a copy of what unlocks it off this machine: a vault with one slot is lost with that";
        return Check::warn("slots", detail, mend);
    }
    Check::ok("slots", detail)
}

/// What the weakest passphrase slot costs whoever guesses, beside what this machine would choose now.
fn scrypt(records: &[SlotRecord]) -> Option<Check> {
    let least = records.iter().filter_map(SlotRecord::cost).min()?;
    let now = ScryptCost::measured(UNLOCK_MS);
    let detail = format!("2^{}; this machine would choose 2^{} now", least.log2_n(), now.log2_n());
    if least.log2_n() + COST_STEPS_BEHIND > now.log2_n() {
        return Some(Check::ok("scrypt", detail));
    }
    let mend = "add a slot with the passphrase at today's cost (`latchkey key add --passphrase --label NEW`), then remove the old one";
    Some(Check::warn("scrypt", detail, mend))
}

fn anchor(folder: &Path, vault: VaultId, now_ms: i64) -> Check {
    let path = folder.join(format!("{vault}.anchor"));
    match path.metadata().and_then(|meta| meta.modified()) {
        Ok(written) => {
            let since = written.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let written_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            Check::ok("anchor", format!("{}, advanced {}", path.display(), ago(written_ms, now_ms)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::fail(
            "anchor",
            format!("{} is missing: a rollback could not be told", path.display()),
            "check --anchors; if you know why it is gone: `latchkey anchor adopt`",
        ),
        Err(error) => Check::failed("anchor", Failure::io("looking at the anchor", &error)),
    }
}

/// The pin, where one is set; without keys it is only compared by its counter.
fn pin(settings: &Settings, file: &SqliteFile) -> Check {
    let (Some(keyring), Some(place)) = (settings.pin, &settings.vault.pin) else {
        return Check::ok(
            "pin",
            "none is set: file and anchor that are put back together are not told apart from others",
        );
    };
    let pinned = match tokio::task::block_in_place(|| pinned_commit(place, file.vault())) {
        Ok(pinned) => pinned,
        Err(error) => return Check::failed("pin", error),
    };
    match file.head() {
        Ok(head) if pinned > head.counter => Check::failed("pin", PinError::RolledBack { pinned, found: head.counter }),
        Ok(_) => Check::ok("pin", format!("commit {pinned}, in {keyring}")),
        Err(error) => Check::failed("pin", error),
    }
}

/// What unlocks it without a person, looked at and not read out.
fn unlocking(settings: &Settings) -> Check {
    let credentials = unlock::credentials_folder();
    let source = unlock::source(settings.unlock.as_ref(), credentials.as_deref());
    let Some(source) = source else {
        return Check::ok("unlocking", "by a person: no identity and no credential is set");
    };
    let detail = match &source {
        UnlockSource::IdentityFile(path) => {
            let meta = path.symlink_metadata();
            if meta.is_ok_and(|meta| secret_file::is_private(&meta)) {
                return Check::ok("unlocking", format!("by {}", path.display()));
            }
            format!("{} is missing, a link, or not private", path.display())
        }
        UnlockSource::Credential(name) => {
            if credentials.is_some_and(|folder| folder.join(name.as_str()).is_file()) {
                return Check::ok("unlocking", format!("by the systemd credential {}", name.as_str()));
            }
            let detail = format!("by the systemd credential {}, which only the unit has", name.as_str());
            return Check::ok("unlocking", detail);
        }
        UnlockSource::Keyring => {
            let keyring = settings.keyring.unwrap_or_default();
            return Check::ok("unlocking", format!("by {keyring}, which is not asked here"));
        }
        UnlockSource::PassphraseFd(fd) => {
            return Check::ok("unlocking", format!("by a passphrase from descriptor {fd}"));
        }
    };
    Check::fail("unlocking", detail, "check the path, chmod 600 the file")
}

/// So many doublings behind, guessing costs a quarter of what it could; one may be the noise of the measurement.
const COST_STEPS_BEHIND: u8 = 2;
/// Anchors looked at: a user has a handful of vaults.
const ANCHORS_MAX: usize = 1000;
