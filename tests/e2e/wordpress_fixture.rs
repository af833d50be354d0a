//! The WordPress fixture is what it says: a real site whose sessions, logins and posts tests can see and break.
//!
//! Latchkey itself takes no part: a plain HTTP client does what a browser would.

use latchkey_tests::process_group;
use latchkey_tests::servers::{LoginCount, WordPress};
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// One server for all of it, since starting one takes seconds.
#[tokio::test]
async fn wordpress_lets_in_counts_publishes_revokes_and_leaves_nothing_behind() {
    let site = WordPress::start().await.unwrap();
    let bob = site.create_author("bob", "bob@example.test", "b0b-Password!").await.unwrap();

    logs_in_by_form_and_counts(&site).await;
    seeded_sessions_live_until_they_are_destroyed(&site, bob).await;
    publishes_by_cookie_and_by_application_password(&site, bob).await;
    lists_all_pages(&site, bob).await;
    keeps_uploads(&site, bob).await;

    let (group, folder) = (site.process_group(), site.folder().to_owned());
    assert!(process_group::members(group).unwrap().len() > 2, "the servers run in the group");
    drop(site);
    assert_eq!(process_group::members(group).unwrap(), Vec::<u32>::new());
    assert!(!folder.exists());
}

async fn logs_in_by_form_and_counts(site: &WordPress) {
    let refused = log_in(site, "bob", "wrong").await;
    assert_eq!(refused.status(), StatusCode::OK, "WordPress refuses with 200");
    assert!(!is_live(site, &cookies(&refused)).await);

    let granted = log_in(site, "bob@example.test", "b0b-Password!").await;
    assert_eq!(granted.status(), StatusCode::FOUND);
    assert!(is_live(site, &cookies(&granted)).await);

    assert_eq!(site.login_count("bob").unwrap(), LoginCount { succeeded: 1, failed: 1 });
    assert_eq!(site.login_count("admin").unwrap(), LoginCount::default());
    let admin = log_in(site, &site.admin().user, &site.admin().password).await;
    assert!(is_live(site, &cookies(&admin)).await);
    assert_eq!(site.login_count("admin").unwrap(), LoginCount { succeeded: 1, failed: 0 });
}

async fn seeded_sessions_live_until_they_are_destroyed(site: &WordPress, bob: u64) {
    let before = site.login_count("bob").unwrap();
    let live = site.session_cookie("bob").await.unwrap();
    let admin = site.session_cookie("admin").await.unwrap();
    assert!(is_live(site, &live).await);
    assert!(!is_live(site, &site.expired_cookie("bob").await.unwrap()).await);

    site.destroy_sessions(bob).await.unwrap();

    assert!(!is_live(site, &live).await);
    assert!(is_live(site, &admin).await, "the sessions of others live on");
    assert_eq!(site.login_count("bob").unwrap(), before);
    assert!(site.session_cookie("nobody-of-that-name").await.is_err());
    assert!(site.destroy_sessions(bob + 1000).await.is_err());
}

async fn publishes_by_cookie_and_by_application_password(site: &WordPress, bob: u64) {
    assert_eq!(site.posts(bob).await.unwrap(), []);
    let cookie = site.session_cookie("bob").await.unwrap();
    let post = |title: &str| json!({"title": title, "content": "<p>Tom &amp; Ann</p>", "status": "publish"});
    let address = site.page("wp-json/wp/v2/posts");

    let without_nonce = client().post(&address).header(COOKIE, &cookie).json(&post("No nonce"));
    assert_eq!(status(without_nonce).await, StatusCode::UNAUTHORIZED);
    let by_cookie = client().post(&address).header(COOKIE, &cookie).header("X-WP-Nonce", nonce(site, &cookie).await);
    assert_eq!(status(by_cookie.json(&post("By cookie & nonce"))).await, StatusCode::CREATED);
    let by_wrong_password = client().post(&address).basic_auth("bob", Some("wrong")).json(&post("Wrong"));
    assert_eq!(status(by_wrong_password).await, StatusCode::UNAUTHORIZED);
    let password = site.application_password("bob").await.unwrap();
    let by_password = client().post(&address).basic_auth("bob", Some(password)).json(&post("By application password"));
    assert_eq!(status(by_password).await, StatusCode::CREATED);

    let posts = site.posts(bob).await.unwrap();
    let titles: Vec<_> = posts.iter().map(|post| post.title.as_str()).collect();
    // WordPress escapes what an author sends before it stores it.
    assert_eq!(titles, ["By cookie &amp; nonce", "By application password"]);
    for post in posts {
        assert_eq!((post.status.as_str(), post.featured_media), ("publish", None));
        assert_eq!(post.content, "<p>Tom &amp; Ann</p>");
        let page = client().get(&post.link).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("<p>Tom &amp; Ann</p>"), "readers see it at {}", post.link);
    }
}

