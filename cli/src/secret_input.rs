//! An account's secrets as they come in: prompted for, from standard input or from a descriptor; never from arguments.

use clap::{Args, ValueEnum};
use latchkey_vault::{AccountSecret, Secret, limits, manager_http::Json, model::Field};
use latchkey_worker::secret_file;

use crate::{context::Context, failure::Failure, prompt};

/// Where an account's secrets are read from.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct SecretArgs {
    /// Read the password from standard input
    #[arg(long, group = "secrets")]
    pub password_stdin: bool,
    /// Read the password from this open file descriptor
    #[arg(long, value_name = "N", group = "secrets")]
    pub password_fd: Option<u32>,
    /// Read a JSON object of secrets from standard input: password, totp, mail_password, mail_app_password,
    /// app_password, cookie
    #[arg(long, group = "secrets")]
    pub secrets_stdin: bool,
    /// Read that JSON object from this open file descriptor
    #[arg(long, value_name = "N", group = "secrets")]
    pub secrets_fd: Option<u32>,
}

/// A secret of an account, as JSON and flags name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SecretField {
    /// The password at the site.
    Password,
    /// The TOTP secret: Base32 or an otpauth URI.
    Totp,
    /// The mailbox's password.
    MailPassword,
    /// The mailbox's app password.
    MailAppPassword,
    /// An app password of the site itself.
    AppPassword,
    /// The session as a flat cookie string.
    Cookie,
}

/// Secrets that were given; an empty one takes the value away where there is one.
#[derive(Debug, Default)]
pub struct Secrets(Vec<(SecretField, Secret)>);

impl SecretField {
    /// All, in the order in which they are asked for and shown.
    pub const ALL: [Self; 6] =
        [Self::Password, Self::Totp, Self::AppPassword, Self::MailPassword, Self::MailAppPassword, Self::Cookie];

    /// The secret that the vault knows by it.
    #[must_use]
    pub const fn secret(self) -> AccountSecret {
        match self {
            Self::Password => AccountSecret::Password,
            Self::Totp => AccountSecret::Totp,
            Self::MailPassword => AccountSecret::MailPassword,
            Self::MailAppPassword => AccountSecret::MailAppPassword,
            Self::AppPassword => AccountSecret::AppPassword,
            Self::Cookie => AccountSecret::Cookie,
        }
    }

    /// The name, as JSON has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.secret().name()
    }

    /// The field that both sides know; none for the site's own app password, which is kept here alone.
    #[must_use]
    pub const fn field(self) -> Option<Field> {
        self.secret().field()
    }

    const fn question(self) -> &'static str {
        match self {
            Self::Password => "Password at the site",
            Self::Totp => "TOTP secret (Base32 or otpauth URI)",
            Self::AppPassword => "App password of the site",
            Self::MailPassword => "Mailbox password",
            Self::MailAppPassword => "Mailbox app password",
            Self::Cookie => "Session cookies (name=value; name=value)",
        }
    }
}

impl SecretArgs {
    /// Whether a flag says where secrets are read from.
    #[must_use]
    pub fn any(&self) -> bool {
        self.password_stdin || self.secrets_stdin || self.password_fd.is_some() || self.secrets_fd.is_some()
    }

    /// Reads what the flags say; nothing where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what was announced.
    pub fn read(&self, cx: &Context) -> Result<Secrets, Failure> {
        let password = |secret| Secrets(vec![(SecretField::Password, secret)]);
        if self.password_stdin {
            return cx.read_stdin("--password-stdin", limits::SECRET_MAX_BYTES).map(password);
        }
        if self.secrets_stdin {
            return Secrets::parse(&cx.read_stdin("--secrets-stdin", JSON_MAX_BYTES)?);
        }
        match (self.password_fd, self.secrets_fd) {
            (Some(fd), _) => Ok(password(secret_file::read_fd(fd)?)),
            (None, Some(fd)) => Secrets::parse(&secret_file::read_fd(fd)?),
            (None, None) => Ok(Secrets::default()),
        }
    }
}

impl Secrets {
    /// Asks the person for these; an empty answer skips one.
    ///
    /// # Errors
    /// Where the terminal cannot be read.
    pub fn ask(fields: &[SecretField]) -> Result<Self, Failure> {
        let mut asked = Vec::new();
        for field in fields {
            let answer = prompt::secret(&format!("{} (Enter skips)", field.question()))?;
            if !answer.is_empty() {
                asked.push((*field, answer));
            }
        }
        Ok(Self(asked))
    }

    /// Adds others; of a field that both have, theirs counts.
    pub fn extend(&mut self, others: Self) {
        self.0.retain(|(field, _)| !others.0.iter().any(|(other, _)| other == field));
        self.0.extend(others.0);
    }

    /// Takes away that of a field.
    pub fn take(&mut self, field: SecretField) -> Option<Secret> {
        let at = self.0.iter().position(|(own, _)| *own == field)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each field with its secret.
    pub fn into_pairs(self) -> impl Iterator<Item = (SecretField, Secret)> {
        self.0.into_iter()
    }

    fn parse(text: &Secret) -> Result<Self, Failure> {
        let names = SecretField::ALL.map(SecretField::name).join(", ");
        let wrong = |what: &str| Failure::usage(what, format!("give a JSON object of texts with these names: {names}"));
        // EXPOSE: the JSON text is taken apart into secrets of its own.
        let json = Json::parse(text.expose().as_bytes()).map_err(|_| wrong("the secrets are not JSON"))?;
        let Json::Object(members) = json else { return Err(wrong("the secrets are not a JSON object")) };
        let mut secrets = Self::default();
        for (name, value) in members {
            let field = SecretField::ALL.into_iter().find(|field| field.name() == name);
            let field = field.ok_or_else(|| wrong("the secrets have a name that is not known"))?;
            match value {
                Json::Null => {}
                Json::Text(secret) => secrets.extend(Self(vec![(field, secret)])),
                _ => return Err(wrong(&format!("the secret {} is not a text", field.name()))),
            }
        }
        Ok(secrets)
    }
}

/// Every field at its longest would be more; what people have fits into the bound of one.
const JSON_MAX_BYTES: usize = 2 * limits::SECRET_MAX_BYTES;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use latchkey_vault::Secret;

    use super::{SecretField, Secrets};

    #[test]
    fn an_object_of_known_names_is_read_and_null_is_left_out() {
        let text = r#"{"password":"p","totp":null,"cookie":"a=1","app_password":""}"#;
        let mut secrets = Secrets::parse(&Secret::copy_of(text)).unwrap();
        assert_eq!(secrets.take(SecretField::Password).unwrap().expose(), "p");
        assert_eq!(secrets.take(SecretField::AppPassword).unwrap().expose(), "");
        assert!(secrets.take(SecretField::Totp).is_none());
        assert_eq!(secrets.take(SecretField::Cookie).unwrap().expose(), "a=1");
        assert!(secrets.is_empty());
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        for text in ["canary", "[\"canary\"]", "{\"canary\":\"x\"}", "{\"password\":7}", "{\"password\":[\"canary\"]}"]
        {
            let failure = Secrets::parse(&Secret::copy_of(text)).unwrap_err();
            assert!(!failure.message.contains("canary") && !failure.hint.contains("canary"), "{}", failure.message);
        }
    }
}
