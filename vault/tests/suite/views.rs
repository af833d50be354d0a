//! What a person sees of sessions and of the outbox.

use latchkey_vault::{
    AccountError, AccountSecret, CheckIn, Edit, Secret,
    model::{AccountId, Action, Standing},
    store::{Lane, Owed},
};

use crate::common::{Folder, account, ask};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_holds_no_secret_and_what_is_revealed_is_in_the_audit_by_name() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let views = [
        vault.account(id).await.unwrap(),
        vault.accounts(None, None, 10).await.unwrap().remove(0),
        vault.find_login("site.test", "ann").await.unwrap().unwrap(),
        vault.find_manager_id("m-ann").await.unwrap().unwrap(),
        vault.edit_account(id, &Edit { notes: Some("more".into()), ..Edit::default() }).await.unwrap(),
        vault.set_standing(id, Standing::ready(0)).await.unwrap(),
    ];
    for view in views {
        assert_eq!((view.id, view.username.unwrap().expose()), (id, "ann"));
        assert_eq!(view.secrets, [AccountSecret::Password, AccountSecret::Cookie]);
    }
    let revealed = async || {
        let entries = vault.audit_entries(0, 100).await.unwrap();
        let entries = entries.into_iter().filter(|entry| entry.event.action == Action::Reveal);
        entries.map(|entry| (entry.event.account.unwrap(), entry.event.detail)).collect::<Vec<_>>()
    };
    assert_eq!(revealed().await, []);

    let one = vault.reveal(id, &[AccountSecret::Password]).await.unwrap();
    assert_eq!(one.secret(AccountSecret::Password).unwrap().expose(), "pass-canary");
    assert!(one.secret(AccountSecret::Cookie).is_none(), "the audit does not name it");
    let two = vault.reveal(id, &[AccountSecret::Cookie, AccountSecret::Totp]).await.unwrap();
    assert_eq!(two.secret(AccountSecret::Cookie).unwrap().expose(), "sid=cookie-canary");
    assert!(two.secret(AccountSecret::Totp).is_none(), "it has none");
    let stranger = vault.reveal(AccountId::generate().unwrap(), &AccountSecret::ALL).await;
    assert!(matches!(stranger, Err(AccountError::Unknown(_))));
    assert_eq!(revealed().await, [(id, "password".to_owned()), (id, "cookie, totp".to_owned())]);
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_seen_without_its_values() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let view = vault.session_view(id).await.unwrap().unwrap();
    assert_eq!((view.login_epoch, view.since_ms), (1, 1_790_000_000_000));
    assert_eq!(view.cookies.iter().map(|cookie| cookie.name.as_str()).collect::<Vec<_>>(), ["sid"]);
    assert!(!format!("{view:?}").contains("cookie-canary"));
    let stranger = AccountId::generate().unwrap();
    assert!(matches!(vault.session_view(stranger).await, Err(AccountError::Unknown(_))));
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_string_of_a_person_becomes_a_newer_session_and_is_owed_to_the_manager() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let borrowed = vault.check_out(id, &ask(0)).await.unwrap();
    let origin = "https://site.test/".parse().unwrap();
    assert_eq!(vault.import_session(id, &origin, &Secret::copy_of("new=1")).await.unwrap(), 2);
    let refused = vault.import_session(id, &origin, &Secret::copy_of("")).await;
    assert!(matches!(refused, Err(AccountError::Invalid { field: "cookie", .. })), "{refused:?}");

    // The older session does not come back over the newer one.
    vault.check_in(borrowed, &CheckIn { flat_url: Some(origin), ..CheckIn::default() }).await.unwrap();
    let view = vault.session_view(id).await.unwrap().unwrap();
    assert_eq!((view.login_epoch, view.cookies[0].name.as_str(), view.cookies.len()), (2, "new", 1));

    let owed = vault.owed_messages(10).await.unwrap();
    assert_eq!(owed.len(), 1);
    assert_eq!((owed[0].lane, owed[0].account, owed[0].state), (Lane::Account, Some(id), Owed::Due));
    assert!(vault.owed_messages(0).await.unwrap().is_empty());
    vault.close().await.unwrap();
}
