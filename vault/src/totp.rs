//! Time-based one-time codes (RFC 6238): the secret in all its spellings, its steps and its codes. It knows no clock and no
//! ledger; which step may be used is decided elsewhere.

use std::{fmt, sync::LazyLock};

use data_encoding::{BASE32_NOPAD, Encoding};
use thiserror::Error;
use totp_rs::{Algorithm, Builder};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::{
    Secret,
    limits::{TOTP_DIGITS, TOTP_PERIOD_S, TOTP_SECRET_BYTES, TOTP_TEXT_MAX_BYTES},
};

/// A TOTP secret with its algorithm, count of digits and period; wiped when dropped.
pub struct Totp {
    /// Has steps of one second, so that the time it takes is the number of the step: no product can overflow.
    inner: totp_rs::Totp,
    period_s: u64,
}

/// Why a text is not a TOTP secret. No message holds any of the text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TotpError {
    /// Longer than any secret or URI is.
    #[error("the TOTP secret's text has {bytes} bytes, more than {TOTP_TEXT_MAX_BYTES}")]
    TextTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Neither Base32 (RFC 4648 section 6) nor an otpauth URI.
    #[error("the TOTP secret is not Base32")]
    NotBase32,
    /// Fewer bytes than any site gives out.
    #[error("the TOTP secret has {bytes} bytes, fewer than {min}", min = TOTP_SECRET_BYTES.start())]
    SecretTooShort {
        /// Its length, decoded.
        bytes: usize,
    },
    /// More bytes than the longest key in use.
    #[error("the TOTP secret has {bytes} bytes, more than {max}", max = TOTP_SECRET_BYTES.end())]
    SecretTooLong {
        /// Its length, decoded.
        bytes: usize,
    },
    /// `otpauth://hotp/`: codes by counter, which this vault does not keep.
    #[error("the otpauth URI is for counter-based codes (hotp), only time-based ones (totp) are kept")]
    Hotp,
    /// An otpauth URI of another type, or without a query.
    #[error("the otpauth URI is not of the form otpauth://totp/...?secret=...")]
    Uri,
    /// The URI has no `secret`.
    #[error("the otpauth URI has no secret")]
    NoSecret,
    /// A parameter that matters occurs twice, so that readers would disagree.
    #[error("the otpauth URI has a parameter twice")]
    Repeated,
    /// `algorithm` is none of SHA1, SHA256, SHA512.
    #[error("the otpauth URI's algorithm is not SHA1, SHA256 or SHA512")]
    Algorithm,
    /// `digits` is no number from 6 to 8.
    #[error("the otpauth URI's digits are not from {min} to {max}", min = TOTP_DIGITS.start(), max = TOTP_DIGITS.end())]
    Digits,
    /// `period` is no number of seconds from 1 to 300.
    #[error("the otpauth URI's period is not from {min} to {max} s", min = TOTP_PERIOD_S.start(), max = TOTP_PERIOD_S.end())]
    Period,
}

impl Totp {
    /// Reads Base32, in either case, with blanks and dashes anywhere and padding or none, or an `otpauth://totp/` URI.
    ///
    /// Without a URI, and where it says nothing, it is SHA-1, 6 digits, 30 s. The secret has 10 to 64 bytes; bits
    /// left over behind the last whole byte do not count, as in the authenticators that people copy secrets from.
    /// Source: RFC 4648 section 6; Key Uri Format of google-authenticator.
    ///
    /// # Errors
    /// [`TotpError`], by the rule that was broken.
    pub fn parse(text: &Secret) -> Result<Self, TotpError> {
        // EXPOSE: the text is decoded; what is kept of it is wiped.
        let text = text.expose().trim();
        if text.len() > TOTP_TEXT_MAX_BYTES {
            return Err(TotpError::TextTooLong { bytes: text.len() });
        }
        match strip_prefix_any_case(text, "otpauth://") {
            Some(rest) => Self::from_uri(rest),
            None => Self::build(&decode_base32(text)?, Algorithm::SHA1, DIGITS_DEFAULT, PERIOD_DEFAULT_S),
        }
    }

    /// The step at `unix_ms` (Unix milliseconds); before 1970 it is the first, 0. Source: RFC 6238 section 4.2.
    #[must_use]
    pub fn step_at(&self, unix_ms: i64) -> u64 {
        since_1970_ms(unix_ms) / self.period_ms()
    }

    /// When a step begins, in Unix milliseconds, at most `i64::MAX`.
    #[must_use]
    pub fn begins_ms(&self, step: u64) -> i64 {
        i64::try_from(step.saturating_mul(self.period_ms())).unwrap_or(i64::MAX)
    }

    /// The code of a step: 6 to 8 digits, zeros in front. Source: RFC 4226 section 5.3.
    #[must_use]
    pub fn code(&self, step: u64) -> Secret {
        Secret::new(self.inner.generate(step).to_string())
    }

    /// Length of a step in seconds, 1 to 300.
    #[must_use]
    pub fn period_s(&self) -> u64 {
        self.period_s
    }

    /// Milliseconds until the step at `unix_ms` ends, from 1 to the whole period.
    #[must_use]
    pub fn ms_left(&self, unix_ms: i64) -> u64 {
        self.period_ms() - since_1970_ms(unix_ms) % self.period_ms()
    }

