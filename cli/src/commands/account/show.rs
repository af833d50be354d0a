//! `latchkey account show`: one account, its secrets masked unless a person asks for them; that is in the audit first.

use clap::Args;
use latchkey_vault::{
    Secret,
    model::{Account, AccountState},
};
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
struct Secrets(Vec<(SecretField, bool, Option<Secret>)>);

/// Shows the account.
///
/// # Errors
/// Where it is unknown.
pub(super) async fn run(cx: &Context, args: ShowArgs) -> Result<(), Failure> {
    let shown = cx
        .with_vault(async |vault| {
            let id = args.account.find(vault).await?.id;
            let account = match args.reveal {
                // The audit entry is durable before the secrets are handed out.
                Some(which) => vault.reveal(id, which.map_or("all", SecretField::name)).await?,
                None => vault.account(id).await?,
            };
            Ok(Shown::of(&account, args.reveal))
        })
        .await?;
    cx.printer.print(&shown)
}

impl Shown {
    fn of(account: &Account, reveal: Option<Option<SecretField>>) -> Self {
        let record = &account.record;
        let revealed = |field| reveal.is_some_and(|which| which.is_none_or(|which| which == field));
        let secrets = SecretField::ALL.map(|field| {
            let value = field.of(account);
            (field, value.is_some(), value.filter(|_| revealed(field)).map(Secret::duplicate))
        });
        let cooling_until = match record.standing.state {
            AccountState::Cooling { until_ms } => Some(rfc3339(until_ms)),
            _ => None,
        };
        Self {
            id: account.id.to_string(),
            site: record.site.clone(),
            username: record.fields.username.as_ref().map(clear),
            email: record.fields.email.as_ref().map(clear),
            link_profile: record.fields.link_profile.as_ref().map(clear),
            secrets: Secrets(secrets.into()),
            state: record.standing.state.word(),
            state_since: rfc3339(record.standing.since_ms),
            cooling_until,
            evidence: record.standing.evidence.clone(),
            manager_id: record.manager_id.clone(),
            manager_status: record.manager_status.clone(),
            owed: record.owed.iter().map(|field| field.name()).collect(),
            tags: record.tags.clone(),
            notes: record.notes.clone(),
            created_at: rfc3339(record.created_ms),
            updated_at: rfc3339(record.updated_ms),
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
        for (field, set, value) in &self.0 {
            // EXPOSE: only what --reveal named is here, and the audit has it.
            map.serialize_entry(field.name(), &One { set: *set, value: value.as_ref().map(Secret::expose) })?;
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
        for (field, set, value) in &self.secrets.0 {
            match value {
                // EXPOSE: only what --reveal named is here, and the audit has it.
                Some(value) => page.pair(field.name(), safe(value.expose())),
                None => page.pair(field.name(), if *set { MASK } else { "-" }),
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
