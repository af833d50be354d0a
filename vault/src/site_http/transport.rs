//! The HTTP clients that all sites share: one for sites, two for images, apart in which addresses a name may have.
//!
//! Knows neither sites nor URLs; timeouts come with each request.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
};
use thiserror::Error;

use super::address::is_public;
use crate::{
    limits::CONNECT_TIMEOUT_S,
    tls::{self, TlsError},
};

/// Connections to sites and image hosts; clones share them.
#[derive(Clone)]
pub struct Transport {
    pub(super) sites: Client,
    pub(super) public_media: Client,
    pub(super) listed_media: Client,
}

/// Why there are no HTTP clients.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP library refused its settings.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

/// A name leads to an address that is not public; nothing was sent.
#[derive(Debug, Error)]
#[error("the name resolves to an address that is not public")]
pub(super) struct NotPublic;

/// From names to addresses.
#[async_trait]
pub(super) trait Lookup: Send + Sync + 'static {
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>>;
}

impl Transport {
    /// Clients that trust the machine's root certificates and those in `extra_roots_pem`.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub fn new(extra_roots_pem: Option<&[u8]>) -> Result<Self, TransportError> {
        Self::with_lookup(extra_roots_pem, Arc::new(SystemLookup))
    }

    pub(super) fn with_lookup(extra_roots_pem: Option<&[u8]>, lookup: Arc<dyn Lookup>) -> Result<Self, TransportError> {
        let client = |public_only: bool| -> Result<Client, TransportError> {
            let resolver = Resolver { lookup: Arc::clone(&lookup), public_only };
            Ok(tls::client_builder(extra_roots_pem)?
                .user_agent(USER_AGENT)
                .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
                .dns_resolver(resolver)
                .build()?)
        };
        Ok(Self { sites: client(false)?, public_media: client(true)?, listed_media: client(false)? })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        // Port 0 is replaced by the URL's.
        Ok(tokio::net::lookup_host((host, 0)).await?.collect())
    }
}

/// Checks the very addresses that are then connected to, so that a name cannot change its answer in between.
struct Resolver {
    lookup: Arc<dyn Lookup>,
    public_only: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, public_only) = (Arc::clone(&self.lookup), self.public_only);
        Box::pin(async move {
            let addresses = lookup.addresses(name.as_str()).await?;
            // One private address among public ones is no accident that should be worked around.
            if public_only && !addresses.iter().all(|address| is_public(address.ip())) {
                return Err(NotPublic.into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// Names the program and what it is, so that an operator of a site can tell.
const USER_AGENT: &str = concat!("Latchkey/", env!("CARGO_PKG_VERSION"), " (+authorised automation)");
