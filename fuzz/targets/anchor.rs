//! The anchor's file: torn, stale, foreign and crafted slots; what is taken is spelled in one way only.

#![no_main]

use latchkey_fuzz::{Input, KEYRING};
use latchkey_vault::crypto::{ANCHOR_FILE_BYTES, ANCHOR_SLOT_BYTES, Anchor, AnchorError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mode = input.byte();
    let rest = input.rest();
    if mode & 1 == 0 {
        return check(rest);
    }
    // Checksums are no secret: an attacker makes them right, and so do we, where the mode says so.
    let mut file = [0; ANCHOR_FILE_BYTES];
    let length = rest.len().min(file.len());
    file[..length].copy_from_slice(&rest[..length]);
    for (index, slot) in file.chunks_exact_mut(ANCHOR_SLOT_BYTES).enumerate() {
        if mode & (2 << index) != 0 {
            let sum = latchkey_vault::crypto::Header::hash(&slot[..ANCHOR_SLOT_BYTES - 32]);
            slot[ANCHOR_SLOT_BYTES - 32..].copy_from_slice(&sum);
        }
    }
    check(&file);
});

fn check(file: &[u8]) {
    let Ok((index, anchor, mac)) = Anchor::decode(file) else { return };
    assert_eq!(file.len(), ANCHOR_FILE_BYTES);
    let slot = &file[index * ANCHOR_SLOT_BYTES..][..ANCHOR_SLOT_BYTES];
    // Written again it differs in the MAC and the checksum only, and where the MAC is ours not even there.
    let again = anchor.encode_slot(&KEYRING);
    assert_eq!(slot[144..480], again[144..480]);
    if anchor.vault == KEYRING.vault() {
        let sound = anchor.check_mac(&KEYRING, &mac);
        assert_eq!(sound.is_ok(), slot[..480] == again[..480]);
        assert!(matches!(sound, Ok(()) | Err(AnchorError::Authentication)));
    }
    assert_eq!(slot[..112], again[..112]);
}
