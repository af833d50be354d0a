//! The flat cookie string `name=value; name=value`, split into its pairs. It knows no scope and no jar.

use super::{FlatError, entry};
use crate::limits::{COOKIES_MAX, FLAT_COOKIE_MAX_BYTES};

/// The pairs of `flat` in their order, without the blanks around names and values; empty pairs are passed over.
///
/// # Errors
/// [`FlatError`]: `TooLong`, `ControlCharacter`, `NoName` or `TooMany`.
pub(super) fn split(flat: &str) -> Result<Vec<(&str, &str)>, FlatError> {
    if flat.len() > FLAT_COOKIE_MAX_BYTES {
        return Err(FlatError::TooLong { bytes: flat.len() });
    }
    if let Some(at) = entry::control_at(flat) {
        return Err(FlatError::ControlCharacter { at });
    }
    let mut pairs = Vec::new();
    for text in flat.split(';').filter(|text| !entry::trim(text).is_empty()) {
        let pair = pairs.len() + 1;
        if pair > COOKIES_MAX {
            return Err(FlatError::TooMany { cookies: pair });
        }
        pairs.push(entry::split_pair(text).ok_or(FlatError::NoName { pair })?);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::split;
    use crate::{
        cookies::FlatError,
        limits::{COOKIES_MAX, FLAT_COOKIE_MAX_BYTES},
    };

    #[test]
    fn pairs_are_read_with_every_byte_of_their_values() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            (" ; ;", &[]),
            ("a=b", &[("a", "b")]),
            ("a=b; c=d", &[("a", "b"), ("c", "d")]),
            ("a=b;c=d", &[("a", "b"), ("c", "d")]),
            ("a=b;\tc=d ;", &[("a", "b"), ("c", "d")]),
            ("a=", &[("a", "")]),
            ("a=b==", &[("a", "b==")]),
            ("a=\"b c\"", &[("a", "\"b c\"")]),
            ("a=%7B%22k%22%7D,x", &[("a", "%7B%22k%22%7D,x")]),
            ("a=1; a=2", &[("a", "1"), ("a", "2")]),
            ("tên=giá trị", &[("tên", "giá trị")]),
        ];
        for (flat, want) in rows {
            assert_eq!(split(flat).as_deref(), Ok(*want), "{flat:?}");
        }
    }

    #[test]
    fn what_could_split_a_header_or_has_no_name_is_refused() {
        let rows = [
            ("a=b\r\nX: y", FlatError::ControlCharacter { at: 3 }),
            ("a=b\n", FlatError::ControlCharacter { at: 3 }),
            ("a\0=b", FlatError::ControlCharacter { at: 1 }),
            ("a=b; \u{7f}c=d", FlatError::ControlCharacter { at: 5 }),
            ("a=b; c", FlatError::NoName { pair: 2 }),
            ("=b", FlatError::NoName { pair: 1 }),
            ("a=b;; =c", FlatError::NoName { pair: 2 }),
            ("...", FlatError::NoName { pair: 1 }),
        ];
        for (flat, want) in rows {
            assert_eq!(split(flat), Err(want), "{flat:?}");
        }
    }

    #[test]
    fn each_bound_is_reached_but_not_passed() {
        let blanks = |bytes: usize| " ".repeat(bytes);
        assert_eq!(split(&blanks(FLAT_COOKIE_MAX_BYTES)), Ok(Vec::new()));
        let bytes = FLAT_COOKIE_MAX_BYTES + 1;
        assert_eq!(split(&blanks(bytes)), Err(FlatError::TooLong { bytes }));

        assert_eq!(split(&"a=;".repeat(COOKIES_MAX)).map(|pairs| pairs.len()), Ok(COOKIES_MAX));
        let cookies = COOKIES_MAX + 1;
        assert_eq!(split(&"a=;".repeat(cookies)), Err(FlatError::TooMany { cookies }));
    }
}
