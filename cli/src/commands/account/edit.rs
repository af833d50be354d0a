//! `latchkey account edit` and `reset`: what a person changes about an account. What the manager keeps too is owed to it.

use clap::Args;
use latchkey_vault::{
    AccountView, Edit, Secret, Vault,
    model::{Field, Standing},
};

use super::Written;
use crate::{
    account_ref::AccountRef,
    context::Context,
    failure::Failure,
    secret_input::{SecretArgs, SecretField, Secrets},
};

/// Arguments of `account edit`.
#[derive(Args, Debug)]
#[command(after_help = "\
An empty value takes the value away. A new cookie becomes a new session of the account.

Examples:
  latchkey account edit blog.example/ann --email ann@example.org
  latchkey account edit 3kq0 --prompt password --prompt totp
  latchkey account edit 3kq0 --secrets-fd 3 3< secrets.json")]
pub struct EditArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// The name that it logs in with
    #[arg(long)]
    username: Option<String>,
    /// The email address it is registered with
    #[arg(long)]
    email: Option<String>,
    /// The manager's id of it
    #[arg(long, value_name = "ID")]
    manager_id: Option<String>,
    /// The URL of its profile
    #[arg(long, value_name = "URL")]
    link_profile: Option<String>,
    /// Notes for people
    #[arg(long)]
    notes: Option<String>,
    /// Ask for this secret on the terminal; may be given again
    #[arg(long, value_name = "SECRET")]
    prompt: Vec<SecretField>,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// Arguments of `account reset`.
#[derive(Args, Debug)]
#[command(after_help = "\
Say so after a look at the site: workers will use the account again.

Examples:
  latchkey account reset blog.example/ann")]
pub struct ResetArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
}

/// Changes the account.
///
/// # Errors
/// Where it is unknown, nothing is to be changed, or a value is not admissible; nothing is written then.
pub(super) async fn run(cx: &Context, args: EditArgs) -> Result<(), Failure> {
    // Before the vault is opened: standard input can be asked for once.
    let mut secrets = args.secrets.read(cx)?;
    let written = cx
        .with_vault(async |vault| {
            let account = args.account.find(vault).await?;
            secrets.extend(Secrets::ask(&args.prompt)?);
            let cookie = secrets.take(SecretField::Cookie);
            let edit = edit(args, secrets);
            let plain = is_change(&edit);
            if !plain && cookie.is_none() {
                return Err(Failure::usage("nothing is to be changed", "see `latchkey account edit --help`"));
            }
            // The cookie first: it alone can be refused for what the sites file says.
            if let Some(cookie) = cookie {
                import(cx, vault, &account, &cookie).await?;
            }
            let account = if plain { vault.edit_account(account.id, &edit).await? } else { account };
            Ok(Written::of(&account, "changed"))
        })
        .await?;
    cx.printer.print(&written)
}

/// Says that the account may be worked with again.
///
/// # Errors
/// Where it is unknown.
pub(super) async fn reset(cx: &Context, args: ResetArgs) -> Result<(), Failure> {
    let written = cx
        .with_vault(async |vault| {
            let id = args.account.find(vault).await?.id;
            let mut standing = Standing::ready(cx.now_ms());
            "a person says that it is well".clone_into(&mut standing.evidence);
            Ok(Written::of(&vault.set_standing(id, standing).await?, "ready again"))
        })
        .await?;
    cx.printer.print(&written)
}

async fn import(cx: &Context, vault: &Vault, account: &AccountView, cookie: &Secret) -> Result<(), Failure> {
    let site = cx.site(&account.site)?;
    vault.import_session(account.id, site.canonical_origin(), cookie).await?;
    Ok(())
}

fn edit(args: EditArgs, mut secrets: Secrets) -> Edit {
    let app_password = secrets.take(SecretField::AppPassword);
    let mut fields: Vec<_> =
        [(Field::Username, args.username), (Field::Email, args.email), (Field::LinkProfile, args.link_profile)]
            .into_iter()
            .filter_map(|(field, value)| Some((field, Secret::new(value?))))
            .collect();
    fields.extend(secrets.into_pairs().filter_map(|(field, secret)| Some((field.field()?, secret))));
    Edit { fields, app_password, manager_id: args.manager_id, notes: args.notes, ..Edit::default() }
}

fn is_change(edit: &Edit) -> bool {
    !edit.fields.is_empty() || edit.app_password.is_some() || edit.manager_id.is_some() || edit.notes.is_some()
}
