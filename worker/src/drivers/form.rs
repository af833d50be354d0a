//! Posting through an HTML form that the sites file describes.
//!
//! ```text
//! page with the form ─filled in→ POST ─redirect to `posted`→ the link
//! ```
//!
//! Up to the POST nothing has happened. Its answer is read without following, since the redirect is the evidence and
//! may be all that arrives. Knows no login and no account.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use latchkey_vault::{
    Secret, html,
    login::{Evidence, FormError, HtmlForm, Verdict, judge, shown_mark},
    site_http::{FilePart, Page, SiteClient, SiteRequest},
    sites::{FindPosts, FormPost},
};
use url::Url;

use super::{
    BorrowedSession, Deadline, Driver, Found, NOTHING_TO_FIND, ONLY_THE_TITLE, Outcome, PostInput, TOO_LATE, ended,
    likeness::{Likeness, runs},
    refused, retry, unknown,
};

/// The form of one site.
pub(super) struct FormDriver {
    client: Arc<SiteClient>,
    post: FormPost,
}

impl FormDriver {
    pub(super) const fn new(client: Arc<SiteClient>, post: FormPost) -> Self {
        Self { client, post }
    }

    async fn try_post(
        &self,
        session: &mut BorrowedSession<'_>,
        post: &PostInput,
        deadline: &Deadline,
    ) -> Result<Outcome, Outcome> {
        let page = self.open_form(session, deadline).await?;
        let request = self.proven(self.fill_in(&page, post).await?, session.username, session.app_password);
        let request = request.without_redirects().until(deadline.instant());
        if deadline.is_past() {
            return Err(retry(TOO_LATE));
        }
        let answer = self.client.send(request, session.jar).await.map_err(|error| match error.nothing_sent() {
            true => retry(error),
            false => unknown(error),
        })?;
        Ok(self.read_answer(answer, session, deadline).await)
    }

    /// Brings the page with the form, or what it says against the session.
    async fn open_form(&self, session: &mut BorrowedSession<'_>, deadline: &Deadline) -> Result<Page, Outcome> {
        let url = self.client.site().resolve(self.post.page.as_str());
        let url = url.ok_or_else(|| refused("the form's path leads away from the site"))?;
        let request = self.proven(SiteRequest::get(url), session.username, session.app_password);
        let page = self.client.send(request.until(deadline.instant()), session.jar).await.map_err(retry)?;
        match ended(self.judge(&page)) {
            Some(outcome) => Err(outcome),
            None if page.status == 429 || page.status >= 500 => {
                let reason = format!("the form is answered with status {}", page.status);
                Err(Outcome::Retry { after: page.retry_after, reason })
            }
            None => Ok(page),
        }
    }

