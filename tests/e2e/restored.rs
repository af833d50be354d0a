//! A vault that goes back to a backup between two runs of the worker: what the lost time did is found out, not repeated.

use std::sync::Arc;

use latchkey_manager::{Fault, FaultKind, Route, TaskStatus};
use latchkey_tests::world::World;
use latchkey_worker::Event;
use tokio_util::sync::CancellationToken;

use crate::check::assert_posted_once;

/// Works until as many tasks as `ends` have ended, while the manager takes no report.
async fn run_without_reports(world: &World, ends: usize) {
    let fault = Fault::before(FaultKind::Status { status: 503, retry_after_s: None });
    world.manager.inject(fault.on(Route::Complete).times(10_000)).unwrap();
    let (stop, left) = (CancellationToken::new(), std::sync::Mutex::new(ends));
    let stopping = stop.clone();
    let ran = world.try_run(stop, move |event| {
        if matches!(event, Event::Ended { .. }) {
            let mut left = left.lock().unwrap();
            *left -= 1;
            if *left == 0 {
                stopping.cancel();
            }
        }
    });
    let summary = ran.await.ended.unwrap();
    assert_eq!((summary.done, summary.owed > 0), (ends as u64, true));
    world.manager.clear_faults();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_vault_posts_nothing_twice_and_misses_no_report() {
    let mut world = World::new().await;
    let [ann, bob, cleo] = ["ann", "bob", "cleo"].map(|name| world.author(name));
    let of_ann = world.add_tasks("a", 1, &ann);
    world.run().await;
    // Posted, and the report still owed when the backup is made.
    let of_bob = world.add_tasks("b", 1, &bob);
    run_without_reports(&world, 1).await;
    let backup = world.folder().join("backup.db");
    world.vault.back_up(&backup, Arc::new(|_, _| ())).await.unwrap();
    // The time that will be lost: that report is delivered; another task is posted, and nobody is told.
    world.run().await;
    assert_eq!(world.manager.task("b-1").unwrap().status, TaskStatus::Completed);
    let of_cleo = world.add_tasks("c", 1, &cleo);
    run_without_reports(&world, 1).await;
    assert_eq!(world.site.posts("cleo").len(), 1);

    let restored = world.restore(&backup).await;
    assert!(restored.incarnation > 1);
    let new = world.add_tasks("new", 1, &ann);
    let summary = world.run().await;

    assert_eq!((summary.failed, summary.owed, summary.stuck), (0, 0, 0), "{summary:?}");
    assert_posted_once(&world, &ann, &[of_ann, new].concat());
    assert_posted_once(&world, &bob, &of_bob);
    assert_posted_once(&world, &cleo, &of_cleo);
    // The sessions of the backup live, and were kept; the one that was lost with the rest has to be made anew.
    assert_eq!(["ann", "bob"].map(|name| world.site.logins(name)), [1, 1]);
    assert!(world.site.logins("cleo") <= 2);
}
