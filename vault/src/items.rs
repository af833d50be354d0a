//! The caller's own sealed items: found by a key that is only stored as a blind index, opaque to the vault.

use zeroize::Zeroizing;

use crate::{
    Vault,
    audit::no_randomness,
    crypto::{Kind, Place},
    model::MessageId,
    names::{Again, Named},
    record::ItemRecord,
    store::{Changes, FindItems, ItemRow, RowName, Saved, StoreError, Tampering},
};

/// The caller's kinds of items; each number is used by one caller for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum ItemKind {
    /// Logins about to be sent (the vault's own).
    LoginIntent = 1,
    /// Attempts at tasks (the worker's).
    Attempt = 2,
}

/// An item to be written.
#[derive(Debug)]
pub struct ItemChange {
    /// Its kind.
    pub kind: ItemKind,
    /// Its id; random for a new one.
    pub id: [u8; 16],
    /// The revision that this write makes: 1 for a new item, one above the one that was read for another.
    pub rev: u64,
    /// What it is found by; stored as a blind index.
    pub key: String,
    /// Whether it still waits for its end.
    pub open: bool,
    /// What it says. No secret of an account: items are read without an entry in the audit.
    pub body: Zeroizing<Vec<u8>>,
}

/// An item that was read.
#[derive(Debug)]
pub struct Item {
    /// Its id.
    pub id: [u8; 16],
    /// Its revision.
    pub rev: u64,
    /// Whether it still waits for its end.
    pub open: bool,
    /// Whether it was written before the vault was restored: what it says may have been overtaken in the lost time.
    pub is_from_earlier: bool,
    /// What it says.
    pub body: Zeroizing<Vec<u8>>,
}

impl Vault {
    /// A fresh random id for an item.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the operating system gives no randomness.
    pub fn new_item_id(&self) -> Result<[u8; 16], StoreError> {
        Ok(*MessageId::generate().map_err(|_| no_randomness())?.as_bytes())
    }

    /// Writes items that no lease guards; false when one of them was changed in between, and nothing was written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_items(&self, items: &[ItemChange]) -> Result<bool, StoreError> {
        let changes = Changes { items: self.item_rows(items)?, ..Changes::default() };
        Ok(self.store.save(changes).await? == Saved::Done)
    }

    /// The items of a kind with this key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn items_by_key(&self, kind: ItemKind, key: &str) -> Result<Vec<Item>, StoreError> {
        self.items_of(kind as u8, key).await
    }

    /// The items of any tag with this key.
    pub(crate) async fn items_of(&self, tag: u8, key: &str) -> Result<Vec<Item>, StoreError> {
        let named = Named::item(tag, key);
        let mut again = Again::new();
        loop {
            let name = self.name_of(&named)?;
            match self.find_items(FindItems::Index(tag, name), ITEMS_PAGE_MAX).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                found => return found,
            }
        }
    }

    /// The items of a kind that still wait for their end, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_items(&self, kind: ItemKind, limit: u32) -> Result<Vec<Item>, StoreError> {
        self.find_items(FindItems::Open(kind as u8), limit.min(ITEMS_PAGE_MAX)).await
    }

    pub(crate) fn item_rows(&self, items: &[ItemChange]) -> Result<Vec<ItemRow>, StoreError> {
        let row =
            |item: &ItemChange| self.item_row(item.kind as u8, item.id, item.rev, &item.key, item.open, &item.body);
        items.iter().map(row).collect()
    }

    /// An item of any tag, the vault's own among them.
    pub(crate) fn item_row(
        &self,
        tag: u8,
        id: [u8; 16],
        rev: u64,
        key: &str,
        open: bool,
        body: &[u8],
    ) -> Result<ItemRow, StoreError> {
        let keys = self.keys();
        let ix = Named::item(tag, key).index(&keys, keys.epoch()).map_err(|_| StoreError::Rekeyed)?;
        let place = Place { kind: Kind::Item, id, rev };
        let sealed = keys.seal(place, &ItemRecord::encode(key, body)).map_err(|_| no_randomness())?;
        Ok(ItemRow { tag, id, rev, epoch: keys.epoch(), ix: Some(ix), open, sealed })
    }

    async fn find_items(&self, find: FindItems, limit: u32) -> Result<Vec<Item>, StoreError> {
        let rows = self.store.items(find, limit).await?;
        let keys = self.keys();
        rows.into_iter()
            .map(|row| {
                let place = Place { kind: Kind::Item, id: row.id, rev: row.rev };
                let tampered = || {
                    let name = RowName { kind: Kind::Item as u8, id: row.id };
                    StoreError::tampered(Tampering::Substitution, Some(name))
                };
                let opened = keys.open(place, row.sealed.as_bytes()).map_err(|_| tampered())?;
                let record = ItemRecord::from_bytes(&opened).map_err(|_| tampered())?;
                let is_from_earlier = self.is_from_earlier(&row.sealed);
                Ok(Item { id: row.id, rev: row.rev, open: row.open, is_from_earlier, body: record.body })
            })
            .collect()
    }
}

/// Items in one page.
const ITEMS_PAGE_MAX: u32 = 10_000;
