//! A vault whose file was edited: bytes, whole pages, pages of an earlier state, lengths, a log laid beside it.
//!
//! Whatever was done, opening, checking and reading end without a panic, and what is read is what was written: never
//! an older state, never another account's. The sample is made once and kept in `sample/`, so that inputs stay what
//! they are; each input is a list of edits to it.

#![no_main]

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use latchkey_fuzz::Input;
use latchkey_vault::{
    AccountError, AccountId, AccountSecret, Clock, Edit, ManualClock, NewAccount, NewSlot, Opener, Revealed, Secret,
    UnlockWith, Vault, VaultPaths,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    model::{Actor, Field, Fields},
};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// A closed vault in memory, and what is in it.
struct Sample {
    now: Vec<u8>,
    earlier: Vec<u8>,
    anchor: (String, Vec<u8>),
    identity: Secret,
    accounts: Vec<Revealed>,
    /// Where the edited copies lie.
    room: tempfile::TempDir,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());
static SAMPLE: LazyLock<Sample> = LazyLock::new(Sample::load);

fuzz_target!(|bytes: &[u8]| {
    let sample = &*SAMPLE;
    let mut input = Input::new(bytes);
    let (mut file, mut log) = (sample.now.clone(), None);
    for _ in 0..EDITS_MAX {
        if input.is_empty() {
            break;
        }
        edit(&mut input, &mut file, &mut log, sample);
    }
    let paths = paths(sample.room.path());
    write(&paths.file, &file);
    write(&paths.anchors.join(&sample.anchor.0), &sample.anchor.1);
    for suffix in ["-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(with_suffix(&paths.file, suffix));
    }
    if let Some(log) = log {
        write(&with_suffix(&paths.file, "-wal"), log);
    }
    RUNTIME.block_on(read_all(sample, &paths));
});

/// What may be read of the edited vault is what the sample holds.
async fn read_all(sample: &Sample, paths: &VaultPaths) {
    let vault = match Vault::open(paths, opener(), UnlockWith::Identity(sample.identity.duplicate())).await {
        Ok(vault) => vault,
        Err(error) => return assert!(!error.to_string().contains(CANARY)),
    };
    for expected in &sample.accounts {
        match vault.reveal(expected.account.id, &AccountSecret::ALL).await {
            Ok(found) => assert!(same(&found, expected)),
            // A row that was taken out is a deletion, not an account that never was.
            Err(error) => assert!(matches!(error, AccountError::Store(_)), "{error}"),
        }
        let _ = vault.session_view(expected.account.id).await;
    }
    let _ = vault.owed_messages(100).await;
    if vault.verify(Box::new(|_, _| ())).await.is_ok_and(|findings| findings.is_empty()) {
        for expected in &sample.accounts {
            assert!(same(&vault.reveal(expected.account.id, &AccountSecret::ALL).await.unwrap(), expected));
        }
    }
    let _ = vault.close().await;
}

fn edit<'a>(input: &mut Input<'a>, file: &mut Vec<u8>, log: &mut Option<&'a [u8]>, sample: &Sample) {
    let what = input.byte() % 8;
    let (one, other) = (input.number(), input.number());
    let pages = file.len().div_ceil(PAGE_BYTES).max(1);
    let page = |number: usize| (number % pages) * PAGE_BYTES;
    match what {
        0 | 1 => {
            let bytes = input.take(1 + other % 32);
            let at = one % file.len().max(1);
            let end = (at + bytes.len()).min(file.len());
            file[at.min(end)..end].copy_from_slice(&bytes[..end - at.min(end)]);
        }
        2 => {
            let at = one % file.len().max(1);
            if let Some(byte) = file.get_mut(at) {
                *byte ^= (other as u8).max(1);
            }
        }
        3 if file.len() >= PAGE_BYTES * pages => {
            let from = page(one);
            file.copy_within(from..from + PAGE_BYTES, page(other));
        }
        4 => {
            // A page as it was before the last changes.
            let at = page(one);
            if let (Some(old), Some(new)) = (sample.earlier.get(at..at + PAGE_BYTES), file.get_mut(at..at + PAGE_BYTES)) {
                new.copy_from_slice(old);
            }
        }
        5 => file.truncate(one % (file.len() + 1)),
        6 => file.extend(std::iter::repeat_n(other as u8, one % (4 * PAGE_BYTES))),
        _ => *log = Some(input.take(one)),
    }
}

