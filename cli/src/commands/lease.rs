//! `latchkey lease list|show|revoke`: who has which account, who waits for it, and taking it away.

use clap::{Args, Subcommand};
use latchkey_vault::{AccountId, LeaseMode, LeaseOn, LeaseView, Vault, WaiterView, store::Lane};
use serde::Serialize;

use super::{account::login_of, audit::SHORT_ID_CHARS};
use crate::{
    account_ref::AccountRef,
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    prompt,
    time::span,
};

/// What is done with leases.
#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// All leases that are held, and who waits for one
    List(ListArgs),
    /// Who has one account, and who waits for it
    Show(ShowArgs),
    /// Take an account away from whoever has it: its next call changes nothing
    Revoke(RevokeArgs),
}

/// Arguments of `lease list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey lease list
  latchkey lease list --json | jq '.held[].process'")]
pub struct ListArgs {}

/// Arguments of `lease show`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey lease show blog.example/ann")]
pub struct ShowArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
}

/// Arguments of `lease revoke`.
#[derive(Args, Debug)]
#[command(after_help = "\
What the holder has sent cannot be called back: the account rests for a request's time before another has it. A worker that
has it stops its work on the task; those who wait stay in line.

Examples:
  latchkey lease revoke blog.example/ann --yes")]
pub struct RevokeArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Leases {
    held: Vec<Held>,
    waiting: Vec<Waiting>,
}

#[derive(Serialize)]
struct Held {
    /// `account`, `login` or `lane`.
    on: &'static str,
    account: Option<String>,
    lane: Option<&'static str>,
    /// Which of the shared places; none for an exclusive hold.
    shared_place: Option<u8>,
    incarnation: u32,
    token: u64,
    left_ms: u64,
    process: Option<u32>,
    worker: Option<String>,
    user: Option<String>,
    purpose: Option<String>,
}

#[derive(Serialize)]
struct Waiting {
    on: &'static str,
    account: Option<String>,
    lane: Option<&'static str>,
    /// How many may share it; none who wants it alone.
    at_most: Option<u8>,
    ticket: u64,
    left_ms: u64,
}

#[derive(Serialize)]
struct Revoked {
    account: String,
    /// How many holders lost it.
    revoked: usize,
}

/// Does what was asked.
///
/// # Errors
/// Where the account is unknown, the vault cannot be read, or nobody said yes.
pub async fn run(cx: &Context, command: LeaseCommand) -> Result<(), Failure> {
    match command {
        LeaseCommand::List(ListArgs {}) => {
            let leases = cx.with_vault(async |vault| leases(vault, None).await).await?;
            cx.printer.print(&leases)
        }
        LeaseCommand::Show(args) => {
            let leases = cx
                .with_vault(async |vault| {
                    let id = args.account.find(vault).await?.id;
                    leases(vault, Some(id)).await
                })
                .await?;
            cx.printer.print(&leases)
        }
        LeaseCommand::Revoke(args) => revoke(cx, args).await,
    }
}

async fn revoke(cx: &Context, args: RevokeArgs) -> Result<(), Failure> {
    let revoked = cx
        .with_vault(async |vault| {
            let account = args.account.find(vault).await?;
            let login = login_of(&account).unwrap_or_default();
            let named = safe(&format!("{}/{login}", account.site));
            let held = vault.leases().await?.held;
            let revoked = held.iter().filter(|held| held.on == LeaseOn::Account(account.id)).count();
            let question = format!("Take {named} ({}) away from {revoked} holder(s)?", account.id);
            prompt::insist(args.yes, &question).await?;
            vault.revoke_lease(account.id).await?;
            Ok(Revoked { account: account.id.to_string(), revoked })
        })
        .await?;
    cx.printer.print(&revoked)
}

