//! Logging in: forms, verdicts, locks, codes, and redirects that lead elsewhere.
//!
//! It does not look at what sessions are worth afterwards.

use latchkey_practice_site::{AccountState, Behaviour, LoginRedirect, NewAccount};
use reqwest::StatusCode;

use crate::browser::{Browser, NOW, Page, TOTP, code_at, site, site_with};

#[tokio::test]
async fn a_right_password_leads_home_and_is_counted_once() {
    let site = site().await;
    for name in ["ada", "ada@example.org"] {
        let mut browser = Browser::new(&site);
        let page = browser.log_in(name, "right").await;
        assert_eq!((page.status, page.location()), (StatusCode::FOUND, "/home"));
        assert_eq!(browser.get("/home").await.text_of("#whoami").as_deref(), Some("ada"));
        assert_eq!(browser.get("/login").await.location(), "/home");
    }
    assert_eq!((site.logins("ada"), site.ledger().total.logins), (2, 2));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_page() {
    let site = site().await;
    let mut pages = Vec::new();
    for (name, password) in [("ada", "wrong"), ("ada", "right "), ("ada", ""), ("eve", "right"), ("", "")] {
        let mut browser = Browser::new(&site);
        let page = browser.log_in(name, password).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.text_of(".error").as_deref(), Some("wrong username or password"));
        assert!(page.has("form#login") && !browser.is_logged_in().await);
        pages.push(page.body.len());
    }
    assert!(pages.iter().all(|length| *length == pages[0]), "{pages:?}");
    assert_eq!((site.counts("ada").bad_logins, site.ledger().total.bad_logins), (3, 5));
    assert_eq!(site.ledger().total.logins, 0);
}

#[tokio::test]
async fn the_state_of_an_account_decides_what_a_password_gets() {
    use AccountState::{Active, Banned, Challenged, Locked};
    for (state, password, status, mark) in [
        (Active, "wrong", StatusCode::OK, ".error"),
        (Locked, "right", StatusCode::OK, ".locked"),
        (Locked, "wrong", StatusCode::OK, ".locked"),
        (Banned, "right", StatusCode::FORBIDDEN, ".banned"),
        (Banned, "wrong", StatusCode::OK, ".error"),
        (Challenged, "right", StatusCode::OK, ".challenge"),
        (Challenged, "wrong", StatusCode::OK, ".error"),
    ] {
        let site = site().await;
        site.set_state("ada", state).unwrap();
        let mut browser = Browser::new(&site);
        let page = browser.log_in("ada", password).await;
        assert_eq!((page.status, page.has(mark)), (status, true), "{state:?} {password}");
        assert!(!browser.is_logged_in().await && site.logins("ada") == 0);

        site.set_state("ada", Active).unwrap();
        assert_eq!(browser.log_in("ada", "right").await.location(), "/home", "{state:?}");
    }
}

#[tokio::test]
async fn the_fifth_bad_login_in_a_row_locks_and_a_good_one_starts_the_count_anew() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    for _ in 0..4 {
        assert!(browser.log_in("ada", "wrong").await.has(".error"));
    }
    assert_eq!(site.state("ada").unwrap(), AccountState::Active);
    assert_eq!(Browser::new(&site).log_in("ada", "right").await.location(), "/home");
    for _ in 0..5 {
        assert!(browser.log_in("ada", "wrong").await.has(".error"));
    }
    assert_eq!(site.state("ada").unwrap(), AccountState::Locked);
    assert!(browser.log_in("ada", "right").await.has(".locked"));
    assert_eq!((site.counts("ada").bad_logins, site.counts("ada").stopped_logins), (9, 1));
}

#[tokio::test]
async fn a_form_is_only_good_with_its_hidden_fields_and_its_cookie() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    let good = browser.get("/login").await.fill("login", &[("username", "ada"), ("password", "right")]);
    for missing in ["csrf_token", "flow"] {
        let without: Vec<_> = good.iter().filter(|(name, _)| name != missing).cloned().collect();
        let mut changed = good.clone();
        changed.iter_mut().filter(|(name, _)| name == missing).for_each(|(_, value)| value.push('0'));
        for form in [without, changed] {
            let page = browser.post("/login", &form).await;
            assert_eq!((page.status, page.has(".forged")), (StatusCode::FORBIDDEN, true), "{missing}");
        }
    }
    let mut other = Browser::new(&site);
    other.get("/login").await;
    assert!(other.post("/login", &good).await.has(".forged"), "bound to the other's cookie");
    assert!(Browser::new(&site).post("/login", &good).await.has(".forged"), "no cookie at all");
    assert_eq!((site.ledger().forged_forms, site.logins("ada")), (6, 0));

    assert_eq!(browser.post("/login", &good).await.location(), "/home");
}

