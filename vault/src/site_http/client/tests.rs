//! Where requests go and where they do not, against real servers on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::net::TcpListener;
use url::Url;

use super::super::testing::{Answer, NOW_MS, Server, client_at, get};
use crate::{
    cookies::Jar,
    limits::{REDIRECTS_MAX, SITE_BODY_MAX_BYTES},
    model::Secret,
    site_http::{SiteError, SiteRequest},
};

fn form(url: Url) -> SiteRequest<'static> {
    SiteRequest::post_form(url, [("name", "amy"), ("password", "p&=ä")].into_iter())
}

fn jar_at(url: &Url) -> Jar {
    let mut jar = Jar::new();
    let _ = jar.store(url, b"sid=secret; Path=/", NOW_MS);
    jar
}

#[tokio::test]
async fn attack_40_a_redirect_to_a_foreign_origin_is_never_followed() {
    let foreign = Arc::new(Server::start(|_| Answer::new(200, "stolen")).await);
    for status in [301, 302, 303, 307, 308] {
        let to = foreign.url("/take?from=us").to_string();
        let site = Server::start(move |_| Answer::redirect(status, &to).with("set-cookie", "kept=1")).await;
        let client = client_at(&[&site.origin()]);
        let url = site.url("/login");
        for request in [SiteRequest::get(url.clone()), form(url.clone())] {
            let mut jar = jar_at(&url);
            let error = client.send(request, &mut jar).await.unwrap_err();
            assert!(matches!(&error, SiteError::ForeignRedirect { to_origin } if *to_origin == foreign.origin()));
            assert!(!error.nothing_sent() && !error.to_string().contains("take"));
            assert_eq!(jar.names_for(&url, NOW_MS), ["sid", "kept"], "what the site itself set is kept");
        }
        assert_eq!(site.seen().len(), 2);
    }
    assert!(foreign.seen().is_empty());
}

