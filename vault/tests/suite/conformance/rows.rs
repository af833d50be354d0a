//! Rows and their revisions, and how they are found.

use latchkey_vault::{
    AccountId,
    crypto::Kind,
    store::{Changes, FindAccounts, FindItems, KeyMaterial, RowName, Saved},
};

use super::{Bench, account, accounts, entry, item, items, name, sealed, session, token};

pub(super) async fn a_row_is_written_at_the_revision_that_follows_and_at_no_other(bench: &Bench) {
    let stale = |kind: Kind| Saved::Stale(RowName { kind: kind as u8, id: [5; 16] });
    for (rev, expected) in [
        (2, stale(Kind::Account)),
        (1, Saved::Done),
        (1, stale(Kind::Account)),
        (3, stale(Kind::Account)),
        (2, Saved::Done),
    ] {
        assert_eq!(bench.store.save(accounts([account(5, rev)])).await.unwrap(), expected, "account {rev}");
    }
    for (rev, expected) in [(2, stale(Kind::Session)), (1, Saved::Done), (2, Saved::Done), (2, stale(Kind::Session))] {
        let changes = Changes { sessions: vec![session(5, rev)], ..Changes::default() };
        assert_eq!(bench.store.save(changes).await.unwrap(), expected, "session {rev}");
    }
    for (rev, expected) in [(0, stale(Kind::Item)), (1, Saved::Done), (3, stale(Kind::Item)), (2, Saved::Done)] {
        assert_eq!(bench.store.save(items([item(5, rev)])).await.unwrap(), expected, "item {rev}");
    }
    let (row, session) = bench.store.account(AccountId::from_bytes([5; 16])).await.unwrap().unwrap();
    assert_eq!((row.rev, session.map(|session| session.login_epoch)), (2, Some(2)));
    assert!(bench.store.account(AccountId::from_bytes([6; 16])).await.unwrap().is_none());
}

pub(super) async fn one_stale_row_keeps_all_others_out(bench: &Bench) {
    let changes = Changes {
        accounts: vec![account(1, 1), account(2, 1)],
        sessions: vec![session(1, 1)],
        items: vec![item(1, 1), item(2, 7)],
        audit: vec![entry(1)],
        ..Changes::default()
    };
    let stale = Saved::Stale(RowName { kind: Kind::Item as u8, id: [2; 16] });
    assert_eq!(bench.store.save(changes).await.unwrap(), stale);
    assert!(bench.store.accounts(FindAccounts::All, None, 10).await.unwrap().is_empty());
    assert!(bench.store.items(FindItems::All(1), 10).await.unwrap().is_empty());
    assert!(bench.audit_ids().await.is_empty());
}

pub(super) async fn no_two_accounts_have_one_login_or_one_manager_id(bench: &Bench) {
    let managed = |id, manager| {
        let mut row = account(id, 1);
        row.ix_manager = Some([manager; 16]);
        row
    };
    let nameless = |id| {
        let mut row = account(id, 1);
        row.ix_login = None;
        row
    };
    let mut same_login = account(3, 1);
    same_login.ix_login = Some([1; 16]);
    let first = AccountId::from_bytes([1; 16]);
    assert_eq!(bench.store.save(accounts([managed(1, 7)])).await.unwrap(), Saved::Done);
    for taken in [same_login.clone(), managed(4, 7)] {
        let changes = Changes { audit: vec![entry(9)], ..accounts([account(2, 1), taken]) };
        assert_eq!(bench.store.save(changes).await.unwrap(), Saved::Duplicate(first));
    }
    assert!(bench.audit_ids().await.is_empty());
    assert_eq!(bench.store.save(accounts([nameless(5), nameless(6)])).await.unwrap(), Saved::Done);
    let mut kept = account(1, 2);
    kept.ix_manager = Some([7; 16]);
    assert_eq!(bench.store.save(accounts([kept])).await.unwrap(), Saved::Done, "its own indexes are no duplicate");
    assert_eq!(bench.store.remove_account(first, 2, vec![]).await.unwrap(), Saved::Done);
    assert_eq!(bench.store.save(accounts([same_login])).await.unwrap(), Saved::Done, "free again");
}

