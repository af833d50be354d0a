//! From a table of the TOML tree to a checked type, with line and key in every error. Knows no key of the file.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Error, ValueDeserializer},
};

use super::SitesError;

/// The name of a driver, and the table that it was taken from.
pub(super) type Driven<'i> = (Spanned<String>, Spanned<DeValue<'i>>);

/// Reads `value`, which stands at `key`, into a `T`.
pub(super) fn read<T: DeserializeOwned>(text: &str, value: Spanned<DeValue<'_>>, key: &str) -> Result<T, SitesError> {
    let span = value.span();
    serde_path_to_error::deserialize(ValueDeserializer::from(value)).map_err(|error| {
        let key = join(key, &error.path().to_string());
        located(text, key, error.inner(), span)
    })
}

/// Takes the sub-table `name` out of `table`, and its `driver` out of that.
pub(super) fn take_driven<'i>(
    text: &str,
    table: &mut DeTable<'i>,
    key: &str,
    name: &str,
) -> Result<Option<Driven<'i>>, SitesError> {
    let Some(value) = table.remove(name) else {
        return Ok(None);
    };
    let (span, key) = (value.span(), format!("{key}.{name}"));
    let DeValue::Table(mut inner) = value.into_inner() else {
        return Err(invalid(text, span, &key, "a table with a `driver` is expected"));
    };
    let Some(driver) = inner.remove("driver") else {
        return Err(invalid(text, span, &key, "missing field `driver`"));
    };
    let driver = Spanned::new(driver.span(), read::<String>(text, driver, &format!("{key}.driver"))?);
    Ok(Some((driver, Spanned::new(span, DeValue::Table(inner)))))
}

/// An error of ours about the bytes `span` of `text`.
pub(super) fn invalid(text: &str, span: Range<usize>, key: &str, problem: impl Into<String>) -> SitesError {
    let before = text.as_bytes().iter().take(span.start);
    let line = 1 + before.filter(|byte| **byte == b'\n').count();
    SitesError::Invalid { line, key: key.to_owned(), problem: problem.into() }
}

/// An error of the parser; `whole` is where the table stands, for errors that come without a place.
pub(super) fn located(text: &str, key: String, error: &Error, whole: Range<usize>) -> SitesError {
    invalid(text, error.span().unwrap_or(whole), &key, error.message())
}

/// `.` is how the path of the outermost value is written; a name in `$` is how `Spanned` looks from inside.
fn join(key: &str, path: &str) -> String {
    let own = path.split('.').filter(|part| !part.is_empty() && !part.starts_with('$'));
    own.fold(key.to_owned(), |mut joined, part| {
        if !part.starts_with('[') {
            joined.push('.');
        }
        joined.push_str(part);
        joined
    })
}
