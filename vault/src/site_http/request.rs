//! A request to a site before it is sent: method, URL, body and what accompanies it. Knows no cookies and no site.

use std::{fmt, time::Instant};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
    multipart::{Form, Part},
};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::error::SiteError;
use crate::model::Secret;

/// One request, redirects followed unless said otherwise.
pub struct SiteRequest<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Payload>,
    pub(super) basic: Option<(&'a str, &'a Secret)>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) follow: bool,
    pub(super) until: Option<Instant>,
}

/// A file of a multipart form.
#[derive(Clone)]
pub struct FilePart {
    /// The form's field.
    pub field: String,
    /// The file's name.
    pub name: String,
    /// Its media type.
    pub mime: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
}

/// An encoded body. A clone shares the bytes, so that a redirect that keeps the method copies no secret.
#[derive(Clone)]
pub(super) struct Payload {
    pub(super) content_type: HeaderValue,
    pub(super) bytes: Bytes,
}

impl<'a> SiteRequest<'a> {
    /// A `GET`.
    #[must_use]
    pub const fn get(url: Url) -> Self {
        Self::new(Method::GET, url, None)
    }

    /// A `POST` of fields as `application/x-www-form-urlencoded`, in a buffer that is wiped after use.
    #[must_use]
    pub fn post_form<'f>(url: Url, fields: impl Iterator<Item = (&'f str, &'f str)> + Clone) -> Self {
        // Three bytes for each and two delimiters: the buffer never grows, which would leave a copy behind.
        let room = fields.clone().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let mut encoder = form_urlencoded::Serializer::new(String::with_capacity(room));
        let encoded = Zeroizing::new(encoder.extend_pairs(fields).finish().into_bytes());
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        Self::new(Method::POST, url, Some(Payload { content_type, bytes: Bytes::from_owner(encoded) }))
    }

    /// A `POST` of fields and files as `multipart/form-data` (RFC 7578).
    ///
    /// # Errors
    /// [`SiteError::NotSent`] when a file's type is no media type.
    pub async fn post_multipart<'f>(
        url: Url,
        fields: impl Iterator<Item = (&'f str, &'f str)>,
        files: &[FilePart],
    ) -> Result<Self, SiteError> {
        let mut form = fields.fold(Form::new(), |form, (name, value)| form.text(name.to_owned(), value.to_owned()));
        for file in files {
            let part = Part::stream(file.bytes.clone()).file_name(file.name.clone()).mime_str(file.mime);
            form = form.part(file.field.clone(), part.map_err(|error| SiteError::from_http(&error))?);
        }
        let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={}", form.boundary()));
        let content_type = content_type.map_err(|_| SiteError::NotSent { reason: "the boundary is no header" })?;
        let body: BytesMut = form.into_stream().try_collect().await.map_err(|error| SiteError::from_http(&error))?;
        Ok(Self::new(Method::POST, url, Some(Payload { content_type, bytes: body.freeze() })))
    }

    /// A `POST` of JSON.
    #[must_use]
    pub fn post_json(url: Url, value: &serde_json::Value) -> Self {
        let bytes = Bytes::from_owner(Zeroizing::new(value.to_string().into_bytes()));
        Self::new(
            Method::POST,
            url,
            Some(Payload { content_type: HeaderValue::from_static("application/json"), bytes }),
        )
    }

    /// A `POST` of `bytes` of type `mime`.
    #[must_use]
    pub fn post_bytes(url: Url, mime: &'static str, bytes: Bytes) -> Self {
        Self::new(Method::POST, url, Some(Payload { content_type: HeaderValue::from_static(mime), bytes }))
    }

    /// Adds HTTP Basic authentication (RFC 7617). It goes to the origin of the URL only, not along a redirect elsewhere.
    #[must_use]
    pub const fn basic(mut self, username: &'a str, password: &'a Secret) -> Self {
        self.basic = Some((username, password));
        self
    }

    /// Adds a header, kept out of every log. It goes to the origin of the URL only.
    ///
    /// # Errors
    /// [`SiteError::NotSent`] when the value holds what no header may.
    pub fn header(mut self, name: &'static str, value: &Secret) -> Result<Self, SiteError> {
        // EXPOSE: the header is where this value is meant to go.
        let value = HeaderValue::from_str(value.expose());
        let mut value = value.map_err(|_| SiteError::NotSent { reason: "a header's value is not plain text" })?;
        value.set_sensitive(true);
        self.headers.push((HeaderName::from_static(name), value));
        Ok(self)
    }

    /// Leaves a redirect for the caller to read: it is the only hop of the page.
    #[must_use]
    pub const fn without_redirects(mut self) -> Self {
        self.follow = false;
        self
    }

    /// Ends the request at this moment, where the site's own timeout would let it run longer.
    #[must_use]
    pub const fn until(mut self, deadline: Instant) -> Self {
        self.until = Some(deadline);
        self
    }

    const fn new(method: Method, url: Url, body: Option<Payload>) -> Self {
        Self { method, url, body, basic: None, headers: Vec::new(), follow: true, until: None }
    }
}

impl fmt::Debug for SiteRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteRequest({} to {})", self.method, self.url.origin().ascii_serialization())
    }
}

impl fmt::Debug for FilePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilePart({}, {} bytes)", self.mime, self.bytes.len())
    }
}
