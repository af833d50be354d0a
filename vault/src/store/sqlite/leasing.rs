//! Taking a lease, standing in line for it, and taking it away: what is written, over one [`Tx`].
//!
//! ```text
//! take ─► those who fell out of line go ─► am I the first? ─► is there room? ─► granted, and out of the line
//!                                              └──no────────────────┴──no────► in line, where the asker waits
//! ```
//!
//! Places: the exclusive hold of a resource lies under its id, the shared ones under the ids that follow it in the last
//! byte, so that one look at a range of keys shows all of them. Who may write under a lease is decided elsewhere.

use std::time::Duration;

use rusqlite::params;

use super::{
    names,
    presence::Presence,
    tables::Table,
    tx::{Keep, Tx},
    verbs::{ms, next_token, record_all, resting},
};
use crate::{
    model::BootStamp,
    store::{
        Claim, Claimant, LeaseAsk, LeaseRow, Line, NewAudit, StoreError, Taken, Token, WaiterRow, claim, free_place,
        lease_place, lease_places, place_of_lease,
    },
};

/// By whose eyes and when a lease is looked at.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) now: BootStamp,
    pub(super) presence: &'a Presence,
}

/// Where an asker stands.
struct InLine {
    mine: Option<WaiterRow>,
    ahead: u32,
}

pub(super) fn take(
    tx: &mut Tx<'_>,
    ask: &LeaseAsk,
    audit: &[NewAudit],
    look: Look<'_>,
) -> Result<(Taken, Keep), StoreError> {
    let base = names::lease_id(tx, &ask.resource)?;
    let mut keep = Keep::No;
    let line = line_up(tx, &base, ask, look, &mut keep)?;
    let places = look_at_places(tx, &base, ask, look, &mut keep)?;
    let waits: Vec<_> = places.iter().map(|(place, wait, _)| (*place, *wait)).collect();
    let retry_in = match free_place(ask.mode, &waits) {
        Ok(place) if line.ahead == 0 => {
            if let Some(mine) = &line.mine {
                tx.remove(mine)?;
            }
            let old = places.iter().find(|(at, ..)| *at == place).map(|(.., row)| row);
            // Of all places, so that a token says which grant it is of.
            let granted = places.iter().map(|(.., row)| row.token.n).max().unwrap_or(0);
            let token = Token { incarnation: tx.binder.incarnation(), n: granted + 1 };
            let taken = grant(tx, (place, lease_place(&base, place)), token, old, ask, look.now)?;
            record_all(tx, audit, Some(token))?;
            return Ok((taken, Keep::Yes));
        }
        Ok(_) => TURN,
        Err(retry_in) => retry_in,
    };
    let Some(wait) = ask.line.filter(|line| !line.wait.is_zero()) else {
        return Ok((Taken::Held { retry_in }, keep));
    };
    if line.mine.is_none() && line.ahead >= WAITERS_MAX {
        return Ok((Taken::Held { retry_in }, keep));
    }
    stand(tx, (&base, line.mine), wait, ask, look, &mut keep)?;
    Ok((Taken::Waiting { ahead: line.ahead, retry_in }, keep))
}

/// Puts an asker at the end of the line, or lets it stand where it is for a while longer.
fn stand(
    tx: &mut Tx<'_>,
    (base, mine): (&[u8; 16], Option<WaiterRow>),
    line: Line,
    ask: &LeaseAsk,
    look: Look<'_>,
    keep: &mut Keep,
) -> Result<(), StoreError> {
    let until_ms = look.now.ms + ms(line.wait.min(STANDING));
    if let Some(mine) = mine {
        // Not at each question: a write every few seconds says as much.
        if mine.until_ms < look.now.ms + ms(STANDING) / 2 && mine.until_ms + ms(STANDING) / 4 < until_ms {
            tx.put(Some(&mine), &WaiterRow { rev: mine.rev + 1, until_ms, ..mine.clone() })?;
            *keep = Keep::Yes;
        }
        return Ok(());
    }
    // What it waited for before, it does not wait for any more.
    let old = tx.load::<WaiterRow>(&line.id)?;
    let waiter = WaiterRow {
        id: line.id,
        rev: old.as_ref().map_or(1, |old| old.rev + 1),
        epoch: tx.binder.epoch(),
        resource: *base,
        ticket: tx.next_serial(),
        mode: ask.mode,
        holder: ask.holder,
        boot_id: look.now.boot_id,
        until_ms,
    };
    tx.put(old.as_ref(), &waiter)?;
    *keep = Keep::Yes;
    sweep(tx, look)
}

