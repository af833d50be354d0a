//! Logging in through an HTML form as the sites file declares it, with a second form for TOTP.
//!
//! ```text
//! page ─form→ password ─answer→ [code ─answer→] logged-in mark, or the probe
//! ```
//!
//! Up to the password everything may be repeated (`NotSent`); after it nothing is. Knows no accounts and no budgets.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Block, Evidence, LoginIdentity, LoginOutcome, SiteAuth, TotpSource, Verdict,
    evidence::{View, blocked, judge},
    html_form::{FormError, HtmlForm},
};
use crate::{
    cookies::Jar,
    model::Secret,
    site_http::{Page, SiteClient, SiteError, SiteRequest},
    sites::{FormLogin, FormTotp, LoginName, SitePath},
};

/// A login form of one site.
pub(super) struct FormAuth {
    client: Arc<SiteClient>,
    login: FormLogin,
}

/// A login that ended before its last step; the outcome says how.
type Ended = LoginOutcome;

impl FormAuth {
    pub(super) const fn new(client: Arc<SiteClient>, login: FormLogin) -> Self {
        Self { client, login }
    }

    pub(super) fn client(&self) -> &SiteClient {
        &self.client
    }

    pub(super) const fn login(&self) -> &FormLogin {
        &self.login
    }

    async fn get(&self, path: &SitePath, jar: &mut Jar) -> Result<Page, SiteError> {
        let url = self.client.site().resolve(path.as_str());
        let url = url.ok_or(SiteError::NotSent { reason: "the path leads away from the site" })?;
        self.client.send(SiteRequest::get(url), jar).await
    }

    async fn try_log_in(
        &self,
        who: &LoginIdentity<'_>,
        jar: &mut Jar,
        totp: &mut dyn TotpSource,
    ) -> Result<LoginOutcome, Ended> {
        let (name, password) = self.credentials(who)?;
        let page = self.get(&self.login.page, jar).await.map_err(|error| LoginOutcome::NotSent(error.to_string()))?;
        if let Some(outcome) = self.before_sending(&page) {
            return Ok(outcome);
        }
        let answer = self.send_password(&page, name, password, jar).await?;
        self.refused(&answer, Block::WrongCredentials)?;
        let answer = match &self.login.totp {
            None => answer,
            Some(step) => self.second_step(step, answer, who, jar, totp).await?,
        };
        Ok(self.conclude(&answer, jar).await)
    }

