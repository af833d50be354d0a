//! Text of others made fit to be shown: bounded and without control characters. Knows neither where it came from nor
//! where it is shown.

/// Up to `max_chars` characters of `text`, with what could move a terminal's cursor or reorder a line escaped.
///
/// Control characters (Cc) and the invisible ones that steer direction or joining (U+200B to U+200F, U+2028 to U+202E,
/// U+2060 to U+206F, U+FEFF) become `\u{..}`. An escape is never cut in half, so the result may be shorter than the
/// bound; it ends with `…` where something was left out.
#[must_use]
pub fn escape_bounded(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let mut room = max_chars;
    for c in text.chars() {
        let width = if steers(c) { c.escape_unicode().len() } else { 1 };
        if width > room {
            shown.push('…');
            break;
        }
        room -= width;
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The first `max_chars` characters of `text`, cut between characters.
#[must_use]
pub fn cut_chars(text: &str, max_chars: usize) -> &str {
    text.char_indices().nth(max_chars).map_or(text, |(end, _)| &text[..end])
}

/// Whether a character could move a terminal's cursor, or reorder or join what stands around it.
///
/// Control characters (Cc) and U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{cut_chars, escape_bounded};

    #[test]
    fn what_steers_a_terminal_is_escaped_and_the_rest_is_kept() {
        for (text, max_chars, shown) in [
            ("account không tồn tại", 100, "account không tồn tại"),
            ("a\x1b[31mb", 100, "a\\u{1b}[31mb"),
            ("line\r\nnext\0", 100, "line\\u{d}\\u{a}next\\u{0}"),
            ("\u{9b}31m", 100, "\\u{9b}31m"),
            ("abc\u{202e}fed", 100, "abc\\u{202e}fed"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcdef…"),
            ("abc\x1bd", 6, "abc…"),
            ("đđđ", 2, "đđ…"),
            ("", 0, ""),
        ] {
            assert_eq!(escape_bounded(text, max_chars), shown, "{text:?}");
        }
    }

    #[test]
    fn a_cut_counts_characters_and_never_splits_one() {
        for (text, max_chars, cut) in
            [("đđđ", 2, "đđ"), ("đđđ", 3, "đđđ"), ("đđđ", 4, "đđđ"), ("a", 0, ""), ("", 5, "")]
        {
            assert_eq!(cut_chars(text, max_chars), cut);
        }
    }
}