/// Takes somebody out of line.
pub(super) fn leave_line(tx: &mut Tx<'_>, waiter: &[u8; 16]) -> Result<((), Keep), StoreError> {
    let Some(waiter) = tx.load::<WaiterRow>(waiter)? else { return Ok(((), Keep::No)) };
    tx.remove(&waiter)?;
    Ok(((), Keep::Yes))
}

/// Takes a resource away from everybody who holds it; those who wait stay in line.
pub(super) fn revoke(
    tx: &mut Tx<'_>,
    resource: &[u8; 16],
    audit: &[NewAudit],
    now: BootStamp,
) -> Result<((), Keep), StoreError> {
    for (_, old) in places(tx, resource)?.into_iter().filter(|(_, old)| old.held) {
        // The token grows, so that the holder is fenced even should its clock stand still.
        let token = next_token(tx, Some(&old));
        tx.put(Some(&old), &LeaseRow { token, held: false, ..resting(&old, now) })?;
    }
    record_all(tx, audit, None)?;
    Ok(((), Keep::Yes))
}

/// Everybody is out of line: they waited in another life of the vault.
pub(super) fn dismiss_all(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    remove_waiters(tx, "LIMIT ?1", params![i64::MAX], |_| true)
}

/// Writes the grant of a place; `old`: what stood there.
fn grant(
    tx: &mut Tx<'_>,
    place: (u8, [u8; 16]),
    token: Token,
    old: Option<&LeaseRow>,
    ask: &LeaseAsk,
    now: BootStamp,
) -> Result<Taken, StoreError> {
    let (place, resource) = place;
    let lease = LeaseRow {
        resource,
        rev: old.map_or(1, |old| old.rev + 1),
        epoch: tx.binder.epoch(),
        token,
        held: true,
        holder: ask.holder,
        boot_id: now.boot_id,
        until_ms: now.ms + ms(ask.ttl),
        free_at_ms: now.ms + ms(ask.ttl) + ms(ask.quarantine),
    };
    tx.put(old, &lease)?;
    Ok(Taken::Granted { place, token, until: BootStamp { boot_id: now.boot_id, ms: lease.until_ms } })
}

/// How many stand before the asker. Whoever was found at the head of the line and stands there no more is removed.
fn line_up(
    tx: &mut Tx<'_>,
    base: &[u8; 16],
    ask: &LeaseAsk,
    look: Look<'_>,
    keep: &mut Keep,
) -> Result<InLine, StoreError> {
    let in_order = "WHERE resource = ?1 ORDER BY ticket LIMIT ?2";
    let keys = WaiterRow::keys(tx.conn, in_order, params![base.as_slice(), WAITERS_MAX])?;
    let mut ahead = 0;
    for key in keys {
        let is_mine = ask.line.is_some_and(|line| line.id == key);
        // Behind the first who stands, only the number matters, and that is a hint of how soon to ask again.
        if ahead > 0 && !is_mine {
            ahead += 1;
            continue;
        }
        let Some(waiter) = tx.load::<WaiterRow>(&key)? else { continue };
        let stands = waiter.stands(look.now, || look.presence.is_dead(waiter.holder));
        if is_mine && stands {
            return Ok(InLine { mine: Some(waiter), ahead });
        }
        if stands {
            ahead += 1;
        } else {
            tx.remove(&waiter)?;
            *keep = Keep::Yes;
        }
    }
    Ok(InLine { mine: None, ahead })
}

