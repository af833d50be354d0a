//! The two calls on accounts: the detail and the partial update.

use latchkey_manager::{NewAccount, TaskStatus};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{answer, manager};

const GONE: &str = "account không tồn tại hoặc đã xoá";
const NOTHING: &str = "không có field nào để update";

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[tokio::test]
async fn the_detail_has_the_fields_of_the_document_in_its_order_with_the_cookie_last() {
    let (manager, client) = manager().await;
    manager.edit_account("a1", fields(json!({ "brand_new_field": 7 })));
    let text = client.request(Method::GET, "/accounts/a1").send().await.unwrap().text().await.unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = json["data"].as_object().unwrap().keys().map(String::as_str).collect();
    let order = "id post_id register_id group_id site_id site_name status posting_status post_task_id post_link email \
                 username password pass_mail twofa app_password link_profile created_at updated_at last_used_at \
                 brand_new_field cookie";
    assert_eq!(names, order.split_whitespace().collect::<Vec<_>>());
    assert!(text.ends_with(r#""cookie":"sid=first; csrf=one"}}"#), "{text}");
    assert_eq!(json["data"]["posting_status"], "idle");
    assert_eq!(json["data"]["status"], "active");
}

#[tokio::test]
async fn an_account_needs_an_id_and_has_to_exist() {
    let (manager, client) = manager().await;
    manager.add_account(NewAccount::new("gone")).unwrap();
    assert!(manager.delete_account("gone"));
    let note = json!({ "note": "x" });
    for path in ["/accounts", "/accounts/", "/accounts/%20"] {
        client.get(path).await.refused(400, "account id required");
        client.put(path, note.clone()).await.refused(400, "account id required");
    }
    for path in ["/accounts/unknown", "/accounts/gone"] {
        client.get(path).await.refused(404, GONE);
        client.put(path, note.clone()).await.refused(404, GONE);
    }
    assert!(manager.account("gone").is_none());
}

#[tokio::test]
async fn an_update_lists_the_fields_that_it_wrote_in_the_order_of_the_document() {
    let (manager, client) = manager().await;
    let sent = json!({
        "error_message": "sai mật khẩu", "note": "ghi chú", "status": "dead", "link_profile": "https://blog.example/u/ann2",
        "app_password": "app two", "twofa": "GEZDGNBVGY3TQOJR", "pass_mail": "mail two", "password": "Two-2",
        "email": "two@blog.example", "cookie": "sid=two",
    });
    let answer = client.put("/accounts/a1", sent.clone()).await.ok();
    let order = "cookie email password pass_mail twofa app_password link_profile status note error_message";
    assert_eq!(answer, json!({ "success": true, "updated": order.split(' ').collect::<Vec<_>>() }));
    let account = manager.account("a1").unwrap();
    for (name, value) in fields(sent) {
        match name.as_str() {
            "note" => assert_eq!(account.note, value),
            "error_message" => assert_eq!(account.error_message, value),
            _ => assert_eq!(account.fields[&name], value, "{name}"),
        }
    }
}

#[tokio::test]
async fn an_update_leaves_what_it_does_not_send_and_the_task_alone() {
    let (manager, client) = manager().await;
    client.start("t1").await.ok();
    let before = manager.account("a1").unwrap();
    assert_eq!(client.put("/accounts/a1", json!({ "cookie": "sid=two" })).await.ok()["updated"], json!(["cookie"]));
    let after = manager.account("a1").unwrap();
    for (name, value) in &before.fields {
        match name.as_str() {
            "cookie" => assert_eq!(after.text("cookie"), Some("sid=two")),
            "updated_at" => {}
            _ => assert_eq!(after.fields[name], *value, "{name}"),
        }
    }
    assert_eq!(manager.task("t1").unwrap().status, TaskStatus::Running);
}

#[tokio::test]
async fn username_and_unknown_fields_are_passed_over_in_silence() {
    let (manager, client) = manager().await;
    let sent = json!({ "username": "eve", "cookie": "sid=two", "posting_status": "done", "id": "a9", "unknown": [1] });
    assert_eq!(client.put("/accounts/a1", sent).await.ok()["updated"], json!(["cookie"]));
    let account = manager.account("a1").unwrap();
    assert_eq!(account.text("username"), Some("ann"));
    assert_eq!(account.text("posting_status"), Some("idle"));
    assert_eq!(account.text("id"), Some("a1"));
    assert!(!account.fields.contains_key("unknown"));
}

#[tokio::test]
async fn an_update_without_a_field_that_can_be_written_is_refused() {
    let (manager, client) = manager().await;
    let before = manager.account("a1");
    answer(client.request(Method::PUT, "/accounts/a1")).await.refused(400, NOTHING);
    for body in [json!({}), json!({ "username": "eve" }), json!({ "unknown": 1 })] {
        client.put("/accounts/a1", body).await.refused(400, NOTHING);
    }
    assert_eq!(manager.account("a1"), before);
}

#[tokio::test]
async fn a_malformed_update_is_refused_as_a_whole() {
    let (manager, client) = manager().await;
    let before = manager.account("a1");
    let rows = [
        (json!({ "cookie": 7 }), "cookie must be a string"),
        (json!({ "cookie": null }), "cookie must be a string"),
        (json!({ "cookie": "sid=two", "status": "alive" }), "status không hợp lệ"),
        (
            json!({ "cookie": "sid=two", "error_message": "ă".repeat(1_001) }),
            "error_message is longer than 1000 characters",
        ),
        (json!(["cookie"]), "body is not a JSON object"),
    ];
    for (body, message) in rows {
        client.put("/accounts/a1", body).await.refused(400, message);
    }
    assert_eq!(manager.account("a1"), before);
    client.put("/accounts/a1", json!({ "error_message": "ă".repeat(1_000) })).await.ok();
}

#[tokio::test]
async fn every_status_of_the_document_is_taken_and_no_other() {
    let (manager, client) = manager().await;
    let words = "pending queued running completed failed cancel final_failed register registering registered register_failed \
                 profile profiling profiled profile_failed connect connecting connect_failed active inactive banned dead";
    for status in words.split_whitespace() {
        client.put("/accounts/a1", json!({ "status": status })).await.ok();
        assert_eq!(manager.account("a1").unwrap().text("status"), Some(status));
    }
    for status in ["", "Active", "live", "posting", "..."] {
        client.put("/accounts/a1", json!({ "status": status })).await.refused(400, "status không hợp lệ");
    }
    assert_eq!(manager.account("a1").unwrap().text("status"), Some("dead"));
}

#[tokio::test]
async fn an_empty_error_message_clears_the_one_that_is_there_and_counts_only_then() {
    let (manager, client) = manager().await;
    client.put("/accounts/a1", json!({ "status": "dead", "error_message": "khoá" })).await.ok();
    client.put("/accounts/a1", json!({ "status": "dead" })).await.ok();
    assert_eq!(manager.account("a1").unwrap().error_message, "khoá", "not sent, not touched");
    let clear = json!({ "error_message": "" });
    assert_eq!(client.put("/accounts/a1", clear.clone()).await.ok()["updated"], json!(["error_message"]));
    assert_eq!(manager.account("a1").unwrap().error_message, "");
    assert_eq!(client.put("/accounts/a1", clear).await.ok()["updated"], json!([]));
}

#[tokio::test]
async fn the_documents_example_of_an_update_gets_the_documents_answer() {
    let (_manager, client) = manager().await;
    // The example's own cookie is a sample, which the same document refuses.
    let sent = json!({ "cookie": "sid=real; csrf=real", "status": "active", "note": "auto-refreshed after 401", "error_message": "" });
    let answer = client.put("/accounts/a1", sent).await.ok();
    assert_eq!(answer, json!({ "success": true, "updated": ["cookie", "status", "note"] }));
}
