//! How one logs in and posts through plain HTML forms, as the sites file declares it. Knows no HTML and no HTTP.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    mark::Marks,
    text::{CssSelector, FieldName, LocationPattern, PathTemplate, SitePath},
};

/// A login form and the marks that tell its outcomes apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FormLogin {
    /// The page with the form. A redirect to this very path counts as logged out.
    pub page: SitePath,
    /// The form on it.
    pub form: CssSelector,
    /// Which of the account's names the form asks for.
    #[serde(default)]
    pub login_as: LoginName,
    /// The field for that name.
    pub username_field: FieldName,
    /// The field for the password.
    pub password_field: FieldName,
    /// Fields with fixed values, such as "remember me".
    #[serde(default)]
    pub extra: BTreeMap<FieldName, String>,
    /// The second step, where the site has one.
    pub totp: Option<FormTotp>,
    /// A page that shows whether one is logged in.
    pub probe: SitePath,
    /// What proves a live session.
    pub logged_in: Marks,
    /// What proves an ended session; a 401 and a redirect to `page` do so too.
    pub logged_out: Marks,
    /// What the answer to a wrong name, password or code shows.
    #[serde(default)]
    pub refused: Marks,
    /// What a locked account is shown.
    #[serde(default)]
    pub locked: Marks,
    /// What a banned account is shown.
    #[serde(default)]
    pub banned: Marks,
    /// What a challenge (CAPTCHA, "verify it is you") looks like.
    #[serde(default)]
    pub challenge: Marks,
}

/// Which of an account's names a login form takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginName {
    /// The user name, or the email address where the account has no user name.
    #[default]
    Username,
    /// The email address, or the user name where the account has no email address.
    Email,
}

/// The form that asks for a TOTP code after the password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FormTotp {
    /// Where the form is, when the answer to the password does not show it.
    pub page: Option<SitePath>,
    /// The form.
    pub form: CssSelector,
    /// The field for the code.
    pub field: FieldName,
}

/// A form that publishes a post.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FormPost {
    /// The page with the form.
    pub page: SitePath,
    /// The form on it.
    pub form: CssSelector,
    /// The field for the title, on sites whose posts have one.
    pub title_field: Option<FieldName>,
    /// The field for the HTML body.
    pub body_field: FieldName,
    /// The file field for images; without it a post with images is refused.
    pub image_field: Option<FieldName>,
    /// Where the site redirects to after it has published: the link of the post.
    pub posted: LocationPattern,
    /// Whether the site takes an account's own app password (HTTP Basic) here in place of a session.
    #[serde(default)]
    pub app_password: bool,
    /// What the answer to a post that the site does not take shows; nothing was published then.
    #[serde(default)]
    pub refused: Marks,
    /// How a post is found again whose answer was lost.
    pub find: Option<FindPosts>,
}

/// A list of the account's posts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FindPosts {
    /// The page with the list.
    pub page: PathTemplate,
    /// What shows that this is the list, also when it is empty: without this evidence nothing counts as absent.
    pub list: Marks,
    /// The links to the posts (`a` elements) on it.
    pub links: CssSelector,
}
