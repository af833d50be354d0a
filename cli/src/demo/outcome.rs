//! What must have happened, beside what the ledgers of manager and site say happened.

use std::collections::BTreeMap;

use latchkey_manager::TaskStatus;
use latchkey_vault::{AccountSecret, Secret, Vault};
use latchkey_worker::Summary;

use super::{
    DemoError, during,
    world::{Member, Share, TASKS, World},
};

/// One figure of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is counted, and by whom.
    pub what: &'static str,
    /// What it must be.
    pub expected: u64,
    /// What it is.
    pub found: u64,
}

impl Check {
    /// Whether the figure is as it must be.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.expected == self.found
    }
}

/// What the demo came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The figures, checked against both ledgers.
    pub checks: Vec<Check>,
    /// Why tasks failed, and how many for each reason.
    pub failures: BTreeMap<String, u64>,
}

impl Outcome {
    /// Whether every figure is right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.checks.iter().all(Check::is_right)
    }
}

impl World {
    pub(super) async fn compare(&self, ran: Summary) -> Result<Outcome, DemoError> {
        let of = |share| self.members.iter().filter(move |member| member.share == share);
        let tasks_each = TASKS / self.members.len();
        let stopped = of(Share::Locked).count() + of(Share::Banned).count();
        let logged_in: Vec<_> = of(Share::Expired).chain(of(Share::Totp)).collect();
        let failing = (stopped * tasks_each) as u64;
        let posting = TASKS as u64 - failing;
        let ledger = self.site.ledger();
        let mut failures = BTreeMap::new();
        let (mut completed, mut failed, mut linked) = (0, 0, 0);
        for number in 0..TASKS {
            let Some(task) = self.manager.task(&format!("task-{number:03}")) else { continue };
            match task.status {
                TaskStatus::Completed => completed += 1,
                TaskStatus::FinalFailed => failed += 1,
                _ => {}
            }
            linked += u64::from(task.link_post.as_deref().is_some_and(|link| self.is_post(link)));
            if let Some(reason) = task.error_message {
                *failures.entry(reason).or_insert(0) += 1;
            }
        }
        let mut checks = vec![
            Check { what: "tasks completed (manager)", expected: posting, found: completed },
            Check { what: "tasks failed (manager)", expected: failing, found: failed },
            Check { what: "reported links that are posts on the site", expected: posting, found: linked },
            Check { what: "posts on the site", expected: posting, found: self.site.all_posts().len() as u64 },
            Check { what: "accounts with a post missing or double", expected: 0, found: self.uneven(tasks_each) },
            Check { what: "logins on the site", expected: logged_in.len() as u64, found: ledger.total.logins },
            Check {
                what: "expired accounts with exactly one login",
                expected: logged_in.len() as u64,
                found: self.count(&logged_in, |member| self.site.logins(&member.username) == 1),
            },
            Check { what: "TOTP codes refused as used", expected: 0, found: ledger.total.totp_replays },
            Check { what: "logins with a wrong password", expected: 0, found: ledger.total.bad_logins },
            Check {
                what: "login attempts on locked and banned accounts",
                expected: stopped as u64,
                found: ledger.total.stopped_logins,
            },
        ];
        checks.push(Check {
            what: "new cookies in the manager's records",
            expected: logged_in.len() as u64,
            found: self.written_back(&logged_in).await?,
        });
        checks.push(Check { what: "reports owed", expected: 0, found: ran.owed });
        checks.push(Check { what: "reports stuck", expected: 0, found: ran.stuck });
        let findings = verify(&self.vault).await?;
        checks.push(Check { what: "problems that verify finds in the vault", expected: 0, found: findings });
        Ok(Outcome { checks, failures })
    }

    fn is_post(&self, link: &str) -> bool {
        let origin = self.site_origin();
        let path = link.strip_prefix(origin.trim_end_matches('/')).unwrap_or_default();
        self.site.all_posts().iter().any(|post| path == format!("/u/{}/post/{}", post.username, post.number))
    }

    /// Accounts whose posts are not one for each of their tasks.
    fn uneven(&self, tasks_each: usize) -> u64 {
        let wrong = self.members.iter().enumerate().filter(|(number, member)| {
            let mut titles: Vec<_> = self.site.posts(&member.username).iter().map(|post| post.title.clone()).collect();
            titles.sort();
            let stopped = matches!(member.share, Share::Locked | Share::Banned);
            let mine = (0..tasks_each).map(|round| format!("Bài viết số {:03}", number + round * self.members.len()));
            titles != if stopped { Vec::new() } else { mine.collect() }
        });
        wrong.count() as u64
    }

    fn count(&self, members: &[&Member], is: impl Fn(&Member) -> bool) -> u64 {
        members.iter().filter(|member| is(member)).count() as u64
    }

    /// Accounts whose record at the manager is active and has the very cookie that the vault has.
    async fn written_back(&self, members: &[&Member]) -> Result<u64, DemoError> {
        let mut count = 0;
        for member in members {
            let Some(there) = self.manager.account(&member.manager_id) else { continue };
            let here = self.vault.reveal(member.id, &[AccountSecret::Cookie]).await;
            let here = here.map_err(during("reading an account"))?;
            let puts = self.manager.ledger().puts_of(&member.manager_id);
            // EXPOSE: the demo compares its own vault with its own manager.
            let same = here.secret(AccountSecret::Cookie).map(Secret::expose) == there.text("cookie");
            count += u64::from(same && puts > 0 && there.text("status") == Some("active"));
        }
        Ok(count)
    }
}

async fn verify(vault: &Vault) -> Result<u64, DemoError> {
    let findings = vault.verify(Box::new(|_, _| ())).await.map_err(during("verifying the vault"))?;
    Ok(findings.len() as u64)
}
