//! The store as its users see it, on a real directory.

use std::path::Path;
use std::time::Duration;

use coracle_control_store::{
    Condition, OpenStoreError, Operation, SnapshotAtError, Store, StoreConfig, StoreFailure, Transaction,
    TransactionOutcome, WatchError, WatchEvent, WatchLost, WriteError,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

fn put(key: &str, value: &str) -> Operation {
    Operation::Put { key: key.to_owned().into(), value: value.to_owned().into() }
}

fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.to_owned().into() }
}

fn unchanged(key: &str, revision: u64) -> Condition {
    Condition::ModRevision { key: key.to_owned().into(), revision }
}

fn transaction<const N: usize>(operations: [Operation; N]) -> Transaction {
    Transaction { conditions: vec![], operations: operations.into() }
}

async fn open(directory: &Path) -> Store {
    Store::open(StoreConfig::new(directory)).await.expect("the store opens")
}

async fn new_store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open(directory.path()).await;
    (directory, store)
}

async fn write(store: &Store, operation: Operation) -> u64 {
    match store.transact(transaction([operation])).await.expect("the write is made") {
        TransactionOutcome::Applied { revision } => revision,
        conflict @ TransactionOutcome::Conflict { .. } => panic!("{conflict:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_a_restart() {
    let (directory, store) = new_store().await;
    assert_eq!(store.revision(), 1);
    for number in 0..10 {
        assert_eq!(write(&store, put(&format!("key{number}"), "value")).await, number + 2);
    }
    store.close().await;
    let store = open(directory.path()).await;
    assert_eq!(store.revision(), 11);
    assert_eq!(store.snapshot().len(), 10);
    let entry = store.linearizable_snapshot().await.unwrap().get(b"key3").unwrap();
    assert_eq!((entry.mod_revision, entry.create_revision, entry.version), (5, 5, 1));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_does_not_hold_changes_nothing_and_shows_what_is_there() {
    let (_directory, store) = new_store().await;
    write(&store, put("a", "1")).await;
    let conditions = vec![unchanged("a", 1), unchanged("b", 0)];
    let operations = vec![put("a", "2"), put("b", "2")];
    let outcome = store.transact(Transaction { conditions, operations: operations.clone() }).await.unwrap();
    let current = vec![store.snapshot().get(b"a"), None];
    assert_eq!(outcome, TransactionOutcome::Conflict { revision: 2, current });
    let conditions = vec![unchanged("a", 2), unchanged("b", 0)];
    let outcome = store.transact(Transaction { conditions, operations }).await.unwrap();
    assert_eq!(outcome, TransactionOutcome::Applied { revision: 3 });
    let snapshot = store.snapshot();
    assert_eq!(snapshot.get(b"a").unwrap().version, 2);
    assert_eq!(snapshot.get(b"b").unwrap().create_revision, 3);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_what_is_not_there_takes_no_revision() {
    let (_directory, store) = new_store().await;
    assert_eq!(write(&store, delete("a")).await, 1);
    assert_eq!(write(&store, put("a", "1")).await, 2);
    assert_eq!(write(&store, delete("a")).await, 3);
    assert_eq!(write(&store, delete("a")).await, 3);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_transactions_are_refused_with_the_reason() {
    let (directory, store) = new_store().await;
    let refused = async |store: &Store, operations: Vec<Operation>| {
        let transaction = Transaction { conditions: vec![], operations };
        store.transact(transaction).await.expect_err("refused").to_string()
    };
    let twice = refused(&store, vec![put("a", "1"), delete("a")]).await;
    assert_eq!(twice, "the transaction is invalid: two operations on the key `a`");
    assert_eq!(refused(&store, vec![delete("")]).await, "the transaction is invalid: a key may not be empty");
    assert!(matches!(store.compact(2).await, Err(WriteError::Invalid { .. })));
    store.close().await;
    let config = StoreConfig { transaction_bytes_max: 10, ..StoreConfig::new(directory.path()) };
    let store = Store::open(config).await.unwrap();
    let large = refused(&store, vec![put("a", "1234567890")]).await;
    assert_eq!(large, "the transaction is too large: 11 bytes, and at most 10 are allowed");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_lose_none() {
    let (_directory, store) = new_store().await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        clients.spawn(async move {
            for _ in 0..25 {
                loop {
                    let entry = store.linearizable_snapshot().await.unwrap().get(b"counter");
                    let count: u64 =
                        entry.as_ref().map_or(0, |entry| str::from_utf8(&entry.value).unwrap().parse().unwrap());
                    let conditions = vec![unchanged("counter", entry.map_or(0, |entry| entry.mod_revision))];
                    let operations = vec![put("counter", &(count + 1).to_string())];
                    let outcome = store.transact(Transaction { conditions, operations }).await.unwrap();
                    if matches!(outcome, TransactionOutcome::Applied { .. }) {
                        break;
                    }
                }
            }
        });
    }
    while let Some(result) = clients.join_next().await {
        result.unwrap();
    }
    assert_eq!(store.snapshot().get(b"counter").unwrap().value, "200");
    assert_eq!(store.snapshot().get(b"counter").unwrap().version, 200);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumes_over_a_restart_without_a_gap() {
    let (directory, store) = new_store().await;
    for number in 0..20 {
        write(&store, put(&format!("a/{}", number % 3), &number.to_string())).await;
    }
    write(&store, delete("a/1")).await;
    store.close().await;
    let store = open(directory.path()).await;
    write(&store, put("a/9", "last")).await;
    let mut watch = store.watch(b"a/", 11).unwrap();
    let mut events = Vec::new();
    while events.len() < 12 {
        events.extend(watch.next().await.unwrap().events);
    }
    let revisions: Vec<u64> = events.iter().map(WatchEvent::revision).collect();
    assert_eq!(revisions, (12..=23).collect::<Vec<_>>());
    for event in &events {
        if let WatchEvent::Put { entry, previous } = event {
            assert_eq!(previous.as_ref().map_or(0, |previous| previous.version), entry.version - 1);
        }
    }
    assert!(matches!(&events[10], WatchEvent::Delete { revision: 22, previous } if previous.key == "a/1"));
    assert_eq!(store.snapshot_at(12).unwrap().get(b"a/1").unwrap().value, "10");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_holds_over_a_restart() {
    let (directory, store) = new_store().await;
    for number in 0..10 {
        write(&store, put("a", &number.to_string())).await;
    }
    store.compact(8).await.unwrap();
    store.compact(5).await.unwrap();
    store.close().await;
    let store = open(directory.path()).await;
    assert_eq!(store.snapshot_at(7).unwrap_err(), SnapshotAtError::Compacted { oldest: 8 });
    assert_eq!(store.snapshot_at(8).unwrap().get(b"a").unwrap().value, "6");
    assert_eq!(store.snapshot_at(12).unwrap_err(), SnapshotAtError::Future { current: 11 });
    assert_eq!(store.watch(b"", 6).unwrap_err(), WatchError::Compacted { oldest: 7 });
    assert_eq!(store.watch(b"", 7).unwrap().next().await.unwrap().events.len(), 4);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_revision_ends_with_it_or_with_the_time() {
    let (_directory, store) = new_store().await;
    assert!(store.wait_for_revision(1, Duration::ZERO).await);
    assert!(!store.wait_for_revision(2, Duration::from_millis(5)).await);
    let waiting = { store.wait_for_revision(2, Duration::from_secs(60)) };
    let (reached, _) = tokio::join!(waiting, write(&store, put("a", "1")));
    assert!(reached);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_serves_one_store_at_a_time() {
    let (directory, store) = new_store().await;
    let error = Store::open(StoreConfig::new(directory.path())).await.unwrap_err();
    assert!(matches!(error, OpenStoreError::InUse { .. }), "{error}");
    store.close().await;
    open(directory.path()).await.close().await;
}

/// Its threads end by themselves, and the directory is free only then.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_dropped_loses_nothing_and_gives_the_directory_free() {
    let (directory, store) = new_store().await;
    let mut watch = store.watch(b"a", 1).unwrap();
    write(&store, put("a", "1")).await;
    drop(store);
    while watch.next().await.is_ok() {}
    let reopened = async {
        loop {
            match Store::open(StoreConfig::new(directory.path())).await {
                Ok(store) => break store,
                Err(OpenStoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let store = tokio::time::timeout(Duration::from_secs(20), reopened).await.expect("the directory becomes free");
    assert_eq!(store.snapshot().get(b"a").unwrap().value, "1");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_says_so() {
    let (_directory, store) = new_store().await;
    let mut watch = store.watch(b"", 1).unwrap();
    store.close().await;
    store.clone().close().await;
    assert_eq!(store.failed().await, StoreFailure::Closed);
    assert_eq!(watch.next().await, Err(WatchLost::Closed));
    let error = store.transact(transaction([put("a", "1")])).await.unwrap_err();
    assert!(matches!(error, WriteError::Stopped(StoreFailure::Closed)), "{error}");
    assert!(store.linearizable_snapshot().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_parts_do_not_belong_together_is_refused() {
    let (directory, store) = new_store().await;
    write(&store, put("a", "1")).await;
    store.close().await;
    let (other_directory, other) = new_store().await;
    write(&other, put("b", "1")).await;
    other.close().await;
    let refused = async |directory: &Path| {
        let error = Store::open(StoreConfig::new(directory)).await.expect_err("refused");
        assert!(matches!(error, OpenStoreError::Damaged { .. }), "{error}");
        error.to_string()
    };
    let id = |directory: &TempDir| directory.path().join("id.json");
    let own = std::fs::read(id(&directory)).unwrap();

    std::fs::copy(id(&other_directory), id(&directory)).unwrap();
    assert!(refused(directory.path()).await.contains("belongs to another store"));
    std::fs::remove_file(id(&directory)).unwrap();
    assert!(refused(directory.path()).await.contains("`id.json`"));
    std::fs::write(id(&directory), own).unwrap();
    let wal = directory.path().join("wal");
    std::fs::rename(&wal, directory.path().join("elsewhere")).unwrap();
    assert!(refused(directory.path()).await.contains("there is no log"));
    std::fs::rename(directory.path().join("elsewhere"), &wal).unwrap();
    let store = open(directory.path()).await;
    assert_eq!(store.snapshot().len(), 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_cannot_be_a_directory_is_one_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(StoreConfig::new(file.join("data"))).await.unwrap_err();
    assert!(matches!(&error, OpenStoreError::Io { action: "make", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_life_in_a_small_log_keeps_the_directory_small() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        segment_bytes: 64 << 10,
        checkpoint_bytes: 128 << 10,
        history_events_max: 100,
        ..StoreConfig::new(directory.path())
    };
    let store = Store::open(config.clone()).await.unwrap();
    let value = "x".repeat(1000);
    for round in 0..20 {
        let mut writes = JoinSet::new();
        for number in 0..100 {
            let (store, operation) = (store.clone(), put(&format!("key{number}"), &format!("{round}{value}")));
            writes.spawn(async move { write(&store, operation).await });
        }
        writes.join_all().await;
    }
    let segments = std::fs::read_dir(directory.path().join("wal")).unwrap().count();
    assert!(segments < 20, "{segments} segments of 64 KiB after 2 MB");
    store.close().await;
    let store = Store::open(config).await.unwrap();
    assert_eq!((store.revision(), store.snapshot().len()), (2001, 100));
    assert!(store.snapshot().prefix(b"key").all(|entry| entry.value.starts_with(b"19x")));
    store.close().await;
}
