//! A process killed at any moment: what it said to be durable is there, and the vault is whole.

use std::{collections::BTreeSet, fs, path::PathBuf};

use latchkey_vault::model::Action;

use crate::{
    child::Child,
    common::{Folder, account, assert_clean, verify},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_that_it_said_was_durable() {
    let folder = Folder::new();
    folder.init().await.close().await.unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let mut said = BTreeSet::new();
    for round in 0..24 {
        let mut child = Child::start(&folder, "add", &[&format!("round{round}")]);
        assert_eq!(child.line().as_deref(), Some("open"));
        let after = random.usize(..120);
        said.extend((0..after).map(|_| child.line().unwrap()));
        // Somewhere within the next commit, or the one after it.
        (0..random.u32(..400_000)).for_each(|_| std::hint::spin_loop());
        child.kill();
        said.extend(child.rest());

        // Opening includes that the anchored commit is known; the next child opens what the last one left, too.
        let vault = folder.open().await.unwrap();
        if round % 4 == 3 {
            assert_eq!(verify(&vault).await, [], "round {round}");
            let mut there = BTreeSet::new();
            let mut after = None;
            loop {
                let page = vault.accounts(None, after, 1000).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                let names = page.iter().map(|account| account.username.as_ref().unwrap().expose().to_owned());
                there.extend(names);
            }
            let lost: Vec<_> = said.difference(&there).collect();
            assert!(lost.is_empty(), "round {round}: {lost:?}");
            // Each of the eight tasks may have had one under way that was not answered.
            assert!(there.len() - said.len() <= 8 * (round + 1), "round {round}");
        }
        // Half of the crashes are followed by another one, with no orderly close in between.
        if round % 2 == 0 {
            vault.close().await.unwrap();
        }
    }
    assert!(said.len() > 100, "{}", said.len());
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_has_released_no_secret_without_an_entry() {
    let folder = Folder::new();
    let vault = folder.init().await;
    let id = vault.add_account(account("ann")).await.unwrap();
    vault.close().await.unwrap();
    let (mut revealed, mut granted) = (0, 0);
    for round in 0..6 {
        let mut child = Child::start(&folder, "release", &[&id.to_string()]);
        let mut said: Vec<String> = (0..round * 3 + 1).map(|_| child.line().unwrap()).collect();
        child.kill();
        said.extend(child.rest());
        revealed += said.iter().filter(|what| *what == "revealed").count();
        granted += said.iter().filter(|what| *what == "granted").count();

        let vault = folder.open().await.unwrap();
        let entries = vault.audit_entries(0, 10_000).await.unwrap();
        let count = |action| entries.iter().filter(|entry| entry.event.action == action).count();
        assert!(count(Action::Reveal) >= revealed && count(Action::Grant) >= granted, "round {round}");
        // And nothing is told that was not at least about to happen.
        assert!(count(Action::Reveal) <= revealed + round + 1, "round {round}");
        vault.close().await.unwrap();
    }
    assert!(revealed > 10 && granted > 10, "{revealed} {granted}");
    assert_clean(&folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_first_and_the_last_page_of_a_checkpoint_is_survived() {
    let folder = Folder::new();
    let vault = folder.init().await;
    // A reader that does not end keeps all that follows in the log.
    let reader = folder.plain();
    reader.execute_batch("BEGIN; SELECT count(*) FROM account").unwrap();
    for n in 0..30 {
        vault.add_account(account(&format!("user-{n}"))).await.unwrap();
    }
    let killed = folder.copy();
    drop(reader);
    vault.close().await.unwrap();
    // SQLite's file format, section 4: frames of 24 bytes and a page. Page 1, with the new size of the whole, goes first.
    let side = |suffix| {
        let mut path = killed.paths.file.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    let log = fs::read(side("-wal")).unwrap();
    let first_page = log[32..].chunks_exact(24 + 4096).rfind(|frame| frame[..4] == [0, 0, 0, 1]).unwrap();
    let mut file = fs::read(&killed.paths.file).unwrap();
    file[..4096].copy_from_slice(&first_page[24..]);
    let claims = usize::try_from(u32::from_be_bytes(file[28..32].try_into().unwrap())).unwrap() * 4096;
    assert!(claims > file.len(), "{claims}");
    fs::write(&killed.paths.file, file).unwrap();
    let vault = killed.open().await.unwrap();
    assert_eq!(vault.accounts(None, None, 100).await.unwrap().len(), 30);
    assert_eq!(verify(&vault).await, []);
    vault.close().await.unwrap();
}
