//! The RFCs' own vectors, the spellings that occur, and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use data_encoding::BASE32;
use proptest::prelude::*;

use super::{Totp, TotpError};
use crate::{
    Secret,
    limits::{TOTP_SECRET_BYTES, TOTP_TEXT_MAX_BYTES},
};

/// The key of RFC 4226 appendix D, in Base32.
const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn parse(text: &str) -> Result<Totp, TotpError> {
    Totp::parse(&Secret::copy_of(text))
}

fn code(totp: &Totp, step: u64) -> String {
    // EXPOSE: tests compare the RFCs' published codes.
    totp.code(step).expose().to_owned()
}

#[test]
fn the_vectors_of_rfc_6238_appendix_b_come_out() {
    let keys = [("SHA1", 20), ("SHA256", 32), ("SHA512", 64)].map(|(algorithm, bytes)| {
        let key: Vec<u8> = b"1234567890".iter().copied().cycle().take(bytes).collect();
        parse(&format!("otpauth://totp/x?secret={}&algorithm={algorithm}&digits=8", BASE32.encode(&key))).unwrap()
    });
    for (unix_s, step, codes) in [
        (59, 0x1, ["94287082", "46119246", "90693936"]),
        (1_111_111_109, 0x023_523EC, ["07081804", "68084774", "25091201"]),
        (1_111_111_111, 0x023_523ED, ["14050471", "67062674", "99943326"]),
        (1_234_567_890, 0x027_3EF07, ["89005924", "91819424", "93441116"]),
        (2_000_000_000, 0x03F_940AA, ["69279037", "90698825", "38618901"]),
        (20_000_000_000, 0x27B_C86AA, ["65353130", "77737706", "47863826"]),
    ] {
        for (totp, want) in keys.iter().zip(codes) {
            assert_eq!(totp.step_at(unix_s * 1000), step, "{unix_s}");
            assert_eq!(totp.step_at(unix_s * 1000 + 999), step, "{unix_s}");
            assert_eq!(code(totp, step), want, "{unix_s}");
        }
    }
}

#[test]
fn the_vectors_of_rfc_4226_appendix_d_come_out() {
    let totp = parse(KEY).unwrap();
    let want = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
    for (step, want) in (0..).zip(want) {
        assert_eq!(code(&totp, step), want, "{step}");
    }
}

#[test]
fn a_step_lasts_its_period_to_the_millisecond() {
    for period_s in [1, 30, 60, 300] {
        let totp = parse(&format!("otpauth://totp/x?secret={KEY}&period={period_s}")).unwrap();
        assert_eq!(totp.period_s(), period_s);
        let period_ms = period_s * 1000;
        for (unix_ms, step, ms_left) in [
            (0, 0, period_ms),
            (1, 0, period_ms - 1),
            (period_ms - 1, 0, 1),
            (period_ms, 1, period_ms),
            (7 * period_ms - 1, 6, 1),
        ] {
            let unix_ms = i64::try_from(unix_ms).unwrap();
            assert_eq!((totp.step_at(unix_ms), totp.ms_left(unix_ms)), (step, ms_left), "{unix_ms} of {period_s} s");
        }
        for before_1970 in [-1, i64::MIN] {
            assert_eq!((totp.step_at(before_1970), totp.ms_left(before_1970)), (0, period_ms));
        }
    }
}

#[test]
fn every_spelling_is_the_same_secret_with_the_same_codes() {
    let plain = parse(KEY).unwrap();
    for text in [
        "gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
        "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
        "gezd-gnbv-gy3t-qojq-gezd-gnbv-gy3t-qojq",
        "  GEZDGNBVGY3TQOJQ\tGEZDGNBVGY3TQOJQ\n",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ====",
        "otpauth://totp/Site:name?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Site",
        "otpauth://totp/Site%3Aname?issuer=Other&secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq",
        "OTPAUTH://TOTP/?secret=GEZDGNBV%20GY3TQOJQ+GEZDGNBVGY3TQOJQ%3D%3D&algorithm=sha1&digits=6&period=30",
        "otpauth://totp?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&image=https%3A%2F%2Fx.example%2F&image=twice",
        "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ#digits=8",
    ] {
        let totp = parse(text).unwrap();
        assert_eq!(*totp.normalised(), *plain.normalised(), "{text}");
        assert_eq!(code(&totp, 1), "287082", "{text}");
    }
}

#[test]
fn padding_in_full_in_part_or_not_at_all_decodes_alike() {
    for text in
        ["GEZDGNBVGY3TQOJQGE", "GEZDGNBVGY3TQOJQGE======", "GEZDGNBVGY3TQOJQGE=", "gezd gnbv gy3t qojq ge== ===="]
    {
        assert_eq!(*parse(text).unwrap().normalised(), *b"12345678901\x01\x00\x1e", "{text}");
    }
}

#[test]
fn spare_bits_of_the_last_character_do_not_count() {
    let (clean, spare) = (parse("GEZDGNBVGY3TQOJQGE").unwrap(), parse("GEZDGNBVGY3TQOJQGF").unwrap());
    assert_eq!(*clean.normalised(), *spare.normalised());
    assert_eq!(code(&clean, 1), code(&spare, 1));
}

#[test]
fn the_identity_holds_what_makes_codes_differ_and_not_the_digits() {
    let of = |parameters: &str| parse(&format!("otpauth://totp/x?secret={KEY}{parameters}")).unwrap().normalised();
    assert_eq!(*of(""), *b"12345678901234567890\x01\x00\x1e");
    assert_eq!(*of("&algorithm=SHA256"), *b"12345678901234567890\x02\x00\x1e");
    assert_eq!(*of("&algorithm=SHA512"), *b"12345678901234567890\x03\x00\x1e");
    assert_eq!(*of("&period=300"), *b"12345678901234567890\x01\x01\x2c");
    assert_eq!(*of("&digits=8"), *of(""));
}

