//! Which buckets count as checked.

use super::*;

#[test]
fn a_bucket_counts_as_checked_once_it_was_added_and_no_other_does() {
    let verified = Verified::new();
    let checked = || (0..4096).filter(|bucket| verified.has(*bucket)).collect::<Vec<u16>>();
    let mut expected = Vec::new();
    assert_eq!(checked(), expected);
    for bucket in [0, 1, 63, 64, 130, 4032, 4095] {
        verified.add(bucket);
        verified.add(bucket);
        expected.push(bucket);
        assert_eq!(checked(), expected);
    }
}
