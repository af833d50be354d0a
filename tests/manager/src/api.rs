//! The seven calls over HTTP: reading them, striking them with faults, doing them, noting them down.
//!
//! Deliberately knows nothing of what the calls mean: `book` does the work.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{
    ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Query, RawPathParams, Request, State,
};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use serde_json::{Map, Value};

use crate::account::Patch;
use crate::answer::Answer;
use crate::book::Call;
use crate::fault::{FaultKind, Injected, When};
use crate::gate::Connection;
use crate::ledger::{LedgerEntry, Sent};
use crate::limits::{LIST_DEFAULT, LIST_MAX, MAX_BODY_BYTES, MAX_ERROR_MESSAGE_CHARS};
use crate::manager::Shared;
use crate::refusal::Refusal;
use crate::words::Route;

/// The API's router, below `/api/v1/social`.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let call = |route: Route, method: MethodFilter| {
        on(method, move |State(shared): State<Arc<Shared>>, arrival: Arrival| async move {
            serve(&shared, route, arrival).await
        })
    };
    let account = || call(Route::AccountRead, MethodFilter::GET).merge(call(Route::AccountPut, MethodFilter::PUT));
    let social = Router::new()
        .route("/links", call(Route::List, MethodFilter::GET))
        .route("/links/{id}", call(Route::One, MethodFilter::GET))
        .route("/links/{id}/start", call(Route::Start, MethodFilter::POST))
        .route("/links/{id}/complete", call(Route::Complete, MethodFilter::POST))
        .route("/links/{id}/fail", call(Route::Fail, MethodFilter::POST))
        // Without an id the contract has words of its own, so these are routes too.
        .route("/accounts", account())
        .route("/accounts/", account())
        .route("/accounts/{id}", account())
        .with_state(shared);
    Router::new()
        .nest("/api/v1/social", social)
        .fallback(async || Answer::from(Refusal::NoEndpoint))
        .method_not_allowed_fallback(async || Answer::from(Refusal::Method))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// A request, taken apart, before anything in it is believed.
struct Arrival {
    connection: Connection,
    headers: HeaderMap,
    /// The path's id; empty where there is none.
    id: String,
    limit: Option<String>,
    body: Result<Bytes, Refusal>,
}

impl<S: Send + Sync> FromRequest<S> for Arrival {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let ConnectInfo(connection) =
            ConnectInfo::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let path = RawPathParams::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let id = path.iter().next().map(|(_, id)| id.to_owned()).unwrap_or_default();
        let limit = match Query::<Vec<(String, String)>>::from_request_parts(&mut parts, state).await {
            Ok(Query(pairs)) => pairs.into_iter().find(|(name, _)| name == "limit").map(|(_, value)| value),
            Err(rejection) => return Err(rejection.into_response()),
        };
        let headers = parts.headers.clone();
        let body = Bytes::from_request(Request::from_parts(parts, body), state).await.map_err(unread);
        Ok(Self { connection, headers, id, limit, body })
    }
}

impl Arrival {
    fn has_key(&self, key: &str) -> bool {
        self.headers.get("x-api-key").is_some_and(|sent| sent.as_bytes() == key.as_bytes())
    }

    /// Reads the call, and what it sent for the ledger, which is kept even where the call is refused.
    fn read(&self, route: Route) -> (Sent, Result<Call, Refusal>) {
        let id = self.id.clone();
        match route {
            Route::List => {
                let sent = self.limit.iter().map(|limit| ("limit".to_owned(), limit.clone())).collect();
                (sent, read_limit(self.limit.as_deref()).map(|limit| Call::List { limit }))
            }
            Route::One => (Sent::default(), Ok(Call::One { id })),
            Route::Start => (Sent::default(), Ok(Call::Start { id })),
            Route::AccountRead => (Sent::default(), self.account_id().map(|id| Call::AccountRead { id })),
            Route::Complete => self.read_body(|body| read_link(body).map(|link_post| Call::Complete { id, link_post })),
            Route::Fail => {
                self.read_body(|body| read_error(body).map(|error_message| Call::Fail { id, error_message }))
            }
            Route::AccountPut => self.read_body(|body| {
                let id = self.account_id()?;
                Ok(Call::AccountPut { id, patch: Patch::read(body)? })
            }),
        }
    }

    fn account_id(&self) -> Result<String, Refusal> {
        if self.id.trim().is_empty() { Err(Refusal::AccountIdRequired) } else { Ok(self.id.clone()) }
    }

    fn read_body(
        &self,
        call: impl FnOnce(&Map<String, Value>) -> Result<Call, Refusal>,
    ) -> (Sent, Result<Call, Refusal>) {
        match self.json() {
            Ok(body) => (sent(&body), call(&body)),
            Err(refusal) => (Sent::default(), Err(refusal)),
        }
    }

