//! CBOR maps with integer keys (RFC 8949), written in one canonical form. Knows no type of its own.

use minicbor::{Decode, Encode};

/// The canonical encoding: keys ascending, shortest integers, definite lengths.
pub(super) fn to_bytes<T: Encode<()>>(value: &T) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "a Vec takes every byte, and the derived encoders add no error of their own"
    )]
    minicbor::to_vec(value).expect("writing to a Vec does not fail")
}

/// The value of these bytes; `None` unless they are exactly what [`to_bytes`] writes for it.
///
/// Comparing with the canonical form refuses trailing bytes, unknown and repeated keys, and longer spellings, so that
/// bytes and values stand one to one.
pub(super) fn from_bytes<'b, T: Encode<()> + Decode<'b, ()>>(bytes: &'b [u8]) -> Option<T> {
    let value = minicbor::decode::<T>(bytes).ok()?;
    (to_bytes(&value) == bytes).then_some(value)
}
