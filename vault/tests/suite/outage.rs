//! The outbox while nobody delivers: what is owed stays bounded, and keeps its newest word.

use std::time::Duration;

use latchkey_vault::{
    AccountId, Clock as _, Edit, Secret, Vault,
    model::Field,
    store::{Lane, Owed},
};

use crate::common::{Folder, account, verify};

#[tokio::test(flavor = "multi_thread")]
async fn a_week_of_outage_leaves_one_message_for_each_account() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let mut ids = Vec::new();
    for name in 0..ACCOUNTS {
        ids.push(vault.add_account(account(&format!("ann{name}"))).await.unwrap());
    }
    let began_ms = folder.clock.wall_ms();
    let mut sizes = Vec::new();
    for change in 0..CHANGES / ACCOUNTS {
        folder.clock.advance(WEEK / u32::try_from(CHANGES / ACCOUNTS).unwrap());
        let edits = ids.iter().map(|id| set_password(&vault, *id, change));
        for edited in futures_util::future::join_all(edits).await {
            edited.unwrap();
        }
        if change == 99 || change == CHANGES / ACCOUNTS - 1 {
            sizes.push(vault.owed_messages(10_000).await.unwrap().len());
        }
    }
    assert_eq!(sizes, [ACCOUNTS, ACCOUNTS], "what is owed does not grow with the outage");
    let owed = vault.owed_messages(10_000).await.unwrap();
    for message in &owed {
        assert_eq!((message.lane, message.state, message.tries), (Lane::Account, Owed::Due, 0));
        let since_ms = message.since_ms.unwrap();
        assert!(since_ms >= began_ms && since_ms < began_ms + 3_600_000, "the lag is that of the first change");
    }
    for id in ids {
        assert!(vault.account(id).await.unwrap().owed.contains(&Field::Password));
    }
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_message_is_owed_no_more_and_the_audit_says_who_dropped_it() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    set_password(&vault, id, 1).await.unwrap();
    let message = vault.owed_messages(9).await.unwrap().remove(0).id;
    assert!(vault.retry_owed(message).await.unwrap());
    assert_eq!(vault.owed_messages(9).await.unwrap()[0].id, message, "one that waits only comes at once");
    assert!(vault.drop_owed(message).await.unwrap());
    assert!(vault.owed_messages(9).await.unwrap().is_empty());
    assert!(!vault.account(id).await.unwrap().owed.contains(&Field::Password));
    for gone in [vault.retry_owed(message).await.unwrap(), vault.drop_owed(message).await.unwrap()] {
        assert!(!gone, "there is none any more");
    }
    let entries = vault.audit_entries(0, 100).await.unwrap();
    let said: Vec<_> = entries.iter().filter(|entry| entry.event.detail.contains("by a person")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|entry| entry.event.account == Some(id)));
    vault.close().await.unwrap();
}

async fn set_password(vault: &Vault, id: AccountId, change: usize) -> Result<(), latchkey_vault::AccountError> {
    let fields = vec![(Field::Password, Secret::new(format!("password {change}")))];
    vault.edit_account(id, &Edit { fields, ..Edit::default() }).await.map(|_| ())
}

const ACCOUNTS: usize = 10;
const CHANGES: usize = 10_000;
const WEEK: Duration = Duration::from_secs(7 * 86_400);
