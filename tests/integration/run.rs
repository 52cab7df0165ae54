//! `coracle run`: one program, the process's own streams, its exit code passed on.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use coracle_tests_fixtures as guests;

/// Compiled code is shared by the tests of one test run; nothing else of it is.
fn coracle(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.args(arguments);
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    coracle(&["run", "--data-dir", directory.to_str().unwrap()]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn output_and_exit_code_are_the_programs() {
    let directory = tempfile::tempdir().unwrap();
    let hello = run(directory.path(), &[guests::HELLO_P2]);
    assert_eq!(hello.status.code(), Some(0), "{}", text(&hello.stderr));
    assert!(text(&hello.stdout).contains("hello"));
    assert_eq!(text(&hello.stderr), "");
    let exit = run(directory.path(), &[guests::EXIT_P1, "--", "42"]);
    assert_eq!(exit.status.code(), Some(42), "{}", text(&exit.stderr));
}

#[test]
fn standard_input_reaches_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = coracle(&["run", "--data-dir", directory.path().to_str().unwrap(), guests::CAT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text_in = "line\n".repeat(100_000);
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        stdin.write_all(text_in.as_bytes()).unwrap();
        text_in
    });
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), writer.join().unwrap());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn environment_and_directories_are_what_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("note"), "written outside").unwrap();
    let env = run(directory.path(), &[guests::PRINTER, "-e", "COLOUR=green", "--", "env"]);
    assert_eq!(text(&env.stdout).trim(), "COLOUR=green", "and nothing of the host's own environment");
    let volume = format!("{}:/data:ro", shared.path().display());
    let read = run(directory.path(), &[guests::PRINTER, "-v", &volume, "--", "read", "/data/note"]);
    assert_eq!(text(&read.stdout).trim(), "written outside", "{}", text(&read.stderr));
    let write = run(directory.path(), &[guests::PRINTER, "-v", &volume, "--", "write", "/data/note", "changed"]);
    assert_ne!(write.status.code(), Some(0), "the directory is read-only");
    assert_eq!(std::fs::read_to_string(shared.path().join("note")).unwrap(), "written outside");
    let outside = run(directory.path(), &[guests::PRINTER, "-v", &volume, "--", "read", "/data/../etc/passwd"]);
    assert_ne!(outside.status.code(), Some(0), "no path leaves what was given");
}

#[test]
fn limits_end_a_program_and_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let oom = run(directory.path(), &[guests::ALLOC, "--memory", "16Mi"]);
    assert_eq!(oom.status.code(), Some(137), "{}", text(&oom.stderr));
    assert!(text(&oom.stderr).contains("OOMKilled"), "{}", text(&oom.stderr));
    let fuel = run(directory.path(), &[guests::SPIN, "--fuel", "5000000"]);
    assert_ne!(fuel.status.code(), Some(0));
    assert!(text(&fuel.stderr).contains("FuelExhausted"), "{}", text(&fuel.stderr));
}

#[test]
fn what_cannot_run_is_told_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.wasm");
    std::fs::write(&file, "just some notes").unwrap();
    let no_start = directory.path().join("library.wasm");
    std::fs::write(&no_start, wat::parse_str("(module (func (export \"add\")))").unwrap()).unwrap();
    let needy = directory.path().join("needy.wasm");
    std::fs::write(
        &needy,
        wat::parse_str(r#"(module (import "galaxy" "towel" (func)) (func (export "_start")))"#).unwrap(),
    )
    .unwrap();
    for (program, word) in [
        (file.to_str().unwrap(), "not a WebAssembly file"),
        (no_start.to_str().unwrap(), "_start"),
        (needy.to_str().unwrap(), "galaxy"),
        ("/no/such/file.wasm", "/no/such/file.wasm"),
        ("no-such-image", "no-such-image"),
    ] {
        let output = run(directory.path(), &[program]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{program}: {stderr}");
        assert!(stderr.contains(word), "`{word}` is not in {stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
}

#[test]
fn an_image_is_loaded_listed_run_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let data = ["--data-dir", directory.path().to_str().unwrap()];
    let load = coracle(&["image", "load", guests::HELLO_P1, "-t", "hello:1"]).args(data).output().unwrap();
    assert!(load.status.success(), "{}", text(&load.stderr));
    let list = coracle(&["image", "list", "-o", "json"]).args(data).output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    let hello = run(directory.path(), &["hello:1"]);
    assert!(text(&hello.stdout).contains("hello"), "{}", text(&hello.stderr));
    let remove = coracle(&["image", "remove", "hello:1"]).args(data).output().unwrap();
    assert!(remove.status.success(), "{}", text(&remove.stderr));
    assert_eq!(run(directory.path(), &["hello:1"]).status.code(), Some(1));
}
