//! What a person sees of sessions and of the outbox.

use latchkey_vault::{
    AccountError, CheckIn, Secret,
    model::AccountId,
    store::{Lane, Owed},
};

use crate::common::{Folder, account, ask};

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
