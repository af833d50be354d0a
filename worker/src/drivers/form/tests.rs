//! Posting through a form at sites of each temper: the outcome, and what the site was sent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Instant;

use latchkey_vault::{cookies::Jar, login::Block};

use super::super::{
    BorrowedSession, Deadline, Driver, Found, Outcome, PostInput,
    testing::{Answer, Seen, Server, answer, find, image, post, publish, redirect},
};

const FORM: &str = r#"<b id=whoami>amy</b><form id=post method=post action=/post enctype="multipart/form-data">
<input type=hidden name=csrf value=t0ken><input name=title><textarea name=body></textarea>
<input type=file name=image multiple></form>"#;

const LINES: &str = r##"
[site.login]
driver = "form"
page = "/login"
form = "#login"
username_field = "u"
password_field = "p"
probe = "/home"
logged_in = { selector = "#whoami" }
logged_out = { selector = "#login" }
challenge = { selector = "#captcha" }
[site.post]
driver = "form"
page = "/post/new"
form = "#post"
title_field = "title"
body_field = "body"
image_field = "image"
posted = "/u/*/post/*"
refused = { selector = ".error" }
[site.post.find]
page = "/u/{username}/posts?marker={title}"
list = { selector = "#posts" }
links = "#posts a"
"##;

/// A site that shows the form and answers the POST as given.
async fn server(posted: impl Fn() -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("GET", "/post/new") => answer(200, FORM),
        ("POST", "/post") => posted(),
        ("GET", "/moved") => redirect("/u/amy/post/8"),
        ("GET", "/login") => answer(200, "<form id=login>"),
        _ => answer(200, "<b id=whoami>amy"),
    })
    .await
}

fn driver(server: &Server) -> std::sync::Arc<dyn Driver> {
    server.driver(LINES)
}

async fn publish_at(server: &Server, post: &PostInput) -> Outcome {
    publish(&*driver(server), &server.origin, post, None).await
}

fn posts(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.method == "POST").collect()
}

#[tokio::test]
async fn the_form_is_sent_with_token_session_and_images_and_the_redirect_is_the_link() {
    let server = server(|| redirect("/u/amy/post/7")).await;
    let post = PostInput { images: vec![image()], ..post() };
    let outcome = publish_at(&server, &post).await;
    let link = format!("{}/u/amy/post/7", server.origin);
    assert!(matches!(&outcome, Outcome::Done { link: found } if *found == link), "{outcome:?}");
    assert_eq!(server.lines(), ["GET /post/new", "POST /post"], "the redirect is read, not followed");
    let sent = posts(&server).pop().unwrap();
    assert_eq!(sent.header("cookie"), Some("sid=live"));
    for part in ["t0ken", &post.title, &post.body_html, "filename=\"image-1.png\"", "Content-Type: image/png"] {
        assert!(sent.body.contains(part), "{part} in {}", sent.body);
    }
}

