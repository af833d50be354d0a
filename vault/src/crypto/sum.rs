//! Numbers modulo 2^256, which the digest of the whole vault adds up. Knows no key and no row.

/// A number modulo 2^256, stored as 32 bytes, little-endian.
///
/// Elements are added for rows that come and subtracted for rows that go, in any order: MSet-Add-Hash of Clarke, Devadas,
/// van Dijk, Gassend and Suh, "Incremental Multiset Hash Functions and Their Application to Memory Integrity Checking",
/// ASIACRYPT 2003.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sum([u8; 32]);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self([0; 32]);

    /// The number of these little-endian bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The number as little-endian bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `self + other` modulo 2^256.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a plain method reads clearer than an operator that wraps")]
    pub fn add(self, other: Self) -> Self {
        let mut carry = 0;
        self.zip(other, |a, b| {
            let sum = u16::from(a) + u16::from(b) + carry;
            carry = sum >> 8;
            sum.to_le_bytes()[0]
        })
    }

    /// `self - other` modulo 2^256.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a plain method reads clearer than an operator that wraps")]
    pub fn sub(self, other: Self) -> Self {
        // Two's complement: a - b = a + !b + 1.
        let mut carry = 1;
        self.zip(other, |a, b| {
            let sum = u16::from(a) + u16::from(!b) + carry;
            carry = sum >> 8;
            sum.to_le_bytes()[0]
        })
    }

    /// Combines the bytes in pairs, from the lowest on.
    fn zip(self, other: Self, mut combine: impl FnMut(u8, u8) -> u8) -> Self {
        let mut out = self;
        for (a, b) in out.0.iter_mut().zip(other.0) {
            *a = combine(*a, b);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Sum;

    fn number(low: u8) -> Sum {
        let mut bytes = [0; 32];
        bytes[0] = low;
        Sum::from_bytes(bytes)
    }

    #[test]
    fn carries_and_borrows_run_through_all_bytes() {
        let largest = Sum::from_bytes([0xff; 32]);
        assert_eq!(largest.add(number(1)), Sum::ZERO);
        assert_eq!(Sum::ZERO.sub(number(1)), largest);
        assert_eq!(number(200).add(number(100)).as_bytes()[..3], [44, 1, 0]);
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_what_was_added_can_be_taken_out(a: [u8; 32], b: [u8; 32], c: [u8; 32]) {
            let [a, b, c] = [a, b, c].map(Sum::from_bytes);
            prop_assert_eq!(a.add(b).add(c), c.add(a).add(b));
            prop_assert_eq!(a.add(b).sub(b), a);
            prop_assert_eq!(a.sub(b).add(b), a);
        }
    }
}
