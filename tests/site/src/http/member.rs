//! The member's own paths, the greeting, and the way out.
//!
//! It does not know posts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, Query, State as Shared};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::visitor::{Gate, Visitor, basic_verdict};
use super::{cookies, page, reply};
use crate::state::{App, Verdict};
use crate::token::same_secret;

/// The fields of the logout form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LogoutForm {
    csrf_token: String,
}

/// Where `/away` leads.
#[derive(Deserialize)]
pub(super) struct AwayQuery {
    to: String,
}

/// `GET /`
pub(super) async fn greeting() -> Response {
    page::greeting()
}

/// `GET /home`
pub(super) async fn home(Shared(app): Shared<Arc<App>>, visitor: Visitor) -> Response {
    visitor.member_page(&app, |member| page::home(&member.username, &member.csrf))
}

/// `GET /api/me`
pub(super) async fn me(Shared(app): Shared<Arc<App>>, visitor: Visitor, headers: HeaderMap) -> Response {
    let name = |username: &str| Json(json!({"username": username})).into_response();
    match basic_verdict(&app, &headers) {
        Some(Verdict::Granted { username }) => name(&username),
        Some(verdict) => reply::api_refusal(&verdict),
        None => visitor.answer(match visitor.gate() {
            Gate::Open(member) => name(&member.username),
            Gate::Stopped(stop) => reply::api_stopped(stop),
            Gate::Stranger => reply::api_unauthenticated(),
        }),
    }
}

/// `POST /logout`
pub(super) async fn log_out(Shared(app): Shared<Arc<App>>, visitor: Visitor, Form(form): Form<LogoutForm>) -> Response {
    visitor.member_page(&app, |member| {
        let mut state = app.lock();
        if !same_secret(&member.csrf, &form.csrf_token) {
            state.ledger.forged_forms += 1;
            return page::forged();
        }
        for id in &visitor.session_ids {
            state.sessions.end_by_id(id);
        }
        reply::with_cookies(reply::found("/login"), &cookies::deletions(&state.behaviour))
    })
}

/// `GET /away?to=`: the open redirect that real sites have somewhere.
pub(super) async fn away(Query(query): Query<AwayQuery>) -> Response {
    reply::found(&query.to)
}