#[tokio::test]
async fn the_cookie_known_before_the_login_is_worth_nothing_after_it() {
    let site = site().await;
    let mut browser = Browser::new(&site);
    browser.get("/login").await;
    let before = browser.cookies_for("/");
    browser.log_in("ada", "right").await;
    let after = browser.cookies_for("/");
    assert_ne!(before, after);
    assert!(!Browser::with_cookies(&site, &before).is_logged_in().await);
    assert!(Browser::with_cookies(&site, &after).is_logged_in().await);
}

async fn send_code(browser: &mut Browser, code: &str) -> Page {
    let form = browser.get("/login/totp").await.fill("totp", &[("code", code)]);
    browser.post("/login/totp", &form).await
}

#[tokio::test]
async fn a_code_is_asked_for_after_the_password_and_spent_by_use() {
    let (site, clock) = site_with(Behaviour::default()).await;
    site.add_account(NewAccount::new("tina", "right").totp(TOTP)).unwrap();

    let mut browser = Browser::new(&site);
    assert_eq!(browser.get("/login/totp").await.location(), "/login", "no password yet");
    assert_eq!(browser.log_in("tina", "right").await.location(), "/login/totp");
    assert!(!browser.is_logged_in().await);
    assert!(send_code(&mut browser, "000000").await.has(".error"));
    assert_eq!(send_code(&mut browser, &code_at(NOW)).await.location(), "/home");
    assert!(browser.is_logged_in().await);

    for spent in [NOW, NOW - 30] {
        let mut again = Browser::new(&site);
        again.log_in("tina", "right").await;
        let page = send_code(&mut again, &code_at(spent)).await;
        assert_eq!(page.text_of(".error").as_deref(), Some("this code has been used already"));
        assert!(!again.is_logged_in().await);
    }
    clock.advance(30);
    let mut later = Browser::new(&site);
    later.log_in("tina", "right").await;
    assert_eq!(send_code(&mut later, &code_at(NOW + 30)).await.location(), "/home");

    let counts = site.counts("tina");
    assert_eq!((counts.logins, counts.bad_logins, counts.totp_replays), (2, 1, 2));
}

#[tokio::test]
async fn a_code_outside_the_window_is_wrong_and_wrong_codes_lock() {
    let site = site().await;
    site.add_account(NewAccount::new("tina", "right").totp(TOTP)).unwrap();
    let mut browser = Browser::new(&site);
    browser.log_in("tina", "right").await;
    for off in [NOW - 60, NOW + 60, NOW - 90, NOW + 90, NOW + 3_600] {
        assert_eq!(send_code(&mut browser, &code_at(off)).await.text_of(".error").as_deref(), Some("wrong code"));
    }
    assert!(send_code(&mut browser, &code_at(NOW)).await.has(".locked"));
    site.set_state("tina", AccountState::Active).unwrap();
    assert_eq!(send_code(&mut browser, &code_at(NOW)).await.location(), "/home");
}

#[tokio::test]
async fn a_code_form_without_its_token_is_refused() {
    let site = site().await;
    site.add_account(NewAccount::new("tina", "right").totp(TOTP)).unwrap();
    let mut browser = Browser::new(&site);
    browser.log_in("tina", "right").await;
    let bare = [("code".to_owned(), code_at(NOW))];
    assert_eq!(browser.post("/login/totp", &bare).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send_code(&mut browser, &code_at(NOW)).await.location(), "/home", "the code was not spent");
}

#[tokio::test]
async fn a_login_can_end_at_another_origin() {
    let (site, evil) = (site().await, site().await);
    let trap = format!("{}/away", evil.origin());

    site.configure(|b| b.login_redirect = Some(LoginRedirect::AfterLogin(trap.clone())));
    let page = Browser::new(&site).log_in("ada", "right").await;
    assert_eq!((page.status, page.location()), (StatusCode::FOUND, trap.as_str()));
    assert_eq!(site.logins("ada"), 1);

    site.configure(|b| b.login_redirect = Some(LoginRedirect::HandOver(trap.clone())));
    let page = Browser::new(&site).log_in("ada", "right").await;
    assert_eq!((page.status, page.location()), (StatusCode::TEMPORARY_REDIRECT, trap.as_str()));
    assert_eq!(site.logins("ada"), 1, "nothing was checked");

    site.configure(|b| b.login_redirect = None);
    assert_eq!(Browser::new(&site).log_in("ada", "right").await.location(), "/home");
}
