//! Domains, paths, schemes and prefixes: who may set a cookie, and where it then goes.

use super::{
    super::{Refusal, Stored},
    check_sent, check_taken, jar_of,
};

const KEPT: Stored = Stored::Kept;

fn refused(why: Refusal) -> Stored {
    Stored::Refused(why)
}

#[test]
fn a_cookie_without_a_domain_goes_to_its_host_alone() {
    let own: &[(&str, &str)] = &[("https://x.example/", "a=1")];
    check_sent(&[
        (own, "https://x.example/", "a=1"),
        (own, "https://x.example:8443/", "a=1"),
        (own, "https://X.EXAMPLE/any/path?query", "a=1"),
        (own, "https://www.x.example/", ""),
        (own, "https://example/", ""),
        (own, "https://notx.example/", ""),
        (own, "https://x.example.evil.test/", ""),
        (own, "ftp://x.example/", ""),
        (&[("https://x.example/", "a=1; Domain=")], "https://www.x.example/", ""),
        (&[("https://x.example/", "a=1; Domain=.")], "https://www.x.example/", ""),
    ]);
}

#[test]
fn a_cookie_with_a_domain_goes_to_every_host_below_it() {
    for domain in ["x.example", ".x.example", "X.Example", " x.example "] {
        let line = format!("a=1; Domain={domain}");
        let below: &[(&str, &str)] = &[("https://www.x.example/", &line)];
        check_sent(&[
            (below, "https://x.example/", "a=1"),
            (below, "https://www.x.example/", "a=1"),
            (below, "https://deep.www.x.example/", "a=1"),
            (below, "https://notx.example/", ""),
            (below, "https://x.example.evil.test/", ""),
        ]);
    }
}

#[test]
fn an_international_domain_is_one_in_both_spellings() {
    let below: &[(&str, &str)] = &[("https://www.bücher.example/", "a=1; Domain=BÜCHER.example")];
    check_sent(&[
        (below, "https://xn--bcher-kva.example/", "a=1"),
        (below, "https://shop.bücher.example/", "a=1"),
        (below, "https://bucher.example/", ""),
    ]);
}

#[test]
fn a_domain_has_to_contain_the_host_of_the_response() {
    check_taken(&[
        ("https://www.x.example/", "a=1; Domain=x.example", KEPT),
        ("https://www.x.example/", "a=1; Domain=www.x.example", KEPT),
        ("https://x.example/", "a=1; Domain=www.x.example", refused(Refusal::ForeignDomain)),
        ("https://x.example/", "a=1; Domain=y.example", refused(Refusal::ForeignDomain)),
        ("https://notx.example/", "a=1; Domain=x.example", refused(Refusal::ForeignDomain)),
        ("https://www.x.example/", "a=1; Domain=..x.example", refused(Refusal::ForeignDomain)),
        ("https://www.x.example/", "a=1; Domain=x.example.", refused(Refusal::ForeignDomain)),
        ("https://www.x.example/", "a=1; Domain=xn--a", refused(Refusal::ForeignDomain)),
        ("https://www.x.example/", "a=1; Domain=https://x.example", refused(Refusal::ForeignDomain)),
        ("https://www.x.example/", "a=1; Domain=x.example:443", refused(Refusal::ForeignDomain)),
        ("https://www.x.example/", "a=1; Domain=y.example; Domain=x.example", KEPT),
    ]);
}

#[test]
fn nobody_sets_a_cookie_for_a_public_suffix() {
    check_taken(&[
        ("https://x.com/", "a=1; Domain=com", refused(Refusal::PublicSuffix)),
        ("https://x.com/", "a=1; Domain=.com", refused(Refusal::PublicSuffix)),
        ("https://x.co.uk/", "a=1; Domain=co.uk", refused(Refusal::PublicSuffix)),
        ("https://x.com.vn/", "a=1; Domain=com.vn", refused(Refusal::PublicSuffix)),
        ("https://x.github.io/", "a=1; Domain=github.io", refused(Refusal::PublicSuffix)),
        ("https://x.any.ck/", "a=1; Domain=any.ck", refused(Refusal::PublicSuffix)),
        ("https://x.internal/", "a=1; Domain=internal", refused(Refusal::PublicSuffix)),
        ("https://x.com/", "a=1; Domain=x.com", KEPT),
        ("https://www.x.co.uk/", "a=1; Domain=x.co.uk", KEPT),
        ("https://w.x.github.io/", "a=1; Domain=x.github.io", KEPT),
        ("https://w.x.internal/", "a=1; Domain=x.internal", KEPT),
    ]);
}

#[test]
fn a_host_without_subdomains_may_name_itself_and_keeps_the_cookie_to_itself() {
    for (host, below) in [
        ("github.io", "https://x.github.io/"),
        ("localhost", "http://x.localhost/"),
        ("127.0.0.1", "http://127.0.0.2/"),
        ("[::1]", "http://[::2]/"),
    ] {
        let at = format!("http://{host}/");
        let line = format!("a=1; Domain={host}");
        let jar = jar_of(&[(&at, &line)]);
        assert!(jar.entries().all(|entry| entry.host_only && entry.domain == host), "{host}");
        check_sent(&[(&[(&at, &line)], &at, "a=1"), (&[(&at, &line)], below, "")]);
    }
}

