//! The verbs of the handle for other processes, as JSON under `/_control`.
//!
//! It does not know what a verb does: each is one call into the state. Every request needs the
//! header `X-Control-Token`.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /accounts` | an account | 201 |
//! | `GET /accounts/{name}` | | `{"state", counts...}` |
//! | `PUT /accounts/{name}/state` | `{"state": "banned"}` | 204 |
//! | `PUT /accounts/{name}/password` | `{"password": "..."}` | 204 |
//! | `POST /accounts/{name}/sessions` | `{"expired": false}` | `{"cookie": "sid=..."}` |
//! | `DELETE /accounts/{name}/sessions` | | `{"ended": 2}` |
//! | `POST /sessions/kill` | `{"cookie": "sid=..."}` | `{"ended": 1}` |
//! | `DELETE /sessions` | | `{"ended": 7}` |
//! | `GET /behaviour` | | the behaviour |
//! | `PATCH /behaviour` | fields to replace | the behaviour |
//! | `POST /faults` | `{"point": "post", "fault": "close_after", "times": 1}` | 204 |
//! | `DELETE /faults` | | 204 |
//! | `GET /ledger`, `/posts`, `/requests` | | what the handle gives |

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::{AccountState, AddAccountError, NewAccount, NoSuchAccount};
use crate::behaviour::Behaviour;
use crate::fault::{Fault, FaultPoint, FaultQueueFull};
use crate::limits::MAX_CONTROL_BYTES;
use crate::state::App;
use crate::token::same_secret;

/// Every refusal of the control plane.
enum Refusal {
    Unauthorised,
    AddAccount(AddAccountError),
    NoSuchAccount,
    FaultQueueFull(FaultQueueFull),
    BadBehaviour,
}

#[derive(Deserialize)]
struct StateBody {
    state: AccountState,
}

#[derive(Deserialize)]
struct PasswordBody {
    password: String,
}

#[derive(Deserialize)]
struct GiveBody {
    #[serde(default)]
    expired: bool,
}

#[derive(Deserialize)]
struct CookieBody {
    cookie: String,
}

#[derive(Deserialize)]
struct FaultBody {
    point: FaultPoint,
    fault: Fault,
    times: u32,
}

type Site = Shared<Arc<App>>;
type Answer = Result<Response, Refusal>;

/// The paths below `/_control`.
pub(super) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/accounts", post(add_account))
        .route("/accounts/{name}", get(show_account))
        .route("/accounts/{name}/state", put(set_state))
        .route("/accounts/{name}/password", put(set_password))
        .route("/accounts/{name}/sessions", post(give_session).delete(expire_sessions))
        .route("/sessions", axum::routing::delete(expire_all))
        .route("/sessions/kill", post(kill_session))
        .route("/behaviour", get(show_behaviour).patch(change_behaviour))
        .route("/faults", post(inject).delete(clear_faults))
        .route("/ledger", get(ledger))
        .route("/posts", get(posts))
        .route("/requests", get(requests))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(DefaultBodyLimit::max(MAX_CONTROL_BYTES))
        .layer(from_fn_with_state(Arc::clone(app), authorise))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Unauthorised => (StatusCode::UNAUTHORIZED, "X-Control-Token is missing or wrong".to_owned()),
            Self::AddAccount(error) => (StatusCode::CONFLICT, error.to_string()),
            Self::NoSuchAccount => (StatusCode::NOT_FOUND, NoSuchAccount.to_string()),
            Self::FaultQueueFull(error) => (StatusCode::CONFLICT, error.to_string()),
            Self::BadBehaviour => (StatusCode::BAD_REQUEST, "not a behaviour".to_owned()),
        };
        (status, Json(json!({"error": text}))).into_response()
    }
}

impl From<NoSuchAccount> for Refusal {
    fn from(_: NoSuchAccount) -> Self {
        Self::NoSuchAccount
    }
}

async fn authorise(Shared(app): Site, request: Request, next: Next) -> Response {
    let sent = request.headers().get("x-control-token").and_then(|value| value.to_str().ok());
    if sent.is_some_and(|sent| same_secret(sent, &app.control_token)) {
        next.run(request).await
    } else {
        Refusal::Unauthorised.into_response()
    }
}

async fn add_account(Shared(app): Site, Json(account): Json<NewAccount>) -> Answer {
    app.lock().add_account(account).map_err(Refusal::AddAccount)?;
    Ok(StatusCode::CREATED.into_response())
}

async fn show_account(Shared(app): Site, Path(name): Path<String>) -> Answer {
    let state = app.lock();
    let account = state.accounts.find(&name).ok_or(Refusal::NoSuchAccount)?;
    let counts = state.ledger.of(&account.username);
    Ok(Json(json!({"username": account.username, "state": account.state, "counts": counts})).into_response())
}

async fn set_state(Shared(app): Site, Path(name): Path<String>, Json(body): Json<StateBody>) -> Answer {
    app.lock().set_state(&name, body.state)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn set_password(Shared(app): Site, Path(name): Path<String>, Json(body): Json<PasswordBody>) -> Answer {
    app.lock().set_password(&name, body.password)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn give_session(Shared(app): Site, Path(name): Path<String>, Json(body): Json<GiveBody>) -> Answer {
    let now = app.now_unix_s();
    let mut state = app.lock();
    let cookie = if body.expired { state.give_expired_session(&name, now)? } else { state.give_session(&name, now)? };
    Ok(Json(json!({"cookie": cookie})).into_response())
}

async fn expire_sessions(Shared(app): Site, Path(name): Path<String>) -> Answer {
    let ended = app.lock().expire_sessions(&name)?;
    Ok(Json(json!({"ended": ended})).into_response())
}

async fn expire_all(Shared(app): Site) -> Response {
    let ended = app.lock().sessions.end_all();
    Json(json!({"ended": ended})).into_response()
}

async fn kill_session(Shared(app): Site, Json(body): Json<CookieBody>) -> Response {
    let ended = usize::from(app.lock().kill_session(&body.cookie));
    Json(json!({"ended": ended})).into_response()
}

async fn show_behaviour(Shared(app): Site) -> Response {
    Json(&app.lock().behaviour).into_response()
}

async fn change_behaviour(Shared(app): Site, Json(changes): Json<Map<String, Value>>) -> Answer {
    let mut state = app.lock();
    state.behaviour = changed(&state.behaviour, changes).ok_or(Refusal::BadBehaviour)?;
    Ok(Json(&state.behaviour).into_response())
}

async fn inject(Shared(app): Site, Json(body): Json<FaultBody>) -> Answer {
    let added = app.lock().faults.add(body.point, body.fault, body.times);
    added.map_err(Refusal::FaultQueueFull)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn clear_faults(Shared(app): Site) -> StatusCode {
    app.lock().faults.clear();
    StatusCode::NO_CONTENT
}

async fn ledger(Shared(app): Site) -> Response {
    Json(&app.lock().ledger).into_response()
}

async fn posts(Shared(app): Site) -> Response {
    Json(app.lock().board.all()).into_response()
}

async fn requests(Shared(app): Site) -> Response {
    Json(app.lock().requests.newest()).into_response()
}

/// `old` with the named fields replaced; `None` where that is no behaviour any more.
fn changed(old: &Behaviour, changes: Map<String, Value>) -> Option<Behaviour> {
    let mut fields = serde_json::to_value(old).ok()?;
    fields.as_object_mut()?.extend(changes);
    serde_json::from_value(fields).ok()
}
