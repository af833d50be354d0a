//! What each verb writes, over one [`Tx`]. Decides by rows, revisions, tokens and the clock's stamps alone.

use std::time::Duration;

use rusqlite::params;

use super::tx::{Keep, Tx};
use crate::{
    crypto::{EPOCHS_MAX, SLOT_MAX_BYTES, Sealed},
    model::{AccountId, BootStamp},
    store::{
        AccountRow, Changes, Hold, ItemRow, KeyMaterial, LeaseRow, NewAudit, NewIncarnation, OutboxRow, Owed, Renewed,
        Reserved, RowName, Saved, SessionRow, Settle, Settlement, StepAsk, StoreError, Token, TotpRow, lease_place,
        sqlite::{
            database, leasing, names,
            tables::{Table, one},
        },
    },
};

type Verb<T> = Result<(T, Keep), StoreError>;

pub(super) fn save(tx: &mut Tx<'_>, changes: &Changes) -> Verb<Saved> {
    Ok(kept(apply(tx, changes)?))
}

pub(super) fn remove_account(tx: &mut Tx<'_>, id: AccountId, rev: u64, audit: &[NewAudit]) -> Verb<Saved> {
    let key = id.as_bytes();
    let Some(account) = tx.load::<AccountRow>(key)?.filter(|account| account.rev == rev) else {
        return Ok((Saved::Stale(RowName { kind: crate::crypto::Kind::Account as u8, id: *key }), Keep::No));
    };
    if let Some(session) = tx.load::<SessionRow>(key)? {
        tx.remove(&session)?;
    }
    tx.remove(&account)?;
    record_all(tx, audit, None)?;
    Ok((Saved::Done, Keep::Yes))
}

pub(super) fn renew_lease(tx: &mut Tx<'_>, hold: &Hold, ttl: Duration, now: BootStamp) -> Verb<Renewed> {
    let Some(old) = live(tx, hold, now)? else { return Ok((Renewed::Fenced, Keep::No)) };
    let until_ms = old.until_ms.max(now.ms + ms(ttl));
    let free_at_ms = until_ms + old.quarantine_ms();
    let lease = LeaseRow { rev: old.rev + 1, until_ms, free_at_ms, ..old.clone() };
    tx.put(Some(&old), &lease)?;
    Ok((Renewed::Until(BootStamp { boot_id: now.boot_id, ms: until_ms }), Keep::Yes))
}

pub(super) fn save_held(tx: &mut Tx<'_>, holds: &[Hold], changes: &Changes, now: BootStamp) -> Verb<Saved> {
    if holds.is_empty() {
        // Nothing is held, so nothing may be written as a holder.
        return Ok((Saved::Fenced([0; 16]), Keep::No));
    }
    for hold in holds {
        if live(tx, hold, now)?.is_none() {
            return Ok((Saved::Fenced(hold.resource.id()), Keep::No));
        }
    }
    Ok(kept(apply(tx, changes)?))
}

pub(super) fn check_in(tx: &mut Tx<'_>, holds: &[Hold], changes: &Changes, now: BootStamp) -> Verb<Saved> {
    let saved = save_held(tx, holds, changes, now)?;
    if saved.1 == Keep::Yes
        && let Some(hold) = holds.first()
        && let Some(old) = tx.load::<LeaseRow>(&hold.lease())?
    {
        let free = LeaseRow { rev: old.rev + 1, held: false, until_ms: 0, free_at_ms: 0, ..old.clone() };
        tx.put(Some(&old), &free)?;
    }
    Ok(saved)
}

pub(super) fn reserve_step(tx: &mut Tx<'_>, ask: &StepAsk, changes: &Changes, now: BootStamp) -> Verb<Reserved> {
    if live(tx, &ask.hold, now)?.is_none() {
        return Ok((Reserved::Fenced, Keep::No));
    }
    let secret = names::totp_id(tx, &ask.secret)?;
    let old = tx.load::<TotpRow>(&secret)?;
    // What the ledger has lost cannot be known step by step: all up to the floor count as spent, also without a row.
    let is_below_floor = ask.begins_ms <= tx.header().steps_spent_until_ms;
    let last = old.as_ref().map(|old| old.last_step).into_iter().chain(is_below_floor.then_some(ask.step)).max();
    if let Some(last) = last.filter(|last| *last >= ask.step) {
        return Ok((Reserved::Spent { last }, Keep::No));
    }
    let rev = old.as_ref().map_or(1, |old| old.rev + 1);
    let row = TotpRow { secret, rev, epoch: tx.binder.epoch(), last_step: ask.step };
    tx.put(old.as_ref(), &row)?;
    Ok(match apply(tx, changes)? {
        Saved::Done => (Reserved::Step(ask.step), Keep::Yes),
        Saved::Stale(row) => (Reserved::Stale(row), Keep::No),
        Saved::Duplicate(_) | Saved::Fenced(_) => (Reserved::Fenced, Keep::No),
    })
}

