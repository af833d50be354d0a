//! What is owed and what is remembered: the outbox and the audit.

use latchkey_vault::{
    AccountId, MessageId,
    crypto::Kind,
    store::{Changes, FindOutbox, Lane, OutboxRow, Owed, RowName, Saved, Settle, Settlement, Taken},
};

use super::{Bench, QUARANTINE, TTL, WALL_MS, ask, entry, item, message, token};

pub(super) async fn messages_keep_the_order_of_their_arrival(bench: &Bench) {
    // Ids fall, so that their order is not that of arrival.
    for id in (10..20).rev() {
        let outbox = vec![message(id, id % 2), message(id + 50, id % 2)];
        assert_eq!(bench.store.save(Changes { outbox, ..Changes::default() }).await.unwrap(), Saved::Done);
    }
    let all = bench.store.outbox(FindOutbox::All, 100).await.unwrap();
    let ids: Vec<_> = all.iter().map(|row| row.id.as_bytes()[0]).collect();
    assert_eq!(ids, (10..20).rev().flat_map(|id| [id, id + 50]).collect::<Vec<_>>());
    assert!(all.is_sorted_by(|a, b| a.seq < b.seq), "every message has a place of its own");
    let of_one = bench.store.outbox(FindOutbox::Subject([1; 16].into()), 3).await.unwrap();
    assert_eq!(of_one.iter().map(|row| row.id.as_bytes()[0]).collect::<Vec<_>>(), [19, 69, 17]);
    let again = Changes { outbox: vec![message(10, 1)], ..Changes::default() };
    assert_eq!(bench.store.save(again).await.unwrap(), stale(10), "an id is used once");
}

