//! Reading a site's HTML within bounds. Knows no form, no mark and no site.
//!
//! The parser looks through its open elements at nearly every tag, so that a page of nested ones costs the square of its
//! length: 100 KiB of `<div>` took it 7 s (measured 2026-11), and the largest page that is read would take hours. So the
//! page is handed over piece by piece, and given up once it is deeper or larger than pages are.

use html5ever::{
    driver::{ParseOpts, parse_document},
    tendril::{StrTendril, TendrilSink},
};
use scraper::{Html, HtmlTreeSink};

/// The document that `text` is; `None` where it nests deeper than [`HTML_DEPTH_MAX`] or has more nodes than
/// [`HTML_NODES_MAX`].
///
/// A page that is given up is not read in part: what it hides may be what contradicts the rest.
#[must_use]
pub fn parse(text: &str) -> Option<Html> {
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), ParseOpts::default());
    let (mut rest, mut seen) = (text, 0);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES.min(rest.len())));
        parser.process(StrTendril::from_slice(piece));
        rest = after;

        let html = parser.tokenizer.sink.sink.0.borrow();
        let mut new = html.tree.nodes().skip(seen);
        if new.any(|node| node.ancestors().nth(HTML_DEPTH_MAX).is_some()) {
            return None;
        }
        seen = html.tree.values().len();
        if seen > HTML_NODES_MAX {
            return None;
        }
    }
    Some(parser.finish())
}

/// Deepest nesting of a page that is read: what Chromium's parser keeps; pages of real sites stay below 100.
pub const HTML_DEPTH_MAX: usize = 512;
/// Most nodes of a page that is read: ten times those of a large page; each may cost a look through all that it is in.
pub const HTML_NODES_MAX: usize = 200_000;
/// What is read between two looks, in bytes: few enough that what they can open beyond the bounds costs little.
const PIECE_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use proptest::{collection, prelude::*, sample::select};
    use scraper::Html;

    use super::{HTML_DEPTH_MAX, HTML_NODES_MAX, parse};

    /// `html` and `body` stand above what a page nests, the document above them, and text below.
    const OWN_DEPTH: usize = 4;

    #[test]
    fn a_page_is_read_up_to_its_bounds_and_given_up_beyond_them() {
        for tag in ["<div>", "<span>", "<b id=x>", "<table><tr><td>", "<form><fieldset>"] {
            let opened = tag.matches('<').count() + usize::from(tag.starts_with("<table"));
            let fits = (HTML_DEPTH_MAX - OWN_DEPTH) / opened;
            assert!(parse(&format!("{}text", tag.repeat(fits))).is_some(), "{tag}");
            assert!(parse(&format!("{}text", tag.repeat(HTML_DEPTH_MAX + 1))).is_none(), "{tag}");
        }
        assert!(parse(&"<br>".repeat(HTML_NODES_MAX - 10)).is_some());
        assert!(parse(&"<br>".repeat(HTML_NODES_MAX + 1)).is_none());
    }

    #[test]
    fn the_longest_pages_of_nested_elements_are_given_up_at_once() {
        for tag in ["<div>", "<p><i>", "<a><table>", "<ul><li>", "<button></body><!---->", "<svg><g>"] {
            assert!(parse(&tag.repeat(crate::limits::SITE_BODY_MAX_BYTES / tag.len())).is_none(), "{tag}");
        }
    }

    #[test]
    fn formatting_that_is_opened_again_and_again_does_not_multiply_without_end() {
        let page: String = (0..400).map(|id| format!("<b id={id}>")).chain((0..9_000).map(|_| "<p>x".into())).collect();
        assert!(parse(&page).is_none());
    }

    proptest! {
        #[test]
        fn a_page_in_pieces_is_the_page_in_one(
            body in "\\PC{0,40}",
            parts in collection::vec(select(PARTS), 0..200),
        ) {
            let page = format!("{}{body}{}", parts.concat(), parts.concat());
            prop_assert!(parse(&page).is_none_or(|html| html == Html::parse_document(&page)));
        }
    }

    const PARTS: &[&str] = &[
        "<!doctype html>",
        "<p>é&amp",
        ";",
        "<a href='x",
        "'>",
        "<table><b>",
        "</b>",
        "<script>if (a<b)",
        "</script>",
        "<!--",
        "-->",
        "\r\n",
        "<textarea>\n",
        "</textarea>",
        "&notin",
    ];
}
