//! What a session is worth, how long, and what its cookies say.
//!
//! It does not look at how a login is done.

use std::num::NonZeroU32;

use latchkey_practice_site::{AccountState, Behaviour, CookieLife, ExtraCookie, LoginWall, NewAccount, NoSuchAccount};
use reqwest::{Method, StatusCode};

use crate::browser::{Browser, NOW, site, site_with};

#[tokio::test]
async fn a_session_ends_with_its_lifetime_and_not_before() {
    let (site, clock) = site_with(Behaviour { session_lifetime_s: 100, ..Behaviour::default() }).await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    clock.advance(99);
    assert!(browser.is_logged_in().await);
    clock.advance(1);
    assert!(!browser.is_logged_in().await);
    clock.set(NOW);
    assert!(!browser.is_logged_in().await, "an ended session stays ended");
}

#[tokio::test]
async fn session_cookies_say_how_long_they_live() {
    for (life, expected) in [
        (CookieLife::Browser, "; Path=/; HttpOnly; SameSite=Lax"),
        (CookieLife::MaxAge, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600"),
        (CookieLife::Expires, "; Path=/; HttpOnly; SameSite=Lax; Expires=Wed, 01 Jan 2025 01:00:00 GMT"),
    ] {
        let behaviour = Behaviour { cookie_life: life, session_lifetime_s: 3_600, ..Behaviour::default() };
        let (site, _) = site_with(behaviour).await;
        let page = Browser::new(&site).log_in("ada", "right").await;
        let lines = page.set_cookies();
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let (pair, attributes) = line.split_at(line.find(';').unwrap());
        assert!(pair.starts_with("sid="));
        assert_eq!(attributes, expected);
    }
}

#[tokio::test]
async fn an_id_rotates_with_every_nth_answer_and_the_old_one_has_its_grace() {
    let behaviour =
        Behaviour { rotate_every_requests: NonZeroU32::new(3), rotation_grace_requests: 2, ..Behaviour::default() };
    let (site, _) = site_with(behaviour).await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    let first = browser.cookies_for("/");
    for _ in 0..2 {
        assert!(browser.get("/api/me").await.set_cookies().is_empty());
    }
    assert_eq!(browser.get("/api/me").await.set_cookies().len(), 1);
    assert_ne!(browser.cookies_for("/"), first);

    let mut late = Browser::with_cookies(&site, &first);
    for is_good in [true, true, false, false] {
        assert_eq!(late.is_logged_in().await, is_good);
    }
    assert!(browser.is_logged_in().await, "the new id outlives the old one's grace");
}

#[tokio::test]
async fn without_grace_or_after_another_rotation_an_old_id_is_dead() {
    for (grace, rotations) in [(0, 1), (9, 2)] {
        let behaviour = Behaviour {
            rotate_every_requests: NonZeroU32::new(1),
            rotation_grace_requests: grace,
            ..Behaviour::default()
        };
        let (site, _) = site_with(behaviour).await;
        let mut browser = Browser::logged_in(&site, "ada", "right").await;
        let first = browser.cookies_for("/");
        for _ in 0..rotations {
            assert!(browser.is_logged_in().await);
        }
        assert!(!Browser::with_cookies(&site, &first).is_logged_in().await, "{grace} {rotations}");
        assert!(browser.is_logged_in().await);
    }
}

#[tokio::test]
async fn an_extra_cookie_goes_to_its_path_only_and_posting_may_need_it() {
    for name in ["area", "sid"] {
        let extra = ExtraCookie { name: name.to_owned(), path: "/post".to_owned(), required_to_post: true };
        let (site, _) = site_with(Behaviour { extra_cookie: Some(extra), ..Behaviour::default() }).await;
        let mut browser = Browser::logged_in(&site, "ada", "right").await;
        assert_eq!(browser.cookies_for("/home").split("; ").count(), 1);
        assert_eq!(browser.cookies_for("/post").split("; ").count(), 2);
        assert_eq!(browser.publish("t", "b").await.status, StatusCode::FOUND, "{name}");

        let root_only = browser.cookies_for("/home");
        let mut poorer = Browser::with_cookies(&site, &root_only);
        assert!(poorer.is_logged_in().await);
        assert_eq!(poorer.publish("t", "b").await.status, StatusCode::FORBIDDEN, "{name}");
        assert_eq!(site.posts("ada").len(), 1);
    }
}

#[tokio::test]
async fn a_given_session_holds_what_posting_needs() {
    let extra = ExtraCookie { name: "area".to_owned(), path: "/post".to_owned(), required_to_post: true };
    let (site, _) = site_with(Behaviour { extra_cookie: Some(extra), ..Behaviour::default() }).await;
    let cookies = site.give_session("ada").unwrap();
    let mut browser = Browser::with_cookies(&site, &cookies);
    assert_eq!(browser.publish("t", "b").await.status, StatusCode::FOUND);
    assert_eq!(site.logins("ada"), 0, "a given session is no login");
}

#[tokio::test]
async fn a_login_ends_older_sessions_only_where_the_site_has_it_so() {
    for one_session in [true, false] {
        let behaviour = Behaviour { one_session_per_account: one_session, ..Behaviour::default() };
        let (site, _) = site_with(behaviour).await;
        site.add_account(NewAccount::new("bob", "right")).unwrap();
        let mut older = Browser::logged_in(&site, "ada", "right").await;
        let mut other = Browser::logged_in(&site, "bob", "right").await;
        let mut newer = Browser::logged_in(&site, "ada", "right").await;
        assert_eq!(older.is_logged_in().await, !one_session);
        assert!(newer.is_logged_in().await && other.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_stranger_meets_a_redirect_or_a_page_with_the_form() {
    let site = site().await;
    for path in ["/home", "/post/new"] {
        let page = Browser::new(&site).get(path).await;
        assert_eq!((page.status, page.location()), (StatusCode::FOUND, "/login"));
    }
    site.configure(|b| b.login_wall = LoginWall::Page);
    for path in ["/home", "/post/new"] {
        let mut browser = Browser::new(&site);
        let page = browser.get(path).await;
        assert_eq!((page.status, page.has("form#login"), page.has("#whoami")), (StatusCode::OK, true, false));
        let form = page.fill("login", &[("username", "ada"), ("password", "right")]);
        assert_eq!(browser.post("/login", &form).await.location(), "/home", "the wall's form works");
    }
    let page = Browser::new(&site).post("/post", &[("title".to_owned(), "t".to_owned())]).await;
    assert_eq!((page.status, page.has("form#login")), (StatusCode::OK, true));
    assert!(site.all_posts().is_empty());
}

#[tokio::test]
async fn a_logout_deletes_the_cookies_with_the_configured_date() {
    for date in ["Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 1 Jan 1970 00:00:00 GMT"] {
        let extra = ExtraCookie { name: "area".to_owned(), path: "/post".to_owned(), required_to_post: false };
        let behaviour = Behaviour { deletion_date: date.to_owned(), extra_cookie: Some(extra), ..Behaviour::default() };
        let (site, _) = site_with(behaviour).await;
        let mut browser = Browser::logged_in(&site, "ada", "right").await;
        let cookies = browser.cookies_for("/");
        let form = browser.get("/home").await.fill("logout", &[]);
        assert_eq!(browser.post("/logout", &[]).await.status, StatusCode::FORBIDDEN, "no token");
        assert!(browser.is_logged_in().await);
        let page = browser.post("/logout", &form).await;
        assert_eq!(page.location(), "/login");
        assert_eq!(
            page.set_cookies(),
            [
                format!("sid=deleted; Path=/; HttpOnly; SameSite=Lax; Expires={date}"),
                format!("area=deleted; Path=/post; HttpOnly; SameSite=Lax; Expires={date}"),
            ]
        );
        assert!(!Browser::with_cookies(&site, &cookies).is_logged_in().await);
    }
}

#[tokio::test]
async fn a_dead_cookie_is_deleted_only_where_the_site_has_it_so() {
    for deletes in [true, false] {
        let (site, _) = site_with(Behaviour { deletes_dead_cookies: deletes, ..Behaviour::default() }).await;
        let dead = site.give_expired_session("ada").unwrap();
        for path in ["/home", "/api/me"] {
            let page = Browser::with_cookies(&site, &dead).get(path).await;
            assert_eq!(page.set_cookies().len(), usize::from(deletes), "{path}");
        }
        assert!(Browser::new(&site).get("/home").await.set_cookies().is_empty());
    }
}

#[tokio::test]
async fn sessions_end_one_by_one_by_account_or_all_together() {
    let site = site().await;
    site.add_account(NewAccount::new("bob", "right")).unwrap();
    let given = |name| site.give_session(name).unwrap();
    let (a1, a2, a3, b1) = (given("ada"), given("ada"), given("ada@example.org"), given("bob"));
    let alive = async |cookies: &str| Browser::with_cookies(&site, cookies).is_logged_in().await;

    assert!(site.kill_session(&a1) && !site.kill_session(&a1));
    assert!(!alive(&a1).await && alive(&a2).await && alive(&a3).await && alive(&b1).await);
    assert_eq!(site.expire_sessions("ada"), Ok(2));
    assert!(!alive(&a2).await && !alive(&a3).await && alive(&b1).await);
    assert_eq!((site.expire_all(), site.expire_all()), (1, 0));
    assert!(!alive(&b1).await);
    assert!(!alive(&site.give_expired_session("ada").unwrap()).await);

    assert_eq!(site.give_session("eve"), Err(NoSuchAccount));
    assert_eq!(site.expire_sessions("eve"), Err(NoSuchAccount));
    assert!(!site.kill_session("sid=made-up; other=x"));
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_and_replaces_the_old_one() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    site.set_password("ada", "newer").unwrap();
    assert!(!browser.is_logged_in().await);
    assert!(browser.log_in("ada", "right").await.has(".error"));
    assert_eq!(browser.log_in("ada", "newer").await.location(), "/home");
}

#[tokio::test]
async fn a_ban_or_challenge_stops_a_live_session_and_a_lock_does_not() {
    use AccountState::{Active, Banned, Challenged, Locked};
    for (state, page_status, mark, api_status) in [
        (Active, StatusCode::OK, "#whoami", StatusCode::OK),
        (Locked, StatusCode::OK, "#whoami", StatusCode::OK),
        (Banned, StatusCode::FORBIDDEN, ".banned", StatusCode::FORBIDDEN),
        (Challenged, StatusCode::OK, ".challenge", StatusCode::FORBIDDEN),
    ] {
        let site = site().await;
        let mut browser = Browser::logged_in(&site, "ada", "right").await;
        let form = browser.get("/post/new").await.fill("post", &[("title", "t")]);
        site.set_state("ada", state).unwrap();
        for path in ["/home", "/post/new"] {
            let page = browser.get(path).await;
            assert_eq!((page.status, page.has(mark)), (page_status, true), "{state:?} {path}");
        }
        assert_eq!(browser.get("/api/me").await.status, api_status, "{state:?}");
        browser.post("/post", &form).await;
        assert_eq!(site.posts("ada").len(), usize::from(mark == "#whoami"), "{state:?}");
    }
}

#[tokio::test]
async fn the_probe_takes_a_cookie_or_an_app_password_and_nothing_else() {
    let site = site().await;
    site.add_account(NewAccount::new("bob", "right")).unwrap();
    let mut member = Browser::logged_in(&site, "ada", "right").await;
    assert_eq!(member.get("/api/me").await.body, r#"{"username":"ada"}"#);

    let mut stranger = Browser::new(&site);
    let page = stranger.get("/api/me").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.header("www-authenticate").starts_with("Basic "));
    for (name, password, status) in [
        ("ada", "app word", StatusCode::OK),
        ("ada", "right", StatusCode::UNAUTHORIZED),
        ("ada", "", StatusCode::UNAUTHORIZED),
        ("bob", "", StatusCode::UNAUTHORIZED),
        ("bob", "right", StatusCode::UNAUTHORIZED),
        ("eve", "app word", StatusCode::UNAUTHORIZED),
    ] {
        let request = stranger.request(Method::GET, "/api/me").basic_auth(name, Some(password));
        assert_eq!(stranger.send(request).await.status, status, "{name} {password}");
    }
    let request = stranger.request(Method::GET, "/api/me").bearer_auth("x");
    assert_eq!(stranger.send(request).await.status, StatusCode::UNAUTHORIZED);
    site.set_state("ada", AccountState::Banned).unwrap();
    let request = stranger.request(Method::GET, "/api/me").basic_auth("ada", Some("app word"));
    let page = stranger.send(request).await;
    assert_eq!((page.status, page.body.as_str()), (StatusCode::FORBIDDEN, r#"{"error":"banned"}"#));
    assert_eq!(site.logins("ada"), 1, "an app password is no login");
}
