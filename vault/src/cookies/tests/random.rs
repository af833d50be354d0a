//! Properties over generated input: round trips, bounds, and that nothing read from outside can panic.

use proptest::{collection, option, prelude::*, sample::select};
use url::Url;

use super::{
    super::{Jar, Stored},
    secret,
};

/// Names and values as any server may send them, without what ends them; trimmed, since blanks around are no part of them.
fn name() -> impl Strategy<Value = String> {
    "[^;=\\p{Cc} ]([^;=\\p{Cc}]{0,6}[^;=\\p{Cc} ])?"
}

fn value() -> impl Strategy<Value = String> {
    option::of("[^;\\p{Cc} ]([^;\\p{Cc}]{0,12}[^;\\p{Cc} ])?").prop_map(Option::unwrap_or_default)
}

fn address() -> impl Strategy<Value = Url> {
    (select(SCHEMES), select(HOSTS), select(PATHS))
        .prop_map(|(scheme, host, path)| format!("{scheme}://{host}:4000{path}").parse().unwrap())
}

/// A response: where it came from, one line, and when.
fn response() -> impl Strategy<Value = (Url, String, i64)> {
    let line = (select(NAMES), value(), collection::vec(select(ATTRIBUTES), 0..4))
        .prop_map(|(name, value, attributes)| format!("{name}={value}; {}", attributes.join("; ")));
    (address(), line, 0..10_000_i64)
}

fn jar_of(responses: &[(Url, String, i64)]) -> Jar {
    let mut jar = Jar::new();
    for (at, line, now_ms) in responses {
        let _ = jar.store(at, line.as_bytes(), *now_ms);
    }
    jar
}

proptest! {
    #[test]
    fn a_flat_string_comes_out_of_an_empty_jar_as_it_went_in(
        pairs in collection::btree_map(name(), value(), 1..8),
        origin in address(),
    ) {
        // Names that promise https are not sent over http.
        prop_assume!(origin.scheme() == "https" || !pairs.keys().any(|name| name.starts_with("__")));
        let flat = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut jar = Jar::new();
        prop_assert_eq!(jar.import_flat(&origin, &secret(&flat), 0), Ok(pairs.len()));
        let out = jar.export_flat(&origin, 0).unwrap();
        // EXPOSE: tests compare made-up values.
        prop_assert_eq!(out.expose(), flat);
    }

    #[test]
    fn an_exported_string_changes_nothing_when_it_comes_back(
        responses in collection::vec(response(), 0..12),
        at in address(),
        now_ms in 0..10_000_i64,
    ) {
        let mut jar = jar_of(&responses);
        let before = jar.to_bytes();
        if let Some(flat) = jar.export_flat(&at, now_ms) {
            prop_assert_eq!(jar.import_flat(&at, &flat, now_ms), Ok(jar.names_for(&at, now_ms).len()));
        }
        prop_assert_eq!(&*jar.to_bytes(), &*before);
    }

    #[test]
    fn a_jar_survives_its_bytes(responses in collection::vec(response(), 0..12), at in address()) {
        let jar = jar_of(&responses);
        let again = Jar::from_bytes(&jar.to_bytes()).unwrap();
        prop_assert_eq!(&*again.to_bytes(), &*jar.to_bytes());
        prop_assert_eq!(again.names_for(&at, 0), jar.names_for(&at, 0));
        prop_assert!(again.entries().eq(jar.entries()));
    }

    #[test]
    fn a_merge_with_an_unchanged_side_is_the_other_side(
        base in collection::vec(response(), 0..8),
        more in collection::vec(response(), 0..8),
    ) {
        let base = jar_of(&base);
        let mut changed = base.duplicate();
        for (at, line, now_ms) in &more {
            let _ = changed.store(at, line.as_bytes(), *now_ms);
        }
        prop_assert_eq!(&*Jar::merge(&base, &changed, &base).to_bytes(), &*changed.to_bytes());
        prop_assert_eq!(&*Jar::merge(&base, &base, &changed).to_bytes(), &*changed.to_bytes());
    }

    #[test]
    fn no_cookie_leaves_its_scope(responses in collection::vec(response(), 0..12), at in address()) {
        let jar = jar_of(&responses);
        let host = at.host_str().unwrap();
        for name in jar.names_for(&at, 5_000) {
            let fits = |entry: &super::super::CookieEntry<'_>| {
                entry.name == name
                    && (host == entry.domain || (!entry.host_only && host.ends_with(&format!(".{}", entry.domain))))
                    && at.path().starts_with(entry.path)
                    && (!entry.secure || at.scheme() == "https")
                    && entry.expires_ms.is_none_or(|expires_ms| expires_ms > 5_000)
            };
            prop_assert!(jar.entries().any(|entry| fits(&entry)));
        }
    }

    #[test]
    fn no_line_panics_and_what_is_kept_can_be_stored(
        at in address(),
        line in collection::vec(any::<u8>(), 0..200),
        now_ms: i64,
    ) {
        let mut jar = Jar::new();
        let kept = jar.store(&at, &line, now_ms) == Stored::Kept;
        prop_assert_eq!(jar.len(), usize::from(kept));
        prop_assert_eq!(Jar::from_bytes(&jar.to_bytes()).map(|jar| jar.len()), Ok(usize::from(kept)));
    }

    #[test]
    fn no_line_with_attributes_panics(at in address(), line in "a=b(; ?(Expires|Max-Age|Domain|Path)=[ -~é]{0,40}){0,4}") {
        let mut jar = Jar::new();
        let kept = jar.store(&at, line.as_bytes(), i64::MAX) == Stored::Kept;
        prop_assert_eq!(jar.len(), usize::from(kept));
    }

    #[test]
    fn no_flat_string_panics_and_a_refused_one_leaves_the_jar_empty(at in address(), flat in "\\PC{0,80}|[a=; \t\r]{0,20}") {
        let mut jar = Jar::new();
        let taken = jar.import_flat(&at, &secret(&flat), 0).unwrap_or(0);
        prop_assert_eq!(jar.len(), taken);
    }

    #[test]
    fn no_bytes_panic_as_a_jar(bytes in collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>(), bit in 0..8_u32) {
        prop_assert!(Jar::from_bytes(&bytes).map_or(true, |jar| jar.len() <= bytes.len()));
        let mut real = jar_of(&[("https://x.example/".parse().unwrap(), "a=1; Max-Age=9".to_owned(), 0)]).to_bytes();
        let at = flip.index(real.len());
        real[at] ^= 1_u8 << bit;
        prop_assert!(Jar::from_bytes(&real).map_or(true, |jar| jar.len() <= 1));
    }
}

const SCHEMES: &[&str] = &["http", "https"];
const HOSTS: &[&str] = &["x.example", "www.x.example", "127.0.0.1", "[::1]", "localhost", "x.github.io"];
const PATHS: &[&str] = &["", "/", "/p", "/p/", "/p/q", "/é"];
const NAMES: &[&str] = &["a", "b", "__Host-c", "__secure-d"];
const ATTRIBUTES: &[&str] = &[
    "Secure",
    "HttpOnly",
    "Path=/",
    "Path=/p",
    "Domain=x.example",
    "Domain=github.io",
    "Domain=127.0.0.1",
    "Max-Age=0",
    "Max-Age=5",
    "Expires=Thu, 1 Jan 1970 00:00:05 UTC",
];
