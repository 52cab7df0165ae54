//! `kill -9` of a process that writes, again and again: what it was told to be written must be there.
//!
//! The test runs itself as that process. The writer prints a line for every write that was acknowledged; the test kills it at
//! random, and the next one begins by checking everything that any of them has printed.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use coracle_control_store::{Operation, Store, StoreConfig, Transaction, TransactionOutcome};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

const KILLS: usize = 60;
const CLIENTS: u64 = 4;
const DIRECTORY: &str = "CORACLE_STORE_KILL_TEST_DIRECTORY";

fn config(directory: &Path) -> StoreConfig {
    // Small, so that segments and checkpoints begin and end all the time.
    StoreConfig {
        segment_bytes: 256 << 10,
        checkpoint_bytes: 256 << 10,
        history_events_max: 500,
        ..StoreConfig::new(directory)
    }
}

/// The writing process; nothing at all when the test runner calls it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = Store::open(config(Path::new(&directory))).await.expect("the store opens");
    println!("\nopened {}", store.revision());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(write_for_ever(store.clone(), client));
    }
    let result = clients.join_next().await;
    panic!("a client ended: {result:?}");
}

async fn write_for_ever(store: Store, client: u64) {
    let snapshot = store.snapshot();
    let written =
        |entry: coracle_control_store::Entry| str::from_utf8(&entry.value).unwrap()[..10].parse::<u64>().unwrap();
    let mut number = snapshot.prefix(format!("/{client}/").as_bytes()).map(written).max().unwrap_or(0);
    loop {
        number += 1;
        let value = format!("{number:010}{}", "x".repeat(usize::try_from(number * 37 % 900).unwrap()));
        let operation = Operation::Put { key: format!("/{client}/{}", number % 50).into(), value: value.into() };
        let transaction = Transaction { conditions: vec![], operations: vec![operation] };
        let TransactionOutcome::Applied { revision } = store.transact(transaction).await.expect("written") else {
            panic!("there was no condition")
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {client} {number} {revision}").and_then(|()| out.flush()).expect("printed");
    }
}

/// What the killed processes have printed: each client's last acknowledged number, and the highest revision.
#[derive(Debug, Default)]
struct Acknowledged {
    numbers: BTreeMap<u64, u64>,
    /// How many kills came since the client's last line: each may have made one write that nobody heard of.
    unheard: BTreeMap<u64, u64>,
    revision: u64,
    count: u64,
}

impl Acknowledged {
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["opened", revision] => {
                let revision: u64 = revision.parse().unwrap();
                assert!(revision >= self.revision, "opened at {revision}, and {} was acknowledged", self.revision);
            }
            ["acknowledged", client, number, revision] => {
                self.numbers.insert(client.parse().unwrap(), number.parse().unwrap());
                self.unheard.insert(client.parse().unwrap(), 0);
                self.revision = self.revision.max(revision.parse().unwrap());
                self.count += 1;
            }
            _ => {}
        }
    }

    /// A client's numbers have no gaps, so that its key `n % 50` holds the last number with that remainder.
    async fn check(&self, directory: &Path) {
        let store = Store::open(config(directory)).await.expect("the store opens");
        assert!(store.revision() >= self.revision);
        let snapshot = store.snapshot();
        for (client, last) in &self.numbers {
            let most = last + self.unheard[client];
            for number in (1..=*last).rev().take(50) {
                let key = format!("/{client}/{}", number % 50);
                let entry = snapshot.get(key.as_bytes()).unwrap_or_else(|| panic!("{key} is lost"));
                let found: u64 = str::from_utf8(&entry.value).unwrap()[..10].parse().unwrap();
                assert!(found >= number && found <= most, "{key} holds {found} after {number} of {last}");
            }
        }
        store.close().await;
    }
}

/// Runs the writer, kills it after `life`, and reads what it has printed.
fn run_and_kill(directory: &Path, life: Duration, acknowledged: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the writer starts");
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = stdout.lines().map(|line| line.expect("readable"));
    // It may also be killed while it opens: then there is no such line.
    let killing = std::thread::spawn(move || {
        std::thread::sleep(life);
        child.kill().expect("killed");
        child.wait().expect("ended")
    });
    // A line that the kill has cut off says nothing.
    let lines: Vec<String> = lines.by_ref().collect();
    let status = killing.join().expect("the killer does not panic");
    assert!(!status.success() && status.code().is_none(), "the writer ended by itself: {status}\n{lines:?}");
    lines.iter().for_each(|line| acknowledged.read(line));
    acknowledged.unheard.values_mut().for_each(|kills| *kills += 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_every_kill() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = Acknowledged::default();
    for round in 0..KILLS {
        let life = Duration::from_millis(random.random_range(5..350));
        let path = directory.path().to_owned();
        acknowledged = tokio::task::spawn_blocking(move || {
            run_and_kill(&path, life, &mut acknowledged);
            acknowledged
        })
        .await
        .unwrap_or_else(|error| panic!("round {round}: {error}"));
        acknowledged.check(directory.path()).await;
    }
    println!("{} writes were acknowledged over {KILLS} kills", acknowledged.count);
    assert!(acknowledged.count > 500, "only {} writes", acknowledged.count);
}
