//! `latchkey account remove`: an account and its session, gone for good.

use clap::Args;

use super::{Written, login_of};
use crate::{account_ref::AccountRef, context::Context, failure::Failure, printer::safe, prompt};

/// Arguments of `account remove`.
#[derive(Args, Debug)]
#[command(after_help = "\
What is owed to the manager about it is still delivered; at the site and at the manager nothing is removed.

Examples:
  latchkey account remove blog.example/ann --yes")]
pub struct RemoveArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Removes the account.
///
/// # Errors
/// Where it is unknown, or nobody said yes.
pub(super) async fn run(cx: &Context, args: RemoveArgs) -> Result<(), Failure> {
    let written = cx
        .with_vault(async |vault| {
            let account = args.account.find(vault).await?;
            let login = login_of(&account).unwrap_or_default();
            let named = safe(&format!("{}/{login}", account.site));
            prompt::insist(args.yes, &format!("Remove {named} ({}) and its session?", account.id)).await?;
            vault.remove_account(account.id).await?;
            Ok(Written::of(&account, "removed"))
        })
        .await?;
    cx.printer.print(&written)
}
