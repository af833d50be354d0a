//! Properties of sealed records: what is written is read back, other bytes are refused or mean one thing for ever.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::{collection, option, prelude::*, sample::Index};
use zeroize::Zeroizing;

use super::{LoginIntent, Malformed, MessageBody, MessageRecord, SessionRecord};
use crate::{
    Secret,
    cookies::Jar,
    model::{AccountId, AccountRecord, AccountState, Action, Actor, AuditEvent, Field, Fields, Outcome, Standing},
};

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn fields() -> impl Strategy<Value = Fields> {
    collection::vec(option::of(text()), Field::ALL.len()).prop_map(|texts| {
        let mut fields = Fields::default();
        for (field, text) in Field::ALL.into_iter().zip(texts) {
            *fields.value_mut(field) = text.map(Secret::new);
        }
        fields
    })
}

fn account() -> impl Strategy<Value = AccountRecord> {
    let names = (text(), option::of(text()), option::of(text()), option::of(text()), collection::vec(text(), 0..4));
    let standing = (0..6_u8, any::<i64>(), any::<i64>(), text());
    (names, fields(), fields(), standing, collection::vec(any::<bool>(), Field::ALL.len()), any::<(i64, i64)>())
        .prop_map(
            |(
                (site, manager_id, status, app, tags),
                fields,
                base,
                (state, until_ms, since_ms, evidence),
                owed,
                times,
            )| {
                let states = [
                    AccountState::Ready,
                    AccountState::Cooling { until_ms },
                    AccountState::NeedsHuman,
                    AccountState::Locked,
                    AccountState::Banned,
                    AccountState::Dead,
                ];
                AccountRecord {
                    notes: site.clone(),
                    site,
                    manager_id,
                    fields,
                    app_password: app.map(Secret::new),
                    tags,
                    manager_status: status,
                    standing: Standing { state: states[usize::from(state)], since_ms, evidence },
                    base,
                    owed: Field::ALL.into_iter().zip(owed).filter_map(|(field, owed)| owed.then_some(field)).collect(),
                    created_ms: times.0,
                    updated_ms: times.1,
                }
            },
        )
}

/// Reads bytes as each kind of record; what was read, written again.
fn rewrite(bytes: &[u8]) -> [Result<Zeroizing<Vec<u8>>, Malformed>; 5] {
    [
        AccountRecord::from_bytes(bytes).map(|record| record.to_bytes()),
        SessionRecord::from_bytes(bytes).map(|record| record.to_bytes()),
        LoginIntent::from_bytes(bytes).map(|record| record.to_bytes()),
        MessageRecord::from_bytes(bytes).map(|record| record.to_bytes()),
        AuditEvent::from_bytes(bytes).map(|record| record.to_bytes()),
    ]
}

/// Whether what the bytes are read as, and written, is read and written the same for ever.
fn settles(bytes: &[u8]) -> bool {
    rewrite(bytes).iter().enumerate().all(|(kind, once)| {
        let Ok(once) = once else { return true };
        rewrite(once)[kind].as_ref() == Ok(once)
    })
}

proptest! {
    #[test]
    fn any_account_survives_its_bytes(record in account()) {
        let bytes = record.to_bytes();
        let read = AccountRecord::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&*read.to_bytes(), &*bytes);
        prop_assert_eq!((read.standing, read.owed, read.tags), (record.standing, record.owed, record.tags));
        for field in Field::ALL {
            // EXPOSE: what a test made up is compared.
            let of = |fields: &Fields| fields.value(field).map(|secret| secret.expose().to_owned());
            prop_assert_eq!(of(&read.fields), of(&record.fields));
            prop_assert_eq!(of(&read.base), of(&record.base));
        }
    }

    #[test]
    fn any_session_intent_message_and_entry_survives_its_bytes(
        (login_epoch, at_ms, lost_before) in any::<(u64, i64, u32)>(),
        totp_step in option::of(any::<u64>()),
        id in option::of(any::<[u8; 16]>()),
        (name, detail) in (text(), text()),
        action in 1..=14_u8,
        body in collection::vec(any::<u8>(), 0..40),
    ) {
        let mut jar = Jar::new();
        let _ = jar.store(&"https://x.example/".parse().unwrap(), b"a=b; Max-Age=9", at_ms);
        let session = SessionRecord { login_epoch, jar, since_ms: at_ms, storage: None };
        let read = SessionRecord::from_bytes(&session.to_bytes()).unwrap();
        prop_assert_eq!((read.login_epoch, read.since_ms), (login_epoch, at_ms));
        prop_assert_eq!(&*read.jar.to_bytes(), &*session.jar.to_bytes());

        let account = id.map(AccountId::from_bytes);
        let intent = LoginIntent {
            account: account.unwrap_or(AccountId::from_bytes([0; 16])),
            login_epoch,
            totp_step,
            at_ms,
            lost_before,
        };
        prop_assert!(LoginIntent::from_bytes(&intent.to_bytes()).is_ok_and(|read| read == intent));

        let actor = Actor { uid: lost_before, user: name.clone(), pid: 7, name: name.clone() };
        let (action, outcome) = (Action::from_u8(action).unwrap(), Outcome::Refused);
        let event = AuditEvent { at_ms, actor, action, outcome, account, detail };
        prop_assert!(AuditEvent::from_bytes(&event.to_bytes()).is_ok_and(|read| read == event));

        let update = MessageBody::Account { manager_id: name.clone(), update: body.clone().into() };
        let update = MessageRecord::from_bytes(&MessageRecord::from(update).to_bytes()).unwrap();
        let MessageBody::Account { manager_id, update } = update.body else {
            return Err(TestCaseError::fail("an update came back as a report"));
        };
        prop_assert_eq!((&manager_id, &*update), (&name, &body));
        let report = MessageBody::Task { task: manager_id.clone(), body: body.clone().into() };
        let report = MessageRecord { body: report, since_ms: Some(at_ms), stuck: Some(name.clone()) };
        let report = MessageRecord::from_bytes(&report.to_bytes()).unwrap();
        prop_assert_eq!((report.since_ms, report.stuck), (Some(at_ms), Some(name.clone())));
        let MessageBody::Task { task, body: read } = report.body else {
            return Err(TestCaseError::fail("a report came back as an update"));
        };
        prop_assert_eq!((task, &*read), (name, &body));
    }

    #[test]
    fn no_bytes_panic_and_what_is_read_has_one_meaning(
        record in account(),
        bytes in collection::vec(any::<u8>(), 0..80),
        edit in any::<Index>(),
        byte: u8,
        cut in any::<Index>(),
    ) {
        let mut written = record.to_bytes();
        prop_assert!(AccountRecord::from_bytes(&written[..cut.index(written.len())]).is_err());
        let at = edit.index(written.len());
        written[at] = byte;
        prop_assert!(settles(&bytes) && settles(&written));
    }
}
