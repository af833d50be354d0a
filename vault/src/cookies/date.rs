//! Dates as cookies carry them: the tolerant algorithm of RFC 6265 section 5.1.1, which reads every form that servers
//! have ever sent. It knows no cookie and no clock.

use std::ops::RangeInclusive;

use jiff::civil::DateTime;

/// The moment that `text` names, in milliseconds since 1970-01-01T00:00:00Z; `None` where the algorithm fails.
///
/// The result is never below the year 1601 and never above 9999. A zone is not part of the algorithm: every date is
/// UTC, whatever follows it. Source: RFC 6265 section 5.1.1.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    let mut parts = Parts::default();
    for token in tokens(text) {
        parts.take(token);
    }
    parts.into_ms()
}

/// What was found so far; the first token of each shape counts, later ones are passed over.
#[derive(Default)]
struct Parts {
    time: Option<(i16, i16, i16)>,
    day: Option<i16>,
    month: Option<i8>,
    year: Option<i16>,
}

impl Parts {
    /// Tries the four shapes in the order that the algorithm fixes: a two-digit token is a day before it is a year.
    fn take(&mut self, token: &[u8]) {
        if self.time.is_none()
            && let Some(time) = time_of_day(token)
        {
            self.time = Some(time);
        } else if self.day.is_none()
            && let Some((day, _)) = leading_number(token, 1..=2)
        {
            self.day = Some(day);
        } else if self.month.is_none()
            && let Some(month) = month(token)
        {
            self.month = Some(month);
        } else if self.year.is_none()
            && let Some((year, _)) = leading_number(token, 2..=4)
        {
            self.year = Some(year);
        }
    }

    fn into_ms(self) -> Option<i64> {
        let (hour, minute, second) = self.time?;
        let year = match self.year? {
            short @ 70..=99 => 1900 + short,
            short @ 0..=69 => 2000 + short,
            full => full,
        };
        if year < YEAR_MIN {
            return None;
        }
        // `DateTime::new` refuses what the algorithm refuses: day 0, 30 February, hour 24, second 60. The difference of
        // civil times is exact up to the last second of 9999, which a timestamp of that crate cannot hold.
        let small = |number: i16| i8::try_from(number).ok();
        let moment =
            DateTime::new(year, self.month?, small(self.day?)?, small(hour)?, small(minute)?, small(second)?, 0)
                .ok()?;
        let epoch = DateTime::new(1970, 1, 1, 0, 0, 0, 0).ok()?;
        i64::try_from(moment.duration_since(epoch).as_millis()).ok()
    }
}

/// Splits at the delimiters of the algorithm; runs of them count as one.
fn tokens(text: &str) -> impl Iterator<Item = &[u8]> {
    text.as_bytes().split(|byte| is_delimiter(*byte)).filter(|token| !token.is_empty())
}

/// RFC 6265 section 5.1.1, `delimiter`: not the colon, which holds a time together.
fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2F | 0x3B..=0x40 | 0x5B..=0x60 | 0x7B..=0x7E)
}

/// `hms-time`: three fields of one or two digits; what follows the seconds is passed over.
fn time_of_day(token: &[u8]) -> Option<(i16, i16, i16)> {
    let (hour, rest) = leading_number(token, 1..=2)?;
    let (minute, rest) = leading_number(rest.strip_prefix(b":")?, 1..=2)?;
    let (second, _) = leading_number(rest.strip_prefix(b":")?, 1..=2)?;
    Some((hour, minute, second))
}

fn month(token: &[u8]) -> Option<i8> {
    let start: [u8; 3] = token.get(..3)?.to_ascii_lowercase().try_into().ok()?;
    let at = MONTHS.iter().position(|name| **name == start)?;
    i8::try_from(at + 1).ok()
}

