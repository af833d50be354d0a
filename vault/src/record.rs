//! Sealed records as CBOR: maps with integer keys, read without scratch copies of a secret.
//!
//! The only place that knows the bytes inside a seal; FORMAT.md states them. Knows no key and no row.

#[cfg(test)]
mod random;

use minicbor::{CborLen, Decode, Encode, bytes::ByteSlice};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    cookies::Jar,
    model::{
        AccountId, AccountRecord, AccountState, Action, Actor, AuditEvent, Field, Fields, Outcome, Secret, Standing,
    },
};

/// An opened record is not what this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a sealed record opened, but is not what this version writes")]
pub(crate) struct Malformed;

/// A session as it is sealed.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    /// How many logins led to it; the row repeats it in clear.
    pub(crate) login_epoch: u64,
    /// Its cookies.
    pub(crate) jar: Jar,
    /// When it was made by a login or taken from the manager, Unix milliseconds.
    pub(crate) since_ms: i64,
    /// What it has beside cookies, web storage among it: a storageState without what the jar holds, JSON text.
    pub(crate) storage: Option<Secret>,
}

/// A login that was about to be sent: durable before the request, closed with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoginIntent {
    /// For which account.
    pub(crate) account: AccountId,
    /// The login epoch that it was to replace.
    pub(crate) login_epoch: u64,
    /// The TOTP step that was reserved for it.
    pub(crate) totp_step: Option<u64>,
    /// When, Unix milliseconds.
    pub(crate) at_ms: i64,
    /// How many logins for this expiry were sent before it and lost their answer.
    pub(crate) lost_before: u32,
}

