//! Tasks read from JSON as it really comes, and the calls over real sockets. Knows no reference manager.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    Secret,
    manager_http::{BaseUrl, CallError, Class, Json, ManagerClient, ManagerConfig, is_id},
    model::Field,
};
use proptest::{collection, prelude::*, sample::select};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{IMAGES_MAX, Malformed, Oddity, OneError, PostTask, SocialSource, unresolved_spin};

/// A manager that answers one request with the given status and JSON, and returns the request.
struct OneAnswer {
    source: SocialSource,
    request: JoinHandle<std::io::Result<String>>,
}

impl OneAnswer {
    async fn start(status: &'static str, json: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = ManagerConfig {
            base_url: BaseUrl::parse(&format!("http://{}", listener.local_addr().unwrap()), false).unwrap(),
            key: Secret::copy_of("key"),
            timeout: Duration::from_secs(60),
            user_agent: "Latchkey/test".to_owned(),
            extra_roots_pem: None,
        };
        let json = json.into();
        let request = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let request = read_request(&mut stream).await?;
            let length = json.len();
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{json}");
            stream.write_all(answer.as_bytes()).await?;
            Ok(request)
        });
        Self { source: SocialSource::new(Arc::new(ManagerClient::new(config).unwrap())), request }
    }

    async fn request(self) -> String {
        self.request.await.unwrap().unwrap()
    }
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Ok(text);
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The sample of the contract's document.
const SAMPLE: &str = r#"{
    "id": "b2c3d4e5-6789-01ab-cdef-234567890abc", "request_id": "f0e1d2c3-b4a5-6789-0abc-def123456789",
    "account_id": "a1b2c3d4-5678-9abc-def0-123456789abc", "domain": "example-social.com",
    "website": "https://likepion.com", "email": "worker@a.example", "username": "socactive", "password": "pw",
    "pass_mail": "xxxx xxxx xxxx xxxx", "twofa": "JBSWY3DPEHPK3PXP", "app_password": "xxxx xxxx xxxx xxxx",
    "cookie": "sid=1; csrf=2", "title": "Bài viết SEO backlink",
    "about": "<p>Nội dung HTML với anchor <a href=\"https://likepion.com\">likepion</a></p>",
    "images": [{ "id": "uuid", "url": "https://s3.likepion.com/posts/img.jpg" }] }"#;

fn read(json: &str) -> Result<PostTask, Malformed> {
    PostTask::read(&Json::parse(json.as_bytes()).unwrap())
}

