//! Images that a task names: from listed origins, without cookies, with the connected address checked.
//!
//! A task's URL is somebody else's text, so that this is where requests into private networks would be forged. Knows
//! no tasks and no posts.

use std::{fmt, sync::Arc, time::Instant};

use bytes::Bytes;
use reqwest::Client;
use thiserror::Error;
use url::Url;

use super::{
    client::{origin_of, read_bounded, redirect},
    error::SiteError,
    transport::{NotPublic, Transport},
};
use crate::{limits::REDIRECTS_MAX, sites::Site};

/// Fetches images for one site.
pub struct MediaClient {
    site: Arc<Site>,
    transport: Transport,
}

/// An image as it was fetched.
#[derive(Clone)]
#[non_exhaustive]
pub struct FetchedImage {
    /// What its first bytes say it is.
    pub kind: ImageKind,
    /// Its bytes, at most the site's `image_max_bytes`.
    pub bytes: Bytes,
}

/// The kinds of images that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageKind {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
}

/// Why there is no image.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The text is no http or https URL, or holds a password; nothing was sent.
    #[error("not an http or https URL without a password")]
    NotAUrl,
    /// The URL, or a redirect, leads to an origin that the sites file does not list; nothing was sent there.
    #[error("{origin} is not among the site's media_origins")]
    NotListed {
        /// Where it leads.
        origin: String,
    },
    /// The name leads to an address that is not public; nothing was sent there.
    #[error("a name of media_origins resolves to an address that is not public")]
    NotPublic,
    /// The host does not hand the image out.
    #[error("the image is answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The image is larger than the site's `image_max_bytes`.
    #[error("the image exceeds {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes are not of a kind that is taken, whatever the host calls them.
    #[error("the answer is no PNG, JPEG, GIF or WebP")]
    NotAnImage,
    /// The host was not reached, or its answer did not arrive whole.
    #[error("the image did not arrive: {0}")]
    Transfer(#[source] SiteError),
}

impl MediaError {
    /// Whether a later try may go better: nothing about the URL or the image itself was wrong.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Transfer(SiteError::NotSent { .. } | SiteError::NoAnswer { .. }))
            || matches!(self, Self::Status { status: 408 | 429 | 500..=599 })
    }
}

impl MediaClient {
    /// A client for images of posts on `site`.
    #[must_use]
    pub const fn new(site: Arc<Site>, transport: Transport) -> Self {
        Self { site, transport }
    }

    /// The site.
    #[must_use]
    pub const fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Fetches the image at `url` within the site's `request_timeout`.
    ///
    /// # Errors
    /// See [`MediaError`].
    pub async fn fetch(&self, url: &str) -> Result<FetchedImage, MediaError> {
        let mut url = Url::parse(url).map_err(|_| MediaError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(MediaError::NotAUrl);
        }
        let deadline = Instant::now() + self.site.limits.request_timeout;
        for _ in 0..=REDIRECTS_MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            let response = self.client_for(&url)?.get(url.clone()).timeout(left).send().await;
            let mut response = response.map_err(|error| match is_not_public(&error) {
                true => MediaError::NotPublic,
                false => MediaError::Transfer(SiteError::from_http(&error)),
            })?;
            if let Some(hop) = redirect(&url, &response).map_err(MediaError::Transfer)? {
                url = hop.to;
                continue;
            }
            if response.status().as_u16() != 200 {
                return Err(MediaError::Status { status: response.status().as_u16() });
            }
            let limit = self.site.limits.image_max_bytes as usize;
            let bytes = read_bounded(&mut response, limit).await.map_err(|error| match error {
                SiteError::TooLarge { limit } => MediaError::TooLarge { limit },
                other => MediaError::Transfer(other),
            })?;
            let kind = ImageKind::of(&bytes).ok_or(MediaError::NotAnImage)?;
            return Ok(FetchedImage { kind, bytes: Bytes::from_owner(bytes) });
        }
        Err(MediaError::Transfer(SiteError::TooManyRedirects { limit: REDIRECTS_MAX }))
    }

    /// The client whose resolver fits: only what the operator wrote as an address, or allowed, may be private.
    fn client_for(&self, url: &Url) -> Result<&Client, MediaError> {
        let media = &self.site.media;
        let listed = media.origins.iter().find(|origin| origin.holds(url));
        let listed = listed.ok_or_else(|| MediaError::NotListed { origin: origin_of(url) })?;
        if media.allow_private || listed.is_literal() {
            Ok(&self.transport.listed_media)
        } else {
            Ok(&self.transport.public_media)
        }
    }
}

impl ImageKind {
    /// What `bytes` are, by their first bytes (WHATWG MIME Sniffing, section 6.1).
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }

    /// The media type.
    #[must_use]
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// The usual ending of a file's name, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }
}

impl fmt::Debug for MediaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaClient({})", self.site.domain.as_str())
    }
}

impl fmt::Debug for FetchedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchedImage({:?}, {} bytes)", self.kind, self.bytes.len())
    }
}

/// Whether the resolver's refusal is what the connection failed of.
fn is_not_public(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<NotPublic>() {
            return true;
        }
        source = inner.source();
    }
    false
}

#[cfg(test)]
mod tests;
