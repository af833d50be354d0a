//! One site: the keys of a `[[site]]` table and the checks that span several of them.
//!
//! Knows the drivers by name and shape, not what they do.

use std::{ops::Range, time::Duration};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use url::Url;

use super::{
    SitesError,
    form::{FormLogin, FormPost, FormTotp},
    mark::Marks,
    origin::Origin,
    read::{invalid, read, take_driven},
    text::{SiteName, SitePath},
};
use crate::limits::SITE_LIST_MAX;

/// A site that the operator has authorised. Only the sites file makes one.
///
/// Its keys: `domain`, `aliases`, `origins`, `allow_http`, `twofa_at_site`, `media_origins`, `allow_private_media`,
/// `limits` ([`SiteLimits`]), `login` ([`Login`]) and `post` ([`Post`]).
#[derive(Debug)]
#[non_exhaustive]
pub struct Site {
    /// The name that tasks use.
    pub domain: SiteName,
    /// Other names for it.
    pub aliases: Vec<SiteName>,
    /// Where it lives: 1 to [`SITE_LIST_MAX`] origins. Cookies and credentials go nowhere else.
    pub origins: Vec<Origin>,
    canonical: Origin,
    /// Whether a task's `twofa` secret is this site's (`false`: it is somebody else's, and is never used here).
    pub twofa_at_site: bool,
    /// How one logs in.
    pub login: Login,
    /// How one posts.
    pub post: Post,
    /// From where a task's images may be fetched.
    pub media: Media,
    /// Its bounds.
    pub limits: SiteLimits,
}

/// How one logs in to a site: `login = { driver = "form" | "wordpress" | "none", ... }`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Login {
    /// Nobody logs in: sessions come from people.
    None,
    /// Through an HTML form.
    Form(Box<FormLogin>),
    /// WordPress: its own form, and application passwords.
    WordPress {
        /// Where WordPress is below the origin, with a `/` at both ends.
        base: SitePath,
        /// Its login form.
        form: Box<FormLogin>,
    },
}

/// How one posts: `post = { driver = "form" | "wordpress", ... }`, or left out.
#[derive(Debug)]
#[non_exhaustive]
pub enum Post {
    /// Not through us.
    None,
    /// Through an HTML form.
    Form(Box<FormPost>),
    /// Through WordPress's REST API.
    WordPress {
        /// Where WordPress is below the origin, with a `/` at both ends.
        base: SitePath,
    },
}

/// From where images may be fetched: `media_origins` and `allow_private_media`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Media {
    /// At most [`SITE_LIST_MAX`] origins; none means no images.
    pub origins: Vec<Origin>,
    /// Whether a name among them may resolve to an address that is not public.
    pub allow_private: bool,
}

/// Bounds of one site, each with a default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SiteLimits {
    /// Most checkouts at a time: 1 to 64, by default 4, what one person's browser opens to a host.
    pub concurrency: u32,
    /// Longest wait for one answer, redirects included: 1 to 120 s, by default 30 s.
    pub request_timeout: Duration,
    /// Largest image: 1 KiB to 64 MiB, by default 8 MiB.
    pub image_max_bytes: u32,
    /// Most images of one post: 0 to 64, by default 16.
    pub images_max: u32,
    /// How long a lease lasts without renewal: 30 to 3600 s, by default 120 s.
    pub lease_ttl: Duration,
}

impl Site {
    /// Whether `url` is at one of the site's origins, the only places that cookies and credentials go to.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        self.origins.iter().any(|origin| origin.holds(url))
    }

    /// The first origin: where paths are resolved and flat cookies are scoped.
    #[must_use]
    pub const fn canonical_origin(&self) -> &Url {
        self.canonical.url()
    }

    /// `path` at the canonical origin; `None` when it leads elsewhere.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<Url> {
        self.canonical_origin().join(path).ok().filter(|url| self.allows(url))
    }

    /// The login form and its marks, where the site has one.
    #[must_use]
    pub fn login_form(&self) -> Option<&FormLogin> {
        match &self.login {
            Login::None => None,
            Login::Form(form) | Login::WordPress { form, .. } => Some(form),
        }
    }
}

