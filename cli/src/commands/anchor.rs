//! `latchkey anchor`: a person's word that the vault as it is may be gone on with, and its pin in a keyring of the system.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use latchkey_vault::{Vault, VaultId, pinned_commit, store::sqlite::SqliteFile};
use latchkey_worker::{keyring::Keyring, pin::KeyringPin};
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
    /// Check the whole vault, then make its anchor anew, and its pin where one is set
    Adopt(AdoptArgs),
    /// Keep what the anchor says in a keyring of the system as well
    Pin(PinArgs),
    /// Remove the pin from the keyring
    Unpin(UnpinArgs),
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
    /// Accept a vault that is older than its anchor or its pin
    #[arg(long)]
    accept_rollback: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Arguments of `anchor pin`.
#[derive(Args, Debug)]
#[command(after_help = "\
An older image of the disk brings back vault and anchor together, and they agree. The pin is not among those files. Say in
the settings file which keyring has it, as pin = \"keyutils\" or \"secret-service\"; from then on the vault is opened only with
a pin that agrees. The kernel's keyring forgets at a reboot: then a person pins the vault again.

Examples:
  latchkey anchor pin
  latchkey anchor pin --yes")]
pub struct PinArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Arguments of `anchor unpin`.
#[derive(Args, Debug)]
#[command(after_help = "\
Take `pin` out of the settings file as well: while it stands there, the vault is not opened without a pin.

Examples:
  latchkey anchor unpin")]
pub struct UnpinArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Adopted {
    vault: PathBuf,
    anchors: PathBuf,
    pin: Option<&'static str>,
}

#[derive(Serialize)]
struct Pinned {
    vault: PathBuf,
    pin: &'static str,
    commit: u64,
}

#[derive(Serialize)]
struct Unpinned {
    vault: PathBuf,
    pin: &'static str,
    was_there: bool,
}

/// Does what was asked.
///
/// # Errors
/// Those of the command.
pub async fn run(cx: &Context, command: AnchorCommand) -> Result<(), Failure> {
    match command {
        AnchorCommand::Adopt(args) => adopt(cx, args).await,
        AnchorCommand::Pin(args) => pin(cx, args).await,
        AnchorCommand::Unpin(args) => unpin(cx, args).await,
    }
}

/// Where the check finds anything, or a sound anchor or pin knows a later vault, nothing is changed.
async fn adopt(cx: &Context, args: AdoptArgs) -> Result<(), Failure> {
    let paths = &cx.settings.vault;
    prompt::insist(args.yes, &format!("Accept {} as it is now?", paths.file.display())).await?;
    let with = cx.unlock_with()?;
    let bar = cx.printer.progress("checking");
    let adopted = Vault::adopt_anchor(paths, cx.opener(), with, args.accept_rollback, progress(&bar)).await;
    bar.finish_and_clear();
    let vault = adopted.map_err(|error| Failure::from(error).about_vault(&paths.file))?;
    vault.close().await?;
    let pin = cx.settings.pin.map(Keyring::word);
    cx.printer.print(&Adopted { vault: paths.file.clone(), anchors: paths.anchors.clone(), pin })
}

/// Where a pin is there and does not agree, nothing is changed.
async fn pin(cx: &Context, args: PinArgs) -> Result<(), Failure> {
    let (paths, keyring) = (&cx.settings.vault, keyring(cx)?);
    prompt::insist(args.yes, &format!("Pin {} as it is now?", paths.file.display())).await?;
    let opened = Vault::open_and_pin(paths, cx.opener(), cx.unlock_with()?).await;
    let vault = opened.map_err(|error| Failure::from(error).about_vault(&paths.file))?;
    vault.close().await?;
    let commit = match &paths.pin {
        Some(place) => tokio::task::block_in_place(|| pinned_commit(place, vault.id()))?,
        None => 0,
    };
    cx.printer.print(&Pinned { vault: paths.file.clone(), pin: keyring.word(), commit })
}

/// Unlocks nothing: a pin that does not let the vault be opened has to go too.
async fn unpin(cx: &Context, args: UnpinArgs) -> Result<(), Failure> {
    let (file, keyring) = (&cx.settings.vault.file, keyring(cx)?);
    let vault: VaultId = SqliteFile::open(file).map_err(|error| Failure::from(error).about_vault(file))?.vault();
    prompt::insist(args.yes, &format!("Remove the pin of {} from {keyring}?", file.display())).await?;
    let was_there = tokio::task::block_in_place(|| KeyringPin(keyring).remove(vault))?;
    cx.printer.print(&Unpinned { vault: file.clone(), pin: keyring.word(), was_there })
}

fn keyring(cx: &Context) -> Result<Keyring, Failure> {
    cx.settings.pin.ok_or_else(|| {
        let hint = "set `pin = \"secret-service\"` or `pin = \"keyutils\"` in the settings file, then run it again";
        Failure::usage("no keyring is set that the vault is pinned in", hint)
    })
}

impl Show for Adopted {
    fn show(&self, page: &mut Page) {
        page.line("The check found nothing; the anchor is made anew.");
        page.pair("vault", self.vault.display());
        page.pair("anchors", self.anchors.display());
        if let Some(pin) = self.pin {
            page.pair("pin", pin);
        }
    }
}

impl Show for Pinned {
    fn show(&self, page: &mut Page) {
        page.line("The vault is pinned.");
        page.pair("vault", self.vault.display());
        page.pair("pin", self.pin);
        page.pair("commit", self.commit);
    }
}

impl Show for Unpinned {
    fn show(&self, page: &mut Page) {
        page.line(if self.was_there { "The pin is removed." } else { "There was no pin." });
        page.line("Take `pin` out of the settings file too, or `latchkey anchor pin` makes a new one.");
        page.pair("vault", self.vault.display());
        page.pair("pin", self.pin);
    }
}
