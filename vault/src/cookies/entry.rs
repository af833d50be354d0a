//! One cookie as the jar holds it, and the face of it that may be shown. It does not know how it was received.

use url::Url;
use zeroize::Zeroizing;

use super::{
    Refusal,
    scope::{self, Scope},
    set_cookie::SetCookie,
};
use crate::{Secret, limits::COOKIE_MAX_BYTES};

/// What may be shown of a cookie: everything but its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CookieEntry<'a> {
    /// The name, as the server wrote it.
    pub name: &'a str,
    /// The canonical domain or IP literal, without a leading dot.
    pub domain: &'a str,
    /// The path, beginning with `/`.
    pub path: &'a str,
    /// Whether it goes to `domain` alone and not to hosts below it.
    pub host_only: bool,
    /// Whether it travels over https alone.
    pub secure: bool,
    /// Whether the server asked to hide it from scripts.
    pub http_only: bool,
    /// When it ends, in Unix milliseconds; `None` for a session cookie.
    pub expires_ms: Option<i64>,
}

/// A cookie with the scope that a file gives it, on its way into a jar.
#[derive(Clone, Copy)]
pub struct ScopedCookie<'a> {
    /// The name.
    pub name: &'a str,
    /// The value, a secret: there is no Debug.
    pub value: &'a str,
    /// The domain or IP literal, without a leading dot.
    pub domain: &'a str,
    /// Whether it goes to `domain` alone and not to hosts below it.
    pub host_only: bool,
    /// The path, beginning with `/`.
    pub path: &'a str,
    /// Whether it travels over https alone.
    pub secure: bool,
    /// Whether the server asked to hide it from scripts.
    pub http_only: bool,
    /// When it ends, in Unix milliseconds; `None` for a session cookie.
    pub expires_ms: Option<i64>,
}

/// A cookie with its value. The name, the value and the scope have passed the checks of this module.
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: Secret,
    pub(super) scope: Scope,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) expires_ms: Option<i64>,
    /// Creation time of RFC 6265 section 5.3: the wall clock, or one more than the jar's latest where that is ahead.
    pub(super) created_ms: i64,
}

/// What makes two cookies one (RFC 6265bis section 5.7): name, domain, host-only flag, path.
pub(super) type Identity<'a> = (&'a str, &'a str, bool, &'a str);

impl Cookie {
    /// The cookie that a response from `url` makes, with the checks that need no jar. `created_ms` is the jar's to set.
    ///
    /// # Errors
    /// [`Refusal`]: everything but `HidesSecure` and `Full`.
    pub(super) fn from_response(url: &Url, line: &[u8], now_ms: i64) -> Result<Self, Refusal> {
        let said = SetCookie::parse(line)?;
        let scope = Scope::of_response(url, &said)?;
        if said.secure && !scope::is_secure(url) {
            return Err(Refusal::SecureOverHttp);
        }
        if !scope::prefix_is_kept(said.name, said.secure, said.path, &scope) {
            return Err(Refusal::Prefix);
        }
        let cookie = Self {
            name: said.name.to_owned(),
            value: Secret::copy_of(said.value),
            scope,
            secure: said.secure,
            http_only: said.http_only,
            expires_ms: said.expires_ms(now_ms),
            created_ms: now_ms,
        };
        // The default path comes from the URL, which the length of the line does not bound.
        if cookie.size() > COOKIE_MAX_BYTES { Err(Refusal::TooLong) } else { Ok(cookie) }
    }

    /// The cookie that a file holds, with the checks of one from a response. `created_ms` is the jar's to set.
    ///
    /// # Errors
    /// [`Refusal`]: `ForeignDomain`, `PublicSuffix`, `Prefix`, `TooLong`, `NoName` or `ControlCharacter`.
    pub(super) fn from_file(said: &ScopedCookie<'_>, now_ms: i64) -> Result<Self, Refusal> {
        let scope = Scope::of_file(said.domain, said.host_only, said.path)?;
        if !scope::prefix_is_kept(said.name, said.secure, Some(said.path), &scope) {
            return Err(Refusal::Prefix);
        }
        let cookie = Self {
            name: said.name.to_owned(),
            value: Secret::copy_of(said.value),
            scope,
            secure: said.secure,
            http_only: said.http_only,
            expires_ms: said.expires_ms,
            created_ms: now_ms,
        };
        if cookie.is_well_formed() {
            return Ok(cookie);
        }
        if cookie.name.is_empty() || cookie.name.contains('=') {
            return Err(Refusal::NoName);
        }
        Err(if cookie.size() > COOKIE_MAX_BYTES { Refusal::TooLong } else { Refusal::ControlCharacter })
    }

