//! Tables for the sites file: what is read, and for each thing refused the line, the key and the advice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod random;

use std::time::Duration;

use url::Url;

use super::{LocationPattern, Login, PathTemplate, Post, Sites, SitesError};

/// A whole form site; tests replace or add lines.
const FORM_SITE: &str = r##"[[site]]
domain = "Forum.Example."
aliases = ["www.forum.example"]
origins = ["https://forum.example", "https://id.forum.example:8443"]
twofa_at_site = true
media_origins = ["https://images.example"]

[site.limits]
concurrency = 2
request_timeout_s = 20

[site.login]
driver = "form"
page = "/login"
form = "form#login"
login_as = "email"
username_field = "username"
password_field = "password"
extra = { remember = "1" }
totp = { form = "form#totp", field = "code" }
probe = "/home"
logged_in = { selector = "#whoami" }
logged_out = [{ location = "/login" }, { selector = "form#login", status = 200 }]
refused = { selector = ".error", text = "wrong" }

[site.post]
driver = "form"
page = "/post/new"
form = "form#post"
title_field = "title"
body_field = "body"
image_field = "image"
posted = "/u/*/post/*"

[site.post.find]
page = "/u/{username}/posts?marker={title}"
list = { selector = "ul.posts" }
links = "ul.posts a"
"##;

const SMALL_SITE: &str =
    "[[site]]\ndomain = \"a.example\"\norigins = [\"https://a.example\"]\nlogin.driver = \"none\"\n";

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn a_whole_file_is_read_and_its_sites_are_found_by_every_name() {
    let sites = Sites::parse(&format!("{FORM_SITE}{SMALL_SITE}")).unwrap();
    assert_eq!(sites.len(), 2);
    for name in ["forum.example", "FORUM.example.", "www.forum.example"] {
        assert_eq!(sites.find(name).unwrap().domain.as_str(), "forum.example", "{name}");
    }
    assert!(sites.find("example").is_none());
    assert!(sites.find("").is_none());

    let site = sites.find("forum.example").unwrap();
    assert_eq!(site.limits.request_timeout, Duration::from_secs(20));
    assert_eq!(site.limits.lease_ttl, Duration::from_secs(120));
    let Login::Form(form) = &site.login else { panic!("the form driver") };
    assert_eq!(form.logged_out.iter().count(), 2);
    assert_eq!(form.locked.iter().count(), 0);
    let Post::Form(post) = &site.post else { panic!("the form driver") };
    assert_eq!(post.find.as_ref().unwrap().links.as_str(), "ul.posts a");
    assert!(matches!(sites.find("a.example").unwrap().post, Post::None));
}

#[test]
fn a_site_allows_its_own_origins_and_nothing_beside_them() {
    let sites = Sites::parse(FORM_SITE).unwrap();
    let site = sites.find("forum.example").unwrap();
    let rows = [
        ("https://forum.example/x?y", true),
        ("https://forum.example:443/", true),
        ("https://FORUM.example/", true),
        ("https://id.forum.example:8443/", true),
        ("http://forum.example/", false),
        ("https://forum.example:8443/", false),
        ("https://id.forum.example/", false),
        ("https://www.forum.example/", false),
        ("https://forum.example.evil.example/", false),
        ("https://forum.example@evil.example/", false),
        ("data:text/html,x", false),
    ];
    for (text, allowed) in rows {
        assert_eq!(site.allows(&url(text)), allowed, "{text}");
    }
    assert_eq!(site.resolve("/a?b").unwrap().as_str(), "https://forum.example/a?b");
    for elsewhere in ["//evil.example/", "https://evil.example/", "/\\evil.example/", "javascript:1"] {
        assert_eq!(site.resolve(elsewhere), None, "{elsewhere}");
    }
}

#[test]
fn wordpress_is_its_form_below_its_base() {
    let text = SMALL_SITE.replace("login.driver = \"none\"", "login = { driver = \"wordpress\", base = \"/blog/\" }");
    let sites = Sites::parse(&text).unwrap();
    let form = sites.find("a.example").unwrap().login_form().unwrap();
    assert_eq!(form.page.as_str(), "/blog/wp-login.php");
    assert_eq!(form.probe.as_str(), "/blog/wp-admin/profile.php");
}

