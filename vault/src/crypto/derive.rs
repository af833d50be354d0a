//! HKDF-SHA256 and HMAC-SHA256, and every label that tells one use of a key from another. Knows no blob and no row.

use ring::{
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    hmac,
};
use zeroize::Zeroizing;

use crate::model::VaultId;

/// The labels of format 1. No label is a prefix of another, so that no two uses share an HKDF input.
pub(super) mod label {
    /// Salt of the extraction from a root key.
    pub(crate) const ROOT: &[u8] = b"latchkey/v1/root-key";
    /// Salt of the extraction from a data key.
    pub(crate) const DATA: &[u8] = b"latchkey/v1/data-key";
    /// Keys of one sealed blob.
    pub(crate) const SEAL: &[u8] = b"latchkey/v1/seal";
    /// Commitment to the root key.
    pub(crate) const COMMITMENT: &[u8] = b"latchkey/v1/commitment";
    /// MAC of the list of key slots.
    pub(crate) const SLOTS: &[u8] = b"latchkey/v1/slots";
    /// MAC of the anchor.
    pub(crate) const ANCHOR: &[u8] = b"latchkey/v1/anchor";
    /// MAC kept in a row.
    pub(crate) const ROW: &[u8] = b"latchkey/v1/row-mac";
    /// Element of the digest.
    pub(crate) const ELEMENT: &[u8] = b"latchkey/v1/element";
    /// Root of the digest.
    pub(crate) const DIGEST: &[u8] = b"latchkey/v1/digest-root";
    /// Link of an audit chain.
    pub(crate) const AUDIT: &[u8] = b"latchkey/v1/audit-link";
    /// Blind indexes.
    pub(crate) const BLIND: &[u8] = b"latchkey/v1/blind-index";

    /// Every label, for the test that none is a prefix of another.
    #[cfg(test)]
    pub(crate) const ALL: [&[u8]; 11] =
        [ROOT, DATA, SEAL, COMMITMENT, SLOTS, ANCHOR, ROW, ELEMENT, DIGEST, AUDIT, BLIND];
}

/// The pseudorandom key of a vault's root or data key: HKDF-Extract with the label and the vault id as salt.
pub(super) fn vault_prk(label: &[u8], vault: VaultId, key: &[u8; 32]) -> Prk {
    extract(&[label, vault.as_bytes()].concat(), key)
}

/// HKDF-Extract (RFC 5869 section 2.2).
pub(super) fn extract(salt: &[u8], key: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(key)
}

/// `N` bytes of HKDF-Expand (RFC 5869 section 2.3) over the concatenated parts of `info`.
pub(super) fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= EXPAND_MAX_BYTES) }
    let mut out = Zeroizing::new([0; N]);
    #[expect(clippy::expect_used, reason = "HKDF-Expand fails for lengths above 255 blocks only, excluded above")]
    expand_into(prk, info, out.as_mut_slice()).expect("the length is below 255 blocks");
    out
}

/// HKDF-Expand into a buffer of any length; fails above 255 blocks of 32 bytes.
pub(super) fn expand_into(prk: &Prk, info: &[&[u8]], out: &mut [u8]) -> Result<(), Unspecified> {
    prk.expand(info, Length(out.len()))?.fill(out)
}

/// The HMAC key of one use.
pub(super) fn mac_key(prk: &Prk, label: &[u8]) -> hmac::Key {
    hmac_key(expand::<32>(prk, &[label]).as_slice())
}

/// An HMAC-SHA256 key of these bytes.
pub(super) fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

/// HMAC-SHA256 (RFC 2104) over the concatenated parts, whose lengths the caller keeps unambiguous.
pub(super) fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// A length that was only known when the program ran, as ring wants it.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Most bytes of one HKDF-Expand (RFC 5869 section 2.3: 255 blocks).
const EXPAND_MAX_BYTES: usize = 255 * 32;

#[cfg(test)]
mod tests {
    use super::{EXPAND_MAX_BYTES, expand_into, extract, label};

    #[test]
    fn no_label_is_a_prefix_of_another() {
        for (i, a) in label::ALL.iter().enumerate() {
            for (j, b) in label::ALL.iter().enumerate() {
                assert_eq!(a.starts_with(b), i == j, "{i} {j}");
            }
        }
    }

    #[test]
    fn as_much_is_expanded_as_the_bound_says_and_no_more() {
        let prk = extract(b"salt", &[7; 32]);
        let mut out = [0; EXPAND_MAX_BYTES + 1];
        assert!(expand_into(&prk, &[b"info"], &mut out[1..]).is_ok());
        assert!(expand_into(&prk, &[b"info"], &mut out).is_err());
    }
}
