//! TOTP codes for a login: each of a step that was reserved durably, waited for where need be. Knows no site.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{OpenIntent, Turn};
use crate::{
    login::{TotpSource, TotpUnavailable},
    model::Secret,
    names::{Again, Named},
    record::LoginIntent,
    store::{Changes, Reserved, StepAsk, StoreError},
    totp::Totp,
};

/// Hands out TOTP codes whose steps were reserved durably, together with the intent that names them.
pub(super) struct Steps<'a> {
    pub(super) turn: &'a Turn<'a>,
    pub(super) totp: Option<Totp>,
    pub(super) intent: &'a OpenIntent,
    /// The site's clock less ours.
    pub(super) offset_ms: i64,
    /// How many times the intent was written since.
    pub(super) rev: u64,
}

#[async_trait]
impl TotpSource for Steps<'_> {
    async fn code(&mut self) -> Result<Secret, TotpUnavailable> {
        let unavailable = |reason: &str| TotpUnavailable { reason: reason.to_owned() };
        let Some(totp) = &self.totp else { return Err(unavailable("the account has no TOTP secret for this site")) };
        let vault = self.turn.vault;
        let secret = Named::totp(totp);
        loop {
            let now_ms = vault.opener.clock.wall_ms().saturating_add(self.offset_ms);
            let left_ms = totp.ms_left(now_ms);
            let step = totp.step_at(now_ms);
            // A code in the last second of its step may arrive in the next one.
            let reserved = if left_ms <= LAST_MS {
                Reserved::Spent { last: step }
            } else {
                let begins_ms = totp.begins_ms(step).saturating_sub(self.offset_ms);
                self.reserve(&secret, step, begins_ms).await?
            };
            match reserved {
                Reserved::Step(step) => {
                    self.rev += 1;
                    return Ok(totp.code(step));
                }
                Reserved::Spent { last } if last <= step + STEPS_AHEAD => {
                    let wait_ms = left_ms + (last - step.min(last)) * totp.period_s() * 1000;
                    let wait = Duration::from_millis(wait_ms + 1);
                    if Instant::now() + wait > self.turn.deadline {
                        return Err(unavailable("the next unused step is past the deadline"));
                    }
                    tokio::time::sleep(wait).await;
                }
                Reserved::Spent { .. } => {
                    return Err(unavailable("steps far ahead of the clock are spent; check the clock"));
                }
                Reserved::Fenced | Reserved::Stale(_) => return Err(unavailable("the login lease is lost")),
            }
        }
    }

    fn observe_site_clock(&mut self, site_ms: i64, local_ms: i64) {
        let offset_ms = site_ms.saturating_sub(local_ms);
        // The header has whole seconds: smaller differences say nothing.
        self.offset_ms = if offset_ms.abs() < OFFSET_MIN_MS { 0 } else { offset_ms };
    }
}

impl Steps<'_> {
    async fn reserve(&self, secret: &Named, step: u64, begins_ms: i64) -> Result<Reserved, TotpUnavailable> {
        if self.offset_ms.abs() > OFFSET_MAX_MS {
            let reason = "the site's clock and ours differ by more than 10 minutes: a person has to look".to_owned();
            return Err(TotpUnavailable { reason });
        }
        let (turn, vault) = (self.turn, self.turn.vault);
        let says = LoginIntent { totp_step: Some(step), ..self.intent.says.clone() };
        let next = OpenIntent { id: self.intent.id, rev: self.intent.rev + self.rev + 1, says };
        let unavailable = |error: StoreError| TotpUnavailable { reason: error.to_string() };
        let items = vault.item_rows(&[turn.intent_item(&next, true)]).map_err(unavailable)?;
        let changes = Changes { items, ..Changes::default() };
        let mut again = Again::new();
        loop {
            let hold = vault.hold(&turn.lease).map_err(unavailable)?;
            let secret = vault.name_of(secret).map_err(unavailable)?;
            match vault.store.reserve_step(StepAsk { hold, secret, step, begins_ms }, changes.clone()).await {
                Err(StoreError::Rekeyed) if again.once_more() => {}
                reserved => return reserved.map_err(unavailable),
            }
        }
    }
}

/// No code is sent in the last second of its step.
const LAST_MS: u64 = 1000;
/// Steps ahead of the clock that may be spent already: the site's clock may have been taken to be ahead.
const STEPS_AHEAD: u64 = 2;
/// RFC 9110 section 5.6.7: an HTTP date has whole seconds.
const OFFSET_MIN_MS: i64 = 2000;
/// Beyond ten minutes a clock is wrong, not late.
const OFFSET_MAX_MS: i64 = 10 * 60 * 1000;
