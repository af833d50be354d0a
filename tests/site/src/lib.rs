//! A site to log in to and to post on, with the unpleasantness of real ones and a ledger of effects.
//!
//! It serves plain HTML forms over HTTP on loopback: a login with hidden fields, an optional
//! one-time code, sessions that expire, rotate and end each other, accounts that get locked,
//! banned or challenged, posts with pictures, answers that get lost. What really happened is read
//! from the [`SiteHandle`], or by another process from `/_control`.
//!
//! It deliberately knows nothing of vaults, workers or managers: it is what they act on, written
//! from the outside, so that agreement between the two means something.
//!
//! | path | who | what |
//! |---|---|---|
//! | `GET /` | all | a greeting |
//! | `GET`, `POST /login` | all | the form `#login`; marks `.error`, `.locked`, `.banned`, `.challenge`, `.forged` |
//! | `GET`, `POST /login/totp` | right password | the form `#totp` |
//! | `GET /home` | members | `#whoami` and the form `#logout` |
//! | `POST /logout` | members | ends the session, deletes its cookies |
//! | `GET /api/me` | members, Basic | `{"username": ...}`, else 401 |
//! | `GET /post/new`, `POST /post` | members, Basic | the form `#post` |
//! | `GET /u/{username}/post/{number}` | all | one post |
//! | `GET /u/{username}/posts?marker=` | all | links to posts that hold the marker |
//! | `GET /api/posts?username=&q=` | all | the same as JSON |
//! | `GET /media/{number}.png` | all | a picture |
//! | `GET /away?to=` | all | a 302 to anywhere |
//! | `/_control/...` | `X-Control-Token` | the verbs of the handle as JSON |
//!
//! ```
//! # use latchkey_practice_site::{NewAccount, Site, SiteConfig};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let site = Site::start(SiteConfig::default()).await?;
//! site.add_account(NewAccount::new("ada", "correct horse"))?;
//! assert!(site.origin().starts_with("http://127.0.0.1:"));
//! assert_eq!(site.logins("ada"), 0);
//! site.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod account;
mod behaviour;
mod clock;
mod connection;
mod fault;
mod http;
mod ledger;
mod limits;
mod png;
mod posts;
mod sessions;
mod site;
mod state;
mod token;

pub use account::{AccountState, AddAccountError, NewAccount, NoSuchAccount};
pub use behaviour::{Behaviour, CookieLife, ExtraCookie, LoginRedirect, LoginWall, Maintenance};
pub use clock::{Clock, ManualClock, SystemClock};
pub use fault::{Fault, FaultPoint, FaultQueueFull};
pub use ledger::{Counts, Ledger, RequestRecord};
pub use posts::{Image, Post};
pub use site::{Site, SiteConfig, SiteHandle, StartError, StopError};
