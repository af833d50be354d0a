//! A real WordPress on a private MariaDB, served by PHP on a port of its own choice.
//!
//! What tests do to it behind its back (users, sessions, expiry) goes through WordPress's own PHP functions; what they
//! read goes through its own REST interface. How Latchkey logs in and posts is deliberately not known here.

mod launch;

use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use self::launch::{require_extensions, start_database, start_web, tool};
use super::sandbox::{Sandbox, Server};
use super::{FixtureError, install_tls_provider};

/// A running WordPress; dropping it ends every process of it and removes its folder.
#[derive(Debug)]
pub struct WordPress {
    url: Url,
    admin: Admin,
    client: Client,
    // Dropped in this order: the servers before their sandbox.
    _servers: [Server; 2],
    sandbox: Sandbox,
}

/// The administrator, made anew with each server.
#[derive(Debug)]
pub struct Admin {
    /// Login name.
    pub user: String,
    /// Password of the login form.
    pub password: String,
    /// Password for REST with basic authentication, in groups of four characters.
    pub application_password: String,
}

/// How often somebody tried to log in, as WordPress itself saw it: by form or XML-RPC, not by a seeded cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoginCount {
    /// Logins that WordPress granted.
    pub succeeded: usize,
    /// Logins that WordPress refused.
    pub failed: usize,
}

/// A post as WordPress stores it: what an author writes as `&` is stored as `&amp;`, in titles too.
#[derive(Debug, PartialEq, Eq)]
pub struct Post {
    /// WordPress's number of it.
    pub id: u64,
    /// `publish`, `draft`, `pending` and so on.
    pub status: String,
    /// The title, unrendered.
    pub title: String,
    /// The HTML, unrendered.
    pub content: String,
    /// Where readers find it.
    pub link: String,
    /// The number of the medium shown with it.
    pub featured_media: Option<u64>,
}

/// An uploaded file.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Media {
    /// WordPress's number of it.
    pub id: u64,
    /// The user who uploaded it.
    pub author: u64,
    /// Its type as WordPress recognised it.
    pub mime_type: String,
    /// Where the file itself is.
    pub source_url: String,
}

impl WordPress {
    /// Starts a new one with nothing in it but its administrator and WordPress's own first post. Takes some seconds.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Missing`] when a package is not installed; any other says what went wrong. Nothing keeps running.
    pub async fn start() -> Result<WordPress, FixtureError> {
        install_tls_provider();
        let code = Path::new(CODE);
        if !code.is_dir() {
            return Err(FixtureError::Missing { program: CODE, package: "wordpress" });
        }
        let sandbox = Sandbox::new("wordpress")?;
        require_extensions(&sandbox).await?;
        let www = sandbox.copy(code, "www")?;
        sandbox.write("www/wp-config.php", include_str!("wordpress/wp-config.php"))?;
        sandbox.write("tool.php", include_str!("wordpress/tool.php"))?;
        for folder in ["ledger", "tmp", "www/wp-content/uploads", "www/wp-content/mu-plugins"] {
            sandbox.make_folder(folder)?;
        }
        sandbox.write("www/wp-content/mu-plugins/ledger.php", include_str!("wordpress/ledger.php"))?;

        let database = start_database(&sandbox).await?;
        let (web, url) = start_web(&sandbox, &www).await?;
        let request = json!({"verb": "install", "user": "admin", "email": "admin@example.test", "password": PASSWORD});
        let application_password = tool(&sandbox, &url, request).await?;
        let admin = Admin { user: "admin".into(), password: PASSWORD.into(), application_password };
        let client = Client::builder().no_proxy().timeout(ANSWER_LIMIT).build()?;
        Ok(WordPress { url, admin, client, _servers: [web, database], sandbox })
    }

    /// Its address, with a slash at the end.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address of one of its pages; `path` begins without a slash.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Who may do everything there.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The process group of its servers, for [`crate::process_group::members`].
    #[must_use]
    pub fn process_group(&self) -> i32 {
        self.sandbox.group()
    }

