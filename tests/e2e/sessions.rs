//! Sessions end to end: who logs in how often, and what the manager is told of it.

use std::{
    num::NonZeroU32,
    sync::{Arc, Once},
    time::Duration,
};

use latchkey_manager::Route;
use latchkey_practice_site::NewAccount;
use latchkey_tests::world::{World, body, title};
use latchkey_vault::{CheckIn, CheckOutAsk, LeaseMode, cookies::Stored};
use latchkey_worker::{Ending, Event, Summary};
use tokio_util::sync::CancellationToken;

use crate::check::{assert_posted_once, puts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_session_from_the_manager_posts_without_any_login() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let tasks = world.add_tasks("t", 3, &ann);

    let summary = world.run().await;

    assert_eq!(summary, Summary { done: 3, delivered: 3, ..Summary::default() });
    assert_eq!(world.site.ledger().total.logins, 0);
    assert_posted_once(&world, &ann, &tasks);
    let post = &world.site.posts("ann")[0];
    assert_eq!((post.title.as_str(), post.body.as_str()), (title("t-1").as_str(), body("t-1").as_str()));
    assert!(puts(&world, &ann).is_empty(), "nothing about the account changed");
    let starts = world.manager.ledger().calls(Route::Start, "t-1").count();
    assert_eq!(starts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_session_costs_one_login_however_many_tasks_wait_and_the_manager_gets_the_cookie() {
    let mut world = World::new().await;
    world.config.concurrency = 16;
    let (ann, bob) = (world.author_out("ann"), world.author_out("bob"));
    let of_ann = world.add_tasks("a", 8, &ann);
    let of_bob = world.add_tasks("b", 8, &bob);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins, summary.owed, summary.stuck), (16, 2, 0, 0));
    assert_posted_once(&world, &ann, &of_ann);
    assert_posted_once(&world, &bob, &of_bob);
    for author in [&ann, &bob] {
        assert_eq!(world.site.logins(&author.name), 1);
        assert_eq!(puts(&world, author), ["cookie status=active"]);
        assert_eq!(world.whoami(&world.cookie(author)).await.as_deref(), Some(author.name.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_any_session_logs_in_once_and_keeps_the_session_for_the_next_run() {
    let world = World::new().await;
    let ann = world.author("ann");
    let first = world.add_tasks("a", 2, &ann);
    world.run().await;
    assert_posted_once(&world, &ann, &first);

    let second = world.add_tasks("b", 2, &ann);
    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins), (2, 0));
    assert_posted_once(&world, &ann, &[first, second].concat());
    assert_eq!(world.site.logins("ann"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_in_mid_run_is_renewed_once() {
    let mut world = World::new().await;
    world.config.concurrency = 1;
    let ann = world.author_in("ann");
    let tasks = world.add_tasks("t", 4, &ann);
    let site = Arc::clone(&world.site);
    let once = Once::new();

    let ran = world
        .try_run(CancellationToken::new(), move |event| {
            if matches!(event, Event::Ended { ending: Ending::Done { .. }, .. }) {
                once.call_once(|| assert_eq!(site.expire_sessions("ann").unwrap(), 1));
            }
        })
        .await;

    let summary = ran.ended.unwrap();
    assert_eq!((summary.done, summary.logins), (4, 1));
    assert_posted_once(&world, &ann, &tasks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_somebody_else_gave_the_manager_saves_the_login() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let first = world.add_tasks("a", 1, &ann);
    world.run().await;
    // The session that the vault knows ends, and another worker has told the manager a new one.
    world.site.expire_sessions("ann").unwrap();
    world.give_cookie(&ann, &world.site.give_session("ann").unwrap());
    let second = world.add_tasks("b", 2, &ann);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins), (2, 0));
    assert_posted_once(&world, &ann, &[first, second].concat());
    assert_eq!(world.site.logins("ann"), 0);
    assert!(world.audit().await.iter().any(|detail| detail.contains("cookie: the manager's")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_with_totp_logs_in_once_and_no_code_is_used_twice() {
    let world = World::new().await;
    let at_site = NewAccount::new("ann", "pw-ann").totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let ann = world.author_as(at_site, |account| account);
    let tasks = world.add_tasks("t", 5, &ann);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins), (5, 1));
    assert_posted_once(&world, &ann, &tasks);
    let counts = world.site.counts("ann");
    assert_eq!((counts.logins, counts.bad_logins, counts.totp_replays), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_that_rotate_with_every_answer_reach_the_manager_and_still_work() {
    let world = World::new().await;
    world.site.configure(|behaviour| behaviour.rotate_every_requests = NonZeroU32::new(1));
    let ann = world.author_in("ann");
    let tasks = world.add_tasks("t", 3, &ann);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins, summary.owed), (3, 0, 0));
    assert_posted_once(&world, &ann, &tasks);
    assert_eq!(world.whoami(&world.cookie(&ann)).await.as_deref(), Some("ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_that_a_wall_set_are_forgotten_where_the_borrower_says_so() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    world.add_tasks("t", 1, &ann);
    world.run().await;
    let id = world.account(&ann).await.id;
    let url: url::Url = format!("{}/api/me", world.site.origin()).parse().unwrap();
    for (discards, still_live) in [(true, true), (false, false)] {
        let ask = CheckOutAsk {
            ttl: Duration::from_secs(60),
            quarantine: Duration::from_secs(1),
            wait: Duration::ZERO,
            mode: LeaseMode::Exclusive,
            purpose: "test".into(),
        };
        let mut checkout = world.vault.check_out(id, &ask).await.unwrap();
        assert_eq!(checkout.jar.store(&url, b"sid=of-a-wall; Path=/", world.vault.now_ms()), Stored::Kept);
        if discards {
            checkout.discard_cookies();
        }
        world.vault.check_in(checkout, &CheckIn::default()).await.unwrap();
        let again = world.vault.check_out(id, &ask).await.unwrap();
        let cookie = again.jar.export_flat(&url, world.vault.now_ms()).unwrap();
        assert_eq!(world.whoami(cookie.expose()).await.is_some(), still_live);
        world.vault.check_in(again, &CheckIn::default()).await.unwrap();
    }
}
