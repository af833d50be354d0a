//! Unguessable tokens, and comparing secrets without saying how far they agreed.
//!
//! It does not know what a token stands for.

use data_encoding::HEXLOWER;
use ring::{digest, hmac, rand};
use subtle::ConstantTimeEq;

/// Mints tokens by a keyed function of a counter, so that minting cannot fail once it was seeded.
pub(crate) struct TokenMint {
    key: hmac::Key,
    minted: u64,
}

impl TokenMint {
    /// Draws the key from the operating system; this is the one step that can fail.
    pub(crate) fn generate() -> Result<Self, ring::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())?;
        Ok(Self { key, minted: 0 })
    }

    /// The next token: 64 hexadecimal digits, never the same twice.
    pub(crate) fn mint(&mut self) -> String {
        self.minted += 1;
        HEXLOWER.encode(hmac::sign(&self.key, &self.minted.to_be_bytes()).as_ref())
    }
}

/// Whether two secrets are equal, in a time that tells nothing about where they differ.
///
/// Digests are compared, so that lengths do not show either.
pub(crate) fn same_secret(one: &str, other: &str) -> bool {
    let digest_of = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
    digest_of(one).as_ref().ct_eq(digest_of(other).as_ref()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn tokens_never_repeat_and_two_mints_share_none() {
        let (mut one, mut other) = (TokenMint::generate().unwrap(), TokenMint::generate().unwrap());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(one.mint()) && seen.insert(other.mint()));
        }
    }

    #[test]
    fn secrets_are_the_same_only_when_every_byte_is() {
        assert!(same_secret("hunter2", "hunter2"));
        for other in ["hunter3", "hunter2 ", "Hunter2", ""] {
            assert!(!same_secret("hunter2", other));
        }
    }
}
