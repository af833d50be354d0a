//! `latchkey verify`: the whole vault checked, row by row, record by record.

use clap::Args;
use data_encoding::BASE32_DNSSEC;
use indicatif::ProgressBar;
use latchkey_vault::{
    crypto::Kind,
    store::{Finding, Progress, Tampering},
};
use serde::Serialize;

use super::audit::SHORT_ID_CHARS;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show, safe},
};

/// Arguments of `verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Checks every row against its MAC and the digest, every record against its seal and its indexes, sessions against their
accounts and jars, messages, items, the audit chain and its entries, the key slots, the header and the file's pages.
Ends with 5 when it finds anything; nothing is changed.

With --json: ok; more, where there may be more than is listed; findings, each with class (rollback, deletion, substitution,
corruption, audit, schema, header), kind and id of the row where there is one, what was found, what that means, what to do.

Examples:
  latchkey verify
  latchkey verify --json | jq .findings")]
pub struct VerifyArgs {}

#[derive(Serialize)]
struct Verified {
    ok: bool,
    more: bool,
    findings: Vec<Found>,
}

/// A finding as it is printed.
#[derive(Serialize)]
pub(super) struct Found {
    class: &'static str,
    kind: Option<&'static str>,
    id: Option<String>,
    what: String,
    means: &'static str,
    todo: &'static str,
}

/// Checks the vault.
///
/// # Errors
/// Where it finds anything, or cannot check.
pub async fn run(cx: &Context, _: VerifyArgs) -> Result<(), Failure> {
    let bar = cx.printer.progress("checking");
    let checked = cx.with_vault(async |vault| Ok(vault.verify(progress(&bar)).await?)).await;
    bar.finish_and_clear();
    let findings: Vec<_> = match checked {
        Ok(findings) => findings.iter().map(Found::from).collect(),
        Err(failure) => {
            // What keeps a vault from being opened at all is a finding too, the only one that there can be.
            if let Some(class) = failure.tampering {
                let found = Found::from(&Finding { class, row: None, what: failure.message.clone() });
                cx.printer.print(&Verified { ok: false, more: true, findings: vec![found] })?;
            }
            return Err(failure);
        }
    };
    let count = findings.len();
    cx.printer.print(&Verified { ok: count == 0, more: count >= FINDINGS_MAX, findings })?;
    if count == 0 { Ok(()) } else { Err(found_failure(count)) }
}

/// How a command ends whose check found something.
pub(super) fn found_failure(count: usize) -> Failure {
    let hint = "keep the file as it is, as evidence, and restore a backup";
    Failure::new(Exit::Tampering, "findings", format!("the check found {count} problem(s)"), hint)
}

/// Findings as a table, and what their classes mean.
pub(super) fn show_findings(page: &mut Page, findings: &[Found]) {
    let rows = findings.iter().map(|found| {
        let row = match (&found.kind, &found.id) {
            (Some(kind), Some(id)) => format!("{kind} {}", id.chars().take(SHORT_ID_CHARS).collect::<String>()),
            _ => String::new(),
        };
        vec![found.class.to_owned(), row, safe(&found.what)]
    });
    page.table(&["class", "row", "what"], rows);
    let mut said: Vec<&str> = Vec::new();
    for found in findings {
        if !said.contains(&found.class) {
            said.push(found.class);
            page.pair(found.class, format_args!("{}; {}", found.means, found.todo));
        }
    }
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
        let (class, means, todo) = words(finding.class);
        Self {
            class,
            kind: finding.row.map(|row| kind_word(row.kind)),
            id: finding.row.map(|row| BASE32_DNSSEC.encode(&row.id)),
            what: finding.what.clone(),
            means,
            todo,
        }
    }
}

impl Show for Verified {
    fn show(&self, page: &mut Page) {
        if self.ok {
            page.line("Nothing was found: every row, record and audit entry is as it was written.");
            return;
        }
        show_findings(page, &self.findings);
        if self.more {
            page.line("There may be more than is listed.");
        }
    }
}

/// The word of a class, what it means, and what to do.
const fn words(class: Tampering) -> (&'static str, &'static str, &'static str) {
    match class {
        Tampering::Rollback => (
            "rollback",
            "the vault is older than what its anchor saw: somebody put an earlier copy in its place",
            "find out who did; restore a backup on purpose, or the newer copy",
        ),
        Tampering::Substitution => (
            "substitution",
            "bytes are not those that this vault wrote there: edited, exchanged, moved, or a damaged disk",
            "do not use what is named; restore a backup",
        ),
        Tampering::Corruption => (
            "corruption",
            "pages of the file are damaged: by a disk, by a copy that broke off, or by somebody with an editor",
            "check the disk; restore a backup; `latchkey rescue` takes out what is still whole",
        ),
        Tampering::Digest => (
            "deletion",
            "rows were deleted, added, or put back to an earlier state",
            "do not go on with this file: what is missing cannot be told from it; restore a backup",
        ),
        Tampering::Audit => (
            "audit",
            "entries of the audit were edited, exchanged or cut off: it does not say any more who did what",
            "keep the file as evidence; take the audit from a backup",
        ),
        Tampering::Schema => (
            "schema",
            "tables or indexes are not those of this format: something was planted in the file",
            "do not open it with other tools; restore a backup",
        ),
        Tampering::Header => (
            "header",
            "the sealed header does not belong to what lies beside it",
            "do not go on with this file; restore a backup",
        ),
        _ => ("other", "the vault is not as it was written", "restore a backup"),
    }
}

/// What a row is, by the number of its kind.
fn kind_word(kind: u8) -> &'static str {
    match Kind::from_u8(kind) {
        Some(Kind::Account) => "account",
        Some(Kind::Session) => "session",
        Some(Kind::Lease) => "lease",
        Some(Kind::Waiter) => "waiter",
        Some(Kind::Totp) => "totp",
        Some(Kind::Outbox) => "message",
        Some(Kind::Item) => "item",
        Some(Kind::Audit) => "audit",
        _ => "other",
    }
}

/// As many as the vault tells.
const FINDINGS_MAX: usize = 1000;
