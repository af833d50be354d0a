//! The contract's traps, by the numbers of the contract's page: 1, 2, 4, 5, 6, 9 and 11.

use std::sync::atomic::{AtomicI64, Ordering};

use latchkey_manager::{Clock, ManagerConfig, NewAccount, NewTask, PLACEHOLDERS, TaskStatus};
use serde_json::{Value, json};

use crate::support::{account, manager, manager_with};

/// A clock that is a second later each time it is asked, from 2026-04-28T06:05:58Z on.
fn ticking() -> ManagerConfig {
    let next = AtomicI64::new(1_777_356_358);
    let mut config = ManagerConfig::default();
    config.clock = Clock::new(move || jiff::Timestamp::from_second(next.fetch_add(1, Ordering::Relaxed)).unwrap());
    config
}

#[tokio::test]
async fn trap_1_times_have_an_offset_without_a_colon_and_updated_at_moves_with_each_update() {
    let (_manager, client) = manager_with(ticking()).await;
    let first = client.get("/accounts/a1").await.ok();
    assert_eq!(first["data"]["created_at"], "2026-04-28T13:05:58+0700");
    assert_eq!(first["data"]["updated_at"], "2026-04-28T13:05:58+0700");
    assert_eq!(first["data"]["last_used_at"], "", "never used");
    client.put("/accounts/a1", json!({ "note": "x" })).await.ok();
    client.start("t1").await.ok();
    let second = client.get("/accounts/a1").await.ok();
    assert_eq!(second["data"]["created_at"], first["data"]["created_at"]);
    assert_eq!(second["data"]["updated_at"], "2026-04-28T13:06:00+0700");
    assert_eq!(second["data"]["last_used_at"], "2026-04-28T13:06:01+0700");
}

#[tokio::test]
async fn trap_2_absent_null_empty_and_placeholder_credentials_are_shown_as_they_are() {
    let (manager, client) = manager().await;
    let nasty = NewAccount::new("a2")
        .without("twofa")
        .with("pass_mail", Value::Null)
        .with("password", "")
        .with("app_password", "xxxx xxxx xxxx xxxx")
        .with("cookie", "...");
    manager.add_account(nasty).unwrap();
    manager.add_task(NewTask::new("t2", "a2").without("title")).unwrap();
    for path in ["/accounts/a2", "/links/t2"] {
        let data = client.get(path).await.ok()["data"].clone();
        assert!(data.get("twofa").is_none(), "{path}");
        assert_eq!(data.get("pass_mail"), Some(&Value::Null), "{path}");
        assert_eq!(data["password"], "");
        assert_eq!(data["app_password"], "xxxx xxxx xxxx xxxx");
        assert_eq!(data["cookie"], "...");
    }
    assert!(client.get("/links/t2").await.ok()["data"].get("title").is_none());
}

#[tokio::test]
async fn trap_2_placeholders_are_refused_by_an_update_even_where_they_are_real() {
    let (manager, client) = manager().await;
    let before = manager.account("a1");
    for field in ["cookie", "email", "password", "pass_mail", "twofa", "app_password", "link_profile"] {
        for sample in PLACEHOLDERS {
            let message = format!("{field} không được dùng giá trị mẫu (placeholder)");
            client.put("/accounts/a1", json!({ field: sample })).await.refused(400, &message);
        }
    }
    client
        .put("/accounts/a1", json!({ "twofa": " JBSWY3DPEHPK3PXP ", "status": "active" }))
        .await
        .refused(400, "twofa không được dùng giá trị mẫu (placeholder)");
    assert_eq!(manager.account("a1"), before);
    // What is only near a sample, and free text, is taken.
    let near = json!({ "twofa": "JBSWY3DPEHPK3PXQ", "cookie": "sid=abcd", "note": "...", "error_message": "..." });
    client.put("/accounts/a1", near).await.ok();
}

