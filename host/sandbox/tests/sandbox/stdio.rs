//! Standard streams.

use crate::support::{PATIENCE, engine, load_file, run_file, start, strings};
use coracle_host_sandbox::{ContainerConfig, ExitReason, Input, Output};
use coracle_tests_fixtures as guests;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn modules_and_components_print() {
    for program in [guests::HELLO_P1, guests::HELLO_P2] {
        let ran = run_file(program, &["big", "world"], |_| {}).await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("hello big world\n", ""));
        assert_eq!(ran.report.reason, ExitReason::Completed);
    }
}

#[tokio::test]
async fn standard_input_is_read_to_its_end() {
    let ran = run_file(guests::CAT, &[], |config| config.stdin = Input::reader(&b"one\ntwo\n"[..])).await;
    assert_eq!((ran.stdout.as_str(), ran.report.code), ("one\ntwo\n", 0));
    let nothing = run_file(guests::CAT, &[], |_| {}).await;
    assert_eq!((nothing.stdout.as_str(), nothing.report.code), ("", 0));
}

#[tokio::test]
async fn megabytes_pass_through_unchanged() {
    let sent: Vec<u8> = (0..5_u32 << 18).flat_map(|n| n.to_le_bytes()).map(|byte| byte & 0x7f).collect();
    let expected = String::from_utf8(sent.clone()).unwrap();
    let ran = run_file(guests::CAT, &[], |config| config.stdin = Input::reader(std::io::Cursor::new(sent))).await;
    assert!(ran.stdout == expected, "{} bytes came back", ran.stdout.len());
}

#[tokio::test]
async fn input_reaches_a_program_that_waits_for_it() {
    let engine = engine();
    let (mut keyboard, stdin) = tokio::io::duplex(64);
    let config = ContainerConfig { stdin: Input::reader(stdin), ..ContainerConfig::new("cat") };
    let mut running = start(&engine, &load_file(&engine, guests::CAT), config);
    for line in ["first\n", "second\n"] {
        keyboard.write_all(line.as_bytes()).await.unwrap();
        let echoed = tokio::time::timeout(PATIENCE, running.stdout.next()).await.unwrap().unwrap();
        assert_eq!(echoed, line);
    }
    drop(keyboard);
    assert_eq!(running.end().await.report.code, 0);
}

#[tokio::test]
async fn a_program_that_prints_without_end_waits_for_its_reader() {
    let engine = engine();
    let (stdout, mut reader) = Output::channel(64 << 10);
    let config = ContainerConfig { stdout, ..ContainerConfig::new("bomb") };
    let container = engine.start(&load_file(&engine, guests::LOG_BOMB), config).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let parked = container.usage().cpu_time;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(container.usage().cpu_time, parked, "it runs although nobody reads");
    let first = reader.next().await.unwrap();
    assert!(first.len() <= 128 << 10, "{} bytes were buffered", first.len());
    for _ in 0..20 {
        assert!(!reader.next().await.unwrap().is_empty());
    }
    container.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_reader_that_goes_away_breaks_the_pipe() {
    let engine = engine();
    let (stdout, reader) = Output::channel(4096);
    let config = ContainerConfig { stdout, ..ContainerConfig::new("bomb") };
    let container = engine.start(&load_file(&engine, guests::LOG_BOMB), config).unwrap();
    drop(reader);
    // The program looks at the error and returns.
    assert_eq!(tokio::time::timeout(PATIENCE, container.wait()).await.unwrap().code, 0);
}

#[tokio::test]
async fn what_a_program_printed_is_there_when_it_has_ended() {
    let engine = engine();
    let config = ContainerConfig { args: strings(["log-bomb", "1000"]), ..ContainerConfig::new("bomb") };
    let mut running = start(&engine, &load_file(&engine, guests::LOG_BOMB), config);
    running.container.wait().await;
    assert_eq!(running.stdout.read_to_end().await.lines().count(), 1000);
}

#[tokio::test]
async fn a_full_stderr_delays_the_end_of_a_trapped_container_only_briefly() {
    let engine = engine();
    let (stderr, _never_read) = Output::channel(1);
    let config = ContainerConfig { stderr, ..ContainerConfig::new("trap") };
    let program = crate::support::load_text(&engine, r#"(module (func (export "_start") unreachable))"#);
    let container = engine.start(&program, config).unwrap();
    let report = tokio::time::timeout(Duration::from_secs(10), container.wait()).await.unwrap();
    assert_eq!(report.reason, ExitReason::Trap);
}
