//! Cookies that came back too late: kept aside, few, and never merged.

use std::time::Duration;

use latchkey_vault::{
    AccountId, CheckIn, CheckInError, Checkout, KEPT_MAX, KeptWhy, Secret, Vault, cookies::Stored, model::Action,
};
use url::Url;

use crate::common::{Folder, account, ask, verify};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fenced_holder_brings_back_is_kept_aside_and_changes_nothing() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let mut stale = vault.check_out(id, &ask(0)).await.unwrap();
    set(&mut stale, "sid=late-canary");
    vault.revoke_lease(id).await.unwrap();
    let refused = vault.check_in(stale, &CheckIn::default()).await;
    assert!(matches!(refused, Err(CheckInError::Fenced(fenced)) if fenced == id), "{refused:?}");

    let all = vault.kept_sessions(id).await.unwrap();
    let kept = &all[0];
    assert_eq!((all.len(), kept.why, kept.login_epoch, kept.cookies.len()), (1, KeptWhy::Fenced, 1, 1));
    assert!(!format!("{kept:?}").contains("canary"));
    folder.clock.advance(Duration::from_secs(3600));
    assert_eq!(sid(&vault, id, &folder).await, "sid=cookie-canary", "nothing was merged");
    let entries = vault.audit_entries(0, 100).await.unwrap();
    let said = |entry: &&latchkey_vault::AuditEntry| entry.event.detail == "the lease is lost; cookies kept aside";
    assert_eq!(entries.iter().filter(said).count(), 1);

    assert_eq!(vault.forget_kept(id).await.unwrap(), 1);
    assert_eq!((vault.kept_sessions(id).await.unwrap(), vault.forget_kept(id).await.unwrap()), (vec![], 0));
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_of_an_older_login_are_kept_aside_and_never_merged() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let origin = origin();
    let mut older = vault.check_out(id, &ask(0)).await.unwrap();
    set(&mut older, "late=1");
    assert_eq!(vault.import_session(id, &origin, &Secret::copy_of("sid=newer")).await.unwrap(), 2);
    vault.check_in(older, &CheckIn::default()).await.unwrap();
    assert_eq!(sid(&vault, id, &folder).await, "sid=newer");
    let kept = vault.kept_sessions(id).await.unwrap();
    assert_eq!((kept.len(), kept[0].why, kept[0].login_epoch), (1, KeptWhy::Older, 1));

    // What says nothing new is not kept.
    let unchanged = vault.check_out(id, &ask(0)).await.unwrap();
    assert_eq!(vault.import_session(id, &origin, &Secret::copy_of("sid=newest")).await.unwrap(), 3);
    vault.check_in(unchanged, &CheckIn::default()).await.unwrap();
    assert_eq!(vault.kept_sessions(id).await.unwrap().len(), 1);
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_are_kept_and_none_outlives_its_account() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    for round in 0..KEPT_MAX as u64 + 3 {
        folder.clock.advance(Duration::from_secs(3600));
        let mut older = vault.check_out(id, &ask(0)).await.unwrap();
        set(&mut older, "late=1");
        vault.import_session(id, &origin(), &Secret::new(format!("sid={round}"))).await.unwrap();
        vault.check_in(older, &CheckIn::default()).await.unwrap();
    }
    let kept = vault.kept_sessions(id).await.unwrap();
    let epochs: Vec<_> = kept.iter().map(|kept| kept.login_epoch).collect();
    assert_eq!(epochs, [7, 6, 5, 4]);
    vault.remove_account(id).await.unwrap();
    let entries = vault.audit_entries(0, 1000).await.unwrap();
    let forgot =
        |entry: &&latchkey_vault::AuditEntry| entry.event.detail.starts_with("sessions kept aside are forgotten");
    assert_eq!(entries.iter().filter(forgot).map(|entry| entry.event.action).collect::<Vec<_>>(), [Action::Edit]);
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
}

fn set(checkout: &mut Checkout, line: &str) {
    let line = format!("{line}; Path=/; Secure");
    assert_eq!(checkout.jar.store(&origin(), line.as_bytes(), 0), Stored::Kept);
}

async fn sid(vault: &Vault, id: AccountId, folder: &Folder) -> String {
    use latchkey_vault::Clock as _;
    let lent = vault.check_out(id, &ask(0)).await.unwrap();
    let flat = lent.jar.export_flat(&origin(), folder.clock.wall_ms()).unwrap();
    vault.check_in(lent, &CheckIn::default()).await.unwrap();
    flat.expose().to_owned()
}

fn origin() -> Url {
    "https://site.test/".parse().unwrap()
}
