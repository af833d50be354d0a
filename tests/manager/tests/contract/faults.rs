//! Faults on demand: what the client sees, and whether the work was done.

use latchkey_manager::{Fault, FaultKind, Manager, ManagerConfig, Route, TaskStatus, When};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, answer, manager, manager_with, read};

const LINK: &str = "https://blog.example/post/1";

/// Longer than any test: who waits for it waits for ever.
const FOR_EVER: FaultKind = FaultKind::Slow { ms: 600_000 };

/// A manager whose task runs, and a fault that waits for its complete.
async fn struck(fault: Fault) -> (Manager, Client) {
    let (manager, client) = manager().await;
    client.start("t1").await.ok();
    manager.inject(fault.on(Route::Complete).of("t1")).unwrap();
    (manager, client)
}

fn complete(client: &Client) -> reqwest::RequestBuilder {
    client.request(Method::POST, "/links/t1/complete").json(&json!({ "link_post": LINK }))
}

fn status_of(manager: &Manager) -> TaskStatus {
    manager.task("t1").unwrap().status
}

/// Sends a complete over a bare socket and returns every byte that comes back before the end.
async fn complete_by_hand(manager: &Manager) -> String {
    let mut socket = TcpStream::connect(manager.base_url().trim_start_matches("http://")).await.unwrap();
    let body = json!({ "link_post": LINK }).to_string();
    let request = format!(
        "POST /api/v1/social/links/t1/complete HTTP/1.1\r\nhost: manager\r\nx-api-key: {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        manager.api_key(),
        body.len(),
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_close_before_the_work_sends_no_byte_and_does_nothing() {
    let (manager, client) = struck(Fault::before(FaultKind::Close).times(2)).await;
    assert_eq!(complete_by_hand(&manager).await, "");
    let error = complete(&client).send().await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(status_of(&manager), TaskStatus::Running);
    let ledger = manager.ledger();
    let entry = ledger.entries().next_back().unwrap();
    assert_eq!((entry.route, entry.applied, entry.status), (Route::Complete, false, None));
    assert_eq!(entry.fault.map(|fault| fault.when), Some(When::Before));
    assert_eq!(entry.sent.value("link_post"), Some(LINK), "what was asked is kept");
    answer(complete(&client)).await.ok();
    assert_eq!(manager.ledger().completes_of("t1"), 1);
}

#[tokio::test]
async fn a_close_after_the_work_sends_no_byte_and_has_done_it() {
    let (manager, client) = struck(Fault::after(FaultKind::Close)).await;
    assert_eq!(complete_by_hand(&manager).await, "");
    assert_eq!(status_of(&manager), TaskStatus::Completed);
    let ledger = manager.ledger();
    let entry = ledger.entries().next_back().unwrap();
    assert_eq!((entry.applied, entry.status), (true, None));
    answer(complete(&client)).await.ok();
    assert_eq!(manager.ledger().completes_of("t1"), 1, "the repeat did nothing");

    let (manager, client) = struck(Fault::after(FaultKind::Close)).await;
    assert!(complete(&client).send().await.unwrap_err().is_request());
    assert_eq!(status_of(&manager), TaskStatus::Completed);
}

#[tokio::test]
async fn a_close_spares_the_other_connections() {
    let (manager, client) = struck(Fault::before(FaultKind::Close)).await;
    manager.inject(Fault::before(FaultKind::Slow { ms: 1 }).on(Route::List)).unwrap();
    let (list, closed) = tokio::join!(client.get("/links"), complete(&client).send());
    list.ok();
    assert!(closed.is_err());
}

#[tokio::test]
async fn a_status_is_answered_on_either_side_of_the_work() {
    async fn check(fault: Fault, status: u16, retry_after: Option<&str>, then: TaskStatus) {
        let (manager, client) = struck(fault).await;
        let response = complete(&client).send().await.unwrap();
        assert_eq!(response.headers().get("retry-after").map(|value| value.to_str().unwrap()), retry_after);
        read(response).await.refused(status, "injected fault");
        assert_eq!(status_of(&manager), then);
        assert_eq!(manager.ledger().entries().next_back().unwrap().status, Some(status));
    }
    let status = |status, retry_after_s| FaultKind::Status { status, retry_after_s };
    check(Fault::before(status(500, None)), 500, None, TaskStatus::Running).await;
    check(Fault::after(status(500, None)), 500, None, TaskStatus::Completed).await;
    check(Fault::before(status(429, Some(30))), 429, Some("30"), TaskStatus::Running).await;
    check(Fault::after(status(503, Some(0))), 503, Some("0"), TaskStatus::Completed).await;
    // A failure with a 2xx is a failure too.
    check(Fault::before(status(200, None)), 200, None, TaskStatus::Running).await;
}

#[tokio::test]
async fn a_wrong_key_can_be_pretended() {
    let (manager, client) = struck(Fault::before(FaultKind::WrongKey)).await;
    answer(complete(&client)).await.refused(401, "invalid or missing API key");
    assert_eq!(status_of(&manager), TaskStatus::Running);
    answer(complete(&client)).await.ok();
}

#[tokio::test]
async fn truncated_json_is_a_whole_answer_that_does_not_parse() {
    let (manager, client) = struck(Fault::after(FaultKind::TruncatedJson)).await;
    let response = complete(&client).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    assert!(!text.is_empty() && r#"{"success":true}"#.starts_with(&text));
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
    assert_eq!(status_of(&manager), TaskStatus::Completed);
}

#[tokio::test]
async fn a_cut_body_promises_more_than_comes() {
    let (manager, client) = struck(Fault::after(FaultKind::CutBody)).await;
    let response = complete(&client).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.content_length()), (200, Some(16)));
    assert!(response.bytes().await.is_err());
    assert_eq!(status_of(&manager), TaskStatus::Completed);

    let (manager, _client) = struck(Fault::before(FaultKind::CutBody)).await;
    let text = complete_by_hand(&manager).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n{\"succes"), "{text}");
    assert_eq!(status_of(&manager), TaskStatus::Running);
}

