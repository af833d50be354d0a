//! `latchkey session status|refresh|export|import|kept`: how sessions stand, how one becomes fresh, how one moves from and to
//! other programs, and what came back too late. A cookie's value shows in an export alone.

mod files;
mod kept;

use std::{sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use latchkey_vault::{
    AccountId, AccountView, CheckIn, CheckOutAsk, LeaseMode, RefreshAsk, RefreshedBy, SessionView, Vault,
    cookies::Jar,
    login::build_auth,
    site_http::{SiteClient, Transport},
};
use latchkey_worker::service::site_roots;
use serde::Serialize;

use self::{
    files::{ExportArgs, ImportArgs},
    kept::KeptArgs,
};
use super::account::{ALL_PAGE, login_of};
use crate::{
    account_ref::AccountRef,
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    time::{ago, rfc3339, span},
};

/// What is done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// How one session stands, or all of them
    Status(StatusArgs),
    /// Make a session fresh: ask the manager, probe, log in only where it has expired
    Refresh(RefreshArgs),
    /// Write a session to a file of another program
    Export(ExportArgs),
    /// Take a session from a file of another program
    Import(ImportArgs),
    /// Cookies that came back too late to be merged
    Kept(KeptArgs),
}

/// Arguments of `session status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey session status
  latchkey session status blog.example/ann --json")]
