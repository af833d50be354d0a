//! `latchkey account add`: a new account of a site that the sites file lists.

use clap::Args;
use latchkey_vault::{
    NewAccount, Secret,
    model::{Field, Fields},
};

use super::Written;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    prompt,
    secret_input::{SecretArgs, SecretField, Secrets},
};

/// Arguments of `account add`.
#[derive(Args, Debug)]
#[command(after_help = "\
On a terminal the secrets are asked for, each can be skipped; else they come in by a flag, never as an argument.

Examples:
  latchkey account add blog.example --username ann --tag team-a
  pass show blog/ann | latchkey account add blog.example --username ann --password-stdin
  latchkey account add blog.example --username ann --secrets-fd 3 3< secrets.json")]
pub struct AddArgs {
    /// The site, as the sites file names it
    site: String,
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
    /// A tag; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Notes for people
    #[arg(long, default_value = "", hide_default_value = true)]
    notes: String,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// Adds the account.
///
/// # Errors
/// Where the site is not listed, the account is there already, or a value is not admissible; nothing is written then.
pub(super) async fn run(cx: &Context, args: AddArgs) -> Result<(), Failure> {
    let site = cx.site(&args.site)?;
    if args.username.is_none() && args.email.is_none() {
        let hint = "give --username or --email; nothing was written";
        return Err(Failure::new(Exit::Account, "account_invalid", "the account has no name to log in with", hint));
    }
    // Before the vault is opened: standard input can be asked for once.
    let mut secrets = args.secrets.read(cx)?;
    let written = cx
        .with_vault(async |vault| {
            if !args.secrets.any() && prompt::is_possible() {
                secrets = Secrets::ask(&SecretField::ALL)?;
            }
            let new = NewAccount {
                site: site.domain.as_str().to_owned(),
                manager_id: args.manager_id,
                app_password: secrets.take(SecretField::AppPassword).filter(|secret| !secret.is_empty()),
                fields: fields(args.username, args.email, args.link_profile, secrets),
                tags: args.tags,
                notes: args.notes,
                origin: Some(site.canonical_origin().clone()),
            };
            let id = vault.add_account(new).await?;
            Ok(Written::of(&vault.account(id).await?, "added"))
        })
        .await?;
    cx.printer.print(&written)
}

fn fields(username: Option<String>, email: Option<String>, link_profile: Option<String>, secrets: Secrets) -> Fields {
    let mut fields = Fields::default();
    for (field, value) in [(Field::Username, username), (Field::Email, email), (Field::LinkProfile, link_profile)] {
        *fields.value_mut(field) = value.map(Secret::new);
    }
    for (field, secret) in secrets.into_pairs().filter(|(_, secret)| !secret.is_empty()) {
        if let Some(field) = field.field() {
            *fields.value_mut(field) = Some(secret);
        }
    }
    fields
}
