//! A manager that fails in every way: nothing is lost, every effect is in its ledger once, and nothing is stuck.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use latchkey_manager::{Fault, FaultKind, ManagerConfig, RepeatRule, Route, TaskStatus};
use latchkey_practice_site::SiteConfig;
use latchkey_tests::world::World;
use latchkey_vault::store::Lane;
use latchkey_worker::{Ending, Event, RunError};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::check::{assert_posted_once, rss_kib};

const ROUTES: [Route; 6] =
    [Route::List, Route::Start, Route::Complete, Route::Fail, Route::AccountRead, Route::AccountPut];

/// Two accounts that have to log in, two tasks each, and a task that has to fail, while `fault` strikes each call
/// `times` times.
async fn check(fault: Fault, times: u32, repeat: RepeatRule) {
    let mut manager = ManagerConfig::default();
    manager.repeat = repeat;
    let mut world = World::with(manager, SiteConfig::default()).await;
    world.manager_timeout = Duration::from_secs(1);
    let authors = [world.author_out("ann"), world.author_out("bob")];
    let tasks = authors.each_ref().map(|author| world.add_tasks(&author.name, 2, author));
    let foreign = world.task("foreign", &authors[0]).with("domain", "other.test").max_retries(0);
    world.manager.add_task(foreign).unwrap();
    for route in ROUTES {
        world.manager.inject(fault.clone().on(route).times(times)).unwrap();
    }

    let summary = world.run().await;

    let what = format!("{fault:?} {repeat:?}");
    assert_eq!((summary.done, summary.failed, summary.owed, summary.stuck), (4, 1, 0, 0), "{what}");
    assert!(world.manager.waiting_faults().is_empty(), "every fault struck: {what}");
    for (author, tasks) in authors.iter().zip(&tasks) {
        assert_posted_once(&world, author, tasks);
        assert_eq!(world.site.logins(&author.name), 1, "{what}");
        assert_eq!(world.whoami(&world.cookie(author)).await.as_deref(), Some(author.name.as_str()), "{what}");
        assert_eq!(world.manager.account(&author.id).unwrap().text("status"), Some("active"), "{what}");
    }
    assert_eq!(world.manager.task("foreign").unwrap().status, TaskStatus::FinalFailed, "{what}");
    assert_eq!(world.manager.ledger().fails_of("foreign"), 1, "{what}");
}

/// All faults at the same time, each in a world of its own.
async fn check_all(times: u32, faults: impl IntoIterator<Item = Fault>) {
    let faults =
        faults.into_iter().flat_map(|fault| [(fault.clone(), RepeatRule::Accept), (fault, RepeatRule::Refuse)]);
    futures_util::future::join_all(faults.map(|(fault, repeat)| check(fault, times, repeat))).await;
}

