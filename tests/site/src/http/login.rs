//! The two steps of a login: password, then code.
//!
//! It does not know how a password or a code is checked.

use std::sync::Arc;

use axum::extract::{Form, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::visitor::{Gate, Visitor};
use super::{cookies, page, reply};
use crate::behaviour::LoginRedirect;
use crate::sessions::Visit;
use crate::state::{App, State, Verdict};
use crate::token::same_secret;

/// The fields of the login form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LoginForm {
    csrf_token: String,
    flow: String,
    username: String,
    password: String,
}

/// The fields of the code form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CodeForm {
    csrf_token: String,
    code: String,
}

/// `GET /login`
pub(super) async fn form(Shared(app): Shared<Arc<App>>, visitor: Visitor) -> Response {
    match visitor.gate() {
        Gate::Stranger => fresh_form(&app, &visitor),
        Gate::Open(_) | Gate::Stopped(_) => visitor.answer(reply::found("/home")),
    }
}

/// The login form, bound to the visit that the visitor has or begins with this answer.
pub(super) fn fresh_form(app: &App, visitor: &Visitor) -> Response {
    let mut state = app.lock();
    let State { visits, mint, .. } = &mut *state;
    match visits.resume(&visitor.session_ids) {
        Some((_, visit)) => page::login(&visit, None),
        None => {
            let (id, visit) = visits.begin(mint);
            reply::with_cookies(page::login(&visit, None), &[cookies::of_visit(&id)])
        }
    }
}

/// `POST /login`
pub(super) async fn submit(Shared(app): Shared<Arc<App>>, visitor: Visitor, Form(form): Form<LoginForm>) -> Response {
    let now_unix_s = app.now_unix_s();
    let mut state = app.lock();
    if let Some(LoginRedirect::HandOver(to)) = &state.behaviour.login_redirect {
        return reply::redirect(StatusCode::TEMPORARY_REDIRECT, to);
    }
    let is_genuine = |(_, visit): &(String, Visit)| {
        same_secret(&visit.csrf, &form.csrf_token) && same_secret(&visit.flow, &form.flow)
    };
    let Some((id, visit)) = state.visits.resume(&visitor.session_ids).filter(is_genuine) else {
        state.ledger.forged_forms += 1;
        return page::forged();
    };
    match state.try_password(&form.username, &form.password) {
        Verdict::Wrong | Verdict::Replayed => page::login(&visit, Some("wrong username or password")),
        Verdict::Stopped(stop) => page::stopped(stop),
        Verdict::CodeOwed { username } => {
            state.visits.owe_code(&id, username);
            reply::found("/login/totp")
        }
        Verdict::Granted { username } => let_in(&mut state, &id, &username, now_unix_s),
    }
}

/// `GET /login/totp`
pub(super) async fn code_form(Shared(app): Shared<Arc<App>>, visitor: Visitor) -> Response {
    match app.lock().visits.resume(&visitor.session_ids) {
        Some((_, visit)) if visit.owes_code.is_some() => page::code(&visit, None),
        _ => reply::found("/login"),
    }
}

/// `POST /login/totp`
pub(super) async fn submit_code(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    Form(form): Form<CodeForm>,
) -> Response {
    let now_unix_s = app.now_unix_s();
    let mut state = app.lock();
    let is_genuine = |(_, visit): &(String, Visit)| same_secret(&visit.csrf, &form.csrf_token);
    let Some((id, visit)) = state.visits.resume(&visitor.session_ids).filter(is_genuine) else {
        state.ledger.forged_forms += 1;
        return page::forged();
    };
    let Some(username) = &visit.owes_code else {
        return reply::found("/login");
    };
    match state.try_code(username, &form.code, now_unix_s) {
        Verdict::Granted { username } => let_in(&mut state, &id, &username, now_unix_s),
        Verdict::Replayed => page::code(&visit, Some("this code has been used already")),
        Verdict::Stopped(stop) => page::stopped(stop),
        Verdict::Wrong | Verdict::CodeOwed { .. } => page::code(&visit, Some("wrong code")),
    }
}

/// Ends the visit and opens a session under a new id, so that an id known before the login is
/// worth nothing after it.
fn let_in(state: &mut State, visit_id: &str, username: &str, now_unix_s: u64) -> Response {
    state.visits.end(visit_id);
    let ticket = state.log_in(username, now_unix_s);
    let to = match &state.behaviour.login_redirect {
        Some(LoginRedirect::AfterLogin(to)) => to.as_str(),
        _ => "/home",
    };
    reply::with_cookies(reply::found(to), &cookies::of_login(&ticket, &state.behaviour, now_unix_s))
}
