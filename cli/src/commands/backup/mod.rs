//! `latchkey backup`: a copy of the vault that is known to be good, and the way back to one.

mod create;
mod restore;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

/// What is done with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Write a backup while workers go on, and check it whole
    Create(create::CreateArgs),
    /// Put a backup in the vault's place, after a look at what that rolls back
    Restore(restore::RestoreArgs),
}

/// Does what was asked.
///
/// # Errors
/// See [`Failure`].
pub async fn run(cx: &Context, command: BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::Create(args) => create::run(cx, args).await,
        BackupCommand::Restore(args) => restore::run(cx, args).await,
    }
}
