//! `latchkey account pull`: what the manager knows, merged into the vault; who won is told.

use clap::Args;
use latchkey_vault::{
    AccountId, Admissible, NewAccount, Pulled, Vault,
    account_api::{AccountApi, ManagerAccount},
    admissible,
    manager_http::Class,
    model::{Field, Fields, Winner},
    sites::Sites,
};
use serde::Serialize;

use super::ALL_PAGE;
use crate::{
    account_ref::AccountRef,
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show, safe},
};

/// Arguments of `account pull`.
#[derive(Args, Debug)]
#[command(after_help = "\
Field by field: what only one side changed is taken from it; what both changed stays ours while we still owe it to the
manager, and is the manager's otherwise.

Examples:
  latchkey account pull blog.example/ann
  latchkey account pull --all
  latchkey account pull --manager-id 4711 --site blog.example      brings a new one in")]
#[group(skip)]
pub struct PullArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    #[arg(group = "which", required_unless_present_any = ["all", "manager_id"])]
    account: Option<AccountRef>,
    /// Every account that the manager knows
    #[arg(long, group = "which")]
    all: bool,
    /// The one with this id at the manager, also where the vault does not know it yet
    #[arg(long, value_name = "ID", group = "which")]
    manager_id: Option<String>,
    /// Its site, where the manager's name of it is not that of the sites file
    #[arg(long, requires = "manager_id")]
    site: Option<String>,
}

#[derive(Serialize)]
struct Results {
    pulled: Vec<Merged>,
    failed: Vec<NotPulled>,
}

#[derive(Serialize)]
struct Merged {
    account: String,
    manager_id: String,
    brought_in: bool,
    /// Fields on which both sides differed, and whose value was kept.
    won: Vec<Won>,
    new_cookie: bool,
    /// What the manager gave that cannot be kept, by the manager's names.
    left_out: Vec<&'static str>,
}

#[derive(Serialize)]
struct Won {
    field: &'static str,
    winner: &'static str,
}

#[derive(Serialize)]
struct NotPulled {
    account: String,
    why: String,
}

/// Pulls one account or all.
///
/// # Errors
/// Where the manager is not set or refuses; what was merged by then is durable.
pub(super) async fn run(cx: &Context, args: PullArgs) -> Result<(), Failure> {
    let (manager, sites) = (cx.manager().await?, cx.sites()?);
    let results = cx
        .with_vault(async |vault| {
            let puller = Puller { vault, manager: &manager, sites: &sites };
            if args.all {
                return puller.all(cx).await;
            }
            let merged = match (&args.account, &args.manager_id) {
                (Some(account), _) => {
                    let account = account.find(vault).await?;
                    let Some(manager_id) = account.manager_id else {
                        let message = format!("the manager's id of account {} is not known", account.id);
                        let hint = "set it with `latchkey account edit --manager-id`";
                        return Err(Failure::new(Exit::Account, "no_manager_id", message, hint));
                    };
                    puller.one(account.id, &account.site, manager_id).await?
                }
                (None, Some(manager_id)) => puller.by_manager_id(cx, manager_id, args.site.as_deref()).await?,
                (None, None) => {
                    return Err(Failure::usage("no account is named", "see `latchkey account pull --help`"));
                }
            };
            Ok(Results { pulled: vec![merged], failed: Vec::new() })
        })
        .await?;
    let failed = results.failed.len();
    cx.printer.print(&results)?;
    if failed == 0 {
        return Ok(());
    }
    let message = format!("{failed} account(s) could not be pulled");
    Err(Failure::new(Exit::Manager, "pull_incomplete", message, "try again; the others are merged"))
}

struct Puller<'a> {
    vault: &'a Vault,
    manager: &'a AccountApi,
    sites: &'a Sites,
}