pub(super) fn settle(tx: &mut Tx<'_>, settled: &[Settle], changes: &Changes) -> Verb<Saved> {
    for one in settled {
        let old = tx.load::<OutboxRow>(one.id.as_bytes())?;
        let Some(old) = old.filter(|old| old.rev == one.rev) else {
            let row = RowName { kind: crate::crypto::Kind::Outbox as u8, id: *one.id.as_bytes() };
            return Ok((Saved::Stale(row), Keep::No));
        };
        let (due_ms, state, tries) = match one.how {
            Settlement::Gone => {
                tx.remove(&old)?;
                continue;
            }
            Settlement::Later { due_ms, state } => (due_ms, state, old.tries + 1),
            Settlement::InDoubt => (old.due_ms, Owed::Ambiguous, old.tries),
            // One whose answer was lost is still looked up first.
            Settlement::Again { due_ms } if old.state == Owed::Ambiguous => (due_ms, Owed::Ambiguous, 0),
            Settlement::Again { due_ms } => (due_ms, Owed::Due, 0),
        };
        // The body is bound to revision 1 for good: only where the message stands changes.
        let stands = OutboxRow { rev: old.rev + 1, due_ms, state, tries, ..old.clone() };
        tx.put(Some(&old), &stands)?;
    }
    Ok(kept(apply(tx, changes)?))
}

pub(super) fn install_keys(tx: &mut Tx<'_>, keys: &KeyMaterial, audit: &[NewAudit]) -> Verb<Saved> {
    let generation = tx.header_mut().slots_generation;
    if keys.generation != generation + 1 {
        let row = RowName { kind: crate::crypto::Kind::KeySlot as u8, id: [0; 16] };
        return Ok((Saved::Stale(row), Keep::No));
    }
    write_keys(tx.conn, keys).map_err(|e| database("writing the key slots", &e))?;
    let header = tx.header_mut();
    header.slots_generation = keys.generation;
    header.slots_mac = keys.slots_mac;
    record_all(tx, audit, None)?;
    Ok((Saved::Done, Keep::Yes))
}

pub(super) fn begin_incarnation(tx: &mut Tx<'_>, begin: NewIncarnation, audit: &[NewAudit]) -> Verb<Saved> {
    let (next, header) = (tx.binder.incarnation(), tx.header_mut());
    if next <= header.incarnation {
        let row = RowName { kind: crate::crypto::Kind::Header as u8, id: [0; 16] };
        return Ok((Saved::Stale(row), Keep::No));
    }
    header.incarnation = next;
    header.incarnation_since_ms = begin.since_ms;
    header.steps_spent_until_ms = header.steps_spent_until_ms.max(begin.steps_spent_until_ms);
    leasing::dismiss_all(tx)?;
    record_all(tx, audit, None)?;
    Ok((Saved::Done, Keep::Yes))
}

/// Writes slots and data keys in place of those that are there.
pub(super) fn write_keys(conn: &rusqlite::Connection, keys: &KeyMaterial) -> rusqlite::Result<()> {
    conn.execute_batch("DELETE FROM key_slot; DELETE FROM data_key; DELETE FROM key_meta")?;
    for (no, slot) in keys.slots.iter().enumerate() {
        conn.execute("INSERT INTO key_slot VALUES (?1, ?2)", params![no as i64, slot])?;
    }
    for (epoch, sealed) in &keys.data_keys {
        conn.execute("INSERT INTO data_key VALUES (?1, ?2)", params![epoch, sealed.as_bytes()])?;
    }
    let generation = keys.generation.cast_signed();
    conn.execute("INSERT INTO key_meta VALUES (1, ?1, ?2)", params![generation, keys.slots_mac.as_slice()])?;
    Ok(())
}

