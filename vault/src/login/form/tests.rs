//! A login at a small site of each temper: what the outcome is, and what the site was sent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use async_trait::async_trait;

use super::super::super::site_http::testing::{Answer, NOW_MS, Seen, Server, client};
use super::super::{Block, LoginIdentity, LoginOutcome, SiteAuth, TotpSource, TotpUnavailable, Verdict, build_auth};
use crate::{cookies::Jar, model::Secret};
use std::sync::Arc;

const LOGIN_PAGE: &str = r#"<form id=login method=post action=/login><input type=hidden name=csrf value=t0ken>
<input name=user><input type=password name=pw></form>"#;
const CODE_PAGE: &str =
    r#"<form id=totp method=post action=/code><input type=hidden name=csrf value=t1><input name=code></form>"#;
const HOME: &str = "<b id=whoami>amy</b>";

/// Counts the codes it hands out.
#[derive(Default)]
struct Codes {
    handed_out: usize,
    offset_ms: Option<i64>,
    is_empty: bool,
}

#[async_trait]
impl TotpSource for Codes {
    async fn code(&mut self) -> Result<Secret, TotpUnavailable> {
        if self.is_empty {
            return Err(TotpUnavailable { reason: "every step of this minute is spent".to_owned() });
        }
        self.handed_out += 1;
        Ok(Secret::copy_of("123456"))
    }

    fn observe_site_clock(&mut self, site_ms: i64, local_ms: i64) {
        self.offset_ms = Some(site_ms - local_ms);
    }
}

/// A site that is kind but where `special` answers.
async fn server(special: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) -> Server {
    Server::start(move |seen| {
        if let Some(answer) = special(seen) {
            return answer;
        }
        let is_live = seen.header("cookie").is_some_and(|cookies| cookies.contains("sid=live"));
        match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/login") => Answer::new(200, LOGIN_PAGE).with("set-cookie", "pre=1"),
            ("POST", "/login") if seen.body.contains("csrf=t0ken") && seen.body.contains("pw=right") => {
                Answer::redirect(302, "/home").with("set-cookie", "sid=live")
            }
            ("POST", "/login") => Answer::new(200, format!("<p class=error>wrong</p>{LOGIN_PAGE}")),
            ("POST", "/code") if seen.body.contains("code=123456") => {
                Answer::redirect(302, "/home").with("set-cookie", "sid=live")
            }
            ("POST", "/code") => Answer::new(200, format!("<p class=error>wrong</p>{CODE_PAGE}")),
            ("GET", "/home") if is_live => Answer::new(200, HOME),
            ("GET", "/home") => Answer::redirect(302, "/login"),
            _ => Answer::new(404, ""),
        }
    })
    .await
}

fn auth(server: &Server, more: &str) -> Arc<dyn SiteAuth> {
    build_auth(client(&format!(
        r##"origins = ["{}"]
twofa_at_site = true
[site.login]
driver = "form"
page = "/login"
form = "#login"
username_field = "user"
password_field = "pw"
extra = {{ remember = "1" }}
probe = "/home"
logged_in = {{ selector = "#whoami" }}
logged_out = {{ selector = "#login" }}
refused = {{ selector = ".error" }}
locked = {{ selector = ".locked" }}
challenge = {{ selector = "#captcha" }}
totp = {{ form = "#totp", field = "code"{more} }}
"##,
        server.origin()
    )))
}

struct Try {
    outcome: LoginOutcome,
    jar: Jar,
    codes: Codes,
}

async fn log_in_with(server: &Server, password: &str, has_totp: bool, mut codes: Codes) -> Try {
    let password = Secret::copy_of(password);
    let who = LoginIdentity { username: Some("amy"), password: Some(&password), has_totp, ..LoginIdentity::default() };
    let mut jar = Jar::new();
    let outcome = auth(server, "").log_in(&who, &mut jar, &mut codes).await;
    Try { outcome, jar, codes }
}

async fn log_in(server: &Server) -> Try {
    log_in_with(server, "right", true, Codes::default()).await
}

fn blocked(outcome: &LoginOutcome) -> Option<Block> {
    match outcome {
        LoginOutcome::Blocked(block, evidence) => {
            assert_eq!(evidence.verdict, Verdict::Blocked(*block));
            Some(*block)
        }
        _ => None,
    }
}

