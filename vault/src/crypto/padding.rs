//! Padding to size classes, so that a sealed blob's length says little of what is in it. Knows no cryptography.
//!
//! A padded plaintext is: length (4 bytes, big-endian) ‖ data ‖ zeros up to the size class. Below 16 KiB the classes are
//! the multiples of 1 KiB: a password of 8 or 40 characters, or a record with or without a TOTP secret, lies in the same
//! one. Above, they are Padmé's (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with
//! PURBs", PETS 2019), which leak O(log log n) bits of a length n and add less than 12 %; from 16 KiB on
//! less than 6.3 %.

/// The size class of a plaintext of `data_bytes`: what it takes once its length and its padding are added.
///
/// `data_bytes` is at most `RECORD_MAX_BYTES`, which the callers check.
pub(super) const fn padded_bytes(data_bytes: usize) -> usize {
    let framed = LENGTH_BYTES + data_bytes;
    if framed <= STEPS_UP_TO_BYTES {
        return framed.next_multiple_of(STEP_BYTES);
    }
    // Padmé: of a length with exponent e, all but the highest ⌊log2 e⌋ + 2 bits are rounded up to zero.
    let exponent = framed.ilog2();
    let zero_bits = exponent - (exponent.ilog2() + 1);
    framed.next_multiple_of(1 << zero_bits)
}

/// Appends length, data and zeros to `out`; `None`, with nothing appended, where the length does not fit its field.
pub(super) fn pad_into(out: &mut Vec<u8>, data: &[u8]) -> Option<()> {
    let length = u32::try_from(data.len()).ok()?;
    let end = out.len() + padded_bytes(data.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(data);
    out.resize(end, 0);
    Some(())
}

/// Strips length and padding in place; `None`, and the buffer untouched, where they are not what [`pad_into`] writes.
pub(super) fn unpad(buffer: &mut Vec<u8>) -> Option<()> {
    let (length, rest) = buffer.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (_, zeros) = rest.split_at_checked(length)?;
    // Or-ed together, since a search for the first that is not zero goes byte by byte.
    let exact = padded_bytes(length) == buffer.len() && zeros.iter().fold(0, |any, byte| any | byte) == 0;
    exact.then(|| {
        buffer.copy_within(LENGTH_BYTES..LENGTH_BYTES + length, 0);
        buffer.truncate(length);
    })
}

/// Length of the length, in bytes.
const LENGTH_BYTES: usize = 4;
/// The smallest size class and the step of those up to [`STEPS_UP_TO_BYTES`]: an account with every field filled as
/// people fill them stays below it.
const STEP_BYTES: usize = 1024;
/// Up to here the classes are multiples of [`STEP_BYTES`], above they grow with the length.
const STEPS_UP_TO_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::{collection, prelude::*, sample::Index};

    use super::{pad_into, padded_bytes, unpad};

    #[test]
    fn classes_are_steps_of_a_kibibyte_and_then_grow_with_the_length() {
        for (data, class) in [
            (0, 1024),
            (8, 1024),
            (40, 1024),
            (1020, 1024),
            (1021, 2048),
            (16 * 1024 - 4, 16 * 1024),
            (16 * 1024 - 3, 17 * 1024),
            (64 * 1024 - 4, 64 * 1024),
            (64 * 1024 - 3, 66 * 1024),
            (32 * 1024 * 1024, 33 * 1024 * 1024),
        ] {
            assert_eq!(padded_bytes(data), class, "{data}");
        }
    }

    #[test]
    fn above_the_first_class_padding_costs_less_than_an_eighth_or_a_step() {
        for data in (0..4_000_000).step_by(911) {
            let (framed, class) = (data + 4, padded_bytes(data));
            assert!(class >= framed && class - framed < (framed / 8).max(1024), "{data} {class}");
        }
    }

    #[test]
    fn data_survives_padding_and_every_other_padding_is_refused() {
        let mut padded = Vec::new();
        pad_into(&mut padded, b"data").unwrap();
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut other = padded.clone();
            change(&mut other);
            assert_eq!(unpad(&mut other), None);
        };
        refused(&|p| p[8] = 1);
        refused(&|p| p[1023] = 1);
        refused(&|p| p[0] = 0xff);
        refused(&|p| p[3] = 3);
        refused(&|p| p.truncate(1023));
        refused(&|p| p.extend([0; 1024]));
        refused(&Vec::clear);
        unpad(&mut padded).unwrap();
        assert_eq!(padded, b"data");
    }

    proptest! {
        #[test]
        fn bytes_that_unpad_are_what_padding_their_data_gives(
            data in collection::vec(any::<u8>(), 0..3000),
            flip in any::<Index>(),
            bits: u8,
            cut in any::<Index>(),
        ) {
            let mut padded = Vec::new();
            pad_into(&mut padded, &data).unwrap();
            for changed in [flipped(&padded, flip.index(padded.len()), bits), padded[..cut.index(padded.len())].to_vec()] {
                let mut stripped = changed.clone();
                if unpad(&mut stripped).is_some() {
                    let mut again = Vec::new();
                    pad_into(&mut again, &stripped).unwrap();
                    prop_assert_eq!(again, changed);
                }
            }
            unpad(&mut padded).unwrap();
            prop_assert_eq!(padded, data);
        }
    }

    fn flipped(bytes: &[u8], at: usize, bits: u8) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        changed[at] ^= bits;
        changed
    }
}