/// A message to the manager as it is sealed.
#[derive(Debug)]
pub(crate) struct MessageRecord {
    /// What is to be told.
    pub(crate) body: MessageBody,
    /// Since when it, or the oldest of those that it stands in for, is owed, Unix milliseconds.
    pub(crate) since_ms: Option<i64>,
    /// Why it was refused for good.
    pub(crate) stuck: Option<String>,
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum MessageBody {
    /// An update of an account's record, as the account API encodes it.
    Account {
        /// The manager's id of the account.
        manager_id: String,
        /// The encoded update.
        update: Zeroizing<Vec<u8>>,
    },
    /// A report on a task.
    Task {
        /// Names the task: what its messages are found by is computed from it.
        task: String,
        /// The report, opaque here.
        body: Zeroizing<Vec<u8>>,
    },
}

/// A caller's item as it is sealed.
#[derive(Debug)]
pub(crate) struct ItemRecord {
    /// What it is found by.
    pub(crate) key: String,
    /// What it says, opaque here.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct FieldsV1<'a> {
    #[n(1)]
    email: Option<&'a str>,
    #[n(2)]
    username: Option<&'a str>,
    #[n(3)]
    password: Option<&'a str>,
    #[n(4)]
    totp: Option<&'a str>,
    #[n(5)]
    mail_password: Option<&'a str>,
    #[n(6)]
    mail_app_password: Option<&'a str>,
    #[n(7)]
    link_profile: Option<&'a str>,
    #[n(8)]
    cookie: Option<&'a str>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct AccountV1<'a> {
    #[n(1)]
    site: &'a str,
    #[n(2)]
    manager_id: Option<&'a str>,
    #[b(3)]
    fields: FieldsV1<'a>,
    #[n(4)]
    app_password: Option<&'a str>,
    #[b(5)]
    tags: Vec<&'a str>,
    #[n(6)]
    notes: &'a str,
    #[n(7)]
    manager_status: Option<&'a str>,
    #[n(8)]
    state: u8,
    #[n(9)]
    until_ms: i64,
    #[n(10)]
    since_ms: i64,
    #[n(11)]
    evidence: &'a str,
    #[b(12)]
    base: FieldsV1<'a>,
    #[n(13)]
    owed: u8,
    #[n(14)]
    created_ms: i64,
    #[n(15)]
    updated_ms: i64,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct SessionV1<'a> {
    #[n(1)]
    login_epoch: u64,
    #[b(2)]
    jar: &'a ByteSlice,
    #[n(3)]
    since_ms: i64,
    #[n(4)]
    storage: Option<&'a str>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct IntentV1<'a> {
    #[b(1)]
    account: &'a ByteSlice,
    #[n(2)]
    login_epoch: u64,
    #[n(3)]
    totp_step: Option<u64>,
    #[n(4)]
    at_ms: i64,
    #[n(5)]
    lost_before: u32,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct MessageV1<'a> {
    #[n(1)]
    manager_id: Option<&'a str>,
    #[b(2)]
    body: &'a ByteSlice,
    #[n(3)]
    task: Option<&'a str>,
    #[n(4)]
    since_ms: Option<i64>,
    #[n(5)]
    stuck: Option<&'a str>,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct ItemV1<'a> {
    #[n(1)]
    key: &'a str,
    #[b(2)]
    body: &'a ByteSlice,
}

#[derive(Encode, Decode, CborLen)]
#[cbor(map)]
struct AuditV1<'a> {
    #[n(1)]
    at_ms: i64,
    #[n(2)]
    uid: u32,
    #[n(3)]
    pid: u32,
    #[n(4)]
    name: &'a str,
    #[n(5)]
    action: u8,
    #[b(6)]
    account: Option<&'a ByteSlice>,
    #[n(7)]
    detail: &'a str,
    #[n(8)]
    user: Option<&'a str>,
    #[n(9)]
    outcome: Option<u8>,
}

impl AccountRecord {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (state, until_ms) = state_code(self.standing.state);
        encode(&AccountV1 {
            site: &self.site,
            manager_id: self.manager_id.as_deref(),
            fields: fields_v1(&self.fields),
            app_password: self.app_password.as_ref().map(exposed),
            tags: self.tags.iter().map(String::as_str).collect(),
            notes: &self.notes,
            manager_status: self.manager_status.as_deref(),
            state,
            until_ms,
            since_ms: self.standing.since_ms,
            evidence: &self.standing.evidence,
            base: fields_v1(&self.base),
            owed: self.owed.iter().fold(0, |bits, field| bits | field_bit(*field)),
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
        })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let v1: AccountV1<'_> = minicbor::decode(bytes).map_err(|_| Malformed)?;
        Ok(Self {
            site: v1.site.to_owned(),
            manager_id: v1.manager_id.map(str::to_owned),
            fields: fields(&v1.fields),
            app_password: v1.app_password.map(Secret::copy_of),
            tags: v1.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            notes: v1.notes.to_owned(),
            manager_status: v1.manager_status.map(str::to_owned),
            standing: Standing {
                state: state_of(v1.state, v1.until_ms)?,
                since_ms: v1.since_ms,
                evidence: v1.evidence.to_owned(),
            },
            base: fields(&v1.base),
            owed: Field::ALL.into_iter().filter(|field| v1.owed & field_bit(*field) != 0).collect(),
            created_ms: v1.created_ms,
            updated_ms: v1.updated_ms,
        })
    }
}

/// One field of an account's record, without copies of the others.
pub(crate) fn account_field(bytes: &[u8], field: Field) -> Result<Option<Secret>, Malformed> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let entries = decoder.map().map_err(|_| Malformed)?.ok_or(Malformed)?;
    for _ in 0..entries {
        if decoder.u8().map_err(|_| Malformed)? == FIELDS_KEY {
            let fields: FieldsV1<'_> = decoder.decode().map_err(|_| Malformed)?;
            return Ok(field_v1(&fields, field).map(Secret::copy_of));
        }
        decoder.skip().map_err(|_| Malformed)?;
    }
    Err(Malformed)
}

impl SessionRecord {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let jar = self.jar.to_bytes();
        let storage = self.storage.as_ref().map(exposed);
        let (login_epoch, since_ms) = (self.login_epoch, self.since_ms);
        encode(&SessionV1 { login_epoch, jar: jar.as_slice().into(), since_ms, storage })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let v1: SessionV1<'_> = minicbor::decode(bytes).map_err(|_| Malformed)?;
        let jar = Jar::from_bytes(v1.jar).map_err(|_| Malformed)?;
        let storage = v1.storage.map(Secret::copy_of);
        Ok(Self { login_epoch: v1.login_epoch, jar, since_ms: v1.since_ms, storage })
    }
}

