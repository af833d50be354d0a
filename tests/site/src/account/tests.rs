//! One-time codes, secrets and usernames, accepted and refused.
//!
//! It knows no HTTP.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// The key of RFC 6238, appendix B, in Base32.
const RFC_KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn account_with(totp: &str) -> Account {
    Account::parse(NewAccount::new("ada", "pw").totp(totp)).unwrap()
}

#[test]
fn codes_of_rfc_6238_appendix_b_are_accepted_once() {
    // The appendix has eight digits; six-digit codes are their last six.
    for (time, code) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        let mut account = account_with(RFC_KEY);
        assert_eq!(account.spend_code(code, time), CodeVerdict::Accepted, "{time}");
        assert_eq!(account.spend_code(code, time), CodeVerdict::Replayed, "{time}");
    }
}

#[test]
fn a_code_is_good_one_step_to_either_side_and_no_further() {
    let now = 1_234_567_890;
    for (offset_s, verdict) in [
        (-60, CodeVerdict::Wrong),
        (-30, CodeVerdict::Accepted),
        (0, CodeVerdict::Accepted),
        (30, CodeVerdict::Accepted),
        (60, CodeVerdict::Wrong),
    ] {
        let mut account = account_with(RFC_KEY);
        let code_time = u64::try_from(i64::from(offset_s) + now).unwrap();
        let code = account.totp.as_ref().unwrap().generate(code_time).to_string();
        let now = u64::try_from(now).unwrap();
        assert_eq!(account.spend_code(&code, now), verdict, "{offset_s}");
    }
}

#[test]
fn a_step_older_than_a_used_one_is_spent_too() {
    let mut account = account_with(RFC_KEY);
    let now = 1_234_567_890;
    let totp = account.totp.clone().unwrap();
    let newer = totp.generate(now).to_string();
    let older = totp.generate(now - 30).to_string();
    assert_eq!(account.spend_code(&newer, now), CodeVerdict::Accepted);
    assert_eq!(account.spend_code(&older, now), CodeVerdict::Replayed);
    assert_eq!(account.spend_code(&totp.generate(now + 30).to_string(), now), CodeVerdict::Accepted);
}

#[test]
fn secrets_are_read_leniently_and_nonsense_is_refused() {
    for good in ["GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ", "gezdgnbvgy3tqojq", "JBSWY3DPEHPK3PXP====", "MFRGG-ZDF"] {
        assert!(parse_totp(good).is_ok(), "{good}");
    }
    for bad in ["", "    ", "0189", "ÄÖÜ", "A"] {
        assert!(matches!(parse_totp(bad), Err(AddAccountError::BadTotpSecret)), "{bad}");
    }
}

#[test]
fn usernames_that_fit_no_path_are_refused_and_odd_ones_are_not() {
    for good in ["ada", "a@b.c", "<b>&\"'", "Đặng Thái", "..."] {
        assert!(Account::parse(NewAccount::new(good, "pw")).is_ok(), "{good}");
    }
    for bad in ["", ".", "..", "a/b", "a\nb", &"x".repeat(MAX_USERNAME_CHARS + 1)] {
        let refused = Account::parse(NewAccount::new(bad, "pw"));
        assert!(matches!(refused, Err(AddAccountError::BadUsername)), "{bad:?}");
    }
}

#[test]
fn neither_debug_nor_errors_show_a_secret() {
    let new = NewAccount::new("ada", "s3cret").totp("JBSWY3DP").app_password("abcd efgh");
    let shown = format!("{new:?}");
    for secret in ["s3cret", "JBSWY3DP", "abcd efgh"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
