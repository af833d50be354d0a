//! Verdicts on a session and the evidence for them: which mark of the sites file a page shows.
//!
//! Live needs a logged-in mark, expired a logged-out one; whatever shows neither, or both, is unknown, and unknown never
//! leads to a login. Pure: sends nothing.

use std::{cell::OnceCell, time::Duration};

use scraper::Html;

use crate::{
    html,
    limits::EVIDENCE_MAX_CHARS,
    site_http::{Page, SiteError},
    sites::{FormLogin, Mark, Marks},
    text::escape_bounded,
};

/// What a site's answer says about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// A logged-in mark was seen.
    Live,
    /// A logged-out mark was seen.
    Expired,
    /// The account or the login is held back.
    Blocked(Block),
    /// No evidence, or evidence for both: nothing may be concluded.
    Unknown,
}

/// What holds a login back. A person, or time, has to solve it; none of it is worked around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Block {
    /// The site wants a proof that a person is there.
    Challenge,
    /// The site has locked the account.
    Locked,
    /// The site has banned the account.
    Banned,
    /// The name or the password is wrong.
    WrongCredentials,
    /// The second factor is wrong, missing, or not to be had now.
    SecondFactor,
    /// The vault lacks what the form asks for.
    MissingCredential,
    /// The site asks to come back later.
    RateLimited,
    /// Nobody logs in to this site through us.
    Unsupported,
    /// The site answered the login, and one is not logged in, for a reason that no mark names.
    Unexplained,
}

/// Why a verdict was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The verdict.
    pub verdict: Verdict,
    /// Which mark was seen, or what went wrong: one line of at most [`EVIDENCE_MAX_CHARS`] characters, in the words of
    /// the sites file and ours, never the page's.
    pub mark: String,
    /// The status of the answer, where one came.
    pub status: Option<u16>,
    /// How long the site asks to wait.
    pub retry_after: Option<Duration>,
}

impl Evidence {
    /// Evidence without an answer behind it. `mark` is cut to its bound, and characters that could steer a terminal are
    /// escaped.
    #[must_use]
    pub fn new(verdict: Verdict, mark: &str) -> Self {
        Self { verdict, mark: escape_bounded(mark, EVIDENCE_MAX_CHARS), status: None, retry_after: None }
    }

    /// Evidence from `page`.
    #[must_use]
    pub fn from_page(verdict: Verdict, mark: &str, page: &Page) -> Self {
        Self { status: Some(page.status), retry_after: page.retry_after, ..Self::new(verdict, mark) }
    }

    /// No answer, no verdict.
    #[must_use]
    pub fn from_error(error: &SiteError) -> Self {
        Self::new(Verdict::Unknown, &error.to_string())
    }
}

/// What `page` says about the session that asked for it.
///
/// The order: a block is named first, since sites show them with any status; then a 429 and every 5xx is unknown,
/// whatever its page looks like; then the marks of both sides are weighed.
#[must_use]
pub fn judge(page: &Page, login: &FormLogin) -> Evidence {
    let view = View::new(page);
    if let Some(evidence) = blocked(&view, login) {
        return evidence;
    }
    let evidence = |verdict, mark: &str| Evidence::from_page(verdict, mark, page);
    if page.status == 429 || page.status >= 500 {
        return evidence(Verdict::Unknown, "the status is no verdict");
    }
    let shown = (view.shown("logged_in", &login.logged_in), logged_out(&view, login));
    if view.is_unreadable() {
        return evidence(Verdict::Unknown, "the page nests too deeply or has too many elements to be read");
    }
    match shown {
        (Some(live), None) => evidence(Verdict::Live, &live),
        (None, Some(out)) => evidence(Verdict::Expired, &out),
        (Some(live), Some(out)) => evidence(Verdict::Unknown, &format!("{live} contradicts {out}")),
        (None, None) => evidence(Verdict::Unknown, "no mark matches"),
    }
}

/// Which of `marks`, called `name` in the sites file, `page` shows.
#[must_use]
pub fn shown_mark(page: &Page, name: &str, marks: &Marks) -> Option<String> {
    View::new(page).shown(name, marks)
}

/// A page whose HTML is parsed at most once, when the first mark needs it.
pub(super) struct View<'p> {
    pub(super) page: &'p Page,
    /// `None` inside: the page is beyond the bounds of what is read.
    html: OnceCell<Option<Html>>,
}

impl<'p> View<'p> {
    pub(super) const fn new(page: &'p Page) -> Self {
        Self { page, html: OnceCell::new() }
    }

    /// The first of `marks` that holds, as `name[index]`.
    pub(super) fn shown(&self, name: &str, marks: &Marks) -> Option<String> {
        let index = marks.iter().position(|mark| self.holds(mark))?;
        Some(format!("{name}[{index}]"))
    }

    fn holds(&self, mark: &Mark) -> bool {
        let Mark { selector, text, status, location } = mark;
        let text = text.as_deref().unwrap_or_default();
        let status_holds = status.is_none_or(|status| status == self.page.status);
        let location_holds =
            || location.as_ref().is_none_or(|pattern| self.page.hops.iter().any(|hop| pattern.matches(&hop.to)));
        let content_holds = || match selector {
            Some(selector) => self.html().is_some_and(|html| {
                html.select(selector.compiled())
                    .any(|element| text.is_empty() || element.text().collect::<String>().contains(text))
            }),
            None => self.page.body.contains(text),
        };
        status_holds && location_holds() && content_holds()
    }

    fn html(&self) -> Option<&Html> {
        self.html.get_or_init(|| html::parse(&self.page.body)).as_ref()
    }

    /// Whether a mark needed the page's elements, and they could not be read.
    fn is_unreadable(&self) -> bool {
        matches!(self.html.get(), Some(None))
    }
}

/// The block that the page shows, if any.
pub(super) fn blocked(view: &View<'_>, login: &FormLogin) -> Option<Evidence> {
    let blocks = [
        (Block::Locked, "locked", &login.locked),
        (Block::Banned, "banned", &login.banned),
        (Block::Challenge, "challenge", &login.challenge),
    ];
    blocks.into_iter().find_map(|(block, name, marks)| {
        let mark = view.shown(name, marks)?;
        Some(Evidence::from_page(Verdict::Blocked(block), &mark, view.page))
    })
}

fn logged_out(view: &View<'_>, login: &FormLogin) -> Option<String> {
    let login_path = login.page.as_str().split('?').next().unwrap_or_default();
    view.shown("logged_out", &login.logged_out)
        .or_else(|| (view.page.status == 401).then(|| "status 401".to_owned()))
        .or_else(|| view.page.was_redirected_to(login_path).then(|| "redirect to the login page".to_owned()))
}

#[cfg(test)]
mod tests;
