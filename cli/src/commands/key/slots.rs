//! `latchkey key slots`: which key slots there are.

use clap::Args;
use latchkey_vault::crypto::{SlotKind, SlotRecord};
use serde::Serialize;

use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    time::rfc3339,
};

/// Arguments of `key slots`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey key slots
  latchkey key slots --json | jq '.slots[] | select(.kind == \"recovery\")'")]
pub struct SlotsArgs {}

#[derive(Serialize)]
struct Slots {
    slots: Vec<Slot>,
    /// How far a change of keys has come, in percent; none where none runs.
    sealing_again_percent: Option<u64>,
}

/// A slot as it is printed.
#[derive(Serialize)]
struct Slot {
    id: String,
    label: String,
    /// The kind's word; none for a kind of a later program.
    kind: Option<&'static str>,
    kind_number: u8,
    created_at: String,
    created_at_ms: i64,
    public_key: String,
    /// log2 of scrypt's N, where it can be seen without unlocking.
    scrypt_log_n: Option<u8>,
}

/// Lists them, as they were authenticated.
///
/// # Errors
/// Where the vault cannot be opened.
pub async fn run(cx: &Context, _: SlotsArgs) -> Result<(), Failure> {
    let (slots, running) = cx.with_vault(async |vault| Ok((vault.slots().await?, vault.resealing().await?))).await?;
    let sealing_again_percent = running.map(|running| running.done * 100 / running.total.max(1));
    cx.printer.print(&Slots { slots: slots.iter().map(Slot::from).collect(), sealing_again_percent })
}

impl From<&SlotRecord> for Slot {
    fn from(slot: &SlotRecord) -> Self {
        Self {
            id: slot.id.to_string(),
            label: slot.label.clone(),
            kind: SlotKind::from_u8(slot.kind).map(SlotKind::word),
            kind_number: slot.kind,
            created_at: rfc3339(slot.created_ms),
            created_at_ms: slot.created_ms,
            public_key: slot.recipient.clone(),
            scrypt_log_n: slot.cost().map(|cost| cost.log2_n()),
        }
    }
}

impl Show for Slots {
    fn show(&self, page: &mut Page) {
        let rows = self.slots.iter().map(|slot| {
            let kind = slot.kind.map_or_else(|| format!("{} (of a later version)", slot.kind_number), str::to_owned);
            let cost = slot.scrypt_log_n.map_or_else(String::new, |n| format!("2^{n}"));
            let id = slot.id.get(..ID_SHOWN_CHARS).unwrap_or(&slot.id).to_owned();
            vec![id, safe(&slot.label).to_string(), kind, slot.created_at.clone(), cost]
        });
        page.table(&["slot", "label", "kind", "made", "scrypt"], rows);
        if let Some(percent) = self.sealing_again_percent {
            page.line(format_args!(
                "removing {percent}%: a change of keys has not ended; `latchkey key rotate --resume` goes on with it"
            ));
        }
    }
}

/// Enough of an id to tell sixteen slots apart.
const ID_SHOWN_CHARS: usize = 8;
