//! The sites file: refused with a line that exists, or taken with checked types only.

#![no_main]

use latchkey_vault::{
    limits::{SITE_LIST_MAX, SITES_FILE_MAX_BYTES},
    sites::{Sites, SitesError},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Sites::parse(text) {
        Ok(sites) => {
            assert!(text.len() <= SITES_FILE_MAX_BYTES && sites.len() <= text.len());
            for site in sites.iter() {
                assert!(!site.origins.is_empty() && site.origins.len() <= SITE_LIST_MAX);
                let found = sites.find(site.domain.as_str()).unwrap();
                assert_eq!(found.domain, site.domain);
                assert!(site.resolve("/").is_some_and(|url| site.origins.iter().any(|origin| origin.holds(&url))));
                // A path that came through a check stays at the site's origins.
                assert!(site.resolve("//elsewhere.example/").is_none_or(|url| site.origins.iter().any(|o| o.holds(&url))));
            }
        }
        Err(error) => {
            if let SitesError::Invalid { line, .. } = &error {
                assert!((1..=text.lines().count() + 1).contains(line), "{error}");
            }
            assert!(error.to_string().len() <= 2 * text.len() + 512);
        }
    }
});
