//! Refresh at its bounds; what it does with real sites and other processes is tested end to end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use latchkey_vault::{
    NewAccount, RefreshAsk, RefreshError, RefreshedBy,
    cookies::Jar,
    login::{Evidence, LoginIdentity, LoginOutcome, SiteAuth, TotpSource, Verdict},
    model::Fields,
};

use crate::common::{Folder, account};

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
