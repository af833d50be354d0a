//! When a lease may change hands: the pure decision. Knows no SQL and takes the time as an argument.

use std::time::Duration;

use super::{LeaseMode, rows::LeaseRow};
use crate::model::BootStamp;

/// What is to be done with a lease that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It may be granted.
    Grant,
    /// It is held, or rests: ask again after this time.
    Wait(Duration),
    /// The holder is gone (another boot, a dead process): the hold is over, the quarantine starts now.
    Restamp,
    /// It is of an earlier incarnation: whoever held it, also in the time that was lost, is fenced; the quarantine starts
    /// now.
    Revoke,
}

/// What is to be known of whoever claims a lease.
#[derive(Clone, Copy, Debug)]
pub struct Claimant {
    /// The vault's incarnation.
    pub incarnation: u32,
    /// How long the resource rests after an unclean end, milliseconds.
    pub quarantine_ms: u64,
}

/// Decides on a claim to `row` (none: never leased before) at `now`; `holder_is_dead` where its process is known to have
/// ended.
///
/// Setting the wall clock changes nothing here; another boot, and the end of the holder's process, mean that the hold is
/// over and the quarantine begins. What a row of an earlier incarnation says was true of another life of the vault: even
/// where it says "free" it may have been held in the time that was lost, and rests.
#[must_use]
pub fn claim(
    row: Option<&LeaseRow>,
    claimant: Claimant,
    now: BootStamp,
    holder_is_dead: impl FnOnce() -> bool,
) -> Claim {
    let Some(row) = row else { return Claim::Grant };
    if row.token.incarnation != claimant.incarnation {
        let rests = row.quarantine_ms().max(claimant.quarantine_ms) > 0;
        return if rests { Claim::Revoke } else { Claim::Grant };
    }
    if row.boot_id != now.boot_id {
        // How much of a rest had passed when that boot ended cannot be told: it is kept in full.
        return if row.free_at_ms == 0 { Claim::Grant } else { Claim::Restamp };
    }
    if row.held && now.ms < row.until_ms && holder_is_dead() {
        return Claim::Restamp;
    }
    if now.ms >= row.free_at_ms {
        return Claim::Grant;
    }
    Claim::Wait(Duration::from_millis(row.free_at_ms - now.ms))
}

/// Which place of a resource one more may hold; else how long it has to wait. `places`: those that were ever held, with how
/// long each is not to be had.
///
/// Place 0 is the exclusive hold, which needs all others free; a shared one needs place 0 free, and fewer than it allows taken.
///
/// # Errors
/// How long to wait where there is none.
pub fn free_place(mode: LeaseMode, places: &[(u8, Option<Duration>)]) -> Result<u8, Duration> {
    let taken = || places.iter().filter_map(|(place, wait)| wait.map(|wait| (*place, wait)));
    let LeaseMode::Shared { at_most } = mode else {
        return taken().map(|(_, wait)| wait).max().map_or(Ok(0), Err);
    };
    if let Some((_, wait)) = taken().find(|(place, _)| *place == 0) {
        return Err(wait);
    }
    let allowed = at_most.clamp(1, LEASE_PLACES_MAX);
    match taken().map(|(_, wait)| wait).min() {
        Some(wait) if taken().count() >= usize::from(allowed) => Err(wait),
        _ => Ok((1..=allowed).find(|place| taken().all(|(other, _)| other != *place)).unwrap_or(allowed)),
    }
}

/// The id of a place of a resource's lease: the resource's own, its last byte moved on by the number of the place.
///
/// Ids are random or keyed: that two of them agree in all but the last byte is not to be expected.
#[must_use]
pub fn lease_place(resource: &[u8; 16], place: u8) -> [u8; 16] {
    let mut id = *resource;
    id[15] = id[15].wrapping_add(place);
    id
}

/// Between which keys all places of a resource lie, the second excluded: they have all but the last byte in common.
#[must_use]
pub fn lease_places(resource: &[u8; 16]) -> ([u8; 16], [u8; 17]) {
    let (mut from, mut to) = (*resource, [0xff; 17]);
    from[15] = 0;
    to[..15].copy_from_slice(&resource[..15]);
    (from, to)
}

