//! What a core of a process would show: its writable memory is read from outside while it holds secrets, after it has dropped
//! them, and after it has closed the vault.
//!
//! No network is used: what TLS and HTTP keep in buffers of their own is not ours to wipe, and SECURITY.md says so.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use data_encoding::BASE32_NOPAD;
use latchkey_vault::{
    AccountId, AccountSecret, CheckIn, Edit, NewAccount, NewSlot, Secret, UnlockWith, Vault,
    cookies::Stored,
    crypto::{ScryptCost, SlotKind, SlotRecipient},
    model::{Field, Fields},
    totp::Totp,
};

use crate::{
    child::{Child, hear, identity, opener, paths, say},
    common::{Folder, ask},
};

#[test]
fn attack_42_a_core_of_a_locked_process_holds_no_secret() {
    let folder = Folder::new();
    let seed = format!("{:016x}", u64::from(std::process::id()) ^ 0x5eed_5eed_5eed_5eed);
    let mut child = Child::start(&folder, "hold", &[&seed]);
    let mut sought: Vec<(&str, Secret)> = SECRETS.iter().map(|name| (*name, canary(&seed, name))).collect();
    sought.push((IDENTITY, folder.identity.duplicate()));

    // While they are held they are found, or else this test could not fail.
    assert_eq!(child.line().as_deref(), Some("held"));
    let held = found(child.id(), &sought);
    for (name, _) in &sought {
        assert!(held.iter().any(|found| found.name == *name), "{name} is not found while it is held");
    }
    for state in ["dropped", "locked"] {
        child.tell("go on");
        assert_eq!(child.line().as_deref(), Some(state));
        assert_eq!(found(child.id(), &sought), [], "{state}");
    }
    child.tell("end");
    assert_eq!(child.rest(), [""; 0]);
    assert!(child.wait().success());
}

/// What the child does: secrets pass through whatever the vault does with them, and go.
pub(crate) async fn hold_and_let_go(folder: &Path, seed: &str) {
    let paths = paths(folder);
    let recipient = SlotRecipient::of_identity(&identity(folder)).unwrap();
    let slots = vec![
        NewSlot::Identity { label: "file".into(), kind: SlotKind::Identity, recipient },
        NewSlot::Passphrase {
            label: "words".into(),
            passphrase: canary(seed, PASSPHRASE),
            cost: ScryptCost::new(15).unwrap(),
        },
    ];
    Vault::init(&paths, opener(), slots).await.unwrap().close().await.unwrap();
    let wrong = UnlockWith::Passphrase(canary(seed, "another passphrase"));
    assert!(Vault::open(&paths, opener(), wrong).await.is_err());
    let with = UnlockWith::Passphrase(canary(seed, PASSPHRASE));
    Vault::open(&paths, opener(), with).await.unwrap().close().await.unwrap();
    let vault = Vault::open(&paths, opener(), UnlockWith::Identity(identity(folder))).await.unwrap();

    let id = live(&vault, seed).await;
    {
        let unlocking = (canary(seed, PASSPHRASE), canary(seed, OLD_PASSWORD), identity(folder));
        let revealed = vault.reveal(id, &AccountSecret::ALL).await.unwrap();
        let lent = vault.check_out(id, &ask(0)).await.unwrap();
        say("held");
        hear();
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
        drop((revealed, unlocking));
    }
    say("dropped");
    hear();
    vault.close().await.unwrap();
    drop(vault);
    say("locked");
    hear();
}

/// An account's life: added, refused once more, changed, lent and brought back, a code computed, a panic with a secret in
/// hand.
async fn live(vault: &Vault, seed: &str) -> AccountId {
    let new = || NewAccount {
        site: "site.test".into(),
        manager_id: Some("m-1".into()),
        fields: Fields {
            username: Some(Secret::copy_of("ann")),
            password: Some(canary(seed, OLD_PASSWORD)),
            totp: Some(canary(seed, TOTP)),
            mail_password: Some(canary(seed, MAIL_PASSWORD)),
            cookie: Some(flat(&canary(seed, COOKIE))),
            ..Fields::default()
        },
        app_password: Some(canary(seed, APP_PASSWORD)),
        tags: Vec::new(),
        notes: String::new(),
        origin: Some("https://site.test".parse().unwrap()),
    };
    let id = vault.add_account(new()).await.unwrap();
    assert!(vault.add_account(new()).await.is_err());
    // The manager is owed the new password, so that it is sealed in a message too.
    let fields = vec![(Field::Password, canary(seed, PASSWORD))];
    vault.edit_account(id, &Edit { fields, ..Edit::default() }).await.unwrap();
    let mut lent = vault.check_out(id, &ask(0)).await.unwrap();
    let url = "https://site.test/".parse().unwrap();
    assert!(lent.jar.export_flat(&url, 0).is_some());
    let line = set_cookie(&canary(seed, SET_COOKIE));
    assert_eq!(lent.jar.store(&url, line.expose().as_bytes(), 0), Stored::Kept);
    let back = CheckIn { flat_url: Some(url), ..CheckIn::default() };
    vault.check_in(lent, &back).await.unwrap();
    let revealed = vault.reveal(id, &[AccountSecret::Totp, AccountSecret::Password]).await.unwrap();
    assert_eq!(Totp::parse(revealed.secret(AccountSecret::Totp).unwrap()).unwrap().code(1).expose().len(), 6);
    let panicked = tokio::spawn(async move { panic!("{}", revealed.secret(AccountSecret::Password).is_some()) });
    assert!(panicked.await.unwrap_err().is_panic());
    id
}