    /// The folder that holds everything of it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.sandbox.path()
    }

    /// Makes a user who may write and publish posts of their own, and returns the user's number.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Failed`] when WordPress refuses, for one because the name is taken.
    pub async fn create_author(&self, user: &str, email: &str, password: &str) -> Result<u64, FixtureError> {
        let request = json!({"verb": "create_author", "user": user, "email": email, "password": password});
        self.tool(request).await
    }

    /// Makes a further application password for a user.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Failed`] when there is no such user.
    pub async fn application_password(&self, user: &str) -> Result<String, FixtureError> {
        self.tool(json!({"verb": "application_password", "user": user})).await
    }

    /// Ends all sessions of a user, as "log out everywhere" does.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Failed`] when there is no such user.
    pub async fn destroy_sessions(&self, id: u64) -> Result<(), FixtureError> {
        self.tool::<bool>(json!({"verb": "destroy_sessions", "id": id})).await.map(drop)
    }

    /// The cookies of a new live session, in the form `name=value; name=value`, without a login being counted.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Failed`] when there is no such user.
    pub async fn session_cookie(&self, user: &str) -> Result<String, FixtureError> {
        self.cookie(user, LIFETIME_SECONDS).await
    }

    /// The cookies of a session that has run out, otherwise as [`WordPress::session_cookie`].
    ///
    /// # Errors
    ///
    /// [`FixtureError::Failed`] when there is no such user.
    pub async fn expired_cookie(&self, user: &str) -> Result<String, FixtureError> {
        self.cookie(user, -LIFETIME_SECONDS).await
    }

    /// How often `user`, by login name, logged in or tried to since the server was started.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Io`] or [`FixtureError::Answer`] when the ledger cannot be read.
    pub fn login_count(&self, user: &str) -> Result<LoginCount, FixtureError> {
        let ledger = match fs::read_to_string(self.folder().join("ledger/logins")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(FixtureError::io("read the ledger of logins"))?,
        };
        let mut count = LoginCount::default();
        for line in ledger.lines() {
            let attempt: Attempt = understand(line.as_bytes())?;
            match attempt.event {
                _ if attempt.user != user => {}
                Event::Succeeded => count.succeeded += 1,
                Event::Failed => count.failed += 1,
            }
        }
        Ok(count)
    }

    /// All posts of an author, drafts included, the trash not, the oldest first.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Http`] or [`FixtureError::Answer`].
    pub async fn posts(&self, author: u64) -> Result<Vec<Post>, FixtureError> {
        let posts: Vec<WirePost> = self.list(&format!("posts?author={author}&status=any&context=edit")).await?;
        Ok(posts.into_iter().map(Post::from).collect())
    }

    /// All uploaded files of everybody, the oldest first.
    ///
    /// # Errors
    ///
    /// [`FixtureError::Http`] or [`FixtureError::Answer`].
    pub async fn media(&self) -> Result<Vec<Media>, FixtureError> {
        self.list("media?context=edit").await
    }

    /// Reads a collection page by page until WordPress says that there is no further page.
    async fn list<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>, FixtureError> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let address = self.page(&format!("wp-json/wp/v2/{query}&orderby=id&order=asc&per_page=100&page={page}"));
            let request = self.client.get(address);
            let answer = request.basic_auth(&self.admin.user, Some(&self.admin.application_password)).send().await?;
            let answer = answer.error_for_status()?;
            let pages = answer.headers().get("x-wp-totalpages").and_then(|pages| pages.to_str().ok()?.parse().ok());
            let pages: u32 = pages.ok_or_else(|| misunderstood("a list without its number of pages"))?;
            all.extend(understand::<Vec<T>>(&answer.bytes().await?)?);
            if page >= pages {
                return Ok(all);
            }
        }
        Err(misunderstood(format!("a list of more than {PAGES} pages")))
    }

    async fn cookie(&self, user: &str, lifetime_seconds: i64) -> Result<String, FixtureError> {
        self.tool(json!({"verb": "session_cookie", "user": user, "lifetime_seconds": lifetime_seconds})).await
    }

    async fn tool<T: DeserializeOwned>(&self, request: Value) -> Result<T, FixtureError> {
        tool(&self.sandbox, &self.url, request).await
    }
}

fn understand<T: DeserializeOwned>(json: &[u8]) -> Result<T, FixtureError> {
    serde_json::from_slice(json).map_err(|error| misunderstood(error.to_string()))
}

fn misunderstood(what: impl Into<String>) -> FixtureError {
    FixtureError::Answer { program: "WordPress", what: what.into() }
}

/// A line of the ledger that the must-use plugin writes.
#[derive(Deserialize)]
struct Attempt {
    event: Event,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Succeeded,
    Failed,
}

/// A post as the REST interface shows it to those who may edit it.
#[derive(Deserialize)]
struct WirePost {
    id: u64,
    status: String,
    title: Raw,
    content: Raw,
    link: String,
    featured_media: u64,
}

#[derive(Deserialize)]
struct Raw {
    raw: String,
}

impl From<WirePost> for Post {
    fn from(post: WirePost) -> Post {
        Post {
            id: post.id,
            status: post.status,
            title: post.title.raw,
            content: post.content.raw,
            link: post.link,
            // WordPress numbers from 1 and writes 0 for none.
            featured_media: (post.featured_media > 0).then_some(post.featured_media),
        }
    }
}

/// Where Debian's package puts the code.
const CODE: &str = "/usr/share/wordpress";

/// The administrator's password: nobody but the test can reach the server.
const PASSWORD: &str = "Correct-Horse-9-Battery";

/// The life of a WordPress session without "remember me".
const LIFETIME_SECONDS: i64 = 2 * 24 * 60 * 60;

/// How long an answer may take, on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// More lists than that, of a hundred each, no test makes.
const PAGES: u32 = 100;
