//! WordPress's answers, as 6.1 gives them, and what is concluded from them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::super::site_http::testing::{Answer, Server, client};
use super::super::{
    Block, LoginIdentity, LoginOutcome, NonceError, SiteAuth, TotpSource, TotpUnavailable, Verdict, build_auth,
    rest_nonce,
};
use crate::{cookies::Jar, model::Secret, site_http::SiteClient, sites::SitePath};
use async_trait::async_trait;
use std::sync::Arc;

const LOGIN_PAGE: &str = r#"<form name=loginform id=loginform action="/wp-login.php" method=post>
<input type=text name=log><input type=password name=pwd><input name=rememberme type=checkbox value=forever>
<input type=submit name=wp-submit value="Log In"><input type=hidden name=redirect_to value="/wp-admin/">
<input type=hidden name=testcookie value=1></form>"#;

struct NoCodes;

#[async_trait]
impl TotpSource for NoCodes {
    async fn code(&mut self) -> Result<Secret, TotpUnavailable> {
        Err(TotpUnavailable { reason: "none".to_owned() })
    }
}

async fn wordpress() -> Server {
    Server::start(|seen| {
        let is_live = seen.header("cookie").is_some_and(|cookies| cookies.contains("wordpress_logged_in_x=amy"));
        match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/wp-login.php") => Answer::new(200, LOGIN_PAGE).with("set-cookie", "wordpress_test_cookie=1"),
            ("POST", "/wp-login.php") if seen.body.contains("pwd=right") => {
                Answer::redirect(302, "/wp-admin/profile.php").with("set-cookie", "wordpress_logged_in_x=amy; path=/")
            }
            ("POST", "/wp-login.php") => Answer::new(200, format!("<div id=login_error>Error</div>{LOGIN_PAGE}")),
            ("GET", "/wp-admin/profile.php") if is_live => Answer::new(200, "<form id=your-profile></form>"),
            ("GET", "/wp-admin/profile.php") => Answer::redirect(302, "/wp-login.php?redirect_to=x&reauth=1"),
            ("GET", "/wp-login.php?redirect_to=x&reauth=1") => Answer::new(200, LOGIN_PAGE),
            ("GET", "/wp-admin/admin-ajax.php?action=rest-nonce") if is_live => Answer::new(200, "0a1b2c3d4e"),
            ("GET", "/wp-admin/admin-ajax.php?action=rest-nonce") => Answer::new(400, "0"),
            ("GET", "/wp-json/wp/v2/users/me") => match seen.header("authorization") {
                // amy:app pass
                Some("Basic YW15OmFwcCBwYXNz") => Answer::new(200, r#"{"id":7,"slug":"amy"}"#),
                Some(_) => Answer::new(401, r#"{"code":"incorrect_password","message":"x","data":{"status":401}}"#),
                None => Answer::new(401, r#"{"code":"rest_not_logged_in","message":"x","data":{"status":401}}"#),
            },
            _ => Answer::new(404, ""),
        }
    })
    .await
}

fn client_of(server: &Server) -> Arc<SiteClient> {
    client(&format!("origins = [\"{}\"]\nlogin.driver = \"wordpress\"", server.origin()))
}

fn auth(server: &Server) -> Arc<dyn SiteAuth> {
    build_auth(client_of(server))
}

async fn log_in(server: &Server, password: &str, jar: &mut Jar) -> LoginOutcome {
    let password = Secret::copy_of(password);
    let who = LoginIdentity { username: Some("amy"), password: Some(&password), ..LoginIdentity::default() };
    auth(server).log_in(&who, jar, &mut NoCodes).await
}

#[tokio::test]
async fn the_form_is_sent_as_a_browser_would_and_the_profile_proves_it() {
    let server = wordpress().await;
    let mut jar = Jar::new();
    assert!(matches!(log_in(&server, "right", &mut jar).await, LoginOutcome::LoggedIn(_)));
    assert_eq!(server.lines(), ["GET /wp-login.php", "POST /wp-login.php", "GET /wp-admin/profile.php"]);
    let body = server.seen().into_iter().nth(1).unwrap().body;
    for pair in
        ["log=amy", "pwd=right", "rememberme=forever", "wp-submit=Log+In", "redirect_to=%2Fwp-admin%2Fprofile.php"]
    {
        assert!(body.split('&').any(|sent| sent == pair), "{pair} in {body}");
    }
    assert_eq!(auth(&server).probe(&mut jar, &LoginIdentity::default()).await.verdict, Verdict::Live);
}

#[tokio::test]
async fn a_wrong_password_answers_200_and_is_still_refused() {
    let server = wordpress().await;
    let outcome = log_in(&server, "wrong", &mut Jar::new()).await;
    assert!(matches!(outcome, LoginOutcome::Blocked(Block::WrongCredentials, _)), "{outcome:?}");
    assert_eq!(auth(&server).probe(&mut Jar::new(), &LoginIdentity::default()).await.verdict, Verdict::Expired);
}

#[tokio::test]
async fn an_application_password_needs_no_login_and_goes_without_cookies() {
    let server = wordpress().await;
    let (password, app, bad) = (Secret::copy_of("right"), Secret::copy_of("app pass"), Secret::copy_of("bad"));
    let who = |app| LoginIdentity {
        username: Some("amy"),
        password: Some(&password),
        app_password: Some(app),
        ..LoginIdentity::default()
    };
    let mut jar = Jar::new();
    jar.import_flat(&server.url("/"), &Secret::copy_of("wordpress_logged_in_x=amy"), 0).unwrap();
    assert!(matches!(auth(&server).log_in(&who(&app), &mut jar, &mut NoCodes).await, LoginOutcome::LoggedIn(_)));
    let outcome = auth(&server).log_in(&who(&bad), &mut jar, &mut NoCodes).await;
    assert!(matches!(outcome, LoginOutcome::Blocked(Block::WrongCredentials, _)), "{outcome:?}");
    assert_eq!(server.lines(), ["GET /wp-json/wp/v2/users/me"; 2]);
    assert!(server.seen().iter().all(|seen| seen.header("cookie").is_none()));
}

#[tokio::test]
async fn an_answer_that_names_nobody_is_no_verdict_on_the_application_password() {
    for (status, body) in [
        (401, r#"{"code":"rest_not_logged_in"}"#),
        (200, "<html>maintenance"),
        (200, "{}"),
        (503, r#"{"code":"incorrect_password"}"#),
    ] {
        let server = Server::start(move |_| Answer::new(status, body)).await;
        let app = Secret::copy_of("x");
        let who = LoginIdentity { username: Some("amy"), app_password: Some(&app), ..LoginIdentity::default() };
        let evidence = auth(&server).probe(&mut Jar::new(), &who).await;
        assert_eq!(evidence.verdict, Verdict::Unknown, "{status} {body}");
        let outcome = auth(&server).log_in(&who, &mut Jar::new(), &mut NoCodes).await;
        assert!(matches!(outcome, LoginOutcome::NotSent(_)), "{status} {body}");
    }
}

#[tokio::test]
async fn the_nonce_comes_with_a_session_only() {
    let server = wordpress().await;
    let (client, mut jar) = (client_of(&server), Jar::new());
    let error = rest_nonce(&client, &SitePath::root(), &mut jar).await.unwrap_err();
    assert!(matches!(error, NonceError::Refused(evidence) if evidence.verdict == Verdict::Expired));
    log_in(&server, "right", &mut jar).await;
    let nonce = rest_nonce(&client, &SitePath::root(), &mut jar).await.unwrap();
    assert!(nonce.same(&Secret::copy_of("0a1b2c3d4e")));
}
