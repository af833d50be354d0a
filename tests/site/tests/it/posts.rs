//! Posts and pictures: what is kept, shown, found and refused.
//!
//! It does not look at what goes wrong on the way.

use latchkey_practice_site::NewAccount;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};

use crate::browser::{Browser, site};

#[tokio::test]
async fn a_post_from_the_form_is_kept_whole_and_shown_escaped() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    let (title, body) = (r#"<script>"&'"#, "<p>Hi <a href=\"https://example.org\">there</a></p>\nĐặng");
    let page = browser.publish(title, body).await;
    assert_eq!((page.status, page.location()), (StatusCode::FOUND, "/u/ada/post/1"));

    let posts = site.posts("ada");
    let [post] = posts.as_slice() else { panic!("{posts:?}") };
    // Browsers and reqwest differ in how they write line ends; reqwest keeps them.
    assert_eq!((post.title.as_str(), post.body.as_str(), post.by_app_password), (title, body, false));

    let shown = Browser::new(&site).get("/u/ada/post/1").await;
    assert_eq!(shown.text_of("article.post h1").as_deref(), Some(title));
    assert_eq!(shown.text_of("article.post .body").as_deref(), Some(body));
    assert!(!shown.has("script") && !shown.has("a[href]"));
    for missing in ["/u/ada/post/2", "/u/ada/post/0", "/u/bob/post/1"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn a_post_needs_its_token_and_a_title() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    let form_page = browser.get("/post/new").await;
    let bare = [("title".to_owned(), "t".to_owned())];
    assert_eq!(browser.post("/post", &bare).await.status, StatusCode::FORBIDDEN);
    for (title, status) in [
        ("", StatusCode::UNPROCESSABLE_ENTITY),
        ("   ", StatusCode::UNPROCESSABLE_ENTITY),
        (&"é".repeat(301), StatusCode::UNPROCESSABLE_ENTITY),
        (&"é".repeat(300), StatusCode::FOUND),
    ] {
        let form = form_page.fill("post", &[("title", title), ("body", "b")]);
        assert_eq!(browser.post("/post", &form).await.status, status);
    }
    assert_eq!((site.all_posts().len(), site.counts("ada").posts, site.ledger().forged_forms), (1, 1, 1));
}

#[tokio::test]
async fn pictures_are_kept_byte_for_byte_and_bounded() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    let token = browser.get("/post/new").await.fill("post", &[]).remove(0).1;
    let image = |length: usize| Part::bytes(vec![7; length]).file_name("a.png").mime_str("image/png").unwrap();
    let empty = || Part::bytes(Vec::new()).file_name("");
    let full = 2 * 1024 * 1024;
    for (images, status, kept) in [
        (vec![image(3), image(5)], StatusCode::FOUND, vec![3, 5]),
        (vec![empty()], StatusCode::FOUND, vec![]),
        (vec![image(full)], StatusCode::FOUND, vec![full]),
        (vec![image(full + 1)], StatusCode::PAYLOAD_TOO_LARGE, vec![]),
        (vec![image(1), image(1), image(1), image(1), image(1)], StatusCode::PAYLOAD_TOO_LARGE, vec![]),
    ] {
        let before = site.all_posts().len();
        let form = Form::new().text("csrf_token", token.clone()).text("title", "t").text("body", "b");
        let form = images.into_iter().fold(form, |form, part| form.part("image", part));
        let request = browser.request(Method::POST, "/post").multipart(form);
        assert_eq!(browser.send(request).await.status, status);
        let new = site.all_posts().split_off(before);
        let lengths: Vec<usize> = new.iter().flat_map(|p| &p.images).map(|i| i.bytes.len()).collect();
        assert_eq!((lengths, new.len()), (kept, usize::from(status == StatusCode::FOUND)));
    }
    let first = &site.all_posts()[0].images[0];
    assert_eq!((first.file_name.as_str(), first.content_type.as_str()), ("a.png", "image/png"));
    // printf "\7\7\7" | sha256sum
    assert_eq!(first.sha256(), "6a7dc6f4267242f01f6636a45c31da51c036da1e9879abce7e1d0aaa76aad876");
}

#[tokio::test]
async fn an_app_password_posts_without_form_or_token() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let fields = [("title", "t"), ("body", "b")];
    for (password, status) in [("app word", StatusCode::FOUND), ("right", StatusCode::UNAUTHORIZED)] {
        let request = browser.request(Method::POST, "/post").basic_auth("ada", Some(password)).form(&fields);
        assert_eq!(browser.send(request).await.status, status);
    }
    let posts = site.posts("ada");
    assert_eq!((posts.len(), posts[0].by_app_password), (1, true));
    assert_eq!((site.logins("ada"), site.counts("ada").bad_logins), (0, 1));
}

#[tokio::test]
async fn posts_are_found_by_their_marker() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    for (title, body) in [("one", "marker <m-1>"), ("two", "nothing"), ("marker <m-1> & three", "")] {
        browser.publish(title, body).await;
    }
    let mut reader = Browser::new(&site);
    let page = reader.get("/u/ada/posts?marker=marker+%3Cm-1%3E").await;
    assert_eq!(page.text_of("#posts li:first-child a").as_deref(), Some("marker <m-1> & three"));
    assert!(page.has(r#"#posts a[href="/u/ada/post/1"]"#) && !page.has(r#"#posts a[href="/u/ada/post/2"]"#));
    assert!(!reader.get("/u/ada/posts?marker=other").await.has("#posts li"));
    assert!(!reader.get("/u/bob/posts?marker=marker").await.has("#posts li"));

    let json = reader.get("/api/posts?username=ada&q=%3Cm-1%3E").await.body;
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected = serde_json::json!([
        {"number": 3, "url": "/u/ada/post/3", "title": "marker <m-1> & three"},
        {"number": 1, "url": "/u/ada/post/1", "title": "one"},
    ]);
    assert_eq!(found, expected);
    assert_eq!(reader.get("/api/posts?username=ada&q=other").await.body, "[]");
    assert_eq!(reader.get("/api/posts?q=other").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn any_username_can_be_shown_and_linked() {
    for username in ["a+b c@d.e", "<b>&\"'", "Đặng Thái", "50%2Foff?#"] {
        let site = site().await;
        site.add_account(NewAccount::new(username, "right")).unwrap();
        let mut browser = Browser::logged_in(&site, username, "right").await;
        assert_eq!(browser.get("/home").await.text_of("#whoami").as_deref(), Some(username));
        let path = browser.publish("t", "b").await.location().to_owned();
        assert_eq!(browser.get(&path).await.text_of(".author").as_deref(), Some(username), "{path}");
    }
}

#[tokio::test]
async fn pictures_are_served_and_their_fetches_counted() {
    let site = site().await;
    let mut stranger = Browser::new(&site);
    for path in ["/media/3.png", "/media/3.png", "/media/4.png"] {
        let page = stranger.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "image/png"));
    }
    assert_eq!(site.ledger().media_fetches_with_credentials, 0);
    Browser::logged_in(&site, "ada", "right").await.get("/media/4.png").await;
    assert_eq!(site.ledger().media_fetches_with_credentials, 1, "a cookie was sent");
    let counts: Vec<(u32, u64)> = site.ledger().media_fetches.into_iter().collect();
    assert_eq!(counts, [(3, 2), (4, 2)]);
    for missing in ["/media/3.jpg", "/media/x.png", "/media/-1.png", "/media/10000.png"] {
        assert_eq!(stranger.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}
