//! Making key slots, for `init` and `key add` alike: what flags ask for, the keys made for it, and what a person is told.
//!
//! Whatever is made beside the vault (a file, an entry) is gone again unless the vault took the slot.

use std::{
    io::{IsTerminal, stdout},
    path::{Path, PathBuf},
};

use clap::Args;
use latchkey_vault::{
    NewSlot, Secret,
    crypto::{ScryptCost, SlotKind, SlotRecipient, generate_identity},
};
use latchkey_worker::unlock::CredentialName;
use serde::Serialize;

use super::new_file::NewFile;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    printer::{Page, safe},
    prompt,
};

/// Ways to unlock that are to be made.
#[derive(Args, Debug, Default)]
#[group(skip)]
pub struct SlotArgs {
    /// Ask for a passphrase on the terminal, twice
    #[arg(long)]
    pub passphrase: bool,
    /// Let the holder of this age public key unlock: age1...
    #[arg(long, value_name = "RECIPIENT", value_parser = recipient)]
    pub identity_recipient: Option<SlotRecipient>,
    /// Make an identity for a systemd credential of this name; needs --credential-out
    #[arg(long, value_name = "NAME", requires = "credential_out", value_parser = credential_name)]
    pub credential: Option<CredentialName>,
    /// Where that identity is written, to be encrypted with systemd-creds
    #[arg(long, value_name = "FILE", requires = "credential")]
    pub credential_out: Option<PathBuf>,
    /// Make a recovery key and show it once, on the terminal
    #[arg(long)]
    pub recovery: bool,
    /// Make a recovery key and write it to this new file
    #[arg(long, value_name = "FILE", conflicts_with = "recovery")]
    pub recovery_out: Option<PathBuf>,
    /// Cost of the passphrase as log2 of scrypt's N, 15 to 20; measured on this machine where it is left out
    #[arg(long, value_name = "N", value_parser = scrypt_cost)]
    pub scrypt_log_n: Option<ScryptCost>,
}

/// Slots to be made, what was made for them beside the vault, and a recovery key that is still to be shown.
#[derive(Default)]
pub struct Making {
    /// For the vault.
    pub slots: Vec<NewSlot>,
    made: Vec<MadeSlot>,
    files: Vec<NewFile>,
    recovery: Option<Secret>,
    label: Option<String>,
}

/// Slots that the vault has taken.
#[derive(Serialize)]
pub struct Made {
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
    /// log2 of scrypt's N.
    scrypt_log_n: Option<u8>,
}

impl SlotArgs {
    /// How many slots the flags ask for.
    #[must_use]
    pub fn count(&self) -> usize {
        let asked = [
            self.passphrase,
            self.identity_recipient.is_some(),
            self.credential.is_some(),
            self.recovery || self.recovery_out.is_some(),
        ];
        asked.into_iter().filter(|one| *one).count()
    }
}

impl Making {
    /// Nothing yet; a label goes to the one slot that is made, in place of its usual one.
    #[must_use]
    pub fn labelled(label: Option<String>) -> Self {
        Self { label, ..Self::default() }
    }

    /// Makes what the flags ask for, but for the passphrase, which is the caller's to come by.
    ///
    /// # Errors
    /// Where a file is there already or cannot be written, or there is no terminal for what is to be shown.
    pub fn keys(&mut self, cx: &Context, args: &SlotArgs) -> Result<(), Failure> {
        if let Some(recipient) = &args.identity_recipient {
            self.slot(SlotKind::Identity, "identity", recipient.clone(), None);
        }
        if let (Some(name), Some(path)) = (&args.credential, &args.credential_out) {
            self.identity(SlotKind::SystemdCredential, name.as_str(), path)?;
        }
        if let Some(path) = &args.recovery_out {
            self.identity(SlotKind::Recovery, "recovery", path)?;
        } else if args.recovery {
            if !can_show(cx) {
                let hint = "write it to a file with --recovery-out FILE";
                return Err(Failure::usage("a recovery key is shown on a terminal only", hint));
            }
            self.recovery()?;
        }
        Ok(())
    }

    /// A slot that this passphrase unlocks.
    ///
    /// # Errors
    /// Where it is empty.
    pub fn passphrase(&mut self, cx: &Context, passphrase: Secret, cost: Option<ScryptCost>) -> Result<(), Failure> {
        check_strength(cx, &passphrase)?;
        let cost = cost.unwrap_or_else(|| ScryptCost::measured(UNLOCK_MS));
        let label = self.label("passphrase");
        let (kind, scrypt_log_n) = (SlotKind::Passphrase, Some(cost.log2_n()));
        self.made.push(MadeSlot { kind, label: label.clone(), public_key: None, file: None, scrypt_log_n });
        self.slots.push(NewSlot::Passphrase { label, passphrase, cost });
        Ok(())
    }

    /// A fresh identity in a new file.
    ///
    /// # Errors
    /// Where there is a file already, or it cannot be written.
    pub fn identity(&mut self, kind: SlotKind, label: &str, path: &Path) -> Result<(), Failure> {
        let (identity, public, recipient) = fresh()?;
        // EXPOSE: the identity goes into the file that is its only copy.
        self.files.push(NewFile::identity(path, &public, identity.expose())?);
        self.slot(kind, label, recipient, Some(path.to_owned()));
        Ok(())
    }

