//! The manager's timestamps. Knows no clock.

use jiff::Timestamp;

/// The moment of an ISO 8601 text such as `2026-04-28T13:05:58+0700`.
///
/// The offset may have a colon, none, or be `Z`; without an offset the text names no moment. `None` for anything else.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    // jiff reads the basic forms of offsets beside the extended ones, which RFC 3339 parsers do not.
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use proptest::prelude::*;

    use super::parse_time;

    #[test]
    fn offsets_are_read_with_and_without_a_colon() {
        for (text, unix_s) in [
            ("2026-04-28T13:05:58+0700", 1_777_356_358),
            ("2026-04-28T13:05:58+07:00", 1_777_356_358),
            ("2026-04-28T06:05:58Z", 1_777_356_358),
            ("2026-04-28T06:05:58+0000", 1_777_356_358),
            ("2026-04-28T06:05:58.250Z", 1_777_356_358),
            ("2026-04-28 13:05:58+0700", 1_777_356_358),
            ("2026-04-27T22:35:58-0730", 1_777_356_358),
            (" 2026-04-28T13:05:58+07 ", 1_777_356_358),
            ("1970-01-01T00:00:00+0000", 0),
        ] {
            assert_eq!(parse_time(text).map(|time| time.as_second()), Some(unix_s), "{text}");
        }
    }

    #[test]
    fn what_names_no_moment_is_refused() {
        for text in [
            "",
            "...",
            "0",
            "2026-04-28",
            "2026-04-28T13:05:58",
            "2026-04-28T13:05:58+7",
            "2026-04-28T13:05:58+07:0",
            "2026-04-28T13:05:58+9900",
            "2026-02-30T13:05:58+0700",
            "2026-04-28T25:05:58+0700",
            "28/04/2026 13:05:58 +0700",
            "2026-04-28T13:05:58+0700 and more",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_moment_is_read_back(
            text in "\\PC{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([+-][0-9]{2}:?[0-9]{2}|Z)",
        ) {
            if let Some(time) = parse_time(&text) {
                prop_assert_eq!(parse_time(&time.to_string()), Some(time));
            }
        }
    }
}