async fn lists_all_pages(site: &WordPress, bob: u64) {
    let before = site.posts(bob).await.unwrap().len();
    let admin = site.admin();
    // The REST interface takes 25 requests in one batch.
    for _ in 0..4 {
        let requests = vec![
            json!({"method": "POST", "path": "/wp/v2/posts", "body": {"title": "One of many", "author": bob}});
            25
        ];
        let batch = client().post(site.page("wp-json/batch/v1")).json(&json!({"requests": requests}));
        let batch = batch.basic_auth(&admin.user, Some(&admin.application_password));
        assert_eq!(status(batch).await, StatusCode::MULTI_STATUS);
    }

    let posts = site.posts(bob).await.unwrap();

    assert_eq!(posts.len(), before + 100, "more than the hundred of one page");
    assert_eq!(posts.iter().filter(|post| post.status == "draft").count(), 100);
}

async fn keeps_uploads(site: &WordPress, bob: u64) {
    assert_eq!(site.media().await.unwrap(), []);
    let password = site.application_password("bob").await.unwrap();
    let upload = client().post(site.page("wp-json/wp/v2/media")).basic_auth("bob", Some(&password)).body(PIXEL);
    let upload = upload.header("content-type", "image/gif");
    let upload = upload.header("content-disposition", "attachment; filename=pixel.gif").send().await.unwrap();
    let id = upload.json::<Value>().await.unwrap()["id"].as_u64().unwrap();
    let post = json!({"title": "With a picture", "featured_media": id});
    let post = client().post(site.page("wp-json/wp/v2/posts")).basic_auth("bob", Some(&password)).json(&post);
    assert_eq!(status(post).await, StatusCode::CREATED);

    let media = site.media().await.unwrap();

    assert_eq!(media.len(), 1);
    assert_eq!((media[0].id, media[0].author, media[0].mime_type.as_str()), (id, bob, "image/gif"));
    let file = client().get(&media[0].source_url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(file, PIXEL);
    assert!(site.posts(bob).await.unwrap().iter().any(|post| post.featured_media == Some(id)));
}

fn client() -> Client {
    Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

async fn log_in(site: &WordPress, user: &str, password: &str) -> Response {
    let form = [("log", user), ("pwd", password), ("testcookie", "1")];
    let request = client().post(site.page("wp-login.php")).header(COOKIE, "wordpress_test_cookie=WP+Cookie+check");
    request.form(&form).send().await.unwrap()
}

/// The cookies that an answer set, as `name=value; name=value`.
fn cookies(answer: &Response) -> String {
    let set = answer.headers().get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
    set.filter_map(|line| line.split(';').next()).collect::<Vec<_>>().join("; ")
}

/// Whether the cookies are a session's, for the administration's pages and for REST alike.
async fn is_live(site: &WordPress, cookies: &str) -> bool {
    let page = status(client().get(site.page("wp-admin/profile.php")).header(COOKIE, cookies)).await;
    let me = client().get(site.page("wp-json/wp/v2/users/me")).header(COOKIE, cookies);
    let me = status(me.header("X-WP-Nonce", nonce(site, cookies).await)).await;
    assert_eq!(page == StatusCode::OK, me == StatusCode::OK, "page {page}, REST {me}");
    me == StatusCode::OK
}

async fn nonce(site: &WordPress, cookies: &str) -> String {
    let request = client().get(site.page("wp-admin/admin-ajax.php?action=rest-nonce")).header(COOKIE, cookies);
    request.send().await.unwrap().text().await.unwrap()
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

/// The smallest picture that WordPress takes for one.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\
    \x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