/// Which place of `resource` an id is; none where it is another's.
#[must_use]
pub fn place_of_lease(resource: &[u8; 16], id: &[u8; 16]) -> Option<u8> {
    let place = id[15].wrapping_sub(resource[15]);
    (id[..15] == resource[..15] && place <= LEASE_PLACES_MAX).then_some(place)
}

/// Shared holds of one resource: more than any site lets one account do at once.
pub const LEASE_PLACES_MAX: u8 = 64;

impl LeaseRow {
    /// How long the resource rests after an unclean end, as its last holder asked, in milliseconds.
    #[must_use]
    pub fn quarantine_ms(&self) -> u64 {
        self.free_at_ms.saturating_sub(self.until_ms)
    }

    /// Whether `token` is the newest of this lease, still held, and not expired at `now`.
    #[must_use]
    pub fn is_live(&self, token: super::Token, holder: crate::model::HolderId, now: BootStamp) -> bool {
        self.held
            && self.token == token
            && self.holder == holder
            && self.boot_id == now.boot_id
            && now.ms < self.until_ms
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::{Claim, Claimant, LEASE_PLACES_MAX, claim, free_place, lease_place, place_of_lease};
    use crate::{
        model::{BootStamp, HolderId},
        store::{LeaseMode, LeaseRow, Token},
    };

    const BOOT: [u8; 16] = [7; 16];
    const OTHER: [u8; 16] = [8; 16];

    const CLAIMANT: Claimant = Claimant { incarnation: 1, quarantine_ms: 30 };

    fn row(held: bool, until_ms: u64, free_at_ms: u64) -> LeaseRow {
        LeaseRow {
            resource: [1; 16],
            rev: 1,
            epoch: 1,
            token: Token { incarnation: 1, n: 4 },
            held,
            holder: HolderId::from_bytes([2; 16]),
            boot_id: BOOT,
            until_ms,
            free_at_ms,
        }
    }

    #[test]
    fn a_lease_changes_hands_only_when_free_or_past_its_quarantine() {
        let wait = |ms| Claim::Wait(Duration::from_millis(ms));
        for (name, row, boot_id, ms, expected) in [
            ("never leased", None, BOOT, 0, Claim::Grant),
            ("released cleanly", Some(row(false, 0, 0)), BOOT, 5, Claim::Grant),
            ("held", Some(row(true, 100, 130)), BOOT, 99, wait(31)),
            ("expired, in quarantine", Some(row(true, 100, 130)), BOOT, 100, wait(30)),
            ("expired, quarantine over", Some(row(true, 100, 130)), BOOT, 130, Claim::Grant),
            ("revoked, in quarantine", Some(row(false, 0, 130)), BOOT, 129, wait(1)),
            ("held in another boot", Some(row(true, 100, 130)), OTHER, 5000, Claim::Restamp),
            ("free since another boot", Some(row(false, 0, 0)), OTHER, 0, Claim::Grant),
            ("revoked in another boot", Some(row(false, 100, 130)), OTHER, 5000, Claim::Restamp),
        ] {
            assert_eq!(claim(row.as_ref(), CLAIMANT, BootStamp { boot_id, ms }, || false), expected, "{name}");
        }
    }

    #[test]
    fn the_lease_of_a_dead_process_rests_from_now_on_and_only_once() {
        let claim_at = |row: LeaseRow, ms| claim(Some(&row), CLAIMANT, BootStamp { boot_id: BOOT, ms }, || true);
        assert_eq!(claim_at(row(true, 100, 130), 50), Claim::Restamp);
        assert_eq!(claim_at(row(true, 50, 80), 50), Claim::Wait(Duration::from_millis(30)), "restamped already");
        assert_eq!(claim_at(row(true, 50, 80), 80), Claim::Grant);
        assert_eq!(claim_at(row(false, 0, 0), 50), Claim::Grant, "given back before the end");
    }

    #[test]
    fn whatever_a_lease_of_an_earlier_incarnation_says_it_is_revoked_and_rests_first() {
        let next = Claimant { incarnation: 2, ..CLAIMANT };
        for row in [row(true, 100, 130), row(true, 0, 0), row(false, 0, 0), row(false, 0, 130)] {
            for now in [BootStamp { boot_id: BOOT, ms: 5000 }, BootStamp { boot_id: OTHER, ms: 1 }] {
                assert_eq!(claim(Some(&row), next, now, || false), Claim::Revoke, "{row:?}");
            }
        }
        let now = BootStamp { boot_id: BOOT, ms: 1 };
        let hasty = Claimant { quarantine_ms: 0, ..next };
        assert_eq!(claim(Some(&row(false, 0, 0)), hasty, now, || false), Claim::Grant, "nothing to wait for");
        assert_eq!(claim(Some(&row(true, 100, 130)), hasty, now, || false), Claim::Revoke, "the row has a quarantine");
        assert_eq!(claim(None, next, now, || false), Claim::Grant, "never leased before");
    }

    #[test]
    fn an_exclusive_hold_needs_every_place_and_a_shared_one_a_place_beside_no_exclusive_one() {
        const EXCLUSIVE: LeaseMode = LeaseMode::Exclusive;
        const TWO: LeaseMode = LeaseMode::Shared { at_most: 2 };
        let (s1, s2) = (Duration::from_secs(1), Duration::from_secs(2));
        for (name, mode, places, expected) in [
            ("never held", EXCLUSIVE, &[][..], Ok(0)),
            ("never held, shared", TWO, &[], Ok(1)),
            ("all free", EXCLUSIVE, &[(0, None), (1, None)], Ok(0)),
            ("all free, shared", TWO, &[(0, None), (1, None), (2, None)], Ok(1)),
            ("exclusively held", EXCLUSIVE, &[(0, Some(s1))], Err(s1)),
            ("exclusively held, shared", TWO, &[(0, Some(s1)), (1, None)], Err(s1)),
            ("the last of two counts", EXCLUSIVE, &[(0, None), (1, Some(s2)), (2, Some(s1))], Err(s2)),
            ("a place is left", TWO, &[(0, None), (1, Some(s2))], Ok(2)),
            ("the first place is left", TWO, &[(1, None), (2, Some(s2))], Ok(1)),
            ("full", TWO, &[(1, Some(s2)), (2, Some(s1))], Err(s1)),
            ("others allow more", TWO, &[(3, Some(s2)), (5, Some(s1))], Err(s1)),
            ("others allow more, one left", TWO, &[(3, Some(s2))], Ok(1)),
        ] {
            assert_eq!(free_place(mode, places), expected, "{name}");
        }
        assert_eq!(free_place(LeaseMode::Shared { at_most: 0 }, &[]), Ok(1), "none is one");
        let full: Vec<_> = (1..=LEASE_PLACES_MAX).map(|place| (place, Some(s1))).collect();
        assert_eq!(free_place(LeaseMode::Shared { at_most: u8::MAX }, &full), Err(s1), "bounded");
    }

    #[test]
    fn a_place_lies_behind_its_resource_and_no_other_id_is_one() {
        for last in [0, 7, 255] {
            let resource = [[9; 15].as_slice(), &[last]].concat().try_into().unwrap();
            for place in 0..=LEASE_PLACES_MAX {
                assert_eq!(place_of_lease(&resource, &lease_place(&resource, place)), Some(place));
            }
            assert_eq!(place_of_lease(&resource, &lease_place(&resource, LEASE_PLACES_MAX + 1)), None);
            assert_eq!(place_of_lease(&resource, &[8; 16]), None);
        }
    }

    #[test]
    fn a_token_is_live_only_for_its_holder_in_its_time_and_boot() {
        let row = row(true, 100, 130);
        let now = BootStamp { boot_id: BOOT, ms: 99 };
        let token = row.token;
        assert!(row.is_live(token, row.holder, now));
        assert!(!row.is_live(Token { n: 3, ..token }, row.holder, now), "older token");
        assert!(!row.is_live(Token { incarnation: 2, ..token }, row.holder, now), "other incarnation");
        assert!(!row.is_live(token, HolderId::from_bytes([3; 16]), now), "other holder");
        assert!(!row.is_live(token, row.holder, BootStamp { ms: 100, ..now }), "expired");
        assert!(!row.is_live(token, row.holder, BootStamp { boot_id: OTHER, ms: 1 }), "other boot");
    }
}