    /// A fresh identity that is shown once.
    ///
    /// # Errors
    /// Never, but for a library's fault.
    pub fn recovery(&mut self) -> Result<(), Failure> {
        let (identity, _, recipient) = fresh()?;
        self.slot(SlotKind::Recovery, "recovery", recipient, None);
        self.recovery = Some(identity);
        Ok(())
    }

    /// Whether nothing but a recovery slot is made yet, which is no way to unlock every day.
    #[must_use]
    pub fn only_recovery(&self) -> bool {
        self.made.iter().all(|slot| slot.kind == SlotKind::Recovery)
    }

    /// Keeps what was made for the slots: the vault has taken them.
    #[must_use]
    pub fn keep(self) -> Made {
        for file in self.files {
            file.keep();
        }
        Made { slots: self.made, recovery: self.recovery }
    }

    fn slot(&mut self, kind: SlotKind, label: &str, recipient: SlotRecipient, file: Option<PathBuf>) {
        let label = self.label(label);
        let public_key = Some(recipient.to_string());
        self.made.push(MadeSlot { kind, label: label.clone(), public_key, file, scrypt_log_n: None });
        self.slots.push(NewSlot::Identity { label, kind, recipient });
    }

    fn label(&mut self, usual: &str) -> String {
        self.label.take().unwrap_or_else(|| usual.to_owned())
    }
}

impl Made {
    /// What a person is told of them.
    pub fn show(&self, page: &mut Page) {
        for slot in &self.slots {
            let file = slot.file.as_ref().map_or_else(String::new, |path| format!(": {}", path.display()));
            let cost = slot.scrypt_log_n.map_or_else(String::new, |n| format!(", scrypt cost 2^{n}"));
            page.pair("unlocked by", format_args!("{}{cost}{file}", slot.kind.word()));
        }
        for slot in &self.slots {
            slot.advise(page);
        }
        if let Some(recovery) = &self.recovery {
            page.line("\nRecovery key, shown this once. Write it down and keep it off this machine:\n");
            // EXPOSE: the person asked for it, and this is the terminal.
            page.line(format_args!("  {}\n", recovery.expose()));
            page.line("It opens the vault from a file with that line: latchkey --identity FILE ...");
        }
    }
}

impl MadeSlot {
    fn advise(&self, page: &mut Page) {
        let Some(file) = &self.file else { return };
        let file = file.display();
        let name = safe(&self.label);
        match self.kind {
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
            _ => page.line(format_args!("\nTake {file} off this machine: it opens the vault when all else is lost.")),
        }
    }
}

/// A new passphrase from the person, asked for twice.
///
/// # Errors
/// Where the two differ, or the terminal cannot be read.
pub fn ask_passphrase(question: &str) -> Result<Secret, Failure> {
    let first = prompt::secret(question)?;
    if first.same(&prompt::secret("The same again")?) {
        return Ok(first);
    }
    Err(Failure::usage("the two passphrases differ", "try again; nothing was made"))
}

/// Whether a key may be shown: to a terminal, and not within JSON.
#[must_use]
pub fn can_show(cx: &Context) -> bool {
    stdout().is_terminal() && !cx.printer.is_json()
}

fn check_strength(cx: &Context, passphrase: &Secret) -> Result<(), Failure> {
    if passphrase.is_empty() {
        return Err(Failure::usage("the passphrase is empty", "give one of several words; nothing was made"));
    }
    // EXPOSE: its length is judged.
    if passphrase.expose().chars().count() < WEAK_BELOW_CHARS {
        cx.printer.warn(format_args!("the passphrase is weak: give {WEAK_BELOW_CHARS} characters or more"));
    }
    Ok(())
}

fn fresh() -> Result<(Secret, String, SlotRecipient), Failure> {
    let (identity, public) = generate_identity();
    let recipient = public.parse();
    let recipient =
        recipient.map_err(|_| Failure::new(Exit::Failure, "key", "a fresh key is not usable", "try again"))?;
    Ok((identity, public, recipient))
}

fn as_word<S: serde::Serializer>(kind: &SlotKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.word())
}

fn recipient(text: &str) -> Result<SlotRecipient, &'static str> {
    text.parse().map_err(|_| "an X25519 public key of age is expected: age1 and 58 letters and digits")
}

fn credential_name(text: &str) -> Result<CredentialName, &'static str> {
    CredentialName::try_from(text.to_owned())
}

fn scrypt_cost(text: &str) -> Result<ScryptCost, &'static str> {
    text.parse().ok().and_then(ScryptCost::new).ok_or("a number from 15 to 20 is expected")
}

/// What unlocking by passphrase may take on this machine: long for who guesses, short for who knows.
pub(crate) const UNLOCK_MS: u64 = 500;
/// NIST SP 800-63B section 5.1.1.1 asks for 8 characters at least.
const WEAK_BELOW_CHARS: usize = 8;
