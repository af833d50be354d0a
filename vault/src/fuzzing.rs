//! What the fuzz targets need of parsers that are not public: thin wrappers, in builds with the feature `fuzzing` only.
//!
//! No part of the API, and nothing in the workspace turns the feature on. Knows nothing of its own.

use url::Url;
use zeroize::Zeroizing;

use crate::{
    account_api::{ManagerAccount, read_account as read},
    manager_http::Json,
    model::{AccountRecord, AuditEvent},
    record::{LoginIntent, MessageRecord, SessionRecord},
    site_http::Page,
};

/// The kinds of sealed records.
#[derive(Clone, Copy, Debug)]
pub enum RecordKind {
    /// An account.
    Account,
    /// A session with its jar.
    Session,
    /// The intent of a login.
    Intent,
    /// A message to the manager.
    Message,
    /// An audit entry.
    Audit,
}

/// Reads a record and writes what was read; `None` where the bytes are refused.
#[must_use]
pub fn rewrite_record(kind: RecordKind, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    Some(match kind {
        RecordKind::Account => AccountRecord::from_bytes(bytes).ok()?.to_bytes(),
        RecordKind::Session => SessionRecord::from_bytes(bytes).ok()?.to_bytes(),
        RecordKind::Intent => LoginIntent::from_bytes(bytes).ok()?.to_bytes(),
        RecordKind::Message => MessageRecord::from_bytes(bytes).ok()?.to_bytes(),
        RecordKind::Audit => AuditEvent::from_bytes(bytes).ok()?.to_bytes(),
    })
}

/// The account in the manager's answer to a question for `asked`.
#[must_use]
pub fn read_account(asked: &str, data: &Json) -> Option<ManagerAccount> {
    read(asked, data)
}

/// A page as a site answers it.
#[must_use]
pub fn page(url: Url, status: u16, body: &str) -> Page {
    Page {
        url,
        status,
        hops: Vec::new(),
        body: Zeroizing::new(body.to_owned()),
        content_type: None,
        retry_after: None,
        date_ms: None,
        deleted_cookies: Vec::new(),
    }
}
