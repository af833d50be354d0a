//! Stops: what runs is finished or parked, the next run completes, and nothing happens twice.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use latchkey_manager::ManagerConfig;
use latchkey_practice_site::SiteConfig;
use latchkey_tests::world::World;
use latchkey_vault::ManualClock;
use latchkey_worker::{Ending, Event};
use tokio_util::sync::CancellationToken;

use crate::check::assert_posted_once;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_mid_run_finishes_what_runs_and_the_next_run_does_the_rest() {
    let mut world = World::new().await;
    world.config.concurrency = 3;
    let authors: Vec<_> = ["ann", "bob", "eve"].map(|name| world.author_out(name)).into();
    let tasks: Vec<_> = authors.iter().map(|author| world.add_tasks(&author.name, 6, author)).collect();
    let stop = CancellationToken::new();
    let token = stop.clone();

    let ran = world
        .try_run(stop, move |event| {
            if matches!(event, Event::Ended { ending: Ending::Done { .. }, .. }) {
                token.cancel();
            }
        })
        .await;

    let stopped = ran.ended.unwrap();
    assert!((1..=3).contains(&stopped.done), "{stopped:?}");
    assert!(stopped.parked > 0, "{stopped:?}");
    assert_eq!(stopped.owed, 0, "the last reports are sent");
    let summary = world.run().await;
    assert_eq!(summary.done, 18 - stopped.done);
    for (author, tasks) in authors.iter().zip(&tasks) {
        assert_posted_once(&world, author, tasks);
        assert_eq!(world.site.logins(&author.name), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_without_any_grace_parks_what_runs_and_loses_and_repeats_nothing() {
    let mut world = World::new().await;
    world.config.grace = Duration::ZERO;
    let authors: Vec<_> = ["ann", "bob", "eve"].map(|name| world.author_in(name)).into();
    let tasks: Vec<_> = authors.iter().map(|author| world.add_tasks(&author.name, 2, author)).collect();
    // Slow enough that posts are under way when the stop comes.
    world.site.configure(|behaviour| behaviour.delay_ms = 100);
    let stop = CancellationToken::new();
    let token = stop.clone();
    let ran = world
        .try_run(stop, move |event| {
            if matches!(event, Event::Ended { ending: Ending::Done { .. }, .. }) {
                token.cancel();
            }
        })
        .await;
    assert!(ran.ended.unwrap().parked > 0);
    world.site.configure(|behaviour| behaviour.delay_ms = 0);
    // What was under way may still arrive; a person who has waited for that takes the leases away.
    for author in &authors {
        if let Some(account) = world.vault.find_manager_id(&author.id).await.unwrap() {
            world.vault.revoke_lease(account.id).await.unwrap();
        }
    }

    world.run().await;

    for (author, tasks) in authors.iter().zip(&tasks) {
        assert_posted_once(&world, author, tasks);
        assert_eq!(world.site.logins(&author.name), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_slept_longer_than_its_leases_last_goes_on_and_repeats_nothing() {
    let clock = Arc::new(ManualClock::new(1_795_305_600_000));
    let (manager, site) = (ManagerConfig::default(), SiteConfig::default());
    let mut world = World::with_clock(manager, site, Arc::clone(&clock) as _).await;
    world.config.concurrency = 2;
    let authors: Vec<_> = ["ann", "bob"].map(|name| world.author_in(name)).into();
    let tasks: Vec<_> = authors.iter().map(|author| world.add_tasks(&author.name, 4, author)).collect();
    let slept = Once::new();
    let sleeper = Arc::clone(&clock);

    let ran = world
        .try_run(CancellationToken::new(), move |event| {
            if matches!(event, Event::Ended { ending: Ending::Done { .. }, .. }) {
                slept.call_once(|| sleeper.advance(Duration::from_secs(3600)));
            }
        })
        .await;

    let summary = ran.ended.unwrap();
    assert_eq!((summary.done, summary.failed, summary.owed, summary.stuck), (8, 0, 0, 0));
    for (author, tasks) in authors.iter().zip(&tasks) {
        assert_posted_once(&world, author, tasks);
    }
}
