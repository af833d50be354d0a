//! Who may write: leases, their tokens, and what a token that is no longer the newest can do (nothing).

use std::time::Duration;

use latchkey_vault::{
    AccountId, HolderId,
    crypto::Kind,
    store::{Changes, FindOutbox, HeldAccount, Hold, Renewed, Reserved, RowName, Saved, StepAsk, Store, Taken},
};

use super::{
    Bench, MS, QUARANTINE, TTL, WALL_MS, account, accounts, ask, entry, item, items, message, name, session, token,
};

pub(super) async fn one_holds_it_and_the_next_gets_a_higher_token(bench: &Bench) {
    let first = bench.take(1, 1).await;
    assert_eq!(first.token, token(1));
    let all = TTL + QUARANTINE;
    assert_eq!(bench.store.take_lease(ask(1, 2), vec![entry(1)]).await.unwrap(), Taken::Held { retry_in: all });
    bench.clock.advance(MS);
    assert_eq!(bench.store.take_lease(ask(1, 1), vec![]).await.unwrap(), Taken::Held { retry_in: all - MS }, "its own");
    assert_eq!(bench.take(2, 2).await.token, token(1), "another resource counts on its own");
    assert_eq!(bench.store.check_in(vec![first], Changes::default()).await.unwrap(), Saved::Done);
    assert_eq!(bench.store.check_in(vec![first], Changes::default()).await.unwrap(), Saved::Fenced([1; 16]), "once");
    for n in 2..5 {
        let next = bench.take(1, 2).await;
        assert_eq!(next.token, token(n), "a clean end needs no rest, and a token never comes again");
        assert_eq!(bench.store.check_in(vec![next], Changes::default()).await.unwrap(), Saved::Done);
    }
    assert!(bench.audit_ids().await.is_empty());
}

pub(super) async fn an_expired_hold_rests_and_then_its_holder_is_fenced_everywhere(bench: &Bench) {
    let old = bench.take(1, 1).await;
    bench.clock.advance(TTL - MS);
    assert_eq!(bench.store.save_held(vec![old], items([item(1, 1)])).await.unwrap(), Saved::Done, "the last moment");
    bench.clock.advance(MS);
    fenced_everywhere(bench.store.as_ref(), old, 2).await;
    let rest = Taken::Held { retry_in: QUARANTINE };
    assert_eq!(bench.store.take_lease(ask(1, 2), vec![]).await.unwrap(), rest);
    bench.clock.set_wall_ms(0);
    assert_eq!(bench.store.take_lease(ask(1, 2), vec![]).await.unwrap(), rest, "the wall clock changes no lease");
    bench.clock.advance(QUARANTINE);
    let new = bench.take(1, 2).await;
    assert_eq!(new.token, token(2));
    fenced_everywhere(bench.store.as_ref(), old, 2).await;
    assert_eq!(bench.store.save_held(vec![new], items([item(1, 2)])).await.unwrap(), Saved::Done);
}

pub(super) async fn another_token_or_holder_is_fenced_and_writes_nothing(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    for other in [
        Hold { token: token(2), ..hold },
        Hold { token: token(0), ..hold },
        Hold { token: latchkey_vault::store::Token { incarnation: 2, n: 1 }, ..hold },
        Hold { holder: HolderId::from_bytes([2; 16]), ..hold },
        Hold { resource: [2; 16].into(), ..hold },
    ] {
        fenced_everywhere(bench.store.as_ref(), other, 1).await;
    }
    assert!(bench.audit_ids().await.is_empty());
    assert_eq!(bench.store.save_held(vec![hold], items([item(1, 1)])).await.unwrap(), Saved::Done);
}

pub(super) async fn renewing_extends_and_never_shortens(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    let until = async |ttl| match bench.store.renew_lease(hold, ttl).await.unwrap() {
        Renewed::Until(until) => until.ms,
        Renewed::Fenced => panic!("fenced"),
    };
    let first = until(TTL).await;
    bench.clock.advance(TTL / 2);
    assert_eq!(until(TTL).await, first + 30_000);
    assert_eq!(until(MS).await, first + 30_000, "what was promised stands");
    bench.clock.advance(TTL);
    fenced_everywhere(bench.store.as_ref(), hold, 1).await;
    assert_eq!(
        bench.store.take_lease(ask(1, 2), vec![]).await.unwrap(),
        Taken::Held { retry_in: QUARANTINE },
        "the rest follows the renewed end"
    );
}

