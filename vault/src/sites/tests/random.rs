//! Properties over generated sites files and the small texts in them: no panic, a line for every refusal, one meaning.

use proptest::{collection, prelude::*, sample::Index};
use url::Url;

use super::{
    super::{LocationPattern, Origin, PathTemplate, SiteName, SitePath, Sites, SitesError},
    FORM_SITE, SMALL_SITE,
};

proptest! {
    #[test]
    fn a_file_is_taken_whole_or_refused_with_a_line_that_it_has(
        edits in collection::vec((any::<Index>(), "[\\]\\[={}\"'.,#a-z0-9 \n-]{0,3}"), 0..4),
        noise in "\\PC{0,40}",
    ) {
        let mut text = format!("{FORM_SITE}{SMALL_SITE}");
        for (at, piece) in edits {
            let at = at.index(text.len());
            text.replace_range(at..=at, &piece);
        }
        for text in [text, noise] {
            match Sites::parse(&text) {
                Ok(sites) => {
                    for site in sites.iter() {
                        prop_assert!(sites.find(site.domain.as_str()).is_some() && !site.origins.is_empty());
                        prop_assert!(site.resolve("/").is_some());
                    }
                }
                Err(SitesError::Invalid { line, .. }) => {
                    prop_assert!((1..=text.split('\n').count()).contains(&line), "{line} of {text:?}");
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }

    #[test]
    fn an_origin_reads_back_as_the_same_and_holds_nothing_but_scheme_host_and_port(
        text in "\\PC{0,30}|(https?|ftp)://[a-zA-Z0-9.:@\\[\\]_-]{0,20}[/?#a-z]{0,3}",
    ) {
        if let Ok(origin) = Origin::try_from(text) {
            let url = origin.url();
            prop_assert!(origin.holds(url) && url.path() == "/" && url.query().is_none() && url.username().is_empty());
            prop_assert!(Origin::try_from(origin.to_string()).is_ok_and(|again| again == origin));
        }
    }

    #[test]
    fn paths_and_filled_templates_stay_at_their_origin(
        text in "\\PC{0,20}|/[a-z{}?=/.%:@&\\\\]{0,20}|/\\{(username|title|marker)\\}[a-z/?]{0,5}",
        username in "\\PC{1,12}",
        title in "\\PC{1,12}",
    ) {
        let root: Url = "https://x.example/".parse().unwrap();
        let stays = |path: &str| root.join(path).is_ok_and(|url| url.origin() == root.origin());
        if let Ok(path) = SitePath::try_from(text.clone()) {
            prop_assert!(stays(path.as_str()));
        }
        if let Ok(template) = PathTemplate::try_from(text) {
            prop_assert!(stays(&template.fill(Some(&username), &title, "marker").unwrap()));
        }
    }

    #[test]
    fn a_pattern_matches_what_the_plain_definition_says(
        pattern in "/[ab*/?]{0,10}",
        path in "/[ab/]{0,12}(\\?[ab]{0,4})?",
    ) {
        if let Ok(pattern) = LocationPattern::try_from(pattern) {
            let url: Url = format!("https://x.example{path}").parse().unwrap();
            let whole = match url.query().filter(|_| pattern.as_str().contains('?')) {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            };
            prop_assert_eq!(pattern.matches(&url), plainly(pattern.as_str().as_bytes(), whole.as_bytes()));
        }
    }

    #[test]
    fn a_sites_name_is_its_own_normal_form(text in "\\PC{0,20}|[A-Za-z0-9.-]{1,20}") {
        if let Ok(name) = SiteName::try_from(text) {
            prop_assert!(SiteName::try_from(name.as_str().to_owned()).is_ok_and(|again| again == name));
        }
    }
}

/// A star is one or more bytes of one segment: tried one by one, as slow as the definition.
fn plainly(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => {
            let room = text.iter().take_while(|byte| !matches!(byte, b'/' | b'?' | b'#')).count();
            (1..=room).any(|taken| plainly(rest, &text[taken..]))
        }
        Some((wanted, rest)) => text.split_first().is_some_and(|(found, text)| wanted == found && plainly(rest, text)),
    }
}