#[tokio::test]
async fn attack_40_a_url_of_a_foreign_origin_is_never_asked() {
    let server = Server::start(|_| Answer::new(200, "")).await;
    let client = client_at(&["https://a.example"]);
    let error = get(&client, server.url("/")).await.unwrap_err();
    assert!(matches!(error, SiteError::ForeignUrl { .. }) && error.nothing_sent());
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn cookies_are_taken_and_given_hop_by_hop() {
    let site = Server::start(|seen| match seen.target.as_str() {
        "/start" => Answer::redirect(302, "/in/next").with("set-cookie", "a=1").with("set-cookie", "b=2; Path=/in"),
        "/in/next" => Answer::redirect(302, "/end").with("set-cookie", "a=; Expires=Thu, 1 Jan 1970 00:00:00 GMT"),
        _ => Answer::new(200, "done"),
    })
    .await;
    let (client, mut jar) = (client_at(&[&site.origin()]), Jar::new());
    // The default path of the deletion is /in, so it spares the cookie of the root.
    let page = client.send(SiteRequest::get(site.url("/start")), &mut jar).await.unwrap();
    let cookies: Vec<_> = site.seen().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
    assert_eq!(cookies, [None, Some("b=2; a=1".to_owned()), Some("a=1".to_owned())]);
    assert_eq!((page.status, page.hops.len(), page.url.path()), (200, 2, "/end"));
    assert_eq!(page.deleted_cookies, ["a"]);
}

#[tokio::test]
async fn a_redirect_changes_the_method_as_the_standard_says() {
    for (status, line, body) in [
        (301, "GET /end", ""),
        (302, "GET /end", ""),
        (303, "GET /end", ""),
        (307, "POST /end", "name=amy&password=p%26%3D%C3%A4"),
        (308, "POST /end", "name=amy&password=p%26%3D%C3%A4"),
    ] {
        let site = Server::start(move |seen| match seen.target.as_str() {
            "/start" => Answer::redirect(status, "/end"),
            _ => Answer::new(200, ""),
        })
        .await;
        let client = client_at(&[&site.origin()]);
        client.send(form(site.url("/start")), &mut Jar::new()).await.unwrap();
        let last = site.seen().pop().unwrap();
        assert_eq!((last.line().as_str(), last.body.as_str()), (line, body), "{status}");
        assert_eq!(last.header("content-type").is_some(), !body.is_empty(), "{status}");
    }
}

#[tokio::test]
async fn another_listed_origin_gets_neither_body_nor_password_nor_the_cookies_of_the_first() {
    let other = Server::start(|_| Answer::new(200, "other")).await;
    let to = format!("{}/x", other.origin_as("b.example"));
    let site = Server::start(move |seen| Answer::redirect(if seen.target == "/keep" { 307 } else { 302 }, &to)).await;
    let client = client_at(&[&site.origin_as("a.example"), &other.origin_as("b.example")]);
    let at = |path: &str| Url::parse(&format!("{}{path}", site.origin_as("a.example"))).unwrap();
    let (secret, nonce) = (Secret::copy_of("app pass"), Secret::copy_of("n0nce"));

    let mut jar = jar_at(&at("/"));
    let error = client.send(form(at("/keep")), &mut jar).await.unwrap_err();
    assert!(matches!(error, SiteError::BodyToOtherOrigin { .. }), "{error}");
    assert!(other.seen().is_empty());

    let request = SiteRequest::get(at("/go")).basic("amy", &secret).header("x-nonce", &nonce).unwrap();
    client.send(request, &mut jar).await.unwrap();
    let (first, second) = (site.seen().pop().unwrap(), other.seen().pop().unwrap());
    assert_eq!(first.header("authorization"), Some("Basic YW15OmFwcCBwYXNz"));
    assert_eq!((first.header("x-nonce"), first.header("cookie")), (Some("n0nce"), Some("sid=secret")));
    for name in ["authorization", "x-nonce", "cookie", "referer"] {
        assert_eq!(second.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_password_in_a_redirect_becomes_no_authorization() {
    let site = Server::start(|seen| match seen.target.as_str() {
        "/start" => Answer::redirect(302, &format!("http://u:p@{}/end", seen.header("host").unwrap())),
        _ => Answer::new(200, ""),
    })
    .await;
    get(&client_at(&[&site.origin()]), site.url("/start")).await.unwrap();
    assert_eq!(site.lines(), ["GET /start", "GET /end"]);
    assert_eq!(site.seen().pop().unwrap().header("authorization"), None);
}

#[tokio::test]
async fn attack_41_endless_redirects_end() {
    let site = Server::start(|_| Answer::redirect(302, "/again")).await;
    let error = get(&client_at(&[&site.origin()]), site.url("/")).await.unwrap_err();
    assert!(matches!(error, SiteError::TooManyRedirects { limit: REDIRECTS_MAX }));
    assert_eq!(site.seen().len(), REDIRECTS_MAX + 1);
}

#[tokio::test]
async fn a_redirect_can_be_left_for_the_caller() {
    let site = Server::start(|_| Answer::redirect(302, "https://elsewhere.example/u/1")).await;
    let client = client_at(&[&site.origin()]);
    let page = client.send(form(site.url("/post")).without_redirects(), &mut Jar::new()).await.unwrap();
    assert_eq!((page.status, page.hops.len()), (302, 1));
    assert_eq!(page.hops.first().unwrap().to.as_str(), "https://elsewhere.example/u/1");
    assert_eq!(site.seen().len(), 1);
}

#[tokio::test]
async fn locations_that_lead_nowhere_are_refused() {
    for (location, refusal) in [
        ("http://[", "no URL"),
        ("https://a b/", "no URL"),
        ("javascript:alert(1)", "null"),
        ("data:text/html,x", "null"),
        ("//evil.example/", "http://evil.example"),
        ("/\\evil.example/", "http://evil.example"),
    ] {
        let site = Server::start(move |_| Answer::redirect(302, location)).await;
        let error = get(&client_at(&[&site.origin()]), site.url("/")).await.unwrap_err();
        assert!(error.to_string().contains(refusal), "{location}: {error}");
    }
}

#[tokio::test]
async fn attack_41_a_body_is_read_to_its_bound_and_not_beyond() {
    let endless =
        || Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 65536]))));
    let site = Server::start(move |seen| match seen.target.as_str() {
        "/limit" => Answer::new(200, vec![b'x'; SITE_BODY_MAX_BYTES]),
        "/over" => Answer::new(200, vec![b'x'; SITE_BODY_MAX_BYTES + 1]),
        _ => Answer::new(200, endless()),
    })
    .await;
    let client = client_at(&[&site.origin()]);
    assert_eq!(get(&client, site.url("/limit")).await.unwrap().body.len(), SITE_BODY_MAX_BYTES);
    for path in ["/over", "/endless"] {
        let error = get(&client, site.url(path)).await.unwrap_err();
        assert!(matches!(error, SiteError::TooLarge { limit: SITE_BODY_MAX_BYTES }), "{path}: {error}");
    }
}

