//! The manager's answers: envelope, accounts, tasks. One odd element costs no other one.

#![no_main]

use latchkey_vault::{
    Secret,
    account_api::read_fields,
    fuzzing::read_account,
    limits::NAME_MAX_BYTES,
    manager_http::{Json, is_id},
    model::Field,
};
use latchkey_worker::sources::social::{IMAGES_MAX, PostTask};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let json = Json::parse(bytes);
    // What is JSON is serde_json's to say; that a number is too large for it is the one thing that ours need not share.
    assert_eq!(json.is_ok(), serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
    let Ok(json) = json else { return };
    look(&json);
    if let Some(data) = json.member("data") {
        look(data);
        if let Json::List(elements) = data {
            elements.iter().for_each(look);
        }
    }
});

fn look(json: &Json) {
    let read = read_fields(json);
    for field in Field::ALL {
        assert!(read.fields.value(field).is_none_or(|value| !value.is_empty() && value.expose().len() <= 64 * 1024));
    }
    assert!(read.unusable.len() <= Field::ALL.len());
    if let Some(account) = read_account("asked", json) {
        assert!(account.id.len() <= NAME_MAX_BYTES && !account.id.chars().any(char::is_control));
        let texts = [&account.site_name, &account.status, &account.post_link, &account.posting_status];
        assert!(texts.into_iter().flatten().all(|text| !text.chars().any(char::is_control)));
    }
    match PostTask::read(json) {
        Ok(task) => {
            assert!(is_id(&task.id) && !task.domain.is_empty() && !task.about.is_empty());
            assert!(task.images.len() <= IMAGES_MAX && task.account_id.as_deref().is_none_or(is_id));
            let _ = task.has_unresolved_spin();
            let shown = format!("{task:?}");
            let secret = task.fields.password.as_ref().map_or("", Secret::expose);
            assert!(secret.len() < 24 || !shown.contains(secret));
        }
        Err(malformed) => assert!(malformed.id.as_deref().is_none_or(is_id)),
    }
}
