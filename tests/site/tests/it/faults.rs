//! Answers that get lost, at each form: what the client sees, and what was done all the same.
//!
//! It does not look at what the forms do without faults.

use latchkey_practice_site::{Fault, FaultPoint, FaultQueueFull, NewAccount};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::browser::{Browser, NOW, TOTP, code_at, site};

/// Each fault with the status that the client sees, `None` for a closed connection, and whether
/// the work was done.
const FAULTS: [(Fault, Option<StatusCode>, bool); 5] = [
    (Fault::CloseBefore, None, false),
    (Fault::CloseAfter, None, true),
    (Fault::ErrorBefore, Some(StatusCode::INTERNAL_SERVER_ERROR), false),
    (Fault::ErrorAfter, Some(StatusCode::INTERNAL_SERVER_ERROR), true),
    (Fault::TooManyRequests { retry_after_s: 17 }, Some(StatusCode::TOO_MANY_REQUESTS), false),
];

#[tokio::test]
async fn a_post_that_meets_a_fault_is_there_exactly_when_the_work_was_done() {
    for (fault, status, is_done) in FAULTS {
        let site = site().await;
        let mut browser = Browser::logged_in(&site, "ada", "right").await;
        let form = browser.get("/post/new").await.fill("post", &[("title", "t"), ("body", "b")]);
        site.inject(FaultPoint::Post, fault, 1).unwrap();

        let request = browser.request(Method::POST, "/post").form(&form);
        let answer = browser.try_send(request).await;
        match (&answer, status) {
            (Ok(page), Some(status)) => assert_eq!(page.status, status, "{fault:?}"),
            (Err(error), None) => {
                assert!(error.is_request() && !error.is_connect() && !error.is_timeout())
            }
            (answer, status) => panic!("{fault:?}: {answer:?} is not {status:?}"),
        }
        if let (Ok(page), Fault::TooManyRequests { .. }) = (&answer, fault) {
            assert_eq!(page.header("retry-after"), "17");
        }
        assert_eq!(site.posts("ada").len(), usize::from(is_done), "{fault:?}");

        assert_eq!(browser.post("/post", &form).await.status, StatusCode::FOUND, "the next one passes");
        assert_eq!(site.posts("ada").len(), 1 + usize::from(is_done), "{fault:?}");
    }
}

#[tokio::test]
async fn a_login_that_meets_a_fault_counts_exactly_when_the_work_was_done() {
    for (fault, status, is_done) in FAULTS {
        let site = site().await;
        let mut browser = Browser::new(&site);
        let form = browser.get("/login").await.fill("login", &[("username", "ada"), ("password", "right")]);
        site.inject(FaultPoint::Login, fault, 1).unwrap();
        let request = browser.request(Method::POST, "/login").form(&form);
        let answer = browser.try_send(request).await;
        assert_eq!(answer.ok().map(|page| page.status), status, "{fault:?}");
        assert_eq!(site.logins("ada"), u64::from(is_done), "{fault:?}");
        assert!(!browser.is_logged_in().await, "the cookie was lost with the answer");
        assert_eq!(browser.log_in("ada", "right").await.location(), "/home");
    }
}

#[tokio::test]
async fn a_code_whose_answer_is_lost_is_spent_all_the_same() {
    for (fault, _, is_done) in FAULTS {
        let site = site().await;
        site.add_account(NewAccount::new("tina", "right").totp(TOTP)).unwrap();
        site.inject(FaultPoint::Totp, fault, 1).unwrap();
        for is_first in [true, false] {
            let mut browser = Browser::new(&site);
            browser.log_in("tina", "right").await;
            let form = browser.get("/login/totp").await.fill("totp", &[("code", &code_at(NOW))]);
            let request = browser.request(Method::POST, "/login/totp").form(&form);
            let answer = browser.try_send(request).await;
            if !is_first {
                assert_eq!(answer.unwrap().has(".error"), is_done, "{fault:?}");
            }
        }
        let counts = site.counts("tina");
        assert_eq!((counts.logins, counts.totp_replays), (1, u64::from(is_done)), "{fault:?}");
    }
}

#[tokio::test]
async fn faults_strike_in_order_as_often_as_asked_and_at_their_place_only() {
    let site = site().await;
    site.inject(FaultPoint::Post, Fault::ErrorBefore, 2).unwrap();
    site.inject(FaultPoint::Post, Fault::TooManyRequests { retry_after_s: 1 }, 1).unwrap();
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    for status in [500, 500, 429, 302] {
        assert_eq!(browser.publish("t", "b").await.status, status);
    }
    site.inject(FaultPoint::Post, Fault::ErrorBefore, 0).unwrap();
    assert_eq!(browser.publish("t", "b").await.status, StatusCode::FOUND, "none was asked for");
    site.inject(FaultPoint::Post, Fault::ErrorBefore, 9).unwrap();
    site.clear_faults();
    assert_eq!(browser.publish("t", "b").await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn the_fault_queue_is_bounded() {
    let site = site().await;
    for _ in 0..256 {
        site.inject(FaultPoint::Post, Fault::ErrorBefore, u32::MAX).unwrap();
    }
    assert_eq!(site.inject(FaultPoint::Post, Fault::ErrorBefore, 1), Err(FaultQueueFull));
    assert_eq!(site.inject(FaultPoint::Login, Fault::ErrorBefore, 1), Ok(()), "each place has its own");
}

#[tokio::test]
async fn a_cut_connection_ends_without_a_single_byte() {
    for (fault, is_silent) in [(Some(Fault::CloseBefore), true), (Some(Fault::CloseAfter), true), (None, false)] {
        let site = site().await;
        if let Some(fault) = fault {
            site.inject(FaultPoint::Login, fault, 1).unwrap();
        }
        let mut socket = TcpStream::connect(site.origin().trim_start_matches("http://")).await.unwrap();
        let request = "POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\
                       Content-Type: application/x-www-form-urlencoded\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.is_empty(), is_silent, "{fault:?}");
    }
}
