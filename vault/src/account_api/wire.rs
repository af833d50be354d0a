//! The manager's names and JSON for accounts, read leniently: no field is required and none can spoil another.
//!
//! The model does not know these names. A text is taken; `null`, an empty text and a placeholder are no value; any other
//! type, and a text beyond its bound, is unusable and named as such.

use jiff::Timestamp;

use super::{ManagerAccount, is_placeholder, parse_time};
use crate::{
    limits::{FLAT_COOKIE_MAX_BYTES, NAME_MAX_BYTES, SECRET_MAX_BYTES, URL_MAX_BYTES},
    manager_http::Json,
    model::{Field, Fields, Secret},
};

/// The manager's name of a field, the same in tasks, in accounts and in updates.
#[must_use]
pub const fn wire_name(field: Field) -> &'static str {
    match field {
        Field::Email => "email",
        Field::Username => "username",
        Field::Password => "password",
        Field::Totp => "twofa",
        Field::MailPassword => "pass_mail",
        Field::MailAppPassword => "app_password",
        Field::LinkProfile => "link_profile",
        Field::Cookie => "cookie",
    }
}

/// The credentials of a task or an account.
#[derive(Debug, Default)]
pub struct FieldsRead {
    /// What is a value.
    pub fields: Fields,
    /// The manager's names of what is there but cannot be used.
    pub unusable: Vec<&'static str>,
}

/// Reads the credentials of `object`, a task or an account of the manager. Anything but an object has none.
#[must_use]
pub fn read_fields(object: &Json) -> FieldsRead {
    let mut read = FieldsRead::default();
    let mut reader = Reader { object, unusable: &mut read.unusable };
    for field in Field::ALL {
        *read.fields.value_mut(field) = reader.value(wire_name(field), max_bytes(field));
    }
    read
}

/// The account in `data`; `None` where that is no object. An answer without an id is taken for that of `asked`.
pub(crate) fn account(asked: &str, data: &Json) -> Option<ManagerAccount> {
    let Json::Object(_) = data else { return None };
    let FieldsRead { fields, mut unusable } = read_fields(data);
    let mut reader = Reader { object: data, unusable: &mut unusable };
    let mut account = ManagerAccount {
        id: reader.text("id", NAME_MAX_BYTES).unwrap_or_else(|| asked.to_owned()),
        post_id: reader.text("post_id", NAME_MAX_BYTES),
        register_id: reader.text("register_id", NAME_MAX_BYTES),
        group_id: reader.text("group_id", NAME_MAX_BYTES),
        site_id: reader.text("site_id", NAME_MAX_BYTES),
        site_name: reader.text("site_name", NAME_MAX_BYTES),
        status: reader.text("status", NAME_MAX_BYTES),
        posting_status: reader.text("posting_status", NAME_MAX_BYTES),
        post_task_id: reader.text("post_task_id", NAME_MAX_BYTES),
        post_link: reader.text("post_link", URL_MAX_BYTES),
        fields,
        created_at: reader.time("created_at"),
        updated_at: reader.time("updated_at"),
        last_used_at: reader.time("last_used_at"),
        unusable: Vec::new(),
    };
    account.unusable = unusable;
    Some(account)
}

/// The most bytes that a field may have.
pub(super) const fn max_bytes(field: Field) -> usize {
    match field {
        Field::Email | Field::Username => NAME_MAX_BYTES,
        Field::Password | Field::Totp | Field::MailPassword | Field::MailAppPassword => SECRET_MAX_BYTES,
        Field::LinkProfile => URL_MAX_BYTES,
        Field::Cookie => FLAT_COOKIE_MAX_BYTES,
    }
}

struct Reader<'a> {
    object: &'a Json,
    unusable: &'a mut Vec<&'static str>,
}

