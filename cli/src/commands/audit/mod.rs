//! The audit commands: who did what, as entries are shown, filtered, checked and exported.

mod entry;
mod export;
mod filter;
mod list;
mod verify;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

/// What is done with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Entries, the newest first
    List(list::ListArgs),
    /// Check the chain of the entries, and that each of them opens
    Verify(verify::VerifyArgs),
    /// Write entries as JSON lines, with their places and hashes in the chain
    Export(export::ExportArgs),
}

/// Does what was asked.
///
/// # Errors
/// Where the audit cannot be read, or was tampered with.
pub async fn run(cx: &Context, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(args) => list::run(cx, args).await,
        AuditCommand::Verify(args) => verify::run(cx, args).await,
        AuditCommand::Export(args) => export::run(cx, args).await,
    }
}

/// Entries read at a time: some MiB.
const PAGE: u32 = 1000;
/// As much of an id as tells accounts apart on a screen; it is taken as an account's name on the command line.
pub(super) const SHORT_ID_CHARS: usize = 10;
