//! `latchkey audit export`: entries as JSON lines, for somebody who has no key.
//!
//! Each line has its place and its hash; the last entry of each link has the link. The last line says where the chain ended
//! when the export began: `audit verify` prints the same.

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use data_encoding::HEXLOWER;
use latchkey_vault::{AuditEnd, Vault, store::AuditLink};
use serde::Serialize;

use super::{
    PAGE,
    entry::Entry,
    filter::{Filter, FilterArgs},
    verify::End,
};
use crate::{
    context::Context,
    failure::Failure,
    printer::{JsonLines, Page, Show},
};

/// Arguments of `audit export`.
#[derive(Args, Debug)]
#[command(after_help = "\
One JSON object a line, oldest first:
  seq        place in the chain, from 1, without gaps (gaps are what a filter left out)
  hash       SHA-256 of the entry as it is sealed (FORMAT.md, \"Audit chains\")
  link       on the last entry of a link: its number, its first and last entry, its MAC
  at, at_ms, user, uid, pid, actor, action, outcome, account, token, detail
The last line is {\"end\": ...}; without it an export is not complete. Compare it with `latchkey audit verify`. A change
of keys makes the links anew and leaves the entries as they are.

Examples:
  latchkey audit export audit.jsonl
  latchkey audit export - --since 30d --action reveal | jq .detail")]
pub struct ExportArgs {
    /// A file that does not exist yet, or - for standard output
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    entry: Entry,
    hash: String,
    link: Option<Link>,
}

#[derive(Serialize)]
struct Link {
    no: u64,
    first: u64,
    last: u64,
    mac: String,
}

#[derive(Serialize)]
struct Last {
    end: Ended,
}

#[derive(Serialize)]
struct Ended {
    #[serde(flatten)]
    end: End,
    exported: u64,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    #[serde(flatten)]
    ended: Ended,
}

/// Exports entries; a page of them is in memory at a time.
///
/// # Errors
/// Where the file is there already, or the audit cannot be read.
pub(super) async fn run(cx: &Context, args: ExportArgs) -> Result<(), Failure> {
    let times = args.filter.times(cx)?;
    let file = Some(args.to).filter(|to| to != Path::new("-"));
    let ended = cx
        .with_vault(async |vault| {
            let filter = args.filter.filter(vault, times).await?;
            let mut lines = match &file {
                Some(path) => JsonLines::file(create(path)?),
                None => JsonLines::stdout(),
            };
            let end = vault.audit_end().await?;
            let exported = export(vault, &filter, end, &mut lines).await?;
            lines.write(&Last { end: Ended { end: End::from(end), exported } })?;
            lines.finish()?;
            Ok(Ended { end: End::from(end), exported })
        })
        .await?;
    match file {
        Some(file) => cx.printer.print(&Exported { file, ended }),
        // The lines are the result.
        None => Ok(()),
    }
}

/// Writes the entries up to `end`, and says how many.
async fn export(vault: &Vault, filter: &Filter, end: AuditEnd, lines: &mut JsonLines) -> Result<u64, Failure> {
    let mut links = Links { vault, page: Vec::new().into_iter(), next: None, no: 0 };
    let (mut after, mut exported) = (0, 0);
    while after < end.entries {
        let page = vault.audit_entries(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in page.iter().filter(|entry| entry.seq <= end.entries) {
            let link = links.ending_at(entry.seq).await?;
            if filter.wants(entry) {
                lines.write(&Line { entry: Entry::from(entry), hash: HEXLOWER.encode(&entry.hash), link })?;
                exported += 1;
            }
        }
    }
    Ok(exported)
}

/// The links, read along with the entries.
struct Links<'a> {
    vault: &'a Vault,
    page: std::vec::IntoIter<AuditLink>,
    next: Option<AuditLink>,
    no: u64,
}

impl Links<'_> {
    /// The link whose last entry this is. Asked for rising places.
    async fn ending_at(&mut self, seq: u64) -> Result<Option<Link>, Failure> {
        while self.next.as_ref().is_none_or(|link| link.last < seq) {
            if self.page.len() == 0 {
                self.page = self.vault.audit_links(self.no, PAGE).await?.into_iter();
            }
            self.next = self.page.next();
            let Some(link) = &self.next else { return Ok(None) };
            self.no = link.no;
        }
        let ending = self.next.as_ref().filter(|link| link.last == seq);
        Ok(ending.map(|link| Link { no: link.no, first: link.first, last: link.last, mac: HEXLOWER.encode(&link.mac) }))
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    let made = File::options().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let message = format!("{} exists already and is left as it is", path.display());
            Failure::usage(message, "name a file that does not exist yet; nothing was exported")
        }
        _ => Failure::io(&format!("making {}", path.display()), &error),
    })
}

impl Show for Exported {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("{} entries are in {}.", self.ended.exported, self.file.display()));
    }
}
