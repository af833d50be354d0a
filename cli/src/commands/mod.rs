//! The verbs, one file each: argument types, then the command, then what it prints.

pub mod account;
pub mod anchor;
pub mod audit;
pub mod backup;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod init;
pub mod key;
pub mod lease;
pub mod outbox;
pub mod rescue;
pub mod session;
pub mod totp;
pub mod verify;
pub mod worker;

use clap::Subcommand;

use crate::{
    context::{Context, Globals},
    failure::Failure,
};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a vault
    Init(init::InitArgs),
    /// Look at the ways to unlock the vault, and change them
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Add, look at and change accounts
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Print the current one-time code of an account
    Totp(totp::TotpArgs),
    /// Look at sessions, make them fresh, and move them from and to other programs
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Look at who has which account, and take one away
    #[command(subcommand)]
    Lease(lease::LeaseCommand),
    /// Work on the manager's tasks
    #[command(subcommand)]
    Worker(worker::WorkerCommand),
    /// Look at what is owed to the manager, have it tried again, or drop it
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Look at who did what
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check every row, record and audit entry of the vault
    Verify(verify::VerifyArgs),
    /// Accept the vault as it is after its anchor was lost or an older copy was put back; pin the anchor
    #[command(subcommand)]
    Anchor(anchor::AnchorCommand),
    /// Write a checked backup, or go back to one
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Export what still verifies of a damaged vault
    Rescue(rescue::RescueArgs),
    /// Watch the main job on a vault, a manager and a site of its own
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Check files, process, clock, settings, sites and manager, and say how to mend what is wrong
    Doctor(doctor::DoctorArgs),
}

/// Does what was asked.
///
/// # Errors
/// What went wrong; whatever the command had printed by then is printed.
pub async fn run(globals: Globals, command: Command) -> Result<(), Failure> {
    // The one command for when settings are wrong.
    if let Command::Doctor(args) = command {
        return doctor::run(globals, args).await;
    }
    #[cfg(feature = "demo")]
    if let Command::Demo(args) = command {
        return demo::run(&globals, args).await;
    }
    let cx = &Context::new(globals)?;
    match command {
        Command::Init(args) => init::run(cx, args).await,
        Command::Key(command) => key::run(cx, command).await,
        Command::Account(command) => account::run(cx, command).await,
        Command::Totp(args) => totp::run(cx, args).await,
        Command::Session(command) => session::run(cx, command).await,
        Command::Lease(command) => lease::run(cx, command).await,
        Command::Worker(command) => worker::run(cx, command).await,
        Command::Outbox(command) => outbox::run(cx, command).await,
        Command::Audit(command) => audit::run(cx, command).await,
        Command::Verify(args) => verify::run(cx, args).await,
        Command::Anchor(command) => anchor::run(cx, command).await,
        Command::Backup(command) => backup::run(cx, command).await,
        Command::Rescue(args) => rescue::run(cx, args).await,
        // Both have run above, without settings.
        Command::Doctor(_) => Ok(()),
        #[cfg(feature = "demo")]
        Command::Demo(_) => Ok(()),
    }
}
