//! What a form sends, control by control, and the forms that are not sent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::{collection, prelude::*, sample::select};

use super::super::super::site_http::testing::page;
use super::{FormError, HtmlForm};
use crate::sites::CssSelector;

fn find(body: &str, selector: &str) -> Result<HtmlForm, FormError> {
    HtmlForm::find(&page(200, body, &[]), &CssSelector::try_from(selector.to_owned()).unwrap())
}

/// The fields that a form of these controls sends, as `name=value` joined by `&`.
fn check(controls: &str, sent: &str) {
    let form = find(&format!("<form method=post>{controls}</form>"), "form").unwrap();
    let fields: Vec<String> = form.fields.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
    assert_eq!(fields.join("&"), sent, "{controls}");
}

#[test]
fn each_control_sends_what_a_browser_would() {
    let rows = [
        ("<input type=hidden name=csrf value='a&amp;b'>", "csrf=a&b"),
        ("<input name=user><input type=password name=pw>", "user=&pw="),
        ("<input type=hidden value=1><input name='' value=1>", ""),
        ("<input type=checkbox name=c>", ""),
        ("<input type=checkbox name=c checked>", "c=on"),
        ("<input type=checkbox name=c value=7 checked>", "c=7"),
        ("<input type=radio name=r value=1><input type=radio name=r value=2 checked>", "r=2"),
        ("<select name=s><option value=1>a<option value=2>b</select>", "s=1"),
        ("<select name=s><option value=1>a<option selected> b </select>", "s=b"),
        ("<select name=s><option disabled value=0>-<option value=2>b</select>", "s=2"),
        ("<select name=s multiple><option value=1>a</select>", ""),
        ("<select name=s multiple><option selected>a<option selected>b</select>", "s=a&s=b"),
        ("<textarea name=t>\nline &lt;1&gt;</textarea>", "t=line <1>"),
        ("<input name=d disabled value=1>", ""),
        ("<fieldset disabled><input name=d value=1></fieldset>", ""),
        ("<input type=submit name=go value=Go><button name=also value=x>x</button>", "go=Go"),
        ("<button name=go value=Go>Go</button>", "go=Go"),
        ("<button type=button name=no value=1></button><button type=reset name=no></button>", ""),
        ("<input type=image name=i><input type=file name=f><input type=reset name=r>", ""),
        ("<div><p><input name=deep value=1></div>", "deep=1"),
        ("<input name=foreign form=other value=1>", ""),
    ];
    for (controls, sent) in rows {
        check(controls, sent);
    }
}

#[test]
fn a_control_outside_belongs_to_the_form_it_names() {
    let form = find("<input name=out form=f value=1><form id=f method=post></form>", "#f").unwrap();
    assert_eq!(form.fields.len(), 1);
}

#[test]
fn the_action_is_resolved_against_the_page_or_its_base() {
    for (html, action) in [
        ("<form method=post>", "https://a.example/"),
        ("<form method=post action=''>", "https://a.example/"),
        ("<form method=post action='/login?x=1'>", "https://a.example/login?x=1"),
        ("<form method=post action='//b.example/x'>", "https://b.example/x"),
        ("<base href='/sub/'><form method=post action='go'>", "https://a.example/sub/go"),
    ] {
        assert_eq!(find(html, "form").unwrap().action().as_str(), action, "{html}");
    }
    assert!(matches!(find("<form action='http://['>", "form"), Err(FormError::BadAction)));
}

#[tokio::test]
async fn a_field_is_set_once_and_an_unknown_one_is_refused() {
    let mut form = find("<form method=post><input name=u value=old><input name=u value=older></form>", "form").unwrap();
    form.set("u", "new").unwrap();
    assert!(matches!(form.set("v", "x"), Err(FormError::NoField { name }) if name == "v"));
    form.set_or_add("v", "1");
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("u", "new"), ("v", "1")]);
    form.into_request(&[]).await.unwrap();
}

#[tokio::test]
async fn a_form_that_would_put_its_fields_into_a_url_is_not_sent() {
    for html in ["<form>", "<form method=get>", "<form method=dialog>"] {
        let form = find(html, "form").unwrap();
        assert!(matches!(form.into_request(&[]).await, Err(FormError::NotPost)), "{html}");
    }
}

#[test]
fn only_a_form_is_found_and_only_of_bounded_size() {
    assert!(matches!(find("<div id=f></div>", "#f"), Err(FormError::NotFound { status: 200, .. })));
    assert!(matches!(find("", "form"), Err(FormError::NotFound { .. })));
    let with = |count: usize| format!("<form>{}</form>", "<input name=a>".repeat(count));
    find(&with(1000), "form").unwrap();
    assert!(matches!(find(&with(1001), "form"), Err(FormError::TooManyFields { limit: 1000 })));
}

#[test]
fn a_page_of_nested_elements_is_given_up_before_it_costs_anything() {
    let nested = |depth: usize| find(&format!("<form method=post>{}<input name=user>", "<div>".repeat(depth)), "form");
    assert!(nested(500).is_ok());
    assert!(matches!(nested(1_000_000), Err(FormError::Unreadable)));
}

proptest! {
    #[test]
    fn no_page_panics_and_a_form_sends_only_what_it_declares(
        body in "\\PC{0,60}",
        parts in collection::vec(select(PARTS), 0..20),
    ) {
        let page = format!("{}{body}{}", parts.concat(), parts.concat());
        if let Ok(mut form) = find(&page, "form") {
            prop_assert!(form.fields.iter().all(|(name, _)| form.names.contains(name)));
            let declared = form.names.contains("user");
            prop_assert_eq!(form.set("user", "ann").is_ok(), declared);
            prop_assert_eq!(form.fields.iter().filter(|(name, _)| name == "user").count(), usize::from(declared));
        }
    }
}

const PARTS: &[&str] = &[
    "<form method=post action='/in'>",
    "<form id=f>",
    "</form>",
    "<input name=user value=x>",
    "<input form=f name=user type=checkbox checked>",
    "<select name=s multiple><option selected>a",
    "</select>",
    "<textarea name=t>",
    "</textarea>",
    "<fieldset disabled>",
    "<table><tr>",
    "<template>",
    "<button name=b>",
    "<base href='//e.example:99999/'>",
    "<!--",
    "-->",
    "<svg><p>",
];
