//! `latchkey account list`: accounts, filtered, without secrets.

use clap::{Args, ValueEnum};
use latchkey_vault::AccountView;
use serde::Serialize;

use super::{ALL_PAGE, login_of};
use crate::{
    commands::audit::SHORT_ID_CHARS,
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    time::rfc3339,
};

/// Arguments of `account list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey account list --site blog.example --state needs_human
  latchkey account list --tag team-a --json | jq -r '.accounts[].id'")]
pub struct ListArgs {
    /// Only accounts of this site
    #[arg(long)]
    site: Option<String>,
    /// Only accounts with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only accounts that stand so
    #[arg(long)]
    state: Option<StateWord>,
    /// At most so many, 1 to 10000
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// The states of an account, by their words.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum StateWord {
    Ready,
    Cooling,
    NeedsHuman,
    Locked,
    Banned,
    Dead,
}

#[derive(Serialize)]
struct Listed {
    accounts: Vec<Line>,
    more: bool,
}

#[derive(Serialize)]
struct Line {
    id: String,
    site: String,
    login: Option<String>,
    state: &'static str,
    evidence: String,
    manager_id: Option<String>,
    manager_status: Option<String>,
    tags: Vec<String>,
    updated_at: String,
    updated_at_ms: i64,
}

/// Lists accounts in the order of their ids.
///
/// # Errors
/// Where they cannot be read.
pub(super) async fn run(cx: &Context, args: ListArgs) -> Result<(), Failure> {
    let listed = cx
        .with_vault(async |vault| {
            let (mut accounts, mut after) = (Vec::new(), None);
            loop {
                let page = vault.accounts(args.site.as_deref(), after, ALL_PAGE).await?;
                let Some(last) = page.last() else { return Ok(Listed { accounts, more: false }) };
                after = Some(last.id);
                for account in page.iter().filter(|account| args.wants(account)) {
                    if accounts.len() == args.limit as usize {
                        return Ok(Listed { accounts, more: true });
                    }
                    accounts.push(Line::from(account));
                }
            }
        })
        .await?;
    cx.printer.print(&listed)
}

impl ListArgs {
    fn wants(&self, account: &AccountView) -> bool {
        self.tag.as_ref().is_none_or(|tag| account.tags.contains(tag))
            && self.state.is_none_or(|state| state.word() == account.standing.state.word())
    }
}

impl StateWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cooling => "cooling",
            Self::NeedsHuman => "needs_human",
            Self::Locked => "locked",
            Self::Banned => "banned",
            Self::Dead => "dead",
        }
    }
}

impl From<&AccountView> for Line {
    fn from(account: &AccountView) -> Self {
        Self {
            id: account.id.to_string(),
            site: account.site.clone(),
            login: login_of(account),
            state: account.standing.state.word(),
            evidence: account.standing.evidence.clone(),
            manager_id: account.manager_id.clone(),
            manager_status: account.manager_status.clone(),
            tags: account.tags.clone(),
            updated_at: rfc3339(account.updated_ms),
            updated_at_ms: account.updated_ms,
        }
    }
}

impl Show for Listed {
    fn show(&self, page: &mut Page) {
        if self.accounts.is_empty() {
            page.line("No account.");
            return;
        }
        let rows = self.accounts.iter().map(|account| {
            vec![
                account.id.chars().take(SHORT_ID_CHARS).collect(),
                safe(&account.site),
                safe(account.login.as_deref().unwrap_or("-")),
                account.state.to_owned(),
                safe(account.manager_status.as_deref().unwrap_or("-")),
                safe(&account.tags.join(", ")),
            ]
        });
        page.table(&["id", "site", "login", "state", "manager", "tags"], rows);
        if self.more {
            page.line("There are more: raise --limit.");
        }
    }
}
