//! The jar: the cookies of one session, what may be sent where, and the flat string that is a projection of it.
//!
//! `cookie_store` (0.22.1, read 2026-11) does what it does right: canonical domains (IDNA, leading dots), default
//! paths, and domain- and path-matching of a request. These stand in its place, for what was seen in its source:
//!
//! - reading of `Set-Cookie` (`set_cookie`, `date`): its parser wants one of three date forms, so the common deletion
//!   `Thu, 1 Jan 1970 00:00:00 GMT`, or one with `UTC`, `+0000` or an odd year, is missed and a logout undone;
//! - acceptance (`scope`): it takes `__Host-` and `__Secure-` at their word, Secure over http and on loopback, and
//!   any public suffix unless it is given a list;
//! - storage (here): a host-only and a `Domain=` cookie of one name overwrite each other, the order of sending follows
//!   no rule, expiry reads the system's clock, values lie in plain strings, and its log prints those not Secure;
//! - persistence (`wire`): it drops session cookies, which most logins are.
//!
//! Source: RFC 6265, and RFC 6265bis (draft 20) for identity, prefixes and the protection of Secure cookies. Ports do not
//! tell origins apart (section 8.5), so every service on one loopback address shares its cookies.
//!
//! Nothing here reads a clock, a file or the network, or knows which account a jar belongs to.

mod date;
mod entry;
mod error;
mod flat;
mod merge;
mod scope;
mod set_cookie;
mod wire;

use std::{cmp::Reverse, fmt};

use url::Url;
use zeroize::Zeroizing;

use crate::{
    Secret,
    limits::{COOKIE_MAX_BYTES, COOKIES_MAX},
};
use entry::Cookie;
pub use entry::{CookieEntry, ScopedCookie};
pub use error::{FlatError, JarError, Refusal};
use scope::Scope;

/// The cookies of one session; their values are wiped when it is dropped.
///
/// It holds at most [`COOKIES_MAX`] cookies of at most [`COOKIE_MAX_BYTES`] each
/// (name, value, domain and path). Expired cookies are never sent; they are let go when room is needed.
/// There is no `Clone`, `PartialEq` or `Serialize`: a copy is made by [`Jar::duplicate`].
#[derive(Default)]
pub struct Jar {
    /// In order of creation, no two of one identity.
    cookies: Vec<Cookie>,
}

/// What became of one `Set-Cookie` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Stored {
    /// The jar holds the cookie, new or in place of the one with its identity.
    Kept,
    /// The line asked for a deletion: the jar does not hold the cookie (any more).
    Deleted,
    /// The line was not obeyed, and the jar is as before.
    Refused(Refusal),
}

