//! The account calls over real sockets. Knows no reference manager: the answers are made by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use super::{AccountApi, AccountStatus, AccountUpdate, ReadError, UpdateError, UpdateField, Updated};
use crate::{
    manager_http::{
        BaseUrl, CallError, Class, ManagerClient, ManagerConfig,
        raw_server::{Act, RawServer},
    },
    model::Secret,
};

fn api(server: &RawServer) -> AccountApi {
    let config = ManagerConfig {
        base_url: BaseUrl::parse(&server.base_url(), false).unwrap(),
        key: Secret::copy_of("key"),
        timeout: Duration::from_secs(60),
        user_agent: "Latchkey/test".to_owned(),
        extra_roots_pem: None,
    };
    AccountApi::new(Arc::new(ManagerClient::new(config).unwrap()))
}

fn update() -> AccountUpdate {
    let update = AccountUpdate::new().set(UpdateField::Cookie, Secret::copy_of("sid=\"n\"; csrf=2")).unwrap();
    update.set(UpdateField::ErrorMessage, Secret::copy_of("")).unwrap().status(AccountStatus::Active)
}

#[tokio::test]
async fn an_account_is_read_by_its_id() {
    let server = RawServer::json("200 OK", r#"{"success":true,"data":{"id":"a b","cookie":"sid=1"}}"#).await;
    let account = api(&server).read("a b").await.unwrap();
    // EXPOSE: the test compares.
    assert_eq!(account.fields.cookie.unwrap().expose(), "sid=1");
    assert!(server.requests()[0].starts_with("GET /api/v1/social/accounts/a%20b HTTP/1.1\r\n"));
}

#[tokio::test]
async fn another_accounts_record_and_no_record_are_refused() {
    for data in [r#"{"id":"other","cookie":"sid=1"}"#, "null", "[]", r#""acc""#] {
        let server = RawServer::json("200 OK", &format!(r#"{{"success":true,"data":{data}}}"#)).await;
        let error = api(&server).read("acc").await.unwrap_err();
        assert_eq!(matches!(error, ReadError::OtherAccount), data.contains("other"), "{data}: {error:?}");
        assert_eq!(error.class(), Class::Ambiguous);
    }
}

#[tokio::test]
async fn an_unknown_account_is_told_in_the_managers_words() {
    let body = r#"{"success":false,"message":"account không tồn tại hoặc đã xoá"}"#;
    let server = RawServer::json("404 Not Found", body).await;
    let error = api(&server).read("acc").await.unwrap_err();
    let ReadError::Call(CallError::NotFound { message }) = &error else { panic!("{error:?}") };
    assert_eq!(message, "account không tồn tại hoặc đã xoá");
    assert_eq!(error.class(), Class::Permanent);
}

#[tokio::test]
async fn an_update_sends_its_fields_and_compares_what_was_written() {
    let rows: [(&str, &[&str], &[&str]); 6] = [
        (r#"["cookie","status","error_message"]"#, &["cookie", "status", "error_message"], &[]),
        (r#"["cookie","brand_new"]"#, &["cookie", "brand_new"], &["error_message", "status"]),
        (r#"["cookie",7,null,"status"]"#, &["cookie", "status"], &["error_message"]),
        (r#"["co\u001bokie"]"#, &["co\\u{1b}okie"], &["cookie", "error_message", "status"]),
        ("null", &[], &["cookie", "error_message", "status"]),
        (r#"{"cookie":true}"#, &[], &["cookie", "error_message", "status"]),
    ];
    for (updated, written, missing) in rows {
        let server = RawServer::json("200 OK", &format!(r#"{{"success":true,"updated":{updated}}}"#)).await;
        let answer = api(&server).update("acc", &update()).await.unwrap();
        let written = written.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(answer, Updated { written, missing: missing.to_vec() }, "{updated}");
        let request = server.requests().remove(0);
        assert!(request.starts_with("PUT /api/v1/social/accounts/acc HTTP/1.1\r\n"), "{request}");
        let body = r#"{"cookie":"sid=\"n\"; csrf=2","error_message":"","status":"active"}"#;
        assert!(request.ends_with(body), "{request}");
    }
}

#[tokio::test]
async fn names_of_written_fields_are_bounded() {
    let names = vec![format!("\"{}\"", "n".repeat(100)); 100].join(",");
    let server = RawServer::json("200 OK", &format!(r#"{{"success":true,"updated":[{names}]}}"#)).await;
    let answer = api(&server).update("acc", &update()).await.unwrap();
    assert_eq!(answer.written.len(), 64);
    assert!(answer.written.iter().all(|name| name.chars().count() == 65));
}

#[tokio::test]
async fn an_empty_update_is_refused_before_it_is_sent() {
    let server = RawServer::start(vec![Act::CloseAfter]).await;
    let error = api(&server).update("acc", &AccountUpdate::new()).await.unwrap_err();
    assert!(matches!(error, UpdateError::Empty), "{error:?}");
    assert_eq!(error.class(), Class::Permanent);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_update_whose_answer_is_lost_is_ambiguous_and_shows_no_value() {
    let server = RawServer::start(vec![Act::CloseAfter]).await;
    let error = api(&server).update("acc", &update()).await.unwrap_err();
    assert_eq!(error.class(), Class::Ambiguous);
    assert!(server.requests()[0].contains("csrf=2"));
    assert!(!format!("{error} {error:?}").contains("csrf=2"));
}
