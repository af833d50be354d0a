//! What somebody does who can write the vault's files, with plain tools on the closed vault, and what must follow.
//!
//! Each attack is made on a copy; the sample is checked before, and opens fine. Knows no key: only what an attacker does,
//! which is every byte of the files and every public recipient.

mod audit;
mod bombs;
mod bytes;
mod files;
mod hidden;
mod keys;
mod leases;
mod rows;
mod schema;
mod unlisted;
mod whole;

use latchkey_vault::{
    AccountId, CheckIn, Edit, ItemChange, ItemKind, NewReport, Secret, Vault, model::Field, store::Tampering,
};
use rusqlite::Connection;

use crate::common::{Class, Folder, account, ask, key, verify};

/// A vault in which every table has rows, closed.
struct Sample {
    folder: Folder,
    /// The same vault, some commits earlier.
    earlier: Folder,
    /// Has a session, was changed twice, lent and brought back.
    ann: AccountId,
    /// Is lent, and never brought back.
    bob: AccountId,
}

impl Sample {
    async fn new() -> Self {
        let folder = Folder::new();
        let vault = folder.init().await;
        let ann = vault.add_account(account("ann")).await.unwrap();
        let bob = vault.add_account(account("bob")).await.unwrap();
        let lent = vault.check_out(bob, &ask(0)).await.unwrap();
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
        let lent = vault.check_out(ann, &ask(0)).await.unwrap();
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
        vault.put_items(&[item(1)]).await.unwrap();
        let body = b"report".to_vec().into();
        vault.owe_report(&NewReport { task: "task-1".into(), body }, &[]).await.unwrap();
        vault.close().await.unwrap();
        let earlier = folder.copy();

        let vault = folder.open().await.unwrap();
        change_password(&vault, ann, "second").await;
        let mut lent = vault.check_out(ann, &ask(0)).await.unwrap();
        let _ = lent.jar.store(&"https://site.test/".parse().unwrap(), b"sid=second; Path=/", 0);
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
        vault.put_items(&[item(2)]).await.unwrap();
        let _never_back = vault.check_out(bob, &ask(0)).await.unwrap();
        assert_eq!(verify(&vault).await, []);
        vault.close().await.unwrap();
        Self { folder, earlier, ann, bob }
    }

    /// Asserts that `attack` is found as `expected` when it is touched.
    async fn check(
        &self,
        name: &str,
        attack: impl FnOnce(&Connection),
        touch: impl AsyncFn(&Vault) -> Option<Tampering>,
        expected: Tampering,
    ) {
        let attacked = self.folder.copy();
        let conn = attacked.plain();
        attack(&conn);
        conn.close().unwrap();
        assert_eq!(found(&attacked, &touch).await, Some(expected), "{name}");
    }
}

/// What opening a vault and touching it tells of. What a touch finds, the full check finds too.
async fn found(folder: &Folder, touch: &impl AsyncFn(&Vault) -> Option<Tampering>) -> Option<Tampering> {
    let vault = match folder.open().await {
        Ok(vault) => vault,
        Err(error) => return error.class(),
    };
    let seen = touch(&vault).await;
    assert_eq!(verify(&vault).await.is_empty(), seen.is_none(), "{seen:?}");
    vault.close().await.unwrap();
    seen
}

/// What a result tells of: nothing where it is a value, or an error that accuses nobody.
fn told<T, E: Class>(result: Result<T, E>) -> Option<Tampering> {
    result.err().and_then(|error| error.class())
}

/// The first thing that the full check finds.
async fn first_finding(vault: &Vault) -> Option<Tampering> {
    verify(vault).await.first().map(|finding| finding.class)
}

fn item(rev: u64) -> ItemChange {
    let body = format!("item at {rev}").into_bytes().into();
    ItemChange { kind: ItemKind::Attempt, id: [0x77; 16], rev, key: "task-1".into(), open: true, body }
}

async fn change_password(vault: &Vault, id: AccountId, to: &str) {
    let edit = Edit { fields: vec![(Field::Password, Secret::copy_of(to))], ..Edit::default() };
    vault.edit_account(id, &edit).await.unwrap();
}

/// One blob of the record with this id.
fn column(conn: &Connection, sql: &str, id: &AccountId) -> Vec<u8> {
    conn.query_row(sql, [key(id)], |row| row.get(0)).unwrap()
}
