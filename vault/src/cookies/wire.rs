//! The jar's stored form: CBOR (RFC 8949), an array of the format's version and the cookies, each a map with integer
//! keys. It knows nothing of sealing, nor of when a cookie may be sent.

use std::collections::HashSet;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    encode::{Error, Write},
};
use zeroize::Zeroizing;

use super::{JarError, entry::Cookie, scope::Scope};
use crate::{Secret, limits::COOKIES_MAX};

/// A cookie between the jar and its bytes; it borrows from both, so that no value is copied into plain memory.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Row<'a> {
    #[n(0)]
    name: &'a str,
    #[n(1)]
    value: &'a str,
    #[n(2)]
    domain: &'a str,
    #[n(3)]
    host_only: bool,
    #[n(4)]
    path: &'a str,
    #[n(5)]
    secure: bool,
    #[n(6)]
    http_only: bool,
    #[n(7)]
    expires_ms: Option<i64>,
    #[n(8)]
    created_ms: i64,
}

/// Writes the cookies in their order.
pub(super) fn encode(cookies: &[Cookie]) -> Zeroizing<Vec<u8>> {
    // Enough room from the start: a buffer that grew would leave a copy of the values behind.
    let room = HEAD_MAX_BYTES + cookies.iter().map(|cookie| cookie.size() + ROW_OVERHEAD_MAX_BYTES).sum::<usize>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    // Impossible to fail: a Vec as writer has no error (`Infallible`), and a row's encoder adds none of its own.
    write(cookies, &mut Encoder::new(&mut *bytes)).expect("a Vec takes every byte");
    bytes
}

/// Reads what [`encode`] wrote and asks again for everything that the jar relies on.
///
/// # Errors
/// Every [`JarError`].
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Cookie>, JarError> {
    let malformed = |_| JarError::Malformed;
    let mut decoder = Decoder::new(bytes);
    if decoder.array().map_err(malformed)? != Some(2) {
        return Err(JarError::Malformed);
    }
    let version = decoder.u32().map_err(malformed)?;
    if version != VERSION {
        return Err(JarError::Version { version });
    }
    let count = decoder.array().map_err(malformed)?.ok_or(JarError::Malformed)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > COOKIES_MAX {
        return Err(JarError::TooMany { cookies: count });
    }
    let mut cookies: Vec<Cookie> = Vec::with_capacity(count);
    for index in 0..count {
        let row: Row<'_> = decoder.decode().map_err(malformed)?;
        let cookie = row.into_cookie().filter(Cookie::is_well_formed).ok_or(JarError::Cookie { index })?;
        if cookies.last().is_some_and(|before| before.created_ms > cookie.created_ms) {
            return Err(JarError::Cookie { index });
        }
        cookies.push(cookie);
    }
    if decoder.position() != bytes.len() {
        return Err(JarError::Malformed);
    }
    let mut seen = HashSet::with_capacity(count);
    match cookies.iter().position(|cookie| !seen.insert(cookie.identity())) {
        Some(index) => Err(JarError::Cookie { index }),
        None => Ok(cookies),
    }
}

fn write<W: Write>(cookies: &[Cookie], to: &mut Encoder<W>) -> Result<(), Error<W::Error>> {
    to.array(2)?.u32(VERSION)?.array(cookies.len() as u64)?;
    for cookie in cookies {
        to.encode(Row::of(cookie))?;
    }
    Ok(())
}

impl<'a> Row<'a> {
    fn of(cookie: &'a Cookie) -> Self {
        Self {
            name: &cookie.name,
            // EXPOSE: the bytes are sealed by the caller; their buffer is wiped.
            value: cookie.value.expose(),
            domain: cookie.scope.domain(),
            host_only: cookie.scope.is_host_only(),
            path: cookie.scope.path(),
            secure: cookie.secure,
            http_only: cookie.http_only,
            expires_ms: cookie.expires_ms,
            created_ms: cookie.created_ms,
        }
    }

    fn into_cookie(self) -> Option<Cookie> {
        Some(Cookie {
            name: self.name.to_owned(),
            value: Secret::copy_of(self.value),
            scope: Scope::from_parts(self.domain, self.host_only, self.path)?,
            secure: self.secure,
            http_only: self.http_only,
            expires_ms: self.expires_ms,
            created_ms: self.created_ms,
        })
    }
}

