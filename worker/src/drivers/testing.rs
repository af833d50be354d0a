//! A site on loopback for the drivers' tests: what it answers is a closure, and what it was asked is kept.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
};
use latchkey_vault::{
    ManualClock, Secret,
    cookies::Jar,
    site_http::{SiteClient, Transport},
    sites::{Site, Sites},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{BorrowedSession, Deadline, Driver, Found, Image, Outcome, PostInput, build_driver};

/// A request as the site saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// A running site; it stops when dropped.
pub(super) struct Server {
    pub(super) origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// Status, location and body of an answer; `None` closes the connection without one.
pub(super) type Answer = Option<(u16, String, String)>;

type Handler = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

impl Seen {
    /// `METHOD target`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(super) fn answer(status: u16, body: impl Into<String>) -> Answer {
    Some((status, String::new(), body.into()))
}

pub(super) fn redirect(to: &str) -> Answer {
    Some((302, to.to_owned(), String::new()))
}

impl Server {
    pub(super) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state = (Arc::clone(&seen), Arc::new(answer) as Handler);
        let app = Router::new().fallback(serve).with_state(state);
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { origin, seen, task }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// The site of these further lines of a sites file.
    pub(super) fn site(&self, lines: &str) -> Arc<Site> {
        let text = format!("[[site]]\ndomain = \"a.example\"\norigins = [\"{}\"]\n{lines}\n", self.origin);
        let sites = Sites::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        Arc::clone(sites.find("a.example").unwrap())
    }

    pub(super) fn driver(&self, lines: &str) -> Arc<dyn Driver> {
        let transport = Transport::new(None).unwrap();
        build_driver(Arc::new(SiteClient::new(self.site(lines), transport, Arc::new(ManualClock::new(NOW_MS)))))
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State((seen, handler)): State<(Arc<Mutex<Vec<Seen>>>, Handler)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let target = head.uri.path_and_query().unwrap().to_string();
    let body = String::from_utf8_lossy(&body).into_owned();
    let asked = Seen { method: head.method, target, headers: head.headers, body };
    seen.lock().unwrap().push(asked.clone());
    let (status, location, body) = match handler(&asked) {
        Some(answer) => answer,
        // A body that breaks off before its end is what a lost answer looks like to the client.
        None => {
            let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("gone"))]);
            return axum::body::Body::from_stream(broken).into_response();
        }
    };
    let builder = Response::builder().status(status);
    let builder = if location.is_empty() { builder } else { builder.header("location", location) };
    builder.body(body.into()).unwrap()
}

pub(super) fn post() -> PostInput {
    PostInput {
        title: "Tea & \"Cake\" < 3".to_owned(),
        body_html: "<p>Read <a href=\"https://c.example/?a=1&amp;b=2\">more</a></p>".to_owned(),
        images: Vec::new(),
        marker: "https://c.example/?a=1".to_owned(),
    }
}

pub(super) fn image() -> Image {
    Image { name: "image-1.png".to_owned(), mime: "image/png", bytes: Bytes::from_static(b"\x89PNG\r\n\x1a\n") }
}

pub(super) fn later() -> Deadline {
    Deadline::new(Instant::now() + Duration::from_secs(60))
}

/// Posts with a session of one cookie, `sid=live`, or with an app password.
pub(super) async fn publish(
    driver: &dyn Driver,
    origin: &str,
    post: &PostInput,
    app_password: Option<&Secret>,
) -> Outcome {
    let mut jar = live_jar(origin);
    let mut session = BorrowedSession { jar: &mut jar, username: Some("amy"), app_password };
    driver.post(&mut session, post, &later()).await
}

pub(super) async fn find(driver: &dyn Driver, origin: &str, post: &PostInput) -> Found {
    let mut jar = live_jar(origin);
    let mut session = BorrowedSession { jar: &mut jar, username: Some("amy"), app_password: None };
    driver.find_post(&mut session, post, &later()).await
}

fn live_jar(origin: &str) -> Jar {
    let mut jar = Jar::new();
    jar.import_flat(&origin.parse().unwrap(), &Secret::copy_of("sid=live"), NOW_MS).unwrap();
    jar
}

/// 2026-11-22, in Unix milliseconds.
const NOW_MS: i64 = 1_795_305_600_000;
