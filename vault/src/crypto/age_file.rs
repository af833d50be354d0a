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