impl LoginIntent {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        encode(&IntentV1 {
            account: self.account.as_bytes().as_slice().into(),
            login_epoch: self.login_epoch,
            totp_step: self.totp_step,
            at_ms: self.at_ms,
            lost_before: self.lost_before,
        })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let v1: IntentV1<'_> = minicbor::decode(bytes).map_err(|_| Malformed)?;
        Ok(Self {
            account: account_id(v1.account)?,
            login_epoch: v1.login_epoch,
            totp_step: v1.totp_step,
            at_ms: v1.at_ms,
            lost_before: v1.lost_before,
        })
    }
}

impl MessageRecord {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (manager_id, task, body) = match &self.body {
            MessageBody::Account { manager_id, update } => (Some(manager_id.as_str()), None, update),
            MessageBody::Task { task, body } => (None, Some(task.as_str()), body),
        };
        let (since_ms, stuck) = (self.since_ms, self.stuck.as_deref());
        encode(&MessageV1 { manager_id, body: body.as_slice().into(), task, since_ms, stuck })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let v1: MessageV1<'_> = minicbor::decode(bytes).map_err(|_| Malformed)?;
        let body = Zeroizing::new(v1.body.to_vec());
        let body = match (v1.manager_id, v1.task) {
            (Some(manager_id), None) => MessageBody::Account { manager_id: manager_id.to_owned(), update: body },
            (None, Some(task)) => MessageBody::Task { task: task.to_owned(), body },
            _ => return Err(Malformed),
        };
        Ok(Self { body, since_ms: v1.since_ms, stuck: v1.stuck.map(str::to_owned) })
    }
}

impl From<MessageBody> for MessageRecord {
    fn from(body: MessageBody) -> Self {
        Self { body, since_ms: None, stuck: None }
    }
}

impl ItemRecord {
    /// Encodes an item without copying it first.
    pub(crate) fn encode(key: &str, body: &[u8]) -> Zeroizing<Vec<u8>> {
        encode(&ItemV1 { key, body: body.into() })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let v1: ItemV1<'_> = minicbor::decode(bytes).map_err(|_| Malformed)?;
        Ok(Self { key: v1.key.to_owned(), body: Zeroizing::new(v1.body.to_vec()) })
    }
}

impl AuditEvent {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        encode(&AuditV1 {
            at_ms: self.at_ms,
            uid: self.actor.uid,
            pid: self.actor.pid,
            name: &self.actor.name,
            action: self.action as u8,
            account: self.account.as_ref().map(|id| id.as_bytes().as_slice().into()),
            detail: &self.detail,
            user: Some(self.actor.user.as_str()).filter(|user| !user.is_empty()),
            outcome: Some(self.outcome as u8).filter(|_| self.outcome != Outcome::Done),
        })
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let v1: AuditV1<'_> = minicbor::decode(bytes).map_err(|_| Malformed)?;
        Ok(Self {
            at_ms: v1.at_ms,
            actor: Actor {
                uid: v1.uid,
                user: v1.user.unwrap_or_default().to_owned(),
                pid: v1.pid,
                name: v1.name.to_owned(),
            },
            action: Action::from_u8(v1.action).ok_or(Malformed)?,
            outcome: v1.outcome.map_or(Some(Outcome::Done), Outcome::from_u8).ok_or(Malformed)?,
            account: v1.account.map(|id| account_id(id)).transpose()?,
            detail: v1.detail.to_owned(),
        })
    }
}

