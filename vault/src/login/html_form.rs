//! Filling in an HTML form as a browser would: hidden fields and tokens stay, named fields are set, the rest defaults.
//!
//! Source: HTML Living Standard, 4.10.21.4 "Constructing the entry list". Scripts do not run. Knows no site and no
//! marks; where a form may be sent is checked by the client that sends it.

use std::{collections::BTreeSet, fmt};

use scraper::{ElementRef, Html, Selector, node::Element};
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    html,
    limits::FORM_FIELDS_MAX,
    site_http::{FilePart, Page, SiteError, SiteRequest},
    sites::CssSelector,
};

/// A form of a page, filled in.
pub struct HtmlForm {
    action: Url,
    is_post: bool,
    is_multipart: bool,
    fields: Vec<(String, Zeroizing<String>)>,
    /// Every field that the form declares, also those that send nothing as they stand.
    names: BTreeSet<String>,
}

/// Why a form cannot be sent; nothing was sent. Names of fields and selectors are the operator's, from the sites file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormError {
    /// The page has no such form.
    #[error("no form `{selector}` on the page (status {status})")]
    NotFound {
        /// The selector.
        selector: String,
        /// The page's status.
        status: u16,
    },
    /// The page is deeper or larger than pages are; it was not read.
    #[error("the page nests too deeply or has too many elements to be read")]
    Unreadable,
    /// The form has no such field.
    #[error("the form has no field `{name}`")]
    NoField {
        /// The field's name.
        name: String,
    },
    /// The form's `action` is no URL.
    #[error("the form's action is no URL")]
    BadAction,
    /// The form is sent by GET: its fields would stand in a URL.
    #[error("the form is not sent by POST")]
    NotPost,
    /// The form has more fields than any real one.
    #[error("the form has more than {limit} fields")]
    TooManyFields {
        /// Fields allowed.
        limit: usize,
    },
    /// The request cannot be formed.
    #[error(transparent)]
    Request(#[from] SiteError),
}

impl HtmlForm {
    /// The first form that `selector` finds on `page`, with the values that the page gives its fields.
    ///
    /// # Errors
    /// [`FormError::Unreadable`], [`FormError::NotFound`], [`FormError::BadAction`] or [`FormError::TooManyFields`].
    pub fn find(page: &Page, selector: &CssSelector) -> Result<Self, FormError> {
        let html = html::parse(&page.body).ok_or(FormError::Unreadable)?;
        let form = html.select(selector.compiled()).find(|element| element.value().name() == "form");
        let form =
            form.ok_or_else(|| FormError::NotFound { selector: selector.as_str().to_owned(), status: page.status })?;
        let base = selector_of("base[href]").and_then(|base| html.select(&base).next()?.attr("href"));
        let base = base.and_then(|href| page.url.join(href).ok()).unwrap_or_else(|| page.url.clone());
        let action = match form.attr("action").map(str::trim).filter(|action| !action.is_empty()) {
            Some(action) => base.join(action).map_err(|_| FormError::BadAction)?,
            None => page.url.clone(),
        };
        let says =
            |name: &str, value: &str| form.attr(name).is_some_and(|text| text.trim().eq_ignore_ascii_case(value));

        let mut filled = Self {
            action,
            is_post: says("method", "post"),
            is_multipart: says("enctype", "multipart/form-data"),
            fields: Vec::new(),
            names: BTreeSet::new(),
        };
        filled.read_controls(&html, form)?;
        Ok(filled)
    }

