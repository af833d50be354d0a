//! Pictures for others to fetch, and whether they fetched them without credentials.
//!
//! It does not know what becomes of a picture.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::page;
use crate::limits::MAX_MEDIA_NUMBER;
use crate::png::png;
use crate::state::App;

/// `GET /media/{number}.png`
pub(super) async fn picture(Shared(app): Shared<Arc<App>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    let number = file.strip_suffix(".png").and_then(|stem| stem.parse::<u32>().ok());
    let Some(number) = number.filter(|number| *number < MAX_MEDIA_NUMBER) else {
        return page::message(StatusCode::NOT_FOUND, "missing", "There is no such picture.");
    };
    let Ok(bytes) = png(number) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let has_credentials = headers.contains_key(header::COOKIE) || headers.contains_key(header::AUTHORIZATION);
    let mut state = app.lock();
    *state.ledger.media_fetches.entry(number).or_default() += 1;
    state.ledger.media_fetches_with_credentials += u64::from(has_credentials);
    ([(header::CONTENT_TYPE, "image/png")], bytes).into_response()
}
