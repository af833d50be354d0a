//! `latchkey verify`: the whole vault checked, row by row, record by record.

use clap::Args;
use data_encoding::BASE32_DNSSEC;
use indicatif::ProgressBar;
use latchkey_vault::store::{Finding, Progress, Tampering};
use serde::Serialize;

use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show, safe},
};

/// Arguments of `verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Ends with 5 when it finds anything.

Examples:
  latchkey verify
  latchkey verify --json | jq .findings")]
pub struct VerifyArgs {}

#[derive(Serialize)]
struct Verified {
    ok: bool,
    findings: Vec<Found>,
}

/// A finding as it is printed.
#[derive(Serialize)]
struct Found {
    class: &'static str,
    kind: Option<u8>,
    id: Option<String>,
    what: String,
}

/// Checks the vault.
///
/// # Errors
/// Where it finds anything, or cannot check.
pub async fn run(cx: &Context, _: VerifyArgs) -> Result<(), Failure> {
    let bar = cx.printer.progress("checking");
    let checked = cx.with_vault(async |vault| Ok(vault.verify(progress(&bar)).await?)).await;
    bar.finish_and_clear();
    let findings: Vec<_> = checked?.iter().map(Found::from).collect();
    let count = findings.len();
    cx.printer.print(&Verified { ok: count == 0, findings })?;
    if count == 0 {
        return Ok(());
    }
    let hint = "keep the file as it is, as evidence, and restore a backup";
    Err(Failure::new(Exit::Tampering, "findings", format!("the check found {count} problem(s)"), hint))
}

/// A bar that follows a check.
pub(super) fn progress(bar: &ProgressBar) -> Progress {
    let bar = bar.clone();
    Box::new(move |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    })
}

impl From<&Finding> for Found {
    fn from(finding: &Finding) -> Self {
        Self {
            class: class_word(finding.class),
            kind: finding.row.map(|row| row.kind),
            id: finding.row.map(|row| BASE32_DNSSEC.encode(&row.id)),
            what: finding.what.clone(),
        }
    }
}

impl Show for Verified {
    fn show(&self, page: &mut Page) {
        if self.ok {
            page.line("Nothing was found: every row, record and audit entry is as it was written.");
            return;
        }
        let rows = self.findings.iter().map(|found| {
            let kind = found.kind.map_or_else(String::new, |kind| kind.to_string());
            vec![found.class.to_owned(), kind, found.id.clone().unwrap_or_default(), safe(&found.what)]
        });
        page.table(&["class", "kind", "id", "what"], rows);
    }
}

const fn class_word(class: Tampering) -> &'static str {
    match class {
        Tampering::Rollback => "rollback",
        Tampering::Substitution => "substitution",
        Tampering::Digest => "digest",
        Tampering::Audit => "audit",
        Tampering::Schema => "schema",
        Tampering::Header => "header",
        _ => "other",
    }
}
