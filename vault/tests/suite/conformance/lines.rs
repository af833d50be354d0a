//! Who comes next: the line before a lease, and leases that several hold at once.

use std::time::Duration;

use latchkey_vault::{
    HolderId,
    store::{Changes, HeldAccount, Hold, LeaseAsk, LeaseMode, Line, Renewed, Saved, Taken, lease_place},
};

use super::{Bench, MS, QUARANTINE, TTL, account, accounts, ask, item, items, token};

pub(super) async fn whoever_came_first_has_it_first_and_nobody_overtakes(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    let (first, second, late) = (waiter(1), waiter(2), waiter(3));
    assert_eq!(stands(bench, &first).await, 0);
    assert_eq!(stands(bench, &second).await, 1);
    assert_eq!(stands(bench, &first).await, 0, "asking again changes nothing");
    assert_eq!(bench.store.waiters(10).await.unwrap().len(), 2);
    assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    assert!(matches!(bench.store.take_lease(ask(1, 9), vec![]).await.unwrap(), Taken::Held { .. }), "it is promised");
    assert_eq!(stands(bench, &late).await, 2);
    assert_eq!(stands(bench, &second).await, 1, "free, and not its turn");
    for (n, waiter) in [first, second, late].iter().enumerate() {
        let hold = granted(bench, waiter).await;
        assert_eq!(hold.token, token(n as u64 + 2));
        assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    }
    assert_eq!(bench.store.waiters(10).await.unwrap(), [], "a grant takes its waiter out of line");
}

pub(super) async fn whoever_leaves_or_is_late_falls_out_of_line(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    let (gone, late, next) = (waiter(1), short(waiter(2)), waiter(3));
    for (ahead, waiter) in [&gone, &late, &next].into_iter().enumerate() {
        assert_eq!(stands(bench, waiter).await as usize, ahead);
    }
    bench.store.leave_line(gone.line.unwrap().id).await.unwrap();
    bench.store.leave_line([99; 16]).await.unwrap();
    assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    assert!(matches!(ahead(bench, &next).await, Some(1)), "one is before it still");
    bench.clock.advance(Duration::from_secs(1) - MS);
    assert!(matches!(ahead(bench, &next).await, Some(1)), "to the last moment");
    bench.clock.set_wall_ms(0);
    assert!(matches!(ahead(bench, &next).await, Some(1)), "the wall clock moves nobody");
    bench.clock.advance(MS);
    assert_eq!(granted(bench, &next).await.token, token(2));
    assert_eq!(bench.store.waiters(10).await.unwrap(), []);
}

pub(super) async fn whoever_does_not_ask_again_falls_out_of_line(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    let (stopped, next) = (waiter(1), waiter(2));
    assert_eq!((stands(bench, &stopped).await, stands(bench, &next).await), (0, 1));
    let before = bench.store.head();
    assert_eq!((stands(bench, &stopped).await, stands(bench, &next).await), (0, 1));
    assert_eq!(bench.store.head(), before, "asking again at once writes nothing");
    bench.clock.advance(Duration::from_secs(6));
    assert_eq!((stands(bench, &stopped).await, stands(bench, &next).await), (0, 1));
    bench.clock.advance(Duration::from_secs(6));
    assert_eq!(stands(bench, &next).await, 1, "ten seconds from the last question");
    assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    bench.clock.advance(Duration::from_secs(4) - MS);
    assert_eq!(stands(bench, &next).await, 1, "its turn still");
    bench.clock.advance(MS);
    assert_eq!(granted(bench, &next).await.token, token(2));
    assert_eq!(stands(bench, &stopped).await, 0, "it begins anew");
}

pub(super) async fn nobody_waits_across_a_boot(bench: &Bench) {
    let hold = bench.take(1, 1).await;
    assert_eq!(stands(bench, &waiter(1)).await, 0);
    let _other = bench.take(3, 1).await;
    assert_eq!(stands(bench, &LeaseAsk { resource: [3; 16].into(), ..waiter(4) }).await, 0);
    assert_eq!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Done);
    assert!(matches!(bench.store.take_lease(ask(1, 9), vec![]).await.unwrap(), Taken::Held { .. }));
    bench.clock.reboot();
    assert_eq!(bench.take(1, 9).await.token, token(2));
    // Those who waited for something else are cleared away by whoever comes to wait next.
    let other = LeaseAsk { resource: [2; 16].into(), ..waiter(2) };
    assert_eq!(granted(bench, &other).await.token, token(1));
    assert_eq!(stands(bench, &LeaseAsk { resource: [2; 16].into(), ..waiter(3) }).await, 0);
    assert_eq!(bench.store.waiters(10).await.unwrap().len(), 1);
}

