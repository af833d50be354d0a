//! The control plane over HTTP.

use latchkey_manager::{Manager, TaskStatus};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, answer, manager};

struct Control {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Control {
    fn of(manager: &Manager) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: manager.control_url().to_owned(),
            token: manager.control_token().to_owned(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header("X-Control-Token", &self.token)
    }

    async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path)).await
    }
}

#[tokio::test]
async fn every_control_call_needs_the_token_and_the_api_key_is_none() {
    let (manager, _client) = manager().await;
    let mut control = Control::of(&manager);
    control.get("/state").await.ok();
    control.token = manager.api_key().to_owned();
    for (method, path) in [
        (Method::GET, "/state"),
        (Method::GET, "/ledger"),
        (Method::POST, "/seed"),
        (Method::POST, "/faults"),
        (Method::POST, "/down"),
        (Method::DELETE, "/tasks/t1"),
    ] {
        answer(control.request(method, path)).await.refused(401, "invalid or missing control token");
    }
    assert!(manager.task("t1").is_some());
}

#[tokio::test]
async fn the_api_does_not_serve_the_control_plane() {
    let (manager, _client) = manager().await;
    let control = Control { base: format!("{}/_control", manager.base_url()), ..Control::of(&manager) };
    control.get("/state").await.refused(404, "no such endpoint");
}

#[tokio::test]
async fn a_seed_adds_clean_and_nasty_data() {
    let (manager, client) = manager().await;
    let control = Control::of(&manager);
    let seed = json!({
        "accounts": [{ "id": "s1", "username": "bob", "twofa": null, "tier": 1, "_absent": ["app_password"] }],
        "tasks": [{ "id": "s2", "account_id": "s1", "title": "Xin chào", "_absent": ["about"], "_max_retries": 0 }],
        "raw_tasks": [{ "id": 7 }],
    });
    control.post("/seed", seed).await.ok();
    assert_eq!(client.listed("").await, ["t1", "s2", "7"]);
    let task = client.get("/links/s2").await.ok();
    assert_eq!((&task["data"]["username"], &task["data"]["title"]), (&json!("bob"), &json!("Xin chào")));
    assert!(task["data"].get("about").is_none() && task["data"].get("app_password").is_none());
    assert_eq!(client.get("/accounts/s1").await.ok()["data"]["tier"], 1);
    client.start("s2").await.ok();
    client.fail("s2", "no").await.ok();
    assert_eq!(manager.task("s2").unwrap().status, TaskStatus::FinalFailed);
}

#[tokio::test]
async fn a_seed_or_fault_that_is_not_understood_is_refused() {
    let (manager, _client) = manager().await;
    let control = Control::of(&manager);
    for (path, body) in [
        ("/seed", json!({ "tasks": [{ "title": "no id" }] })),
        ("/seed", json!({ "accounts": [{ "id": "x", "_max_retries": 1 }] })),
        ("/seed", json!({ "unknown": [] })),
        ("/seed", json!({ "accounts": [{ "id": "a1" }] })),
        ("/faults", json!({ "when": "before", "kind": "close", "rote": "list" })),
        ("/faults", json!({ "when": "before", "kind": { "status": { "status": 99 } } })),
        ("/faults", json!({ "when": "before", "kind": "explode" })),
    ] {
        let answer = control.post(path, body).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_eq!(answer.json["success"], false);
    }
    assert!(manager.waiting_faults().is_empty());
}

#[tokio::test]
async fn faults_are_added_shown_and_forgotten() {
    let (manager, client) = manager().await;
    let control = Control::of(&manager);
    let kind = json!({ "status": { "status": 429, "retry_after_s": 9 } });
    control
        .post("/faults", json!({ "when": "before", "kind": kind, "route": "one", "id": "t1", "times": 2 }))
        .await
        .ok();
    assert_eq!(client.get("/links/t1").await.status, 429);
    let waiting = control.get("/state").await.ok()["faults"].clone();
    assert_eq!(waiting[0]["times"], 1);
    assert_eq!(waiting[0]["kind"], kind);
    control.delete("/faults").await.ok();
    client.get("/links/t1").await.ok();
}

#[tokio::test]
async fn the_ledger_and_the_state_are_shown_with_values() {
    let (manager, client) = manager().await;
    let control = Control::of(&manager);
    client.start("t1").await.ok();
    client.put("/accounts/a1", json!({ "cookie": "sid=two", "note": "ghi chú" })).await.ok();
    let ledger = control.get("/ledger?after=1").await.ok();
    assert_eq!(ledger["dropped"], 0);
    assert_eq!(ledger["entries"].as_array().unwrap().len(), 1);
    let entry = &ledger["entries"][0];
    assert_eq!((&entry["seq"], &entry["route"], &entry["status"]), (&json!(2), &json!("account_put"), &json!(200)));
    assert_eq!(entry["sent"], json!({ "cookie": "sid=two", "note": "ghi chú" }));
    let state = control.get("/state").await.ok();
    assert_eq!((&state["up"], &state["tasks"][0]["status"]), (&json!(true), &json!("running")));
    assert_eq!(
        (&state["accounts"][0]["cookie"], &state["accounts"][0]["note"]),
        (&json!("sid=two"), &json!("ghi chú"))
    );
    assert!(manager.ledger().dropped() == 0);
}

#[tokio::test]
async fn an_account_can_be_changed_behind_the_workers_back_and_records_deleted() {
    let (manager, client) = manager().await;
    let control = Control::of(&manager);
    answer(control.request(Method::PATCH, "/accounts/a1").json(&json!({ "cookie": "sid=theirs" }))).await.ok();
    assert_eq!(client.get("/accounts/a1").await.ok()["data"]["cookie"], "sid=theirs");
    assert_eq!(manager.ledger().puts_of("a1"), 0);
    control.delete("/accounts/a1").await.ok();
    control.delete("/accounts/a1").await.refused(404, "account không tồn tại hoặc đã xoá");
    control.delete("/tasks/t1").await.ok();
    control.delete("/tasks/t1").await.refused(404, "task not found");
    assert_eq!(client.get("/links/t1").await.status, 404);
}

#[tokio::test]
async fn an_outage_is_begun_and_ended_over_the_control_plane() {
    let (manager, client) = manager().await;
    let control = Control::of(&manager);
    control.post("/down", json!({})).await.ok();
    assert!(client.request(Method::GET, "/links").send().await.is_err());
    assert_eq!(control.get("/state").await.ok()["up"], false);
    control.post("/up", json!({})).await.ok();
    client.get("/links").await.ok();
}
