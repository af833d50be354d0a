//! Account fields as the manager knows them, and the three-way merge of ours with its own. Pure: knows no manager, no
//! store and no audit; whoever calls says what is still owed.

use super::Secret;

/// A field of an account that both sides may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The account's mail address.
    Email,
    /// The name it logs in with. The manager never takes one from us.
    Username,
    /// Its password at the site.
    Password,
    /// The Base32 TOTP secret.
    Totp,
    /// The mailbox's password.
    MailPassword,
    /// The mailbox's app password.
    MailAppPassword,
    /// The URL of its profile.
    LinkProfile,
    /// The flat cookie string.
    Cookie,
}

impl Field {
    /// Every field, in the order in which they are merged and named.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Username,
        Self::Password,
        Self::Totp,
        Self::MailPassword,
        Self::MailAppPassword,
        Self::LinkProfile,
        Self::Cookie,
    ];

    /// Its name in audit entries and on screens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Username => "username",
            Self::Password => "password",
            Self::Totp => "totp",
            Self::MailPassword => "mail_password",
            Self::MailAppPassword => "mail_app_password",
            Self::LinkProfile => "link_profile",
            Self::Cookie => "cookie",
        }
    }
}

/// The values of one account's fields; `None` where there is no value.
#[derive(Debug, Default)]
pub struct Fields {
    /// See [`Field::Email`].
    pub email: Option<Secret>,
    /// See [`Field::Username`].
    pub username: Option<Secret>,
    /// See [`Field::Password`].
    pub password: Option<Secret>,
    /// See [`Field::Totp`].
    pub totp: Option<Secret>,
    /// See [`Field::MailPassword`].
    pub mail_password: Option<Secret>,
    /// See [`Field::MailAppPassword`].
    pub mail_app_password: Option<Secret>,
    /// See [`Field::LinkProfile`].
    pub link_profile: Option<Secret>,
    /// See [`Field::Cookie`].
    pub cookie: Option<Secret>,
}

impl Fields {
    /// The value of `field`.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<&Secret> {
        match field {
            Field::Email => self.email.as_ref(),
            Field::Username => self.username.as_ref(),
            Field::Password => self.password.as_ref(),
            Field::Totp => self.totp.as_ref(),
            Field::MailPassword => self.mail_password.as_ref(),
            Field::MailAppPassword => self.mail_app_password.as_ref(),
            Field::LinkProfile => self.link_profile.as_ref(),
            Field::Cookie => self.cookie.as_ref(),
        }
    }

    /// The place of `field`, to be changed.
    pub fn value_mut(&mut self, field: Field) -> &mut Option<Secret> {
        match field {
            Field::Email => &mut self.email,
            Field::Username => &mut self.username,
            Field::Password => &mut self.password,
            Field::Totp => &mut self.totp,
            Field::MailPassword => &mut self.mail_password,
            Field::MailAppPassword => &mut self.mail_app_password,
            Field::LinkProfile => &mut self.link_profile,
            Field::Cookie => &mut self.cookie,
        }
    }

    /// A second copy of all values.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let mut copy = Self::default();
        for field in Field::ALL {
            *copy.value_mut(field) = self.value(field).map(Secret::duplicate);
        }
        copy
    }

    /// Whether no field has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Field::ALL.into_iter().all(|field| self.value(field).is_none())
    }

    /// Takes from `task` what is empty here and overwrites nothing; says which fields were filled.
    #[must_use = "the filled fields belong in the audit"]
    pub fn fill_empty(&mut self, mut task: Self) -> Vec<Field> {
        let mut filled = Vec::new();
        for field in Field::ALL {
            let own = self.value_mut(field);
            if own.is_none() {
                *own = task.value_mut(field).take();
                if own.is_some() {
                    filled.push(field);
                }
            }
        }
        filled
    }
}

/// Whose value a contested field has after a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    /// Ours.
    Local,
    /// The manager's.
    Manager,
}

/// What [`merge`] came to.
#[derive(Debug)]
pub struct Merged {
    /// The values to keep.
    pub fields: Fields,
    /// The fields in which the manager's value differs from ours, in the order of [`Field::ALL`], and whose was kept.
    pub won: Vec<(Field, Winner)>,
    /// The base of the next merge: what the manager says now, and what it last said of a field that it leaves out.
    pub base: Fields,
}

/// Merges `mine` with `theirs`, what the manager says now, against `base`, what it said last.
///
/// Field by field: what the manager leaves out erases nothing; what it has not changed stays ours; what we have not
/// changed becomes its own; what both changed stays ours while we still owe it to the manager (it is in `owed`), and
/// becomes its own otherwise.
#[must_use]
pub fn merge(mut base: Fields, mut mine: Fields, mut theirs: Fields, owed: &[Field]) -> Merged {
    let mut won = Vec::new();
    for field in Field::ALL {
        let Some(said) = theirs.value_mut(field).take() else { continue };
        let (base, mine) = (base.value_mut(field), mine.value_mut(field));
        if !is(mine.as_ref(), &said) {
            let changed_there = !is(base.as_ref(), &said);
            let changed_here = !same(base.as_ref(), mine.as_ref());
            let winner = match (changed_there, changed_here) {
                (false, _) => Winner::Local,
                (true, false) => Winner::Manager,
                (true, true) if owed.contains(&field) => Winner::Local,
                (true, true) => Winner::Manager,
            };
            if winner == Winner::Manager {
                *mine = Some(said.duplicate());
            }
            won.push((field, winner));
        }
        *base = Some(said);
    }
    Merged { fields: mine, won, base }
}

