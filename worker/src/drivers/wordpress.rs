//! Posting to WordPress through its REST API, with a cookie session and its nonce or with an application password.
//!
//! ```text
//! who am I ─id→ images ─addresses→ POST wp/v2/posts ─201→ the link
//! ```
//!
//! Until the last request no post exists; images that were uploaded may stay behind. The API is reached below
//! `wp-json/`, which WordPress serves where permalinks are not "plain". Source: REST API Handbook, and answers of
//! WordPress 6.1. Knows no login.

mod api;

use std::sync::Arc;

use async_trait::async_trait;
use latchkey_vault::{site_http::SiteClient, sites::SitePath};
use scraper::Html;
use serde_json::{Value, json};

use super::{
    BorrowedSession, Deadline, Driver, Found, Image, NOTHING_TO_FIND, ONLY_THE_TITLE, Outcome, PostInput, TOO_LATE,
    likeness::{Likeness, runs},
    refused, retry, unknown,
};
use api::{Answer, Api};

/// WordPress at one site.
pub(super) struct WordPressDriver {
    client: Arc<SiteClient>,
    base: SitePath,
}

/// An image in the media library.
struct Uploaded {
    id: u64,
    source: String,
}

impl WordPressDriver {
    pub(super) const fn new(client: Arc<SiteClient>, base: SitePath) -> Self {
        Self { client, base }
    }

    async fn try_post(
        &self,
        session: &mut BorrowedSession<'_>,
        post: &PostInput,
        deadline: &Deadline,
    ) -> Result<Outcome, Outcome> {
        let mut api = Api::open(&self.client, &self.base, session, deadline).await?;
        author_id(&mut api).await?;
        let mut content = post.body_html.clone();
        for image in &post.images {
            let Uploaded { id, source } = upload(&mut api, image).await?;
            let (source, alt) = (escape(&source), escape(&post.title));
            content.push_str(&format!(
                "\n<figure class=\"wp-block-image\"><img src=\"{source}\" alt=\"{alt}\" class=\"wp-image-{id}\"/></figure>"
            ));
        }
        if deadline.is_past() {
            return Err(retry(TOO_LATE));
        }
        let body = json!({ "title": post.title, "content": content, "status": "publish" });
        let answer = api.post_json("wp/v2/posts", &body).await.map_err(|error| match error.nothing_sent() {
            true => retry(error),
            false => unknown(error),
        })?;
        Ok(self.read_created(&api, &answer))
    }

    fn read_created(&self, api: &Api<'_>, answer: &Answer) -> Outcome {
        let id = answer.json.get("id").and_then(Value::as_u64);
        match (answer.page.status, id, answer.json.get("status").and_then(Value::as_str)) {
            (201, Some(id), Some("publish")) => Outcome::Done { link: self.link(&answer.json, id) },
            (201, Some(id), _) => refused(format!("post {id} was created, but it waits to be published")),
            (400..=499, ..) => api.refusal(answer).unwrap_or_else(|| unexplained(answer)),
            _ => unexplained(answer),
        }
    }

    /// The address that WordPress gives the post, or the one that leads to it by its number.
    fn link(&self, post: &Value, id: u64) -> String {
        let site = self.client.site();
        let given = post.get("link").and_then(Value::as_str).and_then(|link| url::Url::parse(link).ok());
        let by_number = || site.resolve(&format!("{}?p={id}", self.base.as_str()));
        given.filter(|link| site.allows(link)).or_else(by_number).map(String::from).unwrap_or_default()
    }

    async fn try_find(
        &self,
        session: &mut BorrowedSession<'_>,
        post: &PostInput,
        deadline: &Deadline,
    ) -> Result<Found, String> {
        if post.title.trim().is_empty() && post.visible_marker().is_none() {
            return Err(NOTHING_TO_FIND.to_owned());
        }
        let mut api = Api::open(&self.client, &self.base, session, deadline).await.map_err(inconclusive)?;
        let author = author_id(&mut api).await.map_err(inconclusive)?;
        // The search goes back to the beginning, the newest posts do not depend on how a site searches.
        let search = [("search", post.title.as_str())];
        let mut has_title = false;
        for filter in [&search[..], &[]] {
            let listed = list(&mut api, author, filter).await?;
            for found in &listed {
                match likeness(found, post) {
                    Likeness::Same => {
                        let id = found.get("id").and_then(Value::as_u64).unwrap_or_default();
                        return Ok(Found::Yes { link: self.link(found, id) });
                    }
                    Likeness::OnlyTitle => has_title = true,
                    Likeness::Other => {}
                }
            }
        }
        if has_title { Err(ONLY_THE_TITLE.to_owned()) } else { Ok(Found::No) }
    }
}

