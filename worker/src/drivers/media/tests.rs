//! Images come all or not at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use latchkey_vault::site_http::{MediaClient, Transport};

use super::{ImagesError, fetch_images};
use crate::drivers::testing::{Server, answer};

fn client(host: &Server) -> MediaClient {
    let lines = format!("login.driver = \"none\"\nmedia_origins = [\"{}\"]\nlimits.images_max = 2", host.origin);
    MediaClient::new(host.site(&lines), Transport::new(None).unwrap())
}

#[tokio::test]
async fn images_are_named_by_place_content_and_kind() {
    let host = Server::start(|seen| answer(200, if seen.target == "/b" { "GIF89a" } else { "GIF87a" })).await;
    let (a, b) = (format!("{}/../../etc/passwd", host.origin), format!("{}/b", host.origin));
    let images = fetch_images(&client(&host), &[&a, &b]).await.unwrap();
    let named: Vec<_> = images.iter().map(|image| (image.name.as_str(), image.mime)).collect();
    let expected = [("image-1-9faccac8ea389a38.gif", "image/gif"), ("image-2-610f5ae4d76e3326.gif", "image/gif")];
    assert_eq!(named, expected, "the hashes are those that sha256sum prints");
}

#[tokio::test]
async fn one_failure_or_one_too_many_fails_all() {
    let host = Server::start(|seen| match seen.target.as_str() {
        "/ok" => answer(200, "GIF89a"),
        "/down" => answer(503, ""),
        _ => answer(404, ""),
    })
    .await;
    let at = |path: &str| format!("{}{path}", host.origin);
    let fetch = async |paths: &[&str]| {
        let urls: Vec<String> = paths.iter().map(|path| at(path)).collect();
        fetch_images(&client(&host), &urls.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap_err()
    };
    let missing = fetch(&["/ok", "/gone"]).await;
    assert!(matches!(missing, ImagesError::Image { position: 2, .. }) && !missing.may_pass());
    assert!(fetch(&["/down"]).await.may_pass());
    let asked = host.seen().len();
    assert!(matches!(fetch(&["/ok", "/ok", "/ok"]).await, ImagesError::TooMany { count: 3, limit: 2 }));
    assert_eq!(host.seen().len(), asked);
}
