//! `latchkey audit list`: who did what, from the chained entries of the vault.

use clap::Args;
use latchkey_vault::{AuditEntry, Vault};
use serde::Serialize;

use super::{PAGE, SHORT_ID_CHARS, entry::Entry, filter::FilterArgs};
use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
};

/// Arguments of `audit list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey audit list --limit 20
  latchkey audit list --account blog.example/ann --action reveal --since 7d
  latchkey audit list --outcome refused --outcome failed --json")]
pub struct ListArgs {
    /// At most so many entries, 1 to 10000
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// The oldest first
    #[arg(long)]
    oldest: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Serialize)]
struct Entries {
    entries: Vec<Entry>,
    more: bool,
}

/// Lists entries, as many as are asked for; of the others one page is in memory at a time.
///
/// # Errors
/// Where they cannot be read.
pub(super) async fn run(cx: &Context, args: ListArgs) -> Result<(), Failure> {
    let times = args.filter.times(cx)?;
    let (limit, oldest) = (args.limit as usize, args.oldest);
    let entries = cx
        .with_vault(async |vault| {
            let filter = args.filter.filter(vault, times).await?;
            let mut entries = Vec::new();
            let mut pages = Pages::new(vault, oldest).await?;
            while let Some(page) = pages.next().await? {
                for entry in page.iter().filter(|entry| filter.wants(entry)) {
                    if entries.len() == limit {
                        return Ok(Entries { entries, more: true });
                    }
                    entries.push(Entry::from(entry));
                }
            }
            Ok(Entries { entries, more: false })
        })
        .await?;
    cx.printer.print(&entries)
}

/// The audit page by page, in either direction.
struct Pages<'a> {
    vault: &'a Vault,
    oldest: bool,
    /// Places that were not given yet: after the first, up to the last.
    left: (u64, u64),
}

impl<'a> Pages<'a> {
    async fn new(vault: &'a Vault, oldest: bool) -> Result<Self, Failure> {
        Ok(Self { vault, oldest, left: (0, vault.audit_end().await?.entries) })
    }

    async fn next(&mut self) -> Result<Option<Vec<AuditEntry>>, Failure> {
        let (after, last) = self.left;
        if after >= last {
            return Ok(None);
        }
        let size = u64::from(PAGE).min(last - after);
        let from = if self.oldest { after } else { last - size };
        self.left = if self.oldest { (after + size, last) } else { (after, last - size) };
        let mut page = self.vault.audit_entries(from, PAGE).await?;
        // Where entries are missing, later ones come in their place; those have been given, or will be.
        page.retain(|entry| entry.seq <= from + size);
        if !self.oldest {
            page.reverse();
        }
        Ok(Some(page))
    }
}

impl Show for Entries {
    fn show(&self, page: &mut Page) {
        let rows = self.entries.iter().map(|entry| {
            let user = if entry.user.is_empty() { entry.uid.to_string() } else { safe(&entry.user) };
            let actor = format!("{user} {}/{}", safe(&entry.actor), entry.pid);
            let account = entry.account.as_deref().unwrap_or_default().chars().take(SHORT_ID_CHARS).collect();
            let (seq, detail) = (entry.seq.to_string(), safe(&entry.detail));
            vec![seq, entry.at.clone(), actor, entry.action.to_owned(), entry.outcome.to_owned(), account, detail]
        });
        page.table(&["seq", "at", "user actor/pid", "action", "outcome", "account", "detail"], rows);
        if self.more {
            page.line("There are more: raise --limit, or narrow them down.");
        }
    }
}
