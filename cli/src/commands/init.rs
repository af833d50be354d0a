//! `latchkey init`: a new vault with its key slots. An existing vault, and an existing file of a key, are left as they are.

mod new_file;

use std::{
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
};

use clap::Args;
use latchkey_vault::{
    NewSlot, Secret, Vault,
    crypto::{ScryptCost, SlotKind, SlotRecipient, generate_identity},
    store::FileError,
};
use latchkey_worker::unlock::CredentialName;
use serde::Serialize;

use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, Show},
    prompt,
};
use new_file::NewFile;

/// Arguments of `init`.
#[derive(Args, Debug)]
#[command(after_help = "\
At least one way to unlock is needed; several may be given at once.

Examples:
  latchkey init                                   asks for a passphrase, offers a recovery key
  latchkey init --identity ~/.config/latchkey/identity.txt
  latchkey init --credential latchkey --credential-out ./latchkey.cred --recovery-out ./recovery.txt
  pass show vault | latchkey init --passphrase-stdin")]
pub struct InitArgs {
    /// Ask for a passphrase on the terminal, twice
    #[arg(long)]
    passphrase: bool,
    /// Make an identity for a systemd credential of this name; needs --credential-out
    #[arg(long, value_name = "NAME", requires = "credential_out", value_parser = credential_name)]
    credential: Option<CredentialName>,
    /// Where that identity is written, to be encrypted with systemd-creds
    #[arg(long, value_name = "FILE", requires = "credential")]
    credential_out: Option<PathBuf>,
    /// Make a recovery key and show it once, on the terminal
    #[arg(long)]
    recovery: bool,
    /// Make a recovery key and write it to this new file
    #[arg(long, value_name = "FILE")]
    recovery_out: Option<PathBuf>,
    /// Make no recovery key and do not ask
    #[arg(long, conflicts_with_all = ["recovery", "recovery_out"])]
    no_recovery: bool,
    /// Cost of the passphrase as log2 of scrypt's N, 15 to 20; measured on this machine where it is left out
    #[arg(long, value_name = "N", value_parser = scrypt_cost)]
    scrypt_log_n: Option<ScryptCost>,
}

/// Slots to be made, the files that were made for them, and a recovery key that is still to be shown.
#[derive(Default)]
struct Making {
    slots: Vec<NewSlot>,
    made: Vec<MadeSlot>,
    files: Vec<NewFile>,
    recovery: Option<Secret>,
}

#[derive(Serialize)]
struct Made {
    vault: PathBuf,
    vault_id: String,
    anchors: PathBuf,
    slots: Vec<MadeSlot>,
    /// The recovery key's text; only ever to a terminal.
    #[serde(skip)]
    recovery: Option<Secret>,
}

#[derive(Serialize)]
struct MadeSlot {
    #[serde(serialize_with = "as_word")]
    kind: SlotKind,
    label: String,
    public_key: Option<String>,
    file: Option<PathBuf>,
}

/// Makes a vault.
///
/// # Errors
/// Where there is one already, no way to unlock was given, or something cannot be written; nothing is left behind.
pub async fn run(cx: &Context, args: InitArgs) -> Result<(), Failure> {
    let paths = &cx.settings.vault;
    // Before a person is asked for anything, and before a key is written that would open nothing.
    if paths.file.symlink_metadata().is_ok() {
        return Err(Failure::from(FileError::Exists).about_vault(&paths.file));
    }
    let making = prepare(cx, &args).await?;
    let vault = Vault::init(paths, cx.opener(), making.slots).await;
    let vault = vault.map_err(|error| Failure::from(error).about_vault(&paths.file))?;
    for file in making.files {
        file.keep();
    }
    let made = Made {
        vault: paths.file.clone(),
        vault_id: vault.id().to_string(),
        anchors: paths.anchors.clone(),
        slots: making.made,
        recovery: making.recovery,
    };
    vault.close().await?;
    cx.printer.print(&made)
}

async fn prepare(cx: &Context, args: &InitArgs) -> Result<Making, Failure> {
    let mut making = Making::default();
    // The flag or variable alone: [unlock] of the settings says what unlocks, not what is to be made.
    if let Some(path) = &cx.globals.settings.identity {
        making.identity(SlotKind::Identity, "identity file", path)?;
    }
    if let (Some(name), Some(path)) = (&args.credential, &args.credential_out) {
        making.identity(SlotKind::SystemdCredential, name.as_str(), path)?;
    }
    if let Some(passphrase) = passphrase(cx, args, making.slots.is_empty())? {
        making.passphrase(passphrase, args.scrypt_log_n);
    }
    if making.slots.is_empty() {
        let message = "nothing was given that shall unlock the vault, and there is no terminal to ask on";
        let hint =
            "give --identity FILE, --passphrase-stdin, --passphrase-fd N, or --credential NAME --credential-out FILE";
        return Err(Failure::usage(message, hint));
    }
    if let Some(path) = &args.recovery_out {
        making.identity(SlotKind::Recovery, "recovery", path)?;
    } else if wants_recovery(cx, args).await? {
        making.recovery();
    }
    Ok(making)
}

