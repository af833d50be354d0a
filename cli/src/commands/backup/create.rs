//! `latchkey backup create`: one file, consistent, checked, synced.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use latchkey_vault::BackedUp;
use serde::Serialize;

use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show},
    time::rfc3339,
};

/// Arguments of `backup create`.
#[derive(Args, Debug)]
#[command(after_help = "\
The backup is sealed as the vault is, and opened by the same key slots. It holds no anchor: keep the anchors apart from it.

Examples:
  latchkey backup create /mnt/backup/vault-monday.db
  latchkey backup create --json \"/mnt/backup/vault-$(date +%F).db\"")]
pub struct CreateArgs {
    /// Where it is written; nothing may be there yet
    file: PathBuf,
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    counter: u64,
    bytes: u64,
    at: String,
}

/// Writes a backup.
///
/// # Errors
/// Where the vault does not open, something is at the place already, or the copy does not stand up to the check.
pub(super) async fn run(cx: &Context, args: CreateArgs) -> Result<(), Failure> {
    let bar = cx.printer.progress("copying, then checking");
    let moved = bar.clone();
    let progress = Arc::new(move |done, all| {
        moved.set_length(all);
        moved.set_position(done);
    });
    let written = cx.with_vault(async |vault| Ok(vault.back_up(&args.file, progress).await?)).await;
    bar.finish_and_clear();
    let BackedUp { file, counter, bytes, at_ms, .. } = written?;
    cx.printer.print(&Written { file, counter, bytes, at: rfc3339(at_ms) })
}

impl Show for Written {
    fn show(&self, page: &mut Page) {
        page.line("The backup is written, and the check of it found nothing.");
        page.pair("file", self.file.display());
        page.pair("commit", self.counter);
        page.pair("bytes", self.bytes);
        page.pair("made", &self.at);
    }
}
