//! What each format takes, what it writes, and that what was written comes back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::{collection, prelude::*};
use serde_json::{Value, json};
use url::Url;

use super::{SessionFile, SessionFormat, SessionFormatError};
use crate::{Secret, cookies::Jar};

/// 2023-11-14T22:13:20Z.
const NOW_MS: i64 = 1_700_000_000_000;

fn origin() -> Url {
    "https://www.x.example/".parse().unwrap()
}

fn read(format: SessionFormat, text: &str) -> Result<SessionFile, SessionFormatError> {
    format.read(&Secret::copy_of(text), &origin(), NOW_MS)
}

fn written(format: SessionFormat, file: &SessionFile) -> String {
    // EXPOSE: tests compare made-up values.
    format.write(file, &origin(), NOW_MS).unwrap().expose().to_owned()
}

/// A jar with every kind of cookie.
fn session() -> SessionFile {
    let mut jar = Jar::new();
    for line in [
        "sid=1; Path=/; Secure; HttpOnly",
        "wide=a=b; Domain=x.example; Path=/p; Max-Age=3600",
        "empty=",
        "__Host-h=\"q\"; Secure; Path=/",
        "ü=ä",
    ] {
        let _ = jar.store(&origin(), line.as_bytes(), NOW_MS);
    }
    assert_eq!(jar.len(), 5);
    SessionFile::new(jar, None)
}

/// Everything of the cookies but when they were made.
fn cookies(file: &SessionFile) -> Vec<String> {
    // EXPOSE: tests compare made-up values.
    file.jar.reveal().map(|(entry, value)| format!("{entry:?} {}", value.expose())).collect()
}

#[test]
fn every_format_with_scopes_gives_back_what_it_wrote() {
    for format in [SessionFormat::StorageState, SessionFormat::Netscape, SessionFormat::Json] {
        let file = session();
        let text = written(format, &file);
        let again = read(format, &text).unwrap();
        assert_eq!(cookies(&again), cookies(&file), "{format:?}: {text}");
        assert_eq!(again.left_out(), 0, "{format:?}");
        assert_eq!(written(format, &again), text, "{format:?}");
    }
}

#[test]
fn a_header_is_what_a_request_carries_and_may_have_its_name_before_it() {
    let text = written(SessionFormat::Header, &session());
    assert_eq!(text, "sid=1; empty=; __Host-h=\"q\"; ü=ä");
    for given in [text.clone(), format!("Cookie: {text}\n"), format!("cookie:{text}")] {
        assert_eq!(written(SessionFormat::Header, &read(SessionFormat::Header, &given).unwrap()), text);
    }
}

#[test]
fn a_storage_state_comes_out_as_it_went_in_unknown_fields_included() {
    let state = json!({
        "cookies": [
            { "name": "sid", "value": "1", "domain": "www.x.example", "path": "/", "expires": -1, "httpOnly": true,
              "secure": true, "sameSite": "Strict", "partitionKey": "https://x.example", "_new": { "deep": [1, "2"] } },
            { "name": "w", "value": "2", "domain": ".x.example", "path": "/p", "expires": 1_800_000_000.25,
              "httpOnly": false, "secure": false, "sameSite": "None" },
        ],
        "origins": [
            { "origin": "https://www.x.example", "localStorage": [{ "name": "token", "value": "local-canary" }],
              "indexedDB": [{ "name": "db" }] },
        ],
        "later": true,
    });
    let file = read(SessionFormat::StorageState, &state.to_string()).unwrap();
    assert!(file.has_storage() && !format!("{file:?}").contains("canary"));
    assert_eq!(serde_json::from_str::<Value>(&written(SessionFormat::StorageState, &file)).unwrap(), state);

    // Our own form keeps it too, also on the way through both.
    let json = read(SessionFormat::Json, &written(SessionFormat::Json, &file)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written(SessionFormat::StorageState, &json)).unwrap(), state);

    // A cookie that the site has changed since keeps what the jar has no place for.
    let mut file = file;
    let _ = file.jar.store(&origin(), b"sid=2; Path=/; Secure", NOW_MS);
    let changed: Value = serde_json::from_str(&written(SessionFormat::StorageState, &file)).unwrap();
    assert_eq!((&changed["cookies"][0]["value"], &changed["cookies"][0]["sameSite"]), (&json!("2"), &json!("Strict")));
}

