//! The sites file: which sites the operator has authorised, where they live, how one logs in and posts there.
//!
//! Text goes in, checked types come out: a [`Site`] cannot hold an unusable origin, selector, path or bound. The way is
//! `toml`'s tree with its positions, then one serde pass a table, so that each error names line and key.
//! It knows no HTTP, no cookies and no accounts; what a mark is compared with is [`crate::login`]'s.

mod form;
mod mark;
mod origin;
mod read;
mod site;
mod text;

use std::{collections::BTreeMap, sync::Arc};

use thiserror::Error;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub use form::{FindPosts, FormLogin, FormPost, FormTotp, LoginName};
pub use mark::{Mark, Marks};
pub use origin::Origin;
pub use site::{Login, Media, Post, Site, SiteLimits};
pub use text::{CssSelector, FieldName, LocationPattern, PathTemplate, SiteName, SitePath};

use crate::limits::SITES_FILE_MAX_BYTES;

/// All authorised sites, found by the names that tasks use for them.
#[derive(Debug, Default)]
pub struct Sites {
    in_order: Vec<Arc<Site>>,
    by_name: BTreeMap<SiteName, Arc<Site>>,
}

/// Why a text is no sites file.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SitesError {
    /// The file is longer than anybody writes.
    #[error("the sites file has {bytes} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A line has to be changed.
    #[error("sites file, line {line}{}{key}: {problem}", if .key.is_empty() { "" } else { ", " })]
    Invalid {
        /// Line, from 1.
        line: usize,
        /// Path of the key, as `site[0].login.page`; empty where the text is no TOML.
        key: String,
        /// What is wrong and what is expected.
        problem: String,
    },
}

impl Sites {
    /// Reads a sites file: TOML with one `[[site]]` table a site; see [`Site`] for its keys.
    ///
    /// ```
    /// # use latchkey_vault::sites::{Sites, SitesError};
    /// let sites = Sites::parse(
    ///     r#"
    ///     [[site]]
    ///     domain = "blog.example"
    ///     origins = ["https://blog.example"]
    ///     login = { driver = "wordpress" }
    ///     post = { driver = "wordpress" }
    ///     "#,
    /// )?;
    /// assert!(sites.find("Blog.Example").is_some());
    /// # Ok::<(), SitesError>(())
    /// ```
    ///
    /// # Errors
    /// [`SitesError`] names the first line that has to be changed. No part of a file with an error is used.
    pub fn parse(text: &str) -> Result<Self, SitesError> {
        if text.len() > SITES_FILE_MAX_BYTES {
            return Err(SitesError::TooLarge { bytes: text.len(), limit: SITES_FILE_MAX_BYTES });
        }
        let root = DeTable::parse(text).map_err(|error| read::located(text, String::new(), &error, 0..0))?;
        let mut sites = Self::default();
        for (key, value) in root.into_inner() {
            if key.get_ref() != "site" {
                return Err(read::invalid(text, key.span(), key.get_ref(), "unknown key, `[[site]]` is expected"));
            }
            let span = value.span();
            let DeValue::Array(tables) = value.into_inner() else {
                return Err(read::invalid(text, span, "site", "write `[[site]]`, with two brackets: it is a list"));
            };
            for (index, table) in tables.into_iter().enumerate() {
                sites.add(text, table, &format!("site[{index}]"))?;
            }
        }
        Ok(sites)
    }

    /// The site of this name or alias, in any case and with or without the root dot; `None` means not authorised.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Site>> {
        self.by_name.get(&SiteName::try_from(name.to_owned()).ok()?)
    }

    /// The sites in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.in_order.iter()
    }

    /// How many sites there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Whether the file authorises nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }

    fn add(&mut self, text: &str, table: Spanned<DeValue<'_>>, key: &str) -> Result<(), SitesError> {
        let named = site::parse(text, table, key)?;
        let site = Arc::new(named.site);
        for (name, span) in named.names {
            if self.by_name.insert(name, Arc::clone(&site)).is_some() {
                return Err(read::invalid(text, span, key, "this name is already another site's `domain` or alias"));
            }
        }
        self.in_order.push(site);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
