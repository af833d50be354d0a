//! How a person names an account: its id, the beginning of its id, or site and login. Knows no command.

use latchkey_vault::{AccountId, AccountView, Vault};

use crate::{exit::Exit, failure::Failure, printer::safe};

/// An account as it was named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRef(Named);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Id(AccountId),
    /// The ids that begin so: the first one possible, and the letters.
    Prefix(AccountId, String),
    Login(String, String),
}

impl AccountRef {
    /// Finds the account.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub async fn find(&self, vault: &Vault) -> Result<AccountView, Failure> {
        match &self.0 {
            Named::Id(id) => Ok(vault.account(*id).await?),
            Named::Login(site, login) => {
                let found = vault.find_login(site, login).await?;
                found.ok_or_else(|| self.unknown("a login is the username, or the email where there is none"))
            }
            Named::Prefix(first, letters) => {
                let mut found = vault.accounts(None, before(*first), 2).await?;
                found.retain(|account| account.id.to_string().starts_with(letters));
                match (found.pop(), found.is_empty()) {
                    (None, _) => Err(self.unknown("`latchkey account list` shows those there are")),
                    (Some(account), true) => Ok(account),
                    (Some(_), false) => {
                        let message = format!("several accounts have ids that begin with {letters}");
                        Err(Failure::new(Exit::Account, "account_ambiguous", message, "give more letters of the id"))
                    }
                }
            }
        }
    }

    /// What the account's id begins with: also of one that is not there any more, where it was named by its id.
    ///
    /// # Errors
    /// Where it was named by its login, and there is none.
    pub async fn id_letters(&self, vault: &Vault) -> Result<String, Failure> {
        match &self.0 {
            Named::Id(id) => Ok(id.to_string()),
            Named::Prefix(_, letters) => Ok(letters.clone()),
            Named::Login(..) => Ok(self.find(vault).await?.id.to_string()),
        }
    }

    fn unknown(&self, hint: &str) -> Failure {
        let named = match &self.0 {
            Named::Id(id) => id.to_string(),
            Named::Prefix(_, letters) => format!("{letters}..."),
            Named::Login(site, login) => safe(&format!("{site}/{login}")),
        };
        Failure::new(Exit::Account, "account_unknown", format!("there is no account {named}"), hint)
    }
}

impl std::str::FromStr for AccountRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "an id, at least 4 letters of its beginning, or SITE/LOGIN is expected";
        if let Some((site, login)) = text.split_once('/') {
            let whole = !site.is_empty() && !login.is_empty();
            return whole.then(|| Self(Named::Login(site.to_owned(), login.to_owned()))).ok_or(EXPECTED);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self(Named::Id(id)));
        }
        if !(PREFIX_MIN..ID_CHARS).contains(&text.len()) {
            return Err(EXPECTED);
        }
        // Ids are read in either case and written in lower case.
        let text = text.to_ascii_lowercase();
        // Zeros are the first letters there are, so this is the first id that can begin so.
        let first = format!("{text:0<ID_CHARS$}").parse().map_err(|_| EXPECTED)?;
        Ok(Self(Named::Prefix(first, text)))
    }
}

/// The id before this one; none before the first.
fn before(id: AccountId) -> Option<AccountId> {
    let number = u128::from_be_bytes(*id.as_bytes()).checked_sub(1)?;
    Some(AccountId::from_bytes(number.to_be_bytes()))
}

/// Letters of an id.
const ID_CHARS: usize = 26;
/// Fewer letters are rarely those of one account alone, and easily a slip.
const PREFIX_MIN: usize = 4;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use latchkey_vault::model::AccountId;

    use super::{AccountRef, Named, before};

    #[test]
    fn ids_prefixes_and_logins_are_told_apart_and_other_texts_are_refused() {
        let id = AccountId::from_bytes([0xab; 16]);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(AccountRef(Named::Id(id))));
        for letters in [4, 9, 25] {
            let AccountRef(named) = text[..letters].parse().unwrap();
            let Named::Prefix(first, own) = named else { unreachable!("a prefix") };
            assert!(first.to_string().starts_with(&own) && first <= id, "{own}");
        }
        let login = Named::Login("blog.example".into(), "a/b@c".into());
        assert_eq!("blog.example/a/b@c".parse(), Ok(AccountRef(login)));
        assert_eq!("ABCD".parse::<AccountRef>(), "abcd".parse());
        for text in ["", "abc", "zzzz", "a/", "/b", "00000000000000000000000000000"] {
            assert!(text.parse::<AccountRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_id_before_is_one_less_and_there_is_none_before_the_first() {
        assert_eq!(before(AccountId::from_bytes([0; 16])), None);
        let mut bytes = [0; 16];
        bytes[14] = 1;
        let mut expected = [0; 16];
        expected[15] = 0xff;
        assert_eq!(before(AccountId::from_bytes(bytes)), Some(AccountId::from_bytes(expected)));
    }
}
