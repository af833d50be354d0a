//! `latchkey anchor adopt`: a person's word that the vault as it is may be gone on with.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use latchkey_vault::Vault;
use serde::Serialize;

use super::verify::progress;
use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show},
    prompt,
};

/// What is done with the anchor.
#[derive(Debug, Subcommand)]
pub enum AnchorCommand {
    /// Check the whole vault, then make its anchor anew
    Adopt(AdoptArgs),
}

/// Arguments of `anchor adopt`.
#[derive(Args, Debug)]
#[command(after_help = "\
The anchor tells today's vault from yesterday's. Without it nobody can tell whether somebody put an older file in the
vault's place: adopt only when you know why it is missing (a new machine, a lost home).

Examples:
  latchkey anchor adopt
  latchkey anchor adopt --accept-rollback --yes   after an older copy was put there on purpose")]
pub struct AdoptArgs {
    /// Accept a vault that is older than its anchor
    #[arg(long)]
    accept_rollback: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Adopted {
    vault: PathBuf,
    anchors: PathBuf,
}

/// Does what was asked.
///
/// # Errors
/// Where the check finds anything, or a sound anchor knows a later vault; nothing is changed then.
pub async fn run(cx: &Context, AnchorCommand::Adopt(args): AnchorCommand) -> Result<(), Failure> {
    let paths = &cx.settings.vault;
    prompt::insist(args.yes, &format!("Accept {} as it is now?", paths.file.display())).await?;
    let with = cx.unlock_with()?;
    let bar = cx.printer.progress("checking");
    let adopted = Vault::adopt_anchor(paths, cx.opener(), with, args.accept_rollback, progress(&bar)).await;
    bar.finish_and_clear();
    let vault = adopted.map_err(|error| Failure::from(error).about_vault(&paths.file))?;
    vault.close().await?;
    cx.printer.print(&Adopted { vault: paths.file.clone(), anchors: paths.anchors.clone() })
}

impl Show for Adopted {
    fn show(&self, page: &mut Page) {
        page.line("The check found nothing; the anchor is made anew.");
        page.pair("vault", self.vault.display());
        page.pair("anchors", self.anchors.display());
    }
}
