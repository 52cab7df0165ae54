//! The store as its users see it, on a real directory.

use coracle_control_store::{Operation, Store, StoreConfig, Transaction, TransactionOutcome};

fn put(key: &str, value: &str) -> Transaction {
    let operation = Operation::Put { key: key.to_owned().into(), value: value.to_owned().into() };
    Transaction { conditions: vec![], operations: vec![operation] }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig::new(directory.path())).await.unwrap();
    assert_eq!(store.revision(), 1);
    for number in 0..10 {
        let outcome = store.transact(put(&format!("key{number}"), "value")).await.unwrap();
        assert_eq!(outcome, TransactionOutcome::Applied { revision: number + 2 });
    }
    store.close().await;
    let store = Store::open(StoreConfig::new(directory.path())).await.unwrap();
    assert_eq!(store.revision(), 11);
    assert_eq!(store.snapshot().len(), 10);
    assert_eq!(store.linearizable_snapshot().await.unwrap().get(b"key3").unwrap().mod_revision, 5);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_times() {
    let directory = tempfile::tempdir_in(".").unwrap();
    for _ in 0..4 {
        let start = std::time::Instant::now();
        let store = Store::open(StoreConfig::new(directory.path())).await.unwrap();
        eprintln!("open {:?}", start.elapsed());
        let start = std::time::Instant::now();
        for _ in 0..200 {
            store.transact(put("key", "value")).await.unwrap();
        }
        eprintln!("200 writes {:?}", start.elapsed());
        let start = std::time::Instant::now();
        for _ in 0..200 {
            store.linearizable_snapshot().await.unwrap();
        }
        eprintln!("200 reads {:?}", start.elapsed());
        let start = std::time::Instant::now();
        store.close().await;
        eprintln!("close {:?}", start.elapsed());
    }
}
