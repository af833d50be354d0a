//! One post task, read from the manager's JSON. Knows no call.
//!
//! What decides what is posted, where and for whom has to be right, or the task is malformed; a credential that is
//! unusable only has no value, since the vault may know it.

use std::fmt;

use latchkey_vault::{
    account_api::{FieldsRead, is_placeholder, read_fields},
    limits::{NAME_MAX_BYTES, URL_MAX_BYTES},
    manager_http::{Json, is_id},
    model::Fields,
};
use thiserror::Error;

/// A post to be made with an account that exists.
pub struct PostTask {
    /// Its id: 1 to 200 bytes, no control characters.
    pub id: String,
    /// The request it belongs to.
    pub request_id: Option<String>,
    /// The manager's id of the account to post with.
    pub account_id: Option<String>,
    /// The site to post at, as the manager names it; never empty.
    pub domain: String,
    /// The customer's website. Never contacted.
    pub website: Option<String>,
    /// The account's credentials as the manager knows them.
    pub fields: Fields,
    /// The manager's names of credentials that were there but cannot be used.
    pub unusable: Vec<&'static str>,
    /// The post's title; empty where there is none, as some sites have no titles.
    pub title: String,
    /// The post's HTML; never empty.
    pub about: String,
    /// The images to insert, at most [`IMAGES_MAX`].
    pub images: Vec<TaskImage>,
}

/// An image of a post.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskImage {
    /// Its id at the manager.
    pub id: Option<String>,
    /// Where it can be fetched; not yet checked against anything.
    pub url: String,
}

/// An element of a pull that is no task that can be worked on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("malformed task: {oddity}")]
pub struct Malformed {
    /// Its id, where at least that is usable.
    pub id: Option<String>,
    /// What is wrong with it.
    pub oddity: Oddity,
}

/// What makes a task malformed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oddity {
    /// It is no JSON object.
    #[error("it is no object")]
    NotAnObject,
    /// It has no id, or none of 1 to 200 bytes without control characters.
    #[error("it has no usable id")]
    Id,
    /// A field that has to be there has no value.
    #[error("{field} has no value")]
    Absent {
        /// The field.
        field: &'static str,
    },
    /// A field is of a wrong type, has control characters or is too long.
    #[error("{field} is of a wrong type or shape")]
    Wrong {
        /// The field.
        field: &'static str,
    },
    /// It has more than [`IMAGES_MAX`] images.
    #[error("it has more than {IMAGES_MAX} images")]
    TooManyImages,
}

impl PostTask {
    /// Reads one task. Fields that are not in the contract are left out of account.
    ///
    /// # Errors
    /// [`Malformed`], with the task's id where that is usable.
    pub fn read(json: &Json) -> Result<Self, Malformed> {
        let Json::Object(_) = json else { return Err(Malformed { id: None, oddity: Oddity::NotAnObject }) };
        let id = identifier(json, "id").ok().flatten().ok_or(Malformed { id: None, oddity: Oddity::Id })?;
        Self::read_content(json, &id).map_err(|oddity| Malformed { id: Some(id), oddity })
    }

    fn read_content(json: &Json, id: &str) -> Result<Self, Oddity> {
        let FieldsRead { fields, unusable } = read_fields(json);
        Ok(Self {
            id: id.to_owned(),
            request_id: name(json, "request_id")?,
            account_id: identifier(json, "account_id")?,
            domain: name(json, "domain")?.ok_or(Oddity::Absent { field: "domain" })?,
            // It is the customer's and goes nowhere: no shape of it makes a task malformed.
            website: name(json, "website").ok().flatten(),
            fields,
            unusable,
            title: text(json, "title", TITLE_MAX_BYTES)?.unwrap_or_default(),
            about: text(json, "about", ABOUT_MAX_BYTES)?.ok_or(Oddity::Absent { field: "about" })?,
            images: json.member("images").map_or(Ok(Vec::new()), images)?,
        })
    }

    /// Whether its title or its text holds spin syntax that nobody resolved: such a task is failed, never guessed at.
    #[must_use]
    pub fn has_unresolved_spin(&self) -> bool {
        unresolved_spin(&self.title) || unresolved_spin(&self.about)
    }
}

impl fmt::Debug for PostTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostTask")
            .field("id", &self.id)
            .field("account_id", &self.account_id)
            .field("unusable", &self.unusable)
            .field("images", &self.images.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskImage").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether `text` holds spin syntax, `{one|another}`: a pair of braces with a bar directly between them.
///
/// Braces without a bar (CSS, JSON, templates) are none, and neither is a bar outside of braces or in braces that are
/// never closed.
#[must_use]
pub fn unresolved_spin(text: &str) -> bool {
    // For each open brace, whether a bar has been seen directly inside it.
    let mut open = Vec::new();
    for byte in text.bytes() {
        match byte {
            b'{' => open.push(false),
            b'|' => {
                if let Some(has_bar) = open.last_mut() {
                    *has_bar = true;
                }
            }
            b'}' if open.pop() == Some(true) => return true,
            _ => {}
        }
    }
    false
}

fn images(json: &Json) -> Result<Vec<TaskImage>, Oddity> {
    const FIELD: &str = "images";
    let list = match json {
        Json::Null => return Ok(Vec::new()),
        Json::List(list) if list.len() > IMAGES_MAX => return Err(Oddity::TooManyImages),
        Json::List(list) => list,
        _ => return Err(Oddity::Wrong { field: FIELD }),
    };
    let image = |json: &Json| {
        let id = name(json, "id").ok().flatten();
        let url = line(json, "url", URL_MAX_BYTES)?.ok_or(Oddity::Absent { field: "images.url" })?;
        Ok(TaskImage { id, url })
    };
    list.iter().map(image).collect()
}

/// An id, exactly as it is, since it goes back into a path.
fn identifier(json: &Json, field: &'static str) -> Result<Option<String>, Oddity> {
    match text(json, field, NAME_MAX_BYTES)? {
        Some(id) if !is_id(&id) => Err(Oddity::Wrong { field }),
        id => Ok(id),
    }
}

/// A short text of one line, without the blanks around it.
fn name(json: &Json, field: &'static str) -> Result<Option<String>, Oddity> {
    line(json, field, NAME_MAX_BYTES)
}

fn line(json: &Json, field: &'static str, max_bytes: usize) -> Result<Option<String>, Oddity> {
    let Some(text) = text(json, field, max_bytes)? else { return Ok(None) };
    if text.chars().any(char::is_control) { Err(Oddity::Wrong { field }) } else { Ok(Some(text.trim().to_owned())) }
}

/// A text that is no secret; `None` where there is no value.
fn text(json: &Json, field: &'static str, max_bytes: usize) -> Result<Option<String>, Oddity> {
    match json.member(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) => {
            // EXPOSE: ids, names and what is to be posted in public are kept as plain text.
            let text = text.expose();
            if is_placeholder(text) {
                Ok(None)
            } else if text.len() > max_bytes {
                Err(Oddity::Wrong { field })
            } else {
                Ok(Some(text.to_owned()))
            }
        }
        _ => Err(Oddity::Wrong { field }),
    }
}

/// Most images of one post: sites take at most a few dozen.
pub const IMAGES_MAX: usize = 64;
/// Longest title, in bytes: browsers and sites cut far below.
const TITLE_MAX_BYTES: usize = 8 * 1024;
/// Longest text of a post, in bytes: a long article with markup has a tenth of it.
const ABOUT_MAX_BYTES: usize = 1024 * 1024;
