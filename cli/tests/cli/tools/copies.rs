//! Files put back by `cp`: yesterday's, with their log and without it, and what an anchor says to that.

use super::{Files, Prey, Verdict, files, shut};

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_file_is_a_rollback_with_its_log_and_without_it() {
    let prey = Prey::new().await;
    let ok = Verdict { code: 0, word: "ok", row: None, another: 0, rescued: Some(3) };
    // Copied while it was in use, as a careless backup does it: the newest commits are in the log.
    prey.put(&prey.yesterday);
    let running = prey.running("of yesterday").await;
    let log = |path: &std::path::Path| path.to_str().unwrap().ends_with("-wal");
    assert!(running.keys().any(|path| log(path)));

    // As much of `old` as the filter lets through, over the files of `now`.
    let over = |now: &Files, old: &Files, takes: &dyn Fn(&std::path::Path) -> bool| {
        let kept = old.iter().filter(|(path, _)| takes(path));
        now.clone().into_iter().chain(kept.map(|(path, bytes)| (path.clone(), bytes.clone()))).collect::<Files>()
    };
    let anchor = |path: &std::path::Path| path.starts_with(prey.home.anchors());
    let after = {
        prey.put(&running);
        prey.home.run(&["totp", "blog.example/cleo"]).ok();
        files(&prey.home)
    };
    let mut wrong = Vec::new();
    for (name, put, verdict) in [
        ("yesterday's closed file", over(&after, &prey.yesterday, &|path| !anchor(path)), shut("rollback")),
        ("yesterday's file and its log", over(&after, &running, &|path| !anchor(path)), shut("rollback")),
        (
            "yesterday's file without its log",
            over(&after, &running, &|path| !anchor(path) && !log(path)),
            shut("rollback"),
        ),
        ("yesterday's log beside today's file", over(&after, &running, &log), shut("rollback")),
        // What is not promised: with its anchor a whole machine stood still, or was put back.
        ("yesterday's file with its anchor", over(&after, &prey.yesterday, &|_| true), ok),
        ("as it is", after.clone(), ok),
    ] {
        prey.put(&put);
        wrong.extend(prey.check(name, verdict));
    }

    // A person who knows that the newer file is lost goes on from it, and says so.
    prey.put(&over(&after, &prey.yesterday, &|path| !anchor(path)));
    let refused = prey.home.run(&["account", "list", "--json"]);
    refused.refused(5, "rollback", "rollback");
    prey.home.run(&["anchor", "adopt", "--yes", "--accept-rollback"]).ok();
    wrong.extend(prey.check("adopted", ok));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
