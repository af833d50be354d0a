//! What all drivers share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use super::{
    Deadline, PostInput,
    testing::{Server, answer, post},
};

#[test]
fn a_deadline_moves_forward_for_all_who_share_it_and_never_back() {
    let now = Instant::now();
    let deadline = Deadline::new(now);
    let shared = deadline.clone();
    assert!(shared.is_past());
    deadline.extend(now + Duration::from_secs(3600));
    assert!(!shared.is_past());
    deadline.extend(now);
    assert_eq!(shared.instant(), now + Duration::from_secs(3600));
}

#[test]
fn a_marker_that_the_post_does_not_show_is_not_looked_for() {
    assert_eq!(post().visible_marker(), Some("https://c.example/?a=1"));
    for marker in ["", "task-17"] {
        let post = PostInput { marker: marker.to_owned(), ..post() };
        assert_eq!(post.visible_marker(), None, "{marker}");
    }
}

#[tokio::test]
async fn a_site_without_a_way_to_post_has_no_driver() {
    use latchkey_vault::{
        ManualClock,
        site_http::{SiteClient, Transport},
    };
    let server = Server::start(|_| answer(200, "")).await;
    let site = server.site("login.driver = \"none\"");
    let client = SiteClient::new(site, Transport::new(None).unwrap(), std::sync::Arc::new(ManualClock::new(0)));
    assert!(super::build_driver(client.into()).is_none());
}
