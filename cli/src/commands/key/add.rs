//! `latchkey key add`: one more way to unlock the vault.

use clap::Args;
use latchkey_vault::limits;
use latchkey_worker::secret_file;
use serde::Serialize;

use super::making::{Made, Making, SlotArgs, ask_passphrase};
use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show},
};

/// Arguments of `key add`.
#[derive(Args, Debug)]
#[command(after_help = "\
One way at a time. The vault is unlocked as always; what is added is said by these flags.

Examples:
  latchkey key add --recovery-out ./recovery.txt
  latchkey key add --identity-recipient age1... --label \"worker 2\"
  latchkey --identity id.txt key add --passphrase")]
pub struct AddArgs {
    #[command(flatten)]
    slot: SlotArgs,
    /// Read the new passphrase from standard input
    #[arg(long, conflicts_with_all = ["passphrase", "new_passphrase_fd"])]
    new_passphrase_stdin: bool,
    /// Read the new passphrase from this open file descriptor
    #[arg(long, value_name = "N", conflicts_with = "passphrase")]
    new_passphrase_fd: Option<u32>,
    /// What the slot is called, in place of its usual label
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

#[derive(Serialize)]
struct Added {
    id: String,
    #[serde(flatten)]
    made: Made,
}

/// Adds a slot.
///
/// # Errors
/// Where not exactly one is asked for, or it cannot be made; nothing is changed then.
pub async fn run(cx: &Context, args: AddArgs) -> Result<(), Failure> {
    let given = args.new_passphrase_stdin || args.new_passphrase_fd.is_some();
    if args.slot.count() + usize::from(given) != 1 {
        return Err(Failure::usage("exactly one way to unlock is to be given", "see `latchkey key add --help`"));
    }
    let added = cx
        .with_vault(async |vault| {
            let mut making = Making::labelled(args.label.clone());
            making.keys(cx, &args.slot)?;
            if making.slots.is_empty() {
                let passphrase = match args.new_passphrase_fd {
                    Some(fd) => secret_file::read_fd(fd)?,
                    None if args.new_passphrase_stdin => {
                        cx.read_stdin("--new-passphrase-stdin", limits::SECRET_MAX_BYTES)?
                    }
                    None => ask_passphrase("New passphrase for the vault")?,
                };
                making.passphrase(cx, passphrase, args.slot.scrypt_log_n)?;
            }
            let mut id = String::new();
            for slot in making.slots.drain(..) {
                id = vault.add_slot(slot).await?.to_string();
            }
            Ok(Added { id, made: making.keep() })
        })
        .await?;
    cx.printer.print(&added)
}

impl Show for Added {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("The key slot {} is added; no record was touched.", self.id));
        self.made.show(page);
    }
}
