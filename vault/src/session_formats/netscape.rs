//! Netscape's cookies.txt: a line a cookie, seven fields between tabs, the domain behind `#HttpOnly_` where scripts are not to
//! see it. Source: curl's `docs/HTTP-COOKIES.md` and Python's `http.cookiejar` (read 2026-11).
//!
//! There is no way to write a session cookie that both of them read: curl wants an end of `0` for it, which Python takes for
//! long ago, and Python an empty one, which curl refuses. So it gets the end that stands for "never", and whatever is read
//! with that end is a session cookie.

use zeroize::Zeroizing;

use super::{SessionFile, SessionFormatError};
use crate::{Secret, cookies::ScopedCookie};

pub(super) fn read(text: &str, now_ms: i64) -> Result<SessionFile, SessionFormatError> {
    let mut file = SessionFile::default();
    for (index, line) in text.lines().enumerate() {
        let (line, http_only) = match line.strip_prefix(HTTP_ONLY) {
            Some(line) => (line, true),
            None => (line, false),
        };
        if line.trim().is_empty() || (!http_only && line.starts_with('#')) {
            continue;
        }
        let cookie = cookie_of(line, http_only).ok_or(SessionFormatError::Line { line: index + 1 })?;
        file.take(cookie, now_ms);
    }
    Ok(file)
}

pub(super) fn write(file: &SessionFile, now_ms: i64) -> Result<Secret, SessionFormatError> {
    let live = || file.jar.reveal().filter(move |(entry, _)| entry.expires_ms.is_none_or(|end| end > now_ms));
    // EXPOSE: only lengths are read.
    let size = |(entry, value): (crate::cookies::CookieEntry<'_>, &Secret)| {
        entry.name.len() + value.expose().len() + entry.domain.len() + entry.path.len() + LINE_OVERHEAD_MAX_BYTES
    };
    // Enough room from the start: a buffer that grew would leave a copy of the values behind.
    let room = HEAD.len() + live().map(size).sum::<usize>();
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(HEAD);
    for (entry, value) in live() {
        // EXPOSE: it is written to where a person wants it.
        let value = value.expose();
        if [entry.name, entry.path, value].iter().any(|field| field.contains('\t')) {
            return Err(SessionFormatError::Tab);
        }
        let end_s = entry.expires_ms.map_or(NEVER_S, |end| end.div_euclid(1000).max(1));
        let flag = |is: bool| if is { "TRUE" } else { "FALSE" };
        let dot = if entry.host_only { "" } else { "." };
        let parts =
            [if entry.http_only { HTTP_ONLY } else { "" }, dot, entry.domain, "\t", flag(!entry.host_only), "\t"];
        parts.iter().for_each(|part| text.push_str(part));
        let end = end_s.to_string();
        let parts = [entry.path, "\t", flag(entry.secure), "\t", end.as_str(), "\t", entry.name, "\t", value, "\n"];
        parts.iter().for_each(|part| text.push_str(part));
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

fn cookie_of(line: &str, http_only: bool) -> Option<ScopedCookie<'_>> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (domain, below, path, secure, end, name) = (next()?, next()?, next()?, next()?, next()?, next()?);
    // Some programs leave the last tab out where the value is empty.
    let value = next().unwrap_or_default();
    if next().is_some() {
        return None;
    }
    let flag = |text: &str| match text {
        "TRUE" => Some(true),
        "FALSE" => Some(false),
        _ => None,
    };
    let end_s = if end.is_empty() { 0 } else { end.parse::<i64>().ok()? };
    Some(ScopedCookie {
        name,
        value,
        domain: domain.strip_prefix('.').unwrap_or(domain),
        host_only: !flag(below)?,
        path,
        secure: flag(secure)?,
        http_only,
        expires_ms: (end_s != 0 && end_s != NEVER_S).then(|| end_s.saturating_mul(1000)),
    })
}

/// The first line is what Python knows the format by.
const HEAD: &str = "# Netscape HTTP Cookie File\n\n";
const HTTP_ONLY: &str = "#HttpOnly_";
/// The end that stands for "never": the last second of 32 bits, which every reader takes.
const NEVER_S: i64 = 2_147_483_647;
/// The prefix, a dot, six tabs, two flags, an end of at most 20 digits and the line's end.
const LINE_OVERHEAD_MAX_BYTES: usize = 10 + 1 + 6 + 2 * 5 + 20 + 1;
