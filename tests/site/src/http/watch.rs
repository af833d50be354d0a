//! What stands before the pages: the log, slowness, maintenance, faults, and the clock's date.
//!
//! It does not know which page comes after it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::sleep;

use super::{cookies, page};
use crate::behaviour::Maintenance;
use crate::connection::Wire;
use crate::fault::{Fault, FaultPoint};
use crate::ledger::RequestRecord;
use crate::limits::{MAX_LOGGED_CHARS, MAX_LOGGED_COOKIES};
use crate::state::App;

/// Logs the request, then has it wait and meet maintenance as the behaviour says.
pub(super) async fn observe(Shared(app): Shared<Arc<App>>, request: Request, next: Next) -> Response {
    let (delay_ms, maintenance) = {
        let mut state = app.lock();
        state.requests.append(record_of(&request));
        (state.behaviour.delay_ms, state.behaviour.maintenance)
    };
    if delay_ms > 0 {
        tokio::select! {
            () = sleep(Duration::from_millis(delay_ms)) => {}
            // A site that stops keeps nobody waiting.
            () = app.stop.cancelled() => {}
        }
    }
    match maintenance {
        Maintenance::Off => next.run(request).await,
        Maintenance::Page => page::maintenance(StatusCode::OK),
        Maintenance::Unavailable { retry_after_s } => {
            retry_after(page::maintenance(StatusCode::SERVICE_UNAVAILABLE), retry_after_s)
        }
    }
}

/// Carries out the next fault of this place, if one was ordered.
pub(super) async fn strike(
    Shared((app, point)): Shared<(Arc<App>, FaultPoint)>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
    next: Next,
) -> Response {
    let fault = app.lock().faults.take(point);
    match fault {
        None => next.run(request).await,
        Some(Fault::CloseBefore) => close(&wire),
        Some(Fault::CloseAfter) => {
            next.run(request).await;
            close(&wire)
        }
        Some(Fault::ErrorBefore) => broken(),
        Some(Fault::ErrorAfter) => {
            next.run(request).await;
            broken()
        }
        Some(Fault::TooManyRequests { retry_after_s }) => {
            let text = "Too many requests. Try again later.";
            let answer = page::message(StatusCode::TOO_MANY_REQUESTS, "limited", text);
            retry_after(answer, retry_after_s)
        }
    }
}

/// Dates the answer by the site's clock.
pub(super) async fn date(Shared(app): Shared<Arc<App>>, mut response: Response) -> Response {
    if let Ok(date) = HeaderValue::from_str(&cookies::http_date(app.now_unix_s())) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Cuts the wire; the answer is one that cannot be sent any more.
fn close(wire: &Wire) -> Response {
    wire.cut();
    StatusCode::NO_CONTENT.into_response()
}

fn broken() -> Response {
    page::message(StatusCode::INTERNAL_SERVER_ERROR, "broken", "Something went wrong.")
}

fn retry_after(mut response: Response, seconds: u32) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn record_of(request: &Request) -> RequestRecord {
    let headers = request.headers();
    let names = cookies::sent(headers).into_iter().map(|(name, _)| cut(&name));
    RequestRecord {
        // Given by the log.
        sequence: 0,
        host: cut(host_of(headers)),
        method: cut(request.method().as_str()),
        path: cut(request.uri().path()),
        cookie_names: names.take(MAX_LOGGED_COOKIES).collect(),
        has_authorization: headers.contains_key(header::AUTHORIZATION),
    }
}

fn host_of(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_LOGGED_CHARS).collect()
}
