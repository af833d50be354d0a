//! Accounts on their way into the vault and back: who wins where two sides know something, and what no site ever sees.

use latchkey_practice_site::NewAccount;
use latchkey_tests::{
    tap::Tap,
    world::{DOMAIN, MAIL_APP_CANARY, MAIL_CANARY, World, password, sites_file},
};
use latchkey_vault::{AccountSecret, Edit, Secret, model::Field};
use serde_json::{Value, json};

use crate::check::assert_posted_once;

fn text(name: Option<&Secret>) -> &str {
    name.map_or("-", Secret::expose)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_account_comes_in_from_the_task_and_the_managers_record_wins() {
    let world = World::new().await;
    let ann = world.author_as(NewAccount::new("ann", password("ann")), |account| {
        account.with("email", "ann@mail.test").with("twofa", "xxxx xxxx xxxx xxxx").with("app_password", "...")
    });
    // The task's own values are older than the manager's record, and one is a placeholder.
    let task =
        world.task("t-1", &ann).with("password", "old-password").with("email", "...").with("cookie", Value::Null);
    world.manager.add_task(task).unwrap();

    assert_eq!(world.run().await.done, 1);

    assert_posted_once(&world, &ann, &["t-1".into()]);
    let known = world.account(&ann).await;
    assert_eq!((known.site.as_str(), known.manager_id.as_deref()), (DOMAIN, Some("acc-ann")));
    assert_eq!(text(known.email.as_ref()), "ann@mail.test");
    assert_eq!(world.secret(&ann, AccountSecret::Password).await, password("ann"));
    assert_eq!(world.secret(&ann, AccountSecret::MailPassword).await, MAIL_CANARY);
    assert!(!known.has(AccountSecret::MailAppPassword), "a placeholder is no value");
    assert!(!known.has(AccountSecret::Totp));
    assert!(world.audit().await.iter().any(|detail| detail.contains("password: the manager's")));
    assert_eq!(world.site.counts("ann").bad_logins, 0, "the old password was not tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_account_is_filled_where_it_is_empty_and_overwritten_nowhere() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let first = world.add_tasks("a", 1, &ann);
    world.run().await;
    let id = world.account(&ann).await.id;
    let forget = Edit { fields: vec![(Field::Email, Secret::copy_of(""))], ..Edit::default() };
    world.vault.edit_account(id, &forget).await.unwrap();
    let task = world.task("b-1", &ann).with("email", "new@mail.test").with("password", "someone elses");
    world.manager.add_task(task).unwrap();

    assert_eq!(world.run().await.done, 1);

    assert_posted_once(&world, &ann, &[first, vec!["b-1".into()]].concat());
    assert_eq!(text(world.account(&ann).await.email.as_ref()), "new@mail.test");
    assert_eq!(world.secret(&ann, AccountSecret::Password).await, password("ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_edit_that_is_still_owed_wins_over_the_manager_and_is_told() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let first = world.add_tasks("a", 1, &ann);
    world.run().await;
    let id = world.account(&ann).await.id;
    // The site forced a new password; somebody typed it in here, and somebody else another one over there.
    world.site.set_password("ann", "typed here").unwrap();
    let edit = Edit { fields: vec![(Field::Password, Secret::copy_of("typed here"))], ..Edit::default() };
    world.vault.edit_account(id, &edit).await.unwrap();
    let fields = [("password".to_owned(), json!("typed there"))].into_iter().collect();
    assert!(world.manager.edit_account(&ann.id, fields));
    let second = world.add_tasks("b", 1, &ann);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins, summary.stuck), (1, 1, 0));
    assert_posted_once(&world, &ann, &[first, second].concat());
    assert_eq!(world.site.counts("ann").bad_logins, 0);
    assert_eq!(world.manager.account(&ann.id).unwrap().text("password"), Some("typed here"));
    assert!(world.account(&ann).await.owed.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_edit_of_ours_the_managers_new_password_is_the_one_that_is_sent() {
    let world = World::new().await;
    let ann = world.author_in("ann");
    let first = world.add_tasks("a", 1, &ann);
    world.run().await;
    world.site.set_password("ann", "typed there").unwrap();
    let fields = [("password".to_owned(), json!("typed there"))].into_iter().collect();
    assert!(world.manager.edit_account(&ann.id, fields));
    let second = world.add_tasks("b", 1, &ann);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins), (1, 1));
    assert_posted_once(&world, &ann, &[first, second].concat());
    assert_eq!(world.site.counts("ann").bad_logins, 0);
    assert!(world.audit().await.iter().any(|detail| detail.contains("password: the manager's")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_is_no_cookie_string_costs_a_login_and_no_more() {
    let world = World::new().await;
    for (name, cookie) in [("ann", "[object Object]"), ("bob", "=; =")] {
        let author = world.author(name);
        world.give_cookie(&author, cookie);
        world.add_tasks(name, 1, &author);
    }

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins, summary.stuck), (2, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mailboxs_secrets_are_never_sent_to_a_site() {
    let mut world = World::new().await;
    let tap = Tap::before(world.site.origin().replace("http://", "").parse().unwrap()).await;
    world.sites_file = sites_file(&tap.origin());
    let ann = world.author_out("ann");
    world.add_tasks("t", 2, &ann);

    let summary = world.run().await;

    assert_eq!((summary.done, summary.logins), (2, 1));
    let sent = tap.sent();
    assert!(sent.contains(&password("ann")), "the tap sees what is sent");
    assert_eq!(world.secret(&ann, AccountSecret::MailPassword).await, MAIL_CANARY);
    for canary in [MAIL_CANARY, MAIL_APP_CANARY] {
        assert!(!sent.contains(canary));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_records_of_one_login_share_one_login() {
    let world = World::new().await;
    let ann = world.author_out("ann");
    // The manager knows the same login under a second id.
    let twin = latchkey_manager::NewAccount::new("acc-twin").with("username", "ann").with("password", password("ann"));
    world.manager.add_account(twin).unwrap();
    let author = latchkey_tests::world::Author { name: "ann".into(), id: "acc-twin".into() };
    world.manager.add_task(world.task("t-1", &ann)).unwrap();
    world.manager.add_task(world.task("t-2", &author)).unwrap();

    let summary = world.run().await;

    assert_eq!((summary.done, summary.failed), (2, 0));
    assert_eq!(world.site.logins("ann"), 1);
    assert_posted_once(&world, &ann, &["t-1".into(), "t-2".into()]);
}