fn is(value: Option<&Secret>, other: &Secret) -> bool {
    value.is_some_and(|value| value.same(other))
}

fn same(one: Option<&Secret>, other: Option<&Secret>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.same(other),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Field, Fields, Secret, Winner, merge};

    fn secret(text: &str) -> Option<Secret> {
        (text != "-").then(|| Secret::copy_of(text))
    }

    fn with(field: Field, text: &str) -> Fields {
        let mut fields = Fields::default();
        *fields.value_mut(field) = secret(text);
        fields
    }

    fn text(fields: &Fields, field: Field) -> String {
        // EXPOSE: the test compares.
        fields.value(field).map_or_else(|| "-".to_owned(), |value| value.expose().to_owned())
    }

    /// One row for every way in which base, mine and theirs can be absent (`-`), equal or different, owed and not.
    #[test]
    fn every_case_of_a_merge_keeps_what_the_rules_say() {
        use Winner::{Local, Manager};
        let rows = [
            // base, mine, theirs, kept, winner when owed, kept, winner when not owed, next base
            ("-", "-", "-", "-", None, "-", None, "-"),
            ("-", "-", "c", "c", Some(Manager), "c", Some(Manager), "c"),
            ("-", "b", "-", "b", None, "b", None, "-"),
            ("-", "b", "b", "b", None, "b", None, "b"),
            ("-", "b", "c", "b", Some(Local), "c", Some(Manager), "c"),
            ("a", "-", "-", "-", None, "-", None, "a"),
            ("a", "-", "a", "-", Some(Local), "-", Some(Local), "a"),
            ("a", "-", "c", "-", Some(Local), "c", Some(Manager), "c"),
            ("a", "a", "-", "a", None, "a", None, "a"),
            ("a", "a", "a", "a", None, "a", None, "a"),
            ("a", "a", "c", "c", Some(Manager), "c", Some(Manager), "c"),
            ("a", "b", "-", "b", None, "b", None, "a"),
            ("a", "b", "a", "b", Some(Local), "b", Some(Local), "a"),
            ("a", "b", "b", "b", None, "b", None, "b"),
            ("a", "b", "c", "b", Some(Local), "c", Some(Manager), "c"),
        ];
        for (base, mine, theirs, kept_owed, winner_owed, kept, winner, next) in rows {
            for field in Field::ALL {
                let case = format!("{} {base} {mine} {theirs}", field.name());
                for (owed, kept, winner) in [(vec![field], kept_owed, winner_owed), (others(field), kept, winner)] {
                    let merged = merge(with(field, base), with(field, mine), with(field, theirs), &owed);
                    assert_eq!(text(&merged.fields, field), kept, "{case} {owed:?}");
                    assert_eq!(
                        merged.won,
                        winner.map(|winner| (field, winner)).into_iter().collect::<Vec<_>>(),
                        "{case}"
                    );
                    assert_eq!(text(&merged.base, field), next, "{case}");
                    for other in others(field) {
                        assert!(merged.fields.value(other).is_none() && merged.base.value(other).is_none(), "{case}");
                    }
                }
            }
        }
    }

    fn others(field: Field) -> Vec<Field> {
        Field::ALL.into_iter().filter(|other| *other != field).collect()
    }

    #[test]
    fn fields_are_merged_each_on_its_own() {
        let base = Fields { password: secret("old"), cookie: secret("s=1"), ..Fields::default() };
        let mine = Fields { password: secret("old"), cookie: secret("s=2"), ..Fields::default() };
        let theirs = Fields { password: secret("new"), cookie: secret("s=3"), email: secret("e"), ..Fields::default() };
        let merged = merge(base, mine, theirs, &[Field::Cookie]);
        assert_eq!(
            merged.won,
            [(Field::Email, Winner::Manager), (Field::Password, Winner::Manager), (Field::Cookie, Winner::Local)]
        );
        assert_eq!(text(&merged.fields, Field::Password), "new");
        assert_eq!(text(&merged.fields, Field::Cookie), "s=2");
        assert_eq!(text(&merged.base, Field::Cookie), "s=3");
    }

    #[test]
    fn a_merge_made_twice_changes_nothing_more() {
        let merged = merge(with(Field::Cookie, "a"), with(Field::Cookie, "b"), with(Field::Cookie, "c"), &[]);
        let again = merge(merged.base, merged.fields, with(Field::Cookie, "c"), &[]);
        assert!(again.won.is_empty());
        assert_eq!(text(&again.fields, Field::Cookie), "c");
    }

    #[test]
    fn a_task_fills_what_is_empty_and_overwrites_nothing() {
        for (own, offered, kept, filled) in
            [("-", "-", "-", false), ("-", "t", "t", true), ("o", "-", "o", false), ("o", "t", "o", false)]
        {
            for field in Field::ALL {
                let mut fields = with(field, own);
                let names = fields.fill_empty(with(field, offered));
                assert_eq!(text(&fields, field), kept);
                assert_eq!(names, if filled { vec![field] } else { vec![] });
            }
        }
    }

    #[test]
    fn names_and_places_match_one_to_one() {
        for field in Field::ALL {
            let fields = with(field, "x");
            assert!(!fields.is_empty() && Fields::default().is_empty());
            assert!(fields.duplicate().value(field).is_some());
            assert_eq!(Field::ALL.iter().filter(|other| other.name() == field.name()).count(), 1);
            assert_eq!(Field::ALL.iter().filter(|other| fields.value(**other).is_some()).count(), 1);
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", with(Field::Password, "hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
