//! What the fuzz targets need of the worker's private parsers: thin wrappers, in builds with the feature `fuzzing` only.
//!
//! No part of the API, and nothing in the workspace turns the feature on. Knows nothing of its own.

use latchkey_vault::{Item, ItemChange};

use crate::{attempt::Held, report::Report};

/// Reads an attempt out of an item and writes what was read; `None` where the item is refused.
#[must_use]
pub fn rewrite_attempt(item: &Item) -> Option<ItemChange> {
    Some(Held::read(item)?.change())
}

/// Reads a report and writes what was read; `None` where the bytes are refused.
#[must_use]
pub fn rewrite_report(body: &[u8]) -> Option<Vec<u8>> {
    Some(Report::read(body)?.owed().body.to_vec())
}
