//! Accounts that the site holds back: one attempt, the evidence recorded, the manager told, and nothing after that.

use latchkey_manager::{Fault, FaultKind, Route};
use latchkey_practice_site::AccountState as AtSite;
use latchkey_tests::world::{Author, World};
use latchkey_vault::model::{AccountState, Standing};

use crate::check::{error_message, puts};

/// What stands in the way of a login, and what must follow from it.
struct Row {
    /// Brought about at the site after the account was made.
    block: fn(&World, &Author),
    state: AccountState,
    /// What the manager's record holds in the end.
    put: &'static str,
    /// Attempts that the site may count.
    attempts: u64,
}

/// Runs two tasks on one account at a time, then a third one in a run of its own.
async fn check(row: Row) {
    let mut world = World::new().await;
    world.config.concurrency = 1;
    let ann = world.author_out("ann");
    (row.block)(&world, &ann);
    for id in ["t-1", "t-2"] {
        world.manager.add_task(world.task(id, &ann).max_retries(0)).unwrap();
    }

    let summary = world.run().await;

    assert_eq!((summary.done, summary.failed, summary.logins), (0, 2, 0));
    assert_eq!((summary.owed, summary.stuck), (0, 0));
    let counts = world.site.counts("ann");
    assert_eq!(counts.bad_logins + counts.stopped_logins, row.attempts, "{}", row.put);
    assert_eq!(puts(&world, &ann), [row.put]);
    let account = world.account(&ann).await;
    assert_eq!(account.standing.state, row.state);
    assert!(!account.standing.evidence.is_empty());
    for id in ["t-1", "t-2"] {
        assert_eq!(world.manager.ledger().fails_of(id), 1);
        let reason = error_message(&world, id);
        let word = row.state.word();
        assert!(reason.contains(word) && reason.contains(&account.standing.evidence), "{reason}");
    }

    let requests = world.site.requests().len();
    let image = format!("{}/media/1.png", world.site.origin());
    world.manager.add_task(world.task("t-3", &ann).max_retries(0).with("images", World::images(&[image]))).unwrap();
    assert_eq!(world.run().await.failed, 1);
    assert_eq!(world.site.requests().len(), requests, "the site is not asked again");
    assert_eq!(puts(&world, &ann), [row.put], "and the manager not told again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_account_is_tried_once_and_told_as_dead() {
    check(Row {
        block: |world, ann| world.site.set_state(&ann.name, AtSite::Locked).unwrap(),
        state: AccountState::Locked,
        put: "error_message status=dead",
        attempts: 1,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_account_is_tried_once_and_told_as_banned() {
    check(Row {
        block: |world, ann| world.site.set_state(&ann.name, AtSite::Banned).unwrap(),
        state: AccountState::Banned,
        put: "error_message status=banned",
        attempts: 1,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenged_account_is_tried_once_and_taken_out_of_the_pool() {
    check(Row {
        block: |world, ann| world.site.set_state(&ann.name, AtSite::Challenged).unwrap(),
        state: AccountState::NeedsHuman,
        put: "note status=failed",
        attempts: 1,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_sent_once_and_the_account_taken_out_of_the_pool() {
    check(Row {
        block: |world, ann| world.site.set_password(&ann.name, "changed elsewhere").unwrap(),
        state: AccountState::NeedsHuman,
        put: "note status=failed",
        attempts: 1,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_the_manager_calls_banned_is_not_tried_at_all() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    let fields = [("status".to_owned(), "banned".into())].into_iter().collect();
    assert!(world.manager.edit_account(&ann.id, fields));
    for id in ["t-1", "t-2"] {
        world.manager.add_task(world.task(id, &ann).max_retries(0)).unwrap();
    }

    let summary = world.run().await;

    assert_eq!((summary.failed, summary.logins), (2, 0));
    let counts = world.site.counts("ann");
    assert_eq!(counts.bad_logins + counts.stopped_logins + counts.logins, 0);
    assert!(puts(&world, &ann).is_empty(), "the manager knows it already");
    assert_eq!(world.account(&ann).await.standing.state, AccountState::Banned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_session_of_an_account_that_gets_banned_leads_to_no_login() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    world.site.set_state("ann", AtSite::Banned).unwrap();
    world.manager.add_task(world.task("t-1", &ann).max_retries(0)).unwrap();

    let summary = world.run().await;

    assert_eq!((summary.done, summary.failed, summary.owed), (0, 1, 0));
    let counts = world.site.counts("ann");
    assert_eq!((counts.logins, counts.stopped_logins, counts.posts), (0, 0, 0));
    assert_eq!(puts(&world, &ann), ["error_message status=banned"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_clears_the_account_lets_the_work_go_on() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    world.site.set_state("ann", AtSite::Challenged).unwrap();
    world.manager.add_task(world.task("t-1", &ann).max_retries(0)).unwrap();
    assert_eq!(world.run().await.failed, 1);

    world.site.set_state("ann", AtSite::Active).unwrap();
    let id = world.account(&ann).await.id;
    let ready = Standing::ready(world.vault.now_ms());
    world.vault.set_standing(id, ready).await.unwrap();
    world.manager.add_task(world.task("t-2", &ann)).unwrap();
    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins), (1, 1));
    assert_eq!(world.manager.account(&ann.id).unwrap().text("status"), Some("active"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_word_is_not_overruled_by_what_the_manager_still_says() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    let banned = || [("status".to_owned(), "banned".into())].into_iter().collect();
    assert!(world.manager.edit_account(&ann.id, banned()));
    world.manager.add_task(world.task("t-1", &ann).max_retries(0)).unwrap();
    assert_eq!(world.run().await.failed, 1);

    let id = world.account(&ann).await.id;
    let ready = Standing::ready(world.vault.now_ms());
    world.vault.set_standing(id, ready).await.unwrap();
    // The word has not arrived there yet.
    world.manager.inject(Fault::before(FaultKind::Close).on(Route::AccountPut).times(3)).unwrap();
    world.manager.add_task(world.task("t-2", &ann)).unwrap();
    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins, summary.owed), (1, 1, 0));
    assert_eq!(world.manager.account(&ann.id).unwrap().text("status"), Some("active"));
    // When the manager says so anew, it counts again.
    assert!(world.manager.edit_account(&ann.id, banned()));
    world.site.expire_sessions("ann").unwrap();
    world.manager.add_task(world.task("t-3", &ann).max_retries(0)).unwrap();
    assert_eq!(world.run().await.failed, 1);
    assert_eq!(world.site.logins("ann"), 1);
}
