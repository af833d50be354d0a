//! Where a sealed blob or an authenticated row belongs. Knows nothing of what is in it.

/// What a sealed blob or row is, as one byte of its context.
///
/// The numbers are the format's: they are never reused and never change.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The vault's header.
    Header = 1,
    /// A data key, sealed under the root key.
    DataKey = 2,
    /// An account with its credentials.
    Account = 3,
    /// A session: cookies, tokens, web storage.
    Session = 4,
    /// A lease.
    Lease = 5,
    /// The reservation of TOTP steps.
    Totp = 6,
    /// A message owed to the manager.
    Outbox = 7,
    /// An opaque item of the worker.
    Item = 8,
    /// An audit entry.
    Audit = 9,
    /// A login attempt and its budget.
    Login = 10,
    /// A key slot.
    KeySlot = 11,
    /// The sums of one group of the digest.
    Digest = 12,
    /// Somebody who waits for a lease.
    Waiter = 13,
}

impl Kind {
    /// The kind of this number, where there is one.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Header,
            2 => Self::DataKey,
            3 => Self::Account,
            4 => Self::Session,
            5 => Self::Lease,
            6 => Self::Totp,
            7 => Self::Outbox,
            8 => Self::Item,
            9 => Self::Audit,
            10 => Self::Login,
            11 => Self::KeySlot,
            12 => Self::Digest,
            13 => Self::Waiter,
            _ => return None,
        })
    }
}

/// The one place where a sealed blob or a row is valid: anywhere else it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// What it is.
    pub kind: Kind,
    /// Whose it is: the record's random id.
    pub id: [u8; 16],
    /// Which version of the record it is; grows with every write.
    pub rev: u64,
}

impl Place {
    /// Kind, id, revision (big-endian): fixed lengths, so that no two places share their bytes.
    pub(super) fn to_bytes(self) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        bytes[0] = self.kind as u8;
        bytes[1..17].copy_from_slice(&self.id);
        bytes[17..].copy_from_slice(&self.rev.to_be_bytes());
        bytes
    }
}

/// Length of a place in a context or a MAC, in bytes.
pub(super) const PLACE_BYTES: usize = 1 + 16 + 8;

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_kind_survives_its_number_and_other_numbers_are_none() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|n| Kind::from_u8(*n).is_some_and(|k| k as u8 == *n)).collect();
        assert_eq!(known, (1..=13).collect::<Vec<_>>());
        assert_eq!((0..=u8::MAX).filter_map(Kind::from_u8).count(), known.len());
    }
}
