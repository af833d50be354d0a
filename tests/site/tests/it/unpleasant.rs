//! The site as a whole: maintenance, slowness, redirects away, its clock, log, bounds and end.
//!
//! It does not look at accounts.

use std::time::Duration;

use latchkey_practice_site::{AddAccountError, Behaviour, Maintenance, NewAccount, Site, SiteConfig, StartError};
use reqwest::{Method, StatusCode};

use crate::browser::{Browser, NOW, client, site, site_with};

#[tokio::test]
async fn under_maintenance_every_path_says_so_and_nothing_is_done() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    let form = browser.get("/post/new").await.fill("post", &[("title", "t")]);
    for (maintenance, status) in [
        (Maintenance::Page, StatusCode::OK),
        (Maintenance::Unavailable { retry_after_s: 60 }, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        site.configure(|b| b.maintenance = maintenance);
        for path in ["/", "/login", "/home", "/api/me", "/media/1.png", "/nowhere"] {
            let page = browser.get(path).await;
            assert_eq!((page.status, page.has(".maintenance")), (status, true), "{path}");
            assert_eq!(page.headers.contains_key("retry-after"), maintenance != Maintenance::Page);
        }
        assert_eq!(browser.post("/post", &form).await.status, status);
    }
    assert!(site.all_posts().is_empty());
    site.configure(|b| b.maintenance = Maintenance::Off);
    assert_eq!(browser.post("/post", &form).await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn a_slow_site_outlasts_a_client_and_still_stops() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    site.configure(|b| b.delay_ms = 3_600_000);
    let request = browser.request(Method::GET, "/").timeout(Duration::from_millis(50));
    assert!(browser.try_send(request).await.unwrap_err().is_timeout());

    let waiting = tokio::spawn(browser.request(Method::GET, "/").send());
    while site.requests().len() < 3 {
        tokio::task::yield_now().await;
    }
    site.shutdown().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK, "it is not kept waiting");
}

#[tokio::test]
async fn a_site_that_was_shut_down_or_dropped_takes_no_more_connections() {
    let (stopped, dropped) = (site().await, site().await);
    let (first, second) = (stopped.origin(), dropped.origin());
    stopped.shutdown().await.unwrap();
    assert!(client().get(first).send().await.unwrap_err().is_connect());
    drop(dropped);
    // Dropping does not wait, so the listener may take a few turns to go.
    let client = client();
    for _ in 0..10_000 {
        if client.get(&second).header("connection", "close").send().await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the dropped site still answers");
}

#[tokio::test]
async fn an_address_in_use_is_refused_by_name() {
    let site = site().await;
    let listen = site.origin().trim_start_matches("http://").parse().unwrap();
    let refused = Site::start(SiteConfig { listen, ..SiteConfig::default() }).await;
    assert!(matches!(refused, Err(StartError::Listen { address, .. }) if address == listen));
}

#[tokio::test]
async fn the_way_out_leads_anywhere_that_fits_a_header() {
    let site = site().await;
    let mut browser = Browser::logged_in(&site, "ada", "right").await;
    let page = browser.get("/away?to=http%3A%2F%2Fevil.example%2Fx%3Fy").await;
    assert_eq!((page.status, page.location()), (StatusCode::FOUND, "http://evil.example/x?y"));
    for bad in ["/away", "/away?to=a%0d%0aSet-Cookie:%20x=y"] {
        let page = browser.get(bad).await;
        assert_eq!((page.status, page.set_cookies().len()), (StatusCode::BAD_REQUEST, 0), "{bad}");
    }
}

#[tokio::test]
async fn answers_are_dated_by_the_sites_clock() {
    let (site, clock) = site_with(Behaviour::default()).await;
    for (time, date) in [(NOW, "Wed, 01 Jan 2025 00:00:00 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT")] {
        clock.set(time);
        for path in ["/", "/nowhere", "/_control/ledger"] {
            assert_eq!(Browser::new(&site).get(path).await.header("date"), date, "{path}");
        }
    }
}

#[tokio::test]
async fn the_log_holds_names_of_cookies_and_paths_but_no_values() {
    let site = site().await;
    let mut browser = Browser::with_cookies(&site, "sid=s3cret-1; other=s3cret-2");
    let request = browser.request(Method::GET, "/home?q=s3cret-3").basic_auth("ada", Some("s3cret-4"));
    browser.send(request).await;
    Browser::new(&site).get("/").await;
    let requests = site.requests();
    let [first, second] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((first.sequence, first.method.as_str(), first.path.as_str()), (1, "GET", "/home"));
    assert_eq!(format!("http://{}", first.host), site.origin());
    let mut names = first.cookie_names.clone();
    names.sort();
    assert_eq!((names, first.has_authorization), (vec!["other".to_owned(), "sid".to_owned()], true));
    assert_eq!((second.sequence, second.cookie_names.len(), second.has_authorization), (2, 0, false));
    assert!(!format!("{requests:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_form_beyond_its_bound_is_refused_and_counted_nowhere() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let page = browser.get("/login").await;
    for (length, status) in [(100 * 1024, StatusCode::PAYLOAD_TOO_LARGE), (10 * 1024, StatusCode::OK)] {
        let form = page.fill("login", &[("username", "ada"), ("password", &"x".repeat(length))]);
        assert_eq!(browser.post("/login", &form).await.status, status);
    }
    assert_eq!(site.counts("ada").bad_logins, 1);
}

#[tokio::test]
async fn an_account_is_added_once() {
    let site = site().await;
    for taken in ["ada", "ada@example.org"] {
        let refused = site.add_account(NewAccount::new(taken, "other"));
        assert!(matches!(refused, Err(AddAccountError::Taken)), "{taken}");
    }
    let refused = site.add_account(NewAccount::new("new", "pw").email("ada@example.org"));
    assert!(matches!(refused, Err(AddAccountError::Taken)));
    assert_eq!(Browser::new(&site).log_in("ada", "right").await.location(), "/home");
    assert!(Browser::new(&site).log_in("new", "pw").await.has(".error"));
}
