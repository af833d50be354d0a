//! Servers on loopback for the tests of everything that speaks to a site: what they answer is a closure, and what
//! they were asked is kept.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

use super::{
    SiteClient, SiteError, SiteRequest,
    page::{Hop, Page},
    transport::{Lookup, Transport},
};
use crate::{
    cookies::Jar,
    model::ManualClock,
    sites::{Site, Sites},
};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What the server answers.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

/// A running server; it stops when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

type Handler = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

impl Seen {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// `METHOD target`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Body>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn redirect(status: u16, to: &str) -> Self {
        Self::new(status, Body::empty()).with("location", to)
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state = (Arc::clone(&seen), Arc::new(answer) as Handler);
        let app = Router::new().fallback(serve).with_state(state);
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, seen, task }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A URL of this server under another name, which [`loopback_transport`] resolves.
    pub(crate) fn origin_as(&self, name: &str) -> String {
        format!("http://{name}:{}", self.port)
    }

    pub(crate) fn url(&self, target: &str) -> Url {
        Url::parse(&format!("{}{target}", self.origin())).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State((seen, answer)): State<(Arc<Mutex<Vec<Seen>>>, Handler)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let target = head.uri.path_and_query().unwrap().to_string();
    let body = String::from_utf8_lossy(&body).into_owned();
    let asked = Seen { method: head.method, target, headers: head.headers, body };
    seen.lock().unwrap().push(asked.clone());
    let Answer { status, headers, body } = answer(&asked);
    let builder =
        headers.into_iter().fold(Response::builder().status(status), |b, (name, value)| b.header(name, value));
    builder.body(body).unwrap()
}

/// Resolves each name to the given addresses.
pub(crate) struct FixedNames(pub(crate) Vec<SocketAddr>);

#[async_trait]
impl Lookup for FixedNames {
    async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.clone())
    }
}

/// A transport for which every name leads to 127.0.0.1.
pub(crate) fn loopback_transport() -> Transport {
    transport_to(&["127.0.0.1"])
}

pub(crate) fn transport_to(addresses: &[&str]) -> Transport {
    let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
    Transport::with_lookup(None, Arc::new(FixedNames(addresses))).unwrap()
}

/// The one site of a sites file whose lines follow `domain` and `allow_http`.
pub(crate) fn site(lines: &str) -> Arc<Site> {
    let text = format!("[[site]]\ndomain = \"a.example\"\nallow_http = true\n{lines}\n");
    let sites = Sites::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    Arc::clone(sites.find("a.example").unwrap())
}

pub(crate) fn client(lines: &str) -> Arc<SiteClient> {
    Arc::new(SiteClient::new(site(lines), loopback_transport(), Arc::new(ManualClock::new(NOW_MS))))
}

/// A client of the site at these origins, without a login.
pub(crate) fn client_at(origins: &[&str]) -> Arc<SiteClient> {
    client(&format!("origins = {origins:?}\nlogin.driver = \"none\""))
}

pub(crate) async fn get(client: &SiteClient, url: Url) -> Result<Page, SiteError> {
    client.send(SiteRequest::get(url), &mut Jar::new()).await
}

/// A page as though it had been answered at the end of these redirects.
pub(crate) fn page(status: u16, body: &str, locations: &[&str]) -> Page {
    let here = Url::parse("https://a.example/").unwrap();
    let hops = locations.iter().map(|to| Hop { status: 302, to: here.join(to).unwrap() }).collect();
    Page {
        url: here,
        status,
        hops,
        body: body.to_owned().into(),
        content_type: None,
        retry_after: None,
        date_ms: None,
        deleted_cookies: Vec::new(),
    }
}

/// 2026-11-22, in Unix milliseconds.
pub(crate) const NOW_MS: i64 = 1_795_305_600_000;
