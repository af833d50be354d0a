//! The small texts of the sites file, each checked once: names, paths, templates, patterns, selectors.
//!
//! Knows neither the file's layout nor the pages that the texts are later compared with.

use std::fmt;

use scraper::Selector;
use serde::Deserialize;
use url::{Url, form_urlencoded::byte_serialize};

use crate::limits::SITE_TEXT_MAX_BYTES;

/// A site's name as tasks write it: 1 to 253 bytes, lower case, without the root dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct SiteName(String);

/// A path with an optional query, from the root of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SitePath(String);

/// A path with the placeholders `{username}`, `{title}` and `{marker}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PathTemplate(String);

/// A pattern for the place that a redirect leads to, as `/u/*/post/*`.
///
/// `*` stands for one or more characters other than `/`, `?` and `#`. The path alone is compared, unless the pattern
/// holds a `?`: then path and query are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LocationPattern(String);

/// The name of a form's field: 1 to [`SITE_TEXT_MAX_BYTES`] bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct FieldName(String);

/// A CSS selector (Selectors level 4, as the `selectors` crate reads it).
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct CssSelector {
    text: String,
    parsed: Selector,
}

impl SiteName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SiteName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.trim_end_matches('.').to_lowercase();
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | ':' | '?' | '#');
        if name.is_empty() || name.len() > NAME_MAX_BYTES || name.contains(bad) {
            return Err("not a site's name: write it as tasks do, like `blog.example`, without scheme, port and path");
        }
        Ok(Self(name))
    }
}

impl SitePath {
    /// The root, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path, beginning with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SitePath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        check_path(&text)?;
        if text.contains(['{', '}']) { Err("this path takes no `{placeholder}`") } else { Ok(Self(text)) }
    }
}

impl PathTemplate {
    /// The path with percent-encoded values; `None` when it asks for a user name and there is none.
    #[must_use]
    pub fn fill(&self, username: Option<&str>, title: &str, marker: &str) -> Option<String> {
        let mut rest = self.0.as_str();
        let mut path = String::with_capacity(rest.len());
        // Piece by piece, so that a title that holds "{marker}" is not filled in turn.
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}')?;
            path.push_str(before);
            let value = match name {
                "username" => username?,
                "title" => title,
                _ => marker,
            };
            // The form encoding writes a blank as `+`, which means a plus in a path; `+` itself is always encoded.
            path.extend(byte_serialize(value.as_bytes()).map(|piece| piece.replace('+', "%20")));
            rest = tail;
        }
        path.push_str(rest);
        Some(path)
    }
}

impl TryFrom<String> for PathTemplate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        check_path(&text)?;
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let placeholder = after.split_once('}').filter(|(name, _)| PLACEHOLDERS.contains(name));
            let Some((_, tail)) = placeholder.filter(|_| !before.contains('}')) else {
                return Err("unknown placeholder: `{username}`, `{title}` and `{marker}` are known");
            };
            rest = tail;
        }
        if rest.contains('}') { Err("a `}` without its `{`") } else { Ok(Self(text)) }
    }
}

impl LocationPattern {
    /// Whether `url` leads where the pattern says; its origin is not looked at.
    #[must_use]
    pub fn matches(&self, url: &Url) -> bool {
        match url.query().filter(|_| self.0.contains('?')) {
            Some(query) => glob(self.0.as_bytes(), format!("{}?{query}", url.path()).as_bytes()),
            None => glob(self.0.as_bytes(), url.path().as_bytes()),
        }
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LocationPattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        check_path(&text)?;
        Ok(Self(text))
    }
}

impl FieldName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FieldName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() || text.len() > SITE_TEXT_MAX_BYTES || text.contains(char::is_control) {
            return Err("not the name of a form's field: 1 to 1024 bytes without control characters are expected");
        }
        Ok(Self(text))
    }
}

impl CssSelector {
    /// The compiled selector.
    #[must_use]
    pub const fn compiled(&self) -> &Selector {
        &self.parsed
    }

    /// The selector as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for CssSelector {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() > SITE_TEXT_MAX_BYTES {
            return Err("a selector has at most 1024 bytes");
        }
        let parsed = Selector::parse(&text).map_err(|_| "not a CSS selector: write one like `form#login`")?;
        Ok(Self { text, parsed })
    }
}

impl fmt::Debug for CssSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CssSelector({})", self.text)
    }
}

/// A path that stays at its origin whatever it is joined to: `//host` and `/\host` are another origin's (WHATWG URL).
fn check_path(text: &str) -> Result<(), &'static str> {
    if !text.starts_with('/') || text.starts_with("//") {
        return Err("a path begins with one `/`");
    }
    if text.len() > SITE_TEXT_MAX_BYTES {
        return Err("a path has at most 1024 bytes");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '#' | '"' | '\'')) {
        return Err("a path holds no blanks, backslashes, quotes or fragment: percent-encode them");
    }
    Ok(())
}

/// Matches in time of pattern times text: a star is widened only where the rest failed, and only the last star need be.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let in_segment = |at: usize| text.get(at).is_some_and(|byte| !matches!(byte, b'/' | b'?' | b'#'));
    let (mut p, mut t) = (0, 0);
    let mut last_star = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(b'*'), _) if in_segment(t) => last_star = Some((p, t)),
            (Some(wanted), Some(found)) if wanted == found && *wanted != b'*' => {}
            _ => match last_star {
                Some((star, end)) if in_segment(end + 1) => {
                    (p, t) = (star, end + 1);
                    last_star = Some((p, t));
                }
                _ => return false,
            },
        }
        (p, t) = (p + 1, t + 1);
    }
}

const PLACEHOLDERS: [&str; 3] = ["username", "title", "marker"];
/// RFC 1035 section 2.3.4, without the root dot.
const NAME_MAX_BYTES: usize = 253;
