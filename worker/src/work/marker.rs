//! What tells a post from others of the same title when it is looked for. Pure; knows no site.

/// The longest run of plain text in `html` that sites keep as it is: letters, digits, blanks and commas outside of tags.
///
/// Empty where there is none of some length: then the title has to do. It stands in `html` byte for byte.
pub(super) fn marker(html: &str) -> &str {
    let mut longest = "";
    let mut rest = html;
    while !rest.is_empty() {
        // A tag ends a run like everything else that a site may write otherwise, and what it holds is no text.
        let run_end = rest.find(|c| !is_kept(c)).unwrap_or(rest.len());
        let run = cut(rest[..run_end].trim());
        if run.len() > longest.len() {
            longest = run;
        }
        let after = &rest[run_end..];
        let skipped = match after.chars().next() {
            Some('<') => after.find('>').map_or(after.len(), |end| end + 1),
            // An entity is text that has another form in the page.
            Some('&') => after.find(|c: char| c == ';' || c.is_whitespace()).map_or(after.len(), |end| end + 1),
            Some(other) => other.len_utf8(),
            None => 0,
        };
        rest = &after[skipped..];
    }
    if longest.chars().count() >= MARKER_MIN_CHARS { longest } else { "" }
}

/// Marks that combine with the letter before them break a run: sites normalise them.
fn is_kept(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || c == ','
}

fn cut(run: &str) -> &str {
    match run.char_indices().nth(MARKER_MAX_CHARS) {
        Some((end, _)) => run[..end].trim_end(),
        None => run,
    }
}

/// Shorter runs say too little.
const MARKER_MIN_CHARS: usize = 8;
/// Enough to tell posts apart, and short enough for an excerpt.
const MARKER_MAX_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use super::marker;

    #[test]
    fn the_longest_plain_run_outside_of_tags_is_the_marker() {
        let long = "từ ".repeat(40);
        for (html, expected) in [
            ("", ""),
            ("<p>short</p>", ""),
            ("<p>Nội dung, có dấu</p>", "Nội dung, có dấu"),
            ("<p>one two three</p><p>four five six seven</p>", "four five six seven"),
            (r#"<a title="a very long title that is no text" href="x">anchor text</a>"#, "anchor text"),
            ("Tom &amp; Ann went to the market", "Ann went to the market"),
            ("AT&T is a company", "is a company"),
            ("eight ch\u{e1}rs\u{301} and more after it", "and more after it"),
            ("a line that\nis broken", "a line that"),
            ("<p never closed with a long attribute", ""),
            (long.as_str(), &long[..long.char_indices().nth(59).map_or(0, |(at, _)| at)]),
        ] {
            assert_eq!(marker(html), expected, "{html:?}");
            assert!(html.contains(marker(html)));
        }
    }
}
