//! The pages, as HTML.
//!
//! Whatever came from outside goes in through [`Text`], which escapes it. It does not know who asks
//! or what was decided.

use std::fmt::{self, Write};

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::account::Stop;
use crate::posts::Post;
use crate::sessions::Visit;

/// Text from outside, escaped for HTML content and for quoted attributes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A page with one sentence in an element of class `mark`.
pub(super) fn message(status: StatusCode, mark: &'static str, sentence: &'static str) -> Response {
    page(status, &paragraph(mark, sentence))
}

/// The greeting.
pub(super) fn greeting() -> Response {
    page(StatusCode::OK, r#"<p>A site to practise on. <a href="/login">Log in</a>.</p>"#)
}

/// The login form, below an error where there is one.
pub(super) fn login(visit: &Visit, error: Option<&'static str>) -> Response {
    let error = error.map_or_else(String::new, |sentence| paragraph("error", sentence));
    let form = format!(
        r#"{error}
<form id="login" method="post" action="/login">
<input type="hidden" name="csrf_token" value="{csrf}">
<input type="hidden" name="flow" value="{flow}">
<label>Username or email <input name="username" autocomplete="username"></label>
<label>Password <input type="password" name="password" autocomplete="current-password"></label>
<button type="submit">Log in</button>
</form>"#,
        csrf = Text(&visit.csrf),
        flow = Text(&visit.flow),
    );
    page(StatusCode::OK, &form)
}

/// The form for a one-time code, below an error where there is one.
pub(super) fn code(visit: &Visit, error: Option<&'static str>) -> Response {
    let error = error.map_or_else(String::new, |sentence| paragraph("error", sentence));
    let form = format!(
        r#"{error}
<form id="totp" method="post" action="/login/totp">
<input type="hidden" name="csrf_token" value="{csrf}">
<label>Code <input name="code" inputmode="numeric" autocomplete="one-time-code"></label>
<button type="submit">Go on</button>
</form>"#,
        csrf = Text(&visit.csrf),
    );
    page(StatusCode::OK, &form)
}

/// What an account gets that may not go on.
pub(super) fn stopped(stop: Stop) -> Response {
    match stop {
        Stop::Banned => message(StatusCode::FORBIDDEN, "banned", "This account has been banned."),
        Stop::Challenged => page(StatusCode::OK, CHALLENGE),
        Stop::Locked => message(StatusCode::OK, "locked", "This account is locked after too many failed logins."),
    }
}

/// A form whose hidden fields do not fit the cookie.
pub(super) fn forged() -> Response {
    message(StatusCode::FORBIDDEN, "forged", "The form has expired. Load it again.")
}

/// The member's own page.
pub(super) fn home(username: &str, csrf: &str) -> Response {
    let body = format!(
        r#"{whoami}
<p><a href="/post/new">Write a post</a></p>
<form id="logout" method="post" action="/logout">
<input type="hidden" name="csrf_token" value="{csrf}">
<button type="submit">Log out</button>
</form>"#,
        whoami = whoami(username),
        csrf = Text(csrf),
    );
    page(StatusCode::OK, &body)
}

/// The form for a post.
pub(super) fn new_post(username: &str, csrf: &str) -> Response {
    let body = format!(
        r#"{whoami}
<form id="post" method="post" action="/post" enctype="multipart/form-data">
<input type="hidden" name="csrf_token" value="{csrf}">
<label>Title <input name="title"></label>
<label>Body <textarea name="body"></textarea></label>
<label>Picture <input type="file" name="image" accept="image/*" multiple></label>
<button type="submit">Publish</button>
</form>"#,
        whoami = whoami(username),
        csrf = Text(csrf),
    );
    page(StatusCode::OK, &body)
}

/// One post; its body is shown as text, whatever HTML it holds.
pub(super) fn post(post: &Post) -> Response {
    let body = format!(
        r#"<article class="post" data-images="{images}">
<h1>{title}</h1>
<p class="author">{author}</p>
<div class="body">{body}</div>
</article>"#,
        images = post.images.len(),
        title = Text(&post.title),
        author = Text(&post.username),
        body = Text(&post.body),
    );
    page(StatusCode::OK, &body)
}

/// Links to posts, given as path and title.
pub(super) fn post_links<'a>(links: impl Iterator<Item = (String, &'a str)>) -> Response {
    let mut body = String::from("<ul id=\"posts\">\n");
    for (path, title) in links {
        body.push_str(&format!("<li><a href=\"{}\">{}</a></li>\n", Text(&path), Text(title)));
    }
    body.push_str("</ul>");
    page(StatusCode::OK, &body)
}

/// The page of a site that is being worked on.
pub(super) fn maintenance(status: StatusCode) -> Response {
    message(status, "maintenance", "We are down for maintenance and will be back soon.")
}

fn whoami(username: &str) -> String {
    format!(r#"<p>Logged in as <span id="whoami">{}</span></p>"#, Text(username))
}

fn paragraph(mark: &'static str, sentence: &'static str) -> String {
    format!(r#"<p class="{mark}" role="alert">{sentence}</p>"#)
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Practice site</title></head>\n\
         <body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    );
    (status, Html(html)).into_response()
}

/// Looks like a CAPTCHA and leads nowhere: only a person, by the control plane, lifts it.
const CHALLENGE: &str = r#"<div class="challenge" data-sitekey="practice">
<p>Unusual activity. Prove that you are a person.</p>
<label><input type="checkbox" name="captcha" disabled> I am not a robot</label>
</div>"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_an_element_or_an_attribute() {
        assert_eq!(Text(r#"<b a="x" c='y'>&amp;"#).to_string(), "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
        assert_eq!(Text("Đặng Thái 日本").to_string(), "Đặng Thái 日本");
    }
}
