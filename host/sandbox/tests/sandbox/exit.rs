//! How containers end.

use crate::support::{engine, load_file, load_text, run, run_file, run_text, start};
use coracle_host_sandbox::{ContainerConfig, ExitReason, StartError};
use coracle_tests_fixtures as guests;
use std::time::{Duration, Instant};

const SPIN: &str = r#"(module (func (export "_start") (loop br 0)))"#;

#[tokio::test]
async fn a_program_that_returns_has_completed() {
    let ran = run_text(r#"(module (func (export "_start")))"#, |_| {}).await;
    assert_eq!((ran.report.code, ran.report.reason, ran.report.message), (0, ExitReason::Completed, None));
}

#[tokio::test]
async fn a_module_s_exit_code_is_kept_up_to_255() {
    for code in ["0", "1", "42", "125", "126", "200", "255"] {
        let ran = run_file(guests::EXIT_P1, &[code], |_| {}).await;
        assert_eq!(ran.report.code.to_string(), code);
        let reason = if code == "0" { ExitReason::Completed } else { ExitReason::Error };
        assert_eq!((ran.report.reason, ran.report.message), (reason, None));
    }
}

#[tokio::test]
async fn a_component_s_exit_code_is_0_or_1() {
    assert_eq!(run_file(guests::EXIT_P2, &["0"], |_| {}).await.report.code, 0);
    let failed = run_file(guests::EXIT_P2, &["42"], |_| {}).await.report;
    assert_eq!((failed.code, failed.reason), (1, ExitReason::Error));
}

#[tokio::test]
async fn a_panic_is_a_trap_whose_backtrace_names_the_function() {
    let ran = run_file(guests::PANIC, &[], |_| {}).await;
    assert_eq!((ran.report.code, ran.report.reason), (134, ExitReason::Trap));
    assert!(ran.stderr.contains("index out of bounds"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the program aborted"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the_function_that_panics"), "{}", ran.stderr);
    assert_eq!(ran.report.message.unwrap().lines().count(), 1);
}

#[tokio::test]
async fn deep_recursion_is_a_trap_with_a_report_of_bounded_size() {
    let ran = run_text(r#"(module (func $deep (export "_start") call $deep))"#, |_| {}).await;
    assert_eq!((ran.report.code, ran.report.reason), (134, ExitReason::Trap));
    assert!(ran.stderr.contains("call stack exhausted"), "{}", ran.stderr);
    assert!(ran.stderr.len() < 20_000, "{} bytes", ran.stderr.len());
}

#[tokio::test]
async fn other_traps_are_called_by_their_names() {
    let division = r#"(module (func (export "_start") (drop (i32.div_u (i32.const 1) (i32.const 0)))))"#;
    let ran = run_text(division, |_| {}).await;
    assert!(ran.stderr.contains("integer divide by zero"), "{}", ran.stderr);
    assert_eq!(ran.report.code, 134);
}

#[tokio::test]
async fn a_spinning_program_is_stopped_promptly() {
    let engine = engine();
    let running = start(&engine, &load_text(&engine, SPIN), ContainerConfig::new("spin"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(running.container.ended(), None);
    let before = Instant::now();
    let report = running.container.stop(Duration::from_secs(30)).await;
    assert!(before.elapsed() < Duration::from_secs(1), "took {:?}", before.elapsed());
    assert_eq!((report.code, report.reason), (143, ExitReason::Stopped));
    assert!(report.usage.fuel > 0);
    assert!(report.usage.cpu_time > Duration::ZERO);
    assert_eq!(running.container.ended(), Some(report));
}

#[tokio::test]
async fn a_program_stopped_without_grace_was_killed() {
    let engine = engine();
    let running = start(&engine, &load_file(&engine, guests::SLEEP), ContainerConfig::new("sleep"));
    let report = running.container.stop(Duration::ZERO).await;
    assert_eq!((report.code, report.reason), (137, ExitReason::Stopped));
    // Again: the same report.
    assert_eq!(running.container.stop(Duration::ZERO).await, report);
}

#[tokio::test]
async fn a_container_that_has_ended_keeps_its_report() {
    let engine = engine();
    let running = start(&engine, &load_file(&engine, guests::HELLO_P2), ContainerConfig::new("hello"));
    let other = running.container.clone();
    let (first, second) = tokio::join!(running.container.wait(), other.wait());
    assert_eq!(first, second);
    assert_eq!(running.container.stop(Duration::ZERO).await, first);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_a_container() {
    let engine = engine();
    let mut running = start(&engine, &load_text(&engine, SPIN), ContainerConfig::new("spin"));
    drop(running.container);
    // The sink closes when the container's task is gone.
    let closed = tokio::time::timeout(Duration::from_secs(10), running.stdout.next()).await;
    assert_eq!(closed.unwrap(), None);
}

#[tokio::test]
async fn containers_past_the_bound_are_refused_until_one_ends() {
    let engine = engine();
    let spin = load_text(&engine, SPIN);
    let running: Vec<_> =
        (0..engine.containers_max()).map(|_| start(&engine, &spin, ContainerConfig::new("spin"))).collect();
    let refused = engine.start(&spin, ContainerConfig::new("one more")).unwrap_err();
    assert!(matches!(refused, StartError::AtCapacity { containers_max: 16 }), "{refused}");
    running[0].container.stop(Duration::ZERO).await;
    let ran = run(&engine, &load_file(&engine, guests::HELLO_P1), ContainerConfig::new("hello")).await;
    assert_eq!(ran.report.code, 0);
}
