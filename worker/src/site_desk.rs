//! What is at hand for one authorised site: its client, its login, its driver, its places. Knows no task.

use std::{collections::HashMap, sync::Arc};

use latchkey_vault::{
    Clock,
    login::{SiteAuth, build_auth},
    site_http::{MediaClient, SiteClient, Transport},
    sites::{Site, Sites},
};
use tokio::sync::Semaphore;
use url::Url;

use crate::drivers::{Driver, build_driver};

/// One site.
pub(crate) struct SiteDesk {
    pub(crate) site: Arc<Site>,
    pub(crate) auth: Arc<dyn SiteAuth>,
    pub(crate) driver: Option<Arc<dyn Driver>>,
    pub(crate) media: MediaClient,
    /// Checkouts at a time.
    pub(crate) places: Arc<Semaphore>,
    /// The URL for which the flat cookie string is made: where the session is probed.
    pub(crate) flat_url: Url,
}

/// All sites of the sites file.
pub(crate) struct Desks {
    sites: Arc<Sites>,
    desks: HashMap<String, Arc<SiteDesk>>,
}

impl Desks {
    pub(crate) fn new(sites: Arc<Sites>, transport: &Transport, clock: &Arc<dyn Clock>) -> Self {
        let desk = |site: &Arc<Site>| {
            let client = Arc::new(SiteClient::new(Arc::clone(site), transport.clone(), Arc::clone(clock)));
            Arc::new(SiteDesk {
                site: Arc::clone(site),
                auth: build_auth(Arc::clone(&client)),
                driver: build_driver(client),
                media: MediaClient::new(Arc::clone(site), transport.clone()),
                places: Arc::new(Semaphore::new(site.limits.concurrency as usize)),
                flat_url: site.flat_url(),
            })
        };
        let desks = sites.iter().map(|site| (site.domain.as_str().to_owned(), desk(site))).collect();
        Self { sites, desks }
    }

    /// The desk of the site that tasks call `domain`; none where the operator has not listed it.
    pub(crate) fn find(&self, domain: &str) -> Option<&Arc<SiteDesk>> {
        let site = self.sites.find(domain)?;
        self.desks.get(site.domain.as_str())
    }
}
