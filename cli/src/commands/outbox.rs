//! `latchkey outbox list|retry|drop`: what is owed to the manager, since when, and what it refused for good and why.

use clap::{Args, Subcommand};
use latchkey_vault::{
    MessageId, OwedMessage, Vault,
    store::{Lane, Owed},
};
use serde::Serialize;

use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show, safe},
    prompt,
    time::{ago, rfc3339},
};

/// What is done with the outbox.
#[derive(Debug, Subcommand)]
pub enum OutboxCommand {
    /// Messages that are owed, oldest first, how many there are, and since when
    List(ListArgs),
    /// Put a message back that was refused for good, or have one tried at once
    Retry(RetryArgs),
    /// Never deliver a message
    Drop(DropArgs),
}

/// Arguments of `outbox list`.
#[derive(Args, Debug)]
#[command(after_help = "\
A stuck message was refused for good; it stays until somebody has it tried again or drops it.

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

/// Arguments of `outbox retry`.
#[derive(Args, Debug)]
#[command(after_help = "\
Of an account's update, what the account does not say any more is not told again.

Examples:
  latchkey outbox retry 3kq0
  latchkey outbox retry --stuck")]
pub struct RetryArgs {
    /// The message's id, or at least 4 letters of its beginning
    #[arg(required_unless_present = "stuck", conflicts_with = "stuck")]
    message: Option<String>,
    /// Every message that was refused for good
    #[arg(long)]
    stuck: bool,
}

/// Arguments of `outbox drop`.
#[derive(Args, Debug)]
#[command(after_help = "\
The manager is never told what the message says; the audit keeps that it was dropped.

Examples:
  latchkey outbox drop 3kq0 --yes")]
pub struct DropArgs {
    /// The message's id, or at least 4 letters of its beginning
    message: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Outbox {
    owed: usize,
    stuck: usize,
    /// Since when the oldest message is owed; none where nothing is.
    oldest_owed_at: Option<String>,
    oldest_owed_ms: Option<i64>,
    messages: Vec<Message>,
    #[serde(skip)]
    now_ms: i64,
}

/// What was done with messages.
#[derive(Serialize)]
struct Done {
    done: &'static str,
    messages: Vec<String>,
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
    since_ms: Option<i64>,
    /// Why it was refused for good.
    reason: Option<String>,
}

/// Does what was asked.
///
/// # Errors
/// Where the outbox cannot be read, or there is no such message.
pub async fn run(cx: &Context, command: OutboxCommand) -> Result<(), Failure> {
    match command {
        OutboxCommand::List(args) => list(cx, args).await,
        OutboxCommand::Retry(args) => retry(cx, args).await,
        OutboxCommand::Drop(args) => drop_one(cx, args).await,
    }
}

async fn list(cx: &Context, args: ListArgs) -> Result<(), Failure> {
    let outbox = cx
        .with_vault(async |vault| {
            let owing = vault.owing().await?;
            let all = vault.owed_messages(ALL_MAX).await?;
            let wanted = all.iter().filter(|message| !args.stuck || message.state == Owed::Stuck);
            let messages = wanted.take(args.limit as usize).map(Message::from).collect();
            let waiting = all.iter().filter(|message| message.state != Owed::Stuck);
            let oldest_owed_ms = waiting.filter_map(|message| message.since_ms).min();
            let oldest_owed_at = oldest_owed_ms.map(rfc3339);
            let (owed, stuck) = (owing.owed, owing.stuck);
            Ok(Outbox { owed, stuck, oldest_owed_at, oldest_owed_ms, messages, now_ms: cx.now_ms() })
        })
        .await?;
    cx.printer.print(&outbox)
}

async fn retry(cx: &Context, args: RetryArgs) -> Result<(), Failure> {
    let done = cx
        .with_vault(async |vault| {
            let ids = match &args.message {
                Some(letters) => vec![find(vault, letters).await?],
                None => {
                    let all = vault.owed_messages(ALL_MAX).await?;
                    all.iter().filter(|message| message.state == Owed::Stuck).map(|message| message.id).collect()
                }
            };
            let mut messages = Vec::new();
            for id in ids {
                if vault.retry_owed(id).await? {
                    messages.push(id.to_string());
                }
            }
            Ok(Done { done: "put back", messages })
        })
        .await?;
    cx.printer.print(&done)
}

async fn drop_one(cx: &Context, args: DropArgs) -> Result<(), Failure> {
    let done = cx
        .with_vault(async |vault| {
            let id = find(vault, &args.message).await?;
            prompt::insist(args.yes, &format!("Drop message {id}? The manager is never told what it says.")).await?;
            let messages = if vault.drop_owed(id).await? { vec![id.to_string()] } else { Vec::new() };
            Ok(Done { done: "dropped", messages })
        })
        .await?;
    cx.printer.print(&done)
}

/// The one message whose id begins with these letters.
async fn find(vault: &Vault, letters: &str) -> Result<MessageId, Failure> {
    let letters = letters.to_ascii_lowercase();
    let hint = "`latchkey outbox list` shows those there are";
    if letters.len() < PREFIX_MIN {
        return Err(Failure::usage(format!("a message's id has more than {} letters", PREFIX_MIN - 1), hint));
    }
    let all = vault.owed_messages(ALL_MAX).await?;
    let mut found = all.iter().map(|message| message.id).filter(|id| id.to_string().starts_with(&letters));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (first, _) => {
            let what = if first.is_some() { "several messages have ids that begin" } else { "no message's id begins" };
            let message = format!("{what} with {}", safe(&letters));
            Err(Failure::new(Exit::Usage, "message_unknown", message, hint))
        }
    }
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
            since_ms: message.since_ms,
            reason: message.stuck.clone(),
        }
    }
}

impl Show for Outbox {
    fn show(&self, page: &mut Page) {
        let oldest = self.oldest_owed_ms.map(|since| format!(", the oldest owed since {}", ago(since, self.now_ms)));
        page.line(format_args!("{} owed, {} stuck{}", self.owed, self.stuck, oldest.unwrap_or_default()));
        if self.messages.is_empty() {
            return;
        }
        let rows = self.messages.iter().map(|message| {
            let account = message.account.clone().unwrap_or_default();
            let tries = message.tries.to_string();
            let since = message.since_ms.map_or_else(|| "-".to_owned(), |since| ago(since, self.now_ms));
            let id = message.id.chars().take(super::audit::SHORT_ID_CHARS).collect();
            let reason = safe(message.reason.as_deref().unwrap_or("-"));
            let (lane, state) = (message.lane.to_owned(), message.state.to_owned());
            vec![id, lane, account, state, since, tries, message.due_at.clone(), reason]
        });
        page.table(&["message", "lane", "account", "state", "owed since", "tries", "due", "reason"], rows);
    }
}

impl Show for Done {
    fn show(&self, page: &mut Page) {
        if self.messages.is_empty() {
            page.line("There was none.");
        }
        for message in &self.messages {
            page.line(format_args!("{message} {}", self.done));
        }
    }
}

/// As many as the vault looks at in one round.
const ALL_MAX: u32 = 10_000;
/// Fewer letters are easily a slip.
const PREFIX_MIN: usize = 4;
