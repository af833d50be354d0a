//! Reading a site's HTML within bounds. Knows no form, no mark and no site.
//!
//! The parser looks through its open elements at nearly every tag, so that a page of nested ones costs the square of its
//! length: 100 KiB of `<div>` took it 7 s (measured 2026-11), and the largest page that is read would take hours. The same
//! holds for the attributes of one tag, each of which it compares with all before. So the page is handed over piece by
//! piece, and given up once it is deeper, larger or longer without an end than pages are.

use html5ever::{
    driver::{ParseOpts, parse_document},
    tendril::{StrTendril, TendrilSink},
};
use scraper::{Html, HtmlTreeSink, Node};

/// The document that `text` is; `None` where it nests deeper than [`HTML_DEPTH_MAX`] or has more nodes than
/// [`HTML_NODES_MAX`].
///
/// A page that is given up is not read in part: what it hides may be what contradicts the rest.
#[must_use]
pub fn parse(text: &str) -> Option<Html> {
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), ParseOpts::default());
    let (mut rest, mut seen, mut token) = (text, 0, Token::default());
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
        if seen > HTML_NODES_MAX || token.outgrows(piece, &html) {
            return None;
        }
    }
    Some(parser.finish())
}

/// What is known of a token that is still open: a tag with its attributes, or a comment.
#[derive(Default)]
struct Token {
    /// How far the tree had come: its nodes, and the length of the last one's text.
    tree: (usize, usize),
    /// What may part attributes, counted since the tree last grew.
    parts: usize,
    /// Comparisons of attributes that may have been made.
    work: usize,
}

impl Token {
    /// Counts `piece`, after which the tree is `html`; whether attributes may have cost more than [`HTML_WORK_MAX`].
    fn outgrows(&mut self, piece: &str, html: &Html) -> bool {
        let last = html.tree.values().next_back().and_then(Node::as_text).map_or(0, |text| text.len());
        let tree = (html.tree.values().len(), last);
        let is_open = std::mem::replace(&mut self.tree, tree) == tree;
        let parts =
            piece.bytes().filter(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'"' | b'\'')).count();
        self.parts = if is_open { self.parts + parts } else { parts };
        self.work += if is_open { self.parts * parts } else { 0 };
        self.work > HTML_WORK_MAX
    }
}

/// Deepest nesting of a page that is read: what Chromium's parser keeps; pages of real sites stay below 100.
pub const HTML_DEPTH_MAX: usize = 512;
/// Most nodes of a page that is read: ten times those of a large page; each may cost a look through all that it is in.
pub const HTML_NODES_MAX: usize = 200_000;
/// Most comparisons of attributes that a page may cost, each a few nanoseconds; a tag of 40,000 attributes reaches it.
const HTML_WORK_MAX: usize = 1 << 31;
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
    fn a_tag_of_very_many_attributes_is_given_up_and_a_long_value_or_text_is_none() {
        let attributes = |count: usize| (0..count).map(|n| format!("a{n}=1 ")).collect::<String>();
        assert!(parse(&format!("<p {}>", attributes(20_000))).is_some());
        assert!(parse(&format!("<p {}>", attributes(200_000))).is_none());
        let long = "x".repeat(4 << 20);
        for page in [
            format!("<img src='{long}'>"),
            format!("<script>{}</script>", "a = \"b\";\n".repeat(400_000)),
            format!("<!-- {long}-->"),
        ] {
            assert!(parse(&page).is_some());
        }
    }

    #[test]
    fn formatting_that_is_opened_again_and_again_does_not_multiply_without_end() {
        let opened: String = (0..400).map(|id| format!("<b id={id}>")).collect();
        assert!(parse(&format!("<p>{opened}{}", "</p><p>x".repeat(100))).is_some());
        let page = format!("<p>{opened}{}", "</p><p>x".repeat(9_000));
        assert!(parse(&page).is_none());
    }

    proptest! {
        #[test]
        fn a_page_in_pieces_is_the_page_in_one(
            body in "\\PC{0,40}",
            parts in collection::vec(select(PARTS), 0..200),
        ) {
            let page = format!("{}{body}{}", parts.concat(), parts.concat());
            prop_assert!(parse(&page).is_none_or(|html| html.html() == Html::parse_document(&page).html()));
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
