//! Many at once: group commit, and the end of a store.

use std::sync::Arc;

use latchkey_vault::{
    AccountId,
    store::{Changes, FindAccounts, FindItems, FindOutbox, Saved, StoreError, Taken},
};

use super::{Bench, account, accounts, ask, entry, item, items};

pub(super) async fn many_at_once_are_each_done_once(bench: &Bench) {
    let before = bench.store.head().counter;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..MANY {
        let store = Arc::clone(&bench.store);
        tasks.spawn(async move {
            let changes = Changes { audit: vec![entry(n)], ..accounts([account(n, 1)]) };
            assert_eq!(store.save(changes).await.unwrap(), Saved::Done);
            // Durable and seen by whoever asks next.
            assert!(store.account(AccountId::from_bytes([n; 16])).await.unwrap().is_some());
        });
    }
    tasks.join_all().await;
    assert_eq!(bench.store.accounts(FindAccounts::All, None, 1000).await.unwrap().len(), usize::from(MANY));
    let entries = bench.store.audit(0, 1000).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=u64::from(MANY)).collect::<Vec<_>>());
    let mut ids = bench.audit_ids().await;
    ids.sort_unstable();
    assert_eq!(ids, (0..MANY).collect::<Vec<_>>());
    let commits = bench.store.head().counter - before;
    assert!((1..=u64::from(MANY)).contains(&commits), "{commits}");
}

pub(super) async fn a_refused_operation_does_not_disturb_its_neighbours(bench: &Bench) {
    // All want one lease and one revision of one row; what a loser had written before it was refused has to go.
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..MANY {
        let store = Arc::clone(&bench.store);
        tasks.spawn(async move {
            let saved =
                store.save(Changes { audit: vec![entry(n)], ..items([item(n, 1), item(255, 1)]) }).await.unwrap();
            let taken = store.take_lease(ask(1, n), vec![]).await.unwrap();
            let own = store.save(accounts([account(n, 1)])).await.unwrap();
            assert_eq!(own, Saved::Done);
            (n, saved == Saved::Done, matches!(taken, Taken::Granted { .. }))
        });
    }
    let ends = tasks.join_all().await;
    let winners: Vec<_> = ends.iter().filter(|(_, saved, _)| *saved).map(|(n, ..)| *n).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(ends.iter().filter(|(.., taken)| *taken).count(), 1);
    let kept: Vec<_> = bench.store.items(FindItems::All(1), 1000).await.unwrap().iter().map(|row| row.id[0]).collect();
    assert_eq!(kept, [winners[0], 255]);
    assert_eq!(bench.audit_ids().await, winners);
    assert_eq!(bench.store.accounts(FindAccounts::All, None, 1000).await.unwrap().len(), usize::from(MANY));
}

pub(super) async fn every_write_makes_a_new_head_and_a_refusal_none(bench: &Bench) {
    let mut last = bench.store.head();
    for rev in 1..=5 {
        assert_eq!(bench.store.save(items([item(1, rev)])).await.unwrap(), Saved::Done);
        let head = bench.store.head();
        assert!(head.counter == last.counter + 1 && head.hash != last.hash, "{head:?}");
        last = head;
        assert!(matches!(bench.store.save(items([item(1, rev)])).await.unwrap(), Saved::Stale(_)));
        assert_eq!(bench.store.head(), last);
    }
}

pub(super) async fn a_closed_store_refuses_everything(bench: &Bench) {
    let store = &bench.store;
    assert_eq!(store.save(items([item(1, 1)])).await.unwrap(), Saved::Done);
    let hold = bench.take(1, 1).await;
    let head = store.close().await.unwrap();
    assert_eq!((store.head(), store.close().await.unwrap()), (head, head), "closing twice changes nothing");
    let closed = |name: &str, error: Option<StoreError>| assert!(matches!(error, Some(StoreError::Closed)), "{name}");
    closed("save", store.save(items([item(1, 2)])).await.err());
    closed("take_lease", store.take_lease(ask(2, 1), vec![]).await.err());
    closed("renew_lease", store.renew_lease(hold, super::TTL).await.err());
    closed("check_in", store.check_in(vec![hold], Changes::default()).await.err());
    closed("settle", store.settle(vec![], Changes::default()).await.err());
    closed("account", store.account(AccountId::from_bytes([1; 16])).await.err());
    closed("accounts", store.accounts(FindAccounts::All, None, 1).await.err());
    closed("lease", store.lease([1; 16]).await.err());
    closed("items", store.items(FindItems::All(1), 1).await.err());
    closed("outbox", store.outbox(FindOutbox::All, 1).await.err());
    closed("audit", store.audit(0, 1).await.err());
}

/// Tasks at once: far more than an operation's share of a commit.
const MANY: u8 = 200;