pub(super) async fn as_many_share_it_as_each_of_them_allows(bench: &Bench) {
    assert_eq!(bench.store.save(accounts([account(1, 1)])).await.unwrap(), Saved::Done);
    let (one, two) = (granted(bench, &shared(1, 2)).await, granted(bench, &shared(2, 2)).await);
    assert_eq!((one.place, two.place, one.token, two.token), (1, 2, token(1), token(2)));
    assert!(is_held(bench, &shared(3, 2)).await, "two are enough");
    assert!(is_held(bench, &shared(3, 1)).await);
    assert!(is_held(bench, &ask(1, 3)).await, "nobody has it alone meanwhile");
    let three = granted(bench, &shared(3, 3)).await;
    assert_eq!(bench.store.held_leases(Some([1; 16]), 10).await.unwrap().len(), 3);
    for (n, hold) in [one, two, three].into_iter().enumerate() {
        assert_eq!(bench.store.save_held(vec![hold], items([item(1, n as u64 + 1)])).await.unwrap(), Saved::Done);
        assert!(matches!(bench.store.renew_lease(hold, TTL).await.unwrap(), Renewed::Until(_)));
        assert!(matches!(bench.store.account_held(hold, None).await.unwrap(), HeldAccount::Rows(_)));
        let elsewhere = Hold { place: hold.place + 1, ..hold };
        let other = Hold { holder: HolderId::from_bytes([9; 16]), ..hold };
        for stale in [elsewhere, other, Hold { place: 0, ..hold }] {
            let fenced = bench.store.save_held(vec![stale], items([item(1, 4)])).await.unwrap();
            assert!(matches!(fenced, Saved::Fenced(_)), "{stale:?}");
            assert!(matches!(bench.store.account_held(stale, None).await.unwrap(), HeldAccount::Fenced));
        }
    }
    assert_eq!(bench.store.check_in(vec![two], Changes::default()).await.unwrap(), Saved::Done);
    assert!(matches!(bench.store.check_in(vec![two], Changes::default()).await.unwrap(), Saved::Fenced(_)), "once");
    let again = granted(bench, &shared(4, 3)).await;
    assert_eq!((again.place, again.token), (2, token(4)), "tokens count the grants of all places");
}

pub(super) async fn an_exclusive_waiter_stops_new_shared_ones(bench: &Bench) {
    let (one, two) = (granted(bench, &shared(1, 4)).await, granted(bench, &shared(2, 4)).await);
    let alone = waiter(3);
    assert_eq!(stands(bench, &alone).await, 0);
    assert!(is_held(bench, &shared(4, 4)).await, "there is a place, and somebody waits for all of them");
    let behind = LeaseAsk { line: waiter(4).line, ..shared(4, 4) };
    assert_eq!(stands(bench, &behind).await, 1);
    assert_eq!(bench.store.check_in(vec![one], Changes::default()).await.unwrap(), Saved::Done);
    assert_eq!(stands(bench, &alone).await, 0);
    assert_eq!(bench.store.check_in(vec![two], Changes::default()).await.unwrap(), Saved::Done);
    let alone = granted(bench, &alone).await;
    assert_eq!(alone.place, 0);
    assert_eq!(stands(bench, &behind).await, 0);
    assert_eq!(bench.store.check_in(vec![alone], Changes::default()).await.unwrap(), Saved::Done);
    assert_eq!(granted(bench, &behind).await.place, 1);
}

pub(super) async fn all_who_share_it_are_revoked_and_each_rests(bench: &Bench) {
    let (one, two) = (granted(bench, &shared(1, 2)).await, granted(bench, &shared(2, 2)).await);
    bench.store.revoke_lease([1; 16], vec![]).await.unwrap();
    for hold in [one, two] {
        assert!(matches!(bench.store.renew_lease(hold, TTL).await.unwrap(), Renewed::Fenced));
        assert!(matches!(bench.store.check_in(vec![hold], Changes::default()).await.unwrap(), Saved::Fenced(_)));
    }
    assert_eq!(bench.store.held_leases(None, 10).await.unwrap(), []);
    assert_eq!(bench.store.take_lease(ask(1, 3), vec![]).await.unwrap(), Taken::Held { retry_in: QUARANTINE });
    assert_eq!(bench.store.lease(lease_place(&[1; 16], 2)).await.unwrap().unwrap().token, token(3));
    bench.clock.advance(QUARANTINE);
    assert_eq!(bench.take(1, 3).await.token, token(4));
}

/// Somebody who waits for resource 1, alone, for as long as a lease lasts.
fn waiter(n: u8) -> LeaseAsk {
    LeaseAsk { line: Some(Line { id: [n; 16], wait: TTL }), ..ask(1, n) }
}

fn short(ask: LeaseAsk) -> LeaseAsk {
    LeaseAsk { line: ask.line.map(|line| Line { wait: Duration::from_secs(1), ..line }), ..ask }
}

fn shared(n: u8, at_most: u8) -> LeaseAsk {
    LeaseAsk { mode: LeaseMode::Shared { at_most }, ..ask(1, n) }
}

async fn ahead(bench: &Bench, ask: &LeaseAsk) -> Option<u32> {
    match bench.store.take_lease(ask.clone(), vec![]).await.unwrap() {
        Taken::Waiting { ahead, .. } => Some(ahead),
        _ => None,
    }
}

/// How many stand before it in line.
async fn stands(bench: &Bench, ask: &LeaseAsk) -> u32 {
    ahead(bench, ask).await.unwrap()
}

async fn is_held(bench: &Bench, ask: &LeaseAsk) -> bool {
    matches!(bench.store.take_lease(ask.clone(), vec![]).await.unwrap(), Taken::Held { .. })
}

async fn granted(bench: &Bench, ask: &LeaseAsk) -> Hold {
    match bench.store.take_lease(ask.clone(), vec![]).await.unwrap() {
        Taken::Granted { place, token, .. } => Hold { resource: ask.resource, place, token, holder: ask.holder },
        other => panic!("{other:?}"),
    }
}
