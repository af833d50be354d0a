//! A partial update of an account's record: built from parts that are refused early, sealed while it is owed, put into
//! JSON only when it is sent. Knows no account and no outbox.

use std::fmt;

use minicbor::{Decoder, Encoder};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{AccountStatus, is_placeholder, wire::max_bytes};
use crate::{
    limits::{ERROR_MESSAGE_MAX_CHARS, NOTE_MAX_BYTES},
    manager_http::{CallError, JsonBody},
    model::{Field, Secret},
    text::cut_chars,
};

/// A field of an account's record that the manager takes from us. The username is none: it follows the register record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateField {
    /// The flat cookie string.
    Cookie,
    /// The mail address.
    Email,
    /// The password at the site.
    Password,
    /// The mailbox's password.
    PassMail,
    /// The Base32 TOTP secret.
    Twofa,
    /// The mailbox's app password.
    AppPassword,
    /// The profile's URL.
    LinkProfile,
    /// Free text.
    Note,
    /// Why the account fails; an empty text clears it.
    ErrorMessage,
}

impl UpdateField {
    /// Every field, in the order of the contract.
    pub const ALL: [Self; 9] = [
        Self::Cookie,
        Self::Email,
        Self::Password,
        Self::PassMail,
        Self::Twofa,
        Self::AppPassword,
        Self::LinkProfile,
        Self::Note,
        Self::ErrorMessage,
    ];

    /// The field that carries `field` to the manager; `None` for the username.
    #[must_use]
    pub const fn of(field: Field) -> Option<Self> {
        match field {
            Field::Username => None,
            Field::Email => Some(Self::Email),
            Field::Password => Some(Self::Password),
            Field::Totp => Some(Self::Twofa),
            Field::MailPassword => Some(Self::PassMail),
            Field::MailAppPassword => Some(Self::AppPassword),
            Field::LinkProfile => Some(Self::LinkProfile),
            Field::Cookie => Some(Self::Cookie),
        }
    }

    /// The manager's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Email => "email",
            Self::Password => "password",
            Self::PassMail => "pass_mail",
            Self::Twofa => "twofa",
            Self::AppPassword => "app_password",
            Self::LinkProfile => "link_profile",
            Self::Note => "note",
            Self::ErrorMessage => "error_message",
        }
    }

    /// The key of it in the sealed form; never reused for another field.
    const fn key(self) -> u8 {
        match self {
            Self::Cookie => 1,
            Self::Email => 2,
            Self::Password => 3,
            Self::PassMail => 4,
            Self::Twofa => 5,
            Self::AppPassword => 6,
            Self::LinkProfile => 7,
            Self::Note => 8,
            Self::ErrorMessage => 9,
        }
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// Why a value is not put into an update: the manager would refuse it, or store what no account has.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedValue {
    /// It is empty, a placeholder or a sample of the documents.
    #[error("{field}: empty, a placeholder or a sample of the documents")]
    Placeholder {
        /// The manager's name of the field.
        field: &'static str,
    },
    /// It is longer than its field.
    #[error("{field}: longer than {max_bytes} bytes")]
    TooLong {
        /// The manager's name of the field.
        field: &'static str,
        /// The most bytes it may have.
        max_bytes: usize,
    },
}

/// Why sealed bytes are no update.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateCodecError {
    /// The bytes are not the encoding of an update.
    #[error("not an account update")]
    Malformed,
    /// The bytes are of another version of the encoding.
    #[error("an account update of version {found}, version {VERSION} is known")]
    Version {
        /// Their version.
        found: u8,
    },
}

/// The fields of one account that are to be written at the manager, and no others.
#[derive(Default)]
pub struct AccountUpdate {
    values: [Option<Secret>; UpdateField::ALL.len()],
    status: Option<AccountStatus>,
}

impl AccountUpdate {
    /// An update of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field, in place of what was there. An error message is cut at
    /// [`ERROR_MESSAGE_MAX_CHARS`] characters; any other text beyond its bound is refused.
    ///
    /// # Errors
    /// See [`RefusedValue`].
    pub fn set(mut self, field: UpdateField, value: Secret) -> Result<Self, RefusedValue> {
        self.values[field.place()] = Some(admit(field, value)?);
        Ok(self)
    }

    /// Adds the status.
    #[must_use]
    pub fn status(mut self, status: AccountStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// The value of a field, where the update has one.
    #[must_use]
    pub fn value(&self, field: UpdateField) -> Option<&Secret> {
        self.values[field.place()].as_ref()
    }

    /// The status that is to be written, where there is one.
    #[must_use]
    pub fn new_status(&self) -> Option<AccountStatus> {
        self.status
    }

    /// Whether there is nothing to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// The manager's names of what is to be written, `status` last.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let fields = UpdateField::ALL.into_iter().filter(|field| self.value(*field).is_some()).map(UpdateField::name);
        fields.chain(self.status.map(|_| STATUS))
    }

    /// The same without a field.
    #[must_use]
    pub fn without(mut self, field: Field) -> Self {
        if let Some(own) = UpdateField::of(field) {
            self.values[own.place()] = None;
        }
        self
    }

    /// The same without the status and the words that explain it.
    #[must_use]
    pub fn without_status(mut self) -> Self {
        for words in [UpdateField::Note, UpdateField::ErrorMessage] {
            self.values[words.place()] = None;
        }
        self.status = None;
        self
    }

    /// The mergeable fields that are owed to the manager as long as this update is.
    #[must_use]
    pub fn owed(&self) -> Vec<Field> {
        let is_owed = |field: &Field| UpdateField::of(*field).is_some_and(|own| self.value(own).is_some());
        Field::ALL.into_iter().filter(is_owed).collect()
    }

