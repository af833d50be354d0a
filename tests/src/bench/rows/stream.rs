//! Row 12: a pass over all accounts in a process of its own, and the memory that it takes.

use std::{path::Path, time::Instant};

use serde::{Deserialize, Serialize};

use crate::bench::{Demand, Failure, Figure, data::DataSet};

/// What the process that streams found out about itself.
#[derive(Debug, Serialize, Deserialize)]
struct Streamed {
    accounts: u64,
    seconds: f64,
    /// Anonymous memory when the vault was open, before the pass.
    before_kib: u64,
    /// The most anonymous memory at the end of any page.
    most_kib: u64,
}

/// Opens the vault in `folder`, reads every account, and gives as JSON what memory that took.
///
/// # Errors
/// When the vault cannot be opened or read, or `/proc` not be asked.
pub async fn stream_in_this_process(folder: &Path) -> Result<String, Failure> {
    let vault = DataSet::in_folder(folder).open().await?;
    let before_kib = anonymous_kib()?;
    let started = Instant::now();
    let (mut accounts, mut most_kib, mut after) = (0, before_kib, None);
    loop {
        let page = vault.accounts(None, after, PAGE).await?;
        // While the page is in memory.
        most_kib = most_kib.max(anonymous_kib()?);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        accounts += page.len() as u64;
    }
    let seconds = started.elapsed().as_secs_f64();
    vault.close().await?;
    Ok(serde_json::to_string(&Streamed { accounts, seconds, before_kib, most_kib })?)
}

pub(in crate::bench) async fn all_accounts(set: &DataSet) -> Result<Vec<Figure>, Failure> {
    let program = std::env::current_exe()?;
    let ran = tokio::process::Command::new(program).arg("--stream").arg(set.folder()).env_clear().output().await?;
    let streamed: Streamed = match serde_json::from_slice(&ran.stdout) {
        Ok(streamed) if ran.status.success() => streamed,
        _ => return Err(format!("the process that streams ended with {}", ran.status).into()),
    };
    if streamed.accounts != set.accounts {
        return Err(format!("{} accounts were read, {} are there", streamed.accounts, set.accounts).into());
    }
    let mib = |kib: u64| kib as f64 / 1024.0;
    Ok(vec![Figure {
        row: "12",
        what: format!("anonymous memory while {} accounts stream by, MiB", set.accounts),
        yardstick: format!("{:.1} MiB before", mib(streamed.before_kib)),
        ours: format!(
            "{:.1} MiB at most, {:.0} accounts/s",
            mib(streamed.most_kib),
            streamed.accounts as f64 / streamed.seconds
        ),
        ratio: mib(streamed.most_kib),
        demand: Some(Demand::AtMost(32.0)),
    }])
}

/// `RssAnon` of proc(5): what is mapped from files is left out.
fn anonymous_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("/proc does not say RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Accounts in one page: the most that the vault gives.
const PAGE: u32 = 1000;