pub(super) async fn a_message_is_due_by_lane_time_and_state(bench: &Bench) {
    let mut accounts = message(1, 1);
    (accounts.lane, accounts.after) = (Lane::Account, Some(AccountId::from_bytes([8; 16])));
    let mut later = message(2, 1);
    later.due_ms = WALL_MS + 5;
    let outbox = vec![later, accounts, message(3, 1), message(4, 1), message(5, 1)];
    assert_eq!(bench.store.save(Changes { outbox, ..Changes::default() }).await.unwrap(), Saved::Done);
    let to = |state| Settlement::Later { due_ms: WALL_MS, state };
    let settled = vec![settle(4, 1, to(Owed::Ambiguous)), settle(5, 1, to(Owed::Stuck))];
    assert_eq!(bench.store.settle(settled, Changes::default()).await.unwrap(), Saved::Done);
    let due = async |lane, ms| {
        let rows = bench.store.outbox(FindOutbox::DueBy(lane, ms), 9).await.unwrap();
        rows.iter().map(|row| row.id.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(due(Lane::Task, WALL_MS - 1).await, [0_u8; 0]);
    assert_eq!(due(Lane::Task, WALL_MS).await, [3, 4], "a stuck one waits for a person");
    assert_eq!(due(Lane::Task, WALL_MS + 5).await, [2, 3, 4]);
    assert_eq!(due(Lane::Account, WALL_MS).await, [1]);
    let all = bench.store.outbox(FindOutbox::All, 9).await.unwrap();
    assert_eq!(all[1].after, Some(AccountId::from_bytes([8; 16])));
}

pub(super) async fn messages_are_settled_together_or_not_at_all(bench: &Bench) {
    let outbox = vec![message(1, 1), message(2, 1)];
    assert_eq!(bench.store.save(Changes { outbox, ..Changes::default() }).await.unwrap(), Saved::Done);
    let later = Settlement::Later { due_ms: WALL_MS + 9, state: Owed::Ambiguous };
    let changes = || Changes { items: vec![item(1, 1)], audit: vec![entry(1)], ..Changes::default() };
    for (name, settled, items_rev) in [
        ("a stale message", vec![settle(1, 1, Settlement::Gone), settle(2, 2, later)], 1),
        ("an unknown one", vec![settle(1, 1, later), settle(3, 1, Settlement::Gone)], 1),
        ("one named twice", vec![settle(1, 1, later), settle(1, 1, later)], 1),
        ("a stale row of the changes", vec![settle(1, 1, Settlement::Gone)], 5),
    ] {
        let mut changes = changes();
        changes.items = vec![item(1, items_rev)];
        assert!(matches!(bench.store.settle(settled, changes).await.unwrap(), Saved::Stale(_)), "{name}");
        let all = bench.store.outbox(FindOutbox::All, 9).await.unwrap();
        assert!(all.len() == 2 && all.iter().all(|row| row.rev == 1 && row.tries == 0), "{name}");
    }
    assert!(bench.audit_ids().await.is_empty());
    let before = bench.store.outbox(FindOutbox::All, 9).await.unwrap();
    let settled = vec![settle(1, 1, Settlement::Gone), settle(2, 1, later)];
    assert_eq!(bench.store.settle(settled, changes()).await.unwrap(), Saved::Done);
    let all = bench.store.outbox(FindOutbox::All, 9).await.unwrap();
    let OutboxRow { rev, tries, due_ms, state, seq, .. } = all[0];
    assert_eq!((all.len(), rev, tries, due_ms, state), (1, 2, 1, WALL_MS + 9, Owed::Ambiguous));
    assert_eq!(seq, before[1].seq, "it keeps its place");
    assert_eq!(bench.audit_ids().await, [1]);
}

pub(super) async fn only_the_end_of_a_try_counts_it_and_a_person_begins_anew(bench: &Bench) {
    let outbox = vec![message(1, 1)];
    assert_eq!(bench.store.save(Changes { outbox, ..Changes::default() }).await.unwrap(), Saved::Done);
    let later = |state| Settlement::Later { due_ms: WALL_MS + 9, state };
    let again = Settlement::Again { due_ms: WALL_MS + 1 };
    for (rev, how, want) in [
        (1, Settlement::InDoubt, (0, WALL_MS, Owed::Ambiguous)),
        (2, later(Owed::Due), (1, WALL_MS + 9, Owed::Due)),
        (3, Settlement::InDoubt, (1, WALL_MS + 9, Owed::Ambiguous)),
        (4, later(Owed::Ambiguous), (2, WALL_MS + 9, Owed::Ambiguous)),
        (5, again, (0, WALL_MS + 1, Owed::Ambiguous)),
        (6, later(Owed::Stuck), (1, WALL_MS + 9, Owed::Stuck)),
        (7, again, (0, WALL_MS + 1, Owed::Due)),
    ] {
        let settled = vec![settle(1, rev, how)];
        assert_eq!(bench.store.settle(settled, Changes::default()).await.unwrap(), Saved::Done);
        let OutboxRow { tries, due_ms, state, .. } = bench.store.outbox(FindOutbox::All, 9).await.unwrap()[0];
        assert_eq!((tries, due_ms, state), want, "{how:?} at revision {rev}");
    }
}

pub(super) async fn a_message_stands_in_for_others_all_or_none_of_them(bench: &Bench) {
    let outbox = vec![message(1, 1), message(2, 1), message(3, 1)];
    assert_eq!(bench.store.save(Changes { outbox, ..Changes::default() }).await.unwrap(), Saved::Done);
    let first = bench.store.outbox(FindOutbox::All, 9).await.unwrap()[0].seq;
    let one = MessageId::from_bytes([1; 16]);
    let for_both = |rev| Changes {
        outbox: vec![OutboxRow { seq: first, ..message(9, 1) }],
        replaced: vec![(one, 1), (MessageId::from_bytes([2; 16]), rev)],
        ..Changes::default()
    };
    assert_eq!(bench.store.save(for_both(2)).await.unwrap(), stale(2), "one of them was changed meanwhile");
    assert_eq!(bench.store.outbox(FindOutbox::All, 9).await.unwrap().len(), 3);
    assert_eq!(bench.store.save(for_both(1)).await.unwrap(), Saved::Done);
    let left = bench.store.outbox(FindOutbox::All, 9).await.unwrap();
    let left: Vec<_> = left.iter().map(|row| row.id.as_bytes()[0]).collect();
    assert_eq!(left, [9, 3], "it has the place of the first");
}

pub(super) async fn the_audit_has_no_gaps_and_grants_carry_their_token(bench: &Bench) {
    let audit = |ids: &[u8]| ids.iter().map(|id| entry(*id)).collect::<Vec<_>>();
    assert_eq!(
        bench.store.save(Changes { audit: audit(&[1, 2, 3]), ..Changes::default() }).await.unwrap(),
        Saved::Done
    );
    let granted = bench.store.take_lease(ask(1, 1), audit(&[4, 5])).await.unwrap();
    assert!(matches!(granted, Taken::Granted { .. }));
    let held = bench.store.take_lease(ask(1, 2), audit(&[6])).await.unwrap();
    assert_eq!(held, Taken::Held { retry_in: TTL + QUARANTINE });
    bench.store.revoke_lease([1; 16], audit(&[7])).await.unwrap();
    let entries = bench.store.audit(0, 100).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
    assert_eq!(bench.audit_ids().await, [1, 2, 3, 4, 5, 7]);
    let tokens: Vec<_> = entries.iter().map(|e| e.token).collect();
    assert_eq!(tokens, [None, None, None, Some(token(1)), Some(token(1)), None]);
    let page: Vec<_> = bench.store.audit(2, 2).await.unwrap().iter().map(|e| e.seq).collect();
    assert_eq!(page, [3, 4]);
    assert!(bench.store.audit(6, 2).await.unwrap().is_empty());
}

fn settle(id: u8, rev: u64, how: Settlement) -> Settle {
    Settle { id: MessageId::from_bytes([id; 16]), rev, how }
}

fn stale(id: u8) -> Saved {
    Saved::Stale(RowName { kind: Kind::Outbox as u8, id: [id; 16] })
}