impl Puller<'_> {
    async fn all(&self, cx: &Context) -> Result<Results, Failure> {
        let bar = cx.printer.progress("pulling");
        let mut results = Results { pulled: Vec::new(), failed: Vec::new() };
        let mut after = None;
        loop {
            let page = self.vault.accounts(None, after, ALL_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            bar.inc_length(page.len() as u64);
            for account in page {
                bar.inc(1);
                let Some(manager_id) = account.manager_id else { continue };
                match self.manager.read(&manager_id).await {
                    Ok(said) => results.pulled.push(self.merge(account.id, &account.site, &said).await?),
                    // The others would be refused the same way.
                    Err(error) if error.class() == Class::Stop => return Err(error.into()),
                    Err(error) => {
                        results.failed.push(NotPulled { account: account.id.to_string(), why: error.to_string() });
                    }
                }
            }
        }
        bar.finish_and_clear();
        Ok(results)
    }

    async fn one(&self, id: AccountId, site: &str, manager_id: String) -> Result<Merged, Failure> {
        let said = self.manager.read(&manager_id).await?;
        self.merge(id, site, &said).await
    }

    /// The account with this id at the manager; a new one where the vault does not know it.
    async fn by_manager_id(&self, cx: &Context, manager_id: &str, site: Option<&str>) -> Result<Merged, Failure> {
        if let Some(known) = self.vault.find_manager_id(manager_id).await? {
            return self.one(known.id, &known.site, manager_id.to_owned()).await;
        }
        let said = self.manager.read(manager_id).await?;
        let Some(name) = site.or(said.site_name.as_deref()) else {
            return Err(Failure::usage(
                "the manager does not say which site it is",
                "give --site; nothing was written",
            ));
        };
        let site = cx.site(name)?;
        // Who it is; the rest comes by the merge, which says what is left out.
        let Admissible { fields: known, left_out } = admissible(said.fields.duplicate());
        let fields = Fields { username: known.username, email: known.email, ..Fields::default() };
        let lost = left_out.into_iter().find(|field| matches!(field, Field::Username | Field::Email));
        if let (None, None, Some(lost)) = (&fields.username, &fields.email, lost) {
            let message = format!("the manager's {} cannot be kept, and nothing else names the account", lost.name());
            let hint = "mend it at the manager: 1 to 1024 bytes, no control characters; nothing was written";
            return Err(Failure::new(Exit::Account, "account_invalid", message, hint));
        }
        let id = self
            .vault
            .add_account(NewAccount {
                site: site.domain.as_str().to_owned(),
                manager_id: Some(manager_id.to_owned()),
                fields,
                app_password: None,
                tags: Vec::new(),
                notes: String::new(),
                origin: None,
            })
            .await?;
        let merged = self.merge(id, site.domain.as_str(), &said).await?;
        Ok(Merged { brought_in: true, ..merged })
    }

    async fn merge(&self, id: AccountId, site: &str, said: &ManagerAccount) -> Result<Merged, Failure> {
        // A site that is not listed has no registered origin: its cookie stays a text.
        let origin = self.sites.find(site).map(|site| site.canonical_origin());
        let Pulled { won, new_cookie, left_out } = self.vault.merge_manager(id, said, origin).await?;
        let won = won.into_iter().map(|(field, winner)| Won {
            field: field.name(),
            winner: if winner == Winner::Local { "ours" } else { "manager" },
        });
        let manager_id = said.id.clone();
        let won = won.collect();
        Ok(Merged { account: id.to_string(), manager_id, brought_in: false, won, new_cookie, left_out })
    }
}

impl Show for Results {
    fn show(&self, page: &mut Page) {
        for merged in &self.pulled {
            let what = if merged.brought_in { "brought in" } else { "merged" };
            let won: Vec<_> = merged.won.iter().map(|won| format!("{}: {}", won.field, won.winner)).collect();
            let won = if won.is_empty() { "nothing differed".to_owned() } else { won.join(", ") };
            let cookie = if merged.new_cookie { "; its cookie is the session now" } else { "" };
            page.line(format_args!("{what}: {} ({won}{cookie})", merged.account));
            if !merged.left_out.is_empty() {
                let names = merged.left_out.join(", ");
                page.line(format_args!("  left out, since it cannot be kept: {names}; mend it at the manager"));
            }
        }
        for failed in &self.failed {
            page.line(format_args!("not pulled: {}: {}", failed.account, safe(&failed.why)));
        }
    }
}