#[tokio::test]
async fn trap_4_unknown_fields_and_words_and_malformed_tasks_stand_between_good_ones() {
    let (manager, client) = manager().await;
    manager.add_raw_task(json!({ "id": 17, "images": "none" })).unwrap();
    manager.add_raw_task(json!({ "domain": "no id at all" })).unwrap();
    manager.add_raw_task(json!("not even an object")).unwrap();
    manager.add_task(NewTask::new("t2", "a1").with("priority", json!({ "level": 3 }))).unwrap();
    manager.add_account(account("a2").with("status", "hibernating").with("tier", 9)).unwrap();
    let list = client.get("/links").await.ok();
    let tasks = list["data"].as_array().unwrap();
    assert_eq!(tasks.len(), 5);
    assert_eq!(tasks[1], json!({ "id": 17, "images": "none" }));
    assert_eq!(tasks[2], json!({ "domain": "no id at all" }));
    assert_eq!(tasks[3], json!("not even an object"));
    assert_eq!(tasks[4]["priority"], json!({ "level": 3 }));
    let account = client.get("/accounts/a2").await.ok();
    assert_eq!((&account["data"]["status"], &account["data"]["tier"]), (&json!("hibernating"), &json!(9)));
    // A malformed task with an id can be closed like any other.
    client.start("17").await.ok();
    client.complete("17", "https://blog.example/17").await.ok();
    assert_eq!(client.listed("").await, ["t1", "null", "null", "t2"]);
}

#[tokio::test]
async fn trap_5_a_message_is_limited_in_characters_not_in_bytes() {
    let (manager, client) = manager().await;
    client.start("t1").await.ok();
    client.fail("t1", &"ữ".repeat(1_001)).await.refused(400, "error_message is longer than 1000 characters");
    assert_eq!(manager.task("t1").unwrap().status, TaskStatus::Running);
    let longest = "ữ".repeat(1_000);
    assert_eq!(longest.len(), 3_000);
    client.fail("t1", &longest).await.ok();
    assert_eq!(manager.task("t1").unwrap().error_message, Some(longest));
}

#[tokio::test]
async fn trap_6_start_may_be_repeated_and_keeps_the_first_time() {
    let (manager, client) = manager_with(ticking()).await;
    client.start("t1").await.ok();
    let first = manager.task("t1");
    let account = manager.account("a1");
    for _ in 0..3 {
        client.start("t1").await.ok();
    }
    assert_eq!(manager.task("t1"), first);
    assert_eq!(manager.account("a1"), account);
    client.fail("t1", "no").await.ok();
    client.start("t1").await.ok();
    assert_eq!(manager.task("t1").unwrap().started_at, first.unwrap().started_at, "a retry keeps it too");
}

#[tokio::test]
async fn trap_9_a_failed_task_comes_back_under_the_same_id() {
    let (manager, client) = manager().await;
    manager.add_task(NewTask::new("t2", "a1")).unwrap();
    client.start("t1").await.ok();
    client.fail("t1", "no").await.ok();
    assert_eq!(client.listed("").await, ["t1", "t2"]);
    client.start("t1").await.ok();
    client.complete("t1", "https://blog.example/1").await.ok();
    let task = manager.task("t1").unwrap();
    assert_eq!((task.status, task.retry_count, task.error_message), (TaskStatus::Completed, 1, None));
}

#[tokio::test]
async fn trap_11_the_posting_fields_follow_the_newest_task_of_the_account() {
    let (manager, client) = manager().await;
    manager.add_task(NewTask::new("t2", "a1")).unwrap();
    let check = |status: &str, task: &str, link: &str| {
        let account = manager.account("a1").unwrap();
        let shown = ["posting_status", "post_task_id", "post_link"].map(|name| account.text(name).unwrap().to_owned());
        assert_eq!(shown, [status, task, link]);
    };
    check("idle", "", "");
    client.start("t1").await.ok();
    check("posting", "t1", "");
    client.complete("t1", "https://blog.example/1").await.ok();
    check("done", "t1", "https://blog.example/1");
    client.start("t2").await.ok();
    check("posting", "t2", "");
    client.start("t2").await.ok();
    check("posting", "t2", "");
    client.fail("t2", "no").await.ok();
    check("idle", "t2", "");
}

#[tokio::test]
async fn trap_11_a_fail_does_not_take_the_place_of_a_newer_task() {
    let (manager, client) = manager().await;
    manager.add_task(NewTask::new("t2", "a1")).unwrap();
    client.start("t1").await.ok();
    client.start("t2").await.ok();
    client.fail("t1", "no").await.ok();
    let account = manager.account("a1").unwrap();
    assert_eq!((account.text("posting_status"), account.text("post_task_id")), (Some("posting"), Some("t2")));
}