pub struct StatusArgs {
    /// Id, beginning of an id, or SITE/LOGIN; all accounts where it is left out
    account: Option<AccountRef>,
    /// At most so many accounts, 1 to 10000
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Arguments of `session refresh`.
#[derive(Args, Debug)]
#[command(after_help = "\
However many ask, in however many processes: one login is sent.

Examples:
  latchkey session refresh blog.example/ann
  latchkey session refresh blog.example/ann --force")]
pub struct RefreshArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// Forget the session's cookies first, so that a new login is sent even if they live
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Statuses {
    sessions: Vec<Status>,
    more: bool,
    #[serde(skip)]
    now_ms: i64,
}

#[derive(Serialize)]
struct Status {
    account: String,
    site: String,
    login: Option<String>,
    state: &'static str,
    /// None where there is no session.
    epoch: Option<u64>,
    since: Option<String>,
    since_ms: Option<i64>,
    cookies: Vec<Cookie>,
    /// How long the present lease lasts; none where nobody has the account.
    held_for_ms: Option<u64>,
}

#[derive(Serialize)]
struct Cookie {
    name: String,
    domain: String,
    path: String,
    expires: Option<String>,
}

#[derive(Serialize)]
struct Fresh {
    account: String,
    epoch: u64,
    how: &'static str,
}

/// Does what was asked.
///
/// # Errors
/// Where the account is unknown, or its session cannot be made fresh.
pub async fn run(cx: &Context, command: SessionCommand) -> Result<(), Failure> {
    match command {
        SessionCommand::Status(args) => status(cx, &args).await,
        SessionCommand::Refresh(args) => refresh(cx, &args).await,
        SessionCommand::Export(args) => files::export(cx, &args).await,
        SessionCommand::Import(args) => files::import(cx, &args).await,
        SessionCommand::Kept(args) => kept::run(cx, &args).await,
    }
}

async fn status(cx: &Context, args: &StatusArgs) -> Result<(), Failure> {
    let statuses = cx
        .with_vault(async |vault| {
            let now_ms = cx.now_ms();
            if let Some(account) = &args.account {
                let account = account.find(vault).await?;
                let sessions = vec![status_of(vault, &account).await?];
                return Ok(Statuses { sessions, more: false, now_ms });
            }
            let (mut sessions, mut after): (Vec<Status>, Option<AccountId>) = (Vec::new(), None);
            loop {
                let page = vault.accounts(None, after, ALL_PAGE).await?;
                let Some(last) = page.last() else { return Ok(Statuses { sessions, more: false, now_ms }) };
                after = Some(last.id);
                for account in &page {
                    if sessions.len() == args.limit as usize {
                        return Ok(Statuses { sessions, more: true, now_ms });
                    }
                    sessions.push(status_of(vault, account).await?);
                }
            }
        })
        .await?;
    cx.printer.print(&statuses)
}

async fn status_of(vault: &Vault, account: &AccountView) -> Result<Status, Failure> {
    let session = vault.session_view(account.id).await?;
    let held = vault.held_for(account.id).await?;
    let since_ms = session.as_ref().map(|session| session.since_ms);
    Ok(Status {
        account: account.id.to_string(),
        site: account.site.clone(),
        login: login_of(account),
        state: account.standing.state.word(),
        epoch: session.as_ref().map(|session| session.login_epoch),
        since: since_ms.map(rfc3339),
        since_ms,
        cookies: session.map(cookies_of).unwrap_or_default(),
        held_for_ms: held.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    })
}

fn cookies_of(session: SessionView) -> Vec<Cookie> {
    let cookie = |cookie: latchkey_vault::CookieView| Cookie {
        name: cookie.name,
        domain: cookie.domain,
        path: cookie.path,
        expires: cookie.expires_ms.map(rfc3339),
    };
    session.cookies.into_iter().map(cookie).collect()
}

async fn refresh(cx: &Context, args: &RefreshArgs) -> Result<(), Failure> {
    let manager = match &cx.settings.manager {
        Some(_) => Some(Arc::new(cx.manager().await?)),
        None => None,
    };
    let transport = Transport::new(site_roots(&cx.settings)?.as_deref())?;
    let fresh = cx
        .with_vault(async |vault| {
            let account = args.account.find(vault).await?;
            let site = cx.site(&account.site)?;
            if args.force {
                forget(vault, account.id).await?;
            }
            let epoch = vault.session_view(account.id).await?.map_or(0, |session| session.login_epoch);
            let client = SiteClient::new(Arc::clone(&site), transport, Arc::clone(&cx.clock));
            let ask = RefreshAsk {
                auth: build_auth(Arc::new(client)),
                origin: site.canonical_origin().clone(),
                flat_url: site.canonical_origin().clone(),
                totp_at_site: site.twofa_at_site,
                manager,
                refused_epoch: epoch,
                within: REFRESH_WITHIN,
            };
            cx.printer.note(format_args!("asking {} ...", safe(&account.site)));
            let refreshed = vault.refresh(account.id, &ask).await?;
            Ok(Fresh { account: account.id.to_string(), epoch: refreshed.login_epoch, how: how_word(refreshed.how) })
        })
        .await?;
    cx.printer.print(&fresh)
}

/// Empties the jar under a lease, so that nobody who works with it is surprised.
async fn forget(vault: &Vault, id: AccountId) -> Result<(), Failure> {
    let ask = CheckOutAsk {
        ttl: FORGET_WITHIN,
        quarantine: Duration::ZERO,
        wait: Duration::ZERO,
        mode: LeaseMode::Exclusive,
        purpose: "refresh --force".to_owned(),
    };
    let mut checkout = vault.check_out(id, &ask).await?;
    checkout.jar = Jar::new();
    let back = CheckIn { note: "cookies forgotten by a person".to_owned(), ..CheckIn::default() };
    vault.check_in(checkout, &back).await?;
    Ok(())
}

impl Show for Statuses {
    fn show(&self, page: &mut Page) {
        let held = |status: &Status| status.held_for_ms.map_or_else(|| "-".to_owned(), span);
        let since = |status: &Status| status.since_ms.map_or_else(|| "-".to_owned(), |since| ago(since, self.now_ms));
        if let [status] = self.sessions.as_slice() {
            page.pair("account", &status.account);
            page.pair("site", safe(&status.site));
            page.pair("login", safe(status.login.as_deref().unwrap_or("-")));
            page.pair("state", status.state);
            page.pair("epoch", status.epoch.map_or_else(|| "no session".to_owned(), |epoch| epoch.to_string()));
            page.pair("since", since(status));
            page.pair("lease left", held(status));
            for cookie in &status.cookies {
                let expires = cookie.expires.as_deref().unwrap_or("with the session");
                let (name, domain, path) = (safe(&cookie.name), safe(&cookie.domain), safe(&cookie.path));
                page.pair("cookie", format_args!("{name}  ({domain}{path}, ends {expires})"));
            }
            return;
        }
        let rows = self.sessions.iter().map(|status| {
            let epoch = status.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
            let login = safe(status.login.as_deref().unwrap_or("-"));
            let account = status.account.chars().take(super::audit::SHORT_ID_CHARS).collect();
            let cookies = status.cookies.len().to_string();
            vec![
                account,
                safe(&status.site),
                login,
                status.state.to_owned(),
                epoch,
                since(status),
                cookies,
                held(status),
            ]
        });
        page.table(&["account", "site", "login", "state", "epoch", "since", "cookies", "lease left"], rows);
        if self.more {
            page.line("There are more: raise --limit.");
        }
    }
}

impl Show for Fresh {
    fn show(&self, page: &mut Page) {
        let how = match self.how {
            "another" => "somebody else had logged in already",
            "manager" => "the manager had a cookie that lives",
            "probe" => "the session lives, nothing was sent but a probe",
            _ => "logged in",
        };
        page.line(format_args!("Fresh: {how} (epoch {}).", self.epoch));
    }
}

const fn how_word(how: RefreshedBy) -> &'static str {
    match how {
        RefreshedBy::Another => "another",
        RefreshedBy::Manager => "manager",
        RefreshedBy::Probe => "probe",
        RefreshedBy::Login => "login",
    }
}

/// A login waits for its turn, for the site, and perhaps for the next TOTP step.
const REFRESH_WITHIN: Duration = Duration::from_secs(180);
/// Two commits; no site is asked.
const FORGET_WITHIN: Duration = Duration::from_secs(30);
