//! Data sets: vaults of a known size, made through the vault's own interface and kept between runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use latchkey_vault::{
    AccountId, CheckOutAsk, Clock, LeaseMode, NewAccount, NewSlot, Opener, Secret, SystemClock, UnlockWith, Vault,
    VaultPaths,
    crypto::{SlotKind, SlotRecipient, generate_identity},
    model::{Actor, Fields},
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{BenchError, Failure, bare::connect};

/// The data sets of a run, each made when it is first asked for.
pub(super) struct Data {
    folder: PathBuf,
    large: u64,
    small: Option<(tempfile::TempDir, DataSet)>,
}

/// A closed vault with a number of accounts, each with a session.
#[derive(Clone, Debug)]
pub(super) struct DataSet {
    pub(super) accounts: u64,
    folder: PathBuf,
}

/// Says that a data set is whole, and by which tables and recipe it was made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Complete {
    accounts: u64,
    recipe: u32,
    schema: String,
}

impl Data {
    pub(super) fn new(folder: PathBuf, large: u64) -> Self {
        Self { folder, large, small: None }
    }

    /// [`SMALL`] accounts, made anew in each run: what is done to it is forgotten.
    pub(super) async fn small(&mut self) -> Result<DataSet, BenchError> {
        if let Some((_, set)) = &self.small {
            return Ok(set.clone());
        }
        let failed = |source| BenchError::Data { accounts: SMALL, source };
        let keep = || -> Result<tempfile::TempDir, Failure> {
            fs::create_dir_all(&self.folder)?;
            Ok(tempfile::tempdir_in(&self.folder)?)
        };
        let dir = keep().map_err(failed)?;
        let set = DataSet { accounts: SMALL, folder: dir.path().to_owned() };
        set.fill().await.map_err(failed)?;
        self.small = Some((dir, set.clone()));
        Ok(set)
    }

    /// The size between small and large.
    pub(super) async fn medium(&mut self) -> Result<DataSet, BenchError> {
        self.kept(self.large.min(MEDIUM)).await
    }

    /// The size that the run asks for.
    pub(super) async fn large(&mut self) -> Result<DataSet, BenchError> {
        self.kept(self.large).await
    }

    async fn kept(&mut self, accounts: u64) -> Result<DataSet, BenchError> {
        let failed = |source| BenchError::Data { accounts, source };
        let small = self.small().await?;
        let set = DataSet { accounts, folder: self.folder.join(accounts.to_string()) };
        let wanted = Complete { accounts, recipe: RECIPE, schema: schema_of(&small.file()).map_err(failed)? };
        let there = fs::read(set.marker()).ok().and_then(|bytes| serde_json::from_slice::<Complete>(&bytes).ok());
        if there.as_ref() != Some(&wanted) {
            make(&set, &wanted).await.map_err(failed)?;
        }
        Ok(set)
    }
}

