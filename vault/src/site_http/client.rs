//! Sending a request to a site, hop by hop. Knows no forms and no verdicts.
//!
//! The order of a hop: the URL's origin is checked, then the jar is asked for that URL, then the request leaves, then
//! the answer's cookies enter the jar. Nothing is sent before the check.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use reqwest::{
    Method, Response,
    header::{CONTENT_TYPE, COOKIE, HeaderValue, LOCATION, ORIGIN, SET_COOKIE},
};
use url::Url;
use zeroize::Zeroizing;

use super::{
    error::SiteError,
    page::{Hop, Page, content_type, date_ms},
    request::{Payload, SiteRequest},
    transport::Transport,
};
use crate::{
    cookies::{Jar, Stored},
    limits::{NAME_MAX_BYTES, REDIRECTS_MAX, SITE_BODY_MAX_BYTES},
    model::Clock,
    retry_after::retry_after,
    sites::Site,
};

/// Speaks to one site on behalf of whichever account's jar it is given.
pub struct SiteClient {
    site: Arc<Site>,
    transport: Transport,
    clock: Arc<dyn Clock>,
}

/// What is sent next.
struct Leg {
    method: Method,
    url: Url,
    body: Option<Payload>,
}

impl SiteClient {
    /// A client for `site`; `clock` tells which cookies have expired.
    #[must_use]
    pub fn new(site: Arc<Site>, transport: Transport, clock: Arc<dyn Clock>) -> Self {
        Self { site, transport, clock }
    }

    /// The site.
    #[must_use]
    pub const fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Unix milliseconds of the clock that cookies expire by.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Sends `request` with the cookies of `jar` and brings the answer; cookies that the site sets enter `jar`, also
    /// when an error follows.
    ///
    /// The site's `request_timeout` bounds the whole of it, redirects and bodies included.
    ///
    /// # Errors
    /// See [`SiteError`]; [`SiteError::nothing_sent`] tells whether the site can have seen the request.
    pub async fn send(&self, request: SiteRequest<'_>, jar: &mut Jar) -> Result<Page, SiteError> {
        let timeout = Instant::now() + self.site.limits.request_timeout;
        let deadline = request.until.map_or(timeout, |until| until.min(timeout));
        let mut leg = Leg { method: request.method.clone(), url: request.url.clone(), body: request.body.clone() };
        let (mut hops, mut deleted_cookies) = (Vec::new(), Vec::new());
        if !self.site.allows(&leg.url) {
            return Err(SiteError::ForeignUrl { origin: origin_of(&leg.url) });
        }
        loop {
            let answer = self.exchange(&request, &leg, jar, deadline).await;
            let response = answer.map_err(|error| if hops.is_empty() { error } else { error.after_redirect() })?;
            self.keep_cookies(&leg.url, &response, jar, &mut deleted_cookies);
            let Some(hop) = redirect(&leg.url, &response)? else {
                return self.page(leg.url, response, hops, deleted_cookies).await;
            };
            hops.push(hop.clone());
            if !request.follow {
                return self.page(leg.url, response, hops, deleted_cookies).await;
            }
            if hops.len() > REDIRECTS_MAX {
                return Err(SiteError::TooManyRedirects { limit: REDIRECTS_MAX });
            }
            leg = self.next_leg(leg, hop)?;
        }
    }