#[test]
fn what_is_no_session_of_a_format_is_refused_by_its_place() {
    use SessionFormat::{Header, Json, Netscape, StorageState};
    let shape = |what| SessionFormatError::Shape { what };
    let line = "x.example\tFALSE\t/\tTRUE\t0\ta\t1";
    for (format, text, want) in [
        (StorageState, "", SessionFormatError::NotJson),
        (StorageState, "[]", shape("whole")),
        (StorageState, "{}", shape("cookies")),
        (StorageState, r#"{"cookies":[],"origins":1}"#, shape("origins")),
        (StorageState, r#"{"cookies":[],"origins":[]}"#, SessionFormatError::Empty),
        (
            StorageState,
            r#"{"cookies":[{"name":"a","value":1,"domain":"x.example"}]}"#,
            SessionFormatError::Cookie { cookie: 1 },
        ),
        (Json, r#"{"cookies":[]}"#, shape("version")),
        (Json, r#"{"version":2,"cookies":[]}"#, shape("version")),
        (Json, r#"{"version":1,"cookies":[{"name":"a"}]}"#, SessionFormatError::Cookie { cookie: 1 }),
        (Netscape, "# only a comment\n", SessionFormatError::Empty),
        (Netscape, "a=1", SessionFormatError::Line { line: 1 }),
        (Netscape, format!("\n{line}\tmore").as_str(), SessionFormatError::Line { line: 2 }),
        (Netscape, "x.example\tmaybe\t/\tTRUE\t0\ta\t1", SessionFormatError::Line { line: 1 }),
        (Header, "Cookie: a\r\nb=1", SessionFormatError::Header(crate::cookies::FlatError::ControlCharacter { at: 2 })),
        (Header, "", SessionFormatError::Empty),
    ] {
        assert_eq!(read(format, text).err(), Some(want), "{format:?} {text:?}");
    }
    assert!(read(Netscape, line).is_ok());
}

#[test]
fn no_file_widens_a_scope_or_brings_back_what_is_over() {
    let row = |domain: &str, below: bool, name: &str, secure: bool, end: i64| {
        let flag = |is: bool| if is { "TRUE" } else { "FALSE" };
        format!("{domain}\t{}\t/\t{}\t{end}\t{name}\t1\n", flag(below), flag(secure))
    };
    let good = row("x.example", false, "good", false, 0);
    for bad in [
        row("x.example", false, "__Secure-a", false, 0),
        row(".x.example", true, "__Host-a", true, 0),
        row("x.example", false, "a", false, 1_600_000_000),
        row("x.example/p", false, "a", false, 0),
        row("x.example:443", false, "a", false, 0),
        row("u@x.example", false, "a", false, 0),
        row("", false, "a", false, 0),
        row("x.example", false, "", false, 0),
        row("x.example", false, "a;b", false, 0),
    ] {
        let file = read(SessionFormat::Netscape, &format!("{good}{bad}")).unwrap();
        assert_eq!((file.jar.len(), file.left_out()), (1, 1), "{bad:?}");
    }
    // Under a public suffix live strangers: what is said to be for all of them is for its own host alone.
    let file = read(SessionFormat::Netscape, &row(".github.io", true, "a", false, 0)).unwrap();
    assert!(file.jar.entries().all(|entry| entry.host_only && entry.domain == "github.io"));
}

#[test]
fn a_tab_in_a_value_is_not_written_into_a_line() {
    let mut file = session();
    let _ = file.jar.store(&origin(), b"tab=a\tb", NOW_MS);
    let refused = SessionFormat::Netscape.write(&file, &origin(), NOW_MS);
    assert_eq!(refused.err(), Some(SessionFormatError::Tab));
    assert!(SessionFormat::Json.write(&file, &origin(), NOW_MS).is_ok());
}

proptest! {
    #[test]
    fn no_text_panics_in_any_format(text in "\\PC{0,80}|[\\{\\}\\[\\]\":,a-z0-9\t\n=;.#/]{0,120}") {
        for format in SessionFormat::ALL {
            let _ = read(format, &text);
        }
    }

    #[test]
    fn any_values_survive_every_format_with_scopes(
        values in collection::vec("[^;\\p{Cc} ]([^;\\p{Cc}]{0,12}[^;\\p{Cc} ])?", 1..6),
    ) {
        let mut jar = Jar::new();
        for (index, value) in values.iter().enumerate() {
            let _ = jar.store(&origin(), format!("n{index}={value}").as_bytes(), NOW_MS);
        }
        let file = SessionFile::new(jar, None);
        for format in [SessionFormat::StorageState, SessionFormat::Netscape, SessionFormat::Json] {
            prop_assert_eq!(cookies(&read(format, &written(format, &file)).unwrap()), cookies(&file));
        }
    }
}