    /// The body as an object; no body at all is an empty one.
    fn json(&self) -> Result<Map<String, Value>, Refusal> {
        let body = self.body.as_ref().map_err(|refusal| *refusal)?;
        if body.is_empty() {
            return Ok(Map::new());
        }
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            return Err(Refusal::ContentType);
        }
        serde_json::from_slice(body).map_err(|_| Refusal::Json)
    }
}

/// One call from its arrival to its answer.
async fn serve(shared: &Shared, route: Route, arrival: Arrival) -> Response {
    let mut entry = LedgerEntry::new(shared.clock.now(), route, &arrival.id);
    if !arrival.has_key(&shared.api_key) {
        return finish(shared, entry, Err(Refusal::Key), &arrival.connection);
    }
    let (sent, call) = arrival.read(route);
    entry.sent = sent;
    entry.fault = shared.state().faults.strike(route, &arrival.id);
    match entry.fault {
        Some(Injected { when: When::Before, kind: FaultKind::Slow { ms } }) => {
            let unserved = Unserved::new(shared, &entry);
            if !arrival.connection.outlives(Duration::from_millis(ms)).await {
                return nothing().into_response();
            }
            unserved.serve_now();
            entry.at = shared.clock.now();
        }
        Some(Injected { when: When::Before, kind }) => {
            let (status, response) = nothing().spoil(kind, &arrival.connection);
            shared.note(&mut shared.state(), LedgerEntry { status, ..entry });
            return response;
        }
        Some(Injected { when: When::After, .. }) | None => {}
    }
    let fault = entry.fault;
    let response = finish(shared, entry, call, &arrival.connection);
    if let Some(Injected { when: When::After, kind: FaultKind::Slow { ms } }) = fault {
        // Where the connection is cut meanwhile, nobody is left to read the answer.
        arrival.connection.outlives(Duration::from_millis(ms)).await;
    }
    response
}

/// A call in a delay before its work: where the connection ends first, the server drops the call with
/// this in it, and it is noted down as one that did nothing.
struct Unserved<'a> {
    shared: &'a Shared,
    entry: Option<LedgerEntry>,
}

impl<'a> Unserved<'a> {
    fn new(shared: &'a Shared, entry: &LedgerEntry) -> Self {
        Self { shared, entry: Some(entry.clone()) }
    }

    fn serve_now(mut self) {
        self.entry = None;
    }
}

impl Drop for Unserved<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.shared.note(&mut self.shared.state(), entry);
        }
    }
}

/// Does the work and notes it down in one step, so that the ledger's order is the order of effects.
fn finish(shared: &Shared, entry: LedgerEntry, call: Result<Call, Refusal>, connection: &Connection) -> Response {
    let mut state = shared.state();
    let (applied, answer) = match call.and_then(|call| state.book.perform(&call, entry.at)) {
        Ok(done) => (done.applied, Answer::success(done.answer)),
        Err(refusal) => (false, Answer::from(refusal)),
    };
    let (status, response) = match entry.fault {
        Some(Injected { when: When::After, kind }) => answer.spoil(kind, connection),
        _ => (Some(answer.status), answer.into_response()),
    };
    shared.note(&mut state, LedgerEntry { applied, status, ..entry });
    response
}

/// What a fault before the work has to spoil.
fn nothing() -> Answer {
    Answer::success(Map::new())
}

fn sent(body: &Map<String, Value>) -> Sent {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    body.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn read_limit(limit: Option<&str>) -> Result<usize, Refusal> {
    let Some(limit) = limit else {
        return Ok(LIST_DEFAULT);
    };
    limit.parse().ok().filter(|limit| (1..=LIST_MAX).contains(limit)).ok_or(Refusal::Limit)
}

fn read_link(body: &Map<String, Value>) -> Result<String, Refusal> {
    let link = required(body, "link_post")?;
    if link.starts_with("https://") || link.starts_with("http://") { Ok(link.to_owned()) } else { Err(Refusal::Link) }
}

fn read_error(body: &Map<String, Value>) -> Result<String, Refusal> {
    let message = required(body, "error_message")?;
    // Characters, not bytes: the messages are Vietnamese.
    if message.chars().count() > MAX_ERROR_MESSAGE_CHARS {
        Err(Refusal::MessageTooLong)
    } else {
        Ok(message.to_owned())
    }
}

fn required<'a>(body: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Err(Refusal::Missing(name)),
        Some(Value::String(text)) if text.trim().is_empty() => Err(Refusal::Missing(name)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::NotText(name)),
    }
}

fn unread(rejection: BytesRejection) -> Refusal {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        Refusal::BodyTooLarge
    } else {
        Refusal::BodyUnreadable
    }
}
