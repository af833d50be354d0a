//! WordPress's REST API as 6.1 answers it, and what the driver makes of its answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use latchkey_vault::{Secret, login::Block};

use super::super::{
    Found, Outcome, PostInput,
    testing::{Answer, Seen, Server, answer, find, image, post, publish},
};

const LINES: &str = "login.driver = \"wordpress\"\npost.driver = \"wordpress\"";

/// A WordPress where the session `sid=live` and the app password `app pass` of amy are good, but where `special` answers.
async fn wordpress(special: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) -> Server {
    Server::start(move |seen| {
        if let Some(answer) = special(seen) {
            return answer;
        }
        let path = seen.target.split('?').next().unwrap();
        let has_session = seen.header("cookie") == Some("sid=live") && seen.header("x-wp-nonce") == Some("0a1b2c3d4e");
        let is_amy = has_session || seen.header("authorization") == Some("Basic YW15OmFwcCBwYXNz");
        match (seen.method.as_str(), path) {
            ("GET", "/wp-admin/admin-ajax.php") => answer(200, "0a1b2c3d4e"),
            _ if !is_amy => error(401, "rest_not_logged_in"),
            ("GET", "/wp-json/wp/v2/users/me") => answer(200, r#"{"id":7}"#),
            ("POST", "/wp-json/wp/v2/media") => answer(201, r#"{"id":11,"source_url":"http://x/a.png?b=1&c=\"2"}"#),
            ("POST", "/wp-json/wp/v2/posts") => {
                answer(201, r#"{"id":12,"status":"publish","link":"https://b.example/x"}"#)
            }
            _ => answer(404, ""),
        }
    })
    .await
}

fn error(status: u16, code: &str) -> Answer {
    answer(status, format!(r#"{{"code":"{code}","message":"x","data":{{"status":{status}}}}}"#))
}

async fn publish_at(server: &Server, post: &PostInput, app_password: Option<&Secret>) -> Outcome {
    publish(&*server.driver(LINES), &server.origin, post, app_password).await
}

#[tokio::test]
async fn a_session_posts_with_its_nonce_and_images_stand_in_the_content() {
    let server = wordpress(|_| None).await;
    let outcome = publish_at(&server, &PostInput { images: vec![image()], ..post() }, None).await;
    let link = format!("{}/?p=12", server.origin);
    assert!(matches!(&outcome, Outcome::Done { link: found } if *found == link), "{outcome:?}");
    assert_eq!(
        server.lines(),
        [
            "GET /wp-admin/admin-ajax.php?action=rest-nonce",
            "GET /wp-json/wp/v2/users/me?_fields=id",
            "POST /wp-json/wp/v2/media",
            "POST /wp-json/wp/v2/posts"
        ]
    );
    let seen = server.seen();
    let media = seen.get(2).unwrap();
    assert_eq!(media.header("content-disposition"), Some("attachment; filename=\"image-1.png\""));
    assert_eq!(media.header("content-type"), Some("image/png"));
    let sent: serde_json::Value = serde_json::from_str(&seen.get(3).unwrap().body).unwrap();
    assert_eq!((sent["title"].as_str(), sent["status"].as_str()), (Some(post().title.as_str()), Some("publish")));
    let content = sent["content"].as_str().unwrap();
    assert!(content.starts_with(&post().body_html));
    assert!(content.contains(r#"<img src="http://x/a.png?b=1&amp;c=&quot;2" alt="Tea &amp; &quot;Cake&quot; &lt; 3""#));
}

#[tokio::test]
async fn an_application_password_posts_without_cookies_and_nonce() {
    let server = wordpress(|_| None).await;
    let app_password = Secret::copy_of("app pass");
    let outcome = publish_at(&server, &post(), Some(&app_password)).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert_eq!(server.lines(), ["GET /wp-json/wp/v2/users/me?_fields=id", "POST /wp-json/wp/v2/posts"]);
    assert!(server.seen().iter().all(|seen| seen.header("cookie").is_none() && seen.header("x-wp-nonce").is_none()));
}

#[tokio::test]
async fn a_session_or_password_that_is_refused_ends_before_any_effect() {
    let stranger = wordpress(|seen| seen.target.contains("admin-ajax").then(|| answer(400, "0"))).await;
    assert!(matches!(publish_at(&stranger, &post(), None).await, Outcome::Expired { .. }));

    let stale =
        wordpress(|seen| seen.target.contains("users/me").then(|| error(403, "rest_cookie_invalid_nonce"))).await;
    assert!(matches!(publish_at(&stale, &post(), None).await, Outcome::Expired { .. }));

    let wrong = wordpress(|seen| seen.target.contains("users/me").then(|| error(401, "incorrect_password"))).await;
    let outcome = publish_at(&wrong, &post(), Some(&Secret::copy_of("bad"))).await;
    assert!(matches!(outcome, Outcome::Challenged { block: Block::WrongCredentials, .. }), "{outcome:?}");
    for server in [stranger, stale, wrong] {
        assert!(server.lines().iter().all(|line| line.starts_with("GET")));
    }
}

#[tokio::test]
async fn before_the_post_a_failure_may_be_tried_again() {
    for (route, broken) in [("users/me", answer(503, "")), ("media", answer(500, "")), ("media", None)] {
        let server = wordpress(move |seen| seen.target.contains(route).then(|| broken.clone())).await;
        let outcome = publish_at(&server, &PostInput { images: vec![image()], ..post() }, None).await;
        assert!(matches!(outcome, Outcome::Retry { .. }), "{route}: {outcome:?}");
        assert!(!server.lines().contains(&"POST /wp-json/wp/v2/posts".to_owned()));
    }
}

#[tokio::test]
async fn the_answer_to_the_post_decides_by_its_evidence() {
    type Row = (&'static str, fn() -> Answer, fn(&Outcome) -> bool);
    let rows: [Row; 9] = [
        ("no right to publish", || error(403, "rest_cannot_publish"), |o| matches!(o, Outcome::Refused { .. })),
        ("a bad parameter", || error(400, "rest_invalid_param"), |o| matches!(o, Outcome::Refused { .. })),
        ("logged out meanwhile", || error(401, "rest_cannot_create"), |o| matches!(o, Outcome::Expired { .. })),
        (
            "held for review",
            || answer(201, r#"{"id":12,"status":"pending"}"#),
            |o| matches!(o, Outcome::Refused { .. }),
        ),
        ("a firewall", || answer(403, "<html>no"), |o| matches!(o, Outcome::Unknown { .. })),
        ("a database error", || error(500, "db_insert_error"), |o| matches!(o, Outcome::Unknown { .. })),
        ("429", || error(429, "too_many"), |o| matches!(o, Outcome::Unknown { .. })),
        ("200 without a post", || answer(200, "[]"), |o| matches!(o, Outcome::Unknown { .. })),
        ("a lost answer", || None, |o| matches!(o, Outcome::Unknown { .. })),
    ];
    for (name, posted, expected) in rows {
        let server = wordpress(move |seen| (seen.line() == "POST /wp-json/wp/v2/posts").then(posted)).await;
        let outcome = publish_at(&server, &post(), None).await;
        assert!(expected(&outcome), "{name}: {outcome:?}");
        assert_eq!(server.lines().iter().filter(|line| line.ends_with("/posts")).count(), 1, "{name}");
    }
}

/// One listed post with this raw title and content, as the API gives it.
fn listed(title: &str, content: &str) -> String {
    let post = serde_json::json!({ "id": 12, "link": "x", "title": { "raw": title }, "content": { "raw": content } });
    serde_json::Value::Array(vec![post]).to_string()
}

#[tokio::test]
async fn a_post_is_found_by_author_title_and_marker() {
    let title = "Tea &amp; \"Cake\" &lt; 3";
    let ours = "<p>Read <a href=\"https://c.example/?a=1&amp;b=2\">more</a></p>";
    let yes: fn(&Found) -> bool = |found| matches!(found, Found::Yes { link } if link.ends_with("/?p=12"));
    let no: fn(&Found) -> bool = |found| *found == Found::No;
    let unclear: fn(&Found) -> bool = |found| matches!(found, Found::Inconclusive(_));
    let rows = [
        ("escaped", 200, listed(title, ours), yes),
        ("raw", 200, listed(&post().title, ours), yes),
        ("a longer title", 200, listed(&format!("{title}!"), ours), no),
        ("another link", 200, listed(title, "<a href=\"https://c.example/?a=9\">"), unclear),
        ("nothing", 200, "[]".to_owned(), no),
        ("no list", 200, "{}".to_owned(), unclear),
        ("an error", 503, listed(title, ours), unclear),
    ];
    for (name, status, body, expected) in rows {
        let server =
            wordpress(move |seen| seen.target.contains("wp/v2/posts?").then(|| answer(status, body.clone()))).await;
        let found = find(&*server.driver(LINES), &server.origin, &post()).await;
        assert!(expected(&found), "{name}: {found:?}");
        assert!(server.lines().iter().all(|line| line.starts_with("GET")));
    }
}

#[tokio::test]
async fn the_newest_posts_are_looked_through_where_the_search_finds_nothing() {
    let server = wordpress(|seen| {
        let is_search = seen.target.contains("search=");
        let body = if is_search { "[]".to_owned() } else { listed(&post().title, &post().body_html) };
        (seen.target.contains("wp/v2/posts?author=7&")).then(|| answer(200, body))
    })
    .await;
    assert!(matches!(find(&*server.driver(LINES), &server.origin, &post()).await, Found::Yes { .. }));
}
