//! Attempts: durable before the site is touched, closed with their outcome. Opaque to the vault that seals them.

use latchkey_vault::{AccountId, Item, ItemChange, ItemKind, Vault};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

/// One task's attempt, as it is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The task.
    pub(crate) task: String,
    /// With which account.
    pub(crate) account: AccountId,
    /// How many times the task was begun with intent to post.
    pub(crate) tries: u32,
    /// When the present try began, Unix milliseconds.
    pub(crate) since_ms: i64,
    /// Where it stands.
    pub(crate) state: State,
}

/// Where an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The site may have been asked for the effect: look before anything is repeated.
    Sent,
    /// The effect exists.
    Done { link: String },
    /// There is no effect, and the manager is told so.
    Failed { reason: String },
    /// There is no effect; the task is tried again.
    Nothing,
}

/// An attempt and the item that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    id: [u8; 16],
    rev: u64,
    pub(crate) attempt: Attempt,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AttemptV1<'a> {
    #[n(1)]
    task: &'a str,
    #[n(2)]
    account: &'a str,
    #[n(3)]
    tries: u32,
    #[n(4)]
    since_ms: i64,
    #[n(5)]
    state: u8,
    #[n(6)]
    text: &'a str,
}

impl Held {
    /// A new attempt, not written yet.
    pub(crate) fn new(
        vault: &Vault,
        task: &str,
        account: AccountId,
    ) -> Result<Self, latchkey_vault::store::StoreError> {
        let attempt = Attempt { task: task.to_owned(), account, tries: 0, since_ms: 0, state: State::Nothing };
        Ok(Self { id: vault.new_item_id()?, rev: 0, attempt })
    }

    /// An attempt that the vault does not remember and that may have been made all the same; not written yet.
    pub(crate) fn in_doubt(
        vault: &Vault,
        task: &str,
        account: AccountId,
    ) -> Result<Self, latchkey_vault::store::StoreError> {
        let mut held = Self::new(vault, task, account)?;
        held.attempt.state = State::Sent;
        Ok(held)
    }

    /// The attempt in an item; none when it is not what this version writes.
    pub(crate) fn read(item: &Item) -> Option<Self> {
        let v1: AttemptV1<'_> = minicbor::decode(&item.body).ok()?;
        let text = v1.text.to_owned();
        let state = match v1.state {
            1 => State::Sent,
            2 => State::Done { link: text },
            3 => State::Failed { reason: text },
            4 => State::Nothing,
            _ => return None,
        };
        // From before the vault was restored: what had no effect then may have been tried again in the time that was lost.
        let state = match state {
            State::Nothing | State::Failed { .. } if item.is_from_earlier => State::Sent,
            state => state,
        };
        let account = v1.account.parse().ok()?;
        let attempt = Attempt { task: v1.task.to_owned(), account, tries: v1.tries, since_ms: v1.since_ms, state };
        Some(Self { id: item.id, rev: item.rev, attempt })
    }

    /// The write that brings the item to what the attempt says now. Call [`Held::written`] once it is durable.
    pub(crate) fn change(&self) -> ItemChange {
        let (state, text) = match &self.attempt.state {
            State::Sent => (1, ""),
            State::Done { link } => (2, link.as_str()),
            State::Failed { reason } => (3, reason.as_str()),
            State::Nothing => (4, ""),
        };
        let account = self.attempt.account.to_string();
        let v1 = AttemptV1 {
            task: &self.attempt.task,
            account: &account,
            tries: self.attempt.tries,
            since_ms: self.attempt.since_ms,
            state,
            text,
        };
        #[expect(
            clippy::expect_used,
            reason = "a Vec takes every byte, and the derived encoder adds no error of its own"
        )]
        let body = minicbor::to_vec(&v1).expect("writing to a Vec does not fail");
        ItemChange {
            kind: ItemKind::Attempt,
            id: self.id,
            rev: self.rev + 1,
            key: key(&self.attempt.task),
            open: self.attempt.state == State::Sent,
            body: Zeroizing::new(body),
        }
    }

    /// The revision that was read, or written last.
    pub(crate) fn rev(&self) -> u64 {
        self.rev
    }

    /// The last [`Held::change`] is durable.
    pub(crate) fn written(&mut self) {
        self.rev += 1;
    }
}

/// What the attempts of a social task are found by.
pub(crate) fn key(task: &str) -> String {
    format!("social:{task}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use latchkey_vault::{AccountId, Item};

    use super::{Attempt, Held, State};

    #[test]
    fn an_attempt_survives_its_bytes_and_is_open_only_while_its_effect_is_in_doubt() {
        for (state, open) in [
            (State::Sent, true),
            (State::Done { link: "https://site.test/1".into() }, false),
            (State::Failed { reason: "no".into() }, false),
            (State::Nothing, false),
        ] {
            let attempt =
                Attempt { task: "t".into(), account: AccountId::from_bytes([1; 16]), tries: 2, since_ms: 3, state };
            let change = Held { id: [2; 16], rev: 4, attempt: attempt.clone() }.change();
            assert_eq!((change.rev, change.open), (5, open));
            let (id, rev, body) = (change.id, change.rev, change.body);
            let mut item = Item { id, rev, open: change.open, is_from_earlier: false, body };
            assert_eq!(Held::read(&item).unwrap().attempt, attempt);
            item.is_from_earlier = true;
            let known = matches!(attempt.state, State::Done { .. });
            let expected = if known { attempt.state } else { State::Sent };
            assert_eq!(Held::read(&item).unwrap().attempt.state, expected, "overtaken, for all that is known");
        }
    }

    #[test]
    fn other_bytes_are_no_attempt() {
        for body in [&b""[..], b"\xa0", b"junk"] {
            let item = Item { id: [0; 16], rev: 1, open: true, is_from_earlier: false, body: body.to_vec().into() };
            assert!(Held::read(&item).is_none());
        }
    }
}
