//! Watches on an index without a log beneath it.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Watch, WatchBatch, WatchError, WatchEvent, WatchLost};
use crate::index::{HistoryBounds, Index, SharedIndex};
use crate::types::{Operation, Transaction};

type Shared = Arc<SharedIndex<()>>;

fn index(events_max: usize) -> Shared {
    Arc::new(SharedIndex::new(Index::new(HistoryBounds { events_max, bytes_max: 1 << 30 }), ()))
}

fn write(index: &Shared, keys: &[&str]) -> u64 {
    let put = |key: &&str| Operation::Put { key: Bytes::from((*key).to_owned()), value: Bytes::from_static(b"value") };
    let transaction = Transaction { conditions: vec![], operations: keys.iter().map(put).collect() };
    index.change(|state| {
        state.index.apply(&transaction);
        state.index.revision()
    })
}

fn delete(index: &Shared, key: &str) {
    let operations = vec![Operation::Delete { key: Bytes::from(key.to_owned()) }];
    index.change(|state| state.index.apply(&Transaction { conditions: vec![], operations }));
}

fn seen(batch: &WatchBatch) -> Vec<(u64, String)> {
    batch.events.iter().map(|event| (event.revision(), String::from_utf8(event.key().to_vec()).unwrap())).collect()
}

/// What the watch has to say at once; none when it waits.
fn now(watch: &mut Watch) -> Option<Result<WatchBatch, WatchLost>> {
    watch.next().now_or_never()
}

#[test]
fn a_watch_sees_its_prefix_and_nothing_else() {
    let index = index(100);
    let mut watch = Watch::new(&index, b"a/", 1).unwrap();
    assert!(now(&mut watch).is_none());
    write(&index, &["b/1"]);
    assert!(now(&mut watch).is_none());
    write(&index, &["a/1", "b/1", "a/2"]);
    write(&index, &["a/1"]);
    let batch = now(&mut watch).unwrap().unwrap();
    assert_eq!(seen(&batch), [(3, "a/1".into()), (3, "a/2".into()), (4, "a/1".into())]);
    assert_eq!(batch.revision, 4);
    let WatchEvent::Put { previous, .. } = &batch.events[2] else { panic!("a put") };
    assert_eq!(previous.as_ref().unwrap().mod_revision, 3);
    assert!(now(&mut watch).is_none());
}

#[test]
fn a_watch_begins_after_its_revision() {
    let index = index(100);
    for key in ["a/1", "a/2", "a/3"] {
        write(&index, &[key]);
    }
    let mut watch = Watch::new(&index, b"a/", 2).unwrap();
    assert_eq!(seen(&now(&mut watch).unwrap().unwrap()), [(3, "a/2".into()), (4, "a/3".into())]);
    assert!(now(&mut Watch::new(&index, b"a/", 4).unwrap()).is_none());
    assert_eq!(Watch::new(&index, b"a/", 5).unwrap_err(), WatchError::Future { current: 4 });
}

#[test]
fn progress_is_never_ahead_of_the_events() {
    let index = index(100);
    let mut watch = Watch::new(&index, b"a/", 1).unwrap();
    assert_eq!(watch.progress(), 1);
    write(&index, &["b"]);
    assert_eq!(watch.progress(), 2);
    write(&index, &["a/1"]);
    write(&index, &["b"]);
    assert_eq!(watch.progress(), 2);
    assert_eq!(now(&mut watch).unwrap().unwrap().revision, 4);
    assert_eq!(watch.progress(), 4);
    assert_eq!(Watch::new(&index, b"a/", 2).unwrap().progress(), 2);
}

#[test]
fn a_slow_watch_is_told_and_an_idle_one_is_not_disturbed() {
    let index = index(10);
    let mut slow = Watch::new(&index, b"a/", 1).unwrap();
    let mut idle = Watch::new(&index, b"c/", 1).unwrap();
    write(&index, &["a/1"]);
    for _ in 0..20 {
        write(&index, &["b"]);
    }
    let oldest = index.read().index.oldest_watch();
    assert_eq!(now(&mut slow), Some(Err(WatchLost::Behind { oldest })));
    assert_eq!(now(&mut slow), Some(Err(WatchLost::Behind { oldest })), "and again");
    assert_eq!(idle.progress(), 22);
    let revision = write(&index, &["c/1"]);
    assert_eq!(seen(&now(&mut idle).unwrap().unwrap()), [(revision, "c/1".into())]);
    assert_eq!(Watch::new(&index, b"", 1).unwrap_err(), WatchError::Compacted { oldest: oldest + 1 });
}

#[test]
fn events_that_leave_the_history_at_once_are_not_lost_silently() {
    let index = index(2);
    let mut watch = Watch::new(&index, b"a/", 1).unwrap();
    index.change(|state| {
        for key in ["a/1", "b/1", "b/2", "b/3"] {
            let operations = vec![Operation::Put { key: key.into(), value: Bytes::new() }];
            state.index.apply(&Transaction { conditions: vec![], operations });
        }
    });
    assert!(matches!(now(&mut watch), Some(Err(WatchLost::Behind { .. }))));
}