    /// What makes two spellings one secret, for the ledger of used steps: secret bytes ‖ algorithm (1, 2, 3 for SHA-1,
    /// SHA-256, SHA-512) ‖ period in seconds (2 bytes, big-endian).
    ///
    /// The digits are not part of it: a shorter code of the same step is the end of the longer one.
    #[must_use]
    pub fn normalised(&self) -> Zeroizing<Vec<u8>> {
        let secret = self.inner.secret().as_ref();
        let [.., high, low] = self.period_s.to_be_bytes();
        let mut bytes = Zeroizing::new(Vec::with_capacity(secret.len() + 3));
        bytes.extend_from_slice(secret);
        bytes.extend([algorithm_id(self.inner.algorithm()), high, low]);
        bytes
    }

    /// `rest` is what follows `otpauth://`.
    fn from_uri(rest: &str) -> Result<Self, TotpError> {
        let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (label, query) = rest.split_once('?').unwrap_or((rest, ""));
        let kind = label.split('/').next().unwrap_or_default();
        if kind.eq_ignore_ascii_case("hotp") {
            return Err(TotpError::Hotp);
        }
        if !kind.eq_ignore_ascii_case("totp") {
            return Err(TotpError::Uri);
        }
        let mut parts = UriParts::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            // Percent-decoding may have made a copy: this wipes it.
            parts.take(&key, Zeroizing::new(value.into_owned()))?;
        }
        Self::build(
            &parts.secret.ok_or(TotpError::NoSecret)?,
            parts.algorithm.unwrap_or(Algorithm::SHA1),
            parts.digits.unwrap_or(DIGITS_DEFAULT),
            parts.period_s.unwrap_or(PERIOD_DEFAULT_S),
        )
    }

    /// The one place where bounds are checked; `totp_rs` would refuse secrets below 16 bytes, which sites do give out.
    fn build(secret: &[u8], algorithm: Algorithm, digits: u8, period_s: u64) -> Result<Self, TotpError> {
        let bytes = secret.len();
        if bytes < *TOTP_SECRET_BYTES.start() {
            return Err(TotpError::SecretTooShort { bytes });
        }
        if bytes > *TOTP_SECRET_BYTES.end() {
            return Err(TotpError::SecretTooLong { bytes });
        }
        if !TOTP_DIGITS.contains(&digits) {
            return Err(TotpError::Digits);
        }
        if !TOTP_PERIOD_S.contains(&period_s) {
            return Err(TotpError::Period);
        }
        // The copy has exactly the secret's size: the library boxes it, and a larger buffer would be moved, not wiped.
        let inner = Builder::new()
            .with_algorithm(algorithm)
            .with_digits(digits)
            .with_step_duration(1)
            .with_secret(secret.to_vec())
            .build_noncompliant();
        Ok(Self { inner, period_s })
    }

    fn period_ms(&self) -> u64 {
        self.period_s * 1000
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totp")
            .field("algorithm", &self.inner.algorithm())
            .field("digits", &self.inner.digits())
            .field("period_s", &self.period_s)
            .finish_non_exhaustive()
    }
}

/// The parameters of a URI that matter here; label, issuer, image and the like do not.
#[derive(Default)]
struct UriParts {
    secret: Option<Zeroizing<Vec<u8>>>,
    algorithm: Option<Algorithm>,
    digits: Option<u8>,
    period_s: Option<u64>,
}

impl UriParts {
    fn take(&mut self, key: &str, value: Zeroizing<String>) -> Result<(), TotpError> {
        let was_there = match key {
            "secret" => self.secret.replace(decode_base32(&value)?).is_some(),
            "algorithm" => self.algorithm.replace(value.parse().map_err(|_| TotpError::Algorithm)?).is_some(),
            "digits" => self.digits.replace(value.parse().map_err(|_| TotpError::Digits)?).is_some(),
            "period" => self.period_s.replace(value.parse().map_err(|_| TotpError::Period)?).is_some(),
            _ => false,
        };
        if was_there { Err(TotpError::Repeated) } else { Ok(()) }
    }
}

fn decode_base32(text: &str) -> Result<Zeroizing<Vec<u8>>, TotpError> {
    // Padding stands at the end only; how much of it there is says nothing that the length does not say.
    let text = text.trim_end_matches(['=', ' ']).as_bytes();
    let room = BASE32.decode_len(text.len()).map_err(|_| TotpError::NotBase32)?;
    let mut bytes = Zeroizing::new(vec![0; room]);
    let length = BASE32.decode_mut(text, &mut bytes).map_err(|_| TotpError::NotBase32)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A clock before 1970 stands at 1970: such a time is a mistake, and the first step is as good as any.
fn since_1970_ms(unix_ms: i64) -> u64 {
    u64::try_from(unix_ms).unwrap_or(0)
}

fn algorithm_id(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::SHA256 => 2,
        Algorithm::SHA512 => 3,
        // `build` is given no other than these three; the library's enum is open for more.
        _ => 1,
    }
}

/// Base32 as people type it: either case, blanks and dashes between, and a last character whose spare bits are not zero.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut base32 = BASE32_NOPAD.specification();
    base32.check_trailing_bits = false;
    base32.ignore.push_str(" \t\r\n-");
    base32.translate.from.push_str("abcdefghijklmnopqrstuvwxyz");
    base32.translate.to.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    // Impossible to fail: the specification is fixed, and every test decodes by it.
    base32.encoding().expect("letters map to letters, ignored characters are no symbols")
});
const DIGITS_DEFAULT: u8 = 6;
const PERIOD_DEFAULT_S: u64 = 30;

#[cfg(test)]
mod tests;
