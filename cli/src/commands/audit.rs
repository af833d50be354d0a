//! `latchkey audit list`: who did what, from the chained entries of the vault.

use std::collections::VecDeque;

use clap::{Args, Subcommand};
use latchkey_vault::AuditEntry;
use serde::Serialize;

use crate::{
    account_ref::AccountRef,
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    time::rfc3339,
};

/// What is done with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The newest entries, oldest of them first
    List(ListArgs),
}

/// Arguments of `audit list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey audit list --limit 20
  latchkey audit list --account blog.example/ann --json")]
pub struct ListArgs {
    /// At most so many entries, 1 to 10000
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only entries about this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountRef>,
}

#[derive(Serialize)]
struct Entries {
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    seq: u64,
    at: String,
    at_ms: i64,
    actor: String,
    uid: u32,
    pid: u32,
    action: &'static str,
    account: Option<String>,
    token: Option<u64>,
    detail: String,
}

/// Does what was asked.
///
/// # Errors
/// Where the audit cannot be read, or was tampered with.
pub async fn run(cx: &Context, AuditCommand::List(args): AuditCommand) -> Result<(), Failure> {
    let entries = cx
        .with_vault(async |vault| {
            let about = match &args.account {
                Some(account) => Some(account.find(vault).await?.id),
                None => None,
            };
            let keep = args.limit as usize;
            let mut newest = VecDeque::with_capacity(keep);
            let mut after = 0;
            loop {
                let page = vault.audit_entries(after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = last.seq;
                for entry in page.iter().filter(|entry| about.is_none_or(|id| entry.event.account == Some(id))) {
                    if newest.len() == keep {
                        newest.pop_front();
                    }
                    newest.push_back(Entry::from(entry));
                }
            }
            Ok(Entries { entries: newest.into() })
        })
        .await?;
    cx.printer.print(&entries)
}

impl From<&AuditEntry> for Entry {
    fn from(entry: &AuditEntry) -> Self {
        let event = &entry.event;
        Self {
            seq: entry.seq,
            at: rfc3339(event.at_ms),
            at_ms: event.at_ms,
            actor: event.actor.name.clone(),
            uid: event.actor.uid,
            pid: event.actor.pid,
            action: event.action.word(),
            account: event.account.map(|id| id.to_string()),
            token: entry.token.map(|token| token.n),
            detail: event.detail.clone(),
        }
    }
}

impl Show for Entries {
    fn show(&self, page: &mut Page) {
        let rows = self.entries.iter().map(|entry| {
            let actor = format!("{} {}/{}", safe(&entry.actor), entry.uid, entry.pid);
            let account = entry.account.as_deref().unwrap_or_default().chars().take(SHORT_ID_CHARS).collect();
            let detail = safe(&entry.detail);
            vec![entry.seq.to_string(), entry.at.clone(), actor, entry.action.to_owned(), account, detail]
        });
        page.table(&["seq", "at", "actor uid/pid", "action", "account", "detail"], rows);
    }
}

/// Entries read at a time.
const PAGE: u32 = 1000;
/// As much of an id as tells accounts apart on a screen; it is taken as an account's name on the command line.
pub(super) const SHORT_ID_CHARS: usize = 10;
