//! Key slots: the record's canonical bytes, and the age files and identity files that an attacker can leave in one.

#![no_main]

use latchkey_fuzz::{IDENTITY, Input, KEYRING, VECTORS, hex, vault_id};
use latchkey_vault::{
    Secret,
    crypto::{SLOT_LABEL_MAX_BYTES, SLOT_MAX_BYTES, SlotRecipient, SlotRecord, Unlock},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mode = input.byte() % 4;
    let rest = input.rest();
    match mode {
        0 => record(rest),
        1 => {
            let slot = SlotRecord { wrapped_root: rest.to_vec(), ..vector(1) };
            opens_to_nothing_foreign(&slot, &Unlock::Identity(&IDENTITY));
        }
        2 if !asks_for_allowed_work(rest) => {
            // Whatever else the file asks for is refused before it costs anything: the run's timeout watches that.
            let slot = SlotRecord { protected_identity: rest.to_vec(), ..vector(0) };
            assert!(slot.unlock(vault_id(), &Unlock::Passphrase(&Secret::copy_of("passphrase"))).is_err());
        }
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            let text = Secret::copy_of(text);
            let _ = SlotRecipient::of_identity(&text);
            opens_to_nothing_foreign(&vector(1), &Unlock::Identity(&text));
        }
    }
});

fn record(bytes: &[u8]) {
    let Ok(slot) = SlotRecord::from_bytes(bytes) else { return };
    assert_eq!(slot.to_bytes(), bytes);
    assert!(bytes.len() <= SLOT_MAX_BYTES && slot.label.len() <= SLOT_LABEL_MAX_BYTES);
    if let Ok(again) = slot.rewrapped(&KEYRING) {
        assert_eq!(SlotRecord::from_bytes(&again.to_bytes()).unwrap(), again);
    }
    opens_to_nothing_foreign(&slot, &Unlock::Identity(&IDENTITY));
}

/// A slot that opens without our root key in it would have to be made with the vault's id: then it is no commitment's.
fn opens_to_nothing_foreign(slot: &SlotRecord, how: &Unlock<'_>) {
    if let Ok(root) = slot.unlock(vault_id(), how) {
        let same = root.commitment(vault_id()).check(&KEYRING.commitment());
        assert_eq!(same, slot.wrapped_root == vector(1).wrapped_root);
    }
}

/// A scrypt file within the bounds costs a tenth of a second and more: not what is to be found out here.
fn asks_for_allowed_work(file: &[u8]) -> bool {
    let second = file.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    let factor = second.rsplit(|byte| *byte == b' ').next().and_then(|digits| std::str::from_utf8(digits).ok());
    second.starts_with(b"-> scrypt ") && factor.is_some_and(|digits| digits.parse().is_ok_and(|n: u8| (15..=20).contains(&n)))
}

fn vector(index: usize) -> SlotRecord {
    SlotRecord::from_bytes(&hex(&VECTORS["slots"][index]["cbor"])).unwrap()
}