#[test]
fn a_deletion_in_the_compacted_revision_is_still_delivered() {
    let index = index(100);
    write(&index, &["a/1"]);
    delete(&index, "a/1");
    write(&index, &["a/2"]);
    index.change(|state| state.index.compact(3));
    assert_eq!(Watch::new(&index, b"a/", 1).unwrap_err(), WatchError::Compacted { oldest: 2 });
    let mut watch = Watch::new(&index, b"a/", 2).unwrap();
    let batch = now(&mut watch).unwrap().unwrap();
    assert!(matches!(&batch.events[0], WatchEvent::Delete { revision: 3, previous } if previous.key == "a/1"));
    assert_eq!(seen(&batch), [(3, "a/1".into()), (4, "a/2".into())]);
}

#[test]
fn a_watch_whose_next_events_are_compacted_is_told() {
    let index = index(100);
    let mut behind = Watch::new(&index, b"", 1).unwrap();
    let mut ahead = Watch::new(&index, b"", 1).unwrap();
    for _ in 0..4 {
        write(&index, &["a"]);
    }
    assert_eq!(now(&mut ahead).unwrap().unwrap().events.len(), 4);
    index.change(|state| state.index.compact(4));
    assert_eq!(now(&mut behind), Some(Err(WatchLost::Behind { oldest: 3 })));
    write(&index, &["a"]);
    assert_eq!(now(&mut ahead).unwrap().unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_long_way_to_catch_up_comes_in_batches_that_split_no_revision() {
    let index = index(100_000);
    let keys: Vec<String> = (0..10).map(|number| format!("a/{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for _ in 0..2000 {
        write(&index, &keys);
        write(&index, &["b"]);
    }
    let mut watch = Watch::new(&index, b"a/", 1).unwrap();
    let (mut events, mut batches, mut revision) = (0, 0, 1);
    while events < 20_000 {
        let batch = watch.next().await.unwrap();
        assert!(batch.events.first().is_some_and(|event| event.revision() > revision));
        assert!(batch.events.len().is_multiple_of(10), "{}", batch.events.len());
        assert!(batch.revision >= batch.events.last().unwrap().revision());
        assert_eq!(watch.progress(), batch.revision);
        (events, batches, revision) = (events + batch.events.len(), batches + 1, batch.revision);
    }
    assert!(batches > 50 && revision == 4001, "{batches} batches up to {revision}");
    assert!(now(&mut watch).is_none());
}

#[tokio::test]
async fn closing_ends_every_watch() {
    let index = index(100);
    let mut watch = Watch::new(&index, b"", 1).unwrap();
    let closing = Arc::clone(&index);
    let (ended, ()) = tokio::join!(watch.next(), async move {
        tokio::task::yield_now().await;
        closing.watchers().close();
    });
    assert_eq!(ended, Err(WatchLost::Closed));
    assert_eq!(Watch::new(&index, b"", 1).unwrap().next().await, Err(WatchLost::Closed));
}

/// Readers that come and go while others write must see exactly what was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_across_reconnects() {
    const WRITES: u64 = 4000;
    let index = index(1 << 20);
    let mut readers = tokio::task::JoinSet::new();
    for seed in 0..4_u64 {
        let index = Arc::clone(&index);
        readers.spawn(async move {
            let prefix = format!("{}/", seed % 2);
            let mut random = StdRng::seed_from_u64(seed);
            let (mut events, mut revision) = (Vec::new(), 1);
            while revision < WRITES + 1 {
                let mut watch = Watch::new(&index, prefix.as_bytes(), revision).unwrap();
                for _ in 0..random.random_range(1..5) {
                    tokio::select! {
                        batch = watch.next() => {
                            let batch = batch.unwrap();
                            revision = batch.revision;
                            events.extend(seen(&batch));
                        }
                        () = tokio::time::sleep(std::time::Duration::from_millis(1)) => {
                            revision = watch.progress();
                        }
                    }
                }
            }
            (prefix, events)
        });
    }
    for number in 0..WRITES {
        write(&index, &[&format!("{}/{}", number % 3, number % 7)]);
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while let Some(result) = readers.join_next().await {
        let (prefix, events) = result.unwrap();
        let all = (0..WRITES).map(|number| (number + 2, format!("{}/{}", number % 3, number % 7)));
        let expected: Vec<_> = all.filter(|(_, key)| key.starts_with(&prefix)).collect();
        assert_eq!(events, expected, "prefix {prefix}");
    }
}

#[test]
fn a_replaced_index_goes_on_or_says_so() {
    let old = index(100);
    let mut watch = Watch::new(&old, b"", 1).unwrap();
    write(&old, &["a"]);
    assert_eq!(now(&mut watch).unwrap().unwrap().revision, 2);
    let newer = index(100);
    for _ in 0..5 {
        write(&newer, &["a"]);
    }
    let state = Arc::into_inner(newer).unwrap().into_index();
    old.replace(state, ());
    assert_eq!(now(&mut watch).unwrap().unwrap().revision, 6);
    let compacted = index(2);
    for _ in 0..20 {
        write(&compacted, &["a"]);
    }
    old.replace(Arc::into_inner(compacted).unwrap().into_index(), ());
    assert!(matches!(now(&mut watch), Some(Err(WatchLost::Behind { .. }))));
}
