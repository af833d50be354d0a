//! Latchkey's vault: seals credentials and sessions, lends them under leases, logs in again once.
//!
//! A vault is one SQLite file and one small anchor file elsewhere. In the file every record is sealed, and every row is
//! counted in a keyed digest, so that an edit, a deletion or an older copy is found before it is used. What is lent is a
//! session, under a lease whose fencing token every write carries: whoever comes back too late changes nothing.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use latchkey_vault::{
//!     CheckIn, CheckOutAsk, CheckOutError, Clock, LeaseMode, NewAccount, NewSlot, Opener, Secret, SystemClock, UnlockWith, Vault,
//!     VaultPaths,
//!     cookies::Stored,
//!     crypto::{SlotKind, SlotRecipient, generate_identity},
//!     model::{Actor, Fields},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! #     tokio::runtime::Runtime::new()?.block_on(example())
//! # }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // The anchor lies apart from the file, so that copying one back does not bring the other.
//! let home = tempfile::tempdir()?;
//! let paths = VaultPaths { file: home.path().join("vault/vault.db"), anchors: home.path().join("anchors"), pin: None };
//! let clock = Arc::new(SystemClock::new()?);
//! let actor = Actor { uid: 1000, user: "ann".into(), pid: std::process::id(), name: "example".into() };
//! let opener = Opener { actor, clock: clock.clone() };
//!
//! // Whoever holds this identity can open the vault.
//! let (identity, _) = generate_identity();
//! let recipient = SlotRecipient::of_identity(&identity)?;
//! let slot = NewSlot::Identity { label: "example".into(), kind: SlotKind::Identity, recipient };
//! Vault::init(&paths, opener.clone(), vec![slot]).await?.close().await?;
//! let vault = Vault::open(&paths, opener, UnlockWith::Identity(identity)).await?;
//!
//! let site: url::Url = "https://blog.example".parse()?;
//! let fields = Fields {
//!     username: Some(Secret::copy_of("ann")),
//!     cookie: Some(Secret::copy_of("sid=first")),
//!     ..Fields::default()
//! };
//! let id = vault
//!     .add_account(NewAccount {
//!         site: "blog.example".into(),
//!         manager_id: None,
//!         fields,
//!         app_password: None,
//!         tags: Vec::new(),
//!         notes: String::new(),
//!         origin: Some(site.clone()),
//!     })
//!     .await?;
//!
//! // One borrower at a time.
//! let ask = CheckOutAsk {
//!     ttl: Duration::from_secs(60),
//!     quarantine: Duration::from_secs(30),
//!     wait: Duration::ZERO,
//!     mode: LeaseMode::Exclusive,
//!     purpose: "an example".into(),
//! };
//! let mut lent = vault.check_out(id, &ask).await?;
//! assert!(matches!(vault.check_out(id, &ask).await, Err(CheckOutError::Held { .. })));
//!
//! // The site answers with a new cookie; the check-in keeps it, frees the lease and is audited, all or nothing.
//! let stored = lent.jar.store(&site, b"sid=second; Path=/; Secure", clock.wall_ms());
//! assert_eq!(stored, Stored::Kept);
//! vault.check_in(lent, &CheckIn { note: "an example".into(), ..CheckIn::default() }).await?;
//!
//! let lent = vault.check_out(id, &ask).await?;
//! let cookies = lent.jar.export_flat(&site, clock.wall_ms());
//! // EXPOSE: the example compares it.
//! assert_eq!(cookies.as_ref().map(Secret::expose), Some("sid=second"));
//! vault.check_in(lent, &CheckIn::default()).await?;
//!
//! assert!(vault.verify(Box::new(|_, _| ())).await?.is_empty());
//! vault.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! Each uses only those before it:
//!
//! 1. [`model`]: plain data and pure transitions; with it [`limits`] and [`text`].
//! 2. [`crypto`], [`cookies`], [`totp`]: pure functions over memory.
//! 3. [`store`]: rows, each verb one transaction. It sees ids, times, revisions and sealed bytes, never a key.
//! 4. [`sites`], [`site_http`], [`login`]: which sites are authorised, how they are spoken to, how one logs in there.
//!    [`manager_http`], [`account_api`]: the same for the manager. None of these knows a vault.
//! 5. [`Vault`]: the one place where keys and rows meet.
//!
//! Nothing here knows a task source, a driver of posts, or a terminal.

pub mod account_api;
mod accounts;
mod age_plugin;
mod anchor_file;
mod audit;
mod checkout;
pub mod cookies;
pub mod crypto;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod html;
mod inspect;
mod items;
mod kept;
mod key_slots;
mod keys;
pub mod limits;
pub mod login;
pub mod manager_http;
pub mod model;
mod names;
mod outbox;
mod pin;
mod record;
mod refresh;
mod rekey;
pub mod retry_after;
mod session_files;
pub mod session_formats;
pub mod site_http;
pub mod sites;
pub mod store;
pub mod text;
pub mod tls;
pub mod totp;
mod vault;
mod views;

pub use accounts::{AccountError, Admissible, Edit, NewAccount, Pulled, admissible};
pub use age_plugin::{AgePlugins, Asks, Nobody, PluginError, PluginKey, PluginRecipient};
pub use anchor_file::AnchorFileError;
pub use audit::{AuditEnd, AuditEntry};
pub use checkout::{
    CheckIn, CheckInError, CheckOutAsk, CheckOutError, Checkout, LeaseHandle, LeaseOn, LeaseView, Leases, ReadError,
    Receipt, WaiterView,
};
pub use items::{Item, ItemChange, ItemKind};
pub use kept::{KEPT_MAX, KeptView, KeptWhy};
pub use key_slots::{AddSlotError, NewSlot, SlotListError};
pub use keys::KeyBinder;
pub use model::{
    AccountId, AccountSecret, AccountView, BootStamp, Clock, HolderId, ManualClock, MessageId, Revealed, Secret,
    SystemClock, VaultId,
};
pub use outbox::{AccountRound, Delivery, DueReport, LaneHold, NewReport, Owing, backoff};
pub use pin::{PinError, PinPlace, PinPlaceError, pinned_commit};
pub use refresh::{RefreshAsk, RefreshError, Refreshed, RefreshedBy, standing_of};
pub use rekey::{RekeyError, Resealing};
pub use store::LeaseMode;
pub use vault::{
    BackedUp, BackupError, Change, Counts, InitError, Inventory, Opener, Present, Rescue, RescuedAccount,
    RescuedSession, Restore, RestoreError, RestorePlan, Restored, UnlockError, UnlockWith, Vault, VaultPaths,
};
pub use views::{CookieView, OwedMessage, SessionView};