/// The one format that is written and read. Keys that are unknown are passed over, so that optional ones may be added.
pub(super) const VERSION: u32 = 1;
/// Two array heads of at most 9 bytes and the version.
const HEAD_MAX_BYTES: usize = 32;
/// A map head, nine keys, four text heads of at most 9 bytes, three flags and two integers of at most 9 bytes.
const ROW_OVERHEAD_MAX_BYTES: usize = 1 + 9 + 4 * 9 + 3 + 2 * 9;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use minicbor::Encoder;

    use super::{HEAD_MAX_BYTES, ROW_OVERHEAD_MAX_BYTES, Row, VERSION, decode};
    use crate::{
        cookies::{Jar, JarError},
        limits::COOKIES_MAX,
    };

    fn row() -> Row<'static> {
        Row {
            name: "n",
            value: "v",
            domain: "x.example",
            host_only: true,
            path: "/",
            secure: true,
            http_only: false,
            expires_ms: Some(i64::MAX),
            created_ms: i64::MIN,
        }
    }

    fn bytes_of(rows: &[Row<'_>]) -> Vec<u8> {
        let mut to = Encoder::new(Vec::new());
        to.array(2).unwrap().u32(VERSION).unwrap().encode(rows).unwrap();
        to.into_writer()
    }

    #[track_caller]
    fn check(bytes: &[u8], want: Result<usize, JarError>) {
        assert_eq!(decode(bytes).map(|cookies| cookies.len()), want);
    }

    #[test]
    fn what_a_jar_writes_is_taken() {
        check(&Jar::new().to_bytes(), Ok(0));
        check(&bytes_of(&[row()]), Ok(1));
        check(&bytes_of(&[row(), Row { name: "m", ..row() }]), Ok(2));
        check(&bytes_of(&[row(), Row { host_only: false, ..row() }]), Ok(2));
    }

    #[test]
    fn rows_that_no_jar_could_hold_are_refused() {
        let invalid = |index| Err(JarError::Cookie { index });
        let long = "v".repeat(crate::limits::COOKIE_MAX_BYTES);
        let rows = [
            Row { name: "", ..row() },
            Row { name: "a=b", ..row() },
            Row { name: "a;b", ..row() },
            Row { name: " n", ..row() },
            Row { name: "a\nb", ..row() },
            Row { value: "v; w=x", ..row() },
            Row { value: "v\r\n", ..row() },
            Row { value: "v ", ..row() },
            Row { value: "\0", ..row() },
            Row { value: &long, ..row() },
            Row { domain: "", ..row() },
            Row { path: "", ..row() },
            Row { path: "p", ..row() },
        ];
        for row in rows {
            check(&bytes_of(&[row]), invalid(0));
        }
        check(&bytes_of(&[row(), row()]), invalid(1));
        check(&bytes_of(&[Row { created_ms: 1, ..row() }, Row { name: "m", created_ms: 0, ..row() }]), invalid(1));
    }

    #[test]
    fn other_formats_and_counts_are_named() {
        let mut to = Encoder::new(Vec::new());
        to.array(2).unwrap().u32(2).unwrap().null().unwrap();
        check(to.writer(), Err(JarError::Version { version: 2 }));

        let mut to = Encoder::new(Vec::new());
        to.array(2).unwrap().u32(VERSION).unwrap().array(COOKIES_MAX as u64 + 1).unwrap();
        check(to.writer(), Err(JarError::TooMany { cookies: COOKIES_MAX + 1 }));
    }

    #[test]
    fn a_cut_or_an_extension_at_any_place_is_refused() {
        let whole = bytes_of(&[row(), Row { name: "m", ..row() }]);
        for cut in 0..whole.len() {
            check(&whole[..cut], Err(JarError::Malformed));
        }
        let mut longer = whole;
        longer.push(0);
        check(&longer, Err(JarError::Malformed));
    }

    #[test]
    fn the_room_asked_for_holds_the_largest_row() {
        let bytes = bytes_of(&[row()]);
        let text = 1 + 1 + "x.example".len() + 1;
        assert!(bytes.len() <= HEAD_MAX_BYTES + text + ROW_OVERHEAD_MAX_BYTES);
    }
}
