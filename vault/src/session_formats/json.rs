//! Our own JSON: a version, every cookie with its whole scope, and whatever else the session has as a storageState has it.

use serde_json::{Map, Value, json};

use super::{SessionFile, SessionFormatError, tree::Tree};
use crate::{Secret, cookies::ScopedCookie};

pub(super) fn read(text: &str, now_ms: i64) -> Result<SessionFile, SessionFormatError> {
    let mut tree = Tree::parse(text)?;
    if tree.0.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(SessionFormatError::Shape { what: "version" });
    }
    let mut file = SessionFile::default();
    let cookies = tree.0.get("cookies").and_then(Value::as_array);
    for (index, cookie) in cookies.ok_or(SessionFormatError::Shape { what: "cookies" })?.iter().enumerate() {
        file.take(cookie_of(cookie).ok_or(SessionFormatError::Cookie { cookie: index + 1 })?, now_ms);
    }
    match tree.0.remove("storage") {
        None | Some(Value::Null) => {}
        Some(Value::Object(storage)) => file.storage = Some(Tree(storage).to_secret()),
        Some(_) => return Err(SessionFormatError::Shape { what: "storage" }),
    }
    Ok(file)
}

pub(super) fn write(file: &SessionFile, now_ms: i64) -> Result<Secret, SessionFormatError> {
    let mut tree = Tree(Map::new());
    tree.0.insert("version".into(), VERSION.into());
    let cookies = file.jar.reveal().filter(|(entry, _)| entry.expires_ms.is_none_or(|end| end > now_ms));
    let cookies = cookies.map(|(entry, value)| {
        json!({
            "name": entry.name,
            // EXPOSE: it is written to where a person wants it; the tree is wiped.
            "value": value.expose(),
            "domain": entry.domain,
            "host_only": entry.host_only,
            "path": entry.path,
            "secure": entry.secure,
            "http_only": entry.http_only,
            "expires_ms": entry.expires_ms,
        })
    });
    tree.0.insert("cookies".into(), Value::Array(cookies.collect()));
    if let Some(storage) = &file.storage {
        // EXPOSE: it is written to where a person wants it; the tree is wiped.
        let mut storage = Tree::parse(storage.expose())?;
        tree.0.insert("storage".into(), Value::Object(std::mem::take(&mut storage.0)));
    }
    Ok(tree.to_secret())
}

fn cookie_of(cookie: &Value) -> Option<ScopedCookie<'_>> {
    let text = |name: &str| cookie.get(name).and_then(Value::as_str);
    let flag = |name: &str| cookie.get(name).and_then(Value::as_bool);
    let expires_ms = match cookie.get("expires_ms") {
        None | Some(Value::Null) => None,
        Some(number) => Some(number.as_i64()?),
    };
    Some(ScopedCookie {
        name: text("name")?,
        value: text("value")?,
        domain: text("domain")?,
        host_only: flag("host_only")?,
        path: text("path")?,
        secure: flag("secure")?,
        http_only: flag("http_only")?,
        expires_ms,
    })
}

/// The one version there is.
const VERSION: u64 = 1;
