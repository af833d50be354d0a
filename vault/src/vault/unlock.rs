//! From a file and a passphrase to keys, step by step, each step checked before the next trusts it.
//!
//! Reads only; starts nothing.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{UnlockError, UnlockWith};
use crate::{
    KeyBinder,
    anchor_file::{AnchorFile, AnchorFileError},
    crypto::{Anchor, Header, Keyring, OpenError, RootKey, SlotKind, SlotRecord, Unlock},
    key_slots::SLOTS_MAX,
    keys::agrees,
    pin::{Pin, PinError},
    store::{Head, KeyMaterial, StoreError, Tampering, same_mac, sqlite::SqliteFile},
};

/// The root key of the first slot that opens; not compared with any commitment yet.
pub(super) fn unlock(file: &SqliteFile, with: &UnlockWith) -> Result<RootKey, UnlockError> {
    let how = |slot: &SlotRecord| {
        let kind = SlotKind::from_u8(slot.kind)?;
        Some(match (kind, with) {
            (SlotKind::Passphrase, UnlockWith::Passphrase(passphrase)) => Unlock::Passphrase(passphrase),
            (SlotKind::Combined, UnlockWith::Both { passphrase, half }) => Unlock::Both(passphrase, half),
            (SlotKind::Plugin, UnlockWith::Plugin(key)) => Unlock::Plugin(key),
            (kind, UnlockWith::Identity(text)) if !kind.holds_identity() => Unlock::Identity(text),
            (kind, UnlockWith::Plugin(key)) if !kind.holds_identity() => Unlock::Identity(&key.text),
            _ => return None,
        })
    };
    let slots = file.key_material().slots.iter().filter_map(|bytes| SlotRecord::from_bytes(bytes).ok());
    let tried = slots.filter_map(|slot| how(&slot).map(|how| (slot, how))).take(SLOTS_MAX);
    let mut unlocked = tried.filter_map(|(slot, how)| slot.unlock(file.vault(), &how).ok());
    unlocked.next().ok_or(UnlockError::CannotUnlock)
}

/// The keyring of an unlocked root key, the slot list authenticated, the incarnation taken from the sealed header.
pub(super) fn load(file: &SqliteFile, root: RootKey) -> Result<Keyring, UnlockError> {
    let material = file.key_material();
    let keys = Keyring::load(root, file.vault(), 1, &material.data_keys);
    let mut keys = keys.map_err(|_: OpenError| UnlockError::CannotUnlock)?;
    checked_slots(&keys, material)?;
    let header = header_of(file, &keys)?;
    if !agrees(&header, &keys) {
        return Err(StoreError::tampered(Tampering::Header, None).into());
    }
    keys.set_incarnation(header.incarnation);
    Ok(keys)
}

/// As [`load`], of a root key that the anchor knows: a data key that it does not open was put there by somebody else.
pub(super) fn load_known(file: &SqliteFile, root: RootKey) -> Result<Keyring, UnlockError> {
    load(file, root).map_err(|error| match error {
        UnlockError::CannotUnlock => StoreError::tampered(Tampering::Header, None).into(),
        error => error,
    })
}

/// The sealed header of a file.
pub(super) fn header_of(file: &SqliteFile, keys: &Keyring) -> Result<Header, StoreError> {
    let (counter, sealed) = file.header()?;
    Header::open(keys, counter, &sealed).map_err(|_| StoreError::tampered(Tampering::Header, None))
}

/// What is made of a vault that has no pin where one is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingPin {
    /// It is not opened.
    Refused,
    /// It is opened: a person is about to make one.
    Accepted,
}

/// Checks that the file knows the anchored commit, and the pinned one where a pin is set.
pub(super) fn check_anchor(
    file: &SqliteFile,
    anchor_file: &AnchorFile,
    keys: &Arc<Keyring>,
    mut anchor: Anchor,
    missing: MissingPin,
) -> Result<(), UnlockError> {
    let pinned = match anchor_file.pin().map(|pin| pin.read_with(keys)).transpose() {
        Err(PinError::Missing) if missing == MissingPin::Accepted => None,
        pinned => pinned.map_err(AnchorFileError::from)?,
    };
    let binder = KeyBinder::new(Arc::clone(keys));
    let mut is_anchored = false;
    for _ in 0..ANCHOR_LOOKS {
        is_anchored = file.knows(&binder, head_of(&anchor))?;
        if is_anchored && knows_pin(file, &binder, pinned.as_ref(), Some(&anchor))? {
            return Ok(());
        }
        // While the passphrase was being stretched another process may have moved the anchor on and forgotten the
        // headers before it: only an anchor that stands still and is not known tells of a rollback.
        let (newer, mac) = anchor_file.read(file.vault())?;
        newer.check(keys, &mac).map_err(|source| AnchorFileError::Damaged { source })?;
        if newer.sequence == anchor.sequence {
            break;
        }
        anchor = newer;
    }
    match pinned {
        Some(pinned) if is_anchored => Err(rolled_back(file, &pinned)?),
        _ => Err(StoreError::tampered(Tampering::Rollback, None).into()),
    }
}

/// Whether a file that knows this anchor knows the pin as well. Headers from before the anchor are forgotten: a pin of one of
/// them has been overtaken.
pub(super) fn knows_pin(
    file: &SqliteFile,
    binder: &KeyBinder,
    pinned: Option<&Anchor>,
    anchor: Option<&Anchor>,
) -> Result<bool, StoreError> {
    let Some(pinned) = pinned else { return Ok(true) };
    if anchor.is_some_and(|anchor| pinned.counter < anchor.counter) {
        return Ok(true);
    }
    file.knows(binder, head_of(pinned))
}

/// That the pin has seen a commit that the file does not know.
pub(super) fn rolled_back(file: &SqliteFile, pinned: &Anchor) -> Result<UnlockError, StoreError> {
    let error = PinError::RolledBack { pinned: pinned.counter, found: file.head()?.counter };
    Ok(AnchorFileError::from(error).into())
}

/// The pin of a vault that a person is about to adopt, with its MAC: one that is missing or damaged is none.
pub(super) fn pin_to_adopt(anchor_file: &AnchorFile) -> Result<Option<(Anchor, [u8; 32])>, AnchorFileError> {
    match anchor_file.pin().map(Pin::read).transpose() {
        Err(PinError::Missing | PinError::Damaged) => Ok(None),
        pinned => Ok(pinned?),
    }
}

/// The commit that an anchor remembers.
pub(super) fn head_of(anchor: &Anchor) -> Head {
    Head { counter: anchor.counter, hash: anchor.header_hash }
}

/// The slots, once the MAC of their list was checked.
pub(crate) fn checked_slots(keys: &Keyring, material: &KeyMaterial) -> Result<Vec<SlotRecord>, StoreError> {
    let tampered = || StoreError::tampered(Tampering::Header, None);
    let slots = material
        .slots
        .iter()
        .map(|bytes| SlotRecord::from_bytes(bytes))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| tampered())?;
    if !same_mac(&keys.slots_mac(material.generation, &slots), &material.slots_mac) {
        return Err(tampered());
    }
    Ok(slots)
}

/// Looks at an anchor that others move: they do so once a second, a look takes a millisecond.
const ANCHOR_LOOKS: usize = 16;
