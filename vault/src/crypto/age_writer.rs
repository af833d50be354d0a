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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_written_in_pieces_comes_back_whole_and_only_to_whom_it_is_sealed() {
        let (holder, other) = (x25519::Identity::generate(), x25519::Identity::generate());
        let to = SealTo::Recipient(holder.to_public().to_string().parse().unwrap());
        // More than the 64 KiB that age seals at once, in pieces of no round length.
        let plain: Vec<u8> = (0..150_000_u32).map(|n| n.to_be_bytes()[3]).collect();
        let mut writer = AgeWriter::new(&to, Vec::new()).unwrap();
        for piece in plain.chunks(777) {
            assert_eq!(writer.write(piece).unwrap(), piece.len());
        }
        let file = writer.finish().unwrap();
        assert_eq!(opened(&holder, &file), Some(plain));
        assert_eq!(opened(&other, &file), None);
    }

    #[test]
    fn a_file_without_its_end_does_not_open() {
        let holder = x25519::Identity::generate();
        let to = SealTo::Recipient(holder.to_public().into());
        let mut file = Vec::new();
        let mut writer = AgeWriter::new(&to, &mut file).unwrap();
        writer.write_all(&[7; 70_000]).unwrap();
        writer.flush().unwrap();
        drop(writer);
        assert_eq!(opened(&holder, &file), None);
    }

    #[test]
    fn flushing_reaches_what_lies_under_it() {
        struct Counts(u32);
        impl Write for Counts {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                self.0 += 1;
                Ok(())
            }
        }
        let to = SealTo::Recipient(x25519::Identity::generate().to_public().into());
        let mut writer = AgeWriter::new(&to, Counts(0)).unwrap();
        writer.flush().unwrap();
        assert_eq!(writer.finish().unwrap().0, 1);
    }

    fn opened(identity: &dyn age::Identity, file: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        let mut reader = age::Decryptor::new(file).ok()?.decrypt(std::iter::once(identity)).ok()?;
        reader.read_to_end(&mut plain).ok()?;
        Some(plain)
    }
}
