//! Fetching the images that a task names, all or none. Where they may come from is the vault's `MediaClient`'s to decide.

use data_encoding::HEXLOWER;
use latchkey_vault::site_http::{MediaClient, MediaError};
use ring::digest::{SHA256, digest};
use thiserror::Error;

use super::Image;

/// Why the images of a task are not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// The task names more images than the site's `images_max`; none was fetched.
    #[error("the task names {count} images, the site takes {limit}")]
    TooMany {
        /// Images named.
        count: usize,
        /// Images allowed.
        limit: usize,
    },
    /// One of them did not come.
    #[error("image {position}: {source}")]
    Image {
        /// Which one, from 1.
        position: usize,
        /// Why.
        source: MediaError,
    },
}

impl ImagesError {
    /// Whether a later try may go better.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Image { source, .. } if source.may_pass())
    }
}

/// Fetches the images at `urls`, one after the other, and names them by their place and their content:
/// `image-1-0f343b0931126a20.png`.
///
/// # Errors
/// See [`ImagesError`]; images that came before the error are dropped.
pub async fn fetch_images(client: &MediaClient, urls: &[&str]) -> Result<Vec<Image>, ImagesError> {
    let limit = client.site().limits.images_max as usize;
    if urls.len() > limit {
        return Err(ImagesError::TooMany { count: urls.len(), limit });
    }
    let mut images = Vec::with_capacity(urls.len());
    for (position, url) in (1..).zip(urls) {
        let fetched = client.fetch(url).await.map_err(|source| ImagesError::Image { position, source })?;
        // WordPress looks for a free name and then writes, so that two uploads of one name at a time may end in one file:
        // what is named by its content can only be overwritten by itself.
        let content = digest(&SHA256, &fetched.bytes);
        let content = HEXLOWER.encode(content.as_ref().get(..NAME_BYTES).unwrap_or_default());
        let name = format!("image-{position}-{content}.{}", fetched.kind.extension());
        images.push(Image { name, mime: fetched.kind.mime(), bytes: fetched.bytes });
    }
    Ok(images)
}

/// Bytes of the content's hash in a name: chance makes no two of them the same, and the name stays short.
const NAME_BYTES: usize = 8;

#[cfg(test)]
mod tests;
