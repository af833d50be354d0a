//! Cookies that came back too late: under a lease that was lost, or of a login that is over. They are kept aside, sealed and
//! few, and never merged.
//!
//! Knows neither site nor manager; what becomes of them is a person's to say.

use minicbor::{CborLen, Decode, Encode, bytes::ByteSlice};
use zeroize::Zeroizing;

use crate::{
    AccountError, Checkout, Vault,
    accounts::RETRIES,
    cookies::Jar,
    items::Item,
    model::{AccountId, Action, Outcome},
    record::Malformed,
    store::{Changes, ItemRow, Saved, StoreError, Tampering},
    views::{CookieView, cookie_views},
};

/// Why a session that came back was not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptWhy {
    /// The lease had expired, or was taken away.
    Fenced,
    /// Somebody had logged in, or set another session, meanwhile.
    Older,
    /// The vault was restored since, and nobody had probed the session.
    Restored,
}

/// What may be seen of cookies that were kept aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptView {
    /// When they came back, Unix milliseconds.
    pub at_ms: i64,
    /// How many logins had led to the session.
    pub login_epoch: u64,
    /// Why they were not merged.
    pub why: KeptWhy,
    /// The cookies, without their values.
    pub cookies: Vec<CookieView>,
}

/// Cookies that were kept aside, as they are sealed.
#[derive(Debug)]
pub(crate) struct KeptRecord {
    at_ms: i64,
    login_epoch: u64,
    why: KeptWhy,
    jar: Jar,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct KeptV1<'a> {
    #[n(1)]
    at_ms: i64,
    #[n(2)]
    login_epoch: u64,
    #[n(3)]
    why: u8,
    #[b(4)]
    jar: &'a ByteSlice,
}

