//! Which entries are wanted: by account, action, actor, outcome and time. What is filtered by is sealed, so every entry is
//! opened; a filter costs time, not memory.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use latchkey_vault::{
    AuditEntry, Vault,
    model::{Action, Outcome},
};

use crate::{account_ref::AccountRef, context::Context, failure::Failure, time};

/// Flags that say which entries are wanted; all of those given have to hold.
#[derive(Args, Debug)]
pub(super) struct FilterArgs {
    /// Only entries about this account, also one that was removed (by its id)
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountRef>,
    /// Only entries of this action; may be given more than once
    #[arg(long, value_name = "ACTION", value_parser = actions())]
    action: Vec<Action>,
    /// Only entries of this actor: a worker's name or `cli`, a user's name, or a user id
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only entries that ended so; may be given more than once
    #[arg(long, value_name = "OUTCOME", value_parser = outcomes())]
    outcome: Vec<Outcome>,
    /// Only entries from this time on: 2026-11-22, 2026-11-22T08:00:00Z, or a while ago as 90m, 12h, 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only entries before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Which entries are wanted.
pub(super) struct Filter {
    /// What the account's id begins with.
    account: Option<String>,
    actions: Vec<Action>,
    actor: Option<String>,
    outcomes: Vec<Outcome>,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
}

impl FilterArgs {
    /// The times among them, read before a vault is opened for nothing.
    pub(super) fn times(&self, cx: &Context) -> Result<(Option<i64>, Option<i64>), Failure> {
        let read = |flag, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let hint = "write a date, a time as 2026-11-22T08:00:00Z, or a while ago as 90m, 12h, 7d";
            let wrong = || Failure::usage(format!("{flag} is not a time"), hint);
            time::point(text, cx.now_ms()).map(Some).ok_or_else(wrong)
        };
        Ok((read("--since", &self.since)?, read("--until", &self.until)?))
    }

    /// The filter, the account among it found.
    pub(super) async fn filter(
        self,
        vault: &Vault,
        (since_ms, until_ms): (Option<i64>, Option<i64>),
    ) -> Result<Filter, Failure> {
        let account = match &self.account {
            Some(account) => Some(account.id_letters(vault).await?),
            None => None,
        };
        let Self { action: actions, actor, outcome: outcomes, .. } = self;
        Ok(Filter { account, actions, actor, outcomes, since_ms, until_ms })
    }
}

impl Filter {
    /// Whether an entry is wanted.
    pub(super) fn wants(&self, entry: &AuditEntry) -> bool {
        let event = &entry.event;
        let about = |letters: &String| event.account.is_some_and(|id| id.to_string().starts_with(letters));
        let by = |who: &String| {
            let actor = &event.actor;
            *who == actor.name || *who == actor.user || who.parse() == Ok(actor.uid)
        };
        self.account.as_ref().is_none_or(about)
            && (self.actions.is_empty() || self.actions.contains(&event.action))
            && self.actor.as_ref().is_none_or(by)
            && (self.outcomes.is_empty() || self.outcomes.contains(&event.outcome))
            && self.since_ms.is_none_or(|since_ms| event.at_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| event.at_ms < until_ms)
    }
}

fn actions() -> impl TypedValueParser<Value = Action> {
    let words = Action::ALL.iter().map(|action| action.word());
    PossibleValuesParser::new(words).try_map(|word| known(Action::ALL, &word, Action::word))
}

fn outcomes() -> impl TypedValueParser<Value = Outcome> {
    let words = Outcome::ALL.iter().map(|outcome| outcome.word());
    PossibleValuesParser::new(words).try_map(|word| known(Outcome::ALL, &word, Outcome::word))
}

fn known<T: Copy>(all: &[T], word: &str, word_of: impl Fn(T) -> &'static str) -> Result<T, &'static str> {
    all.iter().copied().find(|one| word_of(*one) == word).ok_or("no such word")
}

#[cfg(test)]
mod tests {
    use latchkey_vault::{
        AccountId, AuditEntry,
        model::{Action, Actor, AuditEvent, Outcome},
    };

    use super::Filter;

    fn entry() -> AuditEntry {
        let actor = Actor { uid: 1000, user: "ann".into(), pid: 7, name: "cli".into() };
        let account = Some(AccountId::from_bytes([0xab; 16]));
        let (action, outcome, detail) = (Action::Reveal, Outcome::Done, "totp".to_owned());
        let event = AuditEvent { at_ms: 100, actor, action, outcome, account, detail };
        AuditEntry { seq: 3, token: None, event, hash: [0; 32] }
    }

    fn all() -> Filter {
        Filter { account: None, actions: vec![], actor: None, outcomes: vec![], since_ms: None, until_ms: None }
    }

    #[track_caller]
    fn check(filter: Filter, wanted: bool) {
        assert_eq!(filter.wants(&entry()), wanted);
    }

    #[test]
    fn every_flag_lets_the_entry_through_or_keeps_it_back() {
        let id = AccountId::from_bytes([0xab; 16]).to_string();
        check(all(), true);
        for (letters, wanted) in [(id[..10].to_owned(), true), (id, true), ("0000".into(), false)] {
            check(Filter { account: Some(letters), ..all() }, wanted);
        }
        check(Filter { actions: vec![Action::Add, Action::Reveal], ..all() }, true);
        check(Filter { actions: vec![Action::Add], ..all() }, false);
        for (who, wanted) in [("cli", true), ("ann", true), ("1000", true), ("7", false), ("", false)] {
            check(Filter { actor: Some(who.into()), ..all() }, wanted);
        }
        check(Filter { outcomes: vec![Outcome::Done], ..all() }, true);
        check(Filter { outcomes: vec![Outcome::Failed], ..all() }, false);
        for (since_ms, until_ms, wanted) in [(100, 101, true), (101, 200, false), (0, 100, false)] {
            check(Filter { since_ms: Some(since_ms), until_ms: Some(until_ms), ..all() }, wanted);
        }
    }
}
