//! A site that leads elsewhere: no cookie, no credential and no post goes to an origin that is not listed.

use latchkey_practice_site::LoginRedirect;
use latchkey_tests::{tap::Tap, world::World};

use crate::check::error_message;

/// Runs one task of an account without a session, and returns what the stranger was sent.
async fn check(world: &World, stranger: &Tap, session: bool) -> String {
    let ann = if session { world.author_in("ann") } else { world.author_out("ann") };
    world.manager.add_task(world.task("t-1", &ann).max_retries(0)).unwrap();
    world.run().await;
    stranger.sent()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_40_a_login_form_that_is_handed_over_elsewhere_sends_nothing_there() {
    let world = World::new().await;
    let stranger = Tap::stranger().await;
    let to = format!("{}/login", stranger.origin());
    world.site.configure(|behaviour| behaviour.login_redirect = Some(LoginRedirect::HandOver(to)));

    assert_eq!(check(&world, &stranger, false).await, "");

    assert_eq!(world.site.all_posts(), []);
    assert!(error_message(&world, "t-1").contains("logins in a row"), "{}", error_message(&world, "t-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_40_a_login_that_ends_elsewhere_sends_nothing_there_and_counts_by_its_session() {
    let world = World::new().await;
    let stranger = Tap::stranger().await;
    let to = format!("{}/welcome", stranger.origin());
    world.site.configure(|behaviour| behaviour.login_redirect = Some(LoginRedirect::AfterLogin(to)));

    assert_eq!(check(&world, &stranger, false).await, "");

    assert!(world.site.logins("ann") <= 4, "{} logins", world.site.logins("ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_40_a_post_form_that_leads_elsewhere_sends_nothing_there() {
    let mut world = World::new().await;
    let stranger = Tap::stranger().await;
    let away = format!("/away?to={}/post", stranger.origin());
    world.sites_file = world.sites_file.replace(r#"page = "/post/new""#, &format!("page = \"{away}\""));

    assert_eq!(check(&world, &stranger, true).await, "");

    assert_eq!(world.site.all_posts(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_40_a_probe_that_leads_elsewhere_sends_nothing_there_and_leads_to_no_login() {
    let mut world = World::new().await;
    let stranger = Tap::stranger().await;
    let away = format!("/away?to={}/me", stranger.origin());
    world.sites_file = world.sites_file.replace(r#"probe = "/api/me""#, &format!("probe = \"{away}\""));

    assert_eq!(check(&world, &stranger, false).await, "");

    assert_eq!(world.site.counts("ann").logins, 0);
}