impl Reader<'_> {
    fn value(&mut self, name: &'static str, max_bytes: usize) -> Option<Secret> {
        match self.object.member(name) {
            None | Some(Json::Null) => None,
            // EXPOSE: whether it is a value is seen from its text.
            Some(Json::Text(text)) if is_placeholder(text.expose()) => None,
            // EXPOSE: its length is compared.
            Some(Json::Text(text)) if text.expose().len() <= max_bytes => Some(text.duplicate()),
            _ => {
                self.unusable.push(name);
                None
            }
        }
    }

    /// A text that is shown and compared, and is no secret.
    fn text(&mut self, name: &'static str, max_bytes: usize) -> Option<String> {
        let value = self.value(name, max_bytes)?;
        // EXPOSE: ids, statuses and links are kept as plain text.
        let text = value.expose();
        if text.chars().any(char::is_control) {
            self.unusable.push(name);
            return None;
        }
        Some(text.to_owned())
    }

    fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name, NAME_MAX_BYTES)?;
        let time = parse_time(&text);
        if time.is_none() {
            self.unusable.push(name);
        }
        time
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use proptest::{collection, prelude::*, sample::select};

    use super::{account, read_fields, wire_name};
    use crate::{
        limits::NAME_MAX_BYTES,
        manager_http::Json,
        model::{Field, Secret},
    };

    fn parse(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    /// What the member `json` of each credential is read as, and whether it is called unusable.
    #[track_caller]
    fn check(json: &str, value: Option<&str>, unusable: bool) {
        for field in Field::ALL {
            let name = wire_name(field);
            let read = read_fields(&parse(&format!(r#"{{"before":1,"{name}":{json},"after":[]}}"#)));
            // EXPOSE: the test compares.
            assert_eq!(read.fields.value(field).map(Secret::expose), value, "{name}: {json}");
            assert_eq!(read.unusable, if unusable { vec![name] } else { vec![] }, "{name}: {json}");
            for other in Field::ALL.into_iter().filter(|other| *other != field) {
                assert!(read.fields.value(other).is_none());
            }
        }
    }

    #[test]
    fn a_credential_is_its_text_or_no_value_or_unusable() {
        check(r#""value""#, Some("value"), false);
        check(r#"" đ ""#, Some(" đ "), false);
        for none in ["null", r#""""#, r#"" ""#, r#""...""#, r#""xxxx xxxx xxxx xxxx""#, r#""JBSWY3DPEHPK3PXP""#] {
            check(none, None, false);
        }
        for wrong in ["0", "12345", "true", "[]", r#"["value"]"#, r#"{"value":"x"}"#] {
            check(wrong, None, true);
        }
        check(&format!("\"{}\"", "a".repeat(64 * 1024 + 1)), None, true);
    }

    #[test]
    fn an_account_is_read_whatever_its_fields_look_like() {
        let json = parse(
            r#"{"id":"acc","post_id":"","site_name":"sutori.com","status":"limbo","posting_status":7,
                "post_task_id":null,"post_link":"https://a.example/\u001b","email":"a@b.example","username":"u",
                "password":"p","pass_mail":"xxxx xxxx xxxx xxxx","twofa":"...","app_password":{},"new_field":[1,{}],
                "created_at":"2026-04-28T13:05:58+0700","updated_at":"2026-05-06T09:35:35+07:00",
                "last_used_at":"yesterday","cookie":"sid=1; csrf=2"}"#,
        );
        let account = account("acc", &json).unwrap();
        assert_eq!(account.id, "acc");
        assert_eq!((account.post_id, account.post_task_id, account.post_link), (None, None, None));
        assert_eq!(account.site_name.as_deref(), Some("sutori.com"));
        assert_eq!(account.status.as_deref(), Some("limbo"));
        assert_eq!(account.created_at.unwrap().as_second(), 1_777_356_358);
        assert!(account.updated_at.is_some() && account.last_used_at.is_none());
        // EXPOSE: the test compares.
        assert_eq!(account.fields.cookie.as_ref().unwrap().expose(), "sid=1; csrf=2");
        assert!(account.fields.mail_password.is_none() && account.fields.totp.is_none());
        assert_eq!(account.unusable, ["app_password", "posting_status", "post_link", "last_used_at"]);
    }

    #[test]
    fn an_account_without_an_id_is_the_one_asked_for_and_no_object_is_none() {
        assert_eq!(account("asked", &parse("{}")).unwrap().id, "asked");
        assert_eq!(account("asked", &parse(r#"{"id":5}"#)).unwrap().id, "asked");
        assert_eq!(account("asked", &parse(r#"{"id":"other"}"#)).unwrap().id, "other");
        for json in ["null", "[]", r#""text""#, "1"] {
            assert!(account("asked", &parse(json)).is_none(), "{json}");
        }
    }

    #[test]
    fn debug_shows_neither_credentials_nor_the_site() {
        let json = r#"{"site_name":"sutori.com","username":"canary","cookie":"canary","post_link":"canary"}"#;
        let shown = format!("{:?}", account("acc", &parse(json)).unwrap());
        assert!(!shown.contains("canary") && !shown.contains("sutori"), "{shown}");
    }

    #[test]
    fn a_name_is_bounded_in_bytes() {
        let at = format!(r#"{{"username":"{}"}}"#, "a".repeat(NAME_MAX_BYTES));
        let above = format!(r#"{{"username":"{}"}}"#, "a".repeat(NAME_MAX_BYTES + 1));
        assert!(read_fields(&parse(&at)).fields.username.is_some());
        assert_eq!(read_fields(&parse(&above)).unusable, ["username"]);
    }

    proptest! {
        #[test]
        fn one_odd_member_spoils_no_other_one(
            members in collection::vec((select(MEMBERS), select(VALUES)), 0..12),
            name in select(MEMBERS),
        ) {
            let odd: String = members.iter().map(|(name, value)| format!(r#""{name}":{value},"#)).collect();
            // Of a name that stands twice the last one counts.
            let json = parse(&format!(r#"{{{odd}"{name}":"a value","id":"acc"}}"#));
            let account = account("asked", &json).unwrap();
            prop_assert_eq!(&account.id, "acc");
            prop_assert!(!account.unusable.contains(&name));
            if let Some(field) = Field::ALL.into_iter().find(|field| wire_name(*field) == name) {
                // EXPOSE: the test compares.
                prop_assert_eq!(account.fields.value(field).map(Secret::expose), Some("a value"));
            }
        }
    }

    const MEMBERS: &[&str] = &[
        "email",
        "username",
        "password",
        "twofa",
        "pass_mail",
        "cookie",
        "link_profile",
        "status",
        "site_name",
        "note",
    ];
    const VALUES: &[&str] = &["null", "1", "[]", "{}", "true", r#""...""#, r#""x""#, r#""\u0000""#, "[[{}]]", "-1e9"];
}
