//! Times as they are printed: RFC 3339 in UTC for programs, ages for people. Knows no clock.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// Unix milliseconds as RFC 3339 in UTC; the empty text for a time that no calendar has.
#[must_use]
pub fn rfc3339(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).map_or_else(|_| String::new(), |at| at.to_string())
}

/// The Unix milliseconds of a time as people write it: a date (its beginning in UTC), RFC 3339, or a while before `now_ms`
/// as `90m`, `12h` or `7d`.
#[must_use]
pub fn point(text: &str, now_ms: i64) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(at) = date.to_zoned(TimeZone::UTC)
    {
        return Some(at.timestamp().as_millisecond());
    }
    let unit = text.chars().last()?;
    let unit_ms = match unit {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    now_ms.checked_sub(i64::from(count).checked_mul(unit_ms)?)
}

/// How long `ms` milliseconds are, in the two largest units.
#[must_use]
pub fn span(ms: u64) -> String {
    let s = ms / 1000;
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    if days > 0 {
        format!("{days}d {hours}h")
    } else if hours > 0 {
        format!("{hours}h {minutes}m")
    } else if minutes > 0 {
        format!("{minutes}m {seconds}s")
    } else {
        format!("{seconds}s")
    }
}

/// How long ago `then_ms` was at `now_ms`; nothing ago where it is still to come.
#[must_use]
pub fn ago(then_ms: i64, now_ms: i64) -> String {
    format!("{} ago", span(now_ms.saturating_sub(then_ms).max(0).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::{ago, point, rfc3339, span};

    #[test]
    fn points_in_time_are_read_in_their_forms_and_other_texts_are_not() {
        for (text, unix_ms) in [
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("1970-01-01T01:00:01+01:00", Some(1000)),
            ("2s", Some(98_000)),
            ("1m", Some(40_000)),
            ("1h", Some(-3_500_000)),
            ("1d", Some(-86_300_000)),
            ("", None),
            ("d", None),
            ("-1d", None),
            ("1w", None),
            ("1é", None),
            ("yesterday", None),
            ("1970-13-01", None),
            ("99999999999d", None),
        ] {
            assert_eq!(point(text, 100_000), unix_ms, "{text}");
        }
    }

    #[test]
    fn times_and_spans_are_printed_in_their_forms() {
        for (unix_ms, text) in
            [(0, "1970-01-01T00:00:00Z"), (1_790_000_000_123, "2026-09-21T14:13:20.123Z"), (i64::MAX, "")]
        {
            assert_eq!(rfc3339(unix_ms), text);
        }
        for (ms, text) in [
            (0, "0s"),
            (999, "0s"),
            (61_000, "1m 1s"),
            (3_660_000, "1h 1m"),
            (90_000_000, "1d 1h"),
            (u64::MAX, "213503982334d 14h"),
        ] {
            assert_eq!(span(ms), text);
        }
        assert_eq!(ago(1000, 6000), "5s ago");
        assert_eq!(ago(6000, 1000), "0s ago");
    }
}