#[tokio::test]
async fn the_answer_to_the_post_decides_by_its_evidence() {
    type Row = (&'static str, fn() -> Answer, fn(&Outcome) -> bool);
    let rows: [Row; 14] = [
        ("a redirect further on", || redirect("/moved"), |o| matches!(o, Outcome::Done { .. })),
        ("a refusal", || answer(422, "<p class=error>"), |o| matches!(o, Outcome::Refused { .. })),
        ("a refusal of 200", || answer(200, "<p class=error>"), |o| matches!(o, Outcome::Refused { .. })),
        ("the login page", || redirect("/login"), |o| matches!(o, Outcome::Expired { .. })),
        ("401", || answer(401, ""), |o| matches!(o, Outcome::Expired { .. })),
        (
            "a challenge",
            || answer(403, "<p id=captcha>"),
            |o| matches!(o, Outcome::Challenged { block: Block::Challenge, .. }),
        ),
        ("an unknown page", || answer(200, "thanks"), |o| matches!(o, Outcome::Unknown { .. })),
        ("another place", || redirect("/elsewhere"), |o| matches!(o, Outcome::Unknown { .. })),
        ("a foreign post", || redirect("https://b.example/u/amy/post/7"), |o| matches!(o, Outcome::Unknown { .. })),
        ("an unknown 403", || answer(403, ""), |o| matches!(o, Outcome::Unknown { .. })),
        ("429", || answer(429, "<p class=error>"), |o| matches!(o, Outcome::Unknown { .. })),
        ("500", || answer(500, "<p class=error>"), |o| matches!(o, Outcome::Unknown { .. })),
        ("503", || answer(503, "<form id=login>"), |o| matches!(o, Outcome::Unknown { .. })),
        ("a lost answer", || None, |o| matches!(o, Outcome::Unknown { .. })),
    ];
    for (name, posted, expected) in rows {
        let server = server(posted).await;
        let outcome = publish_at(&server, &post()).await;
        assert!(expected(&outcome), "{name}: {outcome:?}");
        assert_eq!(posts(&server).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn before_the_post_nothing_has_happened_and_the_outcome_says_so() {
    type Row = (&'static str, fn() -> Answer, fn(&Outcome) -> bool);
    let rows: [Row; 8] = [
        ("logged out", || redirect("/login"), |o| matches!(o, Outcome::Expired { .. })),
        ("challenged", || answer(200, "<p id=captcha>"), |o| matches!(o, Outcome::Challenged { .. })),
        ("overloaded", || answer(503, FORM), |o| matches!(o, Outcome::Retry { .. })),
        ("limited", || answer(429, FORM), |o| matches!(o, Outcome::Retry { .. })),
        ("no form", || answer(200, "soon"), |o| matches!(o, Outcome::Retry { .. })),
        ("lost", || None, |o| matches!(o, Outcome::Retry { .. })),
        (
            "no field",
            || answer(200, "<form id=post method=post><input name=title></form>"),
            |o| matches!(o, Outcome::Refused { .. }),
        ),
        (
            "sent by GET",
            || answer(200, "<form id=post><input name=title><input name=body></form>"),
            |o| matches!(o, Outcome::Refused { .. }),
        ),
    ];
    for (name, shown, expected) in rows {
        let server = Server::start(move |seen| match seen.target.as_str() {
            "/post/new" => shown(),
            _ => answer(200, "<form id=login>"),
        })
        .await;
        let outcome = publish_at(&server, &post()).await;
        assert!(expected(&outcome), "{name}: {outcome:?}");
        assert!(posts(&server).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn images_without_a_field_for_them_are_refused_and_not_dropped() {
    let server = server(|| redirect("/u/amy/post/7")).await;
    let driver = server.driver(&LINES.replace("image_field = \"image\"\n", ""));
    let with_image = PostInput { images: vec![image()], ..post() };
    assert!(matches!(publish(&*driver, &server.origin, &with_image, None).await, Outcome::Refused { .. }));
    assert!(posts(&server).is_empty());
    assert!(matches!(publish(&*driver, &server.origin, &post(), None).await, Outcome::Done { .. }));
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let server = server(|| redirect("/u/amy/post/7")).await;
    let mut jar = Jar::new();
    let mut session = BorrowedSession { jar: &mut jar, username: None, app_password: None };
    let outcome = driver(&server).post(&mut session, &post(), &Deadline::new(Instant::now())).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert!(server.seen().is_empty());
}

/// A site that lists these paths and shows these pages under them.
async fn listing(status: u16, list: &'static str, pages: &'static [(&'static str, &'static str)]) -> Server {
    Server::start(move |seen| match pages.iter().find(|(path, _)| *path == seen.target) {
        Some((_, page)) => answer(200, *page),
        None if seen.target.starts_with("/u/amy/posts?marker=Tea%20%26%20%22Cake%22%20%3C%203") => answer(status, list),
        None => answer(404, ""),
    })
    .await
}

const OURS: &str = "<h1>Tea &amp; \"Cake\"\n &lt; 3</h1><a href='https://c.example/?a=1&amp;b=2'>more</a>";
const SAME_TITLE: &str = "<h1>Tea &amp; \"Cake\" &lt; 3</h1><a href='https://c.example/?a=9'>more</a>";

#[tokio::test]
async fn a_post_is_found_by_opening_it_and_absent_only_where_the_list_was_seen() {
    type Row = (&'static str, u16, &'static str, &'static [(&'static str, &'static str)], fn(&Found) -> bool);
    let one = "<ul id=posts><a href='/u/amy/post/3'>x</a><a href=/logout>out</a></ul>";
    let two = "<ul id=posts><a href='/u/amy/post/3'>x</a><a href='/u/amy/post/4'>y</a></ul>";
    let rows: [Row; 8] = [
        (
            "ours",
            200,
            one,
            &[("/u/amy/post/3", OURS)],
            |f| matches!(f, Found::Yes { link } if link.ends_with("/post/3")),
        ),
        (
            "the second",
            200,
            two,
            &[("/u/amy/post/3", SAME_TITLE), ("/u/amy/post/4", OURS)],
            |f| matches!(f, Found::Yes { link } if link.ends_with("/post/4")),
        ),
        ("one of that title with another text", 200, one, &[("/u/amy/post/3", SAME_TITLE)], |f| {
            matches!(f, Found::Inconclusive(_))
        }),
        ("one of another title", 200, one, &[("/u/amy/post/3", "<h1>Tea</h1>")], |f| *f == Found::No),
        ("an empty list", 200, "<ul id=posts></ul>", &[], |f| *f == Found::No),
        ("no list", 200, "welcome", &[], |f| matches!(f, Found::Inconclusive(_))),
        ("an error", 500, one, &[("/u/amy/post/3", OURS)], |f| matches!(f, Found::Inconclusive(_))),
        ("a listed post that does not open", 200, one, &[], |f| matches!(f, Found::Inconclusive(_))),
    ];
    for (name, status, list, pages, expected) in rows {
        let server = listing(status, list, pages).await;
        let found = find(&*driver(&server), &server.origin, &post()).await;
        assert!(expected(&found), "{name}: {found:?}");
        assert!(posts(&server).is_empty());
    }
}

#[tokio::test]
async fn without_anything_to_look_for_a_look_up_is_inconclusive() {
    let server = listing(200, "<ul id=posts></ul>", &[]).await;
    let nameless = PostInput { title: " ".to_owned(), marker: String::new(), ..post() };
    assert!(matches!(find(&*driver(&server), &server.origin, &nameless).await, Found::Inconclusive(_)));

    let mut jar = Jar::new();
    let mut session = BorrowedSession { jar: &mut jar, username: None, app_password: None };
    let found = driver(&server).find_post(&mut session, &post(), &super::super::testing::later()).await;
    assert!(matches!(found, Found::Inconclusive(_)));
    assert!(server.seen().is_empty());
}