pub(super) async fn another_boot_ends_the_hold_and_starts_the_rest_in_full(bench: &Bench) {
    let (clean, held, revoked) = (bench.take(1, 1).await, bench.take(2, 1).await, bench.take(3, 1).await);
    assert_eq!(bench.store.check_in(vec![clean], Changes::default()).await.unwrap(), Saved::Done);
    bench.store.revoke_lease(revoked.resource.id(), vec![]).await.unwrap();
    bench.clock.reboot();
    fenced_everywhere(bench.store.as_ref(), held, 1).await;
    assert_eq!(bench.take(1, 2).await.token, token(2), "nothing rests after a clean end");
    for resource in [2, 3] {
        // Who asks has no say in how long the last holder's requests may be under way.
        let hasty = latchkey_vault::store::LeaseAsk { quarantine: Duration::ZERO, ..ask(resource, 2) };
        let taken = bench.store.take_lease(hasty.clone(), vec![]).await.unwrap();
        assert_eq!(taken, Taken::Held { retry_in: QUARANTINE }, "{resource}");
    }
    bench.clock.advance(QUARANTINE - MS);
    assert_eq!(bench.store.take_lease(ask(2, 2), vec![]).await.unwrap(), Taken::Held { retry_in: MS });
    bench.clock.advance(MS);
    assert_eq!(bench.take(2, 2).await.token, token(2));
    assert_eq!(bench.take(3, 2).await.token, token(3), "the revocation counted too");
    fenced_everywhere(bench.store.as_ref(), held, 1).await;
}

pub(super) async fn a_revoked_lease_rests_before_the_next_holder(bench: &Bench) {
    bench.store.revoke_lease([1; 16], vec![entry(1)]).await.unwrap();
    assert!(bench.store.lease([1; 16]).await.unwrap().is_none(), "there was none");
    let hold = bench.take(1, 1).await;
    bench.store.revoke_lease([1; 16], vec![entry(2)]).await.unwrap();
    fenced_everywhere(bench.store.as_ref(), hold, 1).await;
    assert_eq!(bench.store.take_lease(ask(1, 2), vec![]).await.unwrap(), Taken::Held { retry_in: QUARANTINE });
    bench.store.revoke_lease([1; 16], vec![]).await.unwrap();
    bench.clock.advance(QUARANTINE);
    assert_eq!(bench.take(1, 2).await.token, token(3));
    assert_eq!(bench.audit_ids().await, [1, 2]);
}

pub(super) async fn a_holder_reads_its_account_as_it_is_now(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    let read = async || bench.store.account_held(hold, None).await.unwrap();
    assert!(matches!(read().await, HeldAccount::Removed), "leased, and no account");
    for rev in 1..3 {
        assert_eq!(bench.store.save(accounts([account(1, rev)])).await.unwrap(), Saved::Done);
        assert!(matches!(read().await, HeldAccount::Rows(rows) if rows.account.rev == rev));
    }
    let removed = bench.store.remove_account(AccountId::from_bytes([1; 16]), 2, vec![]).await.unwrap();
    assert_eq!(removed, Saved::Done);
    assert!(matches!(read().await, HeldAccount::Removed));
    assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    assert!(matches!(read().await, HeldAccount::Fenced));
}

pub(super) async fn what_several_leases_guard_needs_all_of_them(bench: &Bench) {
    let (one, other) = (bench.take(1, 1).await, bench.take(2, 2).await);
    assert_eq!(bench.store.save_held(vec![one, other], items([item(1, 1)])).await.unwrap(), Saved::Done);
    let lost = Hold { token: token(7), ..other };
    assert_eq!(bench.store.save_held(vec![one, lost], items([item(1, 2)])).await.unwrap(), Saved::Fenced([2; 16]));
    assert_eq!(bench.store.check_in(vec![one, lost], items([item(1, 2)])).await.unwrap(), Saved::Fenced([2; 16]));
    assert_eq!(bench.store.check_in(vec![one, other], items([item(1, 2)])).await.unwrap(), Saved::Done);
    assert!(!bench.store.lease([1; 16]).await.unwrap().unwrap().held, "the first of them ends");
    assert!(bench.store.lease([2; 16]).await.unwrap().unwrap().held);
}

pub(super) async fn a_check_in_writes_everything_and_frees_or_nothing_and_keeps(bench: &Bench) {
    assert_eq!(bench.store.save(accounts([account(1, 1)])).await.unwrap(), Saved::Done);
    let hold = bench.take(1, 1).await;
    let back = |account_rev| Changes {
        accounts: vec![account(1, account_rev)],
        sessions: vec![session(1, 1)],
        items: vec![item(1, 1)],
        outbox: vec![message(1, 1)],
        audit: vec![entry(1)],
        ..Changes::default()
    };
    let stale = Saved::Stale(RowName { kind: Kind::Account as u8, id: [1; 16] });
    assert_eq!(bench.store.check_in(vec![hold], back(3)).await.unwrap(), stale);
    let id = AccountId::from_bytes([1; 16]);
    let (row, none) = bench.store.account(id).await.unwrap().unwrap();
    assert!(row.rev == 1 && none.is_none());
    assert!(bench.store.outbox(FindOutbox::All, 9).await.unwrap().is_empty());
    assert!(bench.audit_ids().await.is_empty());
    assert!(bench.store.lease([1; 16]).await.unwrap().unwrap().held, "and it may try again");
    assert_eq!(bench.store.check_in(vec![hold], back(2)).await.unwrap(), Saved::Done);
    let (row, session) = bench.store.account(id).await.unwrap().unwrap();
    assert!(row.rev == 2 && session.is_some());
    assert_eq!(bench.store.outbox(FindOutbox::All, 9).await.unwrap().len(), 1);
    assert_eq!(bench.audit_ids().await, [1]);
    assert!(!bench.store.lease([1; 16]).await.unwrap().unwrap().held);
    assert_eq!(bench.take(1, 2).await.token, token(2));
}