/// How long each place is not to be had, and its row; holds that are over begin their rest here.
fn look_at_places(
    tx: &mut Tx<'_>,
    base: &[u8; 16],
    ask: &LeaseAsk,
    look: Look<'_>,
    keep: &mut Keep,
) -> Result<Vec<(u8, Option<Duration>, LeaseRow)>, StoreError> {
    let mut seen = Vec::new();
    for (place, row) in places(tx, base)? {
        let wait = claimed(tx, &row, ask, look, keep)?;
        seen.push((place, wait, row));
    }
    Ok(seen)
}

/// How long somebody who asks for a place has to wait; none where it is to be had.
fn claimed(
    tx: &mut Tx<'_>,
    old: &LeaseRow,
    ask: &LeaseAsk,
    look: Look<'_>,
    keep: &mut Keep,
) -> Result<Option<Duration>, StoreError> {
    let claimant = Claimant { incarnation: tx.binder.incarnation(), quarantine_ms: ms(ask.quarantine) };
    let rest = match claim(Some(old), claimant, look.now, || look.presence.is_dead(old.holder)) {
        Claim::Grant => return Ok(None),
        Claim::Wait(retry_in) => return Ok(Some(retry_in)),
        Claim::Restamp => resting(old, look.now),
        Claim::Revoke => {
            let free_at_ms = look.now.ms + old.quarantine_ms().max(claimant.quarantine_ms);
            LeaseRow { token: next_token(tx, Some(old)), held: false, free_at_ms, ..resting(old, look.now) }
        }
    };
    tx.put(Some(old), &rest)?;
    *keep = Keep::Yes;
    Ok(Some(Duration::from_millis(rest.quarantine_ms())))
}

/// The places of a resource that were ever held.
fn places(tx: &mut Tx<'_>, base: &[u8; 16]) -> Result<Vec<(u8, LeaseRow)>, StoreError> {
    let (from, to) = lease_places(base);
    let keys = LeaseRow::keys(tx.conn, "WHERE {key} >= ?1 AND {key} < ?2", params![from.as_slice(), to.as_slice()])?;
    let mut places = Vec::with_capacity(keys.len());
    for key in keys {
        if let (Some(place), Some(row)) = (place_of_lease(base, &key), tx.load::<LeaseRow>(&key)?) {
            places.push((place, row));
        }
    }
    Ok(places)
}

/// Removes some of those who stand in no line any more, wherever they stood: nobody may ever ask for that again.
fn sweep(tx: &mut Tx<'_>, look: Look<'_>) -> Result<(), StoreError> {
    let (boot_id, now_ms) = (look.now.boot_id, look.now.ms.cast_signed());
    remove_waiters(
        tx,
        "WHERE boot_id <> ?1 OR until_ms <= ?2 LIMIT ?3",
        params![boot_id.as_slice(), now_ms, SWEEP_MAX],
        |row| !row.stands(look.now, || false),
    )
}

fn remove_waiters(
    tx: &mut Tx<'_>,
    rest: &str,
    args: impl rusqlite::Params,
    is_over: impl Fn(&WaiterRow) -> bool,
) -> Result<(), StoreError> {
    for key in WaiterRow::keys(tx.conn, rest, args)? {
        if let Some(waiter) = tx.load::<WaiterRow>(&key)?.filter(|waiter| is_over(waiter)) {
            tx.remove(&waiter)?;
        }
    }
    Ok(())
}

/// When to ask again for what is free, and others are to have first: one of them takes it as soon as it looks.
const TURN: Duration = Duration::from_millis(20);
/// Waiters for one resource: more than a site's account can serve within any deadline; who comes later has to ask again.
const WAITERS_MAX: u32 = 4096;
/// How long somebody stands in line without asking again: a process that is stopped holds nobody up for longer, and one that
/// is merely slow asks far more often.
const STANDING: Duration = Duration::from_secs(10);
/// Rows that one new waiter clears away: more than one, so that they grow fewer.
const SWEEP_MAX: u32 = 4;
