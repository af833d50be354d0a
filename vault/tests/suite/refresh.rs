//! Refresh at its bounds; what it does with real sites and other processes is tested end to end.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use latchkey_vault::{
    NewAccount, RefreshAsk, RefreshError, RefreshedBy, Secret, Vault,
    cookies::Jar,
    login::{Evidence, LoginIdentity, LoginOutcome, SiteAuth, TotpSource, Verdict},
    model::Fields,
};

use crate::{
    common::{Folder, account, assert_clean, verify},
    rekey::{epochs, quiet},
};

/// A site that lets everybody in, and counts.
#[derive(Default)]
struct Open(AtomicU32);

#[async_trait]
impl SiteAuth for Open {
    async fn probe(&self, _: &mut Jar, _: &LoginIdentity<'_>) -> Evidence {
        Evidence::new(Verdict::Expired, "probe")
    }

    async fn log_in(&self, _: &LoginIdentity<'_>, _: &mut Jar, _: &mut dyn TotpSource) -> LoginOutcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        LoginOutcome::LoggedIn(Evidence::new(Verdict::Live, "in"))
    }
}

/// A site whose every login needs a code, and during which another process changes the vault's keys.
struct Turning {
    other: Arc<Vault>,
    /// In front of the code, or behind it.
    before: bool,
    change: Mutex<Option<Change>>,
    codes: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// New keys, and nothing is under them yet.
    Begun,
    /// New keys, and everything is under them.
    Ended,
}

impl Turning {
    async fn turn(&self, is_now: bool) {
        let change = if is_now { self.change.lock().unwrap().take() } else { None };
        let Some(change) = change else { return };
        self.other.rotate_keys().await.unwrap();
        if matches!(change, Change::Ended) {
            self.other.reseal(quiet()).await.unwrap();
        }
    }

    fn codes(&self) -> Vec<String> {
        self.codes.lock().unwrap().clone()
    }
}

#[async_trait]
impl SiteAuth for Turning {
    async fn probe(&self, _: &mut Jar, _: &LoginIdentity<'_>) -> Evidence {
        Evidence::new(Verdict::Expired, "probe")
    }

    async fn log_in(&self, _: &LoginIdentity<'_>, jar: &mut Jar, totp: &mut dyn TotpSource) -> LoginOutcome {
        self.turn(self.before).await;
        let code = match totp.code().await {
            Ok(code) => code,
            Err(none) => return LoginOutcome::NotSent(none.reason),
        };
        self.codes.lock().unwrap().push(code.expose().to_owned());
        self.turn(!self.before).await;
        let url = "https://site.test/".parse().unwrap();
        let _ = jar.store(&url, format!("sid={}; Path=/", self.codes().len()).as_bytes(), 0);
        LoginOutcome::LoggedIn(Evidence::new(Verdict::Live, "in"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_during_a_change_of_keys_happens_once_and_sends_no_step_twice() {
    for (before, change) in
        [(true, Change::Begun), (true, Change::Ended), (false, Change::Begun), (false, Change::Ended)]
    {
        let folder = Folder::new();
        let vault = folder.init().await;
        let bare = account("ann");
        let totp = Some(Secret::copy_of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
        let fields = Fields { cookie: None, totp, ..bare.fields };
        let id = vault.add_account(NewAccount { fields, ..bare }).await.unwrap();
        let other = Arc::new(folder.open().await.unwrap());
        let change = Mutex::new(Some(change));
        let site = Arc::new(Turning { other: Arc::clone(&other), before, change, codes: Mutex::default() });
        let url: url::Url = "https://site.test/".parse().unwrap();
        let ask = |refused_epoch| RefreshAsk {
            auth: Arc::clone(&site) as Arc<dyn SiteAuth>,
            origin: url.clone(),
            flat_url: url.clone(),
            totp_at_site: true,
            manager: None,
            refused_epoch,
            // Less than what is left of the step.
            within: Duration::from_secs(5),
        };
        let refreshed = vault.refresh(id, &ask(0)).await.unwrap();
        assert_eq!((refreshed.how, refreshed.login_epoch), (RefreshedBy::Login, 1));
        assert_eq!(site.codes().len(), 1);
        let another = other.refresh(id, &ask(0)).await.unwrap();
        assert_eq!((another.how, another.login_epoch), (RefreshedBy::Another, 1), "whoever asks has it already");
        // The same step is spent under every key, whoever asks for it, before the re-seal has ended and behind it.
        for _ in 0..2 {
            for vault in [&vault, other.as_ref()] {
                let refused = vault.refresh(id, &ask(1)).await;
                let Err(RefreshError::NotSent { reason }) = refused else { panic!("{before} {refused:?}") };
                assert!(reason.contains("next unused step"), "{reason}");
            }
            other.reseal(quiet()).await.unwrap();
        }
        assert_eq!(site.codes().len(), 1);
        folder.clock.set_wall_ms(vault.now_ms() + 30_000);
        assert_eq!(vault.refresh(id, &ask(1)).await.unwrap().login_epoch, 2);
        let codes = site.codes();
        assert!(codes.len() == 2 && codes[0] != codes[1], "{codes:?}");
        assert_eq!(verify(&vault).await, []);
        drop(site);
        vault.close().await.unwrap();
        other.close().await.unwrap();
        assert_eq!(epochs(&folder), [2], "the session too is under the new key");
        assert_clean(&folder).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_for_which_no_time_is_left_is_not_sent_and_holds_nobody_up() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let bare = account("ann");
    let fields = Fields { cookie: None, ..bare.fields };
    let id = vault.add_account(NewAccount { fields, ..bare }).await.unwrap();
    let site = Arc::new(Open::default());
    let url: url::Url = "https://site.test/".parse().unwrap();
    let ask = |within| RefreshAsk {
        auth: Arc::clone(&site) as Arc<dyn SiteAuth>,
        origin: url.clone(),
        flat_url: url.clone(),
        totp_at_site: false,
        manager: None,
        refused_epoch: 0,
        within,
    };
    let refused = vault.refresh(id, &ask(Duration::ZERO)).await;
    assert!(matches!(refused, Err(RefreshError::NotSent { .. })), "{refused:?}");
    assert_eq!(site.0.load(Ordering::SeqCst), 0);
    let refreshed = vault.refresh(id, &ask(Duration::from_secs(60))).await.unwrap();
    assert_eq!((refreshed.how, refreshed.login_epoch), (RefreshedBy::Login, 1));
    assert_eq!(site.0.load(Ordering::SeqCst), 1);
    vault.close().await.unwrap();
}
