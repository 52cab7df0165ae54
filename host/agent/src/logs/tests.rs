use coracle_host_sandbox::LogSink;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

struct Fixture {
    store: LogStore,
    pod: PodLogs,
    directory: tempfile::TempDir,
}

fn fixture(file_bytes_max: u64) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let limits = LogLimits { file_bytes_max, files_max: 3 };
    let store = LogStore::open(directory.path().join("logs"), limits).unwrap();
    let pod = store.pod("shop", "web", "u-1");
    Fixture { store, pod, directory }
}

/// Prints as a guest does: only what is welcome.
async fn print(sink: &Arc<dyn LogSink>, mut text: &[u8]) {
    while !text.is_empty() {
        let count = sink.permit().unwrap().min(text.len());
        if count == 0 {
            sink.ready().await;
            continue;
        }
        sink.write(bytes::Bytes::copy_from_slice(&text[..count])).unwrap();
        text = &text[count..];
    }
}

async fn all(log: &Arc<Log>, options: ReadOptions) -> String {
    let pieces: Vec<_> = read(Arc::clone(log), options).try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

#[tokio::test]
async fn what_is_printed_is_read_whole_and_in_part() {
    let fixture = fixture(1 << 20);
    let log = fixture.store.start(&fixture.pod, "c", 0).unwrap();
    let (stdout, stderr) = (log.sink(LogStream::Stdout), log.sink(LogStream::Stderr));
    print(&stdout, b"one\ntw").await;
    print(&stderr, b"error\n").await;
    print(&stdout, b"o\nthree\nno end").await;
    log.end();
    let everything = ReadOptions::default();
    assert_eq!(all(&log, everything.clone()).await, "one\nerror\ntwo\nthree\nno end");
    assert_eq!(all(&log, ReadOptions { tail_lines: Some(2), ..everything.clone() }).await, "three\nno end");
    assert_eq!(all(&log, ReadOptions { tail_lines: Some(0), ..everything.clone() }).await, "");
    assert_eq!(
        all(&log, ReadOptions { tail_lines: Some(99), ..everything.clone() }).await,
        "one\nerror\ntwo\nthree\nno end"
    );
    assert_eq!(all(&log, ReadOptions { bytes_max: Some(6), ..everything.clone() }).await, "one\ner");
    let only = ReadOptions { stream: Some(LogStream::Stderr), ..everything.clone() };
    assert_eq!(all(&log, only).await, "error\n");
    let later = Timestamp::now().checked_add(std::time::Duration::from_secs(9)).unwrap();
    assert_eq!(all(&log, ReadOptions { since: Some(later), ..everything.clone() }).await, "");
    let timed = all(&log, ReadOptions { timestamps: true, tail_lines: Some(4), ..everything }).await;
    for line in timed.lines() {
        let (time, _) = line.split_once(' ').unwrap();
        assert_eq!(time.len(), "2026-01-01T00:00:00.000000000Z".len(), "{line}");
        time.parse::<Timestamp>().unwrap();
    }
    drop(log);
    let again = fixture.store.find(&fixture.pod, "c", 0).unwrap();
    assert_eq!(all(&again, ReadOptions { tail_lines: Some(1), ..ReadOptions::default() }).await, "no end");
    assert!(fixture.store.find(&fixture.pod, "c", 1).is_none());
}

#[tokio::test]
async fn a_reader_that_follows_sees_every_line_and_the_end() {
    let fixture = fixture(2000);
    let log = fixture.store.start(&fixture.pod, "c", 0).unwrap();
    let sink = log.sink(LogStream::Stdout);
    print(&sink, b"before\n").await;
    let mut reader = Box::pin(read(Arc::clone(&log), ReadOptions { follow: true, ..ReadOptions::default() }));
    assert_eq!(reader.next().await.unwrap().unwrap(), "before\n");
    let mut expected = String::new();
    let mut got = String::new();
    for index in 0..60 {
        // Over several rotations; the reader keeps up, so that it misses none.
        let line = format!("line {index} {}\n", "x".repeat(40));
        print(&sink, line.as_bytes()).await;
        expected.push_str(&line);
        while got.len() < expected.len() {
            got.push_str(std::str::from_utf8(&reader.next().await.unwrap().unwrap()).unwrap());
        }
    }
    assert_eq!(got, expected);
    log.end();
    assert!(reader.next().await.is_none());
    assert!(sink.write(bytes::Bytes::from_static(b"late")).is_err());
}

#[tokio::test]
async fn full_files_are_rotated_and_the_oldest_removed() {
    let fixture = fixture(1000);
    let log = fixture.store.start(&fixture.pod, "c", 0).unwrap();
    let sink = log.sink(LogStream::Stdout);
    for index in 0..100 {
        print(&sink, format!("{index:04} {}\n", "y".repeat(60)).as_bytes()).await;
        log.flushed().await;
    }
    let directory = fixture.directory.path().join("logs/shop_web_u-1/c");
    let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let text = all(&log, ReadOptions::default()).await;
    assert!(text.ends_with(&format!("0099 {}\n", "y".repeat(60))));
    let first: usize = text[..4].parse().unwrap();
    assert!(first > 60, "the oldest lines are gone");
    assert_eq!(text.lines().count(), 100 - first);
    let tail = all(&log, ReadOptions { tail_lines: Some(15), ..ReadOptions::default() }).await;
    assert_eq!(tail.lines().count(), 15, "the tail reaches over files");
}

#[tokio::test]
async fn a_guest_that_prints_without_end_waits_for_the_disk() {
    let fixture = fixture(1 << 20);
    let log = fixture.store.start(&fixture.pod, "c", 0).unwrap();
    let sink = log.sink(LogStream::Stdout);
    let block = vec![b'z'; 100_000];
    for _ in 0..100 {
        print(&sink, &block).await;
        assert!(log.waiting_bytes() <= BUFFER_BYTES_MAX);
    }
    log.end();
    log.flushed().await;
    let bytes: u64 = std::fs::read_dir(fixture.directory.path().join("logs/shop_web_u-1/c"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 3 << 20, "{bytes}");
}

#[tokio::test]
async fn long_lines_are_split_and_read_as_one() {
    let fixture = fixture(1 << 20);
    let log = fixture.store.start(&fixture.pod, "c", 0).unwrap();
    let long = "w".repeat(50_000);
    print(&log.sink(LogStream::Stdout), format!("{long}\nshort\n").as_bytes()).await;
    log.end();
    assert_eq!(all(&log, ReadOptions::default()).await, format!("{long}\nshort\n"));
    let raw = std::fs::read_to_string(fixture.directory.path().join("logs/shop_web_u-1/c/0.log")).unwrap();
    assert_eq!(raw.lines().filter(|line| line.contains(" stdout P ")).count(), 3);
}

#[tokio::test]
async fn older_runs_and_pods_that_are_gone_are_removed() {
    let fixture = fixture(1 << 20);
    for restart in 0..4 {
        fixture.store.start(&fixture.pod, "c", restart).unwrap().end();
    }
    let found: Vec<_> = (0..4).map(|restart| fixture.store.find(&fixture.pod, "c", restart).is_some()).collect();
    assert_eq!(found, [false, false, true, true]);
    let other = fixture.store.pod("shop", "../other", "u-2");
    fixture.store.start(&other, "..", 0).unwrap().end();
    assert!(fixture.store.find(&other, "..", 0).is_some());
    let directories = fixture.store.directories();
    assert_eq!(directories.len(), 2);
    assert!(directories.iter().any(|directory| other.is_at(directory)));
    fixture.store.remove(&other);
    fixture.store.remove(&fixture.pod);
    assert_eq!(std::fs::read_dir(fixture.directory.path().join("logs")).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_byte_comes_back_under_any_chunking(chunks in prop::collection::vec("[a\n]{0,9000}", 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = fixture(10 << 20);
            let log = fixture.store.start(&fixture.pod, "c", 0).unwrap();
            let sink = log.sink(LogStream::Stdout);
            for chunk in &chunks {
                print(&sink, chunk.as_bytes()).await;
            }
            log.end();
            assert_eq!(all(&log, ReadOptions::default()).await, chunks.concat());
        });
    }
}
