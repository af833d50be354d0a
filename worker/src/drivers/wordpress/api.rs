//! Calls of WordPress's REST API, authorised one way or the other, and what their refusals mean. Knows no posts.

use latchkey_vault::{
    Secret,
    cookies::Jar,
    login::{Block, Evidence, NonceError, Verdict, judge, rest_nonce},
    site_http::{Page, SiteClient, SiteError, SiteRequest},
    sites::SitePath,
};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::super::{BorrowedSession, Deadline, Image, Outcome, ended, refused, retry};

/// The API with what proves the session.
pub(super) struct Api<'s> {
    client: &'s SiteClient,
    base: &'s SitePath,
    deadline: &'s Deadline,
    proof: Proof<'s>,
}

enum Proof<'s> {
    /// HTTP Basic, without cookies: beside a cookie WordPress demands a nonce and drops the password.
    AppPassword { username: &'s str, password: &'s Secret },
    /// The session's cookies and the nonce that goes with them.
    Session { jar: &'s mut Jar, nonce: Secret },
}

/// An answer and its JSON, `Null` where it has none.
pub(super) struct Answer {
    pub(super) page: Page,
    pub(super) json: Value,
}

impl<'s> Api<'s> {
    /// The API with the session's app password, or else with its cookies and a fresh nonce.
    pub(super) async fn open<'b: 's>(
        client: &'s SiteClient,
        base: &'s SitePath,
        session: &'s mut BorrowedSession<'b>,
        deadline: &'s Deadline,
    ) -> Result<Self, Outcome> {
        let proof = match (session.username, session.app_password) {
            (Some(username), Some(password)) => Proof::AppPassword { username, password },
            _ => {
                let nonce = rest_nonce(client, base, session.jar).await.map_err(without_nonce)?;
                Proof::Session { jar: session.jar, nonce }
            }
        };
        Ok(Self { client, base, deadline, proof })
    }

    pub(super) async fn get(&mut self, route: &str, query: &[(&str, &str)]) -> Result<Answer, SiteError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let url = self.url(&format!("{route}?{query}"))?;
        self.send(SiteRequest::get(url)).await
    }

    pub(super) async fn post_json(&mut self, route: &str, body: &Value) -> Result<Answer, SiteError> {
        let url = self.url(route)?;
        // A redirect would turn the POST into a GET, and its answer into that of another request.
        self.send(SiteRequest::post_json(url, body).without_redirects()).await
    }

    pub(super) async fn post_file(&mut self, route: &str, image: &Image) -> Result<Answer, SiteError> {
        let url = self.url(route)?;
        let disposition = Secret::new(format!("attachment; filename=\"{}\"", image.name));
        let request = SiteRequest::post_bytes(url, image.mime, image.bytes.clone()).without_redirects();
        self.send(request.header("content-disposition", &disposition)?).await
    }

    /// What a refusal means for the session or the post; `None` where the answer is none that WordPress gives.
    pub(super) fn refusal(&self, answer: &Answer) -> Option<Outcome> {
        let page = &answer.page;
        let judged = self.client.site().login_form().map(|login| judge(page, login));
        if let Some(evidence) = judged.filter(|evidence| matches!(evidence.verdict, Verdict::Blocked(_))) {
            return ended(evidence);
        }
        let code = known_code(answer)?;
        let evidence = |verdict| Evidence::from_page(verdict, code, page);
        match (page.status, &self.proof) {
            (401, Proof::AppPassword { .. }) => ended(evidence(Verdict::Blocked(Block::WrongCredentials))),
            (401, Proof::Session { .. }) => ended(evidence(Verdict::Expired)),
            (403, Proof::Session { .. }) if code == "rest_cookie_invalid_nonce" => ended(evidence(Verdict::Expired)),
            (400..=499, _) if page.status != 429 => Some(refused(format!("WordPress answers {code}"))),
            _ => None,
        }
    }

    fn url(&self, route: &str) -> Result<Url, SiteError> {
        let path = format!("{}wp-json/{route}", self.base.as_str());
        let url = self.client.site().resolve(&path);
        url.ok_or(SiteError::NotSent { reason: "the path leads away from the site" })
    }

    async fn send(&mut self, request: SiteRequest<'_>) -> Result<Answer, SiteError> {
        let request = request.until(self.deadline.instant());
        let page = match &mut self.proof {
            Proof::AppPassword { username, password } => {
                self.client.send(request.basic(username, password), &mut Jar::new()).await?
            }
            Proof::Session { jar, nonce } => self.client.send(request.header("x-wp-nonce", nonce)?, jar).await?,
        };
        let json = serde_json::from_str(&page.body).unwrap_or(Value::Null);
        Ok(Answer { page, json })
    }
}

/// The code of an error, or a word for an answer without one.
pub(super) fn code(answer: &Answer) -> &str {
    known_code(answer).unwrap_or("no code")
}

/// Codes are identifiers; anything else is not repeated.
fn known_code(answer: &Answer) -> Option<&str> {
    let code = answer.json.get("code")?.as_str()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (!code.is_empty() && code.len() <= CODE_MAX_BYTES && code.bytes().all(is_plain)).then_some(code)
}

fn without_nonce(error: NonceError) -> Outcome {
    match error {
        NonceError::Refused(evidence) => {
            let reason = format!("no nonce: {}", evidence.mark);
            let after = evidence.retry_after;
            ended(evidence).unwrap_or(Outcome::Retry { after, reason })
        }
        other => retry(other),
    }
}

/// The longest code of WordPress's own has 41 characters; plugins' are somewhat longer.
const CODE_MAX_BYTES: usize = 80;
