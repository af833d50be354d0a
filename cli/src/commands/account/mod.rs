//! `latchkey account`: what can be done with accounts, one file each, and what they share.

mod add;
mod edit;
mod list;
mod pull;
mod remove;
mod show;
mod tag;

use clap::Subcommand;
use latchkey_vault::{AccountView, Secret};
use serde::Serialize;

use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
};

/// What is done with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account of an authorised site
    Add(add::AddArgs),
    /// Change an account
    Edit(edit::EditArgs),
    /// Add and take away tags
    Tag(tag::TagArgs),
    /// List accounts
    List(list::ListArgs),
    /// Show an account; its secrets only with --reveal
    Show(show::ShowArgs),
    /// Merge what the manager knows
    Pull(pull::PullArgs),
    /// Say that an account may be worked with again
    Reset(edit::ResetArgs),
    /// Remove an account and its session
    Remove(remove::RemoveArgs),
}

/// An account that was written.
#[derive(Serialize)]
struct Written {
    id: String,
    site: String,
    login: Option<String>,
    /// What became of it, as a word.
    done: &'static str,
}

/// Does what was asked.
///
/// # Errors
/// Where it cannot be done; nothing is changed then.
pub async fn run(cx: &Context, command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Add(args) => add::run(cx, args).await,
        AccountCommand::Edit(args) => edit::run(cx, args).await,
        AccountCommand::Tag(args) => tag::run(cx, args).await,
        AccountCommand::List(args) => list::run(cx, args).await,
        AccountCommand::Show(args) => show::run(cx, args).await,
        AccountCommand::Pull(args) => pull::run(cx, args).await,
        AccountCommand::Reset(args) => edit::reset(cx, args).await,
        AccountCommand::Remove(args) => remove::run(cx, args).await,
    }
}

/// The name that an account logs in with.
pub(super) fn login_of(account: &AccountView) -> Option<String> {
    account.login_name().map(clear)
}

/// A username, an email address or a profile's URL: kept sealed, but shown to whoever has opened the vault.
fn clear(text: &Secret) -> String {
    // EXPOSE: it names the account on the operator's screen.
    text.expose().to_owned()
}

impl Written {
    fn of(account: &AccountView, done: &'static str) -> Self {
        let site = account.site.clone();
        Self { id: account.id.to_string(), site, login: login_of(account), done }
    }
}

impl Show for Written {
    fn show(&self, page: &mut Page) {
        let login = self.login.as_deref().map_or_else(String::new, |login| format!("/{}", safe(login)));
        page.line(format_args!("{}: {} ({}{login})", self.done, self.id, safe(&self.site)));
    }
}

/// Accounts read at a time.
pub(super) const ALL_PAGE: u32 = 500;