impl DataSet {
    /// The data set in a folder, as a process that was started for one side of a row is told of it.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { accounts: 0, folder: folder.to_owned() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn file(&self) -> PathBuf {
        self.paths().file
    }

    pub(super) fn paths(&self) -> VaultPaths {
        VaultPaths { file: self.folder.join("vault/vault.db"), anchors: self.folder.join("anchors"), pin: None }
    }

    pub(super) fn identity(&self) -> Result<Secret, Failure> {
        Ok(Secret::new(fs::read_to_string(self.folder.join("identity"))?))
    }

    pub(super) async fn open(&self) -> Result<Vault, Failure> {
        Ok(Vault::open(&self.paths(), opener()?, UnlockWith::Identity(self.identity()?)).await?)
    }

    /// The ids of all accounts, in their order.
    pub(super) fn ids(&self) -> Result<Vec<[u8; 16]>, Failure> {
        let conn = connect(&self.file())?;
        let mut ids = conn.prepare("SELECT id FROM account ORDER BY id")?;
        let ids = ids.query_map([], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Another vault file with the same content, for a row that changes it.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<Self, Failure> {
        for part in ["vault", "anchors"] {
            fs::create_dir_all(folder.join(part))?;
            fs::set_permissions(folder.join(part), fs::Permissions::from_mode(0o700))?;
            for entry in fs::read_dir(self.folder.join(part))? {
                let entry = entry?;
                fs::copy(entry.path(), folder.join(part).join(entry.file_name()))?;
            }
        }
        fs::copy(self.folder.join("identity"), folder.join("identity"))?;
        Ok(Self { accounts: self.accounts, folder: folder.to_owned() })
    }

    fn marker(&self) -> PathBuf {
        self.folder.join("complete.json")
    }

    /// Makes the vault: many tasks add accounts, so that the writer's group commits are as large as they get.
    async fn fill(&self) -> Result<(), Failure> {
        let (identity, recipient) = generate_identity();
        drop(recipient);
        let recipient = SlotRecipient::of_identity(&identity)?;
        // EXPOSE: the identity of a vault that holds nobody's secret.
        fs::write(self.folder.join("identity"), identity.expose())?;
        let slot = NewSlot::Identity { label: "bench".into(), kind: SlotKind::Identity, recipient };
        let vault = Arc::new(Vault::init(&self.paths(), opener()?, vec![slot]).await?);
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for first in 0..TASKS {
            let (vault, accounts) = (Arc::clone(&vault), self.accounts);
            tasks.spawn(async move {
                for n in (first..accounts).step_by(TASKS as usize) {
                    vault.add_account(account(n)).await?;
                    if n % TOLD_EVERY == TOLD_EVERY - 1 {
                        tracing::info!(accounts = n + 1, seconds = started.elapsed().as_secs(), "adding accounts");
                    }
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(added) = tasks.join_next().await {
            added??;
        }
        vault.close().await?;
        Ok(())
    }
}

/// How the bench lends accounts: for longer than it runs.
pub(super) fn ask() -> CheckOutAsk {
    let hour = std::time::Duration::from_secs(3600);
    CheckOutAsk {
        ttl: 10 * hour,
        quarantine: hour,
        wait: std::time::Duration::ZERO,
        mode: LeaseMode::Exclusive,
        purpose: "bench".into(),
    }
}

/// The account of these bytes.
pub(super) fn account_id(bytes: [u8; 16]) -> AccountId {
    AccountId::from_bytes(bytes)
}

pub(super) fn opener() -> Result<Opener, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let uid = rustix::process::geteuid().as_raw();
    Ok(Opener { actor: Actor { uid, user: String::new(), pid: std::process::id(), name: "bench".into() }, clock })
}

async fn make(set: &DataSet, complete: &Complete) -> Result<(), Failure> {
    if set.folder.exists() {
        // What an earlier format or an interrupted run left.
        fs::remove_dir_all(&set.folder)?;
    }
    fs::create_dir_all(&set.folder)?;
    set.fill().await?;
    fs::write(set.marker(), serde_json::to_vec(complete)?)?;
    Ok(())
}

/// The texts of a file's tables: a data set with other tables is made anew.
fn schema_of(file: &Path) -> Result<String, Failure> {
    let sql = "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
    Ok(connect(file)?.query_row(sql, [], |row| row.get(0))?)
}

/// An account as people have them; its record lies in the size class of 2 KiB, its session in that of 1 KiB.
fn account(n: u64) -> NewAccount {
    let secret = |text: String| Some(Secret::new(text));
    NewAccount {
        site: format!("site-{}.example", n % SITES),
        manager_id: Some(format!("manager-{n}")),
        fields: Fields {
            email: secret(format!("author-{n}@mail.example")),
            username: secret(format!("author-{n}")),
            password: secret(format!("correct horse battery staple {n}")),
            totp: secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()),
            mail_password: secret(format!("another horse {n}")),
            cookie: secret(format!("sid={n:064x}; csrf={n:032x}; theme=dark")),
            ..Fields::default()
        },
        app_password: secret("abcd efgh ijkl mnop qrst uvwx".to_owned()),
        tags: vec!["blog".into(), format!("team-{}", n % 7)],
        notes: "What a person wrote down about this account. ".repeat(NOTE_SENTENCES),
        origin: format!("https://site-{}.example", n % SITES).parse().ok(),
    }
}

/// Small enough to lie in every cache.
const SMALL: u64 = 1000;
/// Between small and large.
const MEDIUM: u64 = 100_000;
/// Tasks that add accounts: two groups, so that one is ready while the other is committed.
const TASKS: u64 = 1024;
/// Sites over which the accounts are spread.
const SITES: u64 = 500;
/// 45 bytes each; with the rest of the record more than 1 KiB and less than 2.
const NOTE_SENTENCES: usize = 22;
/// Accounts between two lines of progress.
const TOLD_EVERY: u64 = 100_000;
/// Grows when the accounts of a data set change.
const RECIPE: u32 = 1;
