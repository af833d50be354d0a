//! Writing age files; reading them and identity files, which somebody else may have written, within bounds. Knows no slot and no vault.

use std::io::{Read, Write};

use age::x25519;
use zeroize::Zeroizing;

use super::slots::SLOT_AGE_FILE_MAX_BYTES;

/// The work factor that a scrypt age file states in its second line (age specification, "scrypt recipient stanza");
/// `None` where it is no such file. Reads the very bytes that age reads, before age does any work for them.
pub(super) fn work_factor(file: &[u8]) -> Option<u8> {
    let mut lines = file.split(|byte| *byte == b'\n');
    if lines.next()? != b"age-encryption.org/v1" {
        return None;
    }
    let stanza = std::str::from_utf8(lines.next()?).ok()?.strip_prefix("-> scrypt ")?;
    let (_, digits) = stanza.split_once(' ')?;
    let decimal = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    // What does not fit a byte is beyond every ceiling.
    decimal.then(|| digits.parse().unwrap_or(u8::MAX))
}

/// An age file with this plaintext; `None` where the recipient refuses, as a plugin may. (`age::encrypt` panics there.)
pub(super) fn encrypt(to: &dyn age::Recipient, plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = age::Encryptor::with_recipients(std::iter::once(to)).ok()?.wrap_output(&mut file).ok()?;
    writer.write_all(plaintext).ok()?;
    writer.finish().ok()?;
    Some(file)
}

/// The plaintext of an age file of at most `max` bytes; `None` where it does not open or is longer.
pub(super) fn decrypt(identity: &dyn age::Identity, file: &[u8], max: usize) -> Option<Zeroizing<Vec<u8>>> {
    if file.len() > SLOT_AGE_FILE_MAX_BYTES {
        return None;
    }
    let mut reader = age::Decryptor::new_buffered(file).ok()?.decrypt(std::iter::once(identity)).ok()?;
    // One byte more than allowed tells a longer plaintext apart; a fixed buffer leaves no copies by growing.
    let mut buffer = Zeroizing::new(vec![0; max + 1]);
    let mut filled = 0;
    while filled <= max {
        match reader.read(&mut buffer[filled..]).ok()? {
            // Only here has age seen the file's authenticated end.
            0 => {
                buffer.truncate(filled);
                return Some(buffer);
            }
            read => filled += read,
        }
    }
    None
}

/// The identity of `recipient` in the text of an identity file.
pub(super) fn find_identity(text: &str, recipient: &str) -> Option<x25519::Identity> {
    identities(text).find(|identity| identity.to_public().to_string() == recipient)
}

/// The X25519 identities of an identity file's lines; comments and other lines are passed over, and so is a text that is
/// longer than an identity file may be.
pub(super) fn identities(text: &str) -> impl Iterator<Item = x25519::Identity> {
    let text = if text.len() > IDENTITY_MAX_BYTES { "" } else { text };
    text.lines().take(IDENTITY_LINES_MAX).filter_map(|line| line.trim().parse().ok())
}

/// Longest identity file, in bytes: a key, its public key, and comments.
pub(super) const IDENTITY_MAX_BYTES: usize = 16 * 1024;
/// Most lines of one that are looked at: each costs a scalar multiplication.
const IDENTITY_LINES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use age::{secrecy::ExposeSecret, x25519};

    use super::*;

    #[test]
    fn a_file_and_its_plaintext_are_opened_up_to_their_bounds_and_not_beyond() {
        let passphrase = || age::secrecy::SecretString::from("p");
        let mut recipient = age::scrypt::Recipient::new(passphrase());
        recipient.set_work_factor(1);
        let identity = age::scrypt::Identity::new(passphrase());
        let sealed = |bytes: usize| age::encrypt(&recipient, &vec![b'x'; bytes]).unwrap();
        let own = sealed(0).len();
        for (bytes, max, opens) in [
            (0, 0, true),
            (1, 0, false),
            (52, 52, true),
            (53, 52, false),
            (SLOT_AGE_FILE_MAX_BYTES - own, 1 << 20, true),
            (SLOT_AGE_FILE_MAX_BYTES - own + 1, 1 << 20, false),
        ] {
            let plain = decrypt(&identity, &sealed(bytes), max).map(|plain| plain.to_vec());
            assert_eq!(plain, opens.then(|| vec![b'x'; bytes]), "{bytes} {max}");
        }
    }

    #[test]
    fn identities_are_looked_for_in_the_first_lines_of_a_short_file() {
        let identity = x25519::Identity::generate();
        // EXPOSE: the test writes the file.
        let (line, recipient) = (identity.to_string().expose_secret().to_owned(), identity.to_public().to_string());
        let padded_to = |bytes: usize| format!("{line}\n#{}", "x".repeat(bytes - line.len() - 2));
        let on_line = |number: usize| format!("{}{line}", "#\n".repeat(number - 1));
        for (name, text, found) in [
            ("alone", line.clone(), true),
            ("of another", x25519::Identity::generate().to_string().expose_secret().to_owned(), false),
            ("16 KiB", padded_to(16 * 1024), true),
            ("a byte more", padded_to(16 * 1024 + 1), false),
            ("line 64", on_line(64), true),
            ("line 65", on_line(65), false),
        ] {
            assert_eq!(find_identity(&text, &recipient).is_some(), found, "{name}");
        }
    }
}
