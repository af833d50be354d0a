//! A vault that was edited while nobody looked: the worker finds it by itself, though no task asks for what was edited.

use latchkey_manager::{Manager, ManagerConfig};
use latchkey_tests::install::{Install, RUN_LIMIT};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_when_an_account_that_no_task_asks_for_was_deleted_offline() {
    let manager = Manager::start(ManagerConfig::default()).await.unwrap();
    let install = Install::new(&manager, SITES).await;
    for name in ["ann", "bob"] {
        let added = install.latchkey(["account", "add", "site.test", "--username", name, "--secrets-stdin"]);
        let added = added.input(r#"{"password":"pass"}"#).run(RUN_LIMIT).await.unwrap();
        assert_eq!(added.status.code(), Some(0), "{}", added.stderr);
    }
    let clean = install.worker().run(RUN_LIMIT).await.unwrap();
    assert_eq!(clean.status.code(), Some(0), "{}", clean.stderr);

    let file = rusqlite::Connection::open(install.folder().join("vault/vault.db")).unwrap();
    assert_eq!(file.execute("DELETE FROM account WHERE id = (SELECT min(id) FROM account)", []).unwrap(), 1);
    file.close().unwrap();

    // Not until idle: it has to end by what it finds.
    let ended = install.latchkey(["worker", "run"]).run(RUN_LIMIT).await.unwrap();
    assert_eq!(ended.status.code(), Some(5), "{}", ended.stderr);
    manager.shutdown().await;
}

const SITES: &str = r#"
[[site]]
domain = "site.test"
origins = ["https://site.test"]
login = { driver = "none" }
"#;
