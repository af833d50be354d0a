//! The pool of readers when it is empty, and when it closes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::{Barrier, atomic::AtomicUsize, atomic::Ordering},
    thread,
};

use super::*;
use crate::{KeyBinder, crypto::Keyring, model::VaultId};

fn readers() -> Readers {
    let keys = Keyring::generate(VaultId::from_bytes([1; 16])).unwrap();
    Readers::new(PathBuf::from("/nowhere"), Arc::new(KeyBinder::new(Arc::new(keys))), Arc::new(Verified::new()))
}

#[test]
fn whoever_waits_for_a_connection_is_told_when_the_store_closes() {
    let readers = readers();
    let lent: Vec<_> = (0..READERS).map(|_| readers.lend().unwrap()).collect();
    let (start, told) = (Barrier::new(5), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                assert!(matches!(readers.lend(), Err(StoreError::Closed)));
                told.fetch_add(1, Ordering::SeqCst);
            });
        }
        start.wait();
        thread::yield_now();
        readers.close();
    });
    assert_eq!(told.into_inner(), 4, "though no connection has come back");
    drop(lent);
}

#[test]
fn a_panic_or_a_failure_to_open_gives_the_place_back() {
    let readers = readers();
    for _ in 0..2 * READERS {
        let failed = readers.read(|_| Ok(()));
        assert!(matches!(failed, Err(StoreError::Database { .. })));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _lent = readers.lend().unwrap();
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
    }
    assert!(readers.lend().is_ok());
}
