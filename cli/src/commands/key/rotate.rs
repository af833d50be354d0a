//! `latchkey key rotate`: a new data key, and everything sealed again under it.

use clap::Args;
use latchkey_vault::Vault;
use serde::Serialize;

use crate::{
    commands::verify::progress,
    context::Context,
    failure::Failure,
    printer::{Page, Show},
};

/// Arguments of `key rotate`.
#[derive(Args, Debug)]
#[command(after_help = "\
Workers go on meanwhile. It may be interrupted at any time; --resume goes on where it stands. At the end the old key is
gone and no byte under it is left in the vault's files, which are written anew for that.

Examples:
  latchkey key rotate
  latchkey key rotate --resume")]
pub struct RotateArgs {
    /// Finish a change of keys that was begun; make no other
    #[arg(long)]
    resume: bool,
}

#[derive(Serialize)]
struct Rotated {
    resumed: bool,
}

/// Changes the data key.
///
/// # Errors
/// Where an earlier change has not ended, or the vault cannot be written; what is done stays done.
pub async fn run(cx: &Context, args: RotateArgs) -> Result<(), Failure> {
    cx.with_vault(async |vault| {
        if !args.resume {
            vault.rotate_keys().await?;
        }
        reseal(cx, vault).await
    })
    .await?;
    cx.printer.print(&Rotated { resumed: args.resume })
}

/// Seals everything again, with a bar that follows.
///
/// # Errors
/// Where the vault cannot be written; what is done stays done.
pub(super) async fn reseal(cx: &Context, vault: &Vault) -> Result<(), Failure> {
    let bar = cx.printer.progress("sealing again");
    let sealed = vault.reseal(progress(&bar)).await;
    bar.finish_and_clear();
    Ok(sealed?)
}

impl Show for Rotated {
    fn show(&self, page: &mut Page) {
        page.line("Everything is sealed under the new data key; the old one is gone, and nothing under it is left.");
    }
}
