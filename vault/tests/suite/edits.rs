//! Random edits of a closed vault's file: bytes, pages, pages of an earlier state, lengths. Reading ends without a panic,
//! and what is read is what was written.
//!
//! Knows no table: the edits are blind. The rows and attacks that are aimed at something are in `attacks`.

use std::{fs, sync::LazyLock};

use latchkey_vault::{AccountError, AccountId, AccountSecret, Edit, Secret, Vault, model::Field};
use proptest::{collection, prelude::*, sample::Index};
use tokio::runtime::Runtime;

use crate::common::{Folder, account};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SAMPLE: LazyLock<Sample> = LazyLock::new(|| RUNTIME.block_on(Sample::new()));

/// A closed vault whose accounts all have the password `second`, and its file as it was before they had.
struct Sample {
    folder: Folder,
    earlier: Vec<u8>,
    accounts: Vec<AccountId>,
}

/// One thing done to the file.
#[derive(Clone, Debug)]
enum Change {
    Bytes(Index, Vec<u8>),
    Page { from: Index, to: Index },
    EarlierPage(Index),
    Cut(Index),
    Grow(usize),
}

impl Sample {
    async fn new() -> Self {
        let folder = Folder::new();
        let vault = folder.init().await;
        let mut accounts = Vec::new();
        for name in ["ann", "bob", "eve"] {
            accounts.push(vault.add_account(account(name)).await.unwrap());
        }
        vault.close().await.unwrap();
        let earlier = fs::read(&folder.paths.file).unwrap();
        let vault = folder.open().await.unwrap();
        for id in &accounts {
            let edit = Edit { fields: vec![(Field::Password, Secret::copy_of(PASSWORD))], ..Edit::default() };
            vault.edit_account(*id, &edit).await.unwrap();
        }
        vault.close().await.unwrap();
        Self { folder, earlier, accounts }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), collection::vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Change::Bytes(at, bytes)),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Page { from, to }),
        any::<Index>().prop_map(Change::EarlierPage),
        any::<Index>().prop_map(Change::Cut),
        (1..3 * PAGE_BYTES).prop_map(Change::Grow),
    ]
}

fn make(change: &Change, file: &mut Vec<u8>) {
    let page = |index: &Index, file: &[u8]| index.index(file.len().div_ceil(PAGE_BYTES).max(1)) * PAGE_BYTES;
    match change {
        Change::Bytes(at, bytes) => {
            let at = at.index(file.len().max(1));
            let room = file.iter_mut().skip(at).zip(bytes);
            room.for_each(|(old, new)| *old = *new);
        }
        Change::Page { from, to } => {
            let (from, to) = (page(from, file), page(to, file));
            if file.len().is_multiple_of(PAGE_BYTES) && !file.is_empty() {
                file.copy_within(from..from + PAGE_BYTES, to);
            }
        }
        Change::EarlierPage(index) => {
            let whole = page(index, file)..page(index, file) + PAGE_BYTES;
            if let (Some(old), Some(new)) = (SAMPLE.earlier.get(whole.clone()), file.get_mut(whole)) {
                new.copy_from_slice(old);
            }
        }
        Change::Cut(at) => file.truncate(at.index(file.len() + 1)),
        Change::Grow(by) => file.resize(file.len() + by, 0),
    }
}

/// Every account that is read has its last password, and where the full check is content, every account is read.
async fn read_all(vault: &Vault) {
    let mut unread = 0;
    for id in &SAMPLE.accounts {
        match vault.reveal(*id, &[AccountSecret::Password]).await {
            // EXPOSE: tests compare made-up values.
            Ok(found) => assert_eq!(found.secret(AccountSecret::Password).unwrap().expose(), PASSWORD),
            Err(AccountError::Store(_)) => unread += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let content = vault.verify(Box::new(|_, _| ())).await.is_ok_and(|findings| findings.is_empty());
    assert!(!content || unread == 0, "{unread}");
}

proptest! {
    // Each case opens a vault, with its threads and files.
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn an_edited_file_is_refused_or_gives_only_what_was_written(changes in collection::vec(change(), 0..4)) {
        let edited = SAMPLE.folder.copy();
        let mut file = fs::read(&edited.paths.file).unwrap();
        for change in &changes {
            make(change, &mut file);
        }
        fs::write(&edited.paths.file, file).unwrap();
        RUNTIME.block_on(async {
            match edited.open().await {
                Ok(vault) => {
                    read_all(&vault).await;
                    let _ = vault.close().await;
                }
                Err(_) => assert!(!changes.is_empty()),
            }
        });
    }
}

const PASSWORD: &str = "second";
const PAGE_BYTES: usize = 4096;