/// A site and the places of its names, for the complaint about a name that is taken.
pub(super) struct Named {
    pub(super) site: Site,
    pub(super) names: Vec<(SiteName, Range<usize>)>,
}

/// Reads one `[[site]]` table.
pub(super) fn parse(text: &str, value: Spanned<DeValue<'_>>, key: &str) -> Result<Named, SitesError> {
    let span = value.span();
    let DeValue::Table(mut table) = value.into_inner() else {
        return Err(invalid(text, span, key, "a table is expected: write `[[site]]`"));
    };
    let login = parse_login(text, &mut table, key, span.clone())?;
    let post = parse_post(text, &mut table, key)?;
    let file: SiteTable = read(text, Spanned::new(span.clone(), DeValue::Table(table)), key)?;

    if let Some(extra) = file.aliases.get(SITE_LIST_MAX) {
        return Err(too_long(text, extra.span(), &format!("{key}.aliases")));
    }
    let origins = confidential(text, file.origins, file.allow_http, &format!("{key}.origins"))?;
    let media_origins = confidential(text, file.media_origins, file.allow_http, &format!("{key}.media_origins"))?;
    let Some(canonical) = origins.first().cloned() else {
        return Err(invalid(text, span, key, "`origins` is empty: list where the site lives"));
    };
    if !file.twofa_at_site && login_totp(&login).is_some() {
        let problem = "`login.totp` uses the account's TOTP secret: say so with `twofa_at_site = true`, or remove it";
        return Err(invalid(text, span, key, problem));
    }

    let names = std::iter::once(&file.domain).chain(&file.aliases);
    let names = names.map(|name| (name.get_ref().clone(), name.span())).collect();
    let site = Site {
        domain: file.domain.into_inner(),
        aliases: file.aliases.into_iter().map(Spanned::into_inner).collect(),
        origins,
        canonical,
        twofa_at_site: file.twofa_at_site,
        login,
        post,
        media: Media { origins: media_origins, allow_private: file.allow_private_media },
        limits: file.limits.into(),
    };
    Ok(Named { site, names })
}

fn parse_login(text: &str, table: &mut DeTable<'_>, key: &str, span: Range<usize>) -> Result<Login, SitesError> {
    let Some((driver, rest)) = take_driven(text, table, key, "login")? else {
        return Err(invalid(text, span, key, format!("missing field `login`: its `driver` is one of {LOGIN_DRIVERS}")));
    };
    let key = format!("{key}.login");
    match driver.get_ref().as_str() {
        "none" => read::<Nothing>(text, rest, &key).map(|Nothing {}| Login::None),
        "form" => read(text, rest, &key).map(|form| Login::Form(Box::new(form))),
        "wordpress" => {
            let place = rest.span();
            let file: WordPressTable = read(text, rest, &key)?;
            let form = wordpress_form(text, place, &key, &file.base)?;
            let WordPressTable { base, totp, locked, banned, challenge } = file;
            let form = FormLogin { totp, locked, banned, challenge, ..form };
            Ok(Login::WordPress { base: base.0, form: Box::new(form) })
        }
        _ => Err(unknown_driver(text, &driver, &key, LOGIN_DRIVERS)),
    }
}

fn parse_post(text: &str, table: &mut DeTable<'_>, key: &str) -> Result<Post, SitesError> {
    let Some((driver, rest)) = take_driven(text, table, key, "post")? else { return Ok(Post::None) };
    let key = format!("{key}.post");
    match driver.get_ref().as_str() {
        "form" => read(text, rest, &key).map(|form| Post::Form(Box::new(form))),
        "wordpress" => read::<WordPressPostTable>(text, rest, &key).map(|file| Post::WordPress { base: file.base.0 }),
        _ => Err(unknown_driver(text, &driver, &key, POST_DRIVERS)),
    }
}

/// WordPress's form in the form driver's words, through the same reader as an operator's own.
fn wordpress_form(text: &str, place: Range<usize>, key: &str, base: &BasePath) -> Result<FormLogin, SitesError> {
    let preset = WORDPRESS_FORM.replace("{base}", base.0.as_str());
    toml::from_str(&preset).map_err(|error| invalid(text, place, key, error.message()))
}

fn unknown_driver(text: &str, driver: &Spanned<String>, key: &str, known: &str) -> SitesError {
    invalid(text, driver.span(), &format!("{key}.driver"), format!("unknown driver; the known ones are {known}"))
}

