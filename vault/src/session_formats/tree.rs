//! JSON as a tree that is wiped when it is dropped. The decoder's own scratch space is not.

use std::io;

use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::SessionFormatError;
use crate::Secret;

/// A JSON object whose texts are wiped on drop.
pub(super) struct Tree(pub(super) Map<String, Value>);

impl Tree {
    /// Reads one object; nesting is bounded by serde_json (127 levels), the rest by the length of the text.
    pub(super) fn parse(text: &str) -> Result<Self, SessionFormatError> {
        match serde_json::from_str(text).map_err(|_| SessionFormatError::NotJson)? {
            Value::Object(members) => Ok(Self(members)),
            mut other => {
                wipe(&mut other);
                Err(SessionFormatError::Shape { what: "whole" })
            }
        }
    }

    /// The text, in a buffer of exactly its size, so that growing leaves no copy behind.
    pub(super) fn to_secret(&self) -> Secret {
        let mut length = Length(0);
        // Writing to either cannot fail, and a tree that was read or made here is JSON.
        let _ = serde_json::to_writer(&mut length, &self.0);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
        let _ = serde_json::to_writer(&mut *bytes, &self.0);
        Secret::copy_of(str::from_utf8(&bytes).unwrap_or_default())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
