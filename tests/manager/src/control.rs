//! The control plane: what tests in other processes and people with curl do to a manager.
//!
//! Every call carries `X-Control-Token`. Bodies are JSON; answers have the form of the API's.
//!
//! | call | |
//! |---|---|
//! | `GET /_control/ledger?after=SEQ` | entries beyond a number (0), with the values that were sent |
//! | `GET /_control/state` | all tasks and accounts, the faults that wait, whether the API is up |
//! | `POST /_control/seed` | adds what a seed file holds |
//! | `DELETE /_control/tasks/{id}`, `DELETE /_control/accounts/{id}` | soft-deletes |
//! | `PATCH /_control/accounts/{id}` | writes fields as if somebody else had |
//! | `POST`, `DELETE /_control/faults` | adds one fault; forgets all |
//! | `POST /_control/down`, `POST /_control/up` | takes the API down, brings it up |
//!
//! Deliberately knows nothing of the contract: none of this exists at a real manager.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::fault::Fault;
use crate::limits::MAX_CONTROL_BODY_BYTES;
use crate::manager::Shared;
use crate::refusal::Refusal;
use crate::seed::Seed;

/// The control plane's router, below `/_control`.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let control = Router::new()
        .route("/ledger", get(ledger))
        .route("/state", get(state))
        .route("/seed", post(seed))
        .route("/tasks/{id}", delete(delete_task))
        .route("/accounts/{id}", delete(delete_account).patch(edit_account))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/down", post(down))
        .route("/up", post(up))
        .with_state(Arc::clone(&shared));
    Router::new()
        .nest("/_control", control)
        .fallback(async || Answer::from(Refusal::NoEndpoint))
        .method_not_allowed_fallback(async || Answer::from(Refusal::Method))
        .layer(middleware::from_fn_with_state(shared, guard))
        .layer(DefaultBodyLimit::max(MAX_CONTROL_BODY_BYTES))
}

/// Lets a request with the token pass.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get("x-control-token");
    if sent.is_some_and(|sent| sent.as_bytes() == shared.control_token.as_bytes()) {
        next.run(request).await
    } else {
        Answer::failure(401, "invalid or missing control token").into_response()
    }
}

/// The part of the ledger that is asked for.
#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    after: u64,
}

async fn ledger(State(shared): State<Arc<Shared>>, Query(since): Query<Since>) -> Answer {
    let state = shared.state();
    let entries = state.ledger.entries().filter(|entry| entry.seq > since.after);
    success([("dropped", json!(state.ledger.dropped())), ("entries", json!(entries.collect::<Vec<_>>()))])
}

async fn state(State(shared): State<Arc<Shared>>) -> Answer {
    let state = shared.state();
    success([
        ("up", json!(shared.gate.is_open())),
        ("tasks", json!(state.book.task_states().collect::<Vec<_>>())),
        ("accounts", json!(state.book.account_states().collect::<Vec<_>>())),
        ("faults", json!(state.faults.waiting())),
    ])
}

async fn seed(State(shared): State<Arc<Shared>>, body: Result<Json<Seed>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(seed)) => outcome(shared.sow(seed)),
        Err(rejection) => unread(&rejection),
    }
}

async fn add_fault(State(shared): State<Arc<Shared>>, body: Result<Json<Fault>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(fault)) => outcome(shared.state().faults.add(fault)),
        Err(rejection) => unread(&rejection),
    }
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> Answer {
    shared.state().faults.clear();
    done()
}

async fn delete_task(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    found(shared.state().book.delete_task(&id), Refusal::TaskNotFound)
}

async fn delete_account(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    found(shared.state().book.delete_account(&id), Refusal::AccountNotFound)
}

async fn edit_account(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Answer {
    let now = shared.clock.now();
    match body {
        Ok(Json(fields)) => found(shared.state().book.edit_account(&id, fields, now), Refusal::AccountNotFound),
        Err(rejection) => unread(&rejection),
    }
}

async fn down(State(shared): State<Arc<Shared>>) -> Answer {
    shared.gate.shut();
    done()
}

async fn up(State(shared): State<Arc<Shared>>) -> Answer {
    shared.gate.open();
    done()
}

fn done() -> Answer {
    success([])
}

fn success<const N: usize>(fields: [(&str, Value); N]) -> Answer {
    Answer::success(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
}

fn outcome<E: std::error::Error>(result: Result<(), E>) -> Answer {
    match result {
        Ok(()) => done(),
        Err(error) => Answer::failure(400, &error.to_string()),
    }
}

fn found(found: bool, otherwise: Refusal) -> Answer {
    if found { done() } else { Answer::from(otherwise) }
}

/// Says what is wrong with the body, position and field included: here it is the operator's own.
fn unread(rejection: &JsonRejection) -> Answer {
    Answer::failure(rejection.status().as_u16(), &rejection.body_text())
}
