//! A ciphertext that AES-GCM accepts under two keys: made here, to show that the key commitment refuses it.
//!
//! The method is that of Dodis, Grubbs, Ristenpart and Woodage, "Fast Message Franking" (CRYPTO 2018): GCM's tag
//! is linear in each ciphertext block once the key is known, so one free block makes the tags of two keys meet.

use super::{VAULT, place};
use crate::crypto::{
    Keyring, Kind, OpenError, RootKey,
    aead::{open_in_place, seal_in_place},
    seal::{Head, Sealer},
};

/// Blocks of the ciphertext: the smallest size class.
const BLOCKS: usize = 1024 / 16;

#[test]
fn attack_20_gcm_accepts_a_crafted_ciphertext_under_two_keys_and_the_commitment_refuses_it() {
    let here = place(Kind::Account, 1, 1);
    let head = Head { epoch: 1, incarnation: 1 };
    let salt = [9; 32];
    let keyrings = [2, 3].map(|key| Keyring::from_parts(VAULT, 1, RootKey::from_parts(1, [1; 32]), &[(1, [key; 32])]));
    let sealers: [&Sealer; 2] = [&keyrings[0], &keyrings[1]].map(|keyring| &keyring.epoch_keys(1).unwrap().sealer);
    let ciphers = sealers.map(|sealer| sealer.blob_cipher(head, place(Kind::Account, 1, 1), &salt));
    let context = sealers[0].context(head, here);

    // The attack itself works: bare GCM opens one ciphertext under both keys.
    let body = collide(&ciphers, &context);
    for key in &ciphers {
        assert_eq!(open_in_place(key, [0; 12], &context, &mut body.clone()), Ok(1024));
    }

    // Whichever commitment is put before it, the other key refuses before it decrypts.
    for (mine, other) in [(0, 1), (1, 0)] {
        let honest = sealers[mine].seal_with_salt(head, here, b"", &salt).unwrap().into_bytes();
        let crafted = [&honest[..74], &body].concat();
        assert_eq!(keyrings[other].open(here, &crafted).unwrap_err(), OpenError::Commitment);
        assert_ne!(keyrings[mine].open(here, &crafted).unwrap_err(), OpenError::Authentication);
    }
}

/// A ciphertext with tag that is authentic under both keys with `aad`: zeros, but for a first block that is solved for.
fn collide(keys: &[[u8; 32]; 2], aad: &[u8]) -> Vec<u8> {
    let zeros = vec![0; BLOCKS * 16];
    let tags = keys.map(|key| tag_of(&key, aad, &zeros));
    let powers = keys.map(|key| power(hash_key(&key), BLOCKS as u128 + 1));
    // tag_i(block) = tag_i(0) + block · H_i^(blocks + 1); both are equal for this block.
    let block = multiply(tags[0] ^ tags[1], invert(powers[0] ^ powers[1]));
    let tag = tags[0] ^ multiply(block, powers[0]);
    let mut body = zeros;
    body[..16].copy_from_slice(&block.to_be_bytes());
    body.extend_from_slice(&tag.to_be_bytes());
    body
}

/// The tag of a ciphertext: sealing its decryption gives it back.
fn tag_of(key: &[u8; 32], aad: &[u8], ciphertext: &[u8]) -> u128 {
    let mut keystream = vec![0; ciphertext.len()];
    seal_in_place(key, [0; 12], aad, &mut keystream).unwrap();
    let mut text: Vec<u8> = keystream.iter().zip(ciphertext).map(|(a, b)| a ^ b).collect();
    u128::from_be_bytes(seal_in_place(key, [0; 12], aad, &mut text).unwrap())
}

/// GHASH's key H, from the tags of two texts that differ in one block of associated data: their sum is H^2.
fn hash_key(key: &[u8; 32]) -> u128 {
    let tag = |aad: &[u8; 16]| u128::from_be_bytes(seal_in_place(key, [0; 12], aad, &mut []).unwrap());
    let square = tag(&ONE.to_be_bytes()) ^ tag(&[0; 16]);
    // Squaring 127 times more gives H^(2^128) = H.
    (0..127).fold(square, |root, _| multiply(root, root))
}

/// 1 in GCM's field, whose lowest coefficient is the highest bit (NIST SP 800-38D section 6.3).
const ONE: u128 = 1 << 127;

fn multiply(a: u128, mut b: u128) -> u128 {
    let mut product = 0;
    for i in (0..128).rev() {
        if a >> i & 1 == 1 {
            product ^= b;
        }
        b = (b >> 1) ^ if b & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

fn power(base: u128, mut exponent: u128) -> u128 {
    let (mut result, mut square) = (ONE, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(result, square);
        }
        square = multiply(square, square);
        exponent >>= 1;
    }
    result
}

fn invert(a: u128) -> u128 {
    power(a, u128::MAX - 1)
}
