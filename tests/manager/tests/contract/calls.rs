//! What all calls share: the key, the form of bodies and refusals, the ledger.

use latchkey_manager::{MAX_BODY_BYTES, Route};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, answer, manager};

const LINK: &str = "https://blog.example/post/1";

#[tokio::test]
async fn a_report_with_a_wrong_body_is_refused_and_changes_nothing() {
    let (manager, client) = manager().await;
    client.start("t1").await.ok();
    let before = manager.task("t1");
    let complete = "/links/t1/complete";
    let fail = "/links/t1/fail";
    let rows: [(&str, &str, &str); 16] = [
        (complete, "", "link_post is required"),
        (complete, "{}", "link_post is required"),
        (complete, r#"{"link":"https://blog.example"}"#, "link_post is required"),
        (complete, r#"{"link_post":null}"#, "link_post is required"),
        (complete, r#"{"link_post":" "}"#, "link_post is required"),
        (complete, r#"{"link_post":7}"#, "link_post must be a string"),
        (complete, r#"{"link_post":"blog.example/post"}"#, "link_post must be an http or https URL"),
        (complete, r#"{"link_post":"https://blog.example""#, "body is not a JSON object"),
        (complete, r#"["https://blog.example"]"#, "body is not a JSON object"),
        (complete, "\u{fffd}", "body is not a JSON object"),
        (fail, "", "error_message is required"),
        (fail, "{}", "error_message is required"),
        (fail, r#"{"error_message":""}"#, "error_message is required"),
        (fail, r#"{"error_message":["no"]}"#, "error_message must be a string"),
        (fail, "null", "body is not a JSON object"),
        (fail, "{'error_message':'no'}", "body is not a JSON object"),
    ];
    for (path, body, message) in rows {
        let request = client.request(Method::POST, path).header("content-type", "application/json").body(body);
        answer(request).await.refused(400, message);
    }
    let untyped = client.request(Method::POST, fail).body(r#"{"error_message":"no"}"#);
    answer(untyped).await.refused(400, "content-type must be application/json");
    assert_eq!(manager.task("t1"), before);
    let typed = client.request(Method::POST, fail).header("content-type", "Application/JSON; charset=utf-8");
    answer(typed.body(r#"{"error_message":"no"}"#)).await.ok();
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let (manager, client) = manager().await;
    client.start("t1").await.ok();
    let filler = |bytes: usize| json!({ "link_post": LINK, "filler": "x".repeat(bytes) });
    let oversized = client.post("/links/t1/complete", filler(MAX_BODY_BYTES)).await;
    oversized.refused(413, &format!("body is larger than {MAX_BODY_BYTES} bytes"));
    assert_eq!(manager.ledger().completes_of("t1"), 0);
    client.post("/links/t1/complete", filler(MAX_BODY_BYTES / 2)).await.ok();
}

#[tokio::test]
async fn every_call_needs_the_key() {
    let (manager, client) = manager().await;
    let wrong = Client::new(manager.base_url(), "wrong");
    let calls: [(Route, Method, &str, Value); 7] = [
        (Route::List, Method::GET, "/links", Value::Null),
        (Route::One, Method::GET, "/links/t1", Value::Null),
        (Route::Start, Method::POST, "/links/t1/start", Value::Null),
        (Route::Complete, Method::POST, "/links/t1/complete", json!({ "link_post": LINK })),
        (Route::Fail, Method::POST, "/links/t1/fail", json!({ "error_message": "no" })),
        (Route::AccountRead, Method::GET, "/accounts/a1", Value::Null),
        (Route::AccountPut, Method::PUT, "/accounts/a1", json!({ "note": "no" })),
    ];
    client.start("t1").await.ok();
    let before = (manager.task("t1"), manager.account("a1"));
    for (route, method, path, body) in calls {
        answer(wrong.request(method.clone(), path).json(&body)).await.refused(401, "invalid or missing API key");
        let mut bare = client.request(method, path).json(&body).build().unwrap();
        bare.headers_mut().remove("X-API-Key");
        let response = reqwest::Client::builder().no_proxy().build().unwrap().execute(bare).await.unwrap();
        crate::support::read(response).await.refused(401, "invalid or missing API key");
        let refused: Vec<_> =
            manager.ledger().entries().rev().take(2).map(|entry| (entry.route, entry.status, entry.applied)).collect();
        assert_eq!(refused, [(route, Some(401), false); 2]);
    }
    assert_eq!((manager.task("t1"), manager.account("a1")), before);
}

#[tokio::test]
async fn what_is_no_call_is_refused_in_the_same_form() {
    let (_manager, client) = manager().await;
    client.get("/nothing").await.refused(404, "no such endpoint");
    client.get("/links/t1/start").await.refused(405, "method not allowed");
    client.post("/accounts/a1", json!({})).await.refused(405, "method not allowed");
    client.post("/links/t1/stop", json!({})).await.refused(404, "no such endpoint");
}

#[tokio::test]
async fn the_ledger_holds_every_call_in_order_with_what_it_sent() {
    let (manager, client) = manager().await;
    client.listed("?limit=3").await;
    client.get("/links/t1").await.ok();
    client.start("t1").await.ok();
    client.start("t1").await.ok();
    client.get("/accounts/a1").await.ok();
    client.put("/accounts/a1", json!({ "cookie": "sid=second", "status": "active" })).await.ok();
    client.complete("t1", LINK).await.ok();
    client.get("/links/t9").await.refused(404, "task not found");
    let ledger = manager.ledger();
    let rows: Vec<_> = ledger
        .entries()
        .map(|entry| (entry.seq, entry.route, entry.id.as_str(), entry.applied, entry.status))
        .collect();
    let expected = [
        (1, Route::List, "", true, Some(200)),
        (2, Route::One, "t1", true, Some(200)),
        (3, Route::Start, "t1", true, Some(200)),
        (4, Route::Start, "t1", false, Some(200)),
        (5, Route::AccountRead, "a1", true, Some(200)),
        (6, Route::AccountPut, "a1", true, Some(200)),
        (7, Route::Complete, "t1", true, Some(200)),
        (8, Route::One, "t9", false, Some(404)),
    ];
    assert_eq!(rows, expected);
    let put = ledger.calls(Route::AccountPut, "a1").next().unwrap();
    assert_eq!(put.sent.value("cookie"), Some("sid=second"));
    assert_eq!(put.sent.names().collect::<Vec<_>>(), ["cookie", "status"]);
    assert_eq!(ledger.calls(Route::Complete, "t1").next().unwrap().sent.value("link_post"), Some(LINK));
    assert_eq!(ledger.entries().next().unwrap().sent.value("limit"), Some("3"));
    assert_eq!((ledger.starts_of("t1"), ledger.reads_of("a1"), ledger.puts_of("a1")), (1, 1, 1));
    assert!(!format!("{ledger:?}").contains("sid=second"));
}
