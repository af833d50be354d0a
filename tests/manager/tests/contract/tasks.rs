//! The five calls on tasks: list, one, start, complete, fail.

use latchkey_manager::{LIST_DEFAULT, LIST_MAX, ManagerConfig, NewTask, RepeatRule, Route, TaskStatus};
use serde_json::json;

use crate::support::{account, manager, manager_with};

fn repeat(rule: RepeatRule) -> ManagerConfig {
    let mut config = ManagerConfig::default();
    config.repeat = rule;
    config
}

const LINK: &str = "https://blog.example/post/1";

#[tokio::test]
async fn a_list_holds_five_tasks_unless_told_and_a_thousand_at_most_oldest_first() {
    let (manager, client) = manager().await;
    manager.add_tasks((2..=1_010).map(|n| NewTask::new(format!("t{n}"), "a1"))).unwrap();
    let ids = |count: usize| (1..=count).map(|n| format!("t{n}")).collect::<Vec<_>>();
    assert_eq!(client.listed("").await, ids(LIST_DEFAULT));
    assert_eq!(client.listed("?limit=1").await, ids(1));
    assert_eq!(client.listed("?unknown=1&limit=7").await, ids(7));
    assert_eq!(client.listed("?limit=1000").await, ids(LIST_MAX));
    for limit in ["0", "1001", "-1", "five", ""] {
        client.get(&format!("/links?limit={limit}")).await.refused(400, "limit must be a whole number from 1 to 1000");
    }
}

#[tokio::test]
async fn a_list_leaves_out_what_is_closed_and_keeps_the_place_of_what_is_queued_again() {
    let (manager, client) = manager().await;
    manager
        .add_tasks([NewTask::new("t2", "a1").max_retries(0), NewTask::new("t3", "a1"), NewTask::new("t4", "a1")])
        .unwrap();
    for task in ["t1", "t2", "t3"] {
        client.start(task).await.ok();
    }
    assert_eq!(client.listed("").await, ["t1", "t2", "t3", "t4"], "running tasks are listed");
    client.complete("t1", LINK).await.ok();
    client.fail("t2", "no").await.ok();
    client.fail("t3", "not yet").await.ok();
    assert_eq!(client.listed("").await, ["t3", "t4"]);
    assert!(manager.delete_task("t3"));
    assert_eq!(client.listed("").await, ["t4"]);
}

#[tokio::test]
async fn one_task_is_an_object_with_the_fields_of_the_list_in_the_order_of_the_document() {
    let (_manager, client) = manager().await;
    let one = client.get("/links/t1").await.ok();
    let list = client.get("/links").await.ok();
    assert_eq!(one["data"], list["data"][0]);
    let names: Vec<_> = one["data"].as_object().unwrap().keys().map(String::as_str).collect();
    let order = "id request_id account_id domain website email username password pass_mail twofa app_password \
                 cookie title about images";
    assert_eq!(names, order.split_whitespace().collect::<Vec<_>>());
    assert_eq!(one["data"]["password"], "Correct-Horse-7");
}

#[tokio::test]
async fn a_task_shows_the_credentials_that_its_account_has_now_unless_it_brings_its_own() {
    let (manager, client) = manager().await;
    manager.add_task(NewTask::new("t2", "a1").with("cookie", "sid=own")).unwrap();
    client.put("/accounts/a1", json!({ "cookie": "sid=second" })).await.ok();
    assert_eq!(client.get("/links/t1").await.ok()["data"]["cookie"], "sid=second");
    assert_eq!(client.get("/links/t2").await.ok()["data"]["cookie"], "sid=own");
}

#[tokio::test]
async fn a_task_that_is_unknown_or_deleted_is_not_found_by_any_call() {
    let (manager, client) = manager().await;
    manager.add_task(NewTask::new("gone", "a1")).unwrap();
    assert!(manager.delete_task("gone"));
    for id in ["unknown", "gone"] {
        client.get(&format!("/links/{id}")).await.refused(404, "task not found");
        client.start(id).await.refused(404, "task not found");
        client.complete(id, LINK).await.refused(404, "task not found");
        client.fail(id, "no").await.refused(404, "task not found");
    }
    assert!(manager.task("gone").is_none());
    assert!(manager.add_task(NewTask::new("gone", "a1")).is_err(), "a deleted id is not used again");
}

#[tokio::test]
async fn start_sets_the_task_running_and_the_account_posting() {
    let (manager, client) = manager().await;
    assert_eq!(client.start("t1").await.ok(), json!({ "success": true }));
    assert_eq!(manager.task("t1").unwrap().status, TaskStatus::Running);
    let account = client.get("/accounts/a1").await.ok();
    assert_eq!(account["data"]["posting_status"], "posting");
    assert_eq!(account["data"]["post_task_id"], "t1");
    assert_eq!(account["data"]["post_link"], "");
}

