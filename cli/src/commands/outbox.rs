//! `latchkey outbox list`: what is owed to the manager, and what it refused for good.

use clap::{Args, Subcommand};
use latchkey_vault::{
    OwedMessage,
    store::{Lane, Owed},
};
use serde::Serialize;

use crate::{
    context::Context,
    failure::Failure,
    printer::{Page, Show},
    time::rfc3339,
};

/// What is done with the outbox.
#[derive(Debug, Subcommand)]
pub enum OutboxCommand {
    /// Messages that are owed, oldest first, and how many there are
    List(ListArgs),
}

/// Arguments of `outbox list`.
#[derive(Args, Debug)]
#[command(after_help = "\
A stuck message was refused for good: the audit says why (`latchkey audit list`).

Examples:
  latchkey outbox list --stuck
  latchkey outbox list --json | jq .stuck")]
pub struct ListArgs {
    /// Only messages that were refused for good
    #[arg(long)]
    stuck: bool,
    /// At most so many messages, 1 to 10000
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Serialize)]
struct Outbox {
    owed: usize,
    stuck: usize,
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    id: String,
    lane: &'static str,
    account: Option<String>,
    state: &'static str,
    tries: u32,
    due_at: String,
    due_at_ms: i64,
}

/// Does what was asked.
///
/// # Errors
/// Where the outbox cannot be read.
pub async fn run(cx: &Context, OutboxCommand::List(args): OutboxCommand) -> Result<(), Failure> {
    let outbox = cx
        .with_vault(async |vault| {
            let owing = vault.owing().await?;
            let all = vault.owed_messages(ALL_MAX).await?;
            let wanted = all.iter().filter(|message| !args.stuck || message.state == Owed::Stuck);
            let messages = wanted.take(args.limit as usize).map(Message::from).collect();
            Ok(Outbox { owed: owing.owed, stuck: owing.stuck, messages })
        })
        .await?;
    cx.printer.print(&outbox)
}

impl From<&OwedMessage> for Message {
    fn from(message: &OwedMessage) -> Self {
        Self {
            id: message.id.to_string(),
            lane: match message.lane {
                Lane::Account => "account",
                Lane::Task => "task",
            },
            account: message.account.map(|id| id.to_string()),
            state: match message.state {
                Owed::Due => "due",
                Owed::Ambiguous => "ambiguous",
                Owed::Stuck => "stuck",
            },
            tries: message.tries,
            due_at: rfc3339(message.due_ms),
            due_at_ms: message.due_ms,
        }
    }
}

impl Show for Outbox {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("{} owed, {} stuck", self.owed, self.stuck));
        if self.messages.is_empty() {
            return;
        }
        let rows = self.messages.iter().map(|message| {
            let account = message.account.clone().unwrap_or_default();
            let tries = message.tries.to_string();
            vec![message.lane.to_owned(), account, message.state.to_owned(), tries, message.due_at.clone()]
        });
        page.table(&["lane", "account", "state", "tries", "due"], rows);
    }
}

/// As many as the vault looks at in one round.
const ALL_MAX: u32 = 10_000;
