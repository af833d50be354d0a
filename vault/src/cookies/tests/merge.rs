//! What two holders of one jar did comes together.

use super::{super::Jar, NOW_MS, header, jar_of, url};
use crate::limits::COOKIES_MAX;

const X: &str = "https://x.example/";

/// Applies `lines` to a copy of `jar`, `after_ms` later.
fn with(jar: &Jar, lines: &[&str], after_ms: i64) -> Jar {
    let mut jar = jar.duplicate();
    for line in lines {
        let _ = jar.store(&url(X), line.as_bytes(), NOW_MS + after_ms);
    }
    jar
}

/// Base, my lines, the other's lines (a millisecond later), and what is sent after the merge.
type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], &'a str);

#[track_caller]
fn check(rows: &[Row<'_>]) {
    for (base, mine, current, want) in rows {
        let base = with(&Jar::new(), base, 0);
        let merged = Jar::merge(&base, &with(&base, mine, 1), &with(&base, current, 2));
        assert_eq!(header(&merged, X, NOW_MS), *want, "mine {mine:?}, current {current:?}");
        // Whatever was merged can be stored.
        assert_eq!(Jar::from_bytes(&merged.to_bytes()).map(|jar| jar.len()), Ok(merged.len()));
    }
}

#[test]
fn what_one_side_did_is_kept() {
    check(&[
        (&["a=1"], &[], &[], "a=1"),
        (&["a=1"], &["a=2"], &[], "a=2"),
        (&["a=1"], &[], &["a=2"], "a=2"),
        (&["a=1"], &["b=2"], &[], "a=1; b=2"),
        (&["a=1"], &[], &["b=2"], "a=1; b=2"),
        (&["a=1", "b=2"], &["a=; Max-Age=0"], &[], "b=2"),
        (&["a=1", "b=2"], &[], &["a=; Max-Age=0"], "b=2"),
        (&["a=1", "b=2"], &["a=3"], &["b=4"], "a=3; b=4"),
        (&["a=1", "b=2"], &["a=; Max-Age=0"], &["b=; Max-Age=0"], ""),
        (&["a=1"], &["m=2"], &["c=3"], "a=1; m=2; c=3"),
        (&[], &["m=2"], &["c=3"], "m=2; c=3"),
    ]);
}

#[test]
fn mine_wins_a_conflict() {
    check(&[
        (&["a=1"], &["a=2"], &["a=3"], "a=2"),
        (&[], &["a=2"], &["a=3"], "a=2"),
        (&["a=1"], &["a=; Max-Age=0"], &["a=3"], ""),
        (&["a=1"], &["a=2"], &["a=; Max-Age=0"], "a=2"),
        (&["a=1"], &["a=2"], &["a=2"], "a=2"),
        (&["a=1"], &["a=; Max-Age=0"], &["a=; Max-Age=0"], ""),
    ]);
}

#[test]
fn an_old_value_that_i_only_renewed_does_not_undo_a_new_one() {
    check(&[
        (&["a=1; Max-Age=60"], &["a=1; Max-Age=120"], &["a=2; Max-Age=60"], "a=2"),
        (&["a=1; Max-Age=60"], &["a=1; Max-Age=120"], &["a=; Max-Age=0"], ""),
    ]);
    let base = with(&Jar::new(), &["a=1; Max-Age=60"], 0);
    let merged = Jar::merge(&base, &with(&base, &["a=1; Max-Age=120"], 0), &with(&base, &["a=1; Max-Age=90"], 0));
    assert_eq!(merged.earliest_expiry_ms(NOW_MS), Some(NOW_MS + 120_000));
}

#[test]
fn identities_are_merged_one_by_one() {
    check(&[
        (&["a=1", "a=2; Domain=x.example"], &["a=3"], &["a=4; Domain=x.example"], "a=3; a=4"),
        (&["a=1"], &["a=2; Domain=x.example"], &["a=; Max-Age=0"], "a=2"),
    ]);
}

#[test]
fn without_another_holder_the_merge_is_mine_and_without_me_it_is_the_other_one() {
    let base = jar_of(&[(X, "a=1"), (X, "b=2"), (X, "c=3; Max-Age=60")]);
    let changed = with(&base, &["b=; Max-Age=0", "d=4", "a=5", "b=6"], 1);
    assert_eq!(*Jar::merge(&base, &changed, &base).to_bytes(), *changed.to_bytes());
    assert_eq!(*Jar::merge(&base, &base, &changed).to_bytes(), *changed.to_bytes());
}

#[test]
fn a_merge_never_exceeds_the_jar_and_mine_goes_first() {
    let many = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}{n}=1")).collect::<Vec<_>>();
    let base = Jar::new();
    let [mine, current] = [many("m", COOKIES_MAX - 1), many("c", 2)]
        .map(|lines| with(&base, &lines.iter().map(String::as_str).collect::<Vec<_>>(), 0));
    let merged = Jar::merge(&base, &mine, &current);
    assert_eq!(merged.len(), COOKIES_MAX);
    let names = merged.names_for(&url(X), NOW_MS);
    assert!(names.iter().any(|name| name == "c0") && !names.iter().any(|name| name == "c1"));
    assert_eq!(Jar::from_bytes(&merged.to_bytes()).map(|jar| jar.len()), Ok(COOKIES_MAX));
}
