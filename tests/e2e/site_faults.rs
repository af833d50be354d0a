//! A site that fails while it is posted to or logged in to: each post exists once, and logins stay few.

use latchkey_practice_site::{Fault, FaultPoint, Maintenance};
use latchkey_tests::world::{Author, World, body, sites_file};
use latchkey_vault::ItemKind;
use latchkey_worker::{Ending, Event};
use tokio_util::sync::CancellationToken;

use crate::check::assert_posted_once;

/// Three tasks with live sessions, `times` faults among their posts: each post is on the site once in the end.
async fn check_post(fault: Fault, times: u32) {
    let world = World::new().await;
    let authors: Vec<Author> = ["ann", "bob", "eve"].map(|name| world.author_in(name)).into();
    world.site.inject(FaultPoint::Post, fault, times).unwrap();
    for author in &authors {
        world.add_tasks(&author.name, 1, author);
    }

    let summary = world.run().await;

    assert_eq!(
        (summary.done, summary.failed, summary.owed, summary.stuck, summary.parked),
        (3, 0, 0, 0, 0),
        "{fault:?}"
    );
    for author in &authors {
        assert_posted_once(&world, author, &[format!("{}-1", author.name)]);
    }
    assert_eq!(world.site.ledger().total.logins, 0, "no fault leads to a login: {fault:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_whose_request_was_lost_is_made_once() {
    tokio::join!(
        check_post(Fault::CloseBefore, 1),
        check_post(Fault::ErrorBefore, 2),
        check_post(Fault::CloseBefore, 4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_whose_answer_was_lost_is_found_and_not_made_again() {
    tokio::join!(check_post(Fault::CloseAfter, 1), check_post(Fault::ErrorAfter, 2), check_post(Fault::CloseAfter, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_limits_the_rate_is_obeyed_and_posted_to_once() {
    check_post(Fault::TooManyRequests { retry_after_s: 1 }, 2).await;
}

/// A post of the same title is there already; the second one meets `fault`.
async fn check_same_title(fault: Fault, done: u64, bodies: &[&str]) {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let same = |id: &str| world.task(id, &ann).with("title", "Cùng một tiêu đề");
    world.manager.add_task(same("t-1")).unwrap();
    assert_eq!(world.run().await.done, 1);
    world.site.inject(FaultPoint::Post, fault, 1).unwrap();
    world.manager.add_task(same("t-2")).unwrap();

    let summary = world.run().await;

    assert_eq!((summary.done, summary.failed, summary.parked), (done, 0, 1 - done), "{fault:?}");
    let found: Vec<_> = world.site.posts("ann").into_iter().map(|post| post.body).collect();
    assert_eq!(found, bodies.iter().map(|id| body(id)).collect::<Vec<_>>(), "{fault:?}");
    let links = ["t-1", "t-2"].map(|id| world.manager.task(id).unwrap().link_post);
    assert_ne!(links[0], links[1], "{fault:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_of_one_title_are_told_apart_by_their_texts_and_never_mistaken_or_repeated() {
    tokio::join!(
        check_same_title(Fault::CloseAfter, 1, &["t-1", "t-2"]),
        // Nothing shows that the other post of that title is not this one, changed by the site: a person decides.
        check_same_title(Fault::CloseBefore, 0, &["t-1"]),
    );
}

/// A world in which the answer to ann's post was lost, at a site that does not say where posts are listed.
async fn in_doubt() -> (World, Author) {
    let mut world = World::new().await;
    let cut = world.sites_file.find("find = {").unwrap();
    world.sites_file.truncate(cut);
    let ann = world.author_in("ann");
    world.site.inject(FaultPoint::Post, Fault::CloseAfter, 1).unwrap();
    world.add_tasks("t", 1, &ann);
    let summary = world.run().await;
    assert_eq!((summary.done, summary.failed, summary.parked, summary.owed), (0, 0, 1, 0));
    assert_eq!(world.vault.open_items(ItemKind::Attempt, 10).await.unwrap().len(), 1);
    (world, ann)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_in_doubt_is_left_to_a_person_who_says_where_it_is_to_be_looked_up() {
    let (mut world, ann) = in_doubt().await;
    assert_eq!(world.site.posts("ann").len(), 1);
    world.sites_file = sites_file(&world.site.origin());
    // The manager is away when the attempt is to be taken up.
    world.manager.down();
    let manager = world.manager.clone();

    let ran = world
        .try_run(CancellationToken::new(), move |event| {
            if matches!(event, Event::ManagerAway { .. }) {
                manager.up();
            }
        })
        .await;

    assert_eq!(ran.ended.unwrap().done, 1);
    assert_posted_once(&world, &ann, &["t-1".into()]);
    assert!(world.vault.open_items(ItemKind::Attempt, 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_in_doubt_whose_task_is_gone_at_the_manager_is_let_go() {
    let (world, _) = in_doubt().await;
    assert!(world.manager.delete_task("t-1"));

    let summary = world.run().await;

    assert_eq!((summary.done, summary.failed, summary.parked, summary.owed), (0, 0, 0, 0));
    assert!(world.vault.open_items(ItemKind::Attempt, 10).await.unwrap().is_empty());
    assert_eq!(world.site.posts("ann").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_stays_broken_costs_a_task_its_tries_and_then_fails_it() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    world.site.configure(|behaviour| behaviour.maintenance = Maintenance::Unavailable { retry_after_s: 0 });
    world.manager.add_task(world.task("t-1", &ann).max_retries(0)).unwrap();

    let summary = world.run().await;

    assert_eq!((summary.done, summary.failed, summary.parked), (0, 1, 0));
    assert_eq!(world.site.ledger().total.logins, 0);
    assert!(crate::check::error_message(&world, "t-1").contains("503"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maintenance_page_with_status_200_leads_to_no_login_and_passes() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    world.site.configure(|behaviour| behaviour.maintenance = Maintenance::Page);
    world.add_tasks("t", 2, &ann);
    let site = std::sync::Arc::clone(&world.site);

    let ran = world
        .try_run(CancellationToken::new(), move |event| {
            if matches!(event, Event::Ended { ending: Ending::Parked { .. }, .. }) {
                assert_eq!(site.ledger().total.bad_logins, 0);
                site.configure(|behaviour| behaviour.maintenance = Maintenance::Off);
            }
        })
        .await;

    assert_eq!(ran.ended.unwrap().done, 2);
    assert_eq!(world.site.logins("ann"), 1);
    assert_posted_once(&world, &ann, &["t-1".into(), "t-2".into()]);
}

/// One expired account, `fault` at its login: at most one login more than without faults.
async fn check_login(point: FaultPoint, fault: Fault, logins: std::ops::RangeInclusive<u64>) {
    let world = World::new().await;
    let at_site = latchkey_practice_site::NewAccount::new("ann", "pw-ann");
    let at_site = if point == FaultPoint::Totp { at_site.totp("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") } else { at_site };
    let ann = world.author_as(at_site, |account| account);
    world.site.inject(point, fault, 1).unwrap();
    let tasks = world.add_tasks("t", 2, &ann);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.failed, summary.owed), (2, 0, 0), "{point:?} {fault:?}");
    let counts = world.site.counts("ann");
    assert!(logins.contains(&counts.logins), "{point:?} {fault:?}: {counts:?}");
    assert_eq!((counts.totp_replays, counts.bad_logins), (0, 0), "{point:?} {fault:?}");
    assert_posted_once(&world, &ann, &tasks);
    assert_eq!(world.whoami(&world.cookie(&ann)).await.as_deref(), Some("ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_whose_answer_was_lost_costs_at_most_one_more() {
    tokio::join!(
        check_login(FaultPoint::Login, Fault::CloseAfter, 2..=2),
        check_login(FaultPoint::Login, Fault::ErrorAfter, 2..=2),
        check_login(FaultPoint::Login, Fault::CloseBefore, 1..=1),
        check_login(FaultPoint::Login, Fault::ErrorBefore, 1..=1),
    );
}
