//! The client over real sockets against answers made by hand. Knows no area of the contract.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{net::TcpListener, time::Duration};

use super::{
    BaseUrl, CallError, Class, ConfigError, Envelope, JsonBody, ManagerClient, ManagerConfig, Unusable, is_id,
    raw_server::{Act, RawServer, answer},
};
use crate::{limits::MANAGER_BODY_MAX_BYTES, model::Secret};

const KEY: &str = "k-3f9a-secret";

fn config(base_url: &str) -> ManagerConfig {
    ManagerConfig {
        base_url: BaseUrl::parse(base_url, false).unwrap(),
        key: Secret::copy_of(KEY),
        timeout: Duration::from_secs(60),
        user_agent: "Latchkey/test".to_owned(),
        extra_roots_pem: None,
    }
}

async fn get(server: &RawServer) -> Result<Envelope, CallError> {
    let client = ManagerClient::new(config(&server.base_url())).unwrap();
    client.get(&["social", "links"], &[("limit", "5")]).await
}

/// The failure of a call that is answered with these bytes.
async fn failure(act: Act) -> CallError {
    get(&RawServer::start(vec![act]).await).await.unwrap_err()
}

#[tokio::test]
async fn a_call_carries_the_key_and_opens_the_envelope() {
    let server = RawServer::json("200 OK", r#"{"success":true,"data":{"id":"a"}}"#).await;
    let client = ManagerClient::new(config(&server.base_url())).unwrap();
    let body = JsonBody::object(&[("link_post", "https://a.example/1")]).unwrap();
    let envelope = client.post(&["social", "links", "a/b", "complete"], Some(body)).await.unwrap();
    // EXPOSE: the test compares.
    assert_eq!(envelope.member("data").unwrap().member("id").unwrap().text().unwrap().expose(), "a");

    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/v1/social/links/a%2Fb/complete HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    for line in ["x-api-key: k-3f9a-secret", "content-type: application/json", "user-agent: latchkey/test"] {
        assert!(head.lines().any(|own| own == line), "{line} in {head}");
    }
    assert_eq!(body, r#"{"link_post":"https://a.example/1"}"#);
}

#[tokio::test]
async fn each_answer_has_its_class() {
    let after = |seconds| Some(Duration::from_secs(seconds));
    let refusal = r#"{"success":false,"message":"task not found"}"#;
    for (status, headers, body, expected, class) in [
        ("401 X", "", refusal, "the manager refuses the API key (HTTP 401)", Class::Stop),
        ("403 X", "", "<html>", "the manager refuses the API key (HTTP 403)", Class::Stop),
        ("301 X", "location: https://a.example/\r\n", "", "the manager redirects (HTTP 301)", Class::Stop),
        ("307 X", "location: /elsewhere\r\n", "", "the manager redirects (HTTP 307)", Class::Stop),
        ("404 X", "", refusal, "the manager does not find it (HTTP 404): task not found", Class::Permanent),
        ("404 X", "", "<html>no such page</html>", "no usable answer: it is not what the contract", Class::Ambiguous),
        ("404 X", "", r#"{"error":"no route"}"#, "no usable answer: it is not what the contract", Class::Ambiguous),
        ("400 X", "", refusal, "refuses the call (HTTP 400): task not found", Class::Permanent),
        ("409 X", "", "", "refuses the call (HTTP 409): ", Class::Permanent),
        ("413 X", "", "<html>", "refuses the call (HTTP 413): ", Class::Permanent),
        ("200 OK", "", refusal, "refuses the call (HTTP 200): task not found", Class::Permanent),
        ("429 X", "", refusal, "limits the rate", Class::Retry { after: None }),
        ("429 X", "retry-after: 7\r\n", "", "limits the rate", Class::Retry { after: after(7) }),
        ("429 X", "retry-after: 999999\r\n", "", "limits the rate", Class::Retry { after: after(3600) }),
        ("429 X", "retry-after: soon\r\n", "", "limits the rate", Class::Retry { after: None }),
        ("408 X", "", "", "unavailable (HTTP 408)", Class::Retry { after: None }),
        ("503 X", "retry-after: 30\r\n", "<html>", "unavailable (HTTP 503)", Class::Retry { after: after(30) }),
        ("500 X", "", refusal, "unavailable (HTTP 500)", Class::Ambiguous),
        ("502 X", "", "<html>", "unavailable (HTTP 502)", Class::Ambiguous),
        ("504 X", "", "", "unavailable (HTTP 504)", Class::Ambiguous),
        ("200 OK", "content-type: text/html\r\n", "<html>hello</html>", "it is not JSON", Class::Ambiguous),
        ("200 OK", "", r#"{"success":true,"data":[{"id":"#, "it is not JSON", Class::Ambiguous),
        ("200 OK", "", "", "it is not JSON", Class::Ambiguous),
        ("200 OK", "", "[]", "it is not what the contract says", Class::Ambiguous),
        ("200 OK", "", r#"{"data":[]}"#, "it is not what the contract says", Class::Ambiguous),
        ("200 OK", "", r#"{"success":"true"}"#, "it is not what the contract says", Class::Ambiguous),
    ] {
        let error = failure(Act::Send(answer(status, headers, body))).await;
        assert!(error.to_string().contains(expected), "{status} {body}: {error}");
        assert_eq!(error.class(), class, "{status} {body}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_ambiguous_and_says_how_it_was_lost() {
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"success\":true".to_vec();
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MANAGER_BODY_MAX_BYTES + 1).into_bytes();
    for (act, reason) in [
        (Act::CloseBefore, Unusable::Closed),
        (Act::CloseAfter, Unusable::Closed),
        (Act::Send(short), Unusable::Closed),
        (Act::Send(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()), Unusable::Closed),
        (Act::Send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()), Unusable::Closed),
        (Act::Send(huge), Unusable::TooLarge),
        (Act::Endless("HTTP/1.1 200 OK\r\n\r\n"), Unusable::TooLarge),
    ] {
        let error = failure(act.clone()).await;
        assert!(matches!(error, CallError::NoAnswer { reason: own, .. } if own == reason), "{act:?}: {error:?}");
        assert_eq!(error.class(), Class::Ambiguous);
    }
}

#[tokio::test]
async fn attack_41_a_manager_that_never_answers_is_given_up() {
    let server = RawServer::start(vec![Act::Stall]).await;
    let config = ManagerConfig { timeout: Duration::from_millis(300), ..config(&server.base_url()) };
    let error = ManagerClient::new(config).unwrap().get(&["social"], &[]).await.unwrap_err();
    assert!(matches!(error, CallError::NoAnswer { reason: Unusable::Timeout, .. }), "{error:?}");
}

#[tokio::test]
async fn a_status_stands_even_where_its_body_is_endless_or_cut() {
    let error = failure(Act::Endless("HTTP/1.1 429 X\r\nretry-after: 3\r\n\r\n")).await;
    assert_eq!(error.class(), Class::Retry { after: Some(Duration::from_secs(3)) });
    let error = failure(Act::Send(b"HTTP/1.1 400 X\r\ncontent-length: 50\r\n\r\n{".to_vec())).await;
    assert!(matches!(error, CallError::Rejected { status: 400, .. }), "{error:?}");
}

#[tokio::test]
async fn a_refused_connection_reached_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = ManagerClient::new(config(&format!("http://{address}"))).unwrap();
    let error = client.get(&["social", "links"], &[]).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Retry { after: None });
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = RawServer::json("200 OK", r#"{"success":true}"#).await;
    let head = format!("location: {}/\r\n", target.base_url());
    let error = failure(Act::Send(answer("302 Found", &head, ""))).await;
    assert!(matches!(error, CallError::Redirected { status: 302 }), "{error:?}");
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn attack_41_messages_are_bounded_escaped_and_free_of_the_key() {
    let message = format!("bad key {KEY} \\u001b[31m{}", "đ".repeat(5000));
    let body = format!(r#"{{"success":false,"message":"{message}"}}"#);
    let error = failure(Act::Send(answer("400 X", "", &body))).await;
    let CallError::Rejected { message, .. } = error else { panic!("{error:?}") };
    assert!(message.starts_with("bad key [key] \\u{1b}[31mđđđ"), "{message}");
    assert_eq!(message.chars().count(), 301);
}

#[tokio::test]
async fn paths_that_a_url_would_bend_are_not_sent() {
    let server = RawServer::json("200 OK", r#"{"success":true}"#).await;
    let client = ManagerClient::new(config(&server.base_url())).unwrap();
    let long = "a".repeat(201);
    for id in ["", ".", "..", "a\nb", "a\0", long.as_str()] {
        let error = client.get(&["social", "accounts", id], &[]).await.unwrap_err();
        assert!(matches!(error, CallError::Unsendable { .. }), "{id:?}: {error:?}");
        assert_eq!(error.class(), Class::Permanent);
    }
    assert!(server.requests().is_empty());
    assert!(is_id(&long[..200]) && is_id("...") && is_id("a b/đ"));
}

#[test]
fn a_client_is_made_only_of_a_sound_configuration() {
    let sound = || config("https://manager.example");
    assert!(ManagerClient::new(sound()).is_ok());
    for key in ["", "two words", "line\n", "đ", &"k".repeat(1025)] {
        let made = ManagerClient::new(ManagerConfig { key: Secret::copy_of(key), ..sound() });
        assert!(matches!(made, Err(ConfigError::Key)), "{key:?}");
    }
    for seconds in [0, 601] {
        let made = ManagerClient::new(ManagerConfig { timeout: Duration::from_secs(seconds), ..sound() });
        assert!(matches!(made, Err(ConfigError::Timeout)), "{seconds}");
    }
    let made = ManagerClient::new(ManagerConfig { user_agent: "a\nb".to_owned(), ..sound() });
    assert!(matches!(made, Err(ConfigError::Client(_))));
    let made = ManagerClient::new(ManagerConfig { extra_roots_pem: Some(b"none".to_vec()), ..sound() });
    assert!(matches!(made, Err(ConfigError::Tls(_))));
}

#[test]
fn neither_configuration_nor_client_shows_the_key() {
    let shown = format!("{:?}", config("https://manager.example"));
    let client = format!("{:?}", ManagerClient::new(config("https://manager.example")).unwrap());
    assert!(!shown.contains(KEY) && !client.contains(KEY), "{shown} {client}");
}
