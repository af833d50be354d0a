//! `latchkey key`: the ways to unlock the vault.

pub mod add;
pub mod making;
mod new_entry;
pub mod new_file;
pub mod remove;
pub mod rotate;
pub mod slots;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

/// What is done with key slots.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// The key slots there are
    Slots(slots::SlotsArgs),
    /// Add a way to unlock the vault; no record is touched, and running programs go on
    Add(Box<add::AddArgs>),
    /// Remove a way to unlock the vault: new keys, everything sealed again
    Remove(remove::RemoveArgs),
    /// Change the key that everything is sealed under
    Rotate(rotate::RotateArgs),
}

/// Does what was asked.
///
/// # Errors
/// Those of the command.
pub async fn run(cx: &Context, command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Slots(args) => slots::run(cx, args).await,
        KeyCommand::Add(args) => add::run(cx, *args).await,
        KeyCommand::Remove(args) => remove::run(cx, args).await,
        KeyCommand::Rotate(args) => rotate::run(cx, args).await,
    }
}
