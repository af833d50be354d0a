//! Answers that are no pages: redirects, cookies to set, refusals in JSON.
//!
//! It does not know when which of them is due.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::page;
use crate::account::Stop;
use crate::state::Verdict;

/// A redirect with this status.
pub(super) fn redirect(status: StatusCode, to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(location) => (status, [(header::LOCATION, location)]).into_response(),
        Err(_) => page::message(StatusCode::BAD_REQUEST, "error", "That address fits no header."),
    }
}

/// The usual redirect: 302.
pub(super) fn found(to: &str) -> Response {
    redirect(StatusCode::FOUND, to)
}

/// `response`, which also sets these cookies, each given as a whole `Set-Cookie` line.
pub(super) fn with_cookies(mut response: Response, lines: &[String]) -> Response {
    for line in lines {
        let Ok(value) = HeaderValue::from_str(line) else {
            // Names, paths and dates of cookies come from the configured behaviour.
            let text = "A configured cookie fits no header.";
            return page::message(StatusCode::INTERNAL_SERVER_ERROR, "error", text);
        };
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// What a program gets for a verdict that is a refusal.
pub(super) fn api_refusal(verdict: &Verdict) -> Response {
    match verdict {
        Verdict::Stopped(stop) => api_stopped(*stop),
        _ => api_unauthenticated(),
    }
}

/// 401: log in first.
pub(super) fn api_unauthenticated() -> Response {
    let body = Json(json!({"error": "unauthenticated"}));
    let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="practice site""#)];
    (StatusCode::UNAUTHORIZED, challenge, body).into_response()
}

/// 403, with what stops the account as the reason.
pub(super) fn api_stopped(stop: Stop) -> Response {
    (StatusCode::FORBIDDEN, Json(json!({"error": stop}))).into_response()
}
