//! The life of a vault: made, filled, closed, opened, lent from, checked.

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    AccountSecret, CheckIn, CheckInError, CheckOutError, Edit, InitError, ReadError, Secret, UnlockError, UnlockWith,
    Vault, model::Field,
};

use crate::common::{Folder, account, ask, mode};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_in_comes_out_after_closing_and_opening() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    vault.close().await.unwrap();
    assert_eq!(mode(&folder.paths.file), 0o600);
    assert_eq!(mode(folder.paths.file.parent().unwrap()), 0o700);

    let vault = folder.open().await.unwrap();
    let found = vault.find_login("SITE.test", "ann").await.unwrap().unwrap();
    assert_eq!(found.id, id);
    let revealed = vault.reveal(id, &[AccountSecret::Password]).await.unwrap();
    assert_eq!(revealed.secret(AccountSecret::Password).unwrap().expose(), "pass-canary");
    assert_eq!(vault.find_manager_id("m-ann").await.unwrap().unwrap().id, id);
    assert!(vault.find_login("site.test", "bob").await.unwrap().is_none());
    assert_eq!(vault.verify(Box::new(|_, _| ())).await.unwrap(), []);
    let words: Vec<_> =
        vault.audit_entries(0, 100).await.unwrap().iter().map(|entry| entry.event.action.word()).collect();
    assert_eq!(words, ["init", "add", "reveal"]);
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_init_and_a_wrong_identity_are_refused() {
    let folder = Folder::new();
    folder.init().await.close().await.unwrap();
    let before = std::fs::read(&folder.paths.file).unwrap();
    let recipient = latchkey_vault::crypto::SlotRecipient::of_identity(&folder.identity).unwrap();
    let kind = latchkey_vault::crypto::SlotKind::Identity;
    let slot = latchkey_vault::NewSlot::Identity { label: "x".into(), kind, recipient };
    let again = Vault::init(&folder.paths, folder.opener(), vec![slot]).await;
    assert!(matches!(again, Err(InitError::Store(_))), "{:?}", again.err());
    assert_eq!(std::fs::read(&folder.paths.file).unwrap(), before);
    let other = latchkey_vault::crypto::generate_identity().0;
    let opened = Vault::open(&folder.paths, folder.opener(), UnlockWith::Identity(other)).await;
    assert!(matches!(opened, Err(UnlockError::CannotUnlock)));
    let opened = Vault::open(&folder.paths, folder.opener(), UnlockWith::Passphrase(Secret::copy_of("guess"))).await;
    assert!(matches!(opened, Err(UnlockError::CannotUnlock)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_lent_to_one_and_comes_back_with_its_cookies() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let mut first = vault.check_out(id, &ask(0)).await.unwrap();
    assert_eq!(first.login_epoch(), 1);
    assert!(matches!(vault.check_out(id, &ask(0)).await, Err(CheckOutError::Held { .. })));
    let url = "https://site.test/".parse().unwrap();
    let _ = first.jar.store(&url, b"sid=next; Path=/", 1_790_000_000_000);
    let back = CheckIn { flat_url: Some(url.clone()), note: "done".into(), ..CheckIn::default() };
    vault.check_in(first, &back).await.unwrap();
    let second = vault.check_out(id, &ask(0)).await.unwrap();
    assert_eq!(second.jar.export_flat(&url, 1_790_000_000_000).unwrap().expose(), "sid=next");
    assert_eq!(second.token().n, 2);
    let owing = vault.owing().await.unwrap();
    assert_eq!(owing.owed, 1, "the new cookie is owed to the manager");
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_time_is_over_is_fenced_and_changes_nothing() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let stale = vault.check_out(id, &ask(0)).await.unwrap();
    let mut lease = stale.lease();
    folder.clock.advance(Duration::from_secs(61));
    assert!(matches!(vault.check_out(id, &ask(0)).await, Err(CheckOutError::Held { .. })), "quarantine");
    folder.clock.advance(Duration::from_secs(10));
    let fresh = vault.check_out(id, &ask(0)).await.unwrap();
    assert!(!vault.renew(&mut lease).await.unwrap());
    assert!(matches!(vault.check_in(stale, &CheckIn::default()).await, Err(CheckInError::Fenced(_))));
    assert!(vault.renew(&mut fresh.lease()).await.unwrap());
    vault.check_in(fresh, &CheckIn::default()).await.unwrap();
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_37_a_stale_holder_reads_no_secret_and_a_live_one_reads_it_as_it_is_now() {
    let folder = Folder::new();
    let vault = Arc::new(folder.init().await);
    let id = vault.add_account(account("ann")).await.unwrap();
    let mut stale = vault.check_out(id, &ask(0)).await.unwrap();
    let edit = Edit { fields: vec![(Field::Password, Secret::copy_of("changed"))], ..Edit::default() };
    vault.edit_account(id, &edit).await.unwrap();
    let commits = vault.audit_entries(0, 100).await.unwrap().len();
    assert_eq!(vault.read_secret(&stale, Field::Password).await.unwrap().unwrap().expose(), "changed");
    assert!(vault.read_secret(&stale, Field::Totp).await.unwrap().is_none(), "it has none");
    assert_eq!(vault.audit_entries(0, 100).await.unwrap().len(), commits, "a read commits nothing");

    folder.clock.advance(Duration::from_secs(71));
    let refused = vault.read_secret(&stale, Field::Password).await;
    assert!(matches!(refused, Err(ReadError::Fenced(of)) if of == id), "its time is over");
    let mut fresh = vault.check_out(id, &ask(0)).await.unwrap();
    assert!(matches!(vault.read_secret(&stale, Field::Password).await, Err(ReadError::Fenced(_))), "a stale token");
    assert!(matches!(stale.reload(&vault).await, Err(ReadError::Fenced(_))));
    assert_eq!(stale.account().record.fields.password.as_ref().unwrap().expose(), "pass-canary", "as it was lent");
    fresh.reload(&vault).await.unwrap();
    assert_eq!(fresh.account().record.fields.password.as_ref().unwrap().expose(), "changed");
    vault.read_secret(&fresh, Field::Password).await.unwrap();
    vault.read_secret(&fresh, Field::Username).await.unwrap();
    vault.check_in(fresh, &CheckIn { note: "went well".into(), ..CheckIn::default() }).await.unwrap();
    let entries = vault.audit_entries(0, 100).await.unwrap();
    assert_eq!(entries.last().unwrap().event.detail, "went well; secrets read: 2");

    let mut lent = vault.check_out(id, &ask(0)).await.unwrap();
    vault.remove_account(id).await.unwrap();
    assert!(matches!(lent.reload(&vault).await, Err(ReadError::Removed(of)) if of == id));
    assert!(matches!(vault.read_secret(&lent, Field::Password).await, Err(ReadError::Removed(of)) if of == id));
    vault.close().await.unwrap();
}