impl Jar {
    /// An empty jar.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A second jar with the same cookies.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { cookies: self.cookies.iter().map(Cookie::duplicate).collect() }
    }

    /// Obeys one `Set-Cookie` header value of a response from `url`, at `now_ms` (Unix milliseconds).
    ///
    /// A cookie whose identity (name, domain, host-only flag, path) the jar knows takes the old one's place in the
    /// order of sending. Source: RFC 6265 sections 5.2 and 5.3, RFC 6265bis section 5.7.
    pub fn store(&mut self, url: &Url, set_cookie: &[u8], now_ms: i64) -> Stored {
        self.obey(url, set_cookie, now_ms).unwrap_or_else(Stored::Refused)
    }

    /// The value of the `Cookie` header for a request to `url`, or `None` where no cookie goes there.
    ///
    /// Longest path first, then oldest. Values may hold any UTF-8 but control characters other than the tab, so that
    /// a header has to be made from the bytes. Source: RFC 6265 section 5.4.
    #[must_use]
    pub fn header_for(&self, url: &Url, now_ms: i64) -> Option<Secret> {
        let sent = self.sent_to(url, now_ms);
        (!sent.is_empty()).then(|| entry::join(&sent))
    }

    /// Takes the flat string `name=value; name=value` that somebody keeps for `origin`, and counts the cookies taken.
    ///
    /// The string has no scope. A name that the jar knows on the origin's host keeps its scope and gets the value; of
    /// several, those that a request to `origin` carries come first, in the order of sending, so that what
    /// [`Jar::export_flat`] wrote goes back to where it came from. Where the value is another one, the old one's end says
    /// nothing about it and is forgotten. Every other name becomes a cookie of the origin's host alone, path `/`, Secure
    /// where the origin is https or the name promises it; of the same name twice the first counts. Names that the
    /// string does not have stay as they are. Blanks around names and values are not part of them; every other byte is kept.
    ///
    /// # Errors
    /// [`FlatError`]; nothing was taken then.
    pub fn import_flat(&mut self, origin: &Url, flat: &Secret, now_ms: i64) -> Result<usize, FlatError> {
        let root = Scope::whole_host(origin).ok_or(FlatError::Origin)?;
        // EXPOSE: the string is split into the values that the jar is for.
        let pairs = flat::split(flat.expose())?;
        let places = self.places_for(&pairs, origin, &root, now_ms)?;

        let mut taken = 0;
        for (place, (_, value)) in places.iter().zip(&pairs) {
            if let Some(at) = *place {
                self.cookies[at].give(Secret::copy_of(value));
                taken += 1;
            }
        }
        for (_, (name, value)) in places.iter().zip(&pairs).filter(|(place, _)| place.is_none()) {
            let cookie = Cookie {
                name: (*name).to_owned(),
                value: Secret::copy_of(value),
                scope: root.clone(),
                secure: scope::is_secure(origin) || scope::promises_secure(name),
                http_only: false,
                expires_ms: None,
                created_ms: now_ms,
            };
            // A live cookie in this place got its value from an earlier pair of the same name.
            let is_surplus = self.position_of(&cookie).is_some_and(|at| !self.cookies[at].is_expired(now_ms));
            if !is_surplus && self.put(cookie, now_ms) {
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// Takes a cookie with the scope that a file gives it, in place of the one with its identity.
    ///
    /// A scope is not wider than what its domain itself could ask for: no public suffix, no broken prefix.
    ///
    /// # Errors
    /// [`Refusal`]; the jar is as before. One that is over is refused as [`Refusal::Ended`].
    pub fn insert(&mut self, cookie: ScopedCookie<'_>, now_ms: i64) -> Result<(), Refusal> {
        let cookie = Cookie::from_file(&cookie, now_ms)?;
        if cookie.is_expired(now_ms) {
            return Err(Refusal::Ended);
        }
        if self.put(cookie, now_ms) { Ok(()) } else { Err(Refusal::Full) }
    }

    /// The projection of the jar for `url` as a flat string, or `None` where no cookie goes there.
    ///
    /// It is what a request to `url` would carry: scopes and ends are lost, and so are cookies for other paths.
    #[must_use]
    pub fn export_flat(&self, url: &Url, now_ms: i64) -> Option<Secret> {
        self.header_for(url, now_ms)
    }

    /// The names of the cookies that a request to `url` carries, in the order of sending.
    #[must_use]
    pub fn names_for(&self, url: &Url, now_ms: i64) -> Vec<String> {
        self.sent_to(url, now_ms).into_iter().map(|cookie| cookie.name.clone()).collect()
    }

    /// How many cookies are held, expired ones that were not let go yet among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cookies.len()
    }

    /// Whether no cookie is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// When the first of the cookies that are live at `now_ms` ends, in Unix milliseconds; `None` where none ever does.
    #[must_use]
    pub fn earliest_expiry_ms(&self, now_ms: i64) -> Option<i64> {
        self.cookies.iter().filter(|cookie| !cookie.is_expired(now_ms)).filter_map(|cookie| cookie.expires_ms).min()
    }

    /// What may be shown of every cookie held, oldest first, expired ones among them.
    pub fn entries(&self) -> impl Iterator<Item = CookieEntry<'_>> {
        self.cookies.iter().map(Cookie::entry)
    }

    /// Every cookie held with its value, for an export that a person has asked for.
    pub fn reveal(&self) -> impl Iterator<Item = (CookieEntry<'_>, &Secret)> {
        self.cookies.iter().map(|cookie| (cookie.entry(), &cookie.value))
    }

    /// The jar as bytes for sealing: versioned CBOR, session cookies included, in a buffer that is wiped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        wire::encode(&self.cookies)
    }

    /// The jar that [`Jar::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`JarError`] where the bytes are anything else; whatever they are, the work is linear in their length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JarError> {
        Ok(Self { cookies: wire::decode(bytes)? })
    }

    fn obey(&mut self, url: &Url, line: &[u8], now_ms: i64) -> Result<Stored, Refusal> {
        let cookie = Cookie::from_response(url, line, now_ms)?;
        if !scope::is_secure(url) && self.holds_secure_below(&cookie, now_ms) {
            return Err(Refusal::HidesSecure);
        }
        if cookie.is_expired(now_ms) {
            if let Some(at) = self.position_of(&cookie) {
                self.cookies.remove(at);
            }
            return Ok(Stored::Deleted);
        }
        if self.put(cookie, now_ms) { Ok(Stored::Kept) } else { Err(Refusal::Full) }
    }

    /// Puts `cookie` in the place of the live one with its identity, or behind all others. `false` where there is no room.
    fn put(&mut self, mut cookie: Cookie, now_ms: i64) -> bool {
        if let Some(at) = self.position_of(&cookie) {
            if !self.cookies[at].is_expired(now_ms) {
                cookie.created_ms = self.cookies[at].created_ms;
                self.cookies[at] = cookie;
                return true;
            }
            self.cookies.remove(at);
        }
        if self.cookies.len() >= COOKIES_MAX {
            self.drop_expired(now_ms);
        }
        if self.cookies.len() >= COOKIES_MAX {
            return false;
        }
        // Later than every other even if the wall clock was set back: the order of sending depends on it.
        cookie.created_ms =
            self.cookies.last().map_or(now_ms, |latest| latest.created_ms.saturating_add(1).max(now_ms));
        self.cookies.push(cookie);
        true
    }

    fn position_of(&self, cookie: &Cookie) -> Option<usize> {
        self.cookies.iter().position(|held| held.identity() == cookie.identity())
    }

    /// Whether a live Secure cookie of the same name would be hidden by `cookie`.
    fn holds_secure_below(&self, cookie: &Cookie, now_ms: i64) -> bool {
        self.cookies.iter().any(|held| {
            held.secure && held.name == cookie.name && !held.is_expired(now_ms) && cookie.scope.intrudes_on(&held.scope)
        })
    }

    /// Live cookies that go to `url`, in the order of sending; the sort keeps the order of creation among equals.
    fn sent_to(&self, url: &Url, now_ms: i64) -> Vec<&Cookie> {
        let mut sent: Vec<&Cookie> =
            self.cookies.iter().filter(|cookie| !cookie.is_expired(now_ms) && cookie.goes_to(url)).collect();
        sent.sort_by_key(|cookie| Reverse(cookie.scope.path().len()));
        sent
    }

    /// Places of the live cookies on the host of `origin`: first those sent to it, then the others, in the order of sending.
    fn known_at(&self, origin: &Url, now_ms: i64) -> Vec<usize> {
        let mut known: Vec<(usize, &Cookie)> = self
            .cookies
            .iter()
            .enumerate()
            .filter(|(_, cookie)| !cookie.is_expired(now_ms) && cookie.scope.covers_host(origin))
            .collect();
        known.sort_by_key(|(_, cookie)| (!cookie.goes_to(origin), Reverse(cookie.scope.path().len())));
        known.into_iter().map(|(at, _)| at).collect()
    }

    /// For each pair of a flat string the place of the cookie that it belongs to, `None` for one that is new.
    fn places_for(
        &mut self,
        pairs: &[(&str, &str)],
        origin: &Url,
        root: &Scope,
        now_ms: i64,
    ) -> Result<Vec<Option<usize>>, FlatError> {
        if self.cookies.len() + pairs.len() > COOKIES_MAX {
            self.drop_expired(now_ms);
        }
        let mut known = self.known_at(origin, now_ms);
        let mut places = Vec::with_capacity(pairs.len());
        let mut cookies = self.cookies.len();
        for (index, (name, value)) in pairs.iter().enumerate() {
            let place = known.iter().position(|&at| self.cookies[at].name == *name).map(|hit| known.remove(hit));
            let scope = place.map_or(root, |at| &self.cookies[at].scope);
            if name.len() + value.len() + scope.size() > COOKIE_MAX_BYTES {
                return Err(FlatError::PairTooLong { pair: index + 1 });
            }
            cookies += usize::from(place.is_none());
            places.push(place);
        }
        if cookies > COOKIES_MAX { Err(FlatError::TooMany { cookies }) } else { Ok(places) }
    }

    fn drop_expired(&mut self, now_ms: i64) {
        self.cookies.retain(|cookie| !cookie.is_expired(now_ms));
    }
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jar").field("cookies", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