    /// Gives a field that the form has this value.
    ///
    /// # Errors
    /// [`FormError::NoField`] when it has none of that name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), FormError> {
        if !self.names.contains(name) {
            return Err(FormError::NoField { name: name.to_owned() });
        }
        self.set_or_add(name, value);
        Ok(())
    }

    /// Gives a field this value, whether or not the form has it.
    pub fn set_or_add(&mut self, name: &str, value: &str) {
        self.fields.retain(|(existing, _)| existing != name);
        self.fields.push((name.to_owned(), Zeroizing::new(value.to_owned())));
    }

    /// Where the form is sent to.
    #[must_use]
    pub const fn action(&self) -> &Url {
        &self.action
    }

    /// The request that sends the form with `files`; a form without files keeps the encoding that the page asks for.
    ///
    /// # Errors
    /// [`FormError::NotPost`], [`FormError::NoField`] for a file of a field that the form has not, or
    /// [`FormError::Request`].
    pub async fn into_request<'a>(self, files: &[FilePart]) -> Result<SiteRequest<'a>, FormError> {
        if !self.is_post {
            return Err(FormError::NotPost);
        }
        if let Some(file) = files.iter().find(|file| !self.names.contains(&file.field)) {
            return Err(FormError::NoField { name: file.field.clone() });
        }
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if self.is_multipart || !files.is_empty() {
            Ok(SiteRequest::post_multipart(self.action.clone(), fields, files).await?)
        } else {
            Ok(SiteRequest::post_form(self.action.clone(), fields))
        }
    }

    fn read_controls(&mut self, html: &Html, form: ElementRef<'_>) -> Result<(), FormError> {
        let Some(controls) = selector_of("input, select, textarea, button") else {
            return Ok(());
        };
        let mut has_button = false;
        for control in html.select(&controls).filter(|control| belongs_to(*control, form)) {
            let Some(name) = control.attr("name").filter(|name| !name.is_empty()) else {
                continue;
            };
            if is_disabled(control) {
                continue;
            }
            self.names.insert(name.to_owned());
            if is_submit(control.value()) {
                // Only the button that is pressed is sent; the form's first is the one that Enter presses.
                if std::mem::replace(&mut has_button, true) {
                    continue;
                }
            }
            self.fields.extend(values(control).into_iter().map(|value| (name.to_owned(), Zeroizing::new(value))));
            if self.fields.len() > FORM_FIELDS_MAX {
                return Err(FormError::TooManyFields { limit: FORM_FIELDS_MAX });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for HtmlForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HtmlForm").field("fields", &self.names.len()).finish_non_exhaustive()
    }
}

/// A control is a form's by the `form` attribute, or else by standing in it.
fn belongs_to(control: ElementRef<'_>, form: ElementRef<'_>) -> bool {
    match control.attr("form") {
        Some(id) => form.attr("id") == Some(id),
        None => control.ancestors().any(|ancestor| ancestor.id() == form.id()),
    }
}

fn is_disabled(control: ElementRef<'_>) -> bool {
    let in_disabled_fieldset = control
        .ancestors()
        .filter_map(ElementRef::wrap)
        .any(|ancestor| ancestor.value().name() == "fieldset" && ancestor.attr("disabled").is_some());
    control.attr("disabled").is_some() || in_disabled_fieldset
}

fn is_submit(control: &Element) -> bool {
    let kind = control.attr("type").unwrap_or_default().to_ascii_lowercase();
    match control.name() {
        "button" => !matches!(kind.as_str(), "button" | "reset"),
        _ => kind == "submit",
    }
}

/// What a control sends as it stands: none, one, or (a list) several values.
fn values(control: ElementRef<'_>) -> Vec<String> {
    match control.value().name() {
        "textarea" => {
            let text: String = control.text().collect();
            vec![text]
        }
        "select" => selected(control),
        "button" if !is_submit(control.value()) => Vec::new(),
        "button" => vec![control.attr("value").unwrap_or_default().to_owned()],
        _ => {
            let kind = control.attr("type").unwrap_or_default().to_ascii_lowercase();
            let value = control.attr("value");
            match kind.as_str() {
                "checkbox" | "radio" if control.attr("checked").is_none() => Vec::new(),
                "checkbox" | "radio" => vec![value.unwrap_or("on").to_owned()],
                // An image button sends the point that was clicked; a file field comes with its files.
                "image" | "button" | "reset" | "file" => Vec::new(),
                _ => vec![value.unwrap_or_default().to_owned()],
            }
        }
    }
}

fn selected(select: ElementRef<'_>) -> Vec<String> {
    let Some(option) = selector_of("option") else {
        return Vec::new();
    };
    let options = || select.select(&option).filter(|option| option.attr("disabled").is_none());
    let value = |option: ElementRef<'_>| match option.attr("value") {
        Some(value) => value.to_owned(),
        None => option.text().collect::<String>().trim().to_owned(),
    };
    let chosen: Vec<String> = options().filter(|option| option.attr("selected").is_some()).map(value).collect();
    if select.attr("multiple").is_some() {
        return chosen;
    }
    // A list of one choice sends the last that is marked, or its first.
    chosen.into_iter().next_back().or_else(|| options().next().map(value)).into_iter().collect()
}

/// Our own selectors are all well-formed; a `None` would read as "no such element".
fn selector_of(text: &str) -> Option<Selector> {
    Selector::parse(text).ok()
}

#[cfg(test)]
mod tests;