#[tokio::test]
async fn a_page_of_html_comes_with_a_good_status() {
    let (manager, client) = struck(Fault::before(FaultKind::Html)).await;
    let response = complete(&client).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(response.text().await.unwrap().starts_with("<!doctype html>"));
    assert_eq!(status_of(&manager), TaskStatus::Running);
}

#[tokio::test]
async fn a_huge_body_has_exactly_its_length() {
    for bytes in [0, 1, 1_000_000] {
        let (manager, client) = struck(Fault::before(FaultKind::Huge { bytes })).await;
        let body = complete(&client).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(body.len() as u64, bytes);
        assert!(body.iter().all(|byte| *byte == b' '));
        assert_eq!(status_of(&manager), TaskStatus::Running);
    }
}

#[tokio::test]
async fn a_delay_ends_in_the_usual_answer() {
    for fault in [Fault::before(FaultKind::Slow { ms: 1 }), Fault::after(FaultKind::Slow { ms: 1 })] {
        let (manager, client) = struck(fault).await;
        answer(complete(&client)).await.ok();
        assert_eq!(manager.ledger().completes_of("t1"), 1);
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_a_delay_before_the_work_has_had_nothing_done() {
    let (manager, client) = struck(Fault::before(FOR_EVER)).await;
    let waiting = tokio::spawn(complete(&client).send());
    while !manager.waiting_faults().is_empty() {
        tokio::task::yield_now().await;
    }
    manager.down();
    assert!(waiting.await.unwrap().is_err());
    manager.wait_until(|ledger| ledger.calls(Route::Complete, "t1").count() == 1).await;
    let ledger = manager.ledger();
    let entry = ledger.calls(Route::Complete, "t1").next().unwrap();
    assert_eq!((entry.applied, entry.status), (false, None));
    assert_eq!(status_of(&manager), TaskStatus::Running);
}

#[tokio::test]
async fn a_client_that_hangs_up_in_a_delay_after_the_work_has_had_it_done() {
    let (manager, client) = struck(Fault::after(FOR_EVER)).await;
    let waiting = tokio::spawn(complete(&client).send());
    manager.wait_until(|ledger| ledger.completes_of("t1") == 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(status_of(&manager), TaskStatus::Completed);
}

#[tokio::test]
async fn a_probability_spares_and_strikes_alike_for_equal_seeds() {
    async fn pattern(seed: u64) -> Vec<bool> {
        let mut config = ManagerConfig::default();
        config.seed = seed;
        let (manager, client) = manager_with(config).await;
        let fault = Fault::before(FaultKind::Status { status: 500, retry_after_s: None });
        manager.inject(fault.on(Route::One).times(u32::MAX).probability(0.5)).unwrap();
        let mut pattern = Vec::new();
        for _ in 0..32 {
            pattern.push(client.get("/links/t1").await.status == 500);
        }
        manager.clear_faults();
        client.get("/links/t1").await.ok();
        pattern
    }
    let first = pattern(1).await;
    assert_eq!(first, pattern(1).await);
    assert!(first.contains(&true) && first.contains(&false));
}

#[tokio::test]
async fn a_manager_that_is_down_cuts_every_connection_until_it_is_up() {
    let (manager, client) = manager().await;
    client.get("/links").await.ok();
    manager.down();
    for _ in 0..3 {
        assert!(client.request(Method::GET, "/links").send().await.is_err());
    }
    // A bare socket may be let in by the kernel, but nothing answers there.
    let mut socket = TcpStream::connect(manager.base_url().trim_start_matches("http://")).await.unwrap();
    assert!(matches!(socket.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    manager.up();
    client.get("/links").await.ok();
    assert_eq!(manager.ledger().entries().count(), 2, "nothing reached the manager while it was down");
}

#[tokio::test]
async fn after_a_shutdown_nothing_listens_and_a_call_in_a_delay_is_cut() {
    let (manager, client) = struck(Fault::before(FOR_EVER)).await;
    let waiting = tokio::spawn(complete(&client).send());
    while !manager.waiting_faults().is_empty() {
        tokio::task::yield_now().await;
    }
    manager.shutdown().await;
    assert!(waiting.await.unwrap().is_err());
    assert_eq!(status_of(&manager), TaskStatus::Running);
    let control = manager.control_url().trim_start_matches("http://").trim_end_matches("/_control");
    for address in [manager.base_url().trim_start_matches("http://"), control] {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
    manager.shutdown().await;
}

#[tokio::test]
async fn a_manager_stops_when_its_last_handle_is_dropped() {
    let (manager, client) = manager().await;
    let address = manager.base_url().trim_start_matches("http://").to_owned();
    let other = manager.clone();
    drop(manager);
    client.get("/links").await.ok();
    drop(other);
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
