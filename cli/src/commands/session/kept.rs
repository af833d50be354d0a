//! `latchkey session kept`: cookies that came back under a lost lease or of an older login. Names, never values.

use clap::Args;
use latchkey_vault::{CookieView, KeptView};
use serde::Serialize;

use crate::{
    account_ref::AccountRef,
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    time::{ago, rfc3339},
};

/// Arguments of `session kept`.
#[derive(Args, Debug)]
#[command(after_help = "\
What is kept aside is never merged; the four newest of an account stay until they are forgotten.

Examples:
  latchkey session kept blog.example/ann
  latchkey session kept blog.example/ann --forget")]
pub struct KeptArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// Forget them all
    #[arg(long)]
    forget: bool,
}

#[derive(Serialize)]
struct Kept {
    account: String,
    forgotten: usize,
    kept: Vec<One>,
    #[serde(skip)]
    now_ms: i64,
}

#[derive(Serialize)]
struct One {
    at: String,
    at_ms: i64,
    epoch: u64,
    why: &'static str,
    cookies: Vec<String>,
}

/// Lists or forgets.
///
/// # Errors
/// Where the account is unknown.
pub(super) async fn run(cx: &Context, args: &KeptArgs) -> Result<(), Failure> {
    let kept = cx
        .with_vault(async |vault| {
            let id = args.account.find(vault).await?.id;
            let forgotten = if args.forget { vault.forget_kept(id).await? } else { 0 };
            let kept = vault.kept_sessions(id).await?.into_iter().map(One::from).collect();
            Ok(Kept { account: id.to_string(), forgotten, kept, now_ms: cx.now_ms() })
        })
        .await?;
    cx.printer.print(&kept)
}

impl From<KeptView> for One {
    fn from(view: KeptView) -> Self {
        let named = |cookie: CookieView| format!("{} ({}{})", cookie.name, cookie.domain, cookie.path);
        Self {
            at: rfc3339(view.at_ms),
            at_ms: view.at_ms,
            epoch: view.login_epoch,
            why: view.why.word(),
            cookies: view.cookies.into_iter().map(named).collect(),
        }
    }
}

impl Show for Kept {
    fn show(&self, page: &mut Page) {
        if self.forgotten > 0 {
            page.line(format_args!("{} forgotten.", self.forgotten));
        }
        if self.kept.is_empty() {
            page.line("Nothing is kept aside.");
            return;
        }
        let rows = self.kept.iter().map(|one| {
            let cookies = one.cookies.iter().map(|cookie| safe(cookie)).collect::<Vec<_>>().join(", ");
            vec![ago(one.at_ms, self.now_ms), one.why.to_owned(), one.epoch.to_string(), cookies]
        });
        page.table(&["came back", "why", "epoch", "cookies"], rows);
    }
}