/// Encodes into one buffer of exactly the right size, so that growing leaves no copy behind.
pub(crate) fn encode<T: Encode<()> + CborLen<()>>(value: &T) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(minicbor::len(value)));
    #[expect(
        clippy::expect_used,
        reason = "a Vec takes every byte, and the derived encoders add no error of their own"
    )]
    minicbor::encode(value, &mut *bytes).expect("writing to a Vec does not fail");
    bytes
}

fn exposed(secret: &Secret) -> &str {
    // EXPOSE: the record is being encoded for sealing, into a buffer that is wiped.
    secret.expose()
}

fn fields_v1(fields: &Fields) -> FieldsV1<'_> {
    let text = |field| fields.value(field).map(exposed);
    FieldsV1 {
        email: text(Field::Email),
        username: text(Field::Username),
        password: text(Field::Password),
        totp: text(Field::Totp),
        mail_password: text(Field::MailPassword),
        mail_app_password: text(Field::MailAppPassword),
        link_profile: text(Field::LinkProfile),
        cookie: text(Field::Cookie),
    }
}

fn field_v1<'a>(v1: &FieldsV1<'a>, field: Field) -> Option<&'a str> {
    match field {
        Field::Email => v1.email,
        Field::Username => v1.username,
        Field::Password => v1.password,
        Field::Totp => v1.totp,
        Field::MailPassword => v1.mail_password,
        Field::MailAppPassword => v1.mail_app_password,
        Field::LinkProfile => v1.link_profile,
        Field::Cookie => v1.cookie,
    }
}

fn fields(v1: &FieldsV1<'_>) -> Fields {
    Fields {
        email: v1.email.map(Secret::copy_of),
        username: v1.username.map(Secret::copy_of),
        password: v1.password.map(Secret::copy_of),
        totp: v1.totp.map(Secret::copy_of),
        mail_password: v1.mail_password.map(Secret::copy_of),
        mail_app_password: v1.mail_app_password.map(Secret::copy_of),
        link_profile: v1.link_profile.map(Secret::copy_of),
        cookie: v1.cookie.map(Secret::copy_of),
    }
}

fn field_bit(field: Field) -> u8 {
    match field {
        Field::Email => 1,
        Field::Username => 2,
        Field::Password => 4,
        Field::Totp => 8,
        Field::MailPassword => 16,
        Field::MailAppPassword => 32,
        Field::LinkProfile => 64,
        Field::Cookie => 128,
    }
}

fn state_code(state: AccountState) -> (u8, i64) {
    match state {
        AccountState::Ready => (0, 0),
        AccountState::Cooling { until_ms } => (1, until_ms),
        AccountState::NeedsHuman => (2, 0),
        AccountState::Locked => (3, 0),
        AccountState::Banned => (4, 0),
        AccountState::Dead => (5, 0),
    }
}

fn state_of(code: u8, until_ms: i64) -> Result<AccountState, Malformed> {
    Ok(match code {
        0 => AccountState::Ready,
        1 => AccountState::Cooling { until_ms },
        2 => AccountState::NeedsHuman,
        3 => AccountState::Locked,
        4 => AccountState::Banned,
        5 => AccountState::Dead,
        _ => return Err(Malformed),
    })
}

fn account_id(bytes: &[u8]) -> Result<AccountId, Malformed> {
    bytes.try_into().map(AccountId::from_bytes).map_err(|_| Malformed)
}

