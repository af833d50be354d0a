//! Images of tasks: fetched from listed origins only, without credentials, and uploaded as they are.

use latchkey_practice_site::{Site, SiteConfig};
use latchkey_tests::world::World;

use crate::check::{assert_posted_once, error_message};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_of_a_listed_origin_are_fetched_without_cookies_and_uploaded() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let urls = [1, 2].map(|number| format!("{}/media/{number}.png", world.site.origin()));
    world.manager.add_task(world.task("t-1", &ann).with("images", World::images(&urls))).unwrap();

    assert_eq!(world.run().await.done, 1);

    assert_posted_once(&world, &ann, &["t-1".into()]);
    let post = world.site.posts("ann").remove(0);
    let mut fetched = Vec::new();
    for url in &urls {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        fetched.push(client.get(url).send().await.unwrap().bytes().await.unwrap());
    }
    assert_eq!(post.images.iter().map(|image| &image.bytes).collect::<Vec<_>>(), fetched.iter().collect::<Vec<_>>());
    assert!(post.images.iter().all(|image| image.content_type == "image/png"));
    assert_eq!(world.site.ledger().media_fetches_with_credentials, 0);
    let media = world.site.requests().into_iter().filter(|request| request.path.starts_with("/media/"));
    assert!(media.into_iter().all(|request| request.cookie_names.is_empty() && !request.has_authorization));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_from_elsewhere_fails_the_task_and_is_never_fetched() {
    let world = World::new().await;
    let elsewhere = Site::start(SiteConfig::default()).await.unwrap();
    let ann = world.author_in("ann");
    let away = format!("{}/away?to={}/media/1.png", world.site.origin(), elsewhere.origin());
    let rows = [format!("{}/media/1.png", elsewhere.origin()), away, "file:///etc/passwd".to_owned(), "x".to_owned()];
    for (number, url) in rows.iter().enumerate() {
        let task = world.task(&format!("t-{number}"), &ann).max_retries(0);
        world.manager.add_task(task.with("images", World::images(std::slice::from_ref(url)))).unwrap();
    }

    let summary = world.run().await;

    assert_eq!((summary.failed, summary.done), (rows.len() as u64, 0));
    assert_eq!(elsewhere.requests(), []);
    assert_eq!(world.site.all_posts(), []);
    for number in 0..rows.len() {
        assert!(error_message(&world, &format!("t-{number}")).contains("image 1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_there_fails_the_task_and_one_too_many_as_well() {
    let mut world = World::new().await;
    world.sites_file = world.sites_file.replace("limits = {", "limits = { images_max = 1,");
    let ann = world.author_in("ann");
    let at = |path: &str| format!("{}{path}", world.site.origin());
    let rows = [vec![at("/media/none.png")], vec![at("/")], vec![at("/media/1.png"), at("/media/2.png")]];
    for (number, urls) in rows.iter().enumerate() {
        let task = world.task(&format!("t-{number}"), &ann).max_retries(0);
        world.manager.add_task(task.with("images", World::images(urls))).unwrap();
    }

    let summary = world.run().await;

    assert_eq!((summary.failed, summary.done), (3, 0));
    assert_eq!(world.site.all_posts(), []);
    assert!(error_message(&world, "t-0").contains("404"));
    assert!(error_message(&world, "t-1").contains("no PNG"));
    assert!(error_message(&world, "t-2").contains("the site takes 1"));
}
