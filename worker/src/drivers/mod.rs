//! Site automation: what publishes a post with a session that was lent, and what finds it again.
//!
//! A driver sees a borrowed session, its input and a deadline. It knows no vault, no store and no manager, and decides
//! nothing about trying again: it says what happened, and says so only with evidence.

mod form;
mod likeness;
mod media;
mod wordpress;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use latchkey_vault::{
    Secret,
    cookies::Jar,
    login::{Block, Evidence, Verdict},
    site_http::SiteClient,
    sites::Post,
};

pub use media::{ImagesError, fetch_images};

use form::FormDriver;
use wordpress::WordPressDriver;

/// Posts to one site.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Publishes `post`: at most one request that publishes is sent, and none after `deadline`.
    async fn post(&self, session: &mut BorrowedSession<'_>, post: &PostInput, deadline: &Deadline) -> Outcome;

    /// Whether an account's own app password serves in place of a session.
    fn takes_app_password(&self) -> bool;

    /// Looks whether `post` is on the site, for a post whose outcome is unknown. Changes nothing there.
    async fn find_post(&self, session: &mut BorrowedSession<'_>, post: &PostInput, deadline: &Deadline) -> Found;
}

/// A session for the time of one drive; what the site sets goes back with the jar.
#[derive(Debug)]
pub struct BorrowedSession<'a> {
    /// The session's cookies.
    pub jar: &'a mut Jar,
    /// The user name at the site.
    pub username: Option<&'a str>,
    /// The site's own app password, never a mailbox's.
    pub app_password: Option<&'a Secret>,
}

/// What is to be published.
#[derive(Debug)]
pub struct PostInput {
    /// The title; empty where the post has none.
    pub title: String,
    /// The body, as HTML.
    pub body_html: String,
    /// Images, in order.
    pub images: Vec<Image>,
    /// A text from the title or the body that the post can be searched by; one that stands in neither is not looked for.
    pub marker: String,
}

/// An image of a post.
#[derive(Clone)]
pub struct Image {
    /// The file's name: letters, digits, `-` and `.`.
    pub name: String,
    /// The media type.
    pub mime: &'static str,
    /// The file.
    pub bytes: Bytes,
}

/// How publishing ended. Reasons are one line of our own words.
#[derive(Debug)]
pub enum Outcome {
    /// The post is on the site.
    Done {
        /// Its address.
        link: String,
    },
    /// The site does not take this post; nothing was published.
    Refused {
        /// Why.
        reason: String,
    },
    /// The site holds the account back.
    Challenged {
        /// What holds it back.
        block: Block,
        /// What shows it.
        evidence: Evidence,
    },
    /// The site refused the session before it published anything.
    Expired {
        /// What shows it.
        evidence: Evidence,
    },
    /// Provably nothing was published: it may be tried again. An uploaded image that no post shows may remain.
    Retry {
        /// How long the site asks to wait.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It may have been published: look for it before anything else.
    Unknown {
        /// Why this is not known.
        reason: String,
    },
}

/// Whether a post is on the site.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It is.
    Yes {
        /// Its address.
        link: String,
    },
    /// The list of the account's posts was seen, and it is not among them.
    No,
    /// Neither was seen.
    Inconclusive(
        /// Why.
        String,
    ),
}

/// Until when a driver may send: the last renewal of the lease plus its TTL minus a margin. Clones share it, so that a
/// renewal moves it for the driver that is at work.
#[derive(Clone, Debug)]
pub struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    /// A deadline at `at`.
    #[must_use]
    pub fn new(at: Instant) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    /// Moves it to `at` after a renewal; it never moves back.
    pub fn extend(&self, at: Instant) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *own = at.max(*own);
    }

    /// When it is.
    #[must_use]
    pub fn instant(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing may be sent any more.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.instant() <= Instant::now()
    }
}

impl Outcome {
    /// One line on how it ended.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Done { .. } => "published",
            Self::Challenged { evidence, .. } | Self::Expired { evidence } => &evidence.mark,
            Self::Refused { reason } | Self::Retry { reason, .. } | Self::Unknown { reason } => reason,
        }
    }
}

impl PostInput {
    /// A post that is searched by the address of its first link, else by its text.
    #[must_use]
    pub fn new(title: String, body_html: String, images: Vec<Image>) -> Self {
        let marker = likeness::marker(&body_html).to_owned();
        Self { title, body_html, images, marker }
    }

    /// The marker, where the site can show it.
    fn visible_marker(&self) -> Option<&str> {
        let marker = self.marker.as_str();
        let is_there = self.title.contains(marker) || self.body_html.contains(marker);
        (!marker.is_empty() && is_there).then_some(marker)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// The driver that the site's `post.driver` names; `None` where the sites file names none.
#[must_use]
pub fn build_driver(client: Arc<SiteClient>) -> Option<Arc<dyn Driver>> {
    match &Arc::clone(client.site()).post {
        Post::Form(post) => Some(Arc::new(FormDriver::new(client, (**post).clone()))),
        Post::WordPress { base } => Some(Arc::new(WordPressDriver::new(client, base.clone()))),
        _ => None,
    }
}

/// What evidence against the session ends the drive as; `None` where it is none.
fn ended(evidence: Evidence) -> Option<Outcome> {
    match evidence.verdict {
        Verdict::Blocked(block) => Some(Outcome::Challenged { block, evidence }),
        Verdict::Expired => Some(Outcome::Expired { evidence }),
        _ => None,
    }
}

fn retry(reason: impl fmt::Display) -> Outcome {
    Outcome::Retry { after: None, reason: reason.to_string() }
}

fn refused(reason: impl fmt::Display) -> Outcome {
    Outcome::Refused { reason: reason.to_string() }
}

fn unknown(reason: impl fmt::Display) -> Outcome {
    Outcome::Unknown { reason: reason.to_string() }
}

const TOO_LATE: &str = "the lease ends too soon to send the post";
const ONLY_THE_TITLE: &str = "a post of this title is there, and its text is not the same: is it this one?";
const NOTHING_TO_FIND: &str = "the post has neither a title nor a marker to look for";

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