fn login_totp(login: &Login) -> Option<&FormTotp> {
    match login {
        Login::None => None,
        Login::Form(form) | Login::WordPress { form, .. } => form.totp.as_ref(),
    }
}

/// Refuses clear http beyond this machine, unless the operator has said that it is meant.
fn confidential(
    text: &str,
    origins: Vec<Spanned<Origin>>,
    allow_http: bool,
    key: &str,
) -> Result<Vec<Origin>, SitesError> {
    if let Some(extra) = origins.get(SITE_LIST_MAX) {
        return Err(too_long(text, extra.span(), key));
    }
    for (index, origin) in origins.iter().enumerate() {
        if !allow_http && !origin.get_ref().is_confidential() {
            let problem = "http sends passwords in clear: use https, or allow it with `allow_http = true`";
            return Err(invalid(text, origin.span(), &format!("{key}[{index}]"), problem));
        }
    }
    Ok(origins.into_iter().map(Spanned::into_inner).collect())
}

fn too_long(text: &str, span: Range<usize>, key: &str) -> SitesError {
    invalid(text, span, key, format!("at most {SITE_LIST_MAX} entries are allowed"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteTable {
    domain: Spanned<SiteName>,
    #[serde(default)]
    aliases: Vec<Spanned<SiteName>>,
    origins: Vec<Spanned<Origin>>,
    #[serde(default)]
    allow_http: bool,
    #[serde(default)]
    twofa_at_site: bool,
    #[serde(default)]
    media_origins: Vec<Spanned<Origin>>,
    #[serde(default)]
    allow_private_media: bool,
    #[serde(default)]
    limits: LimitsTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordPressTable {
    #[serde(default)]
    base: BasePath,
    totp: Option<FormTotp>,
    #[serde(default)]
    locked: Marks,
    #[serde(default)]
    banned: Marks,
    #[serde(default)]
    challenge: Marks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordPressPostTable {
    #[serde(default)]
    base: BasePath,
}

/// A folder: the path ends with `/` and holds nothing that would have to be quoted in the preset.
#[derive(Deserialize)]
#[serde(try_from = "SitePath")]
struct BasePath(SitePath);

impl TryFrom<SitePath> for BasePath {
    type Error = &'static str;

    fn try_from(path: SitePath) -> Result<Self, Self::Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
        if path.as_str().ends_with('/') && path.as_str().chars().all(plain) {
            Ok(Self(path))
        } else {
            Err("the base is a folder: letters, digits and `/-_.~`, with a `/` at its end, as `/blog/`")
        }
    }
}

impl Default for BasePath {
    fn default() -> Self {
        Self(SitePath::root())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsTable {
    concurrency: Within<1, 64>,
    request_timeout_s: Within<1, 120>,
    image_max_bytes: Within<1024, { 64 * 1024 * 1024 }>,
    images_max: Within<0, 64>,
    lease_ttl_s: Within<30, 3600>,
}

impl Default for LimitsTable {
    fn default() -> Self {
        Self {
            concurrency: Within(4),
            request_timeout_s: Within(30),
            image_max_bytes: Within(8 * 1024 * 1024),
            images_max: Within(16),
            lease_ttl_s: Within(120),
        }
    }
}

impl From<LimitsTable> for SiteLimits {
    fn from(file: LimitsTable) -> Self {
        Self {
            concurrency: file.concurrency.0,
            request_timeout: Duration::from_secs(file.request_timeout_s.0.into()),
            image_max_bytes: file.image_max_bytes.0,
            images_max: file.images_max.0,
            lease_ttl: Duration::from_secs(file.lease_ttl_s.0.into()),
        }
    }
}

/// A whole number between two bounds, both allowed.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Within<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> TryFrom<u32> for Within<LEAST, MOST> {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        if (LEAST..=MOST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("a number from {LEAST} to {MOST} is expected"))
        }
    }
}

const LOGIN_DRIVERS: &str = "\"form\", \"wordpress\", \"none\"";
const POST_DRIVERS: &str = "\"form\", \"wordpress\"";
const WORDPRESS_FORM: &str = include_str!("wordpress.toml");