#[test]
fn secrets_of_10_to_64_bytes_are_taken_and_no_others() {
    let of = |bytes: usize| parse(&BASE32.encode(&vec![7; bytes])).map(|_| ());
    for bytes in TOTP_SECRET_BYTES {
        assert_eq!(of(bytes), Ok(()), "{bytes}");
    }
    for bytes in [0, 1, 9] {
        assert_eq!(of(bytes), Err(TotpError::SecretTooShort { bytes }));
    }
    for bytes in [65, 1000] {
        assert_eq!(of(bytes), Err(TotpError::SecretTooLong { bytes }));
    }
}

#[test]
fn what_is_no_secret_is_refused_by_its_rule() {
    let uri = |rest: &str| format!("otpauth://totp/x?secret={KEY}{rest}");
    let rows = [
        (String::new(), TotpError::SecretTooShort { bytes: 0 }),
        ("====".to_owned(), TotpError::SecretTooShort { bytes: 0 }),
        (format!("{KEY}1"), TotpError::NotBase32),
        (format!("0{KEY}"), TotpError::NotBase32),
        (format!("{KEY}8"), TotpError::NotBase32),
        (format!("{KEY}A"), TotpError::NotBase32),
        (format!("{KEY}_"), TotpError::NotBase32),
        (format!("AA=={KEY}"), TotpError::NotBase32),
        (format!("{KEY}é"), TotpError::NotBase32),
        ("xxxx xxxx xxxx x@xx".to_owned(), TotpError::NotBase32),
        ("https://x.example/?secret=A".to_owned(), TotpError::NotBase32),
        ("A".repeat(TOTP_TEXT_MAX_BYTES + 1), TotpError::TextTooLong { bytes: TOTP_TEXT_MAX_BYTES + 1 }),
        (format!("otpauth://hotp/x?secret={KEY}&counter=1"), TotpError::Hotp),
        (format!("otpauth://steam/x?secret={KEY}"), TotpError::Uri),
        (format!("otpauth-migration://offline?data={KEY}"), TotpError::NotBase32),
        ("otpauth://".to_owned(), TotpError::Uri),
        ("otpauth://totp/x".to_owned(), TotpError::NoSecret),
        ("otpauth://totp/x?issuer=y".to_owned(), TotpError::NoSecret),
        ("otpauth://totp/x?secret=".to_owned(), TotpError::SecretTooShort { bytes: 0 }),
        ("otpauth://totp/x?secret=GEZDGNB1".to_owned(), TotpError::NotBase32),
        (uri("&secret=GEZDGNBVGY3TQOJQ"), TotpError::Repeated),
        (uri("&digits=6&digits=8"), TotpError::Repeated),
        (uri("&algorithm=MD5"), TotpError::Algorithm),
        (uri("&algorithm="), TotpError::Algorithm),
        (uri("&digits=5"), TotpError::Digits),
        (uri("&digits=9"), TotpError::Digits),
        (uri("&digits=six"), TotpError::Digits),
        (uri("&digits=262"), TotpError::Digits),
        (uri("&period=0"), TotpError::Period),
        (uri("&period=301"), TotpError::Period),
        (uri("&period=-30"), TotpError::Period),
        (uri("&period=99999999999999999999"), TotpError::Period),
    ];
    for (text, want) in rows {
        assert_eq!(parse(&text).err(), Some(want), "{text}");
    }
}

#[test]
fn neither_debug_nor_errors_show_the_secret() {
    let shown = format!("{:?}", parse(KEY).unwrap());
    assert!(shown.contains("30") && !shown.contains("GEZD") && !shown.contains("1234567890"), "{shown}");
    let errors = [parse("CANARY1"), parse("otpauth://totp/CANARY?secret=CANARY1"), parse("otpauth://CANARY/")];
    for error in errors.map(|result| result.unwrap_err()) {
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}|(otpauth://totp/[ -~]{0,10}\\?)?(&?(secret|digits|period|algorithm)=[ -~]{0,12}){0,4}|[A-Za-z2-7 =-]{0,120}") {
        if let Ok(totp) = parse(&text) {
            prop_assert!(TOTP_SECRET_BYTES.contains(&(totp.normalised().len() - 3)));
        }
    }

    #[test]
    fn every_step_of_every_secret_has_a_code_of_its_digits(
        key in prop::collection::vec(any::<u8>(), TOTP_SECRET_BYTES),
        digits in 6..=8_usize,
        period_s in 1..=300_u64,
        step: u64,
        unix_ms: i64,
    ) {
        let text = format!("otpauth://totp/x?secret={}&digits={digits}&period={period_s}", BASE32.encode(&key));
        let totp = parse(&text).unwrap();
        prop_assert!(code(&totp, step).len() == digits && code(&totp, step).bytes().all(|digit| digit.is_ascii_digit()));
        prop_assert!((1..=period_s * 1000).contains(&totp.ms_left(unix_ms)));
        if let Some(end_ms) = i64::try_from(totp.ms_left(unix_ms)).ok().and_then(|left| unix_ms.max(0).checked_add(left)) {
            prop_assert_eq!(totp.step_at(end_ms), totp.step_at(unix_ms) + 1);
        }
    }
}

static_assertions::assert_not_impl_any!(Totp: Clone, PartialEq, serde::Serialize, std::fmt::Display);
