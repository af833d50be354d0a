//! The control plane: the handle's verbs by HTTP, for whoever has the token.
//!
//! It does not look at what the verbs do beyond one sign of each.

use latchkey_practice_site::{AccountState, LoginWall, SiteHandle};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, client, site};

async fn call(site: &SiteHandle, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = client()
        .request(method, format!("{}/_control{path}", site.origin()))
        .header("x-control-token", site.control_token());
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
}

#[tokio::test]
async fn without_the_token_nothing_is_told_or_done() {
    let site = site().await;
    let url = format!("{}/_control/sessions", site.origin());
    let session = site.give_session("ada").unwrap();
    for token in [None, Some(""), Some("wrong")] {
        let request = client().delete(&url);
        let request = token.iter().fold(request, |request, token| request.header("x-control-token", *token));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(!response.text().await.unwrap().contains(site.control_token()));
    }
    assert!(Browser::with_cookies(&site, &session).is_logged_in().await);
    let done = call(&site, Method::DELETE, "/sessions", Value::Null).await;
    assert_eq!(done, (StatusCode::OK, json!({"ended": 1})));
    assert_eq!(call(&site, Method::GET, "/nowhere", Value::Null).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn accounts_are_added_shown_and_changed() {
    let site = site().await;
    let bob = json!({"username": "bob", "password": "right", "email": "bob@example.org"});
    assert_eq!(call(&site, Method::POST, "/accounts", bob.clone()).await.0, StatusCode::CREATED);
    assert_eq!(call(&site, Method::POST, "/accounts", bob).await.0, StatusCode::CONFLICT);
    let banned = json!({"state": "banned"});
    assert_eq!(call(&site, Method::PUT, "/accounts/bob/state", banned.clone()).await.0, StatusCode::NO_CONTENT);
    assert_eq!(site.state("bob"), Ok(AccountState::Banned));
    assert_eq!(call(&site, Method::PUT, "/accounts/eve/state", banned).await.0, StatusCode::NOT_FOUND);
    let password = json!({"password": "newer"});
    assert_eq!(call(&site, Method::PUT, "/accounts/bob/password", password).await.0, StatusCode::NO_CONTENT);
    assert!(Browser::new(&site).log_in("bob", "newer").await.has(".banned"));

    let (status, shown) = call(&site, Method::GET, "/accounts/bob@example.org", Value::Null).await;
    assert_eq!((status, &shown["state"]), (StatusCode::OK, &json!("banned")));
    assert_eq!(shown["counts"]["stopped_logins"], 1);
    assert!(!shown.to_string().contains("newer"));
}

#[tokio::test]
async fn sessions_are_given_and_ended() {
    let site = site().await;
    let give = async |body| {
        let (status, given) = call(&site, Method::POST, "/accounts/ada/sessions", body).await;
        assert_eq!(status, StatusCode::OK);
        given["cookie"].as_str().unwrap().to_owned()
    };
    let (live, dead) = (give(json!({})).await, give(json!({"expired": true})).await);
    assert!(Browser::with_cookies(&site, &live).is_logged_in().await);
    assert!(!Browser::with_cookies(&site, &dead).is_logged_in().await);
    for ended in [1, 0] {
        let killed = call(&site, Method::POST, "/sessions/kill", json!({"cookie": live})).await;
        assert_eq!(killed, (StatusCode::OK, json!({"ended": ended})));
    }
    give(json!({})).await;
    let ended = call(&site, Method::DELETE, "/accounts/ada/sessions", Value::Null).await;
    assert_eq!(ended, (StatusCode::OK, json!({"ended": 1})));
    let missing = call(&site, Method::POST, "/accounts/eve/sessions", json!({})).await;
    assert_eq!(missing.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn behaviour_is_changed_field_by_field_or_not_at_all() {
    let site = site().await;
    let change = json!({"login_wall": "page", "maintenance": {"unavailable": {"retry_after_s": 5}}});
    let (status, now) = call(&site, Method::PATCH, "/behaviour", change).await;
    assert_eq!(
        (status, &now["login_wall"], &now["session_lifetime_s"]),
        (StatusCode::OK, &json!("page"), &json!(86_400))
    );
    assert_eq!(call(&site, Method::GET, "/behaviour", Value::Null).await.1, now, "not under maintenance itself");
    let before = site.behaviour();
    assert_eq!(before.login_wall, LoginWall::Page);
    for wrong in [json!({"login_wall": "moat"}), json!({"moat": true}), json!({"delay_ms": -1})] {
        assert_eq!(call(&site, Method::PATCH, "/behaviour", wrong).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(site.behaviour(), before);
    }
}

#[tokio::test]
async fn faults_are_ordered_and_effects_are_read() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    let fault = json!({"point": "post", "fault": {"too_many_requests": {"retry_after_s": 3}}, "times": 1});
    assert_eq!(call(&site, Method::POST, "/faults", fault).await.0, StatusCode::NO_CONTENT);
    assert_eq!(browser.publish("t", "b").await.status, StatusCode::TOO_MANY_REQUESTS);
    let fault = json!({"point": "post", "fault": "error_before", "times": 9});
    assert_eq!(call(&site, Method::POST, "/faults", fault).await.0, StatusCode::NO_CONTENT);
    assert_eq!(call(&site, Method::DELETE, "/faults", Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(browser.publish("t", "b").await.status, StatusCode::FOUND);

    let ledger = call(&site, Method::GET, "/ledger", Value::Null).await.1;
    assert_eq!(ledger, serde_json::to_value(site.ledger()).unwrap());
    assert_eq!((&ledger["total"]["logins"], &ledger["accounts"]["ada"]["posts"]), (&json!(1), &json!(1)));
    let posts = call(&site, Method::GET, "/posts", Value::Null).await.1;
    assert_eq!((&posts[0]["title"], &posts[0]["number"]), (&json!("t"), &json!(1)));
    let requests = call(&site, Method::GET, "/requests", Value::Null).await.1;
    let count = site.requests().len();
    assert_eq!(requests.as_array().map(Vec::len), Some(count));
    assert!(!requests.to_string().contains("_control"));
}