#[tokio::test]
async fn attack_41_an_answer_that_drips_ends_with_its_time() {
    // A byte now and then, for ever: each arrives well within any pause that a reader might allow between two.
    let drip = || {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        }))
    };
    let site = Server::start(move |_| Answer::new(200, drip())).await;
    let soon = Instant::now() + Duration::from_millis(100);
    let error = client_at(&[&site.origin()]).send(SiteRequest::get(site.url("/")).until(soon), &mut Jar::new()).await;
    assert!(matches!(error, Err(SiteError::NoAnswer { .. })), "{error:?}");
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_was_not_answered() {
    let closing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closing_at = format!("http://{}", closing.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (connection, _) = closing.accept().await.unwrap();
            connection.readable().await.unwrap();
            drop(connection);
        }
    });
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused_at = format!("http://{}", refused.local_addr().unwrap());
    drop(refused);
    let to = refused_at.clone();
    let leading_there = Server::start(move |_| Answer::redirect(302, &to)).await;

    for (origin, sent) in [(refused_at.clone(), false), (closing_at, true), (leading_there.origin(), true)] {
        let client = client_at(&[&origin, &refused_at]);
        let error = client.send(form(Url::parse(&origin).unwrap()), &mut Jar::new()).await.unwrap_err();
        assert_eq!(error.nothing_sent(), !sent, "{origin}: {error}");
        assert_eq!(matches!(error, SiteError::NoAnswer { .. }), sent, "{origin}: {error}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_request_and_a_past_one_sends_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", silent.local_addr().unwrap())).unwrap();
    let client = client_at(&[url.as_str()]);
    let soon = Instant::now() + Duration::from_millis(50);
    let error = client.send(form(url).until(soon), &mut Jar::new()).await.unwrap_err();
    assert!(matches!(error, SiteError::NoAnswer { .. }), "{error}");

    let site = Server::start(|_| Answer::new(200, "")).await;
    let client = client_at(&[&site.origin()]);
    let error = client.send(form(site.url("/")).until(Instant::now()), &mut Jar::new()).await.unwrap_err();
    assert!(error.nothing_sent());
    assert!(site.seen().is_empty());
}

#[tokio::test]
async fn the_user_agent_names_the_program_and_posts_name_their_origin() {
    let site =
        Server::start(|_| Answer::new(429, "").with("retry-after", "7").with("content-type", "Text/HTML; x=y")).await;
    let client = client_at(&[&site.origin()]);
    let page = client.send(form(site.url("/")), &mut Jar::new()).await.unwrap();
    assert_eq!((page.retry_after, page.content_type.as_deref()), (Some(Duration::from_secs(7)), Some("text/html")));
    let seen = site.seen().pop().unwrap();
    assert!(seen.header("user-agent").unwrap().starts_with("Latchkey/"));
    assert_eq!(seen.header("origin"), Some(site.origin().as_str()));
}
