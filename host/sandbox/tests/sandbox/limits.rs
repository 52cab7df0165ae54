//! Memory, processor time and fuel.

use crate::support::{engine, load_file, load_text, run_file, run_text, start, strings};
use coracle_host_sandbox::{ContainerConfig, ExitReason, Limits};
use coracle_tests_fixtures as guests;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

fn memory(bytes: u64) -> impl FnOnce(&mut ContainerConfig) {
    move |config| config.limits.memory_bytes = Some(bytes)
}

#[tokio::test]
async fn a_program_past_its_memory_is_killed() {
    let ran = run_file(guests::ALLOC, &[], memory(20 * MIB)).await;
    assert_eq!((ran.report.code, ran.report.reason), (137, ExitReason::OomKilled));
    assert!(ran.stderr.contains("out of memory"), "{}", ran.stderr);
    assert!(ran.report.usage.memory_bytes_peak > 15 * MIB, "{:?}", ran.report.usage);
    assert!(ran.report.usage.memory_bytes_peak <= 20 * MIB, "{:?}", ran.report.usage);
    assert_eq!(ran.report.usage.memory_bytes, 0);
}

#[tokio::test]
async fn a_program_within_its_memory_is_left_alone() {
    let ran = run_file(guests::ALLOC, &["10"], memory(20 * MIB)).await;
    assert_eq!((ran.stdout.as_str(), ran.report.code), ("10 MiB\n", 0));
}

#[tokio::test]
async fn memory_that_a_program_starts_with_counts() {
    let ran = run_text(r#"(module (memory 32) (func (export "_start")))"#, memory(MIB)).await;
    assert_eq!(ran.report.reason, ExitReason::OomKilled);
}

#[tokio::test]
async fn all_memories_and_tables_draw_on_one_budget() {
    let grow = r#"(module (memory 1) (memory 1) (table 1 funcref)
        (func (export "_start")
            (drop (memory.grow 0 (i32.const 7)))
            (drop (memory.grow 1 (i32.const 6)))
            (drop (table.grow (ref.null func) (i32.const 10000)))))"#;
    let used = 15 * 65_536 + 10_001 * 8;
    let exact = run_text(grow, memory(used)).await;
    assert_eq!((exact.report.code, exact.report.usage.memory_bytes_peak), (0, used), "{:?}", exact.report);
    let less = run_text(grow, memory(used - 1)).await;
    assert_eq!(less.report.reason, ExitReason::OomKilled);
}

#[tokio::test]
async fn growth_that_the_program_itself_forbids_is_not_charged() {
    let ran = run_text(
        r#"(module (memory 1 2)
            (func (export "_start") (drop (memory.grow (i32.const 100))) (drop (memory.grow (i32.const 1)))))"#,
        memory(2 * 65_536),
    )
    .await;
    assert_eq!((ran.report.code, ran.report.usage.memory_bytes_peak), (0, 2 * 65_536));
}

#[tokio::test]
async fn a_program_beside_another_draws_on_its_budget_and_leaves_it_alone() {
    let engine = engine();
    let mut config = ContainerConfig { args: strings(["sleep"]), ..ContainerConfig::new("main") };
    memory(20 * MIB)(&mut config);
    let main = start(&engine, &load_file(&engine, guests::SLEEP), config);
    let within = Some(main.container.clone());
    let config = ContainerConfig { within, args: strings(["alloc"]), ..ContainerConfig::new("beside") };
    let beside = start(&engine, &load_file(&engine, guests::ALLOC), config).end().await;
    assert_eq!((beside.report.code, beside.report.reason), (137, ExitReason::OomKilled));
    assert!(main.container.usage().memory_bytes_peak <= 20 * MIB, "{:?}", main.container.usage());
    assert!(main.container.ended().is_none());
    assert_eq!(main.container.stop(Duration::ZERO).await.reason, ExitReason::Stopped);
}

#[tokio::test]
async fn a_table_bomb_is_held() {
    let ran = run_text(
        r#"(module (table 0 funcref)
            (func (export "_start") (loop (drop (table.grow (ref.null func) (i32.const 1000))) br 0)))"#,
        |config| {
            config.limits.memory_bytes = Some(100_000);
            config.limits.fuel = Some(100_000_000);
        },
    )
    .await;
    assert_eq!(ran.report.reason, ExitReason::OomKilled);
}

#[tokio::test]
async fn fuel_is_spent_to_the_unit_on_every_run() {
    let mut spent = Vec::new();
    for _ in 0..3 {
        let ran = run_file(guests::SPIN, &["300000"], |_| {}).await;
        assert_eq!(ran.report.code, 0);
        spent.push(ran.report.usage.fuel);
    }
    assert!(spent[0] > 300_000 && spent.iter().all(|fuel| *fuel == spent[0]), "{spent:?}");
}

#[tokio::test]
async fn a_lifetime_budget_is_exact() {
    let count = r#"(module (func (export "_start") (local $i i32)
        (local.set $i (i32.const 1000000))
        (loop (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if 0 (local.get $i)))))"#;
    let needed = run_text(count, |_| {}).await.report.usage.fuel;
    let enough = run_text(count, |config| config.limits.fuel = Some(needed + 1)).await.report;
    assert_eq!((enough.reason, enough.usage.fuel), (ExitReason::Completed, needed));
    let short = run_text(count, |config| config.limits.fuel = Some(needed / 2)).await.report;
    assert_eq!((short.code, short.reason), (152, ExitReason::FuelExhausted));
    // A budget is checked where a loop or a function begins, so a few units of the last stretch are not used.
    assert!(short.usage.fuel.abs_diff(needed / 2) < 20, "{} of {}", short.usage.fuel, needed / 2);
    let again = run_text(count, |config| config.limits.fuel = Some(needed / 2)).await.report;
    assert_eq!(again.usage.fuel, short.usage.fuel);
}