/// A task of the fewest members, and these.
fn task(members: &str) -> String {
    format!(r#"{{"id":"t1","domain":"a.example","about":"<p>x</p>"{members}}}"#)
}

#[test]
fn the_sample_of_the_contract_is_read_whole() {
    let task = read(SAMPLE).unwrap();
    assert_eq!(task.id, "b2c3d4e5-6789-01ab-cdef-234567890abc");
    assert_eq!(task.account_id.as_deref(), Some("a1b2c3d4-5678-9abc-def0-123456789abc"));
    assert_eq!((task.domain.as_str(), task.title.as_str()), ("example-social.com", "Bài viết SEO backlink"));
    assert!(task.about.contains(r#"<a href="https://likepion.com">"#) && !task.has_unresolved_spin());
    assert_eq!(task.images[0].url, "https://s3.likepion.com/posts/img.jpg");
    let present: Vec<_> = Field::ALL.into_iter().filter(|field| task.fields.value(*field).is_some()).collect();
    assert_eq!(present, [Field::Email, Field::Username, Field::Password, Field::Cookie]);
    assert!(task.unusable.is_empty());
}

#[test]
fn a_task_needs_little_and_bears_much() {
    for members in [
        "",
        r#","title":null,"images":null,"account_id":"","request_id":"...","website":7"#,
        r#","images":[],"brand_new":{"deep":[1,2]},"status":"limbo""#,
        r#","id":"t1","domain":"a.example""#,
    ] {
        let task = read(&task(members)).unwrap();
        assert_eq!((task.id.as_str(), task.title.as_str(), task.images.len()), ("t1", "", 0), "{members}");
        assert!(task.account_id.is_none() && task.fields.is_empty() && task.unusable.is_empty());
    }
    let odd = read(&task(r#","password":12345,"cookie":["a=b"],"username":"u""#)).unwrap();
    assert_eq!(odd.unusable, ["password", "cookie"]);
    assert!(odd.fields.username.is_some());
}

#[test]
fn a_task_that_cannot_be_worked_on_says_why() {
    let wrong = |field| Oddity::Wrong { field };
    let absent = |field| Oddity::Absent { field };
    let image =
        |count: usize| task(&format!(r#","images":[{}]"#, vec![r#"{"url":"https://a.example/1"}"#; count].join(",")));
    let long_id = format!(r#"{{"id":"{}"}}"#, "i".repeat(201));
    for (json, id, oddity) in [
        ("null".to_owned(), None, Oddity::NotAnObject),
        ("[]".to_owned(), None, Oddity::NotAnObject),
        (r#""task""#.to_owned(), None, Oddity::NotAnObject),
        ("{}".to_owned(), None, Oddity::Id),
        (r#"{"id":7,"domain":"a.example"}"#.to_owned(), None, Oddity::Id),
        (r#"{"id":"","domain":"a.example"}"#.to_owned(), None, Oddity::Id),
        (r#"{"id":"a\nb"}"#.to_owned(), None, Oddity::Id),
        (r#"{"id":".."}"#.to_owned(), None, Oddity::Id),
        (long_id, None, Oddity::Id),
        (r#"{"id":"t1","about":"x"}"#.to_owned(), Some("t1"), absent("domain")),
        (r#"{"id":"t1","domain":"a.example","about":" "}"#.to_owned(), Some("t1"), absent("about")),
        (task(r#","domain":7"#), Some("t1"), wrong("domain")),
        (task(r#","domain":"a\u0000""#), Some("t1"), wrong("domain")),
        (task(r#","title":["not text"]"#), Some("t1"), wrong("title")),
        (task(r#","about":{}"#), Some("t1"), wrong("about")),
        (task(r#","account_id":9"#), Some("t1"), wrong("account_id")),
        (task(r#","images":"none""#), Some("t1"), wrong("images")),
        (task(r#","images":[null]"#), Some("t1"), absent("images.url")),
        (task(r#","images":[{"url":5}]"#), Some("t1"), wrong("url")),
        (image(65), Some("t1"), Oddity::TooManyImages),
    ] {
        let malformed = read(&json).unwrap_err();
        assert_eq!(malformed, Malformed { id: id.map(str::to_owned), oddity }, "{json}");
    }
    assert_eq!(read(&image(64)).unwrap().images.len(), 64);
}

#[test]
fn debug_shows_no_credential_and_no_text() {
    let shown = format!("{:?}", read(SAMPLE).unwrap());
    for canary in ["worker@", "socactive", "sid=1", "likepion", "example-social", "SEO"] {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
}

#[test]
fn spin_that_nobody_resolved_is_found_and_other_braces_are_not() {
    for spun in [
        "{a|b}",
        "x {Xin chào|Chào bạn} y",
        "{a|{b|c}}",
        "{a {x} | b}",
        "{|a}",
        "{a|}",
        "<p>{một|hai|ba}</p>",
        "}{a|b}",
    ] {
        assert!(unresolved_spin(spun), "{spun}");
    }
    for plain in [
        "",
        "a|b",
        "{a}",
        "{a,b}",
        "a { color: red } b | c",
        r#"<style>p{color:red} a>b{margin:0}</style>"#,
        r#"{"json": {"a": [1, 2]}}"#,
        "{{ template }}",
        "{a|b",
        "a|b}",
        "}|{",
        "{a} | {b}",
        "| {a} |",
    ] {
        assert!(!unresolved_spin(plain), "{plain}");
    }
}

#[tokio::test]
async fn one_malformed_task_costs_no_other() {
    let list =
        format!(r#"{{"success":true,"data":[{SAMPLE},null,{{"id":7}},{},{}]}}"#, task(r#","title":1"#), task(""));
    let manager = OneAnswer::start("200 OK", list).await;
    let pulled = manager.source.list(5).await.unwrap();
    assert_eq!(pulled.tasks.iter().map(|task| task.id.len()).collect::<Vec<_>>(), [36, 2]);
    let ids: Vec<_> = pulled.malformed.iter().map(|malformed| malformed.id.as_deref()).collect();
    assert_eq!(ids, [None, None, Some("t1")]);
    assert!(manager.request().await.starts_with("GET /api/v1/social/links?limit=5 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_limit_is_brought_into_the_managers_range() {
    for (asked, sent) in [(0, "limit=1 "), (1, "limit=1 "), (1000, "limit=1000 "), (1001, "limit=1000 ")] {
        let manager = OneAnswer::start("200 OK", r#"{"success":true,"data":[]}"#).await;
        assert!(manager.source.list(asked).await.unwrap().tasks.is_empty());
        assert!(manager.request().await.contains(sent), "{asked}");
    }
}

#[tokio::test]
async fn a_pull_without_a_list_is_no_empty_pull() {
    let manager = OneAnswer::start("200 OK", r#"{"success":true,"data":null}"#).await;
    assert!(manager.source.list(5).await.unwrap().tasks.is_empty());
    for json in [r#"{"success":true}"#, r#"{"success":true,"data":{}}"#, r#"{"success":true,"data":"x"}"#] {
        let error = OneAnswer::start("200 OK", json).await.source.list(5).await.unwrap_err();
        assert!(matches!(error, CallError::NoAnswer { status: Some(200), .. }), "{json}: {error:?}");
    }
}

#[tokio::test]
async fn one_task_is_read_by_its_id_and_no_other_is_taken_for_it() {
    let json = format!(r#"{{"success":true,"data":{}}}"#, task(""));
    let manager = OneAnswer::start("200 OK", json.clone()).await;
    assert_eq!(manager.source.one("t1").await.unwrap().id, "t1");
    assert!(manager.request().await.starts_with("GET /api/v1/social/links/t1 HTTP/1.1\r\n"));

    let error = OneAnswer::start("200 OK", json).await.source.one("t2").await.unwrap_err();
    assert!(matches!(error, OneError::OtherTask), "{error:?}");
    let error = OneAnswer::start("200 OK", r#"{"success":true}"#).await.source.one("t1").await.unwrap_err();
    assert!(matches!(error, OneError::Malformed(_)), "{error:?}");
    let refusal = r#"{"success":false,"message":"task not found"}"#;
    let error = OneAnswer::start("404 Not Found", refusal).await.source.one("t1").await.unwrap_err();
    assert!(matches!(&error, OneError::Call(CallError::NotFound { message }) if message == "task not found"));
    assert_eq!(error.class(), Class::Permanent);
}

#[tokio::test]
async fn a_task_is_started_without_a_body_and_completed_with_its_link() {
    let manager = OneAnswer::start("200 OK", r#"{"success":true}"#).await;
    manager.source.start("a/b").await.unwrap();
    let request = manager.request().await;
    assert!(request.starts_with("POST /api/v1/social/links/a%2Fb/start HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n"), "{request}");

    let manager = OneAnswer::start("200 OK", r#"{"success":true}"#).await;
    manager.source.complete("t1", "https://a.example/p/1?x=\"đ\"").await.unwrap();
    let request = manager.request().await;
    assert!(request.starts_with("POST /api/v1/social/links/t1/complete HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(r#"{"link_post":"https://a.example/p/1?x=\"đ\""}"#), "{request}");
}

#[tokio::test]
async fn a_reason_is_cut_by_characters_and_never_blank() {
    for (said, sent) in [
        ("rate limit".to_owned(), "rate limit".to_owned()),
        (" spaced \n".to_owned(), "spaced".to_owned()),
        (String::new(), "no reason was given".to_owned()),
        (" \t\n".to_owned(), "no reason was given".to_owned()),
        ("đ".repeat(1000), "đ".repeat(1000)),
        ("đ".repeat(1001), "đ".repeat(1000)),
        ("👩‍🚀".repeat(400), "👩‍🚀".repeat(400).chars().take(1000).collect()),
    ] {
        let manager = OneAnswer::start("200 OK", r#"{"success":true}"#).await;
        manager.source.fail("t1", &said).await.unwrap();
        let request = manager.request().await;
        assert!(request.starts_with("POST /api/v1/social/links/t1/fail HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(&format!("{{\"error_message\":\"{sent}\"}}")), "{request}");
    }
}

proptest! {
    #[test]
    fn a_task_of_any_shape_is_read_or_refused_with_its_id(
        members in collection::vec((select(MEMBERS), select(VALUES)), 0..12),
        about in "[{|} a]{0,12}",
    ) {
        let odd: String = members.iter().map(|(name, value)| format!(r#""{name}":{value},"#)).collect();
        let json = Json::parse(format!(r#"{{{odd}"about":"{about}"}}"#).as_bytes()).unwrap();
        match PostTask::read(&json) {
            Ok(task) => {
                prop_assert!(is_id(&task.id) && task.account_id.as_deref().is_none_or(is_id));
                prop_assert!(!task.domain.is_empty() && !task.about.is_empty() && task.images.len() <= IMAGES_MAX);
            }
            Err(Malformed { id: Some(id), oddity }) => prop_assert!(is_id(&id) && oddity != Oddity::Id),
            Err(Malformed { id: None, oddity }) => prop_assert_eq!(oddity, Oddity::Id),
        }
    }

    #[test]
    fn spin_is_a_bar_directly_between_braces_that_match(text in "[{|} a]{0,16}") {
        prop_assert_eq!(unresolved_spin(&text), plainly_spun(&text));
    }
}

/// A pair of braces with a bar in it that is in no inner pair: found by taking innermost pairs away, one by one.
fn plainly_spun(text: &str) -> bool {
    let mut text = text.to_owned();
    while let Some(close) = text.find('}') {
        let Some(open) = text[..close].rfind('{') else {
            text.remove(close);
            continue;
        };
        if text[open..close].contains('|') {
            return true;
        }
        text.replace_range(open..=close, "");
    }
    false
}

const MEMBERS: &[&str] = &["id", "account_id", "domain", "title", "images", "website", "password", "request_id"];
const VALUES: &[&str] = &[
    "null",
    "1",
    "[]",
    "{}",
    r#""x.example""#,
    r#""x.example""#,
    r#""""#,
    r#"".""#,
    r#""a\nb""#,
    r#"[{"url":"https://img.example/1"}]"#,
    "[{}]",
];