fn status(status: u16, retry_after_s: Option<u32>) -> FaultKind {
    FaultKind::Status { status, retry_after_s }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_fail_before_the_managers_work_are_made_again() {
    check_all(2, [status(500, None), status(503, None), status(429, Some(1)), FaultKind::Close].map(Fault::before))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_whose_answer_is_lost_after_the_work_are_looked_up_and_take_effect_once() {
    check_all(2, [status(502, None), FaultKind::Close, FaultKind::CutBody].map(Fault::after)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_no_answers_are_lost_answers() {
    check_all(2, [FaultKind::TruncatedJson, FaultKind::Html, FaultKind::Slow { ms: 2000 }].map(Fault::after)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_manager_is_waited_for_and_a_hanging_one_is_asked_again() {
    // One call of each is slow: an answer in time is the end of it, and one that comes too late is asked for again.
    check_all(1, [100, 2000].map(|ms| Fault::before(FaultKind::Slow { ms }))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_that_says_false_for_good_makes_a_report_stuck_and_visible() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    world.add_tasks("t", 2, &ann);
    world.manager.inject(Fault::before(status(200, None)).on(Route::Complete).of("t-1").times(u32::MAX)).unwrap();

    let summary = world.run().await;

    assert_eq!((summary.done, summary.owed, summary.stuck), (2, 0, 1));
    assert_eq!(world.manager.task("t-2").unwrap().status, TaskStatus::Completed);
    assert_eq!(world.site.posts("ann").len(), 2);
    world.manager.clear_faults();
    assert_eq!(world.run().await.stuck, 1, "it waits for a person, and is not posted again");
    assert_eq!(world.site.posts("ann").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_41_a_body_without_end_does_not_fill_the_memory() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    let tasks = world.add_tasks("t", 2, &ann);
    let huge = FaultKind::Huge { bytes: 256 << 20 };
    for route in [Route::List, Route::Start, Route::AccountRead, Route::AccountPut, Route::Complete] {
        world.manager.inject(Fault::before(huge).on(route).times(1)).unwrap();
    }
    let before = rss_kib("VmRSS");

    let summary = world.run().await;

    assert_eq!((summary.done, summary.owed, summary.stuck), (2, 0, 0));
    assert_posted_once(&world, &ann, &tasks);
    let grown = rss_kib("VmHWM") - before;
    assert!(grown < 128 * 1024, "grew by {grown} KiB for bodies of 256 MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_is_down_at_the_start_is_waited_for() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    let tasks = world.add_tasks("t", 3, &ann);
    world.manager.down();
    let manager = world.manager.clone();

    let ran = world
        .try_run(CancellationToken::new(), move |event| {
            if matches!(event, Event::ManagerAway { .. }) {
                manager.up();
            }
        })
        .await;

    let summary = ran.ended.unwrap();
    assert_eq!((summary.done, summary.logins, summary.owed, summary.stuck), (3, 1, 0, 0));
    assert_posted_once(&world, &ann, &tasks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_goes_down_in_mid_run_loses_nothing() {
    for repeat in [RepeatRule::Accept, RepeatRule::Refuse] {
        let mut config = ManagerConfig::default();
        config.repeat = repeat;
        let mut world = World::with(config, SiteConfig::default()).await;
        world.config.concurrency = 2;
        let authors = [world.author_out("ann"), world.author_out("bob")];
        let tasks = authors.each_ref().map(|author| world.add_tasks(&author.name, 5, author));
        let manager = world.manager.clone();
        let (done, away) = (Mutex::new(0), Mutex::new(0));

        let ran = world
            .try_run(CancellationToken::new(), move |event| match event {
                Event::Ended { ending: Ending::Done { .. }, .. } => {
                    *done.lock().unwrap() += 1;
                    if *done.lock().unwrap() == 2 {
                        manager.down();
                    }
                }
                // It is away for some pulls, while reports fall due.
                Event::ManagerAway { .. } => {
                    *away.lock().unwrap() += 1;
                    if *away.lock().unwrap() == 3 {
                        manager.up();
                    }
                }
                _ => {}
            })
            .await;

        let summary = ran.ended.unwrap();
        assert_eq!((summary.done, summary.failed, summary.owed, summary.stuck), (10, 0, 0, 0), "{repeat:?}");
        for (author, tasks) in authors.iter().zip(&tasks) {
            assert_posted_once(&world, author, tasks);
            assert_eq!(world.site.logins(&author.name), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_ends_the_run_before_anything_is_begun() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    let tasks = world.add_tasks("t", 2, &ann);

    assert!(matches!(world.run_with_key("wrong").await, Err(RunError::KeyRefused)));

    assert_eq!(world.site.requests(), []);
    assert_eq!(world.run().await.done, 2);
    assert_posted_once(&world, &ann, &tasks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_refused_in_mid_run_keeps_everything_for_a_run_with_the_right_one() {
    let mut world = World::new().await;
    world.config.concurrency = 2;
    let authors = [world.author_out("ann"), world.author_out("bob")];
    let tasks = authors.each_ref().map(|author| world.add_tasks(&author.name, 4, author));
    let manager = world.manager.clone();
    let once = Arc::new(std::sync::Once::new());

    let ran = world
        .try_run(CancellationToken::new(), move |event| {
            if matches!(event, Event::Ended { ending: Ending::Done { .. }, .. }) {
                once.call_once(|| manager.inject(Fault::before(FaultKind::WrongKey).times(u32::MAX)).unwrap());
            }
        })
        .await;

    assert!(matches!(ran.ended, Err(RunError::KeyRefused)), "{:?}", ran.ended);
    assert!(ran.events.contains(&Event::KeyRefused));
    let owing = world.vault.owing().await.unwrap();
    assert!(owing.owed > 0, "what was done is owed: {owing:?}");
    assert_eq!(owing.stuck, 0);
    world.manager.clear_faults();
    let summary = world.run().await;
    assert_eq!((summary.failed, summary.owed, summary.stuck), (0, 0, 0));
    for (author, tasks) in authors.iter().zip(&tasks) {
        assert_posted_once(&world, author, tasks);
        assert_eq!(world.site.logins(&author.name), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_vanishes_at_the_manager_is_let_go() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let tasks = world.add_tasks("t", 2, &ann);
    // It is listed, and gone by the time that it is begun.
    let gone = status(404, None);
    world.manager.inject(Fault::before(gone).on(Route::Start).of("t-1")).unwrap();
    let manager = world.manager.clone();

    let ran = world
        .try_run(CancellationToken::new(), move |event| {
            if matches!(event, Event::Ended { ending: Ending::Known, .. }) {
                manager.delete_task("t-1");
            }
        })
        .await;

    assert_eq!(ran.ended.unwrap().done, 1);
    assert_posted_once(&world, &ann, &tasks[1..]);
}

/// A report is sent and taken, and the worker dies before it knows; then the manager refuses the same report.
async fn check_crash_after_report(newer_task: bool) {
    let mut config = ManagerConfig::default();
    config.repeat = RepeatRule::Refuse;
    let world = World::with(config, SiteConfig::default()).await;
    let ann = world.author_in("ann");
    let tasks = world.add_tasks("t", 1, &ann);
    world.manager.inject(Fault::before(FaultKind::WrongKey).on(Route::Complete).times(u32::MAX)).unwrap();
    assert!(matches!(world.try_run(CancellationToken::new(), |_| ()).await.ended, Err(RunError::KeyRefused)));
    world.manager.clear_faults();
    // A reporter takes the report in hand, sends it, and is heard of no more.
    let mut lane = world.vault.take_lane(Lane::Task).await.unwrap().unwrap();
    let due = world.vault.due_reports(&mut lane, 10).await.unwrap();
    assert_eq!((due.len(), due[0].ambiguous), (1, false));
    let link = format!("{}/u/ann/post/1", world.site.origin());
    post(&world, "t-1/complete", &json!({"link_post": link})).await;
    world.vault.leave_lane(lane).await.unwrap();
    if newer_task {
        // The account's record follows the newest task and shows nothing of the first any more.
        world.manager.add_task(world.task("t-2", &ann)).unwrap();
        post(&world, "t-2/start", &json!({})).await;
    }

    let summary = world.run().await;

    assert_eq!((summary.failed, summary.owed, summary.stuck), (0, 0, 0));
    let tasks = if newer_task { [tasks, vec!["t-2".into()]].concat() } else { tasks };
    assert_posted_once(&world, &ann, &tasks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_was_taken_before_a_crash_is_not_stuck_for_being_refused_afterwards() {
    tokio::join!(check_crash_after_report(false), check_crash_after_report(true));
}

/// A call to the manager as a worker makes it.
async fn post(world: &World, path: &str, body: &Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}/api/v1/social/links/{path}", world.manager.base_url()));
    let answer = request.header("X-API-Key", world.manager.api_key()).json(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}
