//! Where a site lives: scheme, host and port, compared whole. Knows no paths and resolves no names.

use std::fmt;

use serde::Deserialize;
use url::{Host, Url};

/// The origin of an http or https URL (RFC 6454), as the operator wrote it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Origin(Url);

impl Origin {
    /// Whether `url` has this scheme, host and port; a port left out is the scheme's own.
    #[must_use]
    pub fn holds(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    /// The origin as a URL with the path `/`.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Whether the scheme protects what is sent, or it does not leave this machine.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.0.scheme() == "https" || self.is_loopback()
    }

    /// Whether the host is a loopback address or `localhost` (RFC 6761 section 6.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether the operator wrote an address, or a name that can only be this machine's, instead of a public name.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.is_loopback() || !matches!(self.0.host(), Some(Host::Domain(_)))
    }
}

impl TryFrom<String> for Origin {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(&text).map_err(|_| "not a URL: write `https://host` or `https://host:port`")?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("not an origin: write `https://host` or `https://host:port`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an origin holds no user name and no password");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("an origin ends after host and port: paths have keys of their own");
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}
