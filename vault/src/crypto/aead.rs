//! AES-GCM in place, with the nonce as an argument. Knows no format; the one rule of GCM is its caller's to keep.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
};

/// Length of the tag, in bytes: the full 128 bits (NIST SP 800-38D section 5.2.1.2).
pub(super) const TAG_BYTES: usize = 16;

/// Encrypts `text` in place and returns its tag.
///
/// Fails for a key that is not 32 bytes long, and for texts beyond GCM's bound of 64 GiB.
pub(super) fn seal_in_place(
    key: &[u8],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_BYTES], Unspecified> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)?;
    tag.as_ref().try_into().map_err(|_| Unspecified)
}

/// Decrypts ciphertext ‖ tag in place and returns the length of the plaintext, which starts the buffer.
///
/// After a failure nothing of the buffer may be used.
pub(super) fn open_in_place(
    key: &[u8],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    sealed: &mut [u8],
) -> Result<usize, Unspecified> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    let plaintext = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), sealed)?;
    Ok(plaintext.len())
}