/// Where an account's map has its fields, as [`AccountV1`] says.
const FIELDS_KEY: u8 = 3;
/// A message is bound to revision 1 for good: only where it stands changes, never what it says.
pub(crate) const MESSAGE_REV: u64 = 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::{ItemRecord, LoginIntent, MessageBody, MessageRecord, SessionRecord, account_field};
    use crate::{
        Secret,
        cookies::Jar,
        model::{AccountId, AccountRecord, AccountState, Action, Actor, AuditEvent, Field, Outcome, Standing},
    };

    #[test]
    fn an_account_survives_its_bytes() {
        let mut record = AccountRecord::new("example.test".into(), 5);
        record.manager_id = Some("m-1".into());
        record.fields.password = Some(Secret::copy_of("pässwörd"));
        record.fields.cookie = Some(Secret::copy_of("a=b"));
        record.app_password = Some(Secret::copy_of("site app"));
        record.tags = vec!["eu".into(), "blog".into()];
        record.notes = "note".into();
        record.manager_status = Some("something new".into());
        record.standing =
            Standing { state: AccountState::Cooling { until_ms: 9 }, since_ms: 7, evidence: "429".into() };
        record.base.password = Some(Secret::copy_of("old"));
        record.owed = vec![Field::Password, Field::Cookie];
        let read = AccountRecord::from_bytes(&record.to_bytes()).unwrap();
        assert_eq!(read.to_bytes(), record.to_bytes());
        assert_eq!(read.standing, record.standing);
        assert_eq!(read.owed, record.owed);
        assert_eq!(read.fields.password.as_ref().unwrap().expose(), "pässwörd");
        for field in Field::ALL {
            let one = account_field(&record.to_bytes(), field).unwrap();
            assert_eq!(one.as_ref().map(Secret::expose), read.fields.value(field).map(Secret::expose), "{field:?}");
        }
    }

    #[test]
    fn the_other_records_survive_their_bytes() {
        let storage = Some(Secret::copy_of("{}"));
        let session = SessionRecord { login_epoch: 3, jar: Jar::new(), since_ms: 4, storage };
        let read = SessionRecord::from_bytes(&session.to_bytes()).unwrap();
        assert_eq!((read.login_epoch, read.storage.unwrap().expose()), (3, "{}"));
        let account = AccountId::from_bytes([3; 16]);
        let intent = LoginIntent { account, login_epoch: 2, totp_step: Some(9), at_ms: 1, lost_before: 1 };
        assert_eq!(LoginIntent::from_bytes(&intent.to_bytes()).unwrap(), intent);
        for (user, outcome) in [("ann", Outcome::Done), ("", Outcome::Refused)] {
            let event = AuditEvent {
                at_ms: 1,
                actor: Actor { uid: 1, user: user.into(), pid: 2, name: "cli".into() },
                action: Action::Add,
                outcome,
                account: Some(account),
                detail: "d".into(),
            };
            assert_eq!(AuditEvent::from_bytes(&event.to_bytes()).unwrap(), event);
        }
        let body = MessageBody::Account { manager_id: "m".into(), update: vec![1, 2].into() };
        let owed = MessageRecord { body, since_ms: Some(-5), stuck: Some("no".into()) };
        let read = MessageRecord::from_bytes(&owed.to_bytes()).unwrap();
        assert!(matches!(read.body, MessageBody::Account { .. }));
        assert_eq!((read.since_ms, read.stuck.as_deref()), (Some(-5), Some("no")));
        let report = MessageRecord::from(MessageBody::Task { task: "t".into(), body: vec![1].into() });
        let read = MessageRecord::from_bytes(&report.to_bytes()).unwrap();
        let MessageBody::Task { task, .. } = read.body else { panic!() };
        assert_eq!((task.as_str(), read.since_ms, read.stuck), ("t", None, None));
        let item = ItemRecord::from_bytes(&ItemRecord::encode("k", &[1, 2])).unwrap();
        assert_eq!((item.key.as_str(), item.body.as_slice()), ("k", &[1, 2][..]));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&[][..], &[0xa0], &[0xff; 40], b"not cbor"] {
            assert!(AccountRecord::from_bytes(bytes).is_err());
            assert!(account_field(bytes, Field::Password).is_err());
            assert!(AuditEvent::from_bytes(bytes).is_err());
            assert!(SessionRecord::from_bytes(bytes).is_err());
        }
    }
}
