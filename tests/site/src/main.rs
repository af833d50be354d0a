//! The practice site by hand: starts it, says where it is, stops on Ctrl-C or SIGTERM.
//!
//! It does not know what the site does; the library does.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use latchkey_practice_site::{Behaviour, NewAccount, Site, SiteConfig};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

/// What `--seed` names: a JSON file with how the site behaves and who has an account.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Seed {
    behaviour: Behaviour,
    accounts: Vec<NewAccount>,
}

/// What the arguments ask for.
struct Start {
    config: SiteConfig,
    accounts: Vec<NewAccount>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            // Nothing is left to do when even this cannot be written.
            let _ = writeln!(io::stderr(), "latchkey-practice-site: {error}{source}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let Some(Start { config, accounts }) = configure(std::env::args().skip(1))? else {
        writeln!(io::stdout(), "{USAGE}")?;
        return Ok(());
    };
    // Listening for signals first: one that comes while the site starts must not be lost.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let site = Site::start(config).await?;
    for account in accounts {
        site.add_account(account)?;
    }
    writeln!(io::stdout(), "site    {}\ncontrol {}", site.origin(), site.control_token())?;
    io::stdout().flush()?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(site.shutdown().await?)
}

/// Reads the arguments; `None` where help was asked for.
fn configure(mut arguments: impl Iterator<Item = String>) -> Result<Option<Start>, Box<dyn Error>> {
    let mut config = SiteConfig::default();
    let mut accounts = Vec::new();
    while let Some(flag) = arguments.next() {
        if flag == "--help" {
            return Ok(None);
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => config.listen = value.parse()?,
            "--control-token-file" => config.control_token = Some(read(&value)?.trim().to_owned()),
            "--seed" => {
                let seed: Seed = serde_json::from_str(&read(&value)?)?;
                config.behaviour = seed.behaviour;
                accounts = seed.accounts;
            }
            _ => return Err(format!("there is no flag {flag}").into()),
        }
    }
    if config.control_token.as_deref() == Some("") {
        return Err("the control token's file is empty".into());
    }
    Ok(Some(Start { config, accounts }))
}

fn read(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// A seed of some ten thousand accounts.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

const USAGE: &str = "\
usage: latchkey-practice-site [--listen 127.0.0.1:0] [--seed FILE.json] [--control-token-file FILE]

  FILE.json  {\"behaviour\": {...}, \"accounts\": [{\"username\": \"ada\", \"password\": \"...\"}]}

Prints its address and the control token, and stops on Ctrl-C or SIGTERM.";
