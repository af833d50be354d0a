//! What stands in the manager's fields without being a value. Knows no field: the samples are samples anywhere.

/// Whether `text` is no value: empty, blank, dots (`...`, `…`), groups of `xxxx`, or a sample of the contract's documents.
///
/// The documents' samples count as no value in both directions: the manager refuses them in a PUT, so one that is read
/// can only be left over from a test. The sample TOTP secret is recognised in every spelling, groups and lower case.
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.chars().all(|c| c == '.' || c == '…')
        || text.split_whitespace().all(|group| group.eq_ignore_ascii_case("xxxx"))
        || SAMPLES.contains(&text)
        || is_sample_totp(text)
}

fn is_sample_totp(text: &str) -> bool {
    let letters = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '='));
    letters.map(|c| c.to_ascii_uppercase()).eq(SAMPLE_TOTP.chars())
}

/// The TOTP secret of every sample, and of half the tutorials on TOTP.
const SAMPLE_TOTP: &str = "JBSWY3DPEHPK3PXP";
/// The samples that could be taken for values: of the tasks, of the account, and of its update.
const SAMPLES: [&str; 6] = [
    "pwReal!",
    "socactive@seed.com",
    "sid=abc",
    "sid=abc123; csrf=xyz",
    "sid=newvalue; csrf=...",
    "https://sutori.com/u/socactive",
];

#[cfg(test)]
mod tests {
    use super::is_placeholder;

    #[test]
    fn placeholders_and_samples_are_no_values() {
        for text in [
            "",
            " \t\n",
            "...",
            "..",
            "……",
            " ... ",
            "xxxx xxxx xxxx xxxx",
            "XXXX XXXX XXXX XXXX",
            "xxxx  xxxx\txxxx xxxx",
            "xxxx",
            "JBSWY3DPEHPK3PXP",
            "jbsw y3dp ehpk 3pxp",
            "JBSW-Y3DP-EHPK-3PXP",
            "JBSWY3DPEHPK3PXP====",
            "pwReal!",
            "sid=abc123; csrf=xyz",
        ] {
            assert!(is_placeholder(text), "{text:?}");
        }
    }

    #[test]
    fn values_that_look_a_little_like_them_are_values() {
        for text in [
            "xxxxx",
            "xxx",
            "xxxx xxxx xxxx xxxy",
            "xxxxxxxxxxxxxxxx",
            "...a",
            "a...",
            "-",
            "0",
            "null",
            "JBSWY3DPEHPK3PXPA",
            "JBSWY3DPEHPK3PX",
            "pwReal",
            "sid=abcd",
            "abcd efgh ijkl mnop",
            "đ",
        ] {
            assert!(!is_placeholder(text), "{text:?}");
        }
    }
}
