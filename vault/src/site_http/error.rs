//! Why a request to a site has no answer, and whether it may have arrived. Knows no request.

use thiserror::Error;

/// Why there is no page.
///
/// Messages name origins and numbers; no path, header or body of the request or the answer is in them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SiteError {
    /// Nothing reached the site.
    #[error("nothing was sent: {reason}")]
    NotSent {
        /// What prevented it.
        reason: &'static str,
    },
    /// The request was sent and no usable answer came: it may have had its effect.
    #[error("sent, but no answer: {reason}")]
    NoAnswer {
        /// What was missing.
        reason: &'static str,
    },
    /// The answer is larger than is read; the request had whatever effect it has.
    #[error("the answer exceeds {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The URL is at no origin of the site; nothing was sent.
    #[error("{origin} is not among the site's origins")]
    ForeignUrl {
        /// The origin that was asked for.
        origin: String,
    },
    /// The site answered with a redirect to an origin that is not its own; nothing was sent there.
    #[error("the site redirects to {to_origin}, which is not among its origins")]
    ForeignRedirect {
        /// Where it would have led.
        to_origin: String,
    },
    /// The site asked to repeat a request with a body at another of its origins; that was not done.
    #[error("the site redirects a request with a body to {to_origin}")]
    BodyToOtherOrigin {
        /// Where it would have led.
        to_origin: String,
    },
    /// The site answered with a redirect whose `Location` is no URL.
    #[error("the site redirects to what is no URL")]
    BadRedirect,
    /// The site keeps redirecting.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// Redirects allowed.
        limit: usize,
    },
}

impl SiteError {
    /// Whether it is certain that the site never saw the request.
    #[must_use]
    pub const fn nothing_sent(&self) -> bool {
        matches!(self, Self::NotSent { .. } | Self::ForeignUrl { .. })
    }

    /// What happened to the connection, told apart by whether the request can have left.
    pub(super) fn from_http(error: &reqwest::Error) -> Self {
        let timeout = error.is_timeout();
        if error.is_connect() {
            let reason = match timeout {
                true => "no connection in time",
                false if error.is_dns() => "the name does not resolve",
                false => "no connection",
            };
            Self::NotSent { reason }
        } else if error.is_builder() {
            Self::NotSent { reason: "the request cannot be formed" }
        } else if timeout {
            Self::NoAnswer { reason: "the answer took too long" }
        } else if error.is_decode() {
            Self::NoAnswer { reason: "the answer cannot be decoded" }
        } else {
            Self::NoAnswer { reason: "the connection ended early" }
        }
    }

    /// The same on a later hop: the first request has been answered, so "nothing was sent" no longer holds.
    pub(super) fn after_redirect(self) -> Self {
        match self {
            Self::NotSent { reason } => Self::NoAnswer { reason },
            other => other,
        }
    }
}
