//! Waiting for an account: in order within a process and across processes, given up, and shown to operators.

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    AccountId, CheckIn, CheckInError, CheckOutAsk, CheckOutError, LeaseMode, LeaseOn, ReadError, Vault, model::Field,
};
use tokio::task::JoinHandle;

use crate::{
    child::Child,
    common::{Folder, account, ask, verify},
};

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let (_folder, vault, id) = vault().await;
    let held = vault.check_out(id, &ask(0)).await.unwrap();
    let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
    let mut waiting = Vec::new();
    for n in 0..6 {
        let served = served.clone();
        waiting.push(waits(&vault, id, LONG_MS, move |_| served.send(n).unwrap()));
        until_waiting(&vault, n + 1).await;
    }
    let shown = vault.leases().await.unwrap();
    assert!(shown.waiting.is_sorted_by_key(|waiter| waiter.ticket) && shown.held.len() == 1);
    assert!(matches!(vault.check_out(id, &ask(0)).await, Err(CheckOutError::Held { .. })));
    vault.check_in(held, &CheckIn::default()).await.unwrap();
    for n in 0..6 {
        assert_eq!(order.recv().await, Some(n));
    }
    for waiter in waiting {
        waiter.await.unwrap();
    }
    assert_eq!(vault.leases().await.unwrap().waiting.len(), 0);
    assert_eq!(verify(&vault).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_up_or_is_cancelled_holds_nobody_up() {
    let (_folder, vault, id) = vault().await;
    let held = vault.check_out(id, &ask(0)).await.unwrap();
    let cancelled = waits(&vault, id, LONG_MS, |_| ());
    until_waiting(&vault, 1).await;
    let next = waits(&vault, id, LONG_MS, |_| ());
    until_waiting(&vault, 2).await;
    assert!(matches!(vault.check_out(id, &ask(1)).await, Err(CheckOutError::Held { .. })), "its time is over");
    until_waiting(&vault, 2).await;
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());
    until_waiting(&vault, 1).await;
    vault.check_in(held, &CheckIn::default()).await.unwrap();
    next.await.unwrap();
    assert_eq!(verify(&vault).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_served_in_the_order_in_which_they_came_and_a_killed_one_is_passed_over() {
    let (folder, vault, id) = vault_by_the_machines_clock().await;
    let held = vault.check_out(id, &ask(0)).await.unwrap();
    let mut children = Vec::new();
    for n in 0..4 {
        children.push(Child::start(&folder, "pair", &[&id.to_string()]));
        until_waiting(&vault, n + 1).await;
    }
    // Nothing but the end of its process tells: its deadline is minutes away.
    children.remove(1).kill();
    vault.check_in(held, &CheckIn::default()).await.unwrap();
    // A token is higher than that of whoever was served before.
    let tokens: Vec<u64> = children.iter_mut().map(|child| child.line().unwrap().parse().unwrap()).collect();
    assert_eq!(tokens, [2, 3, 4]);
    assert!(children.iter_mut().all(|child| child.wait().success()));
    assert_eq!(verify(&vault).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_those_who_share_a_session_bring_back_is_merged() {
    let (_folder, vault, id) = vault().await;
    let shared = CheckOutAsk { mode: LeaseMode::Shared { at_most: 2 }, ..ask(0) };
    let (mut one, mut two) = (vault.check_out(id, &shared).await.unwrap(), vault.check_out(id, &shared).await.unwrap());
    assert!(matches!(vault.check_out(id, &shared).await, Err(CheckOutError::Held { .. })));
    assert!(matches!(vault.check_out(id, &ask(0)).await, Err(CheckOutError::Held { .. })));
    let url = "https://site.test/".parse().unwrap();
    let _ = one.jar.store(&url, b"one=1; Path=/", 0);
    let _ = two.jar.store(&url, b"two=2; Path=/", 0);
    assert!(vault.read_secret(&two, Field::Password).await.unwrap().is_some());
    vault.check_in(one, &CheckIn::default()).await.unwrap();
    vault.check_in(two, &CheckIn::default()).await.unwrap();
    let lent = vault.check_out(id, &ask(0)).await.unwrap();
    let cookies = lent.jar.export_flat(&url, 0).unwrap();
    assert!(cookies.expose().contains("one=1") && cookies.expose().contains("two=2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_shown_with_their_holders_and_a_revoked_one_is_fenced_everywhere() {
    let (_folder, vault, id) = vault().await;
    let shared = CheckOutAsk { mode: LeaseMode::Shared { at_most: 3 }, ..ask(0) };
    let (one, two) = (vault.check_out(id, &shared).await.unwrap(), vault.check_out(id, &shared).await.unwrap());
    let mut shown = vault.leases().await.unwrap().held;
    shown.sort_by_key(|lease| lease.shared_place);
    assert_eq!(shown.len(), 2);
    for (lease, place) in shown.iter().zip([1, 2]) {
        assert_eq!((lease.on, lease.shared_place), (LeaseOn::Account(id), Some(place)));
        assert_eq!((lease.token.n, lease.left), (u64::from(place), Duration::from_secs(60)));
        assert_eq!(
            (lease.purpose.as_deref(), lease.holder.as_ref().map(|h| h.name.as_str())),
            (Some("test"), Some("test"))
        );
    }
    assert_eq!(vault.held_for(id).await.unwrap(), Some(Duration::from_secs(60)));
    vault.revoke_lease(id).await.unwrap();
    assert_eq!(vault.leases().await.unwrap().held.len(), 0);
    assert_eq!(vault.held_for(id).await.unwrap(), None);
    for lent in [one, two] {
        assert!(!vault.renew(&mut lent.lease()).await.unwrap());
        assert!(matches!(vault.read_secret(&lent, Field::Password).await, Err(ReadError::Fenced(_))));
        assert!(matches!(vault.check_in(lent, &CheckIn::default()).await, Err(CheckInError::Fenced(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_hold_and_wait_keep_their_places_while_the_keys_change() {
    let (_folder, vault, id) = vault().await;
    let shared = CheckOutAsk { mode: LeaseMode::Shared { at_most: 2 }, ..ask(0) };
    let lent = vault.check_out(id, &shared).await.unwrap();
    let waiting = waits(&vault, id, LONG_MS, |_| ());
    until_waiting(&vault, 1).await;
    vault.rotate_keys().await.unwrap();
    vault.reseal(Box::new(|_, _| ())).await.unwrap();
    assert_eq!(verify(&vault).await, []);
    assert!(matches!(vault.check_out(id, &shared).await, Err(CheckOutError::Held { .. })), "somebody waits still");
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    waiting.await.unwrap();
}

async fn vault() -> (Folder, Arc<Vault>, AccountId) {
    let folder = Folder::new();
    let vault = Arc::new(folder.init().await);
    let id = vault.add_account(account("ann")).await.unwrap();
    (folder, vault, id)
}

/// As other processes see it: stamps of another boot are over.
async fn vault_by_the_machines_clock() -> (Folder, Arc<Vault>, AccountId) {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    vault.close().await.unwrap();
    let opener = crate::child::opener();
    let vault = Vault::open(&folder.paths, opener, folder.key()).await.unwrap();
    (folder, Arc::new(vault), id)
}

/// Waits for the account in a task of its own, tells that it has it, and brings it back.
fn waits(vault: &Arc<Vault>, id: AccountId, wait_ms: u64, tell: impl FnOnce(u64) + Send + 'static) -> JoinHandle<()> {
    let vault = Arc::clone(vault);
    tokio::spawn(async move {
        let lent = vault.check_out(id, &ask(wait_ms)).await.unwrap();
        tell(lent.token().n);
        vault.check_in(lent, &CheckIn::default()).await.unwrap();
    })
}

/// Until so many stand in line; what is never so makes the test runner's own limit end it.
async fn until_waiting(vault: &Vault, count: usize) {
    while vault.leases().await.unwrap().waiting.len() != count {
        tokio::task::yield_now().await;
    }
}

/// Longer than any test takes.
const LONG_MS: u64 = 600_000;