#[test]
fn an_address_has_no_domain_above_it() {
    check_taken(&[
        ("http://127.0.0.1/", "a=1; Domain=0.0.1", refused(Refusal::ForeignDomain)),
        ("http://127.0.0.1/", "a=1; Domain=127.0.0.2", refused(Refusal::ForeignDomain)),
        ("http://[::1]/", "a=1; Domain=::1", refused(Refusal::ForeignDomain)),
        ("http://127.0.0.1/", "a=1; Domain=127.0.0.1", KEPT),
        ("http://[::1]/", "a=1", KEPT),
    ]);
}

#[test]
fn loopback_origins_work_and_share_their_cookies_across_ports() {
    check_sent(&[
        (&[("http://127.0.0.1:4001/login", "a=1; Path=/")], "http://127.0.0.1:4001/", "a=1"),
        (&[("http://127.0.0.1:4001/login", "a=1; Path=/")], "http://127.0.0.1:4002/", "a=1"),
        (&[("http://localhost:4001/", "a=1")], "http://localhost:4001/", "a=1"),
        (&[("http://localhost:4001/", "a=1")], "http://127.0.0.1:4001/", ""),
    ]);
}

#[test]
fn without_a_path_the_folder_of_the_response_is_the_path() {
    for (response, path) in [
        ("https://x.example", "/"),
        ("https://x.example/", "/"),
        ("https://x.example/login", "/"),
        ("https://x.example/a/", "/a"),
        ("https://x.example/a/b", "/a"),
        ("https://x.example/a/b/", "/a/b"),
        ("https://x.example/a/b?c=/d/e", "/a"),
        ("https://x.example/a//b", "/a/"),
    ] {
        for line in ["a=1", "a=1; Path=", "a=1; Path=relative"] {
            let jar = jar_of(&[(response, line)]);
            assert!(jar.entries().all(|entry| entry.path == path), "{line} from {response}");
        }
    }
}

#[test]
fn a_path_covers_itself_and_what_lies_below_it() {
    let slash: &[(&str, &str)] = &[("https://x.example/", "a=1; Path=/p/")];
    let plain: &[(&str, &str)] = &[("https://x.example/", "a=1; Path=/p")];
    check_sent(&[
        (plain, "https://x.example/p", "a=1"),
        (plain, "https://x.example/p?q", "a=1"),
        (plain, "https://x.example/p/", "a=1"),
        (plain, "https://x.example/p/q", "a=1"),
        (plain, "https://x.example/pq", ""),
        (plain, "https://x.example/P", ""),
        (plain, "https://x.example/", ""),
        (slash, "https://x.example/p", ""),
        (slash, "https://x.example/p/", "a=1"),
        (slash, "https://x.example/p/q", "a=1"),
        (&[("https://x.example/", "a=1; Path=/ü")], "https://x.example/ü", ""),
    ]);
}

#[test]
fn secure_cookies_come_and_go_over_https_alone() {
    check_taken(&[
        ("https://x.example/", "a=1; Secure", KEPT),
        ("http://x.example/", "a=1; Secure", refused(Refusal::SecureOverHttp)),
        ("http://127.0.0.1/", "a=1; Secure", refused(Refusal::SecureOverHttp)),
        ("http://localhost/", "a=1; Secure", refused(Refusal::SecureOverHttp)),
        ("http://x.example/", "a=1; Secure; Max-Age=0", refused(Refusal::SecureOverHttp)),
        ("http://x.example/", "a=1", KEPT),
        ("ftp://x.example/", "a=1", refused(Refusal::Scheme)),
        ("data:text/plain,x", "a=1", refused(Refusal::Scheme)),
    ]);
    let secure: &[(&str, &str)] = &[("https://localhost/", "a=1; Secure")];
    check_sent(&[
        (secure, "https://localhost/", "a=1"),
        (secure, "http://localhost/", ""),
        (&[("https://x.example/", "a=1")], "http://x.example/", "a=1"),
        (&[("http://x.example/", "a=1")], "https://x.example/", "a=1"),
        (&[("https://x.example/", "a=1; HttpOnly")], "http://x.example/", "a=1"),
    ]);
}

#[test]
fn a_prefix_is_a_promise_that_the_attributes_have_to_keep() {
    let broken = refused(Refusal::Prefix);
    check_taken(&[
        ("https://x.example/", "__Secure-a=1; Secure", KEPT),
        ("https://x.example/", "__Secure-a=1; Secure; Domain=x.example; Path=/p", KEPT),
        ("https://x.example/", "__Secure-a=1", broken),
        ("https://x.example/", "__secure-a=1", broken),
        ("http://x.example/", "__Secure-a=1", broken),
        ("https://x.example/", "__Host-a=1; Secure; Path=/", KEPT),
        ("https://x.example/p/q", "__Host-a=1; Path=/; Secure", KEPT),
        ("https://x.example/", "__Host-a=1; Secure", broken),
        ("https://x.example/", "__Host-a=1; Secure; Path=/p", broken),
        ("https://x.example/", "__Host-a=1; Path=/", broken),
        ("https://x.example/", "__Host-a=1; Secure; Path=/; Domain=x.example", broken),
        ("https://x.example/", "__hOsT-a=1; Secure; Path=/; Domain=x.example", broken),
        ("https://x.example/", "__Hosta=1", KEPT),
        ("https://x.example/", "__Host=1", KEPT),
        ("https://x.example/", "a__Host-=1", KEPT),
    ]);
}
