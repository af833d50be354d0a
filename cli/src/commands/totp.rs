//! `latchkey totp`: the current one-time code of an account, after the audit says that it was read.

use clap::Args;
use latchkey_vault::{AccountSecret, Revealed, Secret, totp::Totp};
use serde::Serialize;

use crate::{
    account_ref::AccountRef,
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show},
};

/// Arguments of `totp`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey totp blog.example/ann
  latchkey totp 3kq0 --json")]
pub struct TotpArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
}

#[derive(Serialize)]
struct Code {
    account: String,
    #[serde(serialize_with = "exposed")]
    code: Secret,
    seconds_left: u64,
}

/// Prints the code of the present step.
///
/// # Errors
/// Where the account is unknown or has no TOTP secret.
pub async fn run(cx: &Context, args: TotpArgs) -> Result<(), Failure> {
    let code = cx
        .with_vault(async |vault| {
            let id = args.account.find(vault).await?.id;
            // The audit entry is durable before the secret is read.
            code(&vault.reveal(id, &[AccountSecret::Totp]).await?, cx.now_ms())
        })
        .await?;
    cx.printer.print(&code)
}

fn code(revealed: &Revealed, now_ms: i64) -> Result<Code, Failure> {
    let id = revealed.account.id;
    let failed = |message, hint| Failure::new(Exit::Account, "no_totp", message, hint);
    let Some(secret) = revealed.secret(AccountSecret::Totp) else {
        let hint = format!("give it one: `latchkey account edit {id} --prompt totp`");
        return Err(failed(format!("account {id} has no TOTP secret"), hint));
    };
    let totp = Totp::parse(secret).map_err(|error| failed(error.to_string(), "give it again".to_owned()))?;
    let seconds_left = totp.ms_left(now_ms).div_ceil(1000);
    Ok(Code { account: id.to_string(), code: totp.code(totp.step_at(now_ms)), seconds_left })
}

impl Show for Code {
    fn show(&self, page: &mut Page) {
        // EXPOSE: the code is what was asked for.
        page.line(format_args!("{}  ({} s left)", self.code.expose(), self.seconds_left));
    }
}

fn exposed<S: serde::Serializer>(code: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    // EXPOSE: the code is what was asked for.
    serializer.serialize_str(code.expose())
}