/// Reads what [`write_keys`] wrote.
pub(super) fn read_keys(conn: &rusqlite::Connection) -> rusqlite::Result<KeyMaterial> {
    let (generation, slots_mac): (i64, [u8; 32]) =
        conn.query_row("SELECT generation, mac FROM key_meta WHERE one = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Nothing is authenticated yet: what is too long or too much is left out, and then the MAC of the slots is not right.
    let slots = conn
        .prepare("SELECT slot FROM key_slot WHERE length(slot) <= ?1 ORDER BY no LIMIT ?2")?
        .query_map(params![SLOT_MAX_BYTES as i64, SLOTS_MAX], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let data_keys = conn
        .prepare("SELECT epoch, sealed FROM data_key WHERE length(sealed) <= ?1 ORDER BY epoch LIMIT ?2")?
        .query_map(params![DATA_KEY_MAX_BYTES, EPOCHS_MAX as i64 + 1], |row| {
            Ok((row.get(0)?, Sealed::from_bytes(row.get(1)?)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(KeyMaterial { generation: generation.cast_unsigned(), slots_mac, slots, data_keys })
}

fn apply(tx: &mut Tx<'_>, changes: &Changes) -> Result<Saved, StoreError> {
    for account in &changes.accounts {
        let account = tx.current(account)?;
        if let Some(other) = duplicate(tx, &account)? {
            return Ok(Saved::Duplicate(other));
        }
        if let Some(stale) = advance(tx, account.as_ref(), account.rev)? {
            return Ok(Saved::Stale(stale));
        }
    }
    for session in &changes.sessions {
        if let Some(stale) = advance(tx, session, session.rev)? {
            return Ok(Saved::Stale(stale));
        }
    }
    for item in &changes.items {
        if let Some(stale) = advance::<ItemRow>(tx, item, item.rev)? {
            return Ok(Saved::Stale(stale));
        }
    }
    for (id, rev) in &changes.replaced {
        match tx.load::<OutboxRow>(id.as_bytes())?.filter(|old| old.rev == *rev) {
            Some(old) => tx.remove(&old)?,
            None => return Ok(Saved::Stale(RowName { kind: crate::crypto::Kind::Outbox as u8, id: *id.as_bytes() })),
        }
    }
    for message in &changes.outbox {
        // One that stands in for others has their place already.
        let seq = if message.seq == 0 { tx.next_serial() } else { message.seq };
        let message = OutboxRow { seq, ..message.clone() };
        if let Some(stale) = advance(tx, &message, message.rev)? {
            return Ok(Saved::Stale(stale));
        }
    }
    record_all(tx, &changes.audit, None)?;
    Ok(Saved::Done)
}

/// Writes a row whose revision follows the stored one; names it when it does not.
fn advance<T: Table + Clone>(tx: &mut Tx<'_>, row: &T, rev: u64) -> Result<Option<RowName>, StoreError> {
    let place = row.place();
    let old = tx.load::<T>(&place.id)?;
    let stored = old.as_ref().map_or(0, |old| old.place().rev);
    if stored + 1 != rev {
        return Ok(Some(RowName { kind: place.kind as u8, id: place.id }));
    }
    tx.put(old.as_ref(), row)?;
    Ok(None)
}

fn duplicate(tx: &Tx<'_>, account: &AccountRow) -> Result<Option<AccountId>, StoreError> {
    const BY_LOGIN: &str = "SELECT id FROM account WHERE ix_login = ?1 AND id <> ?2";
    const BY_MANAGER: &str = "SELECT id FROM account WHERE ix_manager = ?1 AND id <> ?2";
    // While the keys change, the other one may still lie under the index of the epoch before.
    let [former_login, former_manager] = match tx.binder.older_epoch() {
        Some(_) => tx.binder.former_indexes(account).map_err(|_| StoreError::Rekeyed)?,
        None => [None, None],
    };
    for (sql, index) in [
        (BY_LOGIN, account.ix_login),
        (BY_MANAGER, account.ix_manager),
        (BY_LOGIN, former_login),
        (BY_MANAGER, former_manager),
    ] {
        let Some(index) = index else { continue };
        let other = one::<[u8; 16]>(tx.conn, sql, params![index.as_slice(), account.id.as_bytes().as_slice()])
            .map_err(|e| database("looking for a duplicate", &e))?;
        if let Some(other) = other {
            return Ok(Some(AccountId::from_bytes(other)));
        }
    }
    Ok(None)
}

fn live(tx: &mut Tx<'_>, hold: &Hold, now: BootStamp) -> Result<Option<LeaseRow>, StoreError> {
    if hold.token.incarnation != tx.binder.incarnation() {
        // Granted before a backup was restored: whatever the row says, it is of another life of the vault.
        return Ok(None);
    }
    let resource = lease_place(&names::lease_id(tx, &hold.resource)?, hold.place);
    let lease = tx.load::<LeaseRow>(&resource)?;
    Ok(lease.filter(|lease| lease.is_live(hold.token, hold.holder, now)))
}

/// The lease whose hold is over and whose quarantine starts now.
pub(super) fn resting(old: &LeaseRow, now: BootStamp) -> LeaseRow {
    let free_at_ms = now.ms + old.quarantine_ms();
    LeaseRow { rev: old.rev + 1, boot_id: now.boot_id, until_ms: now.ms, free_at_ms, ..old.clone() }
}

pub(super) fn next_token(tx: &Tx<'_>, old: Option<&LeaseRow>) -> Token {
    Token { incarnation: tx.binder.incarnation(), n: old.map_or(1, |old| old.token.n + 1) }
}

pub(super) fn record_all(tx: &mut Tx<'_>, audit: &[NewAudit], token: Option<Token>) -> Result<(), StoreError> {
    audit.iter().try_for_each(|entry| tx.record(entry, token))
}

fn kept(saved: Saved) -> (Saved, Keep) {
    let keep = if saved == Saved::Done { Keep::Yes } else { Keep::No };
    (saved, keep)
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

/// Slots that are read: what a person keeps apart, with room.
const SLOTS_MAX: i64 = 64;
/// A sealed data key has 1114 bytes (FORMAT.md, Sealed blob).
const DATA_KEY_MAX_BYTES: i64 = 2048;