/// The passphrase of flags or terminal; none where another way to unlock was chosen.
fn passphrase(cx: &Context, args: &InitArgs, nothing_else: bool) -> Result<Option<Secret>, Failure> {
    let given = match cx.given_passphrase()? {
        Some(given) => given,
        None if args.passphrase || (nothing_else && prompt::is_possible()) => {
            let first = prompt::secret("Passphrase for the vault")?;
            if !first.same(&prompt::secret("The same again")?) {
                return Err(Failure::usage("the two passphrases differ", "try again; nothing was made"));
            }
            first
        }
        None => return Ok(None),
    };
    if given.is_empty() {
        return Err(Failure::usage("the passphrase is empty", "give one of several words; nothing was made"));
    }
    // EXPOSE: its length is judged.
    if given.expose().chars().count() < WEAK_BELOW_CHARS {
        cx.printer.warn(format_args!("the passphrase is weak: give {WEAK_BELOW_CHARS} characters or more"));
    }
    Ok(Some(given))
}

async fn wants_recovery(cx: &Context, args: &InitArgs) -> Result<bool, Failure> {
    let can_show = stdout().is_terminal() && !cx.printer.is_json();
    if args.recovery {
        let hint = "write it to a file with --recovery-out FILE";
        return can_show
            .then_some(true)
            .ok_or_else(|| Failure::usage("a recovery key is shown on a terminal only", hint));
    }
    if args.no_recovery || !can_show || !prompt::is_possible() {
        return Ok(false);
    }
    prompt::confirm("Make a recovery key, to be kept on paper?").await
}

impl Making {
    fn passphrase(&mut self, passphrase: Secret, cost: Option<ScryptCost>) {
        let cost = cost.unwrap_or_else(|| ScryptCost::measured(UNLOCK_MS));
        let label = "passphrase".to_owned();
        self.made.push(MadeSlot { kind: SlotKind::Passphrase, label: label.clone(), public_key: None, file: None });
        self.slots.push(NewSlot::Passphrase { label, passphrase, cost });
    }

    /// A fresh identity in a new file.
    fn identity(&mut self, kind: SlotKind, label: &str, path: &Path) -> Result<(), Failure> {
        let (identity, public) = generate_identity();
        // EXPOSE: the identity goes into the file that is its only copy.
        self.files.push(NewFile::identity(path, &public, identity.expose())?);
        self.slot(kind, label, public, Some(path.to_owned()))
    }

    /// A fresh identity that is shown once.
    fn recovery(&mut self) {
        let (identity, public) = generate_identity();
        if self.slot(SlotKind::Recovery, "recovery", public, None).is_ok() {
            self.recovery = Some(identity);
        }
    }

    fn slot(&mut self, kind: SlotKind, label: &str, public: String, file: Option<PathBuf>) -> Result<(), Failure> {
        let recipient: SlotRecipient = public
            .parse()
            .map_err(|_| Failure::new(Exit::Failure, "init", "a fresh key is not usable", "try again"))?;
        let label = label.to_owned();
        self.made.push(MadeSlot { kind, label: label.clone(), public_key: Some(public), file });
        self.slots.push(NewSlot::Identity { label, kind, recipient });
        Ok(())
    }
}

impl Show for Made {
    fn show(&self, page: &mut Page) {
        page.line(format_args!("The vault is made: {}", self.vault.display()));
        page.pair("id", &self.vault_id);
        page.pair("anchors", self.anchors.display());
        for slot in &self.slots {
            let file = slot.file.as_ref().map_or_else(String::new, |path| format!(": {}", path.display()));
            page.pair("unlocked by", format_args!("{}{file}", word(slot.kind)));
        }
        for slot in &self.slots {
            let Some(file) = &slot.file else { continue };
            let file = file.display();
            let name = &slot.label;
            match slot.kind {
                SlotKind::SystemdCredential => {
                    page.line("\nSeal the credential to this machine, then remove the file:");
                    page.line(format_args!(
                        "  systemd-creds encrypt --name={name} {file} /etc/credstore.encrypted/{name} && shred -u {file}"
                    ));
                    page.line("In the unit, and in the settings:");
                    page.line(format_args!(
                        "  [Service]\n  LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name}\n  [unlock]\n  credential = \"{name}\""
                    ));
                }
                SlotKind::Identity => {
                    page.line(format_args!("\nWhoever has {file} opens the vault: keep it private, and a copy of it."));
                }
                _ => {
                    page.line(format_args!("\nTake {file} off this machine: it opens the vault when all else is lost."))
                }
            }
        }
        if let Some(recovery) = &self.recovery {
            page.line("\nRecovery key, shown this once. Write it down and keep it off this machine:\n");
            // EXPOSE: the person asked for it, and this is the terminal.
            page.line(format_args!("  {}\n", recovery.expose()));
            page.line("It opens the vault from a file with that line: latchkey --identity FILE ...");
        }
    }
}

/// A slot kind's word.
pub(crate) const fn word(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Passphrase => "passphrase",
        SlotKind::Identity => "identity",
        SlotKind::SystemdCredential => "systemd_credential",
        SlotKind::Recovery => "recovery",
    }
}

fn as_word<S: serde::Serializer>(kind: &SlotKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(word(*kind))
}

fn credential_name(text: &str) -> Result<CredentialName, &'static str> {
    CredentialName::try_from(text.to_owned())
}

fn scrypt_cost(text: &str) -> Result<ScryptCost, &'static str> {
    text.parse().ok().and_then(ScryptCost::new).ok_or("a number from 15 to 20 is expected")
}

/// What unlocking by passphrase may take on this machine: long for who guesses, short for who knows.
const UNLOCK_MS: u64 = 500;
/// NIST SP 800-63B section 5.1.1.1 asks for 8 characters at least.
const WEAK_BELOW_CHARS: usize = 8;