/// The number at the start of `token` and what follows it, if its count of digits is allowed.
fn leading_number(token: &[u8], digits: RangeInclusive<usize>) -> Option<(i16, &[u8])> {
    let count = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !digits.contains(&count) {
        return None;
    }
    let (number, rest) = token.split_at(count);
    // At most four digits are asked for, so the sum stays below 10,000.
    Some((number.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0')), rest))
}

const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
/// The earliest year of RFC 6265 section 5.1.1, step 5.
const YEAR_MIN: i16 = 1601;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::time::{Duration, UNIX_EPOCH};

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::parse_ms;

    /// `want` is an RFC 3339 time, or empty where the date must be refused.
    #[track_caller]
    fn check(rows: &[(&str, &str)]) {
        for (text, want) in rows {
            let want = (!want.is_empty()).then(|| want.parse::<Timestamp>().unwrap().as_millisecond());
            assert_eq!(parse_ms(text), want, "{text}");
        }
    }

    #[test]
    fn every_form_that_servers_send_is_read() {
        check(&[
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            ("Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            ("Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z"),
            ("Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            ("Thu, 1 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            ("Thu, 01 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00Z"),
            ("Thu, 01 Jan 1970 00:00:00 UTC", "1970-01-01T00:00:00Z"),
            ("Thu, 01-Jan-70 00:00:01 GMT", "1970-01-01T00:00:01Z"),
            ("Thu, 01-Jan-1970 00:00:01 GMT", "1970-01-01T00:00:01Z"),
            ("Thu, 01-Jan-1970 0:0:1 GMT", "1970-01-01T00:00:01Z"),
            ("1 January 1970 00:00:00", "1970-01-01T00:00:00Z"),
            ("01 jAN 1970 00:00:00", "1970-01-01T00:00:00Z"),
            ("00:00:00 1970 Jan 01", "1970-01-01T00:00:00Z"),
            ("Wed,;/ 09[Jun]2021@10:18:14{GMT}", "2021-06-09T10:18:14Z"),
            ("Wed, 09 Jun 2021 10:18:14.25 GMT", "2021-06-09T10:18:14Z"),
            ("Wed, 9th Jun 2021 10:18:14 GMT", "2021-06-09T10:18:14Z"),
            ("Tue, 18 Oct 2011 07:42:42.123 GMT", "2011-10-18T07:42:42Z"),
            ("Thu, 29 Feb 2024 23:59:59 GMT", "2024-02-29T23:59:59Z"),
        ]);
    }

    #[test]
    fn short_years_fall_into_1970_to_2069() {
        check(&[
            ("01 Jan 70 00:00:00", "1970-01-01T00:00:00Z"),
            ("01 Jan 99 00:00:00", "1999-01-01T00:00:00Z"),
            ("01 Jan 00 00:00:00", "2000-01-01T00:00:00Z"),
            ("01 Jan 69 00:00:00", "2069-01-01T00:00:00Z"),
        ]);
    }

    #[test]
    fn the_bounds_of_the_years_are_kept() {
        check(&[
            ("01 Jan 1601 00:00:00", "1601-01-01T00:00:00Z"),
            ("31 Dec 1600 23:59:59", ""),
            ("01 Jan 100 00:00:00", ""),
            ("01 Jan 10000 00:00:00", ""),
        ]);
        assert_eq!(parse_ms("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799_000));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        check(&[
            ("", ""),
            ("0", ""),
            ("-1", ""),
            ("Session", ""),
            ("01 Jan 1970", ""),
            ("Jan 1970 00:00:00", ""),
            ("01 1970 00:00:00", ""),
            ("01 Jan 00:00:00", ""),
            ("00 Jan 1970 00:00:00", ""),
            ("32 Jan 1970 00:00:00", ""),
            ("30 Feb 2024 00:00:00", ""),
            ("29 Feb 2023 00:00:00", ""),
            ("01 Foo 1970 00:00:00", ""),
            ("01 Jan 1970 24:00:00", ""),
            ("01 Jan 1970 00:60:00", ""),
            ("01 Jan 1970 00:00:60", ""),
            ("01 Jan 1970 00:00", ""),
            ("01 Jan 1970 000:00:00", ""),
            ("1970-01-01T00:00:00Z", ""),
        ]);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_date_lies_within_its_bounds(
            text in "\\PC{0,40}|([0-9]{1,5}|[0-9]{1,3}(:[0-9]{1,3}){1,3}|[A-Za-z]{1,5}|[ ,;/-]){0,12}",
        ) {
            if let Some(ms) = parse_ms(&text) {
                prop_assert!((-11_644_473_600_000..=253_402_300_799_000).contains(&ms) && ms % 1000 == 0);
            }
        }

        #[test]
        fn a_date_as_http_writes_it_is_read_as_what_it_is(seconds in 0..253_402_300_800_u64) {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            prop_assert_eq!(parse_ms(&text), i64::try_from(seconds * 1000).ok());
        }
    }
}
