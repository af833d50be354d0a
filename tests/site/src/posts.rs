//! The posts of the site, kept whole, so that a test can tell exactly what was published.
//!
//! It does not know who may post.

use std::fmt;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use ring::digest;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::limits::{MAX_LISTED_POSTS, MAX_POSTS, MAX_STORED_IMAGE_BYTES};

/// A post as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Post {
    /// Its number, from 1, over all accounts.
    pub number: u64,
    /// The account that published it.
    pub username: String,
    /// The title, as sent.
    pub title: String,
    /// The body, as sent.
    pub body: String,
    /// The pictures, in the order they were sent.
    pub images: Vec<Image>,
    /// It came with an app password and not from the form.
    pub by_app_password: bool,
    /// When, in seconds since 1970, by the site's clock.
    pub at_unix_s: u64,
}

/// A picture that was sent with a post.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// The file name that the client gave it.
    pub file_name: String,
    /// The content type that the client gave it.
    pub content_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// What a client asks to be published.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) images: Vec<Image>,
}

/// The site keeps as many posts or pictures as it may.
#[derive(Debug)]
pub(crate) struct BoardFull;

/// Every post of the site.
#[derive(Default)]
pub(crate) struct Board {
    posts: Vec<Post>,
    image_bytes: usize,
}

impl Image {
    /// The SHA-256 of the bytes, in lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(digest::digest(&digest::SHA256, &self.bytes).as_ref())
    }
}

/// Shows size and hash in place of the bytes.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .field("length", &self.bytes.len())
            .field("sha256", &self.sha256())
            .finish()
    }
}

/// Writes size and hash in place of the bytes.
impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut image = serializer.serialize_struct("Image", 4)?;
        image.serialize_field("file_name", &self.file_name)?;
        image.serialize_field("content_type", &self.content_type)?;
        image.serialize_field("length", &self.bytes.len())?;
        image.serialize_field("sha256", &self.sha256())?;
        image.end()
    }
}

impl Board {
    /// Publishes a draft and answers its number.
    pub(crate) fn publish(
        &mut self,
        username: &str,
        draft: Draft,
        by_app_password: bool,
        now_unix_s: u64,
    ) -> Result<u64, BoardFull> {
        let added: usize = draft.images.iter().map(|image| image.bytes.len()).sum();
        let image_bytes = self.image_bytes.saturating_add(added);
        if self.posts.len() >= MAX_POSTS || image_bytes > MAX_STORED_IMAGE_BYTES {
            return Err(BoardFull);
        }
        self.image_bytes = image_bytes;
        let number = self.posts.len() as u64 + 1;
        self.posts.push(Post {
            number,
            username: username.to_owned(),
            title: draft.title,
            body: draft.body,
            images: draft.images,
            by_app_password,
            at_unix_s: now_unix_s,
        });
        Ok(number)
    }

    pub(crate) fn all(&self) -> &[Post] {
        &self.posts
    }

    pub(crate) fn find(&self, username: &str, number: u64) -> Option<&Post> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.posts.get(index).filter(|post| post.username == username)
    }

    /// Posts of `username` with `text` in title or body, newest first, as many as one page lists.
    pub(crate) fn search(&self, username: &str, text: &str) -> Vec<&Post> {
        self.posts
            .iter()
            .rev()
            .filter(|post| post.username == username)
            .filter(|post| post.title.contains(text) || post.body.contains(text))
            .take(MAX_LISTED_POSTS)
            .collect()
    }
}
