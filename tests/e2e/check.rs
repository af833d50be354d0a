//! What tests ask both ledgers. Knows no scenario.

use latchkey_manager::{Route, TaskStatus};
use latchkey_tests::world::{Author, World, title};

/// Asserts that exactly the posts of these tasks are on the site, each once, and that each task was completed once with
/// the link of its own post.
pub(crate) fn assert_posted_once(world: &World, author: &Author, tasks: &[String]) {
    let posts = world.site.posts(&author.name);
    let mut titles: Vec<_> = posts.iter().map(|post| post.title.clone()).collect();
    let mut wanted: Vec<_> = tasks.iter().map(|task| title(task)).collect();
    titles.sort();
    wanted.sort();
    assert_eq!(titles, wanted, "each post once");
    let ledger = world.manager.ledger();
    for task in tasks {
        let post = posts.iter().find(|post| post.title == title(task)).unwrap();
        let state = world.manager.task(task).unwrap();
        assert_eq!(state.status, TaskStatus::Completed, "{task}");
        let link = format!("{}/u/{}/post/{}", world.site.origin(), author.name, post.number);
        assert_eq!(state.link_post.as_deref(), Some(link.as_str()), "{task}");
        assert_eq!((ledger.completes_of(task), ledger.fails_of(task)), (1, 0), "{task}");
    }
}

/// What was written into an account's record, oldest first: the names, and the status in full.
pub(crate) fn puts(world: &World, author: &Author) -> Vec<String> {
    let ledger = world.manager.ledger();
    let applied = ledger.calls(Route::AccountPut, &author.id).filter(|entry| entry.applied);
    let words = applied.map(|entry| {
        let names = entry.sent.names().map(|name| match (name, entry.sent.value(name)) {
            ("status", Some(status)) => format!("status={status}"),
            (name, _) => name.to_owned(),
        });
        names.collect::<Vec<_>>().join(" ")
    });
    words.collect()
}

/// What the last fail of a task said.
pub(crate) fn error_message(world: &World, task: &str) -> String {
    world.manager.task(task).unwrap().error_message.unwrap_or_default()
}

/// A memory figure of this process, in KiB: `VmRSS` now, `VmHWM` at its highest. Source: proc_pid_status(5).
pub(crate) fn rss_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
