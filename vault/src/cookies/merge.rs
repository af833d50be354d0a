//! The three-way merge of jars at check-in. It knows no lease and no epoch; whoever calls sees to it that all three jars
//! are of one login.

use std::collections::HashMap;

use super::{
    Jar,
    entry::{Cookie, Identity},
};
use crate::limits::COOKIES_MAX;

impl Jar {
    /// Joins what two holders did to one jar: `base` at checkout, `mine` now, `current` as somebody else left it.
    ///
    /// By identity: what only one side changed, added or deleted is taken from that side. Where both did, mine is taken,
    /// unless I only renewed attributes (a sliding expiry, say) while the other side has another value or a deletion: the
    /// old value would come back to life. The result is in order of creation. Past [`COOKIES_MAX`] cookies, additions of
    /// the other side are left out, latest first.
    #[must_use]
    pub fn merge(base: &Self, mine: &Self, current: &Self) -> Self {
        let (base, my, other) = (index(base), index(mine), index(current));
        let mut kept: Vec<&Cookie> = Vec::with_capacity(mine.len().max(current.len()));
        let mut added: Vec<&Cookie> = Vec::new();
        for cookie in &current.cookies {
            let id = cookie.identity();
            match (base.get(&id), my.get(&id)) {
                (None, None) => added.push(cookie),
                (base, mine) => kept.extend(choose(base.copied(), mine.copied(), Some(cookie))),
            }
        }
        for cookie in &mine.cookies {
            let id = cookie.identity();
            if !other.contains_key(&id) {
                kept.extend(choose(base.get(&id).copied(), Some(cookie), None));
            }
        }
        kept.extend(added.into_iter().take(COOKIES_MAX.saturating_sub(kept.len())));
        kept.sort_by_key(|cookie| cookie.created_ms);
        Self { cookies: kept.into_iter().map(Cookie::duplicate).collect() }
    }
}

fn index(jar: &Jar) -> HashMap<Identity<'_>, &Cookie> {
    jar.cookies.iter().map(|cookie| (cookie.identity(), cookie)).collect()
}

/// The side whose word counts for one identity; `None` is the absence of the cookie.
fn choose<'a>(base: Option<&Cookie>, mine: Option<&'a Cookie>, current: Option<&'a Cookie>) -> Option<&'a Cookie> {
    let i_changed_it = !is_same(base, mine);
    let i_kept_its_value = mine.is_some() && has_same_value(base, mine);
    let they_replaced_it = !has_same_value(base, current);
    if !i_changed_it || (i_kept_its_value && they_replaced_it) { current } else { mine }
}

fn is_same(one: Option<&Cookie>, other: Option<&Cookie>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same_as(other),
        (None, None) => true,
        _ => false,
    }
}

fn has_same_value(one: Option<&Cookie>, other: Option<&Cookie>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.value.same(&other.value),
        (None, None) => true,
        _ => false,
    }
}
