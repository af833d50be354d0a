//! Pages of a site: its forms, and the marks that verdicts rest on.

#![no_main]

use latchkey_fuzz::Input;
use latchkey_vault::{
    fuzzing::page,
    limits::EVIDENCE_MAX_CHARS,
    login::{HtmlForm, judge},
    sites::{CssSelector, Login, Site, Sites},
};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static SITE: LazyLock<Arc<Site>> = LazyLock::new(|| {
    let text = include_str!("../seeds/sites_file/form.toml");
    Arc::clone(Sites::parse(text).unwrap().iter().next().unwrap())
});

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let status = input.one_of(&[200, 302, 401, 403, 429, 503]);
    let selector = CssSelector::try_from(input.one_of(&["form", "form#login", "form[action]", "body form"]).to_owned()).unwrap();
    let body = String::from_utf8_lossy(input.rest());
    let page = page("https://x.example/login?next=1".parse().unwrap(), status, &body);
    if let Ok(mut form) = HtmlForm::find(&page, &selector) {
        // Only what the form declares is set; that it is shown with no value of the page is what Debug is for.
        let known = form.set("user", "ann").is_ok();
        form.set_or_add("password", "word");
        assert_eq!(form.set("user", "bob").is_ok(), known);
        assert!(format!("{form:?}").len() < 100);
    }
    let Login::Form(login) = &SITE.login else { unreachable!("the seed has a form login") };
    let evidence = judge(&page, login);
    assert!(evidence.mark.chars().count() <= EVIDENCE_MAX_CHARS + 1 && !evidence.mark.chars().any(char::is_control));
});
