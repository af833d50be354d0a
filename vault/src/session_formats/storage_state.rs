//! Playwright's storageState: `{"cookies": [...], "origins": [{"origin", "localStorage": [{"name", "value"}]}]}`.
//!
//! What the jar has no place for (`sameSite`, `partitionKey`, whole fields that are not known) is kept as it came, beside the
//! jar, and comes out again with the cookie that it belongs to. Times lose what is below a millisecond.
//! Source: playwright.dev, `BrowserContext.storageState` (read 2026-11).

use serde_json::{Map, Value, json};

use super::{SessionFile, SessionFormatError, tree::Tree};
use crate::{
    Secret,
    cookies::{CookieEntry, ScopedCookie},
};

pub(super) fn read(text: &str, now_ms: i64) -> Result<SessionFile, SessionFormatError> {
    let mut tree = Tree::parse(text)?;
    if tree.0.get(ORIGINS).is_some_and(|origins| !origins.is_array()) {
        return Err(SessionFormatError::Shape { what: ORIGINS });
    }
    let Some(Value::Array(cookies)) = tree.0.get_mut(COOKIES) else {
        return Err(SessionFormatError::Shape { what: COOKIES });
    };
    let mut file = SessionFile::default();
    for (index, cookie) in cookies.iter_mut().enumerate() {
        let wrong = SessionFormatError::Cookie { cookie: index + 1 };
        let Value::Object(cookie) = cookie else { return Err(wrong) };
        file.take(cookie_of(cookie).ok_or(wrong)?, now_ms);
        if let Some(Value::String(value)) = cookie.get_mut("value") {
            zeroize::Zeroize::zeroize(value);
        }
        cookie.retain(|name, _| !IN_THE_JAR.contains(&name.as_str()));
    }
    file.storage = Some(tree.to_secret());
    Ok(file)
}

pub(super) fn write(file: &SessionFile, now_ms: i64) -> Result<Secret, SessionFormatError> {
    let mut tree = match &file.storage {
        // EXPOSE: it is written to where a person wants it.
        Some(storage) => Tree::parse(storage.expose())?,
        None => Tree(Map::new()),
    };
    let rests = match tree.0.shift_remove(COOKIES) {
        Some(Value::Array(rests)) => rests,
        _ => Vec::new(),
    };
    let cookies = file.jar.reveal().filter(|(entry, _)| entry.expires_ms.is_none_or(|end| end > now_ms));
    let cookies = cookies.map(|(entry, value)| {
        let domain = dotted(entry);
        let mut cookie = Map::new();
        cookie.insert("name".into(), entry.name.into());
        // EXPOSE: it is written to where a person wants it; the tree is wiped.
        cookie.insert("value".into(), value.expose().into());
        cookie.insert("domain".into(), domain.as_str().into());
        cookie.insert("path".into(), entry.path.into());
        cookie.insert("expires".into(), entry.expires_ms.map_or(json!(-1), seconds));
        cookie.insert("httpOnly".into(), entry.http_only.into());
        cookie.insert("secure".into(), entry.secure.into());
        let own = [("name", entry.name), ("domain", domain.as_str()), ("path", entry.path)];
        let is_its =
            |rest: &&Value| own.iter().all(|(name, text)| rest.get(name).and_then(Value::as_str) == Some(*text));
        if let Some(Value::Object(rest)) = rests.iter().find(is_its) {
            for (name, value) in rest {
                cookie.entry(name).or_insert_with(|| value.clone());
            }
        }
        // What browsers take for said where a site says nothing.
        cookie.entry("sameSite").or_insert_with(|| "Lax".into());
        Value::Object(cookie)
    });
    let cookies = Value::Array(cookies.collect());
    tree.0.shift_insert(0, COOKIES.into(), cookies);
    tree.0.entry(ORIGINS).or_insert_with(|| json!([]));
    Ok(tree.to_secret())
}

fn cookie_of(cookie: &Map<String, Value>) -> Option<ScopedCookie<'_>> {
    let text = |name: &str| cookie.get(name).and_then(Value::as_str);
    let flag = |name: &str| cookie.get(name).map_or(Some(false), Value::as_bool);
    let domain = text("domain")?;
    let expires_ms = match cookie.get("expires") {
        None | Some(Value::Null) => None,
        Some(number) => millis(number.as_f64()?),
    };
    Some(ScopedCookie {
        name: text("name")?,
        value: text("value")?,
        domain: domain.strip_prefix('.').unwrap_or(domain),
        host_only: !domain.starts_with('.'),
        path: text("path").unwrap_or("/"),
        secure: flag("secure")?,
        http_only: flag("httpOnly")?,
        expires_ms,
    })
}

/// The domain as browsers write it: behind a dot where hosts below it are meant.
fn dotted(entry: CookieEntry<'_>) -> String {
    if entry.host_only { entry.domain.to_owned() } else { format!(".{}", entry.domain) }
}

/// Seconds since 1970; a negative number stands for a session cookie.
fn millis(seconds: f64) -> Option<i64> {
    // A float that does not fit becomes the nearest bound.
    (seconds >= 0.0).then(|| (seconds * 1000.0).round() as i64)
}

fn seconds(ms: i64) -> Value {
    // Exact up to the year 287396.
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

const COOKIES: &str = "cookies";
const ORIGINS: &str = "origins";
/// What the jar has of a cookie and the rest beside it need not; name, domain and path say whose rest it is.
const IN_THE_JAR: [&str; 4] = ["value", "expires", "httpOnly", "secure"];