    /// The request with the account's app password, where the site takes one in place of a session.
    fn proven<'r>(
        &self,
        request: SiteRequest<'r>,
        username: Option<&'r str>,
        app_password: Option<&'r Secret>,
    ) -> SiteRequest<'r> {
        match (username, app_password) {
            (Some(username), Some(password)) if self.post.app_password => request.basic(username, password),
            _ => request,
        }
    }

    async fn fill_in<'r>(&self, page: &Page, post: &PostInput) -> Result<SiteRequest<'r>, Outcome> {
        let mut form = HtmlForm::find(page, &self.post.form).map_err(|error| match error {
            // Another page in its place may pass; a form that does not fit the sites file does not.
            FormError::NotFound { .. } | FormError::Unreadable => retry(error),
            other => refused(other),
        })?;
        if let Some(field) = &self.post.title_field {
            form.set(field.as_str(), &post.title).map_err(refused)?;
        }
        form.set(self.post.body_field.as_str(), &post.body_html).map_err(refused)?;
        let files = match &self.post.image_field {
            Some(field) => post.images.iter().map(|image| FilePart {
                field: field.as_str().to_owned(),
                name: image.name.clone(),
                mime: image.mime,
                bytes: image.bytes.clone(),
            }),
            None if post.images.is_empty() => return form.into_request(&[]).await.map_err(refused),
            None => return Err(refused("the post has images, and the site's form has no field for them")),
        };
        form.into_request(&files.collect::<Vec<_>>()).await.map_err(refused)
    }

    /// Finds the evidence in the answer to the POST, one redirect further where need be.
    async fn read_answer(&self, answer: Page, session: &mut BorrowedSession<'_>, deadline: &Deadline) -> Outcome {
        let Some(hop) = answer.hops.last().cloned() else { return self.weigh(&answer) };
        if let Some(link) = self.link(&hop.to) {
            return Outcome::Done { link };
        }
        let request = SiteRequest::get(hop.to.clone()).until(deadline.instant());
        match self.client.send(request, session.jar).await {
            Err(error) => unknown(error),
            Ok(mut landing) => {
                landing.hops.insert(0, hop);
                self.weigh(&landing)
            }
        }
    }

    fn weigh(&self, answer: &Page) -> Outcome {
        if let Some(link) = answer.hops.iter().find_map(|hop| self.link(&hop.to)) {
            return Outcome::Done { link };
        }
        // An overloaded or broken site may have published before it said so, whatever its page looks like.
        let is_clear = answer.status != 429 && answer.status < 500;
        if let Some(mark) = shown_mark(answer, "refused", &self.post.refused).filter(|_| is_clear) {
            return refused(format!("the site shows {mark} (status {})", answer.status));
        }
        let neither = || unknown(format!("the answer shows neither a post nor a refusal (status {})", answer.status));
        ended(self.judge(answer)).unwrap_or_else(neither)
    }

    /// The address that a redirect leads to, when it is a post's.
    fn link(&self, to: &Url) -> Option<String> {
        (self.post.posted.matches(to) && self.client.site().allows(to)).then(|| to.to_string())
    }

    fn judge(&self, page: &Page) -> Evidence {
        match self.client.site().login_form() {
            Some(login) => judge(page, login),
            None if page.status == 401 => Evidence::from_page(Verdict::Expired, "status 401", page),
            None => Evidence::from_page(Verdict::Unknown, "the sites file names no marks", page),
        }
    }

    async fn try_find(
        &self,
        session: &mut BorrowedSession<'_>,
        post: &PostInput,
        deadline: &Deadline,
    ) -> Result<Found, String> {
        let find = self.post.find.as_ref().ok_or("the sites file does not say where posts are listed")?;
        if post.title.trim().is_empty() && post.visible_marker().is_none() {
            return Err(NOTHING_TO_FIND.to_owned());
        }
        let path = find.page.fill(session.username, &post.title, &post.marker);
        let path = path.ok_or("the list is the user's, and the session has no user name")?;
        let url = self.client.site().resolve(&path).ok_or("the list's path leads away from the site")?;
        let list = self.open(url, session, deadline).await?;
        if shown_mark(&list, "list", &find.list).is_none() {
            return Err("the page does not show the mark of the list".to_owned());
        }
        let links = self.links(find, &list).ok_or(UNREADABLE)?;
        let mut has_title = false;
        for link in links.iter().take(CANDIDATES_MAX) {
            match likeness(&self.open(link.clone(), session, deadline).await?, post).ok_or(UNREADABLE)? {
                Likeness::Same => return Ok(Found::Yes { link: link.to_string() }),
                Likeness::OnlyTitle => has_title = true,
                Likeness::Other => {}
            }
        }
        match links.len() > CANDIDATES_MAX {
            true => Err(format!("{} posts are listed, {CANDIDATES_MAX} were opened", links.len())),
            false if has_title => Err(ONLY_THE_TITLE.to_owned()),
            false => Ok(Found::No),
        }
    }

    async fn open(&self, url: Url, session: &mut BorrowedSession<'_>, deadline: &Deadline) -> Result<Page, String> {
        let request = SiteRequest::get(url).until(deadline.instant());
        let page = self.client.send(request, session.jar).await.map_err(|error| error.to_string())?;
        if page.status == 200 { Ok(page) } else { Err(format!("a page is answered with status {}", page.status)) }
    }

    /// The posts that the list links to, each once, in its order; `None` where the page cannot be read.
    fn links(&self, find: &FindPosts, list: &Page) -> Option<Vec<Url>> {
        let html = html::parse(&list.body)?;
        let hrefs = html.select(find.links.compiled()).filter_map(|element| element.attr("href"));
        let urls = hrefs.filter_map(|href| list.url.join(href).ok()).filter(|url| self.link(url).is_some());
        let mut seen = BTreeSet::new();
        Some(urls.filter(|url| seen.insert(url.to_string())).collect())
    }
}

#[async_trait]
impl Driver for FormDriver {
    fn takes_app_password(&self) -> bool {
        self.post.app_password
    }

    async fn post(&self, session: &mut BorrowedSession<'_>, post: &PostInput, deadline: &Deadline) -> Outcome {
        self.try_post(session, post, deadline).await.unwrap_or_else(|ended| ended)
    }

    async fn find_post(&self, session: &mut BorrowedSession<'_>, post: &PostInput, deadline: &Deadline) -> Found {
        self.try_find(session, post, deadline).await.unwrap_or_else(Found::Inconclusive)
    }
}

/// Whether the page is the post's: its title and texts as text, and its marker as text or in the markup, as a link's
/// address is. `None` where the page cannot be read.
fn likeness(page: &Page, post: &PostInput) -> Option<Likeness> {
    let text = one_spaced(&html::parse(&page.body)?.root_element().text().collect::<String>());
    let has_marker = |wanted: &str| {
        text.contains(&one_spaced(wanted))
            || page.body.contains(wanted)
            || page.body.replace("&amp;", "&").contains(wanted)
    };
    Some(Likeness::of(
        &post.title,
        |wanted| text.contains(&one_spaced(wanted)),
        || {
            post.visible_marker().is_none_or(has_marker)
                && runs(&post.body_html).into_iter().all(|run| text.contains(&one_spaced(run)))
        },
    ))
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const UNREADABLE: &str = "a page nests too deeply or has too many elements to be read";
/// A look-up is by title or marker, so that more candidates mean that the site does not filter.
const CANDIDATES_MAX: usize = 10;

#[cfg(test)]
mod tests;
