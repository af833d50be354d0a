//! TOTP secrets in every spelling: what is taken has its bounds, and spells the same secret in other ways.

#![no_main]

use data_encoding::BASE32;
use latchkey_vault::{
    Secret,
    limits::{TOTP_DIGITS, TOTP_PERIOD_S, TOTP_SECRET_BYTES, TOTP_TEXT_MAX_BYTES},
    totp::Totp,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let totp = match Totp::parse(&Secret::copy_of(text)) {
        Ok(totp) => totp,
        Err(error) => {
            // An error holds numbers at most, never the text.
            assert!(error.to_string().len() < 120);
            return;
        }
    };
    assert!(text.trim().len() <= TOTP_TEXT_MAX_BYTES && TOTP_PERIOD_S.contains(&totp.period_s()));
    let normalised = totp.normalised();
    let (secret, tail) = normalised.split_at(normalised.len() - 3);
    assert!(TOTP_SECRET_BYTES.contains(&secret.len()) && (1..=3).contains(&tail[0]));
    let code = totp.code(totp.step_at(1_700_000_000_000));
    let digits = u8::try_from(code.expose().len()).unwrap();
    assert!(TOTP_DIGITS.contains(&digits) && code.expose().bytes().all(|byte| byte.is_ascii_digit()));

    let algorithm = ["SHA1", "SHA256", "SHA512"][usize::from(tail[0]) - 1];
    let (period, spelled) = (totp.period_s(), BASE32.encode(secret).to_lowercase());
    let uri = format!("OTPAUTH://TOTP/a%20b?period={period}&digits={digits}&algorithm={algorithm}&secret={spelled}#x");
    let again = Totp::parse(&Secret::new(uri)).unwrap();
    assert_eq!(*again.normalised(), *normalised);
    assert!(again.code(7).same(&totp.code(7)));
});
