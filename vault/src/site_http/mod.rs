//! The only way to talk to a site: requests that stay at its listed origins, with cookies from the given jar alone.
//!
//! Redirects are followed by hand, each hop checked before anything is sent to it; answers are bounded in size and
//! time. Images that a task names have a client of their own ([`MediaClient`]), without cookies and with the resolved
//! address checked. It knows no forms, no marks and no verdicts.

mod address;
mod client;
mod error;
mod media;
mod page;
mod request;
mod transport;

pub use client::SiteClient;
pub use error::SiteError;
pub use media::{FetchedImage, ImageKind, MediaClient, MediaError};
pub use page::{Hop, Page};
pub use request::{FilePart, SiteRequest};
pub use transport::{Transport, TransportError};

#[cfg(test)]
pub(crate) mod testing;
