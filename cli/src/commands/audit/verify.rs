//! `latchkey audit verify`: the chain of the audit alone, from its first entry to its sealed end.

use clap::Args;
use data_encoding::HEXLOWER;
use latchkey_vault::AuditEnd;
use serde::Serialize;

use crate::{
    commands::verify::{Found, found_failure, progress, show_findings},
    context::Context,
    failure::Failure,
    printer::{Page, Show},
};

/// Arguments of `audit verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Ends with 5 when it finds anything; what is named first is the first entry or link that is not as it was written.
The end that it prints (links, entries, last link) tells whether an export is complete and in order.

Examples:
  latchkey audit verify
  latchkey audit verify --json | jq .end")]
pub struct VerifyArgs {}

#[derive(Serialize)]
struct Verified {
    ok: bool,
    end: End,
    findings: Vec<Found>,
}

/// Where the chain ends, as it is printed.
#[derive(Serialize)]
pub(super) struct End {
    entries: u64,
    links: u64,
    link: String,
}

/// Checks the chain.
///
/// # Errors
/// Where it finds anything, or cannot check.
pub(super) async fn run(cx: &Context, _: VerifyArgs) -> Result<(), Failure> {
    let bar = cx.printer.progress("checking");
    let checked = cx.with_vault(async |vault| Ok(vault.verify_audit(progress(&bar)).await?)).await;
    bar.finish_and_clear();
    let (end, findings) = checked?;
    let findings: Vec<_> = findings.iter().map(Found::from).collect();
    let count = findings.len();
    cx.printer.print(&Verified { ok: count == 0, end: End::from(end), findings })?;
    if count == 0 { Ok(()) } else { Err(found_failure(count)) }
}

impl From<AuditEnd> for End {
    fn from(end: AuditEnd) -> Self {
        Self { entries: end.entries, links: end.links, link: HEXLOWER.encode(&end.link) }
    }
}

impl Show for Verified {
    fn show(&self, page: &mut Page) {
        if self.ok {
            page.line("Nothing was found: the chain is whole, and every entry is as it was written.");
        } else {
            show_findings(page, &self.findings);
        }
        page.pair("entries", self.end.entries);
        page.pair("links", self.end.links);
        page.pair("last link", &self.end.link);
    }
}
