//! The one type for secret text. Knows nothing of what the text is for.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret UTF-8 text in memory, wiped on drop.
///
/// It has no `Clone`, `Display`, `Serialize` or `PartialEq`: a copy is made by [`Secret::duplicate`], a comparison by
/// [`Secret::same`], and reading it by [`Secret::expose`], so that each of these stands out in a review.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of `text`; its buffer is wiped when the secret is dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Copies `text` into a buffer of exactly its size. The caller's copy stays the caller's to wipe.
    #[must_use]
    pub fn copy_of(text: &str) -> Self {
        let mut own = String::with_capacity(text.len());
        own.push_str(text);
        Self::new(own)
    }

    /// The plaintext. Each call carries a comment that says why it has to be read there.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second copy of the secret, in a buffer of its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::copy_of(&self.0)
    }

    /// Whether both hold the same text, in time that depends on the lengths only.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_shows_nothing_of_the_text() {
        assert_eq!(format!("{:?}", Secret::copy_of("hunter2")), "[redacted]");
    }

    #[test]
    fn equal_texts_are_the_same_and_others_are_not() {
        let secret = Secret::copy_of("a");
        assert!(secret.same(&secret.duplicate()));
        assert!(!secret.same(&Secret::copy_of("b")));
        assert!(!secret.same(&Secret::copy_of("aa")));
    }

    #[test]
    fn a_secret_holds_the_text_it_was_made_of() {
        for text in ["", "hunter2"] {
            for secret in [Secret::copy_of(text), Secret::new(text.to_owned()), Secret::from(text.to_owned())] {
                // EXPOSE: the test compares.
                assert_eq!((secret.expose(), secret.is_empty()), (text, text.is_empty()));
                // EXPOSE: the test compares.
                assert_eq!(secret.duplicate().expose(), text);
            }
        }
    }
}
