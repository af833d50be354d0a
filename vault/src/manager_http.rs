//! One HTTP call to the manager: its key, its envelope, its refusals, and what a failure means for a retry.
//!
//! Deliberately knows no area of the contract: tasks and accounts are paths and JSON here. It repeats nothing, follows no
//! redirect and takes no proxy from the environment.

mod base_url;
mod body;
mod error;
mod json;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    limits::{MANAGER_BODY_MAX_BYTES, MANAGER_ID_MAX_BYTES, MANAGER_MESSAGE_MAX_CHARS, MANAGER_REFUSAL_MAX_BYTES},
    model::Secret,
    retry_after::retry_after,
    text::escape_bounded,
    tls::{self, TlsError},
};

pub use base_url::{BaseUrl, BaseUrlError};
pub use body::JsonBody;
pub use error::{CallError, Class, Unusable};
pub use json::Json;

/// How the manager is reached.
#[derive(Debug)]
pub struct ManagerConfig {
    /// Where its API begins.
    pub base_url: BaseUrl,
    /// The `X-API-Key`: 1 to 1024 visible ASCII characters.
    pub key: Secret,
    /// For a whole call, from the connection to the last byte of the answer: above zero, at most ten minutes.
    pub timeout: Duration,
    /// The `User-Agent`, a legal header value.
    pub user_agent: String,
    /// PEM certificates to trust beside the machine's, for a manager with a private authority.
    pub extra_roots_pem: Option<Vec<u8>>,
}

/// Why no client was made of a configuration. Nothing was sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The key is empty, too long or holds other characters than visible ASCII.
    #[error("the manager's API key must have 1 to 1024 visible ASCII characters (is there a line break at its end?)")]
    Key,
    /// The timeout is zero or above ten minutes.
    #[error("the manager's timeout must be above 0 s and at most 600 s")]
    Timeout,
    /// The extra roots or TLS itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client refuses its settings: a User-Agent that is no header value.
    #[error("the manager's HTTP client cannot be built: is the User-Agent a legal header value?")]
    Client(#[source] reqwest::Error),
}

/// What the manager answers where it did what was asked: the object around `data`.
#[derive(Debug)]
pub struct Envelope {
    status: u16,
    json: Json,
}

impl Envelope {
    /// The member `name` of the answer; `None` where there is none, which is not `null`.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Json> {
        self.json.member(name)
    }

    /// The error for an answer that holds something else than the call's own part of the contract says.
    #[must_use]
    pub fn unusable(&self) -> CallError {
        CallError::NoAnswer { status: Some(self.status), reason: Unusable::NotTheContract }
    }
}

/// Speaks to one manager. Calls may run side by side over shared connections.
#[derive(Debug)]
pub struct ManagerClient {
    base_url: BaseUrl,
    key: Secret,
    http: reqwest::Client,
}