#[tokio::test]
async fn complete_closes_the_task_and_shows_the_link_at_the_account() {
    let (manager, client) = manager().await;
    client.start("t1").await.ok();
    assert_eq!(client.complete("t1", LINK).await.ok(), json!({ "success": true }));
    let task = manager.task("t1").unwrap();
    assert_eq!(task.status, TaskStatus::Completed);
    assert_eq!(task.link_post.as_deref(), Some(LINK));
    assert!(task.closed_at.is_some());
    let account = client.get("/accounts/a1").await.ok();
    assert_eq!(account["data"]["posting_status"], "done");
    assert_eq!(account["data"]["post_task_id"], "t1");
    assert_eq!(account["data"]["post_link"], LINK);
    assert_eq!(manager.ledger().completes_of("t1"), 1);
}

#[tokio::test]
async fn fail_queues_the_task_again_until_its_retries_are_spent() {
    let mut config = ManagerConfig::default();
    config.max_retries = 2;
    let (manager, client) = manager_with(config).await;
    for (retry_count, status) in [(1, TaskStatus::Queued), (2, TaskStatus::Queued), (2, TaskStatus::FinalFailed)] {
        client.start("t1").await.ok();
        assert_eq!(client.fail("t1", "rate limit").await.ok(), json!({ "success": true }));
        let task = manager.task("t1").unwrap();
        assert_eq!((task.retry_count, task.status), (retry_count, status));
        assert_eq!(task.error_message.as_deref(), Some("rate limit"));
        assert_eq!(manager.account("a1").unwrap().text("posting_status"), Some("idle"));
    }
    assert!(client.listed("").await.is_empty());
    client.start("t1").await.refused(409, "task is final_failed");
    assert_eq!(manager.ledger().fails_of("t1"), 3);
}

#[tokio::test]
async fn complete_and_fail_need_a_task_that_was_started() {
    let (manager, client) = manager().await;
    client.complete("t1", LINK).await.refused(409, "task is pending");
    client.fail("t1", "no").await.refused(409, "task is pending");
    assert_eq!(manager.task("t1").unwrap().status, TaskStatus::Pending);
    assert_eq!(manager.task("t1").unwrap().retry_count, 0);
}

#[tokio::test]
async fn a_repeated_report_is_accepted_without_effect_or_refused_as_configured() {
    for rule in [RepeatRule::Accept, RepeatRule::Refuse] {
        let (manager, client) = manager_with(repeat(rule)).await;
        manager.add_tasks([NewTask::new("t2", "a1"), NewTask::new("t3", "a1").max_retries(0)]).unwrap();
        for task in ["t1", "t2", "t3"] {
            client.start(task).await.ok();
        }
        client.complete("t1", LINK).await.ok();
        client.fail("t2", "first").await.ok();
        client.fail("t3", "first").await.ok();
        let before = ["t1", "t2", "t3"].map(|task| manager.task(task));
        let repeats = [
            (client.complete("t1", "https://blog.example/post/2").await, "task is completed"),
            (client.fail("t2", "second").await, "task is queued"),
            (client.fail("t3", "second").await, "task is final_failed"),
        ];
        for (repeat, message) in repeats {
            match rule {
                RepeatRule::Accept => drop(repeat.ok()),
                RepeatRule::Refuse => repeat.refused(409, message),
            }
        }
        assert_eq!(["t1", "t2", "t3"].map(|task| manager.task(task)), before);
        assert_eq!(manager.account("a1").unwrap().text("post_link"), Some(LINK));
        let ledger = manager.ledger();
        assert_eq!((ledger.completes_of("t1"), ledger.calls(Route::Complete, "t1").count()), (1, 2));
        assert_eq!((ledger.fails_of("t2"), ledger.calls(Route::Fail, "t2").count()), (1, 2));
    }
}

#[tokio::test]
async fn a_report_of_the_other_kind_is_refused_under_either_rule() {
    for rule in [RepeatRule::Accept, RepeatRule::Refuse] {
        let (manager, client) = manager_with(repeat(rule)).await;
        manager.add_task(NewTask::new("t2", "a1")).unwrap();
        client.start("t1").await.ok();
        client.complete("t1", LINK).await.ok();
        client.start("t2").await.ok();
        client.fail("t2", "no").await.ok();
        client.fail("t1", "no").await.refused(409, "task is completed");
        client.complete("t2", LINK).await.refused(409, "task is queued");
        client.start("t1").await.refused(409, "task is completed");
    }
}

#[tokio::test]
async fn an_empty_or_taken_id_is_not_added() {
    let (manager, _client) = manager().await;
    assert!(manager.add_task(NewTask::new("", "a1")).is_err());
    assert!(manager.add_task(NewTask::new("t1", "a1")).is_err());
    assert!(manager.add_raw_task(json!({ "id": "t1" })).is_err());
    assert!(manager.add_account(account("a1")).is_err());
    assert!(manager.add_account(account("")).is_err());
    assert!(manager.add_account(account("a2")).is_ok());
}
