//! The digest of the whole: 4096 additive sums in 64 groups, so that one row changes one sum and any edit is found.
//!
//! Pure arithmetic on sums and hashes. Knows no key (elements come from a [`Binder`](super::Binder)) and no SQL.

use ring::digest::{SHA256, digest};

use crate::crypto::Sum;

/// Sums in all: a million accounts leave some 250 to a bucket, which verifies in about a millisecond.
pub const BUCKETS: usize = 4096;
/// Groups of sums: with as many groups as sums in a group, a commit hashes two blocks of 2 KiB.
pub const GROUPS: usize = 64;
/// Sums in a group.
pub(super) const GROUP_SUMS: usize = BUCKETS / GROUPS;

/// The bucket that a row's id falls into: its top 12 bits. All rows of one account share its id, so its bucket.
#[must_use]
pub fn bucket_of(id: &[u8; 16]) -> u16 {
    u16::from_be_bytes([id[0], id[1]]) >> 4
}

/// The ids that fall into a bucket: from the first up to, not including, the second (none after the last bucket).
#[must_use]
pub fn bucket_range(bucket: u16) -> ([u8; 16], Option<[u8; 16]>) {
    let first = |bucket: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&(bucket << 4).to_be_bytes());
        id
    };
    let next = (usize::from(bucket) + 1 < BUCKETS).then(|| first(bucket + 1));
    (first(bucket), next)
}

/// The sums of one group.
#[derive(Clone, PartialEq, Eq)]
pub struct Group(Box<[Sum; GROUP_SUMS]>);

impl Group {
    /// A group of empty buckets.
    #[must_use]
    pub fn empty() -> Self {
        Self(Box::new([Sum::ZERO; GROUP_SUMS]))
    }

    /// Reads the 64 sums of 32 bytes each; `None` for any other length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut group = Self::empty();
        let (chunks, rest) = bytes.as_chunks::<32>();
        if chunks.len() != GROUP_SUMS || !rest.is_empty() {
            return None;
        }
        for (sum, chunk) in group.0.iter_mut().zip(chunks) {
            *sum = Sum::from_bytes(*chunk);
        }
        Some(group)
    }

    /// The 64 sums of 32 bytes each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|sum| *sum.as_bytes()).collect()
    }

    /// The sum of a bucket of this group.
    #[must_use]
    pub fn sum(&self, bucket: u16) -> Sum {
        self.0[usize::from(bucket) % GROUP_SUMS]
    }

    /// Replaces the sum of a bucket of this group.
    pub fn set(&mut self, bucket: u16, sum: Sum) {
        self.0[usize::from(bucket) % GROUP_SUMS] = sum;
    }
}

/// The group that a bucket belongs to.
#[must_use]
pub fn group_of(bucket: u16) -> usize {
    usize::from(bucket) / GROUP_SUMS
}

/// SHA-256 of a sealed group, by which the top knows it.
#[must_use]
pub fn group_hash(sealed: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, sealed).as_ref());
    hash
}

/// The hashes of all sealed groups (zeros for one that was never written); the header's root is a keyed hash of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Top(Box<[[u8; 32]; GROUPS]>);

impl Top {
    /// No group was ever written.
    #[must_use]
    pub fn empty() -> Self {
        Self(Box::new([[0; 32]; GROUPS]))
    }

    /// Reads the 64 hashes; `None` for any other length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<32>();
        let hashes: &[[u8; 32]; GROUPS] = chunks.try_into().ok()?;
        rest.is_empty().then(|| Self(Box::new(*hashes)))
    }

    /// The 64 hashes, one after the other.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }

    /// The hash of a group.
    #[must_use]
    pub fn group(&self, group: usize) -> &[u8; 32] {
        &self.0[group]
    }

    /// Replaces the hash of a group.
    pub fn set(&mut self, group: usize, hash: [u8; 32]) {
        self.0[group] = hash;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{BUCKETS, GROUP_SUMS, GROUPS, Group, Top, bucket_of, bucket_range, group_hash, group_of};
    use crate::crypto::Sum;

    #[test]
    fn every_id_lies_in_the_range_of_its_bucket_and_in_no_other() {
        for bucket in 0..u16::try_from(BUCKETS).unwrap() {
            let (first, next) = bucket_range(bucket);
            assert_eq!(bucket_of(&first), bucket);
            if let Some(next) = next {
                assert_eq!(bucket_of(&next), bucket + 1);
            }
        }
        assert_eq!(bucket_of(&[0xff; 16]), 4095);
        assert_eq!(group_of(4095), 63);
    }

    #[test]
    fn the_ranges_of_all_buckets_join_without_a_gap() {
        let mut expected = [0; 16];
        for bucket in 0..u16::try_from(BUCKETS).unwrap() {
            let (first, next) = bucket_range(bucket);
            assert_eq!(first, expected, "{bucket}");
            assert_eq!(next.is_none(), bucket == 4095, "{bucket}");
            expected = next.unwrap_or_default();
        }
    }

    #[test]
    fn every_bucket_has_a_sum_of_its_own_in_one_group() {
        let mut groups: Vec<Group> = (0..GROUPS).map(|_| Group::empty()).collect();
        let number = |bucket: u16| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&(bucket + 1).to_be_bytes());
            Sum::from_bytes(bytes)
        };
        let buckets = || 0..u16::try_from(BUCKETS).unwrap();
        for bucket in buckets() {
            groups[group_of(bucket)].set(bucket, number(bucket));
        }
        for bucket in buckets() {
            assert_eq!(groups[group_of(bucket)].sum(bucket), number(bucket));
            let at = usize::from(bucket) % GROUP_SUMS * 32;
            assert_eq!(groups[usize::from(bucket) / 64].to_bytes()[at..at + 32], *number(bucket).as_bytes());
        }
    }

    #[test]
    fn the_top_has_a_hash_for_each_group() {
        let mut top = Top::empty();
        assert!(top.as_bytes().len() == 2048 && top.as_bytes().iter().all(|byte| *byte == 0));
        let hash = group_hash(b"abc");
        // FIPS 180-4, the example of SHA-256 for "abc".
        assert_eq!((hash[0], hash[31]), (0xba, 0xad));
        top.set(63, hash);
        assert_eq!((top.group(63), top.group(62)), (&hash, &[0; 32]));
        assert_eq!(top.as_bytes()[2016..], hash);
        assert!(Top::from_bytes(top.as_bytes()).unwrap() == top);
    }

    #[test]
    fn a_group_survives_its_bytes_and_other_lengths_are_refused() {
        let mut group = Group::empty();
        group.set(70, Sum::from_bytes([7; 32]));
        let bytes = group.to_bytes();
        assert!(Group::from_bytes(&bytes).unwrap() == group);
        assert!(Group::from_bytes(&bytes[1..]).is_none());
        assert!(Group::from_bytes(&bytes[..2016]).is_none());
        assert!(Group::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_none());
        assert!(Top::from_bytes(&bytes).is_some());
        assert!(Top::from_bytes(&bytes[..2016]).is_none());
    }
}