    fn credentials<'w>(&self, who: &LoginIdentity<'w>) -> Result<(&'w str, &'w Secret), Ended> {
        let name = match self.login.login_as {
            LoginName::Username => who.username.or(who.email),
            LoginName::Email => who.email.or(who.username),
        };
        let missing = |what: &str| block(Block::MissingCredential, what);
        let name = name.ok_or_else(|| missing("the account has no user name and no email address"))?;
        Ok((name, who.password.ok_or_else(|| missing("the account has no password"))?))
    }

    /// What the login page itself already decides.
    fn before_sending(&self, page: &Page) -> Option<LoginOutcome> {
        let evidence = judge(page, &self.login);
        match evidence.verdict {
            Verdict::Live => Some(LoginOutcome::LoggedIn(evidence)),
            Verdict::Blocked(block) => Some(LoginOutcome::Blocked(block, evidence)),
            _ if page.status == 429 => Some(rate_limited(page)),
            Verdict::Expired | Verdict::Unknown => None,
        }
    }

    async fn send_password(&self, page: &Page, name: &str, password: &Secret, jar: &mut Jar) -> Result<Page, Ended> {
        let mut form = HtmlForm::find(page, &self.login.form).map_err(not_sent)?;
        for (field, value) in &self.login.extra {
            form.set_or_add(field.as_str(), value);
        }
        form.set(self.login.username_field.as_str(), name).map_err(not_sent)?;
        // EXPOSE: the login form of a listed origin is where the password goes, in a buffer that is wiped.
        form.set(self.login.password_field.as_str(), password.expose()).map_err(not_sent)?;
        let request = form.into_request(&[]).await.map_err(not_sent)?;
        self.client.send(request, jar).await.map_err(|error| match error.nothing_sent() {
            true => LoginOutcome::NotSent(error.to_string()),
            false => LoginOutcome::Ambiguous(Evidence::from_error(&error)),
        })
    }

    /// Ends the login where the answer to a credential names a block or a refusal.
    fn refused(&self, answer: &Page, meaning: Block) -> Result<(), Ended> {
        let view = View::new(answer);
        if let Some(evidence) = blocked(&view, &self.login)
            && let Verdict::Blocked(block) = evidence.verdict
        {
            return Err(LoginOutcome::Blocked(block, evidence));
        }
        if let Some(mark) = view.shown("refused", &self.login.refused) {
            let evidence = Evidence::from_page(Verdict::Blocked(meaning), &mark, answer);
            return Err(LoginOutcome::Blocked(meaning, evidence));
        }
        match answer.status {
            429 => Err(rate_limited(answer)),
            500.. => {
                let what = "the login was answered with an error";
                Err(LoginOutcome::Ambiguous(Evidence::from_page(Verdict::Unknown, what, answer)))
            }
            _ => Ok(()),
        }
    }

    /// Sends the code where the site asks for one; otherwise `answer` comes back as it is.
    async fn second_step(
        &self,
        step: &FormTotp,
        answer: Page,
        who: &LoginIdentity<'_>,
        jar: &mut Jar,
        totp: &mut dyn TotpSource,
    ) -> Result<Page, Ended> {
        let asks = |page: &Page| HtmlForm::find(page, &step.form);
        let (page, form) = match (asks(&answer), &step.page) {
            (Ok(form), _) => (answer, form),
            (Err(_), None) => return Ok(answer),
            (Err(_), Some(_)) if judge(&answer, &self.login).verdict == Verdict::Live => {
                return Ok(answer);
            }
            (Err(_), Some(path)) => {
                let page = self.get(path, jar).await;
                let page = page.map_err(|error| LoginOutcome::Ambiguous(Evidence::from_error(&error)))?;
                match asks(&page) {
                    Ok(form) => (page, form),
                    Err(_) => return Ok(answer),
                }
            }
        };
        let answer = self.send_code(step, &page, form, who, jar, totp).await?;
        self.refused(&answer, Block::SecondFactor)?;
        Ok(answer)
    }

    async fn send_code(
        &self,
        step: &FormTotp,
        page: &Page,
        mut form: HtmlForm,
        who: &LoginIdentity<'_>,
        jar: &mut Jar,
        totp: &mut dyn TotpSource,
    ) -> Result<Page, Ended> {
        let lacking = |what: &str| block(Block::SecondFactor, what);
        if !who.has_totp {
            return Err(lacking("the site asks for a code and the account has no TOTP secret"));
        }
        // The step must not be spent on a form that cannot take it.
        form.set(step.field.as_str(), "").map_err(|error| lacking(&error.to_string()))?;
        if let Some(site_ms) = page.date_ms {
            totp.observe_site_clock(site_ms, self.client.now_ms());
        }
        let code = totp.code().await.map_err(|unavailable| lacking(&unavailable.to_string()))?;
        // EXPOSE: the second form of a listed origin is where the code goes.
        form.set_or_add(step.field.as_str(), code.expose());
        let request = form.into_request(&[]).await.map_err(|error| lacking(&error.to_string()))?;
        let answer = self.client.send(request, jar).await;
        answer.map_err(|error| LoginOutcome::Ambiguous(Evidence::from_error(&error)))
    }

    /// Asks the answer, and where it shows no mark the probe, whether one is logged in.
    async fn conclude(&self, answer: &Page, jar: &mut Jar) -> LoginOutcome {
        let seen = judge(answer, &self.login);
        if seen.verdict == Verdict::Live {
            return LoginOutcome::LoggedIn(seen);
        }
        let probed = self.probe_session(jar).await;
        match probed.verdict {
            Verdict::Live => LoginOutcome::LoggedIn(probed),
            Verdict::Blocked(block) => LoginOutcome::Blocked(block, probed),
            Verdict::Expired => {
                let verdict = Verdict::Blocked(Block::Unexplained);
                LoginOutcome::Blocked(Block::Unexplained, Evidence { verdict, ..probed })
            }
            Verdict::Unknown => LoginOutcome::Ambiguous(probed),
        }
    }

    async fn probe_session(&self, jar: &mut Jar) -> Evidence {
        match self.get(&self.login.probe, jar).await {
            Ok(page) => judge(&page, &self.login),
            Err(error) => Evidence::from_error(&error),
        }
    }
}

#[async_trait]
impl SiteAuth for FormAuth {
    async fn probe(&self, jar: &mut Jar, _: &LoginIdentity<'_>) -> Evidence {
        self.probe_session(jar).await
    }

    async fn log_in(&self, who: &LoginIdentity<'_>, jar: &mut Jar, totp: &mut dyn TotpSource) -> LoginOutcome {
        self.try_log_in(who, jar, totp).await.unwrap_or_else(|ended| ended)
    }
}

fn not_sent(error: FormError) -> LoginOutcome {
    LoginOutcome::NotSent(error.to_string())
}

fn block(block: Block, what: &str) -> LoginOutcome {
    LoginOutcome::Blocked(block, Evidence::new(Verdict::Blocked(block), what))
}

fn rate_limited(page: &Page) -> LoginOutcome {
    let verdict = Verdict::Blocked(Block::RateLimited);
    LoginOutcome::Blocked(Block::RateLimited, Evidence::from_page(verdict, "status 429", page))
}

#[cfg(test)]
mod tests;