#[tokio::test]
async fn a_budget_of_nothing_ends_a_program_before_its_first_instruction() {
    let ran = run_file(guests::HELLO_P1, &[], |config| config.limits.fuel = Some(0)).await;
    assert_eq!((ran.report.reason, ran.stdout.as_str()), (ExitReason::FuelExhausted, ""));
}

/// Wall-clock bounds are wide: the machine that runs tests is shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processor_time_is_held_to_its_limit() {
    let engine = engine();
    let spin = load_file(&engine, guests::SPIN);
    let limits = Limits { cpu_millis: Some(200), ..Limits::default() };
    let running = start(&engine, &spin, ContainerConfig { limits, ..ContainerConfig::new("spin") });
    let before = Instant::now();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let usage = running.container.usage();
    let share = usage.cpu_time.as_secs_f64() / before.elapsed().as_secs_f64();
    assert!(share < 0.23, "used {share:.3} of a core");
    assert!(usage.throttled_time > Duration::from_millis(100), "{usage:?}");
    assert!(usage.cpu_periods >= 10 && usage.cpu_periods_throttled >= 3, "{usage:?}");
    // Stopping does not wait for the next period.
    let before = Instant::now();
    running.container.stop(Duration::ZERO).await;
    assert!(before.elapsed() < Duration::from_millis(500), "{:?}", before.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_spinning_programs_do_not_keep_one_from_being_stopped() {
    let engine = coracle_host_sandbox::Engine::new(coracle_host_sandbox::EngineConfig {
        containers_max: 100,
        ..coracle_host_sandbox::EngineConfig::for_one_container()
    })
    .unwrap();
    let spin = load_text(&engine, r#"(module (func (export "_start") (loop br 0)))"#);
    let running: Vec<_> = (0..100).map(|_| start(&engine, &spin, ContainerConfig::new("spin"))).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = Instant::now();
    running[50].container.stop(Duration::ZERO).await;
    assert!(before.elapsed() < Duration::from_secs(2), "took {:?}", before.elapsed());
}

#[tokio::test]
async fn usage_grows_while_a_program_runs() {
    let engine = engine();
    let args = strings(["spin"]);
    let running =
        start(&engine, &load_file(&engine, guests::SPIN), ContainerConfig { args, ..ContainerConfig::new("s") });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let first = running.container.usage();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = running.container.usage();
    assert!(second.fuel > first.fuel && second.cpu_time > first.cpu_time, "{first:?} {second:?}");
    assert!(first.memory_bytes > 0 && first.instances == 1, "{first:?}");
    let last = running.container.stop(Duration::ZERO).await.usage;
    assert!(last.fuel >= second.fuel);
}

#[tokio::test]
async fn a_program_that_spends_its_time_in_the_host_is_stopped_promptly() {
    let engine = engine();
    let texts = [
        r#"(module (import "wasi_snapshot_preview1" "random_get" (func $call (param i32 i32) (result i32)))
            (memory (export "memory") 17)
            (func (export "_start") (loop (drop (call $call (i32.const 0) (i32.const 65536))) br 0)))"#,
        r#"(module (import "wasi_snapshot_preview1" "clock_time_get" (func $call (param i32 i64 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start") (loop (drop (call $call (i32.const 1) (i64.const 0) (i32.const 0))) br 0)))"#,
    ];
    for text in texts {
        let running = start(&engine, &load_text(&engine, text), ContainerConfig::new("caller"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(running.container.ended(), None);
        // The test shares its one thread with the program.
        let before = Instant::now();
        running.container.stop(Duration::ZERO).await;
        assert!(before.elapsed() < Duration::from_secs(1), "took {:?}", before.elapsed());
    }
}

#[tokio::test]
async fn bulk_operations_burn_fuel_by_their_size() {
    let ran = run_text(
        r#"(module (memory 16)
            (func (export "_start") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 1048576)) br 0)))"#,
        |config| config.limits.fuel = Some(100_000_000),
    )
    .await;
    assert_eq!(ran.report.reason, ExitReason::FuelExhausted);
    assert!(ran.report.usage.instances == 1 && ran.report.usage.fuel >= 100_000_000, "{:?}", ran.report.usage);
}

/// The whole file goes through one call.
#[tokio::test]
async fn a_program_can_write_as_much_at_once_as_it_may_hold() {
    let directory = tempfile::tempdir().unwrap();
    let ran = run_text(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 512)
            (data (i32.const 0) "f") (data (i32.const 8) "\40\00\00\00\00\00\e0\01")
            (func (export "_start")
                (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1)
                    (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 32))
                (if (then (call $exit (i32.const 2))))
                (call $write (i32.load (i32.const 32)) (i32.const 8) (i32.const 1) (i32.const 36))
                (if (then (call $exit (i32.const 3))))
                (call $exit (i32.eqz (i32.load (i32.const 36))))))"#,
        |config| {
            config.limits.memory_bytes = Some(32 * MIB);
            config.mounts = vec![coracle_host_sandbox::Mount {
                host_path: directory.path().to_owned(),
                guest_path: "/".to_owned(),
                read_only: false,
            }];
        },
    )
    .await;
    assert_eq!(ran.report.code, 0, "{ran:?}");
    assert!(std::fs::metadata(directory.path().join("f")).unwrap().len() > 0);
}