pub(super) async fn every_write_of_a_lease_is_the_next_revision_and_a_clean_end_leaves_no_times(bench: &Bench) {
    let rev = async || bench.store.lease([1; 16]).await.unwrap().unwrap().rev;
    let hold = bench.take(1, 1).await;
    assert_eq!(rev().await, 1);
    assert!(matches!(bench.store.renew_lease(hold, TTL).await.unwrap(), Renewed::Until(_)));
    assert_eq!(rev().await, 2);
    assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    let free = bench.store.lease([1; 16]).await.unwrap().unwrap();
    assert_eq!((free.rev, free.held, free.until_ms, free.free_at_ms), (3, false, 0, 0));
    bench.take(1, 2).await;
    assert_eq!(rev().await, 4);
    bench.store.revoke_lease([1; 16], vec![]).await.unwrap();
    assert_eq!(rev().await, 5);
}

pub(super) async fn a_totp_step_is_reserved_once_and_only_forward(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    let step = |step| StepAsk { hold, secret: name(4), step, begins_ms: WALL_MS };
    let reserve = async |step, changes| bench.store.reserve_step(step, changes).await.unwrap();
    assert_eq!(reserve(step(100), items([item(1, 1)])).await, Reserved::Step(100));
    for spent in [100, 99, 0] {
        assert_eq!(reserve(step(spent), items([item(1, 2)])).await, Reserved::Spent { last: 100 });
    }
    let stale = RowName { kind: Kind::Item as u8, id: [1; 16] };
    assert_eq!(reserve(step(101), items([item(1, 9)])).await, Reserved::Stale(stale));
    assert_eq!(reserve(step(101), items([item(1, 2)])).await, Reserved::Step(101), "the refusal spent nothing");
    assert_eq!(reserve(StepAsk { secret: name(5), ..step(7) }, Changes::default()).await, Reserved::Step(7));
    let other = StepAsk { hold: Hold { token: token(9), ..hold }, ..step(102) };
    assert_eq!(reserve(other, Changes::default()).await, Reserved::Fenced);
    bench.clock.advance(TTL);
    assert_eq!(reserve(step(103), Changes::default()).await, Reserved::Fenced, "expired");
    bench.clock.advance(QUARANTINE);
    let next = bench.take(1, 2).await;
    assert_eq!(
        reserve(StepAsk { hold: next, ..step(101) }, Changes::default()).await,
        Reserved::Spent { last: 101 },
        "whoever asks"
    );
    assert_eq!(reserve(StepAsk { hold: next, ..step(102) }, Changes::default()).await, Reserved::Step(102));
}

/// For a store whose first header has a floor: whatever begins at or before `floor_ms` is spent, row or none.
pub(crate) async fn steps_up_to_the_floor_are_spent_and_later_ones_are_not(bench: &Bench, floor_ms: i64) {
    let hold = bench.take(1, 1).await;
    let step = |step, begins_ms| StepAsk { hold, secret: name(4), step, begins_ms };
    let reserve = async |step| bench.store.reserve_step(step, Changes::default()).await.unwrap();
    for begins_ms in [i64::MIN, floor_ms - 1, floor_ms] {
        assert_eq!(reserve(step(7, begins_ms)).await, Reserved::Spent { last: 7 }, "{begins_ms}");
    }
    assert_eq!(reserve(step(8, floor_ms + 1)).await, Reserved::Step(8));
    assert_eq!(reserve(step(9, floor_ms)).await, Reserved::Spent { last: 9 }, "beside a row as well");
    assert_eq!(reserve(step(8, floor_ms + 1)).await, Reserved::Spent { last: 8 });
    assert_eq!(reserve(step(9, floor_ms + 1)).await, Reserved::Step(9), "the refusals spent nothing");
}

/// Everything that a holder can do is refused; `rev` would be the next revision of item 1.
async fn fenced_everywhere(store: &dyn Store, hold: Hold, rev: u64) {
    let audit = store.audit(0, 100).await.unwrap().len();
    let lease = store.lease(hold.resource.id()).await.unwrap();
    let changes = || Changes { audit: vec![entry(99)], ..items([item(1, rev)]) };
    let fenced = Saved::Fenced(hold.resource.id());
    assert_eq!(store.renew_lease(hold, TTL).await.unwrap(), Renewed::Fenced);
    assert_eq!(store.save_held(vec![hold], changes()).await.unwrap(), fenced);
    assert_eq!(store.check_in(vec![hold], changes()).await.unwrap(), fenced);
    let step = StepAsk { hold, secret: name(4), step: 1 << 40, begins_ms: WALL_MS };
    assert_eq!(store.reserve_step(step, changes()).await.unwrap(), Reserved::Fenced);
    assert!(matches!(store.account_held(hold, None).await.unwrap(), HeldAccount::Fenced));
    assert_eq!(store.audit(0, 100).await.unwrap().len(), audit, "nothing was written");
    assert_eq!(store.lease(hold.resource.id()).await.unwrap(), lease, "the lease is as it was");
}
