//! Every bound of the vault, named once, each with its reason. Knows no behaviour.

/// Longest text of one credential field, in bytes: password managers cap far below, TOTP URIs stay under 1 KiB.
pub const SECRET_MAX_BYTES: usize = 64 * 1024;
/// Longest identifier text (username, email, manager id, tag, site name), in bytes: RFC 5321 allows 254 for a mailbox.
pub const NAME_MAX_BYTES: usize = 1024;
/// Longest note, in bytes: a page of text.
pub const NOTE_MAX_BYTES: usize = 16 * 1024;
/// Most tags on one account: a table row stays readable, a record small.
pub const TAGS_MAX: usize = 64;
/// Most cookies in one jar: RFC 6265 section 6.1 asks for at least 50 a domain and 3000 in all.
pub const COOKIES_MAX: usize = 3000;
/// Longest cookie (name, value and attributes), in bytes: RFC 6265 section 6.1 asks for at least 4096.
pub const COOKIE_MAX_BYTES: usize = 8 * 1024;
/// Longest flat cookie string taken in, in bytes: servers refuse headers far smaller.
pub const FLAT_COOKIE_MAX_BYTES: usize = 64 * 1024;
/// Longest text of a session that is imported, in bytes: browsers give an origin 5 MiB of web storage.
pub const SESSION_FILE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most of a session beside its cookies, in bytes: with a jar at its limit it fits into a record.
pub const SESSION_STORAGE_MAX_BYTES: usize = 6 * 1024 * 1024;
/// Largest answer of the manager that is read, in bytes: 1000 tasks with texts of 8 KiB each.
pub const MANAGER_BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Largest page of a site that is read, in bytes: login pages of large sites stay below 2 MiB.
pub const SITE_BODY_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Most redirects followed for one request: RFC 9110 section 15.4 leaves it open, browsers stop at 20.
pub const REDIRECTS_MAX: usize = 10;
/// Largest sealed payload, in bytes: a jar at its limit stays below it.
pub const RECORD_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Largest sites file, in bytes: a thousand sites of 4 KiB each.
pub const SITES_FILE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most origins, aliases, media origins or marks in one list of a site: what a person still reads through.
pub const SITE_LIST_MAX: usize = 16;
/// Longest path, selector, pattern or text in the sites file, in bytes: paths of real forms stay far below.
pub const SITE_TEXT_MAX_BYTES: usize = 1024;
/// Most fields of one HTML form: PHP's `max_input_vars` is 1000.
pub const FORM_FIELDS_MAX: usize = 1000;
/// Longest evidence text of a verdict, in characters: one line of a log or a report.
pub const EVIDENCE_MAX_CHARS: usize = 200;
/// Longest wait for a connection to a site, in seconds: a SYN is repeated after 1, 3 and 7 s (RFC 6298).
pub const CONNECT_TIMEOUT_S: u64 = 10;
/// Longest id that the manager gives to a task or an account, in bytes: UUIDs have 36, other schemes stay below 200.
pub const MANAGER_ID_MAX_BYTES: usize = 200;
/// Longest message of the manager that is kept, in characters: it is shown on one line of a terminal or a log.
pub const MANAGER_MESSAGE_MAX_CHARS: usize = 300;
/// Most JSON values in one answer of the manager: 1000 tasks with 200 values each; an empty value costs 40 bytes here
/// and 2 on the wire, so the bound on bytes alone would not hold memory down.
pub const MANAGER_JSON_VALUES_MAX: usize = 200_000;
/// Largest body of a refusal that is read for its message, in bytes: a message is one sentence.
pub const MANAGER_REFUSAL_MAX_BYTES: usize = 64 * 1024;
/// Longest error message that the manager takes, in characters (not bytes; contract, trap 5).
pub const ERROR_MESSAGE_MAX_CHARS: usize = 1000;
/// Longest URL taken from the manager, in bytes: browsers and servers agree on at least 8000 (RFC 9110 section 4.1).
pub const URL_MAX_BYTES: usize = 8 * 1024;
/// Longest wait that a `Retry-After` can ask for: what asks for more is asked again after an hour.
pub const RETRY_AFTER_MAX: std::time::Duration = std::time::Duration::from_secs(3600);
/// Longest text of a TOTP secret, in bytes: an otpauth URI with label, issuer and image address stays below 2 KiB.
pub const TOTP_TEXT_MAX_BYTES: usize = 4 * 1024;
/// Lengths of a TOTP secret, in bytes: sites give out 80 bits (16 characters) and more; past one block of HMAC-SHA-1 and
/// HMAC-SHA-256 (64 bytes) a key gains nothing (RFC 2104 section 3).
pub const TOTP_SECRET_BYTES: std::ops::RangeInclusive<usize> = 10..=64;
/// Digits of a TOTP code: RFC 4226 section 5.3 asks for 6 and allows 7 and 8.
pub const TOTP_DIGITS: std::ops::RangeInclusive<u8> = 6..=8;
/// Length of a TOTP step, in seconds: 30 is usual, 60 occurs; above five minutes a code is a password.
pub const TOTP_PERIOD_S: std::ops::RangeInclusive<u64> = 1..=300;
