//! Telling a post from others by its text, as far as sites keep a text as it was sent. Pure; knows no site.
//!
//! What differs decides between "another post" and "this one, but changed": the first needs the title to differ, since
//! a post that is wrongly taken for absent would be made twice.

/// What a page or a listed post is to the post that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// Title and text.
    Same,
    /// The title only: another post of that title, or this one with its text changed by the site.
    OnlyTitle,
    /// Not even the title.
    Other,
}

impl Likeness {
    /// From what is shown of `title` and of the text; a post without a title is told by its text alone.
    pub(super) fn of(title: &str, has_title: impl FnOnce(&str) -> bool, has_text: impl FnOnce() -> bool) -> Self {
        let is_titled = !title.trim().is_empty();
        if is_titled && !has_title(title) {
            return Self::Other;
        }
        match has_text() {
            true => Self::Same,
            false if is_titled => Self::OnlyTitle,
            false => Self::Other,
        }
    }
}

/// What a post in `html` can be searched by: the address of its first link up to what may be written otherwise, else
/// its longest run of plain text, else nothing. It stands in `html` byte for byte.
pub(super) fn marker(html: &str) -> &str {
    let address = html.split_once("href=").map(|(_, rest)| rest.trim_start_matches(['"', '\'']));
    let address = address
        .map(|rest| &rest[..rest.find(|c: char| "\"'&<>".contains(c) || c.is_whitespace()).unwrap_or(rest.len())]);
    let address = address.filter(|address| address.starts_with("http") && address.contains("://"));
    address.unwrap_or_else(|| runs(html).first().copied().unwrap_or_default())
}

/// The runs of text in `html` that sites keep as they are: letters, digits, blanks and commas outside of tags. The
/// longest come first; at most [`RUNS_MAX`], each cut at [`RUN_MAX_CHARS`].
pub(super) fn runs(html: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = html;
    while !rest.is_empty() {
        let run_end = rest.find(|c| !is_kept(c)).unwrap_or(rest.len());
        let run = cut(rest[..run_end].trim());
        if run.chars().count() >= RUN_MIN_CHARS {
            found.push(run);
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
    found.sort_by_key(|run| std::cmp::Reverse(run.len()));
    found.truncate(RUNS_MAX);
    found
}

/// Marks that combine with the letter before them break a run: sites normalise them.
fn is_kept(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || c == ','
}

fn cut(run: &str) -> &str {
    match run.char_indices().nth(RUN_MAX_CHARS) {
        Some((end, _)) => run[..end].trim_end(),
        None => run,
    }
}

/// Shorter runs say too little.
const RUN_MIN_CHARS: usize = 8;
/// Enough to tell texts apart.
const RUN_MAX_CHARS: usize = 60;
/// Enough to tell texts apart, and few enough for a page of any size.
const RUNS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Likeness, marker, runs};

    #[test]
    fn runs_are_the_plain_texts_outside_of_tags_longest_first() {
        let long = "từ ".repeat(40);
        let rows: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("<p>short</p>", &[]),
            ("<p>Nội dung, có dấu</p>", &["Nội dung, có dấu"]),
            ("<p>one two three</p><p>four five six seven</p>", &["four five six seven", "one two three"]),
            (r#"<a title="a very long title that is no text" href="x">anchor text</a>"#, &["anchor text"]),
            ("Tom &amp; Ann went to the market", &["Ann went to the market"]),
            ("AT&T is a company", &["is a company"]),
            ("eight chars\u{301} and more after it", &["and more after it", "eight chars"]),
            ("<p never closed with a long attribute", &[]),
            (&long, &[&long[..long.char_indices().nth(59).map_or(0, |(at, _)| at)]]),
        ];
        for (html, expected) in rows {
            assert_eq!(runs(html), expected, "{html:?}");
            assert!(runs(html).iter().all(|run| html.contains(run)));
        }
        assert_eq!(runs(&"<p>a paragraph</p>".repeat(40)).len(), 16);
    }

    #[test]
    fn the_marker_is_the_first_links_address_or_the_longest_run() {
        for (html, expected) in [
            ("<p>Read <a href=\"https://c.test/?a=1&amp;b=2\">more</a></p>", "https://c.test/?a=1"),
            ("<a rel=x href='http://c.test/x y'>", "http://c.test/x"),
            ("<a href=https://c.test/z>", "https://c.test/z"),
            ("<a href=\"/inside\">a longer text</a>", "a longer text"),
            ("<a href=\"mailto:x@c.test\">x</a>", ""),
            ("plain text only", "plain text only"),
            ("", ""),
        ] {
            assert_eq!(marker(html), expected, "{html:?}");
            assert!(html.contains(marker(html)));
        }
    }

    #[test]
    fn a_title_alone_leaves_open_whether_it_is_the_post() {
        for (title, has_title, has_text, expected) in [
            ("Tea", true, true, Likeness::Same),
            ("Tea", true, false, Likeness::OnlyTitle),
            ("Tea", false, true, Likeness::Other),
            (" ", true, true, Likeness::Same),
            (" ", true, false, Likeness::Other),
        ] {
            assert_eq!(Likeness::of(title, |_| has_title, || has_text), expected, "{title:?} {has_title} {has_text}");
        }
    }
}
