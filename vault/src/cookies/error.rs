//! What a jar refuses and why. No message holds a name, a value or any other text that was read.

use thiserror::Error;

/// Why a `Set-Cookie` line was not taken. The jar is as it was before.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The response did not come by http or https, or its URL has no host.
    #[error("cookies are taken from http and https responses only")]
    Scheme,
    /// The line, or the cookie with the scope that it would get, is longer than the bound.
    #[error("the cookie is longer than {max} bytes", max = crate::limits::COOKIE_MAX_BYTES)]
    TooLong,
    /// The line is not UTF-8, so its value could not be given back byte by byte.
    #[error("the cookie is not UTF-8")]
    NotUtf8,
    /// A control character other than the tab (RFC 6265bis section 5.6).
    #[error("the cookie holds a control character")]
    ControlCharacter,
    /// There is no `=` or nothing before it (RFC 6265 section 5.2).
    #[error("the cookie has no name")]
    NoName,
    /// The `Domain` attribute does not contain the host of the response, or is no domain.
    #[error("the cookie's domain does not contain the response's host")]
    ForeignDomain,
    /// The `Domain` attribute is a public suffix: the cookie would go to strangers.
    #[error("the cookie's domain is a public suffix")]
    PublicSuffix,
    /// `Secure` over plain http (RFC 6265bis section 5.7).
    #[error("a Secure cookie came over plain http")]
    SecureOverHttp,
    /// Over plain http, a cookie that would stand in for a Secure one (RFC 6265bis section 5.7).
    #[error("a cookie over plain http would stand in for a Secure one")]
    HidesSecure,
    /// A name with `__Secure-` or `__Host-` whose promise the attributes do not keep (RFC 6265bis section 4.1.3).
    #[error("the cookie's name promises more than its attributes keep")]
    Prefix,
    /// The cookie of a file is over.
    #[error("the cookie is over")]
    Ended,
    /// The jar holds its most already, none of it expired.
    #[error("the jar holds {max} cookies already", max = crate::limits::COOKIES_MAX)]
    Full,
}

/// Why a flat cookie string was not taken. The jar is as it was before.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlatError {
    /// The origin is not http or https, or has no host.
    #[error("the origin of a cookie string has to be an http or https URL")]
    Origin,
    /// The whole string is too long.
    #[error("the cookie string has {bytes} bytes, more than {max}", max = crate::limits::FLAT_COOKIE_MAX_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A control character other than the tab: a line break or NUL would split the header that carries it.
    #[error("the cookie string holds a control character at byte {at}")]
    ControlCharacter {
        /// Where, from 0.
        at: usize,
    },
    /// A pair without `=`, or with nothing before it.
    #[error("pair {pair} of the cookie string has no name")]
    NoName {
        /// Which, from 1.
        pair: usize,
    },
    /// A pair with the scope that it would get is too long.
    #[error("pair {pair} of the cookie string is longer than {max} bytes", max = crate::limits::COOKIE_MAX_BYTES)]
    PairTooLong {
        /// Which, from 1.
        pair: usize,
    },
    /// With its pairs the jar would hold too many cookies.
    #[error("the jar would hold {cookies} cookies, more than {max}", max = crate::limits::COOKIES_MAX)]
    TooMany {
        /// How many it would hold.
        cookies: usize,
    },
}

/// Why bytes are not a jar.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JarError {
    /// Not the CBOR that [`Jar::to_bytes`](super::Jar::to_bytes) writes.
    #[error("malformed jar")]
    Malformed,
    /// Written in a format that this release does not read.
    #[error("jar of format {version}, this release reads {supported}", supported = super::wire::VERSION)]
    Version {
        /// The format found.
        version: u32,
    },
    /// More cookies than a jar can hold.
    #[error("jar of {cookies} cookies, more than {max}", max = crate::limits::COOKIES_MAX)]
    TooMany {
        /// How many there are.
        cookies: usize,
    },
    /// A cookie that no jar could have kept: bad characters, no scope, too long, twice, or out of order.
    #[error("cookie {index} of the jar is not valid")]
    Cookie {
        /// Which, from 0.
        index: usize,
    },
}
