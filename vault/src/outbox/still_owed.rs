//! What of an account's update is still to be told once the vault was restored. Pure: asks neither vault nor manager.
//!
//! In the time that was lost the manager may have been told already, or something newer; what it has changed since the vault
//! last heard of it is its own.

use crate::{
    account_api::{AccountUpdate, ManagerAccount},
    model::{AccountRecord, Field},
};

/// The part of `update` that the manager has not changed since the base of `record`, and the fields that it has: those are
/// owed no more, whether it was told them in the lost time or something else.
pub(super) fn still_owed(
    record: &AccountRecord,
    mut update: AccountUpdate,
    said: &ManagerAccount,
) -> (AccountUpdate, Vec<Field>) {
    let mut overtaken = Vec::new();
    for field in update.owed() {
        let is_unchanged = match (said.fields.value(field), record.base.value(field)) {
            (Some(now), Some(then)) => now.same(then),
            (now, _) => now.is_none(),
        };
        if !is_unchanged {
            overtaken.push(field);
            update = update.without(field);
        }
    }
    if said.status.is_some() && said.status != record.manager_status {
        update = update.without_status();
    }
    (update, overtaken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{AccountRecord, AccountUpdate, Field, ManagerAccount, still_owed};
    use crate::{
        Secret,
        account_api::{AccountStatus, UpdateField},
    };

    fn value(text: &str) -> Option<Secret> {
        (text != "-").then(|| Secret::copy_of(text))
    }

    /// A password and a cookie are owed, the cookie's base and the manager's word being the same throughout.
    #[test]
    fn only_what_the_manager_has_not_changed_since_it_was_last_heard_is_told() {
        for (base, now, told) in [
            ("a", "a", true),
            ("a", "b", false),
            // What is owed, told in the lost time already.
            ("a", "mine", false),
            // A field that the manager leaves out says nothing, so that ours is told.
            ("a", "-", true),
            ("-", "-", true),
            ("-", "b", false),
        ] {
            let mut record = AccountRecord::new("site.test".into(), 0);
            (record.base.password, record.base.cookie) = (value(base), value("s=1"));
            let mut said = ManagerAccount { id: "7".into(), ..ManagerAccount::default() };
            (said.fields.password, said.fields.cookie) = (value(now), value("s=1"));
            let update = AccountUpdate::new()
                .set(UpdateField::Password, Secret::copy_of("mine"))
                .and_then(|update| update.set(UpdateField::Cookie, Secret::copy_of("s=2")))
                .unwrap();
            let (left, overtaken) = still_owed(&record, update, &said);
            let named: Vec<_> = left.names().collect();
            assert_eq!(named.contains(&"password"), told, "{base} {now}: {named:?}");
            assert!(named.contains(&"cookie"), "{base} {now}: {named:?}");
            assert_eq!(overtaken, if told { vec![] } else { vec![Field::Password] }, "{base} {now}");
        }
    }

    #[test]
    fn a_status_is_told_only_over_the_one_that_was_last_heard() {
        for (known, said, told) in [
            (Some("active"), Some("active"), true),
            (Some("active"), Some("dead"), false),
            (None, Some("dead"), false),
            (Some("active"), None, true),
            (None, None, true),
        ] {
            let mut record = AccountRecord::new("site.test".into(), 0);
            record.manager_status = known.map(str::to_owned);
            let said = ManagerAccount { status: said.map(str::to_owned), ..ManagerAccount::default() };
            let (left, overtaken) = still_owed(&record, AccountUpdate::new().status(AccountStatus::Banned), &said);
            assert_eq!(left.new_status().is_some(), told, "{known:?} {:?}", said.status);
            assert_eq!((left.is_empty(), overtaken), (!told, vec![]));
        }
    }
}
