//! Leases forged, stale and raced for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use latchkey_vault::{
    CheckIn, CheckInError, CheckOutError, ReadError, Vault,
    model::Field,
    store::{StoreError, Tampering},
};
use rusqlite::Connection;

use super::{Sample, told};
use crate::common::{Folder, account, ask, key};

#[tokio::test(flavor = "multi_thread")]
async fn attack_08_a_lease_cannot_be_edited() {
    let sample = Sample::new().await;
    let bob = sample.bob;
    for change in [
        "held = 0",
        "until_ms = 0",
        "free_at_ms = 0",
        "until_ms = 0, free_at_ms = 0, held = 0",
        "holder = zeroblob(16)",
        "boot_id = zeroblob(16)",
        "n = n + 1",
        "n = 0",
        "incarnation = 2",
        "rev = rev + 1",
        "resource = zeroblob(16)",
    ] {
        let attack = |conn: &Connection| {
            conn.execute(&format!("UPDATE lease SET {change} WHERE resource = ?1"), [key(&bob)]).unwrap();
        };
        // A lease that went elsewhere is missed where it was, and refused where it is.
        let expected = if change.starts_with("resource") { Tampering::Digest } else { Tampering::Substitution };
        sample.check(change, attack, async |v| told(v.check_out(bob, &ask(0)).await), expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_08_between_two_reads_neither_lease_nor_account_is_edited_unseen() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let other = vault.add_account(account("bob")).await.unwrap();
    let lent = vault.check_out(id, &ask(0)).await.unwrap();
    let read = async || vault.read_secret(&lent, Field::Password).await;
    let plain = folder.plain();
    read().await.unwrap();
    for (table, name, change) in [
        ("lease", "resource", "until_ms = until_ms + 600000"),
        ("lease", "resource", "rev = rev + 1"),
        ("account", "id", "ix_site = zeroblob(16)"),
        ("account", "id", "ix_login = NULL"),
        ("account", "id", "sealed = zeroblob(length(sealed))"),
        ("account", "id", "sealed = (SELECT sealed FROM account WHERE id != ?1)"),
        ("account", "id", "rev = rev + 1"),
    ] {
        let was = format!("CREATE TEMP TABLE was AS SELECT * FROM {table} WHERE {name} = ?1");
        plain.execute(&was, [key(&id)]).unwrap();
        plain.execute(&format!("UPDATE {table} SET {change} WHERE {name} = ?1"), [key(&id)]).unwrap();
        let told = read().await;
        assert!(
            matches!(told, Err(ReadError::Store(StoreError::Tampered { .. }))),
            "{table}: {change}: {:?}",
            told.map(|_| ())
        );
        let back = format!("DELETE FROM {table} WHERE {name} = ?1");
        plain.execute(&back, [key(&id)]).unwrap();
        plain.execute_batch(&format!("INSERT INTO {table} SELECT * FROM was; DROP TABLE was")).unwrap();
        read().await.unwrap();
    }
    assert!(vault.account(other).await.is_ok());
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_04_a_row_of_a_retired_key_is_refused_though_it_was_read_before() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let lent = vault.check_out(id, &ask(0)).await.unwrap();
    vault.read_secret(&lent, Field::Password).await.unwrap();
    let plain = folder.plain();
    plain.execute_batch("CREATE TEMP TABLE was AS SELECT * FROM account").unwrap();
    vault.rotate_keys().await.unwrap();
    vault.reseal(Box::new(|_, _| {})).await.unwrap();
    plain.execute_batch("DELETE FROM account; INSERT INTO account SELECT * FROM was").unwrap();
    let told = vault.read_secret(&lent, Field::Password).await;
    assert!(matches!(told, Err(ReadError::Store(StoreError::Tampered { .. }))), "{:?}", told.map(|_| ()));
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_36_of_sixty_four_who_want_one_account_one_has_it_at_a_time() {
    let folder = Folder::new();
    let vault = Arc::new(folder.init().await);
    let id = vault.add_account(account("ann")).await.unwrap();
    let holders = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (vault, holders) = (Arc::clone(&vault), Arc::clone(&holders));
        tasks.spawn(async move {
            let lent = vault.check_out(id, &ask(600_000)).await.unwrap();
            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "somebody else has it too");
            let token = lent.token();
            tokio::task::yield_now().await;
            holders.fetch_sub(1, Ordering::SeqCst);
            vault.check_in(lent, &CheckIn::default()).await.unwrap();
            token.n
        });
    }
    let mut tokens = tasks.join_all().await;
    tokens.sort_unstable();
    assert_eq!(tokens, (1..=64).collect::<Vec<_>>());
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_37_a_stale_holder_neither_renews_nor_writes_a_cookie_nor_checks_in() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let mut stale = vault.check_out(id, &ask(0)).await.unwrap();
    folder.clock.advance(Duration::from_secs(70));
    let fresh = vault.check_out(id, &ask(0)).await.unwrap();
    refused(&vault, &mut stale).await;
    vault.check_in(fresh, &CheckIn::default()).await.unwrap();
    refused(&vault, &mut stale).await;
    let url = "https://site.test/".parse().unwrap();
    let _ = stale.jar.store(&url, b"sid=stale; Path=/", 0);
    let back = CheckIn { flat_url: Some(url.clone()), note: "late".into(), ..CheckIn::default() };
    assert!(matches!(vault.check_in(stale, &back).await, Err(CheckInError::Fenced(_))));
    let next = vault.check_out(id, &ask(0)).await.unwrap();
    assert_eq!(next.jar.export_flat(&url, 0).unwrap().expose(), "sid=cookie-canary");
    assert_eq!(vault.owing().await.unwrap().owed, 0, "nothing is owed to the manager either");
    vault.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_38_neither_a_clock_set_back_nor_another_boot_revives_a_lease() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    let mut stale = vault.check_out(id, &ask(0)).await.unwrap();
    folder.clock.advance(Duration::from_secs(60));
    folder.clock.set_wall_ms(0);
    refused(&vault, &mut stale).await;
    folder.clock.reboot();
    refused(&vault, &mut stale).await;
    let held = vault.check_out(id, &ask(0)).await;
    assert!(matches!(held, Err(CheckOutError::Held { .. })), "another boot rests first");
    folder.clock.advance(Duration::from_secs(10));
    let fresh = vault.check_out(id, &ask(0)).await.unwrap();
    assert_eq!(fresh.token().n, 2);
    refused(&vault, &mut stale).await;
    vault.close().await.unwrap();
}

async fn refused(vault: &Vault, stale: &mut latchkey_vault::Checkout) {
    assert!(!vault.renew(&mut stale.lease()).await.unwrap());
    assert!(matches!(vault.save_items(stale, &[super::item(1)]).await, Err(CheckInError::Fenced(_))));
}
