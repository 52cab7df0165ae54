use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Resources, pod_slots};

fn list(entries: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    entries.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
}

#[test]
fn lists_are_read_in_base_units() {
    let read = list(&[
        ("cpu", "1500m"),
        ("memory", "1Ki"),
        ("ephemeral-storage", "1k"),
        ("pods", "110"),
        ("example.com/a", "3"),
    ]);
    let resources = Resources::from_list(&read);
    assert_eq!((resources.milli_cpu, resources.memory_bytes, resources.ephemeral_storage_bytes), (1500, 1024, 1000));
    assert_eq!(resources.scalar("example.com/a"), 3);
    assert_eq!(resources.scalar("pods"), 0);
    assert_eq!(pod_slots(&read), 110);
}

#[test]
fn what_was_added_can_be_taken_away_again() {
    let one = Resources::from_list(&list(&[("cpu", "1"), ("example.com/a", "3")]));
    let mut sum = one.clone();
    sum.add(&one);
    assert_eq!(sum.scalar("example.com/a"), 6);
    sum.subtract(&one);
    sum.subtract(&one);
    assert_eq!(sum, Resources::default());
}

#[test]
fn absurd_amounts_saturate() {
    let huge = Resources::from_list(&list(&[("cpu", "9E"), ("memory", "9999E")]));
    let mut sum = huge.clone();
    sum.add(&huge);
    assert_eq!(sum.memory_bytes, i64::MAX);
}