pub(super) async fn accounts_are_found_by_their_indexes_in_pages(bench: &Bench) {
    let row = |id: u8| {
        let mut row = account(id, 1);
        row.ix_site = [id % 2; 16];
        row.ix_manager = Some([id + 100; 16]);
        row
    };
    // One to a commit, and not in the order of their ids.
    for id in [40, 10, 30, 20, 50] {
        assert_eq!(bench.store.save(accounts([row(id), row(id + 1)])).await.unwrap(), Saved::Done);
    }
    let found = async |find, after: Option<u8>, limit| {
        let after = after.map(|id| AccountId::from_bytes([id; 16]));
        let rows = bench.store.accounts(find, after, limit).await.unwrap();
        rows.iter().map(|row| row.id.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(found(FindAccounts::All, None, 4).await, [10, 11, 20, 21]);
    assert_eq!(found(FindAccounts::All, Some(21), 4).await, [30, 31, 40, 41]);
    assert_eq!(found(FindAccounts::All, Some(51), 4).await, NONE);
    assert_eq!(found(FindAccounts::Site(name(1)), None, 3).await, [11, 21, 31]);
    assert_eq!(found(FindAccounts::Site(name(1)), Some(31), 3).await, [41, 51]);
    assert_eq!(found(FindAccounts::Site(name(9)), None, 3).await, NONE);
    assert_eq!(found(FindAccounts::Login(name(20)), None, 3).await, [20]);
    assert_eq!(found(FindAccounts::Login(name(120)), None, 3).await, NONE);
    assert_eq!(found(FindAccounts::Manager(name(120)), None, 3).await, [20]);
    assert_eq!(found(FindAccounts::Manager(name(20)), None, 3).await, NONE);
}

pub(super) async fn items_are_found_by_id_index_and_whether_they_are_open(bench: &Bench) {
    let mut other = item(3, 1);
    (other.tag, other.ix) = (2, Some([1; 16]));
    assert_eq!(bench.store.save(items([item(2, 1), item(1, 1), other])).await.unwrap(), Saved::Done);
    let mut closed = item(1, 2);
    (closed.open, closed.sealed) = (false, sealed(9));
    assert_eq!(bench.store.save(items([closed])).await.unwrap(), Saved::Done);
    let found = async |find, limit| {
        let rows = bench.store.items(find, limit).await.unwrap();
        rows.iter().map(|row| (row.id[0], row.rev)).collect::<Vec<_>>()
    };
    assert_eq!(found(FindItems::Id(1, [1; 16]), 1).await, [(1, 2)]);
    assert_eq!(found(FindItems::Id(2, [1; 16]), 1).await, [], "another kind");
    assert_eq!(found(FindItems::Id(1, [9; 16]), 1).await, []);
    assert_eq!(found(FindItems::Index(1, name(1)), 9).await, [(1, 2)]);
    assert_eq!(found(FindItems::Index(2, name(1)), 9).await, [(3, 1)]);
    assert_eq!(found(FindItems::Open(1), 9).await, [(2, 1)]);
    assert_eq!(found(FindItems::All(1), 9).await, [(1, 2), (2, 1)]);
    assert_eq!(found(FindItems::All(1), 1).await, [(1, 2)]);
    assert_eq!(found(FindItems::All(3), 9).await, []);
}

pub(super) async fn an_account_goes_with_its_session_and_leaves_its_lease(bench: &Bench) {
    let changes = Changes { sessions: vec![session(1, 1)], ..accounts([account(1, 1), account(2, 1)]) };
    assert_eq!(bench.store.save(changes).await.unwrap(), Saved::Done);
    let id = AccountId::from_bytes([1; 16]);
    let hold = bench.take(1, 1).await;
    let stale = Saved::Stale(RowName { kind: Kind::Account as u8, id: [1; 16] });
    assert_eq!(bench.store.remove_account(id, 2, vec![entry(1)]).await.unwrap(), stale);
    assert!(bench.store.account(id).await.unwrap().is_some_and(|(_, session)| session.is_some()));
    assert_eq!(bench.store.remove_account(id, 1, vec![entry(2)]).await.unwrap(), Saved::Done);
    assert_eq!(bench.store.remove_account(id, 1, vec![entry(3)]).await.unwrap(), stale);
    assert!(bench.store.account(id).await.unwrap().is_none());
    assert_eq!(bench.store.save(accounts([account(1, 1)])).await.unwrap(), Saved::Done);
    assert!(bench.store.account(id).await.unwrap().is_some_and(|(_, session)| session.is_none()), "the session went");
    assert_eq!(bench.audit_ids().await, [2]);
    let lease = bench.store.lease(hold.resource.id()).await.unwrap().unwrap();
    assert_eq!((lease.token, lease.held), (token(1), true));
    assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    assert_eq!(bench.take(1, 2).await.token, token(2));
}

pub(super) async fn new_keys_follow_the_generation_that_is_there(bench: &Bench) {
    let keys = |generation, slot: u8| KeyMaterial {
        generation,
        slots_mac: [slot; 32],
        slots: vec![vec![slot; 20]],
        data_keys: vec![(1, sealed(slot))],
    };
    let stale = Saved::Stale(RowName { kind: Kind::KeySlot as u8, id: [0; 16] });
    assert_eq!(bench.store.install_keys(keys(1, 5), vec![entry(1)]).await.unwrap(), stale);
    assert_eq!(bench.store.install_keys(keys(3, 5), vec![entry(1)]).await.unwrap(), stale);
    assert_eq!(bench.store.install_keys(keys(2, 6), vec![entry(2)]).await.unwrap(), Saved::Done);
    let found = bench.store.key_material().await.unwrap();
    assert_eq!((found.generation, found.slots_mac, found.slots), (2, [6; 32], vec![vec![6; 20]]));
    assert_eq!(bench.audit_ids().await, [2]);
}

const NONE: [u8; 0] = [];