    async fn exchange(
        &self,
        request: &SiteRequest<'_>,
        leg: &Leg,
        jar: &Jar,
        deadline: Instant,
    ) -> Result<Response, SiteError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SiteError::NotSent { reason: "no time was left" });
        }
        let mut builder = self.transport.sites.request(leg.method.clone(), leg.url.clone()).timeout(left);
        if let Some(cookies) = jar.header_for(&leg.url, self.now_ms()) {
            // EXPOSE: the request is where the jar's cookies for this URL go; the name makes the value sensitive.
            builder = builder.header(COOKIE, sensitive(cookies.expose())?);
        }
        if leg.url.origin() == request.url.origin() {
            for (name, value) in &request.headers {
                builder = builder.header(name, value);
            }
            if let Some((username, password)) = request.basic {
                // EXPOSE: HTTP Basic sends the site's own app password, to the origin it was meant for only.
                builder = builder.basic_auth(username, Some(password.expose()));
            }
        }
        if let Some(body) = &leg.body {
            // Frameworks compare it with their own origin against forged forms, as a browser would send it.
            builder = builder.header(ORIGIN, origin_of(&leg.url));
            builder = builder.header(CONTENT_TYPE, &body.content_type).body(body.bytes.clone());
        }
        builder.send().await.map_err(|error| SiteError::from_http(&error))
    }

    fn keep_cookies(&self, url: &Url, response: &Response, jar: &mut Jar, deleted: &mut Vec<String>) {
        for value in response.headers().get_all(SET_COOKIE) {
            if let Stored::Deleted = jar.store(url, value.as_bytes(), self.now_ms()) {
                let name = value.as_bytes().split(|byte| matches!(byte, b'=' | b';')).next().unwrap_or_default();
                let name: String = String::from_utf8_lossy(name).trim().chars().take(NAME_MAX_BYTES).collect();
                deleted.push(name);
            }
        }
    }

    /// The request that a redirect asks for (RFC 9110 section 15.4), where it may be sent at all.
    fn next_leg(&self, last: Leg, hop: Hop) -> Result<Leg, SiteError> {
        if !self.site.allows(&hop.to) {
            return Err(SiteError::ForeignRedirect { to_origin: origin_of(&hop.to) });
        }
        if !matches!(hop.status, 307 | 308) {
            return Ok(Leg { method: Method::GET, url: hop.to, body: None });
        }
        if last.body.is_some() && hop.to.origin() != last.url.origin() {
            return Err(SiteError::BodyToOtherOrigin { to_origin: origin_of(&hop.to) });
        }
        Ok(Leg { url: hop.to, ..last })
    }

    async fn page(
        &self,
        url: Url,
        mut response: Response,
        hops: Vec<Hop>,
        deleted_cookies: Vec<String>,
    ) -> Result<Page, SiteError> {
        let headers = response.headers();
        let (content_type, date_ms) = (content_type(headers), date_ms(headers));
        let retry_after =
            retry_after(headers, SystemTime::UNIX_EPOCH + Duration::from_millis(self.now_ms().max(0).unsigned_abs()));
        let body = read_bounded(&mut response, SITE_BODY_MAX_BYTES).await?;
        let body = Zeroizing::new(String::from_utf8_lossy(&body).into_owned());
        let status = response.status().as_u16();
        Ok(Page { url, status, hops, body, content_type, retry_after, date_ms, deleted_cookies })
    }
}

impl fmt::Debug for SiteClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteClient({})", self.site.domain.as_str())
    }
}

/// Reads a body piece by piece and stops at `limit` bytes, whatever its length claims to be.
pub(super) async fn read_bounded(response: &mut Response, limit: usize) -> Result<Zeroizing<Vec<u8>>, SiteError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(piece) = response.chunk().await.map_err(|error| SiteError::from_http(&error))? {
        if body.len() + piece.len() > limit {
            return Err(SiteError::TooLarge { limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Where `response` redirects to; `None` when it is an answer. Names and passwords in the URL are dropped: they would
/// become an `Authorization` header.
pub(super) fn redirect(from: &Url, response: &Response) -> Result<Option<Hop>, SiteError> {
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION);
    let Some(location) = location.filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308)) else {
        return Ok(None);
    };
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| SiteError::BadRedirect)?;
    let mut to = from.join(location).map_err(|_| SiteError::BadRedirect)?;
    if to.set_username("").and_then(|()| to.set_password(None)).is_err() && to.has_host() {
        return Err(SiteError::BadRedirect);
    }
    to.set_fragment(None);
    Ok(Some(Hop { status, to }))
}

/// The origin in text; `null` for schemes that have none.
pub(super) fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn sensitive(text: &str) -> Result<HeaderValue, SiteError> {
    let value = HeaderValue::from_bytes(text.as_bytes());
    let mut value = value.map_err(|_| SiteError::NotSent { reason: "a cookie's value fits no header" })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