#[test]
fn http_is_taken_at_loopback_or_where_it_is_allowed() {
    let with = |origin: &str, more: &str| {
        let text = SMALL_SITE.replace("https://a.example", origin);
        Sites::parse(&text.replace("login.", &format!("{more}\nlogin."))).map(|_| ())
    };
    for origin in ["http://127.0.0.1:8080", "http://[::1]:1", "http://localhost:3000"] {
        with(origin, "").unwrap();
    }
    for origin in ["http://a.example", "http://10.0.0.1", "http://localhost.example"] {
        with(origin, "").unwrap_err();
        with(origin, "allow_http = true").unwrap();
    }
}

/// Replaces `from` by `to` in the form site; says what is amiss when the refusal does not name line, key and reason.
fn check(from: &str, to: &str, line: usize, key: &str, reason: &str) -> Option<String> {
    assert!(FORM_SITE.contains(from), "{from}");
    let error = Sites::parse(&FORM_SITE.replacen(from, to, 1)).err();
    let as_said = matches!(&error, Some(SitesError::Invalid { line: at, key: named, problem })
        if *at == line && named == key && problem.contains(reason));
    (!as_said).then(|| format!("`{from}` -> `{to}`: {error:?}"))
}

#[test]
fn each_mistake_is_named_with_line_key_and_reason() {
    let rows = [
        ("[[site]]", "[site]", 1, "site", "two brackets"),
        ("[[site]]", "title = 1\n[[site]]", 1, "title", "unknown key"),
        ("[[site]]", "[[site", 1, "", "unclosed"),
        ("domain = \"Forum.Example.\"", "domain = \"https://x\"", 2, "site[0].domain", "not a site's name"),
        ("domain = \"Forum.Example.\"", "domain = \"\"", 2, "site[0].domain", "not a site's name"),
        ("domain = \"Forum.Example.\"\n", "", 1, "site[0]", "missing field `domain`"),
        ("aliases = [\"www", "aliases = [\"forum.example\", \"www", 3, "site[0]", "already"),
        ("\"https://forum.example\"", "\"forum.example\"", 4, "site[0].origins[0]", "not a URL"),
        ("\"https://forum.example\"", "\"ftp://forum.example\"", 4, "site[0].origins[0]", "not an origin"),
        ("\"https://forum.example\"", "\"https://u:p@f.example\"", 4, "site[0].origins[0]", "no password"),
        ("\"https://id.forum.example:8443\"", "\"https://a.example/x\"", 4, "site[0].origins[1]", "ends after"),
        ("\"https://id.forum.example:8443\"", "\"http://a.example\"", 4, "site[0].origins[1]", "allow_http"),
        (
            "origins = [\"https://forum.example\", \"https://id.forum.example:8443\"]",
            "origins = []",
            1,
            "site[0]",
            "empty",
        ),
        ("twofa_at_site = true", "twofa_at_site = false", 1, "site[0]", "twofa_at_site = true"),
        ("twofa_at_site = true", "twofa_at_site = 1", 5, "site[0].twofa_at_site", "expected a boolean"),
        ("twofa_at_site", "two_fa", 5, "site[0].two_fa", "unknown field"),
        ("concurrency = 2", "concurrency = 65", 9, "site[0].limits.concurrency", "1 to 64"),
        ("concurrency = 2", "concurrency = 0", 9, "site[0].limits.concurrency", "1 to 64"),
        ("request_timeout_s = 20", "request_timeout_s = -1", 10, "site[0].limits.request_timeout_s", "u32"),
        ("driver = \"form\"", "driver = \"from\"", 13, "site[0].login.driver", "\"form\", \"wordpress\", \"none\""),
        ("driver = \"form\"", "driver = \"none\"", 19, "site[0].login.extra", "unknown field"),
        ("driver = \"form\"\n", "", 12, "site[0].login", "missing field `driver`"),
        ("[site.login]", "[site.logon]", 1, "site[0]", "missing field `login`"),
        ("page = \"/login\"", "page = \"login\"", 14, "site[0].login.page", "begins with"),
        ("page = \"/login\"", "page = \"//login\"", 14, "site[0].login.page", "begins with"),
        ("page = \"/login\"", "page = '/\\x'", 14, "site[0].login.page", "percent-encode"),
        ("page = \"/login\"", "page = \"/{username}\"", 14, "site[0].login.page", "placeholder"),
        ("form = \"form#login\"", "form = \"form##\"", 15, "site[0].login.form", "not a CSS selector"),
        ("login_as = \"email\"", "login_as = \"phone\"", 16, "site[0].login.login_as", "unknown variant"),
        ("username_field = \"username\"", "username_field = \"\"", 17, "site[0].login.username_field", "not the name"),
        ("password_field = \"password\"\n", "", 12, "site[0].login", "missing field `password_field`"),
        ("field = \"code\"", "feld = \"code\"", 20, "site[0].login.totp.feld", "unknown field"),
        ("logged_in = { selector = \"#whoami\" }\n", "", 12, "site[0].login", "missing field `logged_in`"),
        ("{ selector = \"#whoami\" }", "{}", 22, "site[0].login.logged_in", "needs a condition"),
        ("{ selector = \"#whoami\" }", "[]", 22, "site[0].login.logged_in", "1 to 16 marks"),
        ("{ selector = \"#whoami\" }", "\"#whoami\"", 22, "site[0].login.logged_in", "a mark like"),
        ("status = 200", "status = 20", 23, "site[0].login.logged_out[1]", "between 200 and 599"),
        ("location = \"/login\"", "location = \"login\"", 23, "site[0].login.logged_out[0].location", "begins with"),
        ("text = \"wrong\"", "text = \"\"", 24, "site[0].login.refused", "1 to 1024 bytes"),
        ("posted = \"/u/*/post/*\"\n", "", 26, "site[0].post", "missing field `posted`"),
        ("{username}/posts", "{user}/posts", 36, "site[0].post.find.page", "unknown placeholder"),
        ("marker={title}", "marker={title", 36, "site[0].post.find.page", "unknown placeholder"),
    ];
    let amiss: Vec<String> = rows.iter().filter_map(|row| check(row.0, row.1, row.2, row.3, row.4)).collect();
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

#[test]
fn a_name_belongs_to_one_site_only() {
    let error =
        Sites::parse(&format!("{SMALL_SITE}{}", SMALL_SITE.replace("a.example\"\no", "A.EXAMPLE\"\no"))).unwrap_err();
    assert!(matches!(&error, SitesError::Invalid { line: 6, key, .. } if key == "site[1]"), "{error}");
}

#[test]
fn attack_39_a_file_beyond_its_bound_is_not_read() {
    let text = "#".repeat(super::SITES_FILE_MAX_BYTES + 1);
    assert!(matches!(Sites::parse(&text), Err(SitesError::TooLarge { .. })));
    assert!(Sites::parse(text.get(1..).unwrap()).unwrap().is_empty());
}

#[test]
fn location_patterns_match_whole_paths_segment_by_segment() {
    let rows = [
        ("/login", "/login", true),
        ("/login", "/login?next=/home", true),
        ("/login", "/login/totp", false),
        ("/login", "/Login", false),
        ("/u/*/post/*", "/u/amy/post/7", true),
        ("/u/*/post/*", "/u/amy/post/", false),
        ("/u/*/post/*", "/u/amy/x/post/7", false),
        ("/u/*/post/*", "/u//post/7", false),
        ("/p-*-*.html", "/p-a-b-c.html", true),
        ("/p-*-*.html", "/p-a.html", false),
        ("/*/", "/a/", true),
        ("/*", "/", false),
        ("/index.php?action=login", "/index.php?action=login", true),
        ("/index.php?action=login", "/index.php?action=home", false),
        ("/index.php?action=login", "/index.php", false),
        ("/t?id=*", "/t?id=42", true),
    ];
    for (pattern, path, matches) in rows {
        let pattern = LocationPattern::try_from(pattern.to_owned()).unwrap();
        let url = url(&format!("https://a.example{path}"));
        assert_eq!(pattern.matches(&url), matches, "{} on {path}", pattern.as_str());
    }
}

#[test]
fn templates_encode_what_they_are_filled_with_once() {
    let template = PathTemplate::try_from("/u/{username}/posts?q={title}&m={marker}".to_owned()).unwrap();
    let path = template.fill(Some("a/b"), "x & {marker}+", "é").unwrap();
    assert_eq!(path, "/u/a%2Fb/posts?q=x%20%26%20%7Bmarker%7D%2B&m=%C3%A9");
    assert_eq!(template.fill(None, "x", "y"), None);
}
