//! A browser of the least kind: a cookie jar, forms, no redirects of its own.
//!
//! It does not know what a page ought to say.

use std::sync::Arc;

use cookie_store::CookieStore;
use latchkey_practice_site::{Behaviour, ManualClock, NewAccount, Site, SiteConfig, SiteHandle};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use scraper::{Html, Selector};
use url::Url;

/// Where tests set the clock: 2025-01-01, a moment before every real run.
pub(crate) const NOW: u64 = 1_735_689_600;

/// An 160-bit TOTP secret.
pub(crate) const TOTP: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A client with a jar.
pub(crate) struct Browser {
    client: Client,
    origin: Url,
    pub(crate) jar: CookieStore,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

/// A site with a clock that stands at [`NOW`], and with `ada`, whose password is `right`.
pub(crate) async fn site_with(behaviour: Behaviour) -> (SiteHandle, ManualClock) {
    let clock = ManualClock::at(NOW);
    let config = SiteConfig { clock: Arc::new(clock.clone()), behaviour, ..SiteConfig::default() };
    let site = Site::start(config).await.unwrap();
    site.add_account(NewAccount::new("ada", "right").email("ada@example.org").app_password("app word")).unwrap();
    (site, clock)
}

pub(crate) async fn site() -> SiteHandle {
    site_with(Behaviour::default()).await.0
}

/// A client that follows nothing and knows no proxy.
pub(crate) fn client() -> Client {
    // The second test of this process finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(Policy::none()).no_proxy().build().unwrap()
}

impl Browser {
    pub(crate) fn new(site: &SiteHandle) -> Self {
        let origin = Url::parse(&site.origin()).unwrap();
        Self { client: client(), origin, jar: CookieStore::default() }
    }

    /// A browser that has logged in.
    pub(crate) async fn logged_in(site: &SiteHandle, username: &str, password: &str) -> Self {
        let mut browser = Self::new(site);
        let page = browser.log_in(username, password).await;
        assert_eq!(page.status, StatusCode::FOUND);
        browser
    }

    /// A browser with nothing but this `Cookie` header's cookies, at the root path.
    pub(crate) fn with_cookies(site: &SiteHandle, cookies: &str) -> Self {
        let mut browser = Self::new(site);
        for pair in cookies.split("; ") {
            browser.jar.parse(&format!("{pair}; Path=/"), &browser.origin).unwrap();
        }
        browser
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.origin.join(path).unwrap();
        let request = self.client.request(method, url.clone());
        match self.cookies_for(path) {
            cookies if cookies.is_empty() => request,
            cookies => request.header("cookie", cookies),
        }
    }

    /// What the jar sends to a path.
    pub(crate) fn cookies_for(&self, path: &str) -> String {
        let url = self.origin.join(path).unwrap();
        let pairs: Vec<String> =
            self.jar.get_request_values(&url).map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Page {
        self.try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(&mut self, request: RequestBuilder) -> reqwest::Result<Page> {
        let response = request.send().await?;
        let url = response.url().clone();
        let (status, headers) = (response.status(), response.headers().clone());
        for line in headers.get_all("set-cookie") {
            // A deletion of what the jar does not hold is an error to it and none to a browser.
            let _ = self.jar.parse(line.to_str().unwrap(), &url);
        }
        Ok(Page { status, headers, body: response.text().await? })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        let request = self.request(Method::POST, path).form(fields);
        self.send(request).await
    }

    /// Loads the login form and sends it.
    pub(crate) async fn log_in(&mut self, username: &str, password: &str) -> Page {
        let form = self.get("/login").await.fill("login", &[("username", username), ("password", password)]);
        self.post("/login", &form).await
    }

    /// Loads the post form and sends it.
    pub(crate) async fn publish(&mut self, title: &str, body: &str) -> Page {
        let form = self.get("/post/new").await.fill("post", &[("title", title), ("body", body)]);
        self.post("/post", &form).await
    }

    /// Whether the site knows this browser.
    pub(crate) async fn is_logged_in(&mut self) -> bool {
        self.get("/api/me").await.status == StatusCode::OK
    }
}

impl Page {
    pub(crate) fn has(&self, selector: &str) -> bool {
        self.text_of(selector).is_some()
    }

    pub(crate) fn text_of(&self, selector: &str) -> Option<String> {
        let page = Html::parse_document(&self.body);
        let selector = Selector::parse(selector).unwrap();
        page.select(&selector).next().map(|element| element.text().collect())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect()
    }

    /// The hidden fields of a form, with these added.
    pub(crate) fn fill(&self, form_id: &str, fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let page = Html::parse_document(&self.body);
        let hidden = Selector::parse(&format!("form#{form_id} input[type=hidden]")).unwrap();
        let hidden = page
            .select(&hidden)
            .map(|input| (input.attr("name").unwrap().to_owned(), input.attr("value").unwrap().to_owned()));
        let added = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        hidden.chain(added).collect()
    }
}

/// The code of [`TOTP`] at a time.
pub(crate) fn code_at(unix_s: u64) -> String {
    let key = data_encoding::BASE32_NOPAD.decode(TOTP.as_bytes()).unwrap();
    totp_rs::Builder::new().with_secret(key).build_noncompliant().generate(unix_s).to_string()
}
