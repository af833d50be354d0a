//! Every bound of the site, each with its reason.
//!
//! It knows no behaviour: what happens at a bound is said where the bound is used.

use std::time::Duration;

/// Sockets open at once: far above any test's pool, far below a process's file descriptors.
pub(crate) const MAX_CONNECTIONS: usize = 512;

/// Bytes of an ordinary form: a login needs less than one kilobyte.
pub(crate) const MAX_FORM_BYTES: usize = 64 * 1024;

/// Bytes of a post with its pictures: four pictures at their bound and a long text.
pub(crate) const MAX_POST_BYTES: usize = 10 * 1024 * 1024;

/// Bytes of one request to the control plane: a seed of a few thousand accounts.
pub(crate) const MAX_CONTROL_BYTES: usize = 1024 * 1024;

/// Parts in one multipart form: the four fields and the pictures, with some room.
pub(crate) const MAX_FORM_PARTS: usize = 16;

/// Pictures in one post, as many as common sites take.
pub(crate) const MAX_IMAGES_PER_POST: usize = 4;

/// Bytes of one picture.
pub(crate) const MAX_IMAGE_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of all kept pictures together: what a long chaos run may cost in memory.
pub(crate) const MAX_STORED_IMAGE_BYTES: usize = 256 * 1024 * 1024;

/// Posts kept; beyond it the site refuses, because a ledger that forgets cannot prove anything.
pub(crate) const MAX_POSTS: usize = 100_000;

/// Characters of a post's title.
pub(crate) const MAX_TITLE_CHARS: usize = 300;

/// Posts on one look-up page, newest first.
pub(crate) const MAX_LISTED_POSTS: usize = 100;

/// Accounts of one site: the largest simulated team, ten times over.
pub(crate) const MAX_ACCOUNTS: usize = 100_000;

/// Characters of a username, as in most sites' rules.
pub(crate) const MAX_USERNAME_CHARS: usize = 64;

/// Sessions and, apart from them, visits before a login; the oldest are forgotten first.
pub(crate) const MAX_SESSIONS: usize = 200_000;

/// Requests remembered; the oldest are forgotten first, sequence numbers show how many.
pub(crate) const MAX_LOGGED_REQUESTS: usize = 20_000;

/// Characters kept of each text in a logged request.
pub(crate) const MAX_LOGGED_CHARS: usize = 512;

/// Cookie names kept of a logged request; browsers send at most some 180 per site.
pub(crate) const MAX_LOGGED_COOKIES: usize = 256;

/// Entries in the fault queue of one place, each with its own repeat count.
pub(crate) const MAX_QUEUED_FAULTS: usize = 256;

/// Numbers of the pictures that the site hosts, from 0; keeps the fetch counters bounded.
pub(crate) const MAX_MEDIA_NUMBER: u32 = 10_000;

/// How long a shutdown waits for requests that are under way.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);