#[async_trait]
impl Driver for WordPressDriver {
    fn takes_app_password(&self) -> bool {
        true
    }

    async fn post(&self, session: &mut BorrowedSession<'_>, post: &PostInput, deadline: &Deadline) -> Outcome {
        self.try_post(session, post, deadline).await.unwrap_or_else(|ended| ended)
    }

    async fn find_post(&self, session: &mut BorrowedSession<'_>, post: &PostInput, deadline: &Deadline) -> Found {
        self.try_find(session, post, deadline).await.unwrap_or_else(Found::Inconclusive)
    }
}

/// Whose session this is, which shows that it lives before anything is sent that changes the site.
async fn author_id(api: &mut Api<'_>) -> Result<u64, Outcome> {
    let answer = api.get("wp/v2/users/me", &[("_fields", "id")]).await.map_err(retry)?;
    let id = answer.json.get("id").and_then(Value::as_u64);
    id.filter(|_| answer.page.status == 200).ok_or_else(|| before_the_post(api, &answer))
}

async fn upload(api: &mut Api<'_>, image: &Image) -> Result<Uploaded, Outcome> {
    let answer = api.post_file("wp/v2/media", image).await.map_err(retry)?;
    let id = answer.json.get("id").and_then(Value::as_u64);
    let source = answer.json.get("source_url").and_then(Value::as_str);
    match (answer.page.status, id, source) {
        (201, Some(id), Some(source)) => Ok(Uploaded { id, source: source.to_owned() }),
        _ => Err(before_the_post(api, &answer)),
    }
}

async fn list(api: &mut Api<'_>, author: u64, filter: &[(&str, &str)]) -> Result<Vec<Value>, String> {
    let author = author.to_string();
    let fixed = [
        ("author", author.as_str()),
        ("context", "edit"),
        ("per_page", "50"),
        ("orderby", "date"),
        ("order", "desc"),
        ("_fields", "id,link,title,content"),
    ];
    let answer = api.get("wp/v2/posts", &[&fixed, filter].concat()).await.map_err(|error| error.to_string())?;
    match answer.json {
        Value::Array(posts) if answer.page.status == 200 => Ok(posts),
        _ => Err(format!("the posts are answered with status {}", answer.page.status)),
    }
}

/// Whether a listed post has this title, letter by letter, and marker and texts.
fn likeness(listed: &Value, post: &PostInput) -> Likeness {
    let raw = |field: &str| plain(listed.pointer(&format!("/{field}/raw")).and_then(Value::as_str).unwrap_or_default());
    let (title, content) = (raw("title"), raw("content"));
    let has = |text: &str| {
        let text = plain(text);
        title.contains(&text) || content.contains(&text)
    };
    Likeness::of(
        &post.title,
        |wanted| title == plain(wanted),
        || post.visible_marker().is_none_or(has) && runs(&post.body_html).into_iter().all(has),
    )
}

/// What an unexpected answer means while no post exists.
fn before_the_post(api: &Api<'_>, answer: &Answer) -> Outcome {
    api.refusal(answer).unwrap_or_else(|| Outcome::Retry {
        after: answer.page.retry_after,
        reason: format!("{} (status {})", api::code(answer), answer.page.status),
    })
}

fn unexplained(answer: &Answer) -> Outcome {
    unknown(format!("the post was answered with {} (status {})", api::code(answer), answer.page.status))
}

/// Why a look-up ended before it began.
fn inconclusive(ended: Outcome) -> String {
    ended.reason().to_owned()
}

/// Text as a reader sees it: WordPress stores `&` in titles as `&amp;` where the author may not post raw HTML. Tags
/// stay in, since a marker may be a link's address.
fn plain(text: &str) -> String {
    let escaped = text.replace('<', "&lt;");
    let decoded: String = Html::parse_fragment(&escaped).root_element().text().collect();
    decoded.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
