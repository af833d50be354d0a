//! `latchkey key remove`: one way less to unlock the vault.

use clap::Args;
use latchkey_vault::crypto::{SlotKind, SlotRecord};
use latchkey_worker::unlock::KEYRING_SERVICE;
use serde::Serialize;

use super::rotate::reseal;
use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    prompt,
};

/// Arguments of `key remove`.
#[derive(Args, Debug)]
#[command(after_help = "\
The vault gets a new root key, which the other slots hold at once, and everything is sealed again; running programs have
to unlock again. What the holder of the slot has copied before stays readable to them: change the passwords that matter.
It may be interrupted; `latchkey key rotate --resume` goes on where it stands. The key of a keyring slot or a combined one is
taken out of this user's keyring; files with identities are left where they are, and open nothing any more.

Examples:
  latchkey key remove k3j5m2qa
  latchkey key remove \"worker 2\" --yes")]
pub struct RemoveArgs {
    /// The slot: its id, the beginning of it, or its label
    slot: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Removed {
    id: String,
    label: String,
    /// Whether its key was taken out of the keyring; none for a slot whose key is not in one.
    keyring_entry_removed: Option<bool>,
}

/// Removes a slot.
///
/// # Errors
/// Where it is unknown or the last one, nobody said yes, or an earlier change has not ended; nothing is changed then.
pub async fn run(cx: &Context, args: RemoveArgs) -> Result<(), Failure> {
    let removed = cx
        .with_vault(async |vault| {
            let slots = vault.slots().await?;
            let slot = find(&slots, &args.slot)?;
            let question = format!(
                "Remove the key slot {} ({})? Its holder can still read every copy made until now.",
                safe(&slot.label),
                slot.id
            );
            prompt::insist(args.yes, &question).await?;
            vault.remove_slot(slot.id).await?;
            // Now it opens nothing any more; the re-seal may take long, and may be interrupted.
            let keyring_entry_removed = forget(cx, slot);
            reseal(cx, vault).await?;
            Ok(Removed { id: slot.id.to_string(), label: slot.label.clone(), keyring_entry_removed })
        })
        .await?;
    cx.printer.print(&removed)
}

/// Takes the key of a removed slot out of the keyring that `key add` would put it in. The slot is gone either way.
fn forget(cx: &Context, slot: &SlotRecord) -> Option<bool> {
    let kind = SlotKind::from_u8(slot.kind);
    if !matches!(kind, Some(SlotKind::Keyring | SlotKind::Combined)) {
        return None;
    }
    let keyring = cx.settings.keyring.unwrap_or_default();
    let why = match tokio::task::block_in_place(|| keyring.remove(KEYRING_SERVICE, &slot.recipient)) {
        Ok(true) => return Some(true),
        Ok(false) => format!("{keyring} has no such entry"),
        Err(error) => error.to_string(),
    };
    let user = safe(&slot.recipient);
    cx.printer.warn(format_args!(
        "the slot's key was not taken out of a keyring ({why}); wherever it is, it opens nothing any more: service \
         {KEYRING_SERVICE}, user {user}"
    ));
    Some(false)
}

/// The one slot that is meant.
fn find<'a>(slots: &'a [SlotRecord], asked: &str) -> Result<&'a SlotRecord, Failure> {
    let is_meant = |slot: &&SlotRecord| {
        slot.label == asked || asked.len() >= ID_MIN_CHARS && slot.id.to_string().starts_with(asked)
    };
    let mut meant = slots.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(slot), None) => Ok(slot),
        (None, _) => Err(Failure::usage("there is no such key slot", "see `latchkey key slots`")),
        _ => Err(Failure::usage("more than one key slot is meant", "give its whole id: `latchkey key slots --json`")),
    }
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("The key slot {} ({}) is removed.", safe(&self.label), self.id));
        page.line("Everything is sealed under new keys. Copies made before stay readable to its holder.");
    }
}

/// Fewer letters of an id are taken for a slip.
const ID_MIN_CHARS: usize = 4;
