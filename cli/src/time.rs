//! Times as they are printed: RFC 3339 in UTC for programs, ages for people. Knows no clock.

use jiff::Timestamp;

/// Unix milliseconds as RFC 3339 in UTC; the empty text for a time that no calendar has.
#[must_use]
pub fn rfc3339(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).map_or_else(|_| String::new(), |at| at.to_string())
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
    use super::{ago, rfc3339, span};

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
