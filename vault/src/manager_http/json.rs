//! JSON of the manager as a tree whose every text is a [`Secret`], read leniently later and wiped on drop.
//!
//! It knows no field. One element of a wrong shape costs nothing but that element, since the whole text becomes a tree
//! before anybody asks for a shape. The decoder's own scratch space, through which texts with escapes pass, is not wiped.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Unusable;
use crate::{limits::MANAGER_JSON_VALUES_MAX, model::Secret};

/// A JSON value. Numbers carry nothing that the contract asks for, so only their presence is kept.
#[derive(Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number,
    /// A text.
    Text(Secret),
    /// An array.
    List(Vec<Json>),
    /// An object, in the order of its text; a name may stand in it twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one JSON text in UTF-8.
    ///
    /// Nesting is bounded by serde_json (127 levels), the count of values by [`MANAGER_JSON_VALUES_MAX`].
    ///
    /// # Errors
    /// [`Unusable::NotJson`], or [`Unusable::TooLarge`] above the count.
    pub fn parse(text: &[u8]) -> Result<Self, Unusable> {
        let room = Cell::new(MANAGER_JSON_VALUES_MAX);
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let parsed = Value { room: &room }.deserialize(&mut deserializer);
        match parsed.and_then(|json| deserializer.end().map(|()| json)) {
            Ok(json) => Ok(json),
            Err(_) if room.get() == 0 => Err(Unusable::TooLarge),
            Err(_) => Err(Unusable::NotJson),
        }
    }

    /// The member `name`, the last one where it stands twice; `None` where there is none, or no object.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().rfind(|(own, _)| own == name).map(|(_, json)| json),
            _ => None,
        }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&Secret> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Builds a [`Json`] while `room` lasts.
#[derive(Clone, Copy)]
struct Value<'a> {
    room: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        match self.room.get() {
            0 => Err(D::Error::custom("too many values")),
            room => {
                self.room.set(room - 1);
                deserializer.deserialize_any(self)
            }
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(Secret::copy_of(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = access.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            members.push((name, access.next_value_seed(self)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use proptest::{collection, prelude::*};

    use super::{Json, Unusable};
    use crate::{limits::MANAGER_JSON_VALUES_MAX, model::Secret};

    #[track_caller]
    fn check_text(json: Option<&Json>, expected: Option<&str>) {
        // EXPOSE: the test compares.
        assert_eq!(json.and_then(Json::text).map(Secret::expose), expected);
    }

    #[test]
    fn every_kind_of_value_becomes_a_tree() {
        let json = Json::parse(r#" {"a":"đ\n","b":[null,true,1,-1,1.5,{}],"c":{"d":"e"}} "#.as_bytes()).unwrap();
        check_text(json.member("a"), Some("đ\n"));
        check_text(json.member("c").unwrap().member("d"), Some("e"));
        let Some(Json::List(list)) = json.member("b") else { panic!("no list") };
        assert!(matches!(
            list[..],
            [Json::Null, Json::Bool(true), Json::Number, Json::Number, Json::Number, Json::Object(_)]
        ));
    }

    #[test]
    fn what_is_not_there_is_none_and_null_is_there() {
        let json = Json::parse(br#"{"a":[],"b":"text","n":null}"#).unwrap();
        assert!(json.member("z").is_none());
        assert!(json.member("a").unwrap().member("a").is_none());
        assert!(matches!(json.member("n"), Some(Json::Null)));
        check_text(json.member("a"), None);
        check_text(json.member("b"), Some("text"));
    }

    #[test]
    fn the_last_of_two_equal_names_counts() {
        check_text(Json::parse(br#"{"a":"first","a":"last"}"#).unwrap().member("a"), Some("last"));
    }

    #[test]
    fn texts_that_are_not_json_are_refused() {
        let deep = "[".repeat(1000);
        for text in ["", "{", "<html>", "{} {}", "{\"a\":1,}", "\u{feff}{}", "nul", "\"\x01\"", deep.as_str()] {
            assert_eq!(Json::parse(text.as_bytes()).err(), Some(Unusable::NotJson), "{text}");
        }
        assert_eq!(Json::parse(b"\"\xff\"").err(), Some(Unusable::NotJson));
    }

    #[test]
    fn attack_39_the_count_of_values_is_bounded() {
        let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert!(Json::parse(list(MANAGER_JSON_VALUES_MAX - 1).as_bytes()).is_ok());
        assert_eq!(Json::parse(list(MANAGER_JSON_VALUES_MAX).as_bytes()).err(), Some(Unusable::TooLarge));
    }

    #[test]
    fn debug_shows_no_text() {
        let shown = format!("{:?}", Json::parse(br#"{"password":"hunter2"}"#).unwrap());
        assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_json_to_us_where_they_are_to_serde(
            bytes in collection::vec(any::<u8>(), 0..60),
            text in r#"([\[\]{}:,"]|"a"|\\u[0-9a-f]{4}|null|true|-?[0-9]{1,4}(\.[0-9])?(e[0-9]{1,3})?| ){0,20}"#,
        ) {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let ours = Json::parse(bytes).map(|_| ()).map_err(|_| ());
                let theirs = serde_json::from_slice::<serde_json::Value>(bytes).map(|_| ()).map_err(|_| ());
                prop_assert_eq!(ours, theirs);
            }
        }

        #[test]
        fn any_text_comes_out_of_its_json(text in ".{0,40}") {
            let json = serde_json::to_vec(&serde_json::json!({ "a": [], "b": text })).unwrap();
            let read = Json::parse(&json).unwrap();
            check_text(read.member("b"), Some(&text));
        }
    }
}
