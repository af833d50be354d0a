//! A lease as the model keeps it, decided on by the product's own `claim` and `is_live`.
//!
//! Times are small numbers around a present that never moves: a tick moves every stamp into the past instead, so that the
//! states stay finite. Deliberately not here: who asks, and what for.

use latchkey_vault::{
    BootStamp, HolderId,
    store::{Claim, Claimant, LeaseRow, Token, claim},
};

/// A moment, by the model's clock.
pub(crate) type Moment = u8;

/// The present, always; what lies this far back or further is as good as never.
pub(crate) const NOW: Moment = 4;

/// How long a lease lasts, in ticks.
const TTL: u8 = 2;

/// A request that was sent arrives within this many ticks, or never.
pub(crate) const REQUEST: u8 = 1;

/// The rest after an unclean end: longer than a request can be under way.
pub(crate) const QUARANTINE: u8 = REQUEST + 1;

/// A lease's row; `token` 0 is a row that is not there yet.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) token: u8,
    held: bool,
    holder: u8,
    until: Moment,
    free_at: Moment,
}

impl Lease {
    /// What becomes of a claim by `holder`: the row afterwards, and whether it is the claimant's. None: nothing changes.
    pub(crate) fn claimed(&self, holder: u8, quarantine: u8, holder_is_dead: bool) -> Option<(Self, bool)> {
        let row = (self.token > 0).then(|| self.row());
        let claimant = Claimant { incarnation: 1, quarantine_ms: quarantine.into() };
        match claim(row.as_ref(), claimant, now(), || holder_is_dead) {
            Claim::Grant => {
                let until = NOW + TTL;
                let granted = Self { token: self.token + 1, held: true, holder, until, free_at: until + quarantine };
                Some((granted, true))
            }
            Claim::Restamp => {
                let rest = self.free_at.saturating_sub(self.until);
                Some((Self { until: NOW, free_at: NOW + rest, ..self.clone() }, false))
            }
            // There is one incarnation here; a revocation would be a step that this model does not have.
            Claim::Wait(_) | Claim::Revoke => None,
        }
    }

    pub(crate) fn is_live(&self, token: u8, holder: u8) -> bool {
        self.token > 0 && self.row().is_live(Token { incarnation: 1, n: token.into() }, holder_id(holder), now())
    }

    pub(crate) fn holder(&self) -> u8 {
        self.holder
    }

    pub(crate) fn until(&self) -> Moment {
        self.until
    }

    pub(crate) fn released(&self) -> Self {
        Self { held: false, holder: 0, until: 0, free_at: 0, ..self.clone() }
    }

    pub(crate) fn tick(&mut self) {
        self.until = self.until.saturating_sub(1);
        self.free_at = self.free_at.saturating_sub(1);
        if self.free_at < NOW {
            // Long over is long over.
            (self.until, self.free_at) = (0, 0);
        }
    }

    fn row(&self) -> LeaseRow {
        LeaseRow {
            resource: [1; 16],
            rev: 1,
            epoch: 1,
            token: Token { incarnation: 1, n: self.token.into() },
            held: self.held,
            holder: holder_id(self.holder),
            boot_id: BOOT,
            until_ms: self.until.into(),
            free_at_ms: self.free_at.into(),
        }
    }
}

fn now() -> BootStamp {
    BootStamp { boot_id: BOOT, ms: NOW.into() }
}

fn holder_id(holder: u8) -> HolderId {
    HolderId::from_bytes([holder; 16])
}

const BOOT: [u8; 16] = [7; 16];