    pub(super) fn duplicate(&self) -> Self {
        Self {
            name: self.name.clone(),
            value: self.value.duplicate(),
            scope: self.scope.clone(),
            secure: self.secure,
            http_only: self.http_only,
            expires_ms: self.expires_ms,
            created_ms: self.created_ms,
        }
    }

    /// Gives it a value from outside a response. The old value's end says nothing about another value.
    pub(super) fn give(&mut self, value: Secret) {
        if !self.value.same(&value) {
            self.value = value;
            self.expires_ms = None;
        }
    }

    pub(super) fn identity(&self) -> Identity<'_> {
        (&self.name, self.scope.domain(), self.scope.is_host_only(), self.scope.path())
    }

    pub(super) fn entry(&self) -> CookieEntry<'_> {
        CookieEntry {
            name: &self.name,
            domain: self.scope.domain(),
            path: self.scope.path(),
            host_only: self.scope.is_host_only(),
            secure: self.secure,
            http_only: self.http_only,
            expires_ms: self.expires_ms,
        }
    }

    pub(super) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }

    /// Whether a request for `url` carries it, its end apart.
    pub(super) fn goes_to(&self, url: &Url) -> bool {
        scope::is_http(url) && self.scope.covers(url) && (!self.secure || scope::is_secure(url))
    }

    /// Whether both are alike to the last attribute. Only one identity is ever compared with itself.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.value.same(&other.value)
            && (self.secure, self.http_only, self.expires_ms, self.created_ms)
                == (other.secure, other.http_only, other.expires_ms, other.created_ms)
    }

    /// Bytes of name, value, domain and path.
    pub(super) fn size(&self) -> usize {
        // EXPOSE: only the length is read.
        self.name.len() + self.value.expose().len() + self.scope.size()
    }

    /// Whether a jar could have kept it: what the parsers guarantee, asked again of what comes from storage.
    pub(super) fn is_well_formed(&self) -> bool {
        // EXPOSE: the characters are looked at, nothing is kept.
        let value = self.value.expose();
        let is_plain = |text: &str| control_at(text).is_none() && !text.contains(';') && trim(text) == text;
        !self.name.is_empty()
            && !self.name.contains('=')
            && is_plain(&self.name)
            && is_plain(value)
            && self.size() <= COOKIE_MAX_BYTES
    }
}

/// `name=value; name=value` of `cookies`, in their order. The buffer is never moved while it grows, so that no copy of a
/// value stays behind.
pub(super) fn join(cookies: &[&Cookie]) -> Secret {
    let separators = 3 * cookies.len();
    let room = cookies.iter().map(|cookie| cookie.size()).sum::<usize>() + separators;
    let mut text = Zeroizing::new(String::with_capacity(room));
    for cookie in cookies {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&cookie.name);
        text.push('=');
        // EXPOSE: this is the header (or the manager's field) that the value exists for.
        text.push_str(cookie.value.expose());
    }
    Secret::new(std::mem::take(&mut *text))
}

/// Splits `name=value` at the first `=` and trims both; `None` without a name.
pub(super) fn split_pair(pair: &str) -> Option<(&str, &str)> {
    let (name, value) = pair.split_once('=')?;
    let name = trim(name);
    (!name.is_empty()).then(|| (name, trim(value)))
}

/// Without the blanks around it: spaces and tabs, as RFC 6265 section 5.2 has it, no other white space.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Where the first control character stands; the tab is allowed (RFC 6265bis section 5.6).
pub(super) fn control_at(text: &str) -> Option<usize> {
    text.bytes().position(|byte| byte.is_ascii_control() && byte != b'\t')
}
