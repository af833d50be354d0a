//! Tasks that cannot be worked on: each is failed with a clear message or counted, and costs no other task anything.

use latchkey_manager::{ManagerConfig, TaskStatus};
use latchkey_practice_site::{NewAccount, Site, SiteConfig};
use latchkey_tests::world::{DOMAIN, World};
use latchkey_worker::{Ending, Event};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::check::{assert_posted_once, error_message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_40_a_site_that_is_not_listed_is_never_contacted() {
    let world = World::new().await;
    let unlisted = Site::start(SiteConfig::default()).await.unwrap();
    unlisted.add_account(NewAccount::new("ann", "pw-ann")).unwrap();
    let ann = world.author_in("ann");
    let address = unlisted.origin().replace("http://", "");
    let tasks = [("t-1", "other.test"), ("t-2", address.as_str()), ("t-3", "practice.test.evil.test")];
    for (id, domain) in tasks {
        let task = world.task(id, &ann).with("domain", domain).with("website", unlisted.origin());
        world.manager.add_task(task.max_retries(0)).unwrap();
    }

    let summary = world.run().await;

    assert_eq!((summary.failed, summary.done), (3, 0));
    assert_eq!(unlisted.requests(), []);
    assert_eq!(world.site.requests(), [], "and the listed one has nothing to do with it");
    for (id, domain) in tasks {
        let reason = error_message(&world, id);
        assert!(reason.contains(domain) && reason.contains("not authorised"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_without_a_way_to_post_fails_the_task_without_a_login() {
    let mut world = World::new().await;
    world.sites_file = world.sites_file.split("[site.post]").next().unwrap().to_owned();
    let ann = world.author_out("ann");
    world.manager.add_task(world.task("t-1", &ann).max_retries(0)).unwrap();

    assert_eq!(world.run().await.failed, 1);

    assert!(error_message(&world, "t-1").contains("no way to post"));
    assert_eq!(world.site.requests(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unresolved_spin_is_failed_and_braces_without_a_bar_are_posted() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let spun = world.task("t-1", &ann).with("title", "{Hay|Tốt} lắm").max_retries(0);
    let spun_body = world.task("t-2", &ann).with("about", "<p>{a|b}</p>").max_retries(0);
    let css = world.task("t-3", &ann).with("about", "<style>p {color: red}</style><p>x | y</p>");
    world.manager.add_tasks([spun, spun_body, css]).unwrap();

    let summary = world.run().await;

    assert_eq!((summary.failed, summary.done), (2, 1));
    for id in ["t-1", "t-2"] {
        assert!(error_message(&world, id).contains("spin"));
    }
    assert_posted_once(&world, &ann, &["t-3".into()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_elements_cost_no_other_task_anything() {
    let mut manager = ManagerConfig::default();
    manager.max_retries = 1;
    let world = World::with(manager, SiteConfig::default()).await;
    let ann = world.author_in("ann");
    // More of them, and before the tasks, than one pull asks for.
    let odd = [json!(null), json!("text"), json!([1, 2]), json!({"id": ""}), json!({}), json!(7), json!({"id": []})];
    for element in odd.clone() {
        world.manager.add_raw_task(element).unwrap();
    }
    let with_id: [(&str, Value); 3] = [
        ("no-domain", json!({"id": "no-domain", "about": "x"})),
        ("no-text", json!({"id": "no-text", "domain": DOMAIN, "about": null})),
        ("bad-images", json!({"id": "bad-images", "domain": DOMAIN, "about": "x", "images": "none"})),
    ];
    for (_, element) in &with_id {
        world.manager.add_raw_task(element.clone()).unwrap();
    }
    let tasks = world.add_tasks("t", 12, &ann);

    let summary = world.run().await;

    assert_eq!(summary.malformed, odd.len() as u64);
    assert_eq!(summary.done, 12);
    assert_posted_once(&world, &ann, &tasks);
    for (id, _) in &with_id {
        // The manager queued it again once.
        assert_eq!(world.manager.task(id).unwrap().status, TaskStatus::FinalFailed, "{id}");
        assert!(error_message(&world, id).contains("cannot be worked on"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_and_words_that_nobody_knows_are_passed_over() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let task = world.task("t-1", &ann).with("priority", json!({"deep": [1]})).with("status", "later").without("images");
    world.manager.add_task(task.with("website", json!(5)).with("email", Value::Null)).unwrap();

    assert_eq!(world.run().await.done, 1);

    assert_posted_once(&world, &ann, &["t-1".into()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_failed_and_comes_back_is_a_new_attempt() {
    let mut world = World::new().await;
    let listed = world.sites_file.clone();
    world.sites_file = listed.replace(DOMAIN, "another.test");
    let ann = world.author_in("ann");
    let tasks = world.add_tasks("t", 1, &ann);
    let stop = CancellationToken::new();
    let token = stop.clone();
    let failed = move |event: &Event| {
        if matches!(event, Event::Ended { ending: Ending::Failed { .. }, .. }) {
            token.cancel();
        }
    };
    let first = world.try_run(stop, failed).await.ended.unwrap();
    assert_eq!((first.failed, first.owed), (1, 0));
    assert_eq!(world.manager.task("t-1").unwrap().status, TaskStatus::Queued);
    world.sites_file = listed;

    assert_eq!(world.run().await.done, 1);

    assert_eq!(world.manager.task("t-1").unwrap().status, TaskStatus::Completed);
    assert_eq!(world.site.posts("ann").len(), tasks.len());
}
