//! What may be seen of an account by whoever has opened the vault: all but its secrets, and those one by one, by name.
//!
//! An [`Account`] has its secrets in the open. It leaves the vault in a checkout only; everybody else gets a view. Knows no
//! vault: that the audit has a [`Revealed`] before anybody holds it is up to whoever makes one.

use super::{Account, AccountId, AccountRecord, Field, Secret, Standing};

/// A secret of an account, by which it is asked for and stands in the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountSecret {
    /// The password at the site.
    Password,
    /// The TOTP secret: Base32 or an otpauth URI.
    Totp,
    /// An app password of the site itself.
    AppPassword,
    /// The mailbox's password.
    MailPassword,
    /// The mailbox's app password.
    MailAppPassword,
    /// The session as a flat cookie string.
    Cookie,
}

/// An account without its secrets.
#[derive(Debug)]
pub struct AccountView {
    /// Which account.
    pub id: AccountId,
    /// The revision that was read; the first is 1.
    pub rev: u64,
    /// The site's domain.
    pub site: String,
    /// The manager's id of it, where the manager has one.
    pub manager_id: Option<String>,
    /// The name it logs in with. No secret as the others are, but a `Secret`, so that no log shows it by accident.
    pub username: Option<Secret>,
    /// Its mail address; see `username`.
    pub email: Option<Secret>,
    /// The URL of its profile; see `username`.
    pub link_profile: Option<Secret>,
    /// The secrets that it has, in the order of [`AccountSecret::ALL`].
    pub secrets: Vec<AccountSecret>,
    /// The operator's tags.
    pub tags: Vec<String>,
    /// The operator's notes.
    pub notes: String,
    /// The manager's word for its status.
    pub manager_status: Option<String>,
    /// Whether it may be worked with.
    pub standing: Standing,
    /// Fields that were changed here and are not yet confirmed by the manager.
    pub owed: Vec<Field>,
    /// When it came into the vault, Unix milliseconds.
    pub created_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub updated_ms: i64,
}

/// Secrets of an account that were asked for by name, and the account as it was when they were read.
#[derive(Debug)]
#[must_use = "the audit says that they were read"]
pub struct Revealed {
    /// The account, the secrets that were not asked for left out of it.
    pub account: AccountView,
    secrets: Vec<(AccountSecret, Secret)>,
}

impl AccountSecret {
    /// All, in the order in which they are asked for and shown.
    pub const ALL: [Self; 6] =
        [Self::Password, Self::Totp, Self::AppPassword, Self::MailPassword, Self::MailAppPassword, Self::Cookie];

    /// Its name in audit entries, in JSON and on screens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.field() {
            Some(field) => field.name(),
            None => "app_password",
        }
    }

    /// The field that the manager knows as well; none for the site's own app password, which is kept here alone.
    #[must_use]
    pub const fn field(self) -> Option<Field> {
        match self {
            Self::Password => Some(Field::Password),
            Self::Totp => Some(Field::Totp),
            Self::AppPassword => None,
            Self::MailPassword => Some(Field::MailPassword),
            Self::MailAppPassword => Some(Field::MailAppPassword),
            Self::Cookie => Some(Field::Cookie),
        }
    }

    /// Takes its value out of a record.
    fn take(self, record: &mut AccountRecord) -> Option<Secret> {
        match self.field() {
            Some(field) => record.fields.value_mut(field).take(),
            None => record.app_password.take(),
        }
    }
}

impl AccountView {
    /// The name it logs in with: the username, or else the email.
    #[must_use]
    pub fn login_name(&self) -> Option<&Secret> {
        self.username.as_ref().or(self.email.as_ref())
    }

    /// Whether it has a value of this secret.
    #[must_use]
    pub fn has(&self, secret: AccountSecret) -> bool {
        self.secrets.contains(&secret)
    }
}

impl From<Account> for AccountView {
    /// What is left once the secrets have been taken out, and wiped.
    fn from(account: Account) -> Self {
        Revealed::of(account, &[]).account
    }
}

impl Revealed {
    /// Takes the secrets of `which` out of an account and leaves the others behind.
    pub(crate) fn of(account: Account, which: &[AccountSecret]) -> Self {
        let Account { id, rev, mut record } = account;
        let (mut has, mut secrets) = (Vec::new(), Vec::new());
        for secret in AccountSecret::ALL {
            let Some(value) = secret.take(&mut record) else { continue };
            has.push(secret);
            if which.contains(&secret) {
                secrets.push((secret, value));
            }
        }
        let account = AccountView {
            id,
            rev,
            site: record.site,
            manager_id: record.manager_id,
            username: record.fields.username,
            email: record.fields.email,
            link_profile: record.fields.link_profile,
            secrets: has,
            tags: record.tags,
            notes: record.notes,
            manager_status: record.manager_status,
            standing: record.standing,
            owed: record.owed,
            created_ms: record.created_ms,
            updated_ms: record.updated_ms,
        };
        Self { account, secrets }
    }

    /// The value of a secret; none where the account has none, or it was not asked for.
    #[must_use]
    pub fn secret(&self, secret: AccountSecret) -> Option<&Secret> {
        self.secrets.iter().find(|(own, _)| *own == secret).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Account, AccountId, AccountRecord, AccountSecret, AccountView, Field, Revealed, Secret};

    /// An account whose every value is its field's name.
    fn full() -> Account {
        let mut record = AccountRecord::new("site.test".into(), 5);
        for field in Field::ALL {
            *record.fields.value_mut(field) = Some(Secret::copy_of(field.name()));
        }
        record.app_password = Some(Secret::copy_of("app_password"));
        record.base = record.fields.duplicate();
        Account { id: AccountId::from_bytes([1; 16]), rev: 3, record }
    }

    #[test]
    fn a_view_names_the_secrets_and_holds_only_who_the_account_is() {
        let view = AccountView::from(full());
        assert_eq!(view.secrets, AccountSecret::ALL);
        // EXPOSE: the test compares.
        let names = [&view.username, &view.email, &view.link_profile].map(|name| name.as_ref().unwrap().expose());
        assert_eq!(names, ["username", "email", "link_profile"]);
        let none = AccountRecord::new("site.test".into(), 5);
        let empty = AccountView::from(Account { id: view.id, rev: 1, record: none });
        assert!(empty.secrets.is_empty() && empty.login_name().is_none());
    }

    #[test]
    fn what_is_revealed_is_what_was_asked_for_and_nothing_beside_it() {
        for asked in AccountSecret::ALL {
            let revealed = Revealed::of(full(), &[asked]);
            for secret in AccountSecret::ALL {
                // EXPOSE: the test compares.
                let value = revealed.secret(secret).map(Secret::expose);
                assert_eq!(value, (secret == asked).then(|| secret.name()), "{asked:?} {secret:?}");
                assert!(revealed.account.has(secret));
            }
        }
        let all = Revealed::of(full(), &AccountSecret::ALL);
        assert!(AccountSecret::ALL.into_iter().all(|secret| all.secret(secret).is_some()));
    }

    #[test]
    fn an_account_logs_in_with_its_username_or_else_its_email() {
        let mut view = AccountView::from(full());
        // EXPOSE: the test compares.
        assert_eq!(view.login_name().unwrap().expose(), "username");
        view.username = None;
        // EXPOSE: the test compares.
        assert_eq!(view.login_name().unwrap().expose(), "email");
    }
}