/// All leases, or those of one account: its own, and that of its login.
async fn leases(vault: &Vault, of: Option<AccountId>) -> Result<Leases, Failure> {
    let leases = vault.leases().await?;
    let wanted = |on: LeaseOn| of.is_none_or(|id| account_of(on) == Some(id));
    let held = leases.held.iter().filter(|held| wanted(held.on)).map(Held::from).collect();
    let waiting = leases.waiting.iter().filter(|waiter| wanted(waiter.on)).map(Waiting::from).collect();
    Ok(Leases { held, waiting })
}

impl From<&LeaseView> for Held {
    fn from(lease: &LeaseView) -> Self {
        let holder = lease.holder.as_ref();
        Self {
            on: on_word(lease.on),
            account: account_of(lease.on).map(|id| id.to_string()),
            lane: lane_of(lease.on),
            shared_place: lease.shared_place,
            incarnation: lease.token.incarnation,
            token: lease.token.n,
            left_ms: ms(lease.left),
            process: holder.map(|holder| holder.pid),
            worker: holder.map(|holder| holder.name.clone()),
            user: holder.map(|holder| holder.user.clone()),
            purpose: lease.purpose.clone(),
        }
    }
}

impl From<&WaiterView> for Waiting {
    fn from(waiter: &WaiterView) -> Self {
        Self {
            on: on_word(waiter.on),
            account: account_of(waiter.on).map(|id| id.to_string()),
            lane: lane_of(waiter.on),
            at_most: match waiter.mode {
                LeaseMode::Exclusive => None,
                LeaseMode::Shared { at_most } => Some(at_most),
            },
            ticket: waiter.ticket,
            left_ms: ms(waiter.left),
        }
    }
}

impl Show for Leases {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("{} held, {} waiting", self.held.len(), self.waiting.len()));
        let named = |on: &str, account: &Option<String>, lane: Option<&str>| {
            let short = account.as_deref().unwrap_or_default().chars().take(SHORT_ID_CHARS).collect::<String>();
            format!("{on} {}", lane.unwrap_or(&short))
        };
        if !self.held.is_empty() {
            let rows = self.held.iter().map(|held| {
                let text = |text: &Option<String>| safe(text.as_deref().unwrap_or("-"));
                vec![
                    named(held.on, &held.account, held.lane),
                    held.shared_place.map_or_else(|| "alone".to_owned(), |place| format!("shared, {place}")),
                    held.token.to_string(),
                    span(held.left_ms),
                    held.process.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                    text(&held.worker),
                    text(&held.purpose),
                ]
            });
            page.table(&["lease", "how", "token", "left", "process", "worker", "for"], rows);
        }
        if !self.waiting.is_empty() {
            let rows = self.waiting.iter().map(|waiter| {
                let how =
                    waiter.at_most.map_or_else(|| "alone".to_owned(), |at_most| format!("shared, {at_most} at most"));
                vec![
                    named(waiter.on, &waiter.account, waiter.lane),
                    how,
                    waiter.ticket.to_string(),
                    span(waiter.left_ms),
                ]
            });
            page.table(&["waits for", "how", "ticket", "left"], rows);
        }
    }
}

impl Show for Revoked {
    fn show(&self, page: &mut Page) {
        match self.revoked {
            0 => page.line("Nobody had it."),
            _ => page.line(format_args!("Taken away from {} holder(s).", self.revoked)),
        }
    }
}

const fn on_word(on: LeaseOn) -> &'static str {
    match on {
        LeaseOn::Account(_) => "account",
        LeaseOn::Login(_) => "login",
        LeaseOn::Lane(_) => "lane",
    }
}

const fn account_of(on: LeaseOn) -> Option<AccountId> {
    match on {
        LeaseOn::Account(id) => Some(id),
        LeaseOn::Login(id) => id,
        LeaseOn::Lane(_) => None,
    }
}

const fn lane_of(on: LeaseOn) -> Option<&'static str> {
    match on {
        LeaseOn::Lane(Lane::Account) => Some("account"),
        LeaseOn::Lane(Lane::Task) => Some("task"),
        _ => None,
    }
}

fn ms(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
