//! Writing, showing and finding posts.
//!
//! It does not know how a form is read from a request.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::form::PostForm;
use super::visitor::{Visitor, basic_verdict};
use super::{page, reply};
use crate::limits::MAX_TITLE_CHARS;
use crate::posts::{Draft, Post};
use crate::state::{App, Verdict};
use crate::token::same_secret;

/// The query of a look-up page.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct MarkerQuery {
    marker: String,
}

/// The query of a look-up by program.
#[derive(Deserialize)]
pub(super) struct PostsQuery {
    username: String,
    #[serde(default)]
    q: String,
}

/// `GET /post/new`
pub(super) async fn form(Shared(app): Shared<Arc<App>>, visitor: Visitor, headers: HeaderMap) -> Response {
    match basic_verdict(&app, &headers) {
        // Whoever proves an app password with each request needs no token against forged ones.
        Some(Verdict::Granted { username }) => return page::new_post(&username, ""),
        Some(verdict) => return reply::api_refusal(&verdict),
        None => {}
    }
    visitor.member_page(&app, |member| page::new_post(&member.username, &member.csrf))
}

/// `POST /post`
pub(super) async fn submit(
    Shared(app): Shared<Arc<App>>,
    visitor: Visitor,
    headers: HeaderMap,
    request: Request,
) -> Response {
    // The form is read whoever sent it: an answer before the end of a body may never be seen.
    let form = match PostForm::read(request).await {
        Ok(form) => form,
        Err(status) => return page::message(status, "error", "The form cannot be read."),
    };
    match basic_verdict(&app, &headers) {
        Some(Verdict::Granted { username }) => publish(&app, &username, form.draft, true),
        Some(verdict) => reply::api_refusal(&verdict),
        None => visitor.member_page(&app, |member| {
            if !same_secret(&member.csrf, &form.csrf_token) {
                app.lock().ledger.forged_forms += 1;
                return page::forged();
            }
            if !member.has_extra_cookie {
                let text = "A cookie that was set at login is missing.";
                return page::message(StatusCode::FORBIDDEN, "forged", text);
            }
            publish(&app, &member.username, form.draft, false)
        }),
    }
}

/// `GET /u/{username}/post/{number}`
pub(super) async fn show(Shared(app): Shared<Arc<App>>, Path((username, number)): Path<(String, u64)>) -> Response {
    match app.lock().board.find(&username, number) {
        Some(post) => page::post(post),
        None => page::message(StatusCode::NOT_FOUND, "missing", "There is no such post."),
    }
}

/// `GET /u/{username}/posts?marker=`
pub(super) async fn list(
    Shared(app): Shared<Arc<App>>,
    Path(username): Path<String>,
    Query(query): Query<MarkerQuery>,
) -> Response {
    let state = app.lock();
    let found = state.board.search(&username, &query.marker);
    page::post_links(found.into_iter().map(|post| (path_of(&username, post.number), post.title.as_str())))
}

/// `GET /api/posts?username=&q=`
pub(super) async fn list_json(Shared(app): Shared<Arc<App>>, Query(query): Query<PostsQuery>) -> Response {
    let state = app.lock();
    let describe = |post: &Post| {
        let url = path_of(&post.username, post.number);
        json!({"number": post.number, "url": url, "title": post.title})
    };
    let found = state.board.search(&query.username, &query.q);
    Json(found.into_iter().map(describe).collect::<Vec<Value>>()).into_response()
}

fn publish(app: &App, username: &str, draft: Draft, by_app_password: bool) -> Response {
    let title_chars = draft.title.chars().count();
    if draft.title.trim().is_empty() || title_chars > MAX_TITLE_CHARS {
        let text = "The title is missing or too long.";
        return page::message(StatusCode::UNPROCESSABLE_ENTITY, "error", text);
    }
    let now_unix_s = app.now_unix_s();
    match app.lock().publish(username, draft, by_app_password, now_unix_s) {
        Ok(number) => reply::found(&path_of(username, number)),
        Err(_) => {
            let text = "The site keeps no more posts.";
            page::message(StatusCode::INSUFFICIENT_STORAGE, "error", text)
        }
    }
}

/// The path of a post; any username fits into it.
fn path_of(username: &str, number: u64) -> String {
    // A plus stands for a space only in forms; a real plus is encoded by then.
    let segment = byte_serialize(username.as_bytes()).collect::<String>().replace('+', "%20");
    format!("/u/{segment}/post/{number}")
}
