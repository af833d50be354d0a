//! Answers on the wire: the usual ones, and the ones that a fault puts in their place.
//!
//! Deliberately knows nothing of what a call did: it is told.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};

use crate::fault::FaultKind;
use crate::gate::Connection;
use crate::limits::HUGE_PIECE_BYTES;
use crate::refusal::Refusal;

/// A status and a JSON body. No `Debug`: the body may hold credentials.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: String,
    retry_after_s: Option<u32>,
}

impl Answer {
    /// `{"success": true, ...}`
    pub(crate) fn success(fields: Map<String, Value>) -> Self {
        let mut body = Map::new();
        body.insert("success".to_owned(), Value::from(true));
        body.extend(fields);
        Self { status: 200, body: Value::Object(body).to_string(), retry_after_s: None }
    }

    /// `{"success": false, "message": "..."}`
    pub(crate) fn failure(status: u16, message: &str) -> Self {
        let mut body = Map::new();
        body.insert("success".to_owned(), Value::from(false));
        body.insert("message".to_owned(), Value::from(message));
        Self { status, body: Value::Object(body).to_string(), retry_after_s: None }
    }

    /// What a fault makes of the answer; a delay leaves it as it is, since it is waited for elsewhere.
    pub(crate) fn spoil(self, kind: FaultKind, connection: &Connection) -> (Option<u16>, Response) {
        let (status, response) = match kind {
            FaultKind::Close => {
                connection.cut();
                return (None, StatusCode::INTERNAL_SERVER_ERROR.into_response());
            }
            FaultKind::Slow { .. } => (self.status, self.into_response()),
            FaultKind::Status { status, retry_after_s } => {
                let answer = Self { retry_after_s, ..Self::failure(status, "injected fault") };
                (status, answer.into_response())
            }
            FaultKind::WrongKey => {
                let answer = Self::from(Refusal::Key);
                (answer.status, answer.into_response())
            }
            FaultKind::TruncatedJson => {
                let half = self.half();
                (self.status, json(self.status, Body::from(half)))
            }
            FaultKind::CutBody => {
                let whole = self.body.len();
                let mut response = json(self.status, cut_after(self.half()));
                response.headers_mut().insert(header::CONTENT_LENGTH, whole.into());
                (self.status, response)
            }
            FaultKind::Html => (200, axum::response::Html(HTML_PAGE).into_response()),
            FaultKind::Huge { bytes } => (200, json(200, blanks(bytes))),
        };
        (Some(status), response)
    }

    fn half(&self) -> Bytes {
        Bytes::copy_from_slice(self.body.as_bytes().split_at(self.body.len() / 2).0)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::failure(refusal.status(), &refusal.to_string())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = json(self.status, Body::from(self.body));
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn json(status: u16, body: Body) -> Response {
    // Statuses are our own or checked when a fault is taken, so the fallback is never seen.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

/// A body that ends in an error after these bytes, on which the server closes the connection.
fn cut_after(bytes: Bytes) -> Body {
    let broken = stream::once(async {
        // Giving way once lets the server put what it has on the wire first.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(stream::iter([Ok(bytes)]).chain(broken))
}

fn blanks(total: u64) -> Body {
    let piece = Bytes::from(vec![b' '; HUGE_PIECE_BYTES]);
    Body::from_stream(stream::unfold(total, move |left| {
        // At most HUGE_PIECE_BYTES, so it fits whatever a usize is.
        let size = usize::try_from(left).unwrap_or(HUGE_PIECE_BYTES).min(HUGE_PIECE_BYTES);
        let next = (size > 0).then(|| (Ok::<_, io::Error>(piece.slice(..size)), left - size as u64));
        async { next }
    }))
}

const HTML_PAGE: &str = "<!doctype html><html><head><title>Just a moment</title></head>\
<body><h1>The service is being restarted</h1></body></html>\n";
