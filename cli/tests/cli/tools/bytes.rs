//! Bytes changed in the file and its log, as a hex editor does it: every class of page.

use std::{fs, os::unix::fs::FileExt, path::PathBuf};

use super::{Prey, Verdict, found, shut};

/// Where a byte is changed: on the first page of a tree (as SQLite's `dbstat` names it) of this type.
struct At {
    tree: &'static str,
    kind: &'static str,
    /// From the beginning of the page, or from its end where it is negative.
    offset: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_changed_on_any_class_of_page_is_named_and_keeps_no_other_record() {
    let prey = Prey::new().await;
    let ok = Verdict { code: 0, word: "ok", row: None, another: 0, rescued: Some(3) };
    let foreign = Verdict { code: 3, word: "vault_foreign", row: None, another: 3, rescued: None };
    let newer = Verdict { code: 3, word: "vault_newer", row: None, another: 3, rescued: Some(3) };
    let broken = Verdict { code: 3, word: "corruption", row: None, another: 3, rescued: None };
    let at = |tree, kind, offset| At { tree, kind, offset };
    let mut wrong = Vec::new();
    for (name, place, verdict) in [
        // The first hundred bytes (sqlite.org/fileformat2.html, section 1.3).
        ("magic", at("sqlite_schema", "internal", 3), foreign),
        ("page size", at("sqlite_schema", "internal", 16), broken),
        ("user version", at("sqlite_schema", "internal", 63), newer),
        ("application id", at("sqlite_schema", "internal", 70), foreign),
        ("a definition", at("sqlite_schema", "leaf", -60), Verdict { rescued: Some(3), ..broken }),
        // A record's own bytes, and the bookkeeping around them.
        (
            "an overflow page of an account",
            at("account", "overflow", 2000),
            found("substitution", Some(("account", None)), 2),
        ),
        ("the end of a leaf of accounts", at("account", "leaf", -9), found("substitution", Some(("account", None)), 2)),
        (
            "the kind of a leaf of sessions",
            at("session", "leaf", 0),
            Verdict { another: 3, ..found("corruption", None, 3) },
        ),
        ("the end of a leaf of sessions", at("session", "leaf", -9), found("substitution", Some(("session", None)), 3)),
        ("the end of a leaf of leases", at("lease", "leaf", -9), found("substitution", Some(("lease", None)), 3)),
        ("the end of a leaf of the audit", at("audit", "leaf", -9), found("audit", Some(("audit", None)), 3)),
        ("an inner page of the audit", at("audit", "internal", 9), found("corruption", None, 3)),
        ("an index", at("account_login", "leaf", -9), found("corruption", None, 3)),
        ("the index of the keys", at("sqlite_autoindex_account_1", "leaf", -9), found("corruption", None, 3)),
        ("the header's row", at("header", "leaf", -9), shut("header")),
        ("the top of the digest", at("digest_top", "leaf", -9), shut("deletion")),
        ("a group of the digest", at("digest_group", "leaf", -9), found("deletion", None, 3)),
    ] {
        prey.put(&prey.today);
        let offset = prey.offset(&place);
        // Ids are random: it may be the group that the other account is counted in.
        let is_anothers = place.tree == "digest_group" && prey.group_at(offset) == prey.cleo.as_bytes()[0] >> 2;
        let verdict = if is_anothers { Verdict { another: 5, ..verdict } } else { verdict };
        prey.flip(prey.home.vault_file(), offset);
        wrong.extend(prey.check(name, verdict));
    }

    // Pages that are free: what lies on them is nothing, how they hang together is SQLite's.
    prey.put(&prey.today);
    prey.sqlite3("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(40000)); DROP TABLE t");
    let with_free = super::files(&prey.home);
    let file = &with_free[&prey.home.vault_file()];
    // Section 1.3: the first trunk page at byte 32; section 1.5: its first leaf at byte 8 of it.
    let number = |at: usize| u64::from(u32::from_be_bytes(file[at..at + 4].try_into().unwrap()));
    let trunk = (number(32) - 1) * PAGE_BYTES;
    let leaf = (number(usize::try_from(trunk).unwrap() + 8) - 1) * PAGE_BYTES;
    for (name, offset, verdict) in
        [("a free page", leaf + 77, ok), ("the list of free pages", trunk + 7, found("corruption", None, 3))]
    {
        prey.put(&with_free);
        prey.flip(prey.home.vault_file(), offset);
        wrong.extend(prey.check(name, verdict));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_changed_in_the_log_costs_what_was_in_it_and_that_is_a_rollback() {
    let prey = Prey::new().await;
    let running = prey.running("in the log").await;
    let log = running.keys().find(|path| path.to_str().unwrap().ends_with("-wal")).unwrap().clone();
    assert!(running[&log].len() > 4096);

    prey.put(&running);
    let ended = prey.home.run(&["account", "show", &prey.bob.to_string(), "--json"]).ok();
    assert_eq!(ended.json()["notes"], "in the log", "a log that nobody touched is played back");
    // A frame's header and its page (section 4.1): either way SQLite reads the log up to the frame before.
    let mut wrong = Vec::new();
    for offset in [32 + 9, 32 + 24 + 100] {
        prey.put(&running);
        prey.flip(log.clone(), offset);
        wrong.extend(prey.check(&format!("byte {offset} of the log"), shut("rollback")));
    }
    // The log's own header: there is no log any more.
    prey.put(&running);
    prey.flip(log, 3);
    wrong.extend(prey.check("the log's magic", shut("rollback")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl Prey {
    fn offset(&self, at: &At) -> u64 {
        let sql = format!(
            "SELECT pgoffset FROM dbstat WHERE name = '{}' AND pagetype = '{}' ORDER BY pgoffset LIMIT 1",
            at.tree, at.kind
        );
        let page: i64 = self.sqlite3(&sql).trim().parse().unwrap_or_else(|_| panic!("no page: {sql}"));
        let within = if at.offset < 0 { PAGE_BYTES.cast_signed() + at.offset } else { at.offset };
        u64::try_from(page + within).unwrap()
    }

    /// The group of the digest whose sealed sums hold the byte at this offset.
    fn group_at(&self, offset: u64) -> u8 {
        let mut around = [0; 8];
        fs::File::open(self.home.vault_file()).unwrap().read_exact_at(&mut around, offset - 8).unwrap();
        let around = data_encoding::HEXLOWER.encode(&around);
        let no = self.sqlite3(&format!("SELECT no FROM digest_group WHERE instr(sealed, x'{around}') > 0"));
        no.trim().parse().unwrap()
    }

    fn flip(&self, file: PathBuf, offset: u64) {
        let file = fs::File::options().read(true).write(true).open(file).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 0x5a], offset).unwrap();
    }
}

const PAGE_BYTES: u64 = 4096;
