//! The flags that every program has, and the environment variables that stand for them. Knows no settings file.

use std::path::PathBuf;

use clap::Args;

use crate::keyring::Keyring;

/// Flags over environment; what is absent is the settings file's to say.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// Settings file, TOML [default: ~/.config/latchkey/config.toml]
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_CONFIG",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE"
    )]
    pub config: Option<PathBuf>,
    /// Vault file [default: ~/.local/share/latchkey/vault.db]
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_VAULT",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE"
    )]
    pub vault: Option<PathBuf>,
    /// Folder of anchors, apart from the vault's [default: ~/.local/state/latchkey/anchors]
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_ANCHORS",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FOLDER"
    )]
    pub anchors: Option<PathBuf>,
    /// Sites file: which sites are authorised [default: ~/.config/latchkey/sites.toml]
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_SITES",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE"
    )]
    pub sites: Option<PathBuf>,
    /// Unlock with the age identity in this file
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_IDENTITY",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE"
    )]
    pub identity: Option<PathBuf>,
    /// Unlock with the key that the system's keyring holds for this vault
    #[arg(long, global = true, env = "LATCHKEY_UNLOCK_BY_KEYRING", hide_env_values = true, hide_short_help = true)]
    pub unlock_by_keyring: bool,
    /// Which keyring of the system: secret-service or keyutils [default: secret-service]
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_KEYRING",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "KEYRING"
    )]
    pub keyring_store: Option<Keyring>,
    /// Base URL of the manager, before /api/v1
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_MANAGER_URL",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "URL"
    )]
    pub manager_url: Option<String>,
    /// File that holds the manager's API key and nothing else
    #[arg(
        long,
        global = true,
        env = "LATCHKEY_MANAGER_KEY_FILE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "FILE"
    )]
    pub manager_key_file: Option<PathBuf>,
}
