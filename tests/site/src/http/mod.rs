//! The site over HTTP: which path leads where, and what stands before every path.
//!
//! It does not know what a page says or what a form does.

mod control;
mod cookies;
mod form;
mod login;
mod media;
mod member;
mod page;
mod posting;
mod reply;
mod visitor;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use crate::fault::FaultPoint;
use crate::limits::{MAX_FORM_BYTES, MAX_POST_BYTES};
use crate::state::App;

/// Every path of the site.
pub(crate) fn router(app: Arc<App>) -> Router {
    let faulty = |point, method| with_faults(&app, point, method);
    let pages = Router::new()
        .route("/", get(member::greeting))
        .route("/login", get(login::form).merge(faulty(FaultPoint::Login, post(login::submit))))
        .route("/login/totp", get(login::code_form).merge(faulty(FaultPoint::Totp, post(login::submit_code))))
        .route("/logout", post(member::log_out))
        .route("/home", get(member::home))
        .route("/api/me", get(member::me))
        .route("/post/new", get(posting::form))
        .route("/post", faulty(FaultPoint::Post, post(posting::submit)).layer(DefaultBodyLimit::max(MAX_POST_BYTES)))
        .route("/u/{username}/post/{number}", get(posting::show))
        .route("/u/{username}/posts", get(posting::list))
        .route("/api/posts", get(posting::list_json))
        .route("/media/{file}", get(media::picture))
        .route("/away", get(member::away))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(from_fn_with_state(Arc::clone(&app), watch::observe));
    Router::new()
        .merge(pages)
        .nest("/_control", control::router(&app))
        .layer(map_response_with_state(Arc::clone(&app), watch::date))
        .with_state(app)
}

/// `method`, in front of which the faults of `point` strike.
fn with_faults(app: &Arc<App>, point: FaultPoint, method: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    method.layer(from_fn_with_state((Arc::clone(app), point), watch::strike))
}

async fn not_found() -> Response {
    page::message(StatusCode::NOT_FOUND, "missing", "There is no such page.")
}