impl Vault {
    /// What was kept aside of an account's sessions, newest first, at most [`KEPT_MAX`].
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Store`].
    pub async fn kept_sessions(&self, id: AccountId) -> Result<Vec<KeptView>, AccountError> {
        self.account(id).await?;
        let mut kept = Vec::new();
        for (_, record) in self.kept(id).await? {
            kept.extend(record.map(|record| KeptView {
                at_ms: record.at_ms,
                login_epoch: record.login_epoch,
                why: record.why,
                cookies: cookie_views(&record.jar),
            }));
        }
        kept.sort_by_key(|view| std::cmp::Reverse(view.at_ms));
        Ok(kept)
    }

    /// Forgets what was kept aside of an account's sessions; says how much it was.
    ///
    /// # Errors
    /// [`AccountError::Store`], [`AccountError::Busy`].
    pub async fn forget_kept(&self, id: AccountId) -> Result<usize, AccountError> {
        for _ in 0..RETRIES {
            let kept: Vec<_> = self.kept(id).await?.into_iter().filter(|(_, record)| record.is_some()).collect();
            if kept.is_empty() {
                return Ok(0);
            }
            let row = |item: &Item| self.item_row(KEPT_TAG, item.id, item.rev + 1, &key_of(id), false, &[]);
            let items = kept.iter().map(|(item, _)| row(item)).collect::<Result<Vec<_>, _>>()?;
            let detail = format!("sessions kept aside are forgotten: {}", kept.len());
            let audit = vec![self.event(Action::Edit, Some(id), detail)?];
            if self.store.save(Changes { items, audit, ..Changes::default() }).await? == Saved::Done {
                return Ok(kept.len());
            }
        }
        Err(AccountError::Busy(id))
    }

    /// What keeps the cookies of a checkout aside; none where they say nothing that the vault did not lend.
    ///
    /// There are few places: the oldest that is kept makes room for the newest.
    pub(crate) async fn kept_row(&self, checkout: &Checkout, why: KeptWhy) -> Result<Option<ItemRow>, StoreError> {
        if !checkout.has_changed_cookies() {
            return Ok(None);
        }
        let id = checkout.account().id;
        let places = self.kept(id).await?;
        let at_ms = self.opener.clock.wall_ms();
        let record = KeptRecord { at_ms, login_epoch: checkout.login_epoch(), why, jar: checkout.jar.duplicate() };
        // Forgotten ones first, then the oldest.
        let oldest = places.iter().min_by_key(|(_, kept)| kept.as_ref().map(|kept| kept.at_ms));
        let (place, rev) = match oldest {
            Some((item, kept)) if kept.is_none() || places.len() >= KEPT_MAX => (item.id, item.rev + 1),
            _ => (self.new_item_id()?, 1),
        };
        self.item_row(KEPT_TAG, place, rev, &key_of(id), false, &record.to_bytes()).map(Some)
    }

    /// Keeps the cookies of a checkout aside whose lease is lost, and says in the audit that it is.
    pub(crate) async fn keep_fenced(&self, checkout: &Checkout) -> Result<(), StoreError> {
        let id = checkout.account().id;
        for _ in 0..RETRIES {
            let items: Vec<_> = self.kept_row(checkout, KeptWhy::Fenced).await?.into_iter().collect();
            let detail = if items.is_empty() { "the lease is lost" } else { "the lease is lost; cookies kept aside" };
            let audit = vec![self.event_of(Action::CheckIn, Outcome::Refused, Some(id), detail)?];
            match self.store.save(Changes { items, audit, ..Changes::default() }).await {
                Ok(Saved::Done) => return Ok(()),
                Ok(_) | Err(StoreError::Rekeyed) => {}
                Err(error) => return Err(error),
            }
        }
        self.note_of(Action::CheckIn, Outcome::Refused, Some(id), "the lease is lost; cookies not kept").await
    }

    /// The places of an account, with what is kept there; none in one that was forgotten.
    async fn kept(&self, id: AccountId) -> Result<Vec<(Item, Option<KeptRecord>)>, StoreError> {
        let found = self.items_of(KEPT_TAG, &key_of(id)).await?;
        let read = |item: Item| {
            let record = match item.body.as_slice() {
                [] => None,
                bytes => {
                    let altered = |_: Malformed| StoreError::tampered(Tampering::Corruption, None);
                    Some(KeptRecord::from_bytes(bytes).map_err(altered)?)
                }
            };
            Ok::<_, StoreError>((item, record))
        };
        found.into_iter().map(read).collect()
    }
}

impl KeptWhy {
    /// The word it is shown by.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fenced => "lease lost",
            Self::Older => "older login",
            Self::Restored => "restored since",
        }
    }
}

impl KeptRecord {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let jar = self.jar.to_bytes();
        let why = match self.why {
            KeptWhy::Fenced => 1,
            KeptWhy::Older => 2,
            KeptWhy::Restored => 3,
        };
        let jar = jar.as_slice().into();
        crate::record::encode(&KeptV1 { at_ms: self.at_ms, login_epoch: self.login_epoch, why, jar })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let v1: KeptV1<'_> = minicbor::decode(bytes).map_err(|_| Malformed)?;
        let why = match v1.why {
            1 => KeptWhy::Fenced,
            2 => KeptWhy::Older,
            3 => KeptWhy::Restored,
            _ => return Err(Malformed),
        };
        let jar = Jar::from_bytes(v1.jar).map_err(|_| Malformed)?;
        Ok(Self { at_ms: v1.at_ms, login_epoch: v1.login_epoch, why, jar })
    }
}

/// What an account's places are found by.
fn key_of(id: AccountId) -> String {
    data_encoding::HEXLOWER.encode(id.as_bytes())
}

/// The tag of these items; no [`ItemKind`](crate::ItemKind) of callers, so that no caller reads the cookies in them.
pub(crate) const KEPT_TAG: u8 = 3;
/// Most sessions kept aside for one account: enough to see what went wrong, few enough to be looked through.
pub const KEPT_MAX: usize = 4;
