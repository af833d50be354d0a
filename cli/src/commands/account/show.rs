//! `latchkey account show`: one account, its secrets masked unless a person asks for them; that is in the audit first.

use clap::Args;
use latchkey_vault::{AccountSecret, AccountView, Revealed, Secret, model::AccountState};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::clear;
use crate::{
    account_ref::AccountRef,
    context::Context,
    failure::Failure,
    printer::{Page, Show, safe},
    secret_input::SecretField,
    time::rfc3339,
};

/// Arguments of `account show`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  latchkey account show blog.example/ann
  latchkey account show blog.example/ann --reveal password
  latchkey account show 3kq0 --reveal --json")]
pub struct ShowArgs {
    /// Id, beginning of an id, or SITE/LOGIN
    account: AccountRef,
    /// Show this secret, or all of them; the audit says so first
    #[arg(long, value_name = "SECRET", num_args = 0..=1)]
    reveal: Option<Option<SecretField>>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    site: String,
    username: Option<String>,
    email: Option<String>,
    link_profile: Option<String>,
    secrets: Secrets,
    state: &'static str,
    state_since: String,
    cooling_until: Option<String>,
    evidence: String,
    manager_id: Option<String>,
    manager_status: Option<String>,
    owed: Vec<&'static str>,
    tags: Vec<String>,
    notes: String,
    created_at: String,
    updated_at: String,
    revision: u64,
}

/// Each secret that the account may have: whether it is there, and its text where it was asked for.
struct Secrets(Vec<(AccountSecret, bool, Option<Secret>)>);

/// Shows the account.
///
/// # Errors
/// Where it is unknown.
pub(super) async fn run(cx: &Context, args: ShowArgs) -> Result<(), Failure> {
    let shown = cx
        .with_vault(async |vault| {
            let id = args.account.find(vault).await?.id;
            Ok(match args.reveal {
                // The audit entry is durable before the secrets are handed out.
                Some(Some(one)) => Shown::revealed(&vault.reveal(id, &[one.secret()]).await?),
                Some(None) => Shown::revealed(&vault.reveal(id, &AccountSecret::ALL).await?),
                None => Shown::of(&vault.account(id).await?, |_| None),
            })
        })
        .await?;
    cx.printer.print(&shown)
}

impl Shown {
    fn revealed(revealed: &Revealed) -> Self {
        Self::of(&revealed.account, |secret| revealed.secret(secret).map(Secret::duplicate))
    }

    fn of(account: &AccountView, value: impl Fn(AccountSecret) -> Option<Secret>) -> Self {
        let secrets = AccountSecret::ALL.map(|secret| (secret, account.has(secret), value(secret)));
        let cooling_until = match account.standing.state {
            AccountState::Cooling { until_ms } => Some(rfc3339(until_ms)),
            _ => None,
        };
        Self {
            id: account.id.to_string(),
            site: account.site.clone(),
            username: account.username.as_ref().map(clear),
            email: account.email.as_ref().map(clear),
            link_profile: account.link_profile.as_ref().map(clear),
            secrets: Secrets(secrets.into()),
            state: account.standing.state.word(),
            state_since: rfc3339(account.standing.since_ms),
            cooling_until,
            evidence: account.standing.evidence.clone(),
            manager_id: account.manager_id.clone(),
            manager_status: account.manager_status.clone(),
            owed: account.owed.iter().map(|field| field.name()).collect(),
            tags: account.tags.clone(),
            notes: account.notes.clone(),
            created_at: rfc3339(account.created_ms),
            updated_at: rfc3339(account.updated_ms),
            revision: account.rev,
        }
    }
}

impl Serialize for Secrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct One<'a> {
            set: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            value: Option<&'a str>,
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (secret, set, value) in &self.0 {
            // EXPOSE: only what --reveal named is here, and the audit has it.
            map.serialize_entry(secret.name(), &One { set: *set, value: value.as_ref().map(Secret::expose) })?;
        }
        map.end()
    }
}

impl Show for Shown {
    fn show(&self, page: &mut Page) {
        let or_dash = |text: &Option<String>| safe(text.as_deref().unwrap_or("-"));
        page.pair("id", &self.id);
        page.pair("site", safe(&self.site));
        page.pair("username", or_dash(&self.username));
        page.pair("email", or_dash(&self.email));
        page.pair("link profile", or_dash(&self.link_profile));
        for (secret, set, value) in &self.secrets.0 {
            match value {
                // EXPOSE: only what --reveal named is here, and the audit has it.
                Some(value) => page.pair(secret.name(), safe(value.expose())),
                None => page.pair(secret.name(), if *set { MASK } else { "-" }),
            }
        }
        let evidence = if self.evidence.is_empty() { String::new() } else { format!(": {}", safe(&self.evidence)) };
        page.pair("state", format_args!("{} since {}{evidence}", self.state, self.state_since));
        if let Some(until) = &self.cooling_until {
            page.pair("cooling until", until);
        }
        page.pair("manager's id", or_dash(&self.manager_id));
        page.pair("manager's status", or_dash(&self.manager_status));
        page.pair("owed to manager", if self.owed.is_empty() { "-".to_owned() } else { self.owed.join(", ") });
        page.pair("tags", if self.tags.is_empty() { "-".to_owned() } else { safe(&self.tags.join(", ")) });
        page.pair("notes", if self.notes.is_empty() { "-".to_owned() } else { safe(&self.notes) });
        page.pair("created", &self.created_at);
        page.pair("updated", format_args!("{} (revision {})", self.updated_at, self.revision));
    }
}

/// Of one length, whatever it stands for.
const MASK: &str = "********";
