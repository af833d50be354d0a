//! The thread that moves the pin.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::pin::{PinPlace, PinPlaceError};

/// A place that tells of each writing, and refuses the second.
#[derive(Debug)]
struct Told {
    text: Mutex<(u32, Option<String>)>,
    told: Sender<()>,
}

impl PinPlace for Told {
    fn read(&self, _: VaultId) -> Result<Option<String>, PinPlaceError> {
        Ok(self.text.lock().unwrap().1.clone())
    }

    fn write(&self, _: VaultId, text: &str) -> Result<(), PinPlaceError> {
        let mut kept = self.text.lock().unwrap();
        kept.0 += 1;
        self.told.send(()).unwrap();
        if kept.0 == 2 {
            return Err("not now".into());
        }
        kept.1 = Some(text.to_owned());
        Ok(())
    }
}

#[test]
fn a_pin_follows_while_the_vault_is_open_and_is_tried_again_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let (told, seen): (_, Receiver<()>) = channel();
    let place = Arc::new(Told { text: Mutex::default(), told });
    let paths = VaultPaths { file: dir.path().join("v.db"), anchors: dir.path().join("anchors"), pin: Some(place) };
    let keys = Arc::new(Keyring::generate(VaultId::from_bytes([7; 16])).unwrap());
    let file = AnchorFile::of(&paths, keys.vault());
    let first = Head { counter: 1, hash: [1; 32] };
    file.write_first(&keys, first).unwrap();
    seen.recv().unwrap();

    let (head, follow) = watch::channel(first);
    let binder = Arc::new(KeyBinder::new(Arc::clone(&keys)));
    let (stop, thread) = follow_with_pin(file.clone(), binder, follow, Duration::from_millis(1)).unwrap();
    head.send(Head { counter: 9, hash: [9; 32] }).unwrap();
    // The writing that was refused, and the one after it.
    seen.recv().unwrap();
    seen.recv().unwrap();
    drop(stop);
    thread.join().unwrap();
    let pinned = file.pin().unwrap().read_with(&keys).unwrap();
    assert_eq!((pinned.counter, pinned.header_hash, pinned.sequence), (9, [9; 32], 2));
    // Nothing was written that moved nothing.
    assert!(seen.try_recv().is_err());
}