impl Sample {
    fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample");
        if !folder.join("earlier.db").exists() {
            RUNTIME.block_on(make(&folder));
        }
        let kept = paths(&folder);
        let anchor = fs::read_dir(&kept.anchors).unwrap().next().unwrap().unwrap();
        let identity = Secret::new(fs::read_to_string(folder.join("identity")).unwrap());
        let room = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        make_folders(room.path());
        let mut sample = Self {
            now: fs::read(&kept.file).unwrap(),
            earlier: fs::read(folder.join("earlier.db")).unwrap(),
            anchor: (anchor.file_name().into_string().unwrap(), fs::read(anchor.path()).unwrap()),
            identity,
            accounts: Vec::new(),
            room,
        };
        let copy = paths(sample.room.path());
        write(&copy.file, &sample.now);
        write(&copy.anchors.join(&sample.anchor.0), &sample.anchor.1);
        sample.accounts = RUNTIME.block_on(async {
            let with = UnlockWith::Identity(sample.identity.duplicate());
            let vault = Vault::open(&copy, opener(), with).await.unwrap();
            let mut accounts = Vec::new();
            for account in vault.accounts(None, None, 100).await.unwrap() {
                accounts.push(vault.reveal(account.id, &AccountSecret::ALL).await.unwrap());
            }
            assert_eq!(vault.verify(Box::new(|_, _| ())).await.unwrap(), []);
            vault.close().await.unwrap();
            accounts
        });
        assert_eq!(sample.accounts.len(), ACCOUNTS);
        sample
    }
}

/// Makes the sample: accounts with sessions, changed once between `earlier.db` and the file.
async fn make(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    make_folders(folder);
    let paths = paths(folder);
    let (identity, _) = generate_identity();
    let recipient = SlotRecipient::of_identity(&identity).unwrap();
    let slot = NewSlot::Identity { label: "fuzz".into(), kind: SlotKind::Identity, recipient };
    let vault = Vault::init(&paths, opener(), vec![slot]).await.unwrap();
    let mut ids: Vec<AccountId> = Vec::new();
    for number in 0..ACCOUNTS {
        let fields = Fields {
            username: Some(Secret::new(format!("user-{number}"))),
            password: Some(Secret::new(format!("{CANARY}-{number}"))),
            cookie: Some(Secret::copy_of("sid=first")),
            ..Fields::default()
        };
        let new = NewAccount {
            site: "x.example".into(),
            manager_id: Some(format!("m-{number}")),
            fields,
            app_password: None,
            tags: vec!["tag".into()],
            notes: String::new(),
            origin: Some("https://x.example".parse().unwrap()),
        };
        ids.push(vault.add_account(new).await.unwrap());
    }
    vault.close().await.unwrap();
    let before = fs::read(&paths.file).unwrap();
    let vault = Vault::open(&paths, opener(), UnlockWith::Identity(identity.duplicate())).await.unwrap();
    for id in ids {
        let fields = vec![(Field::Password, Secret::new(format!("{CANARY}-changed")))];
        vault.edit_account(id, &Edit { fields, ..Edit::default() }).await.unwrap();
    }
    vault.close().await.unwrap();
    // EXPOSE: the sample is made to be opened; nothing else is in it.
    write(&folder.join("identity"), identity.expose().as_bytes());
    write(&folder.join("earlier.db"), &before);
}

fn same(one: &Revealed, other: &Revealed) -> bool {
    let texts = |revealed: &Revealed| {
        let names = [&revealed.account.username, &revealed.account.email, &revealed.account.link_profile];
        let secrets = AccountSecret::ALL.map(|secret| revealed.secret(secret).map(Secret::duplicate));
        names.into_iter().map(|name| name.as_ref().map(Secret::duplicate)).chain(secrets).collect::<Vec<_>>()
    };
    let equal = |(a, b): (&Option<Secret>, &Option<Secret>)| match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    texts(one).iter().zip(&texts(other)).all(equal) && {
        let (one, other) = (&one.account, &other.account);
        (one.id, one.rev, &one.site, &one.manager_id) == (other.id, other.rev, &other.site, &other.manager_id)
    }
}

fn opener() -> Opener {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(1_790_000_000_000));
    Opener { actor: Actor { uid: 0, user: String::new(), pid: 1, name: "fuzz".into() }, clock }
}

fn paths(folder: &Path) -> VaultPaths {
    VaultPaths { file: folder.join("vault/vault.db"), anchors: folder.join("anchors"), pin: None }
}

fn make_folders(folder: &Path) {
    for name in ["vault", "anchors"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join(name)).unwrap();
    }
}

fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let open = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(bytes)).unwrap();
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

const CANARY: &str = "password-canary";
const ACCOUNTS: usize = 12;
const EDITS_MAX: usize = 16;
const PAGE_BYTES: usize = 4096;