impl ManagerClient {
    /// A client for this manager; connects to nothing yet.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn new(config: ManagerConfig) -> Result<Self, ConfigError> {
        // EXPOSE: its letters are checked once here, so that making a header of them cannot fail later.
        let key = config.key.expose();
        if key.is_empty() || key.len() > KEY_MAX_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::Key);
        }
        if config.timeout.is_zero() || config.timeout > TIMEOUT_MAX {
            return Err(ConfigError::Timeout);
        }
        let http = tls::client_builder(config.extra_roots_pem.as_deref())?
            .timeout(config.timeout)
            // A share of the whole, so that a failed connection is told apart from a lost answer.
            .connect_timeout((config.timeout / 2).min(CONNECT_TIMEOUT_MAX))
            .user_agent(config.user_agent)
            .build()
            .map_err(ConfigError::Client)?;
        Ok(Self { base_url: config.base_url, key: config.key, http })
    }

    /// GETs `path` (segments below `/api/v1`, each percent-encoded) with `query`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Envelope, CallError> {
        self.call(Method::GET, path, query, None).await
    }

    /// POSTs `body`, or nothing, to `path`.
    ///
    /// # Errors
    /// See [`CallError`]; after [`Class::Ambiguous`] the manager may have done what was asked.
    pub async fn post(&self, path: &[&str], body: Option<JsonBody>) -> Result<Envelope, CallError> {
        self.call(Method::POST, path, &[], body).await
    }

    /// PUTs `body` to `path`.
    ///
    /// # Errors
    /// See [`CallError`]; after [`Class::Ambiguous`] the manager may have done what was asked.
    pub async fn put(&self, path: &[&str], body: JsonBody) -> Result<Envelope, CallError> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<JsonBody>,
    ) -> Result<Envelope, CallError> {
        if !path.iter().all(|segment| is_id(segment)) {
            return Err(CallError::Unsendable {
                what: "a part of its path is empty, too long, dots or control characters",
            });
        }
        let mut request = self
            .http
            .request(method, self.base_url.join(path, query))
            .header(ACCEPT, HeaderValue::from_static(JSON))
            .header(KEY_HEADER, self.key_header()?);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(JSON)).body(body.into_bytes());
        }
        match request.send().await {
            Ok(response) => self.answer(response).await,
            Err(error) if error.is_connect() || error.is_builder() => {
                Err(CallError::NotSent { source: error.without_url() })
            }
            Err(error) => Err(CallError::NoAnswer { status: None, reason: body::lost(&error) }),
        }
    }

    async fn answer(&self, mut response: Response) -> Result<Envelope, CallError> {
        let status = response.status();
        if status.is_success() {
            let unusable = |reason| CallError::NoAnswer { status: Some(status.as_u16()), reason };
            let bytes = body::read(&mut response, MANAGER_BODY_MAX_BYTES).await.map_err(unusable)?;
            let json = Json::parse(&bytes).map_err(unusable)?;
            return match json.member("success") {
                Some(Json::Bool(true)) => Ok(Envelope { status: status.as_u16(), json }),
                Some(Json::Bool(false)) => {
                    Err(CallError::Rejected { status: status.as_u16(), message: self.message(&json) })
                }
                _ => Err(unusable(Unusable::NotTheContract)),
            };
        }
        let retry_after = retry_after(response.headers(), SystemTime::now());
        // The status stands whatever becomes of the body; only a 404 needs the manager's own words, since that of a
        // proxy or of a wrong base URL says nothing of the task or the account.
        let refusal = match body::read(&mut response, MANAGER_REFUSAL_MAX_BYTES).await {
            Ok(bytes) => {
                Json::parse(&bytes).ok().filter(|json| matches!(json.member("success"), Some(Json::Bool(false))))
            }
            Err(_) => None,
        };
        let message = refusal.as_ref().map(|json| self.message(json));
        let status_code = status.as_u16();
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CallError::Unauthorized { status: status_code },
            StatusCode::TOO_MANY_REQUESTS => CallError::RateLimited { retry_after },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
                CallError::Unavailable { status: status_code, retry_after }
            }
            _ if status.is_server_error() => CallError::Unavailable { status: status_code, retry_after },
            StatusCode::NOT_FOUND => match message {
                Some(message) => CallError::NotFound { message },
                None => CallError::NoAnswer { status: Some(status_code), reason: Unusable::NotTheContract },
            },
            _ if status.is_client_error() => {
                CallError::Rejected { status: status_code, message: message.unwrap_or_default() }
            }
            _ if status.is_redirection() => CallError::Redirected { status: status_code },
            _ => CallError::NoAnswer { status: Some(status_code), reason: Unusable::NotTheContract },
        })
    }

    /// The answer's `message`, fit to be shown: bounded, escaped, and without the key, should the manager echo it.
    fn message(&self, answer: &Json) -> String {
        let Some(message) = answer.member("message").and_then(Json::text) else { return String::new() };
        // EXPOSE: the manager's words to a person are no credential; the key is looked for so that it is not kept.
        let without_key = message.expose().replace(self.key.expose(), "[key]");
        escape_bounded(&without_key, MANAGER_MESSAGE_MAX_CHARS)
    }

    fn key_header(&self) -> Result<HeaderValue, CallError> {
        // EXPOSE: the manager asks for the key with every request; the header's buffer is wiped when it is dropped.
        let bytes = Bytes::from_owner(Zeroizing::new(self.key.expose().as_bytes().to_vec()));
        let mut header = HeaderValue::from_maybe_shared(bytes)
            .map_err(|_| CallError::Unsendable { what: "its key is no header value" })?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Whether `text` can name a task or an account in a path: 1 to [`MANAGER_ID_MAX_BYTES`] bytes, no control characters,
/// and not `.` or `..`, which a URL would swallow.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=MANAGER_ID_MAX_BYTES).contains(&text.len())
        && !text.chars().any(char::is_control)
        && text != "."
        && text != ".."
}

/// Longest key, in bytes: keys in use have 16 to 256.
const KEY_MAX_BYTES: usize = 1024;
/// Longest timeout of a call: one connection must not hold a report back for longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Longest wait for a connection: RFC 6298 has sent its third SYN after 7 s.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);
const KEY_HEADER: &str = "x-api-key";
const JSON: &str = "application/json";

#[cfg(test)]
pub(crate) mod raw_server;
#[cfg(test)]
mod tests;
