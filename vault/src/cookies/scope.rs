//! Where a cookie may go: its domain, its path, and who may ask for which. Domain- and path-matching are those of
//! `cookie_store`; the rules in front of them are here. It knows no names beyond their prefixes, and no values.

use cookie_store::{CookieDomain, CookiePath};
use url::{Host, Url};

use super::{Refusal, set_cookie::SetCookie};

/// The part of the web that a cookie is sent to.
///
/// `domain` is always one of `HostOnly` and `Suffix`, canonical and not empty; `path` begins with `/`.
#[derive(Clone)]
pub(super) struct Scope {
    domain: CookieDomain,
    path: CookiePath,
}

impl Scope {
    /// The scope that a response from `url` may give, by `Domain`, `Path` and the defaults (RFC 6265 section 5.3).
    ///
    /// # Errors
    /// [`Refusal`]: `Scheme`, `ForeignDomain` or `PublicSuffix`.
    pub(super) fn of_response(url: &Url, said: &SetCookie<'_>) -> Result<Self, Refusal> {
        Self::asked(url, said.domain, said.path)
    }

    /// The scope that a file names, checked as if the domain itself had asked for it.
    ///
    /// # Errors
    /// [`Refusal`]: `ForeignDomain` or `PublicSuffix`.
    pub(super) fn of_file(domain: &str, host_only: bool, path: &str) -> Result<Self, Refusal> {
        let is_plain =
            !domain.contains(['/', '\\', '?', '#', '@']) && (domain.starts_with('[') || !domain.contains(':'));
        let url = Url::parse(&format!("https://{domain}/")).ok().filter(|url| is_plain && url.port().is_none());
        Self::asked(&url.ok_or(Refusal::ForeignDomain)?, (!host_only).then_some(domain), Some(path))
    }

    fn asked(url: &Url, domain: Option<&str>, path: Option<&str>) -> Result<Self, Refusal> {
        let host = host_of(url).ok_or(Refusal::Scheme)?;
        let domain = match domain.map(CookieDomain::try_from) {
            None | Some(Ok(CookieDomain::Empty | CookieDomain::NotPresent)) => host,
            Some(Err(_)) => return Err(Refusal::ForeignDomain),
            Some(Ok(asked)) if !asked.matches(url) => return Err(Refusal::ForeignDomain),
            // A host without subdomains of its own: it may name itself, which then says nothing, and nobody above it.
            Some(Ok(asked)) if stands_alone(&asked, url) => {
                if !asked.host_is_identical(url) {
                    return Err(Refusal::PublicSuffix);
                }
                host
            }
            Some(Ok(asked)) => asked,
        };
        // The library remembers whether a path was an attribute and lets that count in comparisons; parsing the default
        // path again makes the two alike.
        let default = CookiePath::default_path(url);
        let path = path.and_then(CookiePath::parse).or_else(|| CookiePath::parse(&default)).unwrap_or(default);
        Ok(Self { domain, path })
    }

    /// Host-only on the host of `origin`, path `/`. `None` where that is no http or https URL.
    pub(super) fn whole_host(origin: &Url) -> Option<Self> {
        Some(Self { domain: host_of(origin)?, path: CookiePath::parse("/")? })
    }

    /// A scope from the parts that [`Scope::domain`], [`Scope::is_host_only`] and [`Scope::path`] gave.
    pub(super) fn from_parts(domain: &str, host_only: bool, path: &str) -> Option<Self> {
        if domain.is_empty() {
            return None;
        }
        let kind = if host_only { CookieDomain::HostOnly } else { CookieDomain::Suffix };
        Some(Self { domain: kind(domain.to_owned()), path: CookiePath::parse(path)? })
    }

    pub(super) fn domain(&self) -> &str {
        match &self.domain {
            CookieDomain::HostOnly(domain) | CookieDomain::Suffix(domain) => domain,
            CookieDomain::NotPresent | CookieDomain::Empty => "",
        }
    }

    pub(super) fn is_host_only(&self) -> bool {
        matches!(self.domain, CookieDomain::HostOnly(_))
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Bytes of domain and path.
    pub(super) fn size(&self) -> usize {
        self.domain().len() + self.path().len()
    }

    /// Whether a request for `url` lies in the scope (RFC 6265 sections 5.1.3 and 5.1.4; ports do not count, 8.5).
    pub(super) fn covers(&self, url: &Url) -> bool {
        self.covers_host(url) && self.path.matches(url)
    }

    /// Whether the host of `url` lies in the scope, whatever the path.
    pub(super) fn covers_host(&self, url: &Url) -> bool {
        self.domain.matches(url)
    }

    /// Whether a cookie of this scope could take the place of one of scope `other` in some request: they share a host,
    /// and this path lies within the other's (RFC 6265bis section 5.7, "leave secure cookies alone").
    pub(super) fn intrudes_on(&self, other: &Self) -> bool {
        match (self.root_url(), other.root_url()) {
            (Some(mine), Some(theirs)) => {
                (self.covers_host(&theirs) || other.covers_host(&mine)) && other.path.matches(&mine)
            }
            // A scope that makes no URL is not understood, so the cookie under protection wins.
            _ => true,
        }
    }

    /// The URL at the root of the scope, for the library's matching, which takes URLs only.
    fn root_url(&self) -> Option<Url> {
        Url::parse(&format!("https://{}{}", self.domain(), self.path())).ok()
    }
}

/// Whether a name that begins with `__Secure-` or `__Host-` gets what it promises (RFC 6265bis section 4.1.3; the case
/// of the prefix does not count, section 5.7).
pub(super) fn prefix_is_kept(name: &str, secure: bool, path: Option<&str>, scope: &Scope) -> bool {
    if has_prefix(name, "__Host-") {
        return secure && scope.is_host_only() && path == Some("/");
    }
    secure || !promises_secure(name)
}

/// Whether the name alone says that the cookie is for https only.
pub(super) fn promises_secure(name: &str) -> bool {
    has_prefix(name, "__Secure-") || has_prefix(name, "__Host-")
}

/// Whether requests to `url` carry cookies at all.
pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Whether Secure cookies may travel: https alone. Loopback is no exception, since any local process can listen there.
pub(super) fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn host_of(url: &Url) -> Option<CookieDomain> {
    if !is_http(url) {
        return None;
    }
    CookieDomain::host_only(url).ok()
}

/// Whether `asked` is a name under which strangers live, or an address: a known public suffix, a single label (a
/// top-level domain, or a machine's name such as `localhost`), or an IP literal.
fn stands_alone(asked: &CookieDomain, url: &Url) -> bool {
    let name = asked.as_cow().unwrap_or_default();
    let name = name.trim_end_matches('.');
    let is_known_suffix =
        psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix == name.as_bytes());
    is_known_suffix || !name.contains('.') || !matches!(url.host(), Some(Host::Domain(_)))
}
