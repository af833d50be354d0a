//! Tests of the whole module: what an attacker does to stored bytes, public vectors, golden vectors, and what the types
//! must not be able to do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod anchoring;
mod authenticating;
mod combined;
mod keys;
mod sealing;
mod slots;
mod two_keys;
mod types;
mod vectors;
mod wycheproof;

use super::{Keyring, Kind, Place};
use crate::model::VaultId;

const VAULT: VaultId = VaultId::from_bytes([7; 16]);

fn keyring() -> Keyring {
    Keyring::generate(VAULT).unwrap()
}

fn place(kind: Kind, id: u8, rev: u64) -> Place {
    Place { kind, id: [id; 16], rev }
}
