//! Random 128-bit identifiers, each kind a type of its own. Knows nothing of what they name.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_DNSSEC;
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

/// Why a text is no identifier.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdError {
    /// The text has not the length or the letters of an identifier.
    #[error("not an id: 26 characters of 0-9 and a-v are expected")]
    Malformed,
    /// The operating system gave no randomness.
    #[error("the operating system's random source failed")]
    NoRandomness,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 16 random bytes, written as 26 characters of lower-case Base32 (RFC 4648 section 7, no padding).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A fresh random identifier.
            ///
            /// # Errors
            /// [`IdError::NoRandomness`] when the operating system gives none.
            pub fn generate() -> Result<Self, IdError> {
                let mut bytes = [0; 16];
                SystemRandom::new().fill(&mut bytes).map_err(|_| IdError::NoRandomness)?;
                Ok(Self(bytes))
            }

            /// The identifier made of these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE32_DNSSEC.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = BASE32_DNSSEC.decode(text.as_bytes()).map_err(|_| IdError::Malformed)?;
                bytes.try_into().map(Self).map_err(|_| IdError::Malformed)
            }
        }
    };
}

id!(
    /// Names a vault; every sealed byte is bound to it.
    VaultId
);
id!(
    /// Names an account, its session and its lease.
    AccountId
);
id!(
    /// Names one holder of leases: one checkout of one process.
    HolderId
);
id!(
    /// Names a message in the outbox.
    MessageId
);
id!(
    /// Names a key slot.
    SlotId
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{AccountId, IdError};

    #[test]
    fn an_id_survives_its_text_form() {
        let id = AccountId::generate().unwrap();
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.to_string().parse::<AccountId>().unwrap(), id);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a", "zzzzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000000"] {
            assert_eq!(text.parse::<AccountId>(), Err(IdError::Malformed), "{text}");
        }
    }
}
