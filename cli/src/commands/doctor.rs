//! `latchkey doctor`: everything that a vault's safety rests on beside the vault, looked at without unlocking it.
//!
//! Each check says what was seen and, where that is not well, how to mend it. Nothing is changed.

mod files;
mod system;

use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use clap::Args;
use latchkey_vault::{
    account_api::{AccountApi, ReadError},
    crypto::FORMAT_VERSION,
    manager_http::CallError,
    store::sqlite::SCHEMA_VERSION,
};
use latchkey_worker::settings::Settings;
use serde::Serialize;

use crate::{
    context::{Context, Globals},
    exit::Exit,
    failure::Failure,
    printer::{Page, Printer, Show, safe},
};

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = "\
Ends with 1 when a check fails. The vault is not unlocked.

Examples:
  latchkey doctor
  latchkey doctor --json | jq '.checks[] | select(.status != \"ok\")'")]
pub struct DoctorArgs {
    /// Do not ask the manager
    #[arg(long)]
    offline: bool,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    /// How to mend it; empty where there is nothing to mend.
    mend: String,
}

#[derive(Serialize)]
struct Diagnosis {
    version: &'static str,
    format: u8,
    schema: u32,
    checks: Vec<Check>,
}

/// Checks everything.
///
/// # Errors
/// Where a check fails; all of them are printed first.
pub async fn run(globals: Globals, args: DoctorArgs) -> Result<(), Failure> {
    let printer = Printer::new(globals.json);
    let mut checks = Vec::new();
    match Context::new(globals) {
        Ok(cx) => {
            let settings = &cx.settings;
            let file = settings.file.as_ref();
            let from = file.map_or_else(|| "no file: defaults".to_owned(), |path| path.display().to_string());
            checks.push(Check::ok("settings", from));
            checks.extend(system::checks(cx.now_ms(), settings));
            checks.extend(files::checks(settings, cx.now_ms()));
            checks.push(sites(settings));
            checks.push(manager(settings, args.offline).await);
        }
        Err(failure) => {
            checks.push(Check::fail("settings", failure.message, failure.hint));
            checks.extend(system::process());
        }
    }
    let failed = checks.iter().filter(|check| check.status == Status::Fail).count();
    let version = env!("CARGO_PKG_VERSION");
    let (format, schema) = (FORMAT_VERSION, SCHEMA_VERSION);
    printer.print(&Diagnosis { version, format, schema, checks })?;
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failure,
        "unwell",
        format!("{failed} check(s) failed"),
        "mend what is listed, then run it again",
    ))
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, detail: detail.into(), mend: String::new() }
    }

    fn warn(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, detail: detail.into(), mend: mend.into() }
    }

    fn fail(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, status: Status::Fail, detail: detail.into(), mend: mend.into() }
    }

    /// A failure that a command would end with.
    fn failed(name: &'static str, failure: impl Into<Failure>) -> Self {
        let failure = failure.into();
        Self::fail(name, failure.message, failure.hint)
    }
}

fn sites(settings: &Settings) -> Check {
    match settings.read_sites() {
        Ok(sites) if sites.is_empty() => {
            Check::warn("sites", "no site is authorised", "list the sites in the sites file")
        }
        Ok(sites) => Check::ok("sites", format!("{} authorised, {}", sites.len(), settings.sites.display())),
        Err(error) => Check::failed("sites", error),
    }
}

async fn manager(settings: &Settings, offline: bool) -> Check {
    let Some(manager) = &settings.manager else {
        return Check::warn("manager", "none is set: no tasks, no reports", Failure::no_manager().hint);
    };
    if offline {
        return Check::ok("manager", format!("{}, not asked", manager.base_url));
    }
    let client = match manager.connect().await {
        Ok(client) => client,
        Err(error) => return Check::failed("manager", error),
    };
    // An account that there is not: the answer tells that the key is taken, and brings no credential along.
    match AccountApi::new(Arc::clone(&client)).read(NO_ACCOUNT).await {
        Ok(_)
        | Err(ReadError::Call(CallError::NotFound { .. }) | ReadError::NotAnAccount | ReadError::OtherAccount) => {
            Check::ok("manager", format!("{} takes the key", manager.base_url))
        }
        Err(error) => Check::failed("manager", error),
    }
}

impl Show for Diagnosis {
    fn show(&self, page: &mut Page) {
        let bold = Style::new().bold();
        page.line(format_args!("latchkey {}, format {}, schema {}", self.version, self.format, self.schema));
        for check in &self.checks {
            let (word, style) = match check.status {
                Status::Ok => ("ok", AnsiColor::Green.on_default()),
                Status::Warn => ("warn", AnsiColor::Yellow.on_default().bold()),
                Status::Fail => ("fail", AnsiColor::Red.on_default().bold()),
            };
            let (name, detail) = (check.name, safe(&check.detail));
            page.line(format_args!("{style}{word:<5}{style:#}{bold}{name:<14}{bold:#} {detail}"));
            if !check.mend.is_empty() {
                page.line(format_args!("{:<5}{:<14} mend: {}", "", "", safe(&check.mend)));
            }
        }
    }
}

const NO_ACCOUNT: &str = "latchkey-doctor";
