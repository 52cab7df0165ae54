//! Durable writes per second at 1 and 64 writers, with the disk's own `fdatasync` beside it; and what opening, reading and
//! doing nothing costs.
//!
//! `cargo bench -p coracle-control-store`. The directory is made under `CORACLE_BENCH_DIRECTORY`, or else under the working
//! directory, because a temporary directory is often in memory, where a sync costs nothing and the figures mean nothing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may fail loudly")]

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coracle_control_store::{Operation, Store, StoreConfig, Transaction};
use tokio::task::JoinSet;

const VALUE_BYTES: usize = 1024;
const RUNS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(500);
const RUN: Duration = Duration::from_secs(2);

/// Figures of many single times.
struct Times(Vec<Duration>);

impl Times {
    fn quantile(&mut self, quantile: f64) -> Duration {
        self.0.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the times")]
        let index = ((self.0.len() - 1) as f64 * quantile) as usize;
        self.0[index]
    }
}

/// Overwrites a preallocated file in pieces of a small frame's size, and syncs each: what no log can beat with one writer.
fn disk_sync(directory: &Path) -> Times {
    let path = directory.join("sync-probe");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path).unwrap();
    file.write_all(&vec![0; 4 << 20]).unwrap();
    file.sync_all().unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let times = (0..1000).map(|_| {
        let start = Instant::now();
        file.write_all(&[7; VALUE_BYTES + 128]).unwrap();
        file.sync_data().unwrap();
        start.elapsed()
    });
    let times = Times(times.collect());
    std::fs::remove_file(path).unwrap();
    times
}

async fn write_until(store: Store, writer: usize, end: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let key = format!("/registry/core/pods/default/{writer}-{}", times.len() % 100);
        let operations = vec![Operation::Put { key: key.into(), value: vec![b'x'; VALUE_BYTES].into() }];
        let start = Instant::now();
        store.transact(Transaction { conditions: vec![], operations }).await.unwrap();
        times.push(start.elapsed());
    }
    times
}

/// Writes per second, and the time of each write.
async fn run(store: &Store, writers: usize, duration: Duration) -> (f64, Times) {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        tasks.spawn(write_until(store.clone(), writer, start + duration));
    }
    let times = Times(tasks.join_all().await.concat());
    (times.0.len() as f64 / start.elapsed().as_secs_f64(), times)
}

async fn writes(directory: &Path, writers: usize) {
    let store = Store::open(StoreConfig::new(directory.join("data"))).await.unwrap();
    run(&store, writers, WARM_UP).await;
    let mut best = 0.0_f64;
    for number in 1..=RUNS {
        let mut sync = disk_sync(directory);
        let (rate, mut times) = run(&store, writers, RUN).await;
        best = best.max(rate);
        println!(
            "{writers:>3} writers, run {number}: {rate:>8.0} writes/s, p50 {:>9.3?}, p99 {:>9.3?}   (disk: fdatasync p50 {:.3?}, p99 {:.3?})",
            times.quantile(0.5),
            times.quantile(0.99),
            sync.quantile(0.5),
            sync.quantile(0.99),
        );
    }
    println!("{writers:>3} writers, best: {best:>8.0} writes/s");
    store.close().await;
}

async fn open_and_close(directory: &Path) {
    for number in 0..5 {
        let data = directory.join(format!("open{}", number % 2));
        let start = Instant::now();
        let store = Store::open(StoreConfig::new(&data)).await.unwrap();
        let opened = start.elapsed();
        for key in 0..50 {
            let operations = vec![Operation::Put { key: format!("key{key}").into(), value: vec![1; 1000].into() }];
            store.transact(Transaction { conditions: vec![], operations }).await.unwrap();
        }
        let start = Instant::now();
        store.close().await;
        let kind = if number < 2 { "a new" } else { "an old" };
        println!("open {kind} store: {opened:.3?}, close: {:.3?}", start.elapsed());
    }
    let store = Store::open(StoreConfig::new(directory.join("open0"))).await.unwrap();
    idle("after opening").await;
    store.close().await;
}

async fn reads(directory: &Path) {
    let store = Store::open(StoreConfig::new(directory.join("data"))).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..20_000 {
        let start = Instant::now();
        store.linearizable_snapshot().await.unwrap();
        times.push(start.elapsed());
    }
    let mut times = Times(times);
    println!("linearizable snapshot: p50 {:.3?}, p99 {:.3?}", times.quantile(0.5), times.quantile(0.99));
    idle("after all this").await;
    store.close().await;
}

async fn idle(when: &str) {
    let before = cpu_time();
    tokio::time::sleep(Duration::from_secs(10)).await;
    // A thread that has ended takes its time with it.
    let busy = cpu_time().saturating_sub(before);
    println!("idle {when}: {:.3} % of a core, {} KiB resident", busy.as_secs_f64() * 10.0, resident_kib());
}

/// CPU time of this process's threads, to the nanosecond.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

fn resident_kib() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("?").trim().trim_end_matches(" kB").to_owned()
}

fn main() {
    let base = std::env::var_os("CORACLE_BENCH_DIRECTORY").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let directory = tempfile::tempdir_in(base).expect("a directory for the benchmark");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        open_and_close(directory.path()).await;
        writes(directory.path(), 1).await;
        writes(directory.path(), 64).await;
        reads(directory.path()).await;
    });
}
