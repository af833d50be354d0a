//! `latchkey account tag`: tags added and taken away.

use clap::Args;
use latchkey_vault::Edit;

use super::Written;
use crate::{account_ref::AccountRef, context::Context, failure::Failure};

/// Arguments of `account tag`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey account tag blog.example/ann +team-a -old")]
pub struct TagArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// `+TAG` adds a tag, `-TAG` takes one away
    #[arg(required = true, allow_hyphen_values = true, value_name = "+TAG|-TAG")]
    changes: Vec<TagChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TagChange {
    Add(String),
    Remove(String),
}

impl std::str::FromStr for TagChange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_at_checked(1) {
            Some(("+", tag)) if !tag.is_empty() => Ok(Self::Add(tag.to_owned())),
            Some(("-", tag)) if !tag.is_empty() => Ok(Self::Remove(tag.to_owned())),
            _ => Err("+TAG or -TAG is expected"),
        }
    }
}

/// Changes the tags.
///
/// # Errors
/// Where the account is unknown, or a tag is not admissible; nothing is written then.
pub(super) async fn run(cx: &Context, args: TagArgs) -> Result<(), Failure> {
    let mut edit = Edit::default();
    for change in args.changes {
        match change {
            TagChange::Add(tag) => edit.add_tags.push(tag),
            TagChange::Remove(tag) => edit.remove_tags.push(tag),
        }
    }
    let written = cx
        .with_vault(async |vault| {
            let id = args.account.find(vault).await?.id;
            Ok(Written::of(&vault.edit_account(id, &edit).await?, "tagged"))
        })
        .await?;
    cx.printer.print(&written)
}

#[cfg(test)]
mod tests {
    use super::TagChange;

    #[test]
    fn a_tag_is_added_or_taken_away_and_other_texts_are_refused() {
        assert_eq!("+a".parse(), Ok(TagChange::Add("a".into())));
        assert_eq!("--a".parse(), Ok(TagChange::Remove("-a".into())));
        for text in ["", "+", "-", "a", "đa"] {
            assert!(text.parse::<TagChange>().is_err(), "{text}");
        }
    }
}
