//! `latchkey init`: a new vault with its key slots. An existing vault, and an existing file of a key, are left as they are.

use std::path::PathBuf;

use clap::Args;
use latchkey_vault::{Vault, crypto::SlotKind, store::FileError};
use serde::Serialize;

use super::key::making::{Made, Making, SlotArgs, ask_passphrase, can_show};
use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show},
    prompt,
};

/// Arguments of `init`.
#[derive(Args, Debug)]
#[command(after_help = "\
At least one way to unlock is needed; several may be given at once.

Examples:
  latchkey init                                   asks for a passphrase, offers a recovery key
  latchkey init --identity ~/.config/latchkey/identity.txt
  latchkey init --credential latchkey --credential-out ./latchkey.cred --recovery-out ./recovery.txt
  pass show vault | latchkey init --passphrase-stdin")]
pub struct InitArgs {
    #[command(flatten)]
    slot: SlotArgs,
    /// Make no recovery key and do not ask
    #[arg(long, conflicts_with_all = ["recovery", "recovery_out"])]
    no_recovery: bool,
}

#[derive(Serialize)]
struct Begun {
    vault: PathBuf,
    vault_id: String,
    anchors: PathBuf,
    #[serde(flatten)]
    made: Made,
}

/// Makes a vault.
///
/// # Errors
/// Where there is one already, no way to unlock was given, or something cannot be written; nothing is left behind.
pub async fn run(cx: &Context, args: InitArgs) -> Result<(), Failure> {
    let paths = &cx.settings.vault;
    // Before a person is asked for anything, and before a key is written that would open nothing.
    if paths.file.symlink_metadata().is_ok() {
        return Err(Failure::from(FileError::Exists).about_vault(&paths.file));
    }
    let mut making = prepare(cx, &args).await?;
    let vault = Vault::init(paths, cx.opener(), std::mem::take(&mut making.slots)).await;
    let vault = vault.map_err(|error| Failure::from(error).about_vault(&paths.file))?;
    let begun = Begun {
        vault: paths.file.clone(),
        vault_id: vault.id().to_string(),
        anchors: paths.anchors.clone(),
        made: making.keep(),
    };
    vault.close().await?;
    cx.printer.print(&begun)
}

async fn prepare(cx: &Context, args: &InitArgs) -> Result<Making, Failure> {
    let mut making = Making::default();
    // The flag or variable alone: [unlock] of the settings says what unlocks, not what is to be made.
    if let Some(path) = &cx.globals.settings.identity {
        making.identity(SlotKind::Identity, "identity file", path)?;
    }
    making.keys(cx, &args.slot)?;
    let given = cx.given_passphrase()?;
    let nothing_else = making.only_recovery();
    match given {
        Some(given) => making.passphrase(cx, given, args.slot.scrypt_log_n)?,
        None if args.slot.passphrase || (nothing_else && prompt::is_possible()) => {
            making.passphrase(cx, ask_passphrase("Passphrase for the vault")?, args.slot.scrypt_log_n)?;
        }
        None if nothing_else => {
            let message = "nothing was given that shall unlock the vault, and there is no terminal to ask on";
            let hint = "give --identity FILE, --passphrase-stdin, --passphrase-fd N, or --credential NAME \
                        --credential-out FILE";
            return Err(Failure::usage(message, hint));
        }
        None => {}
    }
    let asked = args.slot.recovery || args.slot.recovery_out.is_some() || args.no_recovery;
    if !asked
        && can_show(cx)
        && prompt::is_possible()
        && prompt::confirm("Make a recovery key, to be kept on paper?").await?
    {
        making.recovery()?;
    }
    Ok(making)
}

impl Show for Begun {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("The vault is made: {}", self.vault.display()));
        page.pair("id", &self.vault_id);
        page.pair("anchors", self.anchors.display());
        self.made.show(page);
    }
}
