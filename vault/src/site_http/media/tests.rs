//! Which images are fetched, and which requests a task's URL cannot make us send.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use super::super::testing::{Answer, Server, loopback_transport, site, transport_to};
use super::{ImageKind, MediaClient, MediaError};
use crate::site_http::Transport;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

fn client(media_origins: &[&str], more: &str, transport: Transport) -> MediaClient {
    let lines = format!(
        "origins = [\"https://a.example\"]\nlogin.driver = \"none\"\nmedia_origins = {media_origins:?}\n{more}"
    );
    MediaClient::new(site(&lines), transport)
}

#[tokio::test]
async fn a_listed_image_is_fetched_without_cookies() {
    let host = Server::start(|_| Answer::new(200, PNG).with("content-type", "text/html")).await;
    let client = client(&[&host.origin()], "", loopback_transport());
    let image = client.fetch(host.url("/1.png").as_str()).await.unwrap();
    assert_eq!((image.kind, image.bytes.as_ref()), (ImageKind::Png, PNG));
    let seen = host.seen().pop().unwrap();
    for name in ["cookie", "authorization", "referer"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn an_origin_that_is_not_listed_is_not_contacted_not_even_by_a_redirect() {
    let hidden = Arc::new(Server::start(|_| Answer::new(200, PNG)).await);
    let to = hidden.url("/latest/meta-data").to_string();
    let host = Server::start(move |_| Answer::redirect(302, &to)).await;
    let client = client(&[&host.origin()], "", loopback_transport());
    for url in [hidden.url("/x"), host.url("/x")] {
        let error = client.fetch(url.as_str()).await.unwrap_err();
        assert!(matches!(&error, MediaError::NotListed { origin } if *origin == hidden.origin()), "{error}");
    }
    assert!(hidden.seen().is_empty());
}

#[tokio::test]
async fn a_listed_name_that_leads_into_a_private_network_is_refused_unless_that_is_allowed() {
    let host = Server::start(|_| Answer::new(200, PNG)).await;
    let origin = host.origin_as("images.example");
    let url = format!("{origin}/1.png");
    for addresses in [&["127.0.0.1"][..], &["169.254.169.254"], &["93.184.216.34", "127.0.0.1"], &["::ffff:127.0.0.1"]]
    {
        let error = client(&[&origin], "", transport_to(addresses)).fetch(&url).await.unwrap_err();
        assert!(matches!(error, MediaError::NotPublic), "{addresses:?}: {error}");
        assert!(!error.may_pass());
    }
    assert!(host.seen().is_empty());
    let allowed = client(&[&origin], "allow_private_media = true", loopback_transport());
    allowed.fetch(&url).await.unwrap();
}

#[tokio::test]
async fn texts_that_are_no_plain_web_address_are_refused() {
    let client = client(&["http://127.0.0.1:1"], "", loopback_transport());
    for url in [
        "",
        "x.png",
        "file:///etc/passwd",
        "data:image/png;base64,AA",
        "http://u:p@127.0.0.1:1/",
        "http://u@127.0.0.1:1/",
    ] {
        assert!(matches!(client.fetch(url).await, Err(MediaError::NotAUrl)), "{url}");
    }
}

#[tokio::test]
async fn an_image_beyond_its_bound_or_of_no_kind_is_refused() {
    let host = Server::start(|seen| match seen.target.as_str() {
        "/limit" => Answer::new(200, [PNG, &[0; 2048 - 12]].concat()),
        "/over" => Answer::new(200, [PNG, &[0; 2048 - 11]].concat()),
        "/html" => Answer::new(200, "<html>").with("content-type", "image/png"),
        "/gone" => Answer::new(410, PNG),
        "/later" => Answer::new(503, PNG),
        _ => Answer::redirect(302, "/loop"),
    })
    .await;
    let client = client(&[&host.origin()], "limits.image_max_bytes = 2048", loopback_transport());
    assert_eq!(client.fetch(host.url("/limit").as_str()).await.unwrap().bytes.len(), 2048);
    for (path, reason, may_pass) in [
        ("/over", "exceeds 2048 bytes", false),
        ("/html", "no PNG", false),
        ("/gone", "status 410", false),
        ("/later", "status 503", true),
        ("/loop", "redirects", false),
    ] {
        let error = client.fetch(host.url(path).as_str()).await.unwrap_err();
        assert!(error.to_string().contains(reason) && error.may_pass() == may_pass, "{path}: {error}");
    }
}

#[test]
fn kinds_are_told_by_the_first_bytes() {
    let rows: [(&[u8], Option<ImageKind>); 8] = [
        (PNG, Some(ImageKind::Png)),
        (b"\xff\xd8\xff\xe0", Some(ImageKind::Jpeg)),
        (b"GIF89a", Some(ImageKind::Gif)),
        (b"GIF87a", Some(ImageKind::Gif)),
        (b"RIFF\0\0\0\0WEBPVP8 ", Some(ImageKind::Webp)),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg xmlns", None),
        (b"", None),
    ];
    for (bytes, kind) in rows {
        assert_eq!(ImageKind::of(bytes), kind, "{bytes:?}");
    }
}