/// How often credentials were sent.
fn posts(server: &Server) -> usize {
    server.lines().iter().filter(|line| line.starts_with("POST")).count()
}

#[tokio::test]
async fn the_right_password_logs_in_with_token_cookie_and_fixed_fields() {
    let server = server(|_| None).await;
    let done = log_in(&server).await;
    assert!(matches!(&done.outcome, LoginOutcome::LoggedIn(evidence) if evidence.verdict == Verdict::Live));
    assert_eq!(server.lines(), ["GET /login", "POST /login", "GET /home"]);
    let post = server.seen().into_iter().nth(1).unwrap();
    assert_eq!(post.body, "csrf=t0ken&remember=1&user=amy&pw=right");
    assert_eq!(post.header("cookie"), Some("pre=1"));
    assert_eq!(done.jar.names_for(&server.url("/"), NOW_MS), ["pre", "sid"]);
    assert_eq!(done.codes.handed_out, 0);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_and_named() {
    let server = server(|_| None).await;
    let done = log_in_with(&server, "wrong", false, Codes::default()).await;
    assert_eq!(blocked(&done.outcome), Some(Block::WrongCredentials));
    assert_eq!(posts(&server), 1);
}

#[tokio::test]
async fn a_code_is_asked_for_only_where_the_site_wants_one() {
    let wants_code = |seen: &Seen| (seen.line() == "POST /login").then(|| Answer::redirect(302, "/login/totp"));
    let shows_form = |seen: &Seen| {
        (seen.line() == "GET /login/totp")
            .then(|| Answer::new(200, CODE_PAGE).with("date", "Sun, 22 Nov 2026 00:00:30 GMT"))
    };
    let server = server(move |seen| wants_code(seen).or_else(|| shows_form(seen))).await;
    let done = log_in(&server).await;
    assert!(matches!(done.outcome, LoginOutcome::LoggedIn(_)), "{:?}", done.outcome);
    assert_eq!((done.codes.handed_out, done.codes.offset_ms), (1, Some(30_000)));

    let without = log_in_with(&server, "right", false, Codes::default()).await;
    assert_eq!((blocked(&without.outcome), without.codes.handed_out), (Some(Block::SecondFactor), 0));
    let spent = log_in_with(&server, "right", true, Codes { is_empty: true, ..Codes::default() }).await;
    assert_eq!(blocked(&spent.outcome), Some(Block::SecondFactor));
}

#[tokio::test]
async fn a_refused_code_is_not_sent_again() {
    let server = server(|seen| match seen.line().as_str() {
        "POST /login" => Some(Answer::new(200, CODE_PAGE)),
        "POST /code" => Some(Answer::new(200, format!("<p class=error>wrong</p>{CODE_PAGE}"))),
        _ => None,
    })
    .await;
    let done = log_in(&server).await;
    assert_eq!((blocked(&done.outcome), done.codes.handed_out), (Some(Block::SecondFactor), 1));
    assert_eq!(posts(&server), 2);
}

#[tokio::test]
async fn a_form_without_the_codes_field_costs_no_step() {
    let server = server(|seen| {
        (seen.line() == "POST /login").then(|| Answer::new(200, "<form id=totp method=post action=/code></form>"))
    })
    .await;
    let done = log_in(&server).await;
    assert_eq!((blocked(&done.outcome), done.codes.handed_out), (Some(Block::SecondFactor), 0));
}

#[tokio::test]
async fn what_the_answer_to_the_password_shows_decides() {
    type Row = (u16, &'static str, fn(&LoginOutcome) -> bool);
    let rows: [Row; 7] = [
        (200, "<p class=locked>", |o| blocked(o) == Some(Block::Locked)),
        (503, "<p id=captcha>", |o| blocked(o) == Some(Block::Challenge)),
        (429, "", |o| blocked(o) == Some(Block::RateLimited)),
        (500, "", |o| matches!(o, LoginOutcome::Ambiguous(_))),
        (502, "<b id=whoami>amy", |o| matches!(o, LoginOutcome::Ambiguous(_))),
        (200, "<b id=whoami>amy", |o| matches!(o, LoginOutcome::LoggedIn(_))),
        // No mark at all: the probe says that one is logged out.
        (403, "forged?", |o| blocked(o) == Some(Block::Unexplained)),
    ];
    for (status, body, expected) in rows {
        let server = server(move |seen| (seen.method == "POST").then(|| Answer::new(status, body))).await;
        let done = log_in(&server).await;
        assert!(expected(&done.outcome), "{status} {body}: {:?}", done.outcome);
        assert_eq!(posts(&server), 1);
    }
}

#[tokio::test]
async fn what_the_login_page_shows_decides_before_anything_is_sent() {
    type Row = (u16, &'static str, fn(&LoginOutcome) -> bool);
    let rows: [Row; 6] = [
        (200, "<b id=whoami>amy", |o| matches!(o, LoginOutcome::LoggedIn(_))),
        (403, "<p id=captcha>", |o| blocked(o) == Some(Block::Challenge)),
        (429, LOGIN_PAGE, |o| blocked(o) == Some(Block::RateLimited)),
        (503, "down", |o| matches!(o, LoginOutcome::NotSent(_))),
        (200, "<form id=login method=post><input name=user></form>", |o| matches!(o, LoginOutcome::NotSent(_))),
        (200, "<form id=login><input name=user><input name=pw></form>", |o| matches!(o, LoginOutcome::NotSent(_))),
    ];
    for (status, body, expected) in rows {
        let server = server(move |seen| (seen.line() == "GET /login").then(|| Answer::new(status, body))).await;
        let done = log_in(&server).await;
        assert!(expected(&done.outcome), "{status} {body}: {:?}", done.outcome);
        assert_eq!(posts(&server), 0);
    }
}

#[tokio::test]
async fn attack_40_a_form_that_leads_to_a_foreign_origin_gets_no_password() {
    let foreign = Arc::new(Server::start(|_| Answer::new(200, "thanks")).await);
    let html = LOGIN_PAGE.replace("action=/login", &format!("action={}/login", foreign.origin()));
    let server = server(move |seen| (seen.line() == "GET /login").then(|| Answer::new(200, html.clone()))).await;
    assert!(matches!(log_in(&server).await.outcome, LoginOutcome::NotSent(_)));

    let to = foreign.url("/next").to_string();
    let server = self::server(move |seen| (seen.method == "POST").then(|| Answer::redirect(307, &to))).await;
    assert!(matches!(log_in(&server).await.outcome, LoginOutcome::Ambiguous(_)));
    assert!(foreign.seen().is_empty());
}

#[tokio::test]
async fn a_missing_credential_is_named_without_a_request() {
    let server = server(|_| None).await;
    let password = Secret::copy_of("right");
    for who in [
        LoginIdentity { username: Some("amy"), ..LoginIdentity::default() },
        LoginIdentity { password: Some(&password), ..LoginIdentity::default() },
    ] {
        let outcome = auth(&server, "").log_in(&who, &mut Jar::new(), &mut Codes::default()).await;
        assert_eq!(blocked(&outcome), Some(Block::MissingCredential));
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_page_of_its_own_for_the_code_is_visited_where_the_answer_shows_no_form() {
    let server = server(|seen| match seen.line().as_str() {
        "POST /login" => Some(Answer::new(200, "half way")),
        "GET /second" => Some(Answer::new(200, CODE_PAGE)),
        _ => None,
    })
    .await;
    let password = Secret::copy_of("right");
    let who =
        LoginIdentity { email: Some("a@b"), password: Some(&password), has_totp: true, ..LoginIdentity::default() };
    let outcome = auth(&server, ", page = \"/second\"").log_in(&who, &mut Jar::new(), &mut Codes::default()).await;
    assert!(matches!(outcome, LoginOutcome::LoggedIn(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_probe_tells_live_from_expired_and_from_unreachable() {
    let server = server(|_| None).await;
    let (auth, who) = (auth(&server, ""), LoginIdentity::default());
    let mut jar = Jar::new();
    assert_eq!(auth.probe(&mut jar, &who).await.verdict, Verdict::Expired);
    jar.import_flat(&server.url("/"), &Secret::copy_of("sid=live"), NOW_MS).unwrap();
    assert_eq!(auth.probe(&mut jar, &who).await.verdict, Verdict::Live);
    let down = self::server(|_| Some(Answer::new(503, LOGIN_PAGE))).await;
    assert_eq!(self::auth(&down, "").probe(&mut jar, &who).await.verdict, Verdict::Unknown);
}