    /// One update in place of two: this one's fields, and those of `older` that it does not have.
    #[must_use]
    pub fn merge_over(mut self, older: Self) -> Self {
        for (newer, older) in self.values.iter_mut().zip(older.values) {
            if newer.is_none() {
                *newer = older;
            }
        }
        self.status = self.status.or(older.status);
        self
    }

    /// The encoding that is sealed while the update is owed: a CBOR map with integer keys, its version under 0.
    ///
    /// # Errors
    /// [`UpdateCodecError::Malformed`], should the encoder fail.
    pub fn to_cbor(&self) -> Result<Zeroizing<Vec<u8>>, UpdateCodecError> {
        // Room for all, so that the buffer never moves and leaves a copy behind: a key has 1 byte, a head at most 9.
        // EXPOSE: lengths are counted.
        let texts: usize = self.values.iter().flatten().map(|value| value.expose().len() + HEAD_MAX_BYTES).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(texts + 2 * HEAD_MAX_BYTES + STATUS_MAX_BYTES));
        self.encode(&mut Encoder::new(&mut *bytes)).map_err(|_| UpdateCodecError::Malformed)?;
        Ok(bytes)
    }

    /// Reads what [`AccountUpdate::to_cbor`] wrote.
    ///
    /// # Errors
    /// See [`UpdateCodecError`].
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, UpdateCodecError> {
        let mut decoder = Decoder::new(bytes);
        let update = Self::decode(&mut decoder)?;
        if decoder.position() == bytes.len() { Ok(update) } else { Err(UpdateCodecError::Malformed) }
    }

    /// The JSON to be sent, in a buffer that is wiped.
    pub(super) fn to_body(&self) -> Result<JsonBody, CallError> {
        let mut members = Vec::with_capacity(UpdateField::ALL.len() + 1);
        for field in UpdateField::ALL {
            if let Some(value) = self.value(field) {
                // EXPOSE: the manager is sent the value.
                members.push((field.name(), value.expose()));
            }
        }
        members.extend(self.status.map(|status| (STATUS, status.as_str())));
        JsonBody::object(&members)
    }

    fn encode(
        &self,
        encoder: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        let entries = 1 + self.values.iter().flatten().count() + usize::from(self.status.is_some());
        encoder.map(entries as u64)?.u8(VERSION_KEY)?.u8(VERSION)?;
        for field in UpdateField::ALL {
            if let Some(value) = self.value(field) {
                // EXPOSE: the bytes go to be sealed.
                encoder.u8(field.key())?.str(value.expose())?;
            }
        }
        if let Some(status) = self.status {
            encoder.u8(STATUS_KEY)?.str(status.as_str())?;
        }
        Ok(())
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, UpdateCodecError> {
        let malformed = |_| UpdateCodecError::Malformed;
        let entries = decoder.map().map_err(malformed)?.ok_or(UpdateCodecError::Malformed)?;
        let mut last_key = decoder.u8().map_err(malformed)?;
        if entries == 0 || last_key != VERSION_KEY {
            return Err(UpdateCodecError::Malformed);
        }
        match decoder.u8().map_err(malformed)? {
            VERSION => {}
            found => return Err(UpdateCodecError::Version { found }),
        }
        let mut update = Self::new();
        for _ in 1..entries {
            let key = decoder.u8().map_err(malformed)?;
            let text = decoder.str().map_err(malformed)?;
            if key <= last_key {
                return Err(UpdateCodecError::Malformed);
            }
            last_key = key;
            if key == STATUS_KEY {
                update.status = Some(AccountStatus::parse(text).ok_or(UpdateCodecError::Malformed)?);
            } else {
                let field = UpdateField::ALL.into_iter().find(|field| field.key() == key);
                let field = field.ok_or(UpdateCodecError::Malformed)?;
                update = update.set(field, Secret::copy_of(text)).map_err(|_| UpdateCodecError::Malformed)?;
            }
        }
        Ok(update)
    }
}

impl fmt::Debug for AccountUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountUpdate")?;
        f.debug_list().entries(self.names()).finish()
    }
}

fn admit(field: UpdateField, value: Secret) -> Result<Secret, RefusedValue> {
    // EXPOSE: what the manager would refuse is seen from the text.
    let text = value.expose();
    let too_long = |max_bytes| RefusedValue::TooLong { field: field.name(), max_bytes };
    let max_bytes = match field {
        UpdateField::ErrorMessage => return Ok(Secret::copy_of(cut_chars(text, ERROR_MESSAGE_MAX_CHARS))),
        UpdateField::Note => NOTE_MAX_BYTES,
        UpdateField::Cookie => max_bytes(Field::Cookie),
        UpdateField::Email => max_bytes(Field::Email),
        UpdateField::LinkProfile => max_bytes(Field::LinkProfile),
        UpdateField::Password | UpdateField::PassMail | UpdateField::Twofa | UpdateField::AppPassword => {
            max_bytes(Field::Password)
        }
    };
    let is_no_value = if field == UpdateField::Note { text.trim().is_empty() } else { is_placeholder(text) };
    if is_no_value {
        return Err(RefusedValue::Placeholder { field: field.name() });
    }
    if text.len() > max_bytes { Err(too_long(max_bytes)) } else { Ok(value) }
}

const STATUS: &str = "status";
const VERSION: u8 = 1;
const VERSION_KEY: u8 = 0;
const STATUS_KEY: u8 = 10;
/// Most bytes before a text in CBOR: its key, and its head with an eight-byte length (RFC 8949 section 3).
const HEAD_MAX_BYTES: usize = 10;
/// Room for the status, in bytes: the longest word has 15.
const STATUS_MAX_BYTES: usize = 32;

#[cfg(test)]
mod tests;
