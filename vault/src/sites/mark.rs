//! Marks: what a page has to show to count as evidence. Knows no pages; comparing is the business of the login.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        Error, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use super::text::{CssSelector, LocationPattern};
use crate::limits::{SITE_LIST_MAX, SITE_TEXT_MAX_BYTES};

/// Conditions on the answer to one request; all that are given must hold, and at least one is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "MarkTable")]
#[non_exhaustive]
pub struct Mark {
    /// An element that the page must hold.
    pub selector: Option<CssSelector>,
    /// What that element's text must hold; without a selector, what the body must hold, markup included.
    pub text: Option<String>,
    /// The status of the final answer.
    pub status: Option<u16>,
    /// Where a redirect on the way must have led.
    pub location: Option<LocationPattern>,
}

/// One to [`SITE_LIST_MAX`] marks, of which one must hold; none where the key is left out.
#[derive(Clone, Debug, Default)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// The marks in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.0.iter()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkTable {
    selector: Option<CssSelector>,
    text: Option<String>,
    status: Option<u16>,
    location: Option<LocationPattern>,
}

impl TryFrom<MarkTable> for Mark {
    type Error = &'static str;

    fn try_from(table: MarkTable) -> Result<Self, Self::Error> {
        let MarkTable { selector, text, status, location } = table;
        if selector.is_none() && text.is_none() && status.is_none() && location.is_none() {
            return Err("a mark needs a condition: `selector`, `text`, `status` or `location`");
        }
        if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > SITE_TEXT_MAX_BYTES) {
            return Err("the text of a mark has 1 to 1024 bytes");
        }
        if status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err("the status of a mark lies between 200 and 599");
        }
        Ok(Self { selector, text, status, location })
    }
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Marks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mark like { selector = \"#name\" }, or a list of marks")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Marks, A::Error> {
        Mark::deserialize(MapAccessDeserializer::new(map)).map(|mark| Marks(vec![mark]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Marks, A::Error> {
        let marks = Vec::<Mark>::deserialize(SeqAccessDeserializer::new(seq))?;
        if marks.is_empty() || marks.len() > SITE_LIST_MAX {
            return Err(A::Error::custom("a list of marks holds 1 to 16 marks"));
        }
        Ok(Marks(marks))
    }
}
