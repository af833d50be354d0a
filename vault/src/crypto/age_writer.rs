//! A stream sealed as an age file, for what leaves the vault on purpose. Knows no record and no file.

use std::io::{self, Write};

use age::{secrecy::SecretString, x25519};
use thiserror::Error;

use super::SlotRecipient;
use crate::model::Secret;

/// Who is to open it.
pub enum SealTo {
    /// The holder of the identity behind an X25519 recipient.
    Recipient(SlotRecipient),
    /// Whoever knows the passphrase; age chooses a work factor of about a second.
    Passphrase(Secret),
}

/// It cannot be sealed to this.
#[derive(Debug, Error)]
#[error("age cannot seal to this recipient")]
pub struct NoRecipient;

/// What is written goes on sealed. It is an age file only once [`AgeWriter::finish`] has returned.
///
/// age keeps up to 64 KiB of the plaintext in a buffer that it does not wipe.
pub struct AgeWriter<W: Write>(age::stream::StreamWriter<W>);

impl<W: Write> AgeWriter<W> {
    /// Begins an age file on `out`.
    ///
    /// # Errors
    /// Those of `out`; [`NoRecipient`] within [`io::Error`], which no recipient of this type causes.
    pub fn new(to: &SealTo, out: W) -> io::Result<Self> {
        let encryptor = match to {
            SealTo::Recipient(recipient) => {
                let no_recipient = || io::Error::other(NoRecipient);
                let recipient: x25519::Recipient = recipient.to_string().parse().map_err(|_| no_recipient())?;
                let recipients = std::iter::once(&recipient as &dyn age::Recipient);
                age::Encryptor::with_recipients(recipients).map_err(|_| no_recipient())?
            }
            SealTo::Passphrase(passphrase) => {
                // EXPOSE: age takes a passphrase in its own wiping type.
                age::Encryptor::with_user_passphrase(SecretString::from(passphrase.expose().to_owned()))
            }
        };
        encryptor.wrap_output(out).map(Self)
    }

    /// Writes the end, without which the file does not open.
    ///
    /// # Errors
    /// Those of what lies under it.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for AgeWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
