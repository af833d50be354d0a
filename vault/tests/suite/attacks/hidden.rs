//! What a copy of the files does not show: any text, who is the same elsewhere, and how long a password is.

use std::{collections::BTreeSet, fs, path::Path};

use data_encoding::{BASE32, BASE64, HEXLOWER};
use latchkey_vault::{
    AccountId, CheckIn, Edit, ItemChange, ItemKind, NewAccount, NewReport, Secret,
    model::{AccountState, Field, Fields, Standing},
};
use rusqlite::Connection;

use crate::common::{Folder, account, ask, key};

#[tokio::test(flavor = "multi_thread")]
async fn attack_29_no_text_of_an_account_is_in_any_file() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(canaries()).await.unwrap();
    let mut lent =
        vault.check_out(id, &latchkey_vault::CheckOutAsk { purpose: canary("purpose"), ..ask(0) }).await.unwrap();
    let url: url::Url = format!("https://{}.test/", canary("host")).parse().unwrap();
    let _ =
        lent.jar.store(&url, format!("{}={}; Path=/{}", canary("name"), canary("value"), canary("path")).as_bytes(), 0);
    let body = canary("report").into_bytes().into();
    let item = ItemChange {
        kind: ItemKind::Attempt,
        id: [7; 16],
        rev: 1,
        key: canary("key"),
        open: true,
        body: canary("item").into_bytes().into(),
    };
    let back = CheckIn {
        standing: Some(Standing { state: AccountState::Locked, since_ms: 0, evidence: canary("evidence") }),
        flat_url: Some(url),
        reports: vec![NewReport { task: canary("task"), body }],
        items: vec![item],
        note: canary("went"),
    };
    vault.check_in(lent, &back).await.unwrap();
    let edit = Edit { fields: vec![(Field::Password, Secret::new(canary("changed")))], ..Edit::default() };
    vault.edit_account(id, &edit).await.unwrap();
    let files = search(&folder);
    assert!(files.iter().any(|name| name.ends_with("-wal")), "{files:?}");
    vault.close().await.unwrap();
    search(&folder);

    // The search itself finds what is there.
    fs::write(folder.path().join("vault/planted"), BASE64.encode(canary("password").as_bytes())).unwrap();
    assert_eq!(shown(&fs::read(folder.path().join("vault/planted")).unwrap()), Some("base64"));
    fs::write(folder.path().join("vault/planted"), canary("x")).unwrap();
    assert_eq!(shown(&fs::read(folder.path().join("vault/planted")).unwrap()), Some("plain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_30_one_account_in_two_vaults_of_one_owner_has_nothing_in_common() {
    let folders = [Folder::new(), Folder::new()];
    let mut seen = Vec::new();
    for folder in &folders {
        let folder = Folder::with_identity(folders[0].identity.duplicate()).with(folder);
        let vault = folder.init().await;
        vault.add_account(account("ann")).await.unwrap();
        vault.close().await.unwrap();
        seen.push(blobs(&folder.plain()));
    }
    assert!(seen[0].len() > 10, "{}", seen[0].len());
    assert!(seen[0].is_disjoint(&seen[1]), "an index, a MAC or an id is the same in both");
    let one = Folder::new();
    let vault = one.init().await;
    for name in ["ann", "bob"] {
        vault.add_account(account(name)).await.unwrap();
    }
    vault.close().await.unwrap();
    let count = |column: &str| -> i64 {
        one.plain().query_row(&format!("SELECT count(DISTINCT {column}) FROM account"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("ix_site"), count("ix_login")), (1, 2), "within a vault equal sites are equal: that is stated");
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_31_the_length_of_a_password_does_not_show() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let mut ids = Vec::new();
    for (name, length) in [("ann", 8), ("bob", 40), ("eve", 200)] {
        let mut new = account(name);
        new.fields.password = Some(Secret::new("p".repeat(length)));
        ids.push(vault.add_account(new).await.unwrap());
    }
    let mut huge = account("mal");
    huge.fields.password = Some(Secret::new("p".repeat(5000)));
    let other = vault.add_account(huge).await.unwrap();
    vault.close().await.unwrap();
    let length = |id: &AccountId| -> i64 {
        let sql = "SELECT length(sealed) FROM account WHERE id = ?1";
        folder.plain().query_row(sql, [key(id)], |row| row.get(0)).unwrap()
    };
    assert_eq!(ids.iter().map(length).collect::<BTreeSet<_>>().len(), 1);
    assert!(length(&other) > length(&ids[0]), "a class above, so that the test can fail");
}

impl Folder {
    /// The files of this identity in the folder of `other`.
    fn with(mut self, other: &Self) -> Self {
        self.paths = other.paths.clone();
        self
    }
}

fn canaries() -> NewAccount {
    let secret = |name: &str| Some(Secret::new(canary(name)));
    NewAccount {
        site: format!("{}.test", canary("site")),
        manager_id: Some(canary("manager")),
        fields: Fields {
            email: Some(Secret::new(format!("{}@mail.test", canary("email")))),
            username: secret("username"),
            password: secret("password"),
            totp: Some(Secret::copy_of("NZXXI43FMNZGK5DDMFXGC4TZ")),
            mail_password: secret("mail"),
            mail_app_password: secret("mailapp"),
            link_profile: Some(Secret::new(format!("https://{}.test/", canary("profile")))),
            cookie: Some(Secret::new(format!("sid={}", canary("cookie")))),
        },
        app_password: secret("app"),
        tags: vec![canary("tag")],
        notes: canary("note"),
        origin: Some("https://site.test".parse().unwrap()),
    }
}

fn canary(name: &str) -> String {
    format!("{CANARY}-{name}")
}

/// Searches every file of the vault, its sidecars and its anchor; the names of those that were searched.
#[track_caller]
fn search(folder: &Folder) -> Vec<String> {
    let mut names = Vec::new();
    for entry in ["vault", "anchors"].iter().flat_map(|name| fs::read_dir(folder.path().join(name)).unwrap()) {
        let path = entry.unwrap().path();
        let name = Path::file_name(&path).unwrap().to_string_lossy().into_owned();
        assert_eq!(shown(&fs::read(&path).unwrap()), None, "{name}");
        names.push(name);
    }
    names
}

/// In which spelling some bytes show a canary.
fn shown(bytes: &[u8]) -> Option<&'static str> {
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    // Of each encoding the part that does not depend on what stands before and after it.
    let encoded = |text: String, skip: usize| has(&text.as_bytes()[skip..text.len() - 8]);
    if has(CANARY.as_bytes()) || has(b"NZXXI43FMNZGK5DDMFXGC4TZ") || has(b"noter") {
        return Some("plain");
    }
    if encoded(HEXLOWER.encode(CANARY.as_bytes()), 0) {
        return Some("hex");
    }
    for shift in 0..5 {
        let shifted = [vec![0; shift], CANARY.as_bytes().to_vec()].concat();
        if encoded(BASE64.encode(&shifted), 8) {
            return Some("base64");
        }
        if encoded(BASE32.encode(&shifted), 8) {
            return Some("base32");
        }
    }
    None
}

/// Every blob of 16 bytes and more.
fn blobs(conn: &Connection) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for (table, columns) in [
        ("account", "id, ix_site, ix_login, ix_manager, sealed, mac"),
        ("session", "sealed, mac"),
        ("header", "sealed"),
        ("digest_group", "sealed"),
        ("audit", "id, sealed"),
        ("audit_link", "mac"),
        ("key_slot", "slot"),
        ("data_key", "sealed"),
    ] {
        let mut rows = conn.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
        let count = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            found.extend((0..count).map(|column| row.get::<_, Vec<u8>>(column).unwrap()));
        }
    }
    found
}

const CANARY: &str = "zq7canary4x9vault";