/// A text that nobody else has: of one length, of the letters of Base32, so that it may be a TOTP secret.
fn canary(seed: &str, name: &str) -> Secret {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{seed}/{name}").as_bytes());
    let mut text = String::with_capacity(64);
    BASE32_NOPAD.encode_append(digest.as_ref(), &mut text);
    Secret::new(text)
}

fn flat(value: &Secret) -> Secret {
    around("sid=", value, "")
}

fn set_cookie(value: &Secret) -> Secret {
    around("fresh=", value, "; Path=/; Secure")
}

/// A text with a secret in it, in a buffer that is never moved.
fn around(before: &str, secret: &Secret, after: &str) -> Secret {
    let mut text = String::with_capacity(128);
    text.push_str(before);
    text.push_str(secret.expose());
    text.push_str(after);
    Secret::new(text)
}

/// A piece of a secret in the memory of a process.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    name: &'static str,
    /// Which mapping, as the kernel names it.
    mapping: String,
    /// What stands around it.
    around: String,
}

/// Where pieces of these texts are in the writable memory of a process: what a core of it would hold.
fn found(pid: u32, sought: &[(&'static str, Secret)]) -> Vec<Found> {
    // A freed buffer has its first bytes overwritten by the allocator: its middle and its end tell it as well.
    let pieces: Vec<(&'static str, &[u8])> = sought
        .iter()
        .flat_map(|(name, secret)| {
            let text = secret.expose().as_bytes();
            let third = text.len() / 3;
            [(*name, &text[third..2 * third]), (*name, &text[2 * third..])]
        })
        .collect();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.contains('w'))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.seek(SeekFrom::Start(from)).unwrap();
        // Pages that were never touched, or that were given back since, cannot hold anything.
        if memory.read_exact(&mut bytes).is_err() {
            continue;
        }
        for (at, run) in runs(&bytes) {
            for (name, _) in pieces.iter().filter(|(_, piece)| run.windows(piece.len()).any(|part| part == *piece)) {
                let around = &bytes[at.saturating_sub(48)..(at + run.len() + 32).min(bytes.len())];
                let (mapping, around) = (line.to_owned(), around.escape_ascii().to_string());
                found.push(Found { name, mapping, around });
            }
        }
    }
    found
}

/// Runs of the letters that the texts are made of, long enough to hold a piece, with where they begin. Most pages are empty,
/// and are passed over whole.
fn runs(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    const PAGE: usize = 4096;
    let mut filled: Vec<(usize, usize)> = Vec::new();
    for (no, page) in bytes.chunks(PAGE).enumerate().filter(|(_, page)| **page != [0; PAGE]) {
        match filled.last_mut() {
            Some((_, end)) if *end == no * PAGE => *end += page.len(),
            _ => filled.push((no * PAGE, no * PAGE + page.len())),
        }
    }
    filled.into_iter().flat_map(move |(from, to)| {
        let part = &bytes[from..to];
        let runs =
            part.split(|byte| !byte.is_ascii_uppercase() && !byte.is_ascii_digit()).filter(|run| run.len() >= 16);
        // A run is a part of the bytes, so that where it lies tells where it begins.
        runs.map(move |run| (from + (run.as_ptr().addr() - part.as_ptr().addr()), run))
    })
}

const PASSPHRASE: &str = "passphrase";
const OLD_PASSWORD: &str = "old password";
const PASSWORD: &str = "password";
const TOTP: &str = "totp";
const MAIL_PASSWORD: &str = "mail password";
const APP_PASSWORD: &str = "app password";
const COOKIE: &str = "cookie";
const SET_COOKIE: &str = "set-cookie";
const SECRETS: [&str; 8] = [PASSPHRASE, OLD_PASSWORD, PASSWORD, TOTP, MAIL_PASSWORD, APP_PASSWORD, COOKIE, SET_COOKIE];
const IDENTITY: &str = "identity";
