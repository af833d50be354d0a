//! What a jar keeps, sends and forgets, seen from outside: responses go in, a header comes out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod flat;
mod http_state;
mod merge;
mod random;
mod scopes;
mod storing;

use url::Url;

use super::{Jar, Stored};
use crate::Secret;

/// 2023-11-14T22:13:20Z.
const NOW_MS: i64 = 1_700_000_000_000;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

/// The header for a request, `""` where there is none.
fn header(jar: &Jar, at: &str, now_ms: i64) -> String {
    // EXPOSE: tests compare made-up values.
    jar.header_for(&url(at), now_ms).map(|header| header.expose().to_owned()).unwrap_or_default()
}

/// A jar that took `lines`, each a response URL and its `Set-Cookie`, none of them refused.
#[track_caller]
fn jar_of(lines: &[(&str, &str)]) -> Jar {
    let mut jar = Jar::new();
    for (at, line) in lines {
        let stored = jar.store(&url(at), line.as_bytes(), NOW_MS);
        assert!(!matches!(stored, Stored::Refused(_)), "{line} from {at}: {stored:?}");
    }
    jar
}

/// Responses, a request, and the header that it must carry.
type Sent<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[track_caller]
fn check_sent(rows: &[Sent<'_>]) {
    for (lines, request, want) in rows {
        assert_eq!(header(&jar_of(lines), request, NOW_MS), *want, "{lines:?} for {request}");
    }
}

/// A response URL, its `Set-Cookie`, and what must become of it in an empty jar.
type Taken<'a> = (&'a str, &'a str, Stored);

#[track_caller]
fn check_taken(rows: &[Taken<'_>]) {
    for (at, line, want) in rows {
        let mut jar = Jar::new();
        assert_eq!(jar.store(&url(at), line.as_bytes(), NOW_MS), *want, "{line} from {at}");
        assert_eq!(jar.len(), usize::from(*want == Stored::Kept), "{line} from {at}");
    }
}

fn secret(text: &str) -> Secret {
    Secret::copy_of(text)
}

static_assertions::assert_not_impl_any!(Jar: Clone, PartialEq, serde::Serialize);
static_assertions::assert_impl_all!(Jar: Send, Sync);
