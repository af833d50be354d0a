//! `latchkey backup restore`: what it would roll back is said first, and a person says whether that is meant.

use std::path::PathBuf;

use clap::Args;
use latchkey_vault::{Change, Inventory, Present, Restore, RestorePlan};
use serde::Serialize;

use crate::{
    commands::verify::progress,
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    prompt,
    time::rfc3339,
};

/// Arguments of `backup restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Stop all workers first. What the time since the backup brought is lost, and treated as unknown: leases of it are fenced,
attempts and reports looked up before anything is sent again, sessions probed, one-time codes waited for. The vault that
was there is kept beside the new one as vault.db.before-restore-N.

Examples:
  latchkey backup restore /mnt/backup/vault-monday.db
  latchkey backup restore /mnt/backup/vault-monday.db --old-keys   also where a key slot was removed since")]
pub struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// Accept a backup from before a change of keys: key slots that were removed since open the vault again
    #[arg(long)]
    old_keys: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Done {
    file: PathBuf,
    counter: u64,
    incarnation: u32,
    kept: Option<PathBuf>,
    rolled_back: Plan,
}

#[derive(Serialize)]
struct Plan {
    vault: String,
    backup: Holds,
    present: Option<Holds>,
    present_unreadable: Option<String>,
    accounts: Option<Moved>,
    sessions: Option<Moved>,
    attempts: Option<Moved>,
    owed: Option<Moved>,
    has_old_keys: bool,
    slots_back: Vec<String>,
    slots_lost: Vec<String>,
}

#[derive(Serialize)]
struct Holds {
    counter: u64,
    last: Option<String>,
    accounts: usize,
    sessions: usize,
    attempts: usize,
    owed: usize,
}

#[derive(Serialize)]
struct Moved {
    lost: usize,
    changed: usize,
    back: usize,
}

/// Restores a backup.
///
/// # Errors
/// Where the backup is not sound, not of this vault, or not meant; nothing is changed then.
pub(super) async fn run(cx: &Context, args: RestoreArgs) -> Result<(), Failure> {
    let paths = &cx.settings.vault;
    let with = cx.unlock_with()?;
    let bar = cx.printer.progress("checking the backup");
    let prepared = Restore::prepare(paths, cx.opener(), &args.file, with, args.old_keys, progress(&bar)).await;
    bar.finish_and_clear();
    let restore = prepared?;
    let plan = Plan::from(restore.plan());
    cx.printer.note(plan.told());
    let question = format!("Put {} in the place of {}?", safe(&args.file.display().to_string()), paths.file.display());
    if let Err(refused) = prompt::insist(args.yes, &question).await {
        restore.abandon().await;
        return Err(refused);
    }
    let done = restore.carry_out().await?;
    let (counter, incarnation, kept) = (done.counter, done.incarnation, done.kept);
    cx.printer.print(&Done { file: paths.file.clone(), counter, incarnation, kept, rolled_back: plan })
}

impl Plan {
    /// The plan as lines for a person.
    fn told(&self) -> String {
        let mut lines = vec![format!("backup:  {}", self.backup.told())];
        match (&self.present, &self.present_unreadable) {
            (Some(present), _) => lines.push(format!("present: {}", present.told())),
            (None, Some(why)) => {
                lines.push(format!("present: does not open ({}); what is lost with it cannot be told", safe(why)));
            }
            (None, None) => lines.push("present: there is no vault".to_owned()),
        }
        let kinds = [
            ("accounts", &self.accounts),
            ("sessions", &self.sessions),
            ("attempts", &self.attempts),
            ("owed messages", &self.owed),
        ];
        for (kind, moved) in kinds {
            if let Some(Moved { lost, changed, back }) = moved {
                lines.push(format!("{kind}: {lost} lost, {changed} as they were then, {back} come back"));
            }
        }
        if self.has_old_keys {
            lines.push("the keys were changed since: who held a removed key slot can open the vault again".to_owned());
        }
        let labels = |labels: &[String]| labels.iter().map(|label| safe(label)).collect::<Vec<_>>().join(", ");
        if !self.slots_back.is_empty() {
            lines.push(format!("key slots that come back: {}", labels(&self.slots_back)));
        }
        if !self.slots_lost.is_empty() {
            lines.push(format!("key slots that are lost: {}", labels(&self.slots_lost)));
        }
        lines.join("\n")
    }
}

impl Holds {
    fn told(&self) -> String {
        let last = self.last.as_deref().unwrap_or("never");
        format!(
            "commit {}, last used {last}: {} accounts, {} sessions, {} attempts, {} owed",
            self.counter, self.accounts, self.sessions, self.attempts, self.owed
        )
    }
}

impl From<&RestorePlan> for Plan {
    fn from(plan: &RestorePlan) -> Self {
        let (present, present_unreadable, difference) = match &plan.present {
            Present::Missing => (None, None, None),
            Present::Unreadable(why) => (None, Some(why.clone()), None),
            Present::Known { holds, difference } => (Some(Holds::from(holds)), None, Some(difference)),
        };
        Self {
            vault: plan.vault.to_string(),
            backup: Holds::from(&plan.backup),
            present,
            present_unreadable,
            accounts: difference.map(|d| d.accounts.into()),
            sessions: difference.map(|d| d.sessions.into()),
            attempts: difference.map(|d| d.attempts.into()),
            owed: difference.map(|d| d.owed.into()),
            has_old_keys: plan.has_old_keys,
            slots_back: plan.slots_back.clone(),
            slots_lost: plan.slots_lost.clone(),
        }
    }
}

impl From<&Inventory> for Holds {
    fn from(holds: &Inventory) -> Self {
        let Inventory { counter, last_ms, accounts, sessions, attempts, owed, .. } = *holds;
        Self { counter, last: (last_ms != 0).then(|| rfc3339(last_ms)), accounts, sessions, attempts, owed }
    }
}

impl From<Change> for Moved {
    fn from(Change { lost, changed, back }: Change) -> Self {
        Self { lost, changed, back }
    }
}

impl Show for Done {
    fn show(&self, page: &mut Page) {
        page.line("The backup is restored, and a new anchor made.");
        page.pair("vault", self.file.display());
        page.pair("commit", self.counter);
        page.pair("incarnation", self.incarnation);
        if let Some(kept) = &self.kept {
            page.pair("kept", kept.display());
        }
    }
}
