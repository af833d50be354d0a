//! Several processes on one file: everybody gets a turn, nothing is lost, and a killed one holds nobody up for long.

use std::collections::BTreeSet;

use latchkey_vault::AccountId;

use crate::{
    child::{Child, counted},
    common::{Folder, account, ask, verify},
};

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_take_turns_at_one_account_and_lose_no_write() {
    let (folder, id) = folder().await;
    let mut children: Vec<_> = (0..4).map(|_| Child::start(&folder, "pairs", &[&id.to_string(), "12"])).collect();
    let tokens: Vec<_> = children.iter_mut().flat_map(Child::rest).collect();
    assert!(children.iter_mut().all(|child| child.wait().success()));
    assert_eq!(tokens.len(), 48);
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 48, "a token was given twice");
    assert_eq!(count(&folder, id).await, 48);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_36_of_sixty_four_processes_one_has_the_account_at_a_time() {
    let (folder, id) = folder().await;
    let mut children: Vec<_> = (0..64).map(|_| Child::start(&folder, "pair", &[&id.to_string()])).collect();
    let tokens: Vec<_> = children.iter_mut().flat_map(Child::rest).collect();
    assert!(children.iter_mut().all(|child| child.wait().success()));
    assert_eq!((tokens.len(), tokens.iter().collect::<BTreeSet<_>>().len()), (64, 64), "a token was given twice");
    // Each read the count, added one and wrote it back: two at a time would lose a count.
    assert_eq!(count(&folder, id).await, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_them_is_killed_the_others_go_on() {
    let (folder, id) = folder().await;
    let mut victim = Child::start(&folder, "pairs", &[&id.to_string(), "1000000"]);
    let mut children: Vec<_> = (0..3).map(|_| Child::start(&folder, "pairs", &[&id.to_string(), "8"])).collect();
    let mut tokens: Vec<_> = (0..3).map(|_| victim.line().unwrap()).collect();
    victim.kill();
    tokens.extend(victim.rest());
    tokens.extend(children.iter_mut().flat_map(Child::rest));
    assert!(children.iter_mut().all(|child| child.wait().success()));
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), tokens.len(), "a token was given twice");
    let (said, count) = (tokens.len() as u64, count(&folder, id).await);
    // What the victim did last may be durable without its having said so.
    assert!(count == said || count == said + 1, "{count} counted, {said} said");
}

/// A closed vault with one account.
async fn folder() -> (Folder, AccountId) {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    vault.close().await.unwrap();
    (folder, id)
}

/// What the processes counted together, once the vault was checked.
async fn count(folder: &Folder, id: AccountId) -> u64 {
    let vault = folder.open().await.unwrap();
    assert_eq!(verify(&vault).await, []);
    // By another clock than the children's, so that the last hold counts as one of another boot.
    let mut lent = vault.check_out(id, &ask(0)).await;
    if lent.is_err() {
        folder.clock.advance(std::time::Duration::from_secs(60));
        lent = vault.check_out(id, &ask(0)).await;
    }
    let cookies = lent.unwrap().jar.export_flat(&"https://site.test/".parse().unwrap(), 0).unwrap();
    vault.close().await.unwrap();
    counted(&cookies)
}
